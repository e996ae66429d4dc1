"""Names and limits of the Machines API that its clients and servers share."""

from __future__ import annotations

__all__ = [
    "MACHINE_SOCKET",
    "MACHINE_SOCKET_VARIABLE",
    "MAX_SUSPENDED_MB",
    "MAX_WAIT",
    "PARKING_VARIABLE",
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
