"""The Machines API of Fly on this computer, with machines that are processes.

A request comes in by `server`, is let in, found its endpoint, limited and perhaps
spoiled in `dispatch`, and worked in `endpoints`; `fleet` knows the machines,
`lifecycle` moves them from state to state, `runtimes` runs them, `billing` adds up
what they would have cost.

Faithful are endpoints, states, events, limits and errors, as far as Fly publishes
them; what it does not publish can be set in `EmulatorOptions`. Not promised: volumes,
networks, the proxy, health checks, images (each machine runs the present interpreter
and project), isolation of any kind, and memory of anything after `stop`.
"""

from __future__ import annotations

from worker_lib.emulator.faults import FaultPlan, FaultRule
from worker_lib.emulator.options import EmulatorOptions
from worker_lib.emulator.runtimes.strays import reap_strays
from worker_lib.emulator.service import Emulator

__all__ = ["Emulator", "EmulatorOptions", "FaultPlan", "FaultRule", "reap_strays"]
