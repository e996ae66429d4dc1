"""The Machines API of Fly on this computer: its machines are processes or containers.

A request comes in by `server`; `access` checks its token and its Host; `dispatch` finds
its endpoint, counts it against the limits and may inject a fault; `validation` and
`machine_config` hold what it says to the types of `schema`; `endpoints` do it. `fleet`
knows the machines, `lifecycle` moves them from state to state, `runtimes` runs them,
`billing` adds up what they would have cost.

Faithful are endpoints, states, events, limits and errors, as far as Fly publishes
them; what it does not publish can be set in `EmulatorOptions`. Not promised: volumes,
networks, the proxy, health checks, schedules, and memory of anything after `stop`.
Machines are
processes of the present interpreter and project unless `runtime` is `docker`: then
they are containers of their image.
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
