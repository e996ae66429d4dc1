"""What a fault can match and do; a new effect is added here first."""

from __future__ import annotations

from typing import NamedTuple


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ACTIONS = _words(
    "create list get update destroy wait events versions ps start stop suspend restart "
    "signal cordon uncordon exec lease_acquire lease_get lease_release metadata_list "
    "metadata_update metadata_get metadata_set metadata_delete app_list app_create "
    "app_get app_delete secret_list secret_update secret_get secret_set secret_delete "
    "org_list regions token"
)
"""The actions of `routes`, without the emulator's own endpoints."""
READ_ACTIONS = _words(
    "get list org_list wait events versions ps lease_get metadata_get metadata_list"
)
STATUSES = frozenset({*range(400, 405), 408, 409, 410, 412, 422, 429, *range(500, 505)})
"""What the Machines API and the proxies in front of it answer with."""

CONNECTION_EFFECTS = _words("drop reset truncate html")
VISIBILITY_EFFECTS = _words("stale omit partial")
TRANSIENT_STATES = _words("created starting stopping suspending destroying destroyed")
"""States that a machine leaves by itself, so that a delay alone makes sense."""
MACHINE_EFFECTS = {
    "hang": TRANSIENT_STATES - {"destroyed"},
    "launch_failed": _words("created starting"),
    "kill": _words("started stopping suspended"),
    "lose_host": _words("started"),
    "migrate": _words("started"),
    "lose_snapshot": _words("suspended"),
}
"""By effect, the states in which a machine can have it."""
DISRUPTIONS = _words("kill lose_host migrate lose_snapshot")
"""Effects on a run of a machine, after a delay."""
STATES = TRANSIENT_STATES.union(*MACHINE_EFFECTS.values())


class ErrorReply(NamedTuple):
    """An error of the API; `code` is the `status` field of its body, "" for none."""

    status: int
    error: str
    code: str = ""


ERROR_REPLIES = {
    "rate_limited": ErrorReply(429, "rate limit exceeded"),
    "unauthorized": ErrorReply(401, "unauthenticated: invalid or missing token"),
    "forbidden": ErrorReply(403, "unauthorized: this token may not do that"),
    "app_not_found": ErrorReply(404, "not_found: app not found"),
    "timed_out": ErrorReply(408, "deadline_exceeded: request timed out"),
    "unavailable": ErrorReply(503, "unavailable: try again later"),
    "lease_held": ErrorReply(
        409,
        "failed_precondition: machine ID 00000000000000 lease currently held by "
        "someone@example.com, expires at 4102444800",
    ),
    "name_taken": ErrorReply(
        422, "already_exists: unique machine name violation", "name_taken"
    ),
    "no_capacity": ErrorReply(
        422, "could not find a candidate host", "insufficient_capacity"
    ),
    "host_full": ErrorReply(
        409,
        "aborted: could not reserve resource for machine: insufficient CPUs available "
        "to fulfill request on the current host",
    ),
    "start_refused": ErrorReply(
        412,
        "failed_precondition: insufficient memory available to fulfill request",
        "insufficient_capacity",
    ),
    "quota": ErrorReply(
        403,
        "permission_denied: this would exceed your organization's machines, which is "
        "over the allowed quota. please consider other regions",
    ),
    "payment": ErrorReply(
        403, "To create more than 1 machine per app please add a payment method"
    ),
}
"""Sources: fly-go, flaps/flaps_error.go; flyctl pull request 2060 (payment). The texts
of quota, lease, host and candidate were seen live by third parties: unofficial."""

EFFECTS = CONNECTION_EFFECTS.union(VISIBILITY_EFFECTS, MACHINE_EFFECTS, ERROR_REPLIES)
