"""Endpoints that Fly does not have: faults, counts, costs and logs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from worker_lib.emulator.faults import FaultPlan
from worker_lib.emulator.messages import Reply, invalid_argument, not_found
from worker_lib.errors import ConfigError

if TYPE_CHECKING:
    from worker_lib.emulator.backend import Backend
    from worker_lib.emulator.messages import Request

_MACHINE_ID = re.compile(r"[0-9a-f]{14}")


def set_faults(backend: Backend, request: Request) -> Reply:
    """Replace all fault rules in force; `[]` removes them."""
    try:
        plan = FaultPlan.of(request.json_value())
    except ConfigError as exc:
        raise invalid_argument(f"{exc}") from exc
    backend.injector.set_rules(plan.rules, seed=plan.seed)
    return Reply(body={"ok": True})


def get_faults(backend: Backend, request: Request) -> Reply:  # noqa: ARG001 - a handler
    """The fault rules in force, each with how often it was applied."""
    return Reply(body=backend.injector.rules())


def get_requests(backend: Backend, request: Request) -> Reply:  # noqa: ARG001 - a handler
    """How many API calls there were, by action."""
    return Reply(body=request_counts(backend))


def get_billing(backend: Backend, request: Request) -> Reply:  # noqa: ARG001 - a handler
    """What the machines would have cost."""
    return Reply(body=backend.meter.report())


def get_log(backend: Backend, request: Request) -> Reply:
    """The output of all runs of a machine, as plain text."""
    machine_id = request.params["machine"]
    path = backend.runtime.log_path(machine_id)
    if not _MACHINE_ID.fullmatch(machine_id) or not path.is_file():
        raise not_found(f"no log of machine {machine_id}")
    return Reply(body=path.read_bytes())


def request_counts(backend: Backend) -> dict[str, Any]:
    """API calls since the start: in all, and by action."""
    actions = dict(backend.calls)
    return {"total": sum(actions.values()), "actions": actions}
