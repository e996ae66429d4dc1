"""Names and limits of the Machines API that its clients and servers share."""

from __future__ import annotations

__all__ = [
    "MACHINE_SOCKET",
    "MACHINE_SOCKET_VARIABLE",
    "MAX_SUSPENDED_MB",
    "MAX_WAIT",
    "PARKING_VARIABLE",
    "WORKER_COMMAND",
]

MAX_WAIT = 60
"""Seconds that `GET /wait` blocks, by default and at most.

Source: the OpenAPI file, `Machines_wait`; fly-go, flaps/flaps_machines_wait.go.
"""

MACHINE_SOCKET = "/.fly/api"
"""The unix socket in a machine that leads to the API, without a token.

Source: "Suspend and resume a Machine".
"""

MACHINE_SOCKET_VARIABLE = "WORKER_LIB_MACHINE_API"
"""Where a machine finds that socket if it is elsewhere: set by the emulator."""

MAX_SUSPENDED_MB = 2048
"""The largest memory of a machine that is suspended. Another page of Fly's says 4 GB.

Source: "Machine Suspend and Resume", "Requirements".
"""

PARKING_VARIABLE = "WORKER_LIB_PARKING"
"""How a machine of ours may park: `suspend` or `stop`, how many of a pool, seconds."""

WORKER_COMMAND = (
    *("python", "-c"),
    "from worker_lib.runtime.__main__ import start; start()",
)
"""What a machine of ours runs: `python -m worker_lib.runtime`, 3 ms sooner.

What `-m` imports to find a module is needed by nothing else here.
"""
