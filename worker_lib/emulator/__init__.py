"""An emulator of Fly's Machines API, with machines on this computer.

A request goes through these modules, in this order:

- `server` reads HTTP; `machine_sockets` serves machines without a token.
- `access` checks token and Host.
- `dispatch` finds the route, counts it against `limits`, and applies faults.
- `routes` is the table of endpoints: method, path, action, handler.
- `endpoints` has the handlers, one module per resource. `validation` and
  `machine_config` check bodies, by the types of `schema` and `values`; `views` has the
  shapes of replies, `messages` requests, replies and errors.
- `fleet` holds apps and machines (`state`) and the one lock for them.
- `lifecycle` decides what a client may ask of a machine in which state, `engine` does
  it, `transitions` applies faults and delays between states, `termination` signals,
  `restarts` decides what follows an exit, `waiting` blocks until a state.
- `runtimes` run machines: as local processes, or as containers.

`faults` has the rules of what goes wrong on purpose, `visibility` what a request then
sees; `billing` adds up costs. `service` builds all of it, from `options`.

To add an endpoint: write its handler in `endpoints`, its row in `routes`, its action in
`faults.effects.ACTIONS`, and the shape of its reply in `tests/contract/facts.py`. Facts
that the client of the API knows too belong in `worker_lib.fly`.

Endpoints, states, events, limits and errors are Fly's, as far as Fly publishes them;
what it does not publish can be set in `EmulatorOptions` or by fault rules. Not there:
volumes, networks, the proxy, health checks, schedules; nothing is kept after `stop`.
"""

from __future__ import annotations

from worker_lib.emulator.faults import FaultPlan, FaultRule
from worker_lib.emulator.options import DockerOptions, EmulatorOptions, HostImage
from worker_lib.emulator.runtimes.orphans import kill_orphans
from worker_lib.emulator.service import Emulator

__all__ = [
    "DockerOptions",
    "Emulator",
    "EmulatorOptions",
    "FaultPlan",
    "FaultRule",
    "HostImage",
    "kill_orphans",
]
