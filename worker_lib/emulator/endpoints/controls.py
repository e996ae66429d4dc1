"""Start, stop, suspend, restart, signal, cordon and exec.

Source: the OpenAPI file, tag Machines; fly-go, flaps/flaps_machines.go.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from worker_lib.emulator.messages import Reply, invalid_argument
from worker_lib.emulator.validation import checked_exec, checked_stop, query_grace
from worker_lib.emulator.values import signal_number

if TYPE_CHECKING:
    from worker_lib.emulator.backend import Backend
    from worker_lib.emulator.messages import Request

_OK = Reply(body={"ok": True})


def start(backend: Backend, request: Request) -> Reply:
    """Boot a stopped machine or resume a suspended one."""
    with backend.fleet.lock:
        previous = backend.lifecycle.start(backend.changeable(request))
    return Reply(body={"previous_state": previous, "migrated": False, "new_host": ""})


def stop(backend: Backend, request: Request) -> Reply:
    """Signal a machine, and kill it after its grace period."""
    number, grace = checked_stop(request.json())
    with backend.fleet.lock:
        backend.lifecycle.stop(backend.changeable(request), number=number, grace=grace)
    return _OK


def suspend(backend: Backend, request: Request) -> Reply:
    """Freeze a machine."""
    with backend.fleet.lock:
        backend.lifecycle.suspend(backend.changeable(request))
    return _OK


def restart(backend: Backend, request: Request) -> Reply:
    """Stop a machine and boot it again; `force_stop` kills it at once."""
    signal_text = request.value("signal")
    number = signal_number(signal_text) if signal_text else None
    grace = query_grace(request.value("timeout"))
    if request.flag("force_stop"):
        grace = 0.0
    with backend.fleet.lock:
        machine = backend.changeable(request)
        backend.lifecycle.restart(machine, number=number, grace=grace)
    return _OK


def send_signal(backend: Backend, request: Request) -> Reply:
    """Send a signal to the main process, whoever holds the lease.

    Source: fly-go, flaps/flaps_machines.go: `Kill` and `Exec` send no nonce.
    """
    number = signal_number(request.json().get("signal"))
    with backend.fleet.lock:
        backend.lifecycle.instance(backend.reachable(request)).signal(number)
    return _OK


def cordon(backend: Backend, request: Request) -> Reply:
    """Take a machine out of the proxy's rotation; without a proxy only shown."""
    with backend.fleet.lock:
        backend.changeable(request).cordoned = True
    return _OK


def uncordon(backend: Backend, request: Request) -> Reply:
    """Undo `cordon`."""
    with backend.fleet.lock:
        backend.changeable(request).cordoned = False
    return _OK


def execute(backend: Backend, request: Request) -> Reply:
    """Run a command in a machine, whoever holds the lease; 200 even if it fails."""
    command = checked_exec(request.json())
    with backend.fleet.lock:
        instance = backend.lifecycle.instance(backend.reachable(request))
    try:
        result = instance.execute(
            command.words, stdin=command.stdin, timeout=command.timeout
        )
    except OSError as exc:
        program = command.words[0][:80]
        raise invalid_argument(
            f"unable to execute {program!r}: {exc.strerror}"
        ) from exc
    return Reply(body=asdict(result))
