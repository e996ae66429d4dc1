"""The words for what a fault does, and where each of them can happen."""

from __future__ import annotations

from typing import NamedTuple

ACTIONS = frozenset(
    {
        *("create", "list", "get", "update", "destroy", "wait", "events", "versions"),
        *("ps", "start", "stop", "suspend", "restart", "signal", "cordon", "uncordon"),
        *("exec", "lease_acquire", "lease_get", "lease_release", "metadata_list"),
        *("metadata_update", "metadata_get", "metadata_set", "metadata_delete"),
        *("app_list", "app_create", "app_get", "app_delete", "secret_list"),
        *("secret_update", "secret_get", "secret_set", "secret_delete"),
        *("org_list", "regions", "token"),
    }
)
STATUSES = frozenset({*range(400, 405), 408, 409, 410, 412, 422, 429, *range(500, 505)})
"""What the Machines API and the proxies in front of it answer with."""

READS = frozenset({"get", "list", "org_list"})
BREAKS = frozenset({"drop", "reset", "truncate", "garble"})
SIGHTS = frozenset({"stale", "omit", "partial"})
DWELLS = frozenset(
    {"created", "starting", "stopping", "suspending", "destroying", "destroyed"}
)
"""States in which a delay alone makes sense: a machine leaves them by itself."""

FATES = {
    "wedge": DWELLS - {"destroyed"},
    "launch_failed": frozenset({"created", "starting"}),
    "kill": frozenset({"started", "stopping", "suspended"}),
    "lose_host": frozenset({"started"}),
    "migrate": frozenset({"started"}),
}
"""By effect, the states that a machine may be struck in."""

ACCIDENTS = frozenset({"kill", "lose_host", "migrate"})
"""What befalls a run after a while, whatever its machine is about to do."""

STATES = DWELLS.union(*FATES.values())


class Refusal(NamedTuple):
    """One of Fly's own refusals, or how it is known from third parties."""

    status: int
    error: str
    code: str = ""


REFUSALS = {
    "rate_limited": Refusal(429, "rate limit exceeded"),
    "unauthorized": Refusal(401, "unauthenticated: invalid or missing token"),
    "forbidden": Refusal(403, "unauthorized: this token may not do that"),
    "app_not_found": Refusal(404, "not_found: app not found"),
    "timed_out": Refusal(408, "deadline_exceeded: request timed out"),
    "unavailable": Refusal(503, "unavailable: try again later"),
    "lease_held": Refusal(
        409,
        "failed_precondition: machine ID 00000000000000 lease currently held by "
        "someone@example.com, expires at 4102444800",
    ),
    "name_taken": Refusal(
        422, "already_exists: unique machine name violation", "name_taken"
    ),
    "no_capacity": Refusal(
        422, "could not find a candidate host", "insufficient_capacity"
    ),
    "host_full": Refusal(
        409,
        "aborted: could not reserve resource for machine: insufficient CPUs available "
        "to fulfill request on the current host",
    ),
    "start_refused": Refusal(
        412,
        "failed_precondition: insufficient memory available to fulfill request",
        "insufficient_capacity",
    ),
    "quota": Refusal(
        403,
        "permission_denied: this would exceed your organization's machines, which is "
        "over the allowed quota. please consider other regions",
    ),
    "payment": Refusal(
        403,
        "To create more than 1 machine per app please add a payment method",
    ),
}
"""Sources: fly-go, flaps/flaps_error.go; flyctl pull request 2060 (payment); quota,
lease, host and candidate texts were seen live by third parties: unofficial."""

EFFECTS = frozenset({*BREAKS, *SIGHTS, *FATES, *REFUSALS})
