"""The parts that every endpoint works with, and how it finds its machine."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from worker_lib.emulator.messages import ApiError, not_found

if TYPE_CHECKING:
    from worker_lib.emulator.billing import BillingMeter
    from worker_lib.emulator.faults import FaultInjector
    from worker_lib.emulator.fleet import Fleet
    from worker_lib.emulator.lifecycle import Lifecycle
    from worker_lib.emulator.messages import Request
    from worker_lib.emulator.options import EmulatorOptions
    from worker_lib.emulator.runtimes import Runtime
    from worker_lib.emulator.state import Machine


LEASE_NONCE_HEADER = "fly-machine-lease-nonce"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """One emulator's parts, and its count of API calls by action.

    The methods need the fleet's lock held.
    """

    options: EmulatorOptions
    fleet: Fleet
    lifecycle: Lifecycle
    runtime: Runtime
    meter: BillingMeter
    injector: FaultInjector
    calls: Counter[str] = field(default_factory=Counter)

    def shown(self, request: Request) -> Machine:
        """The machine that a request reads.

        Raises:
            ApiError: 404, there is none, or the request does not see it.
        """
        machine = self.fleet.machine(request.params["app"], request.params["machine"])
        seen = request.visibility.of(machine)
        if seen.omitted or not machine.state_before(seen.lag):
            raise not_found(f"machine not found: {machine.id}")
        return machine

    def reachable(self, request: Request) -> Machine:
        """The machine that a request acts on, whoever holds its lease.

        Raises:
            ApiError: 404, there is none; 503, its host is unreachable, and the
                request is not DELETE.
        """
        app, machine_id = request.params["app"], request.params["machine"]
        machine = self.fleet.machine(app, machine_id, destroyed=False)
        if machine.host_status != "ok" and request.method != "DELETE":
            raise ApiError(503, f"unavailable: host of {machine.id} is unreachable")
        return machine

    def changeable(self, request: Request) -> Machine:
        """The machine that a request changes.

        Raises:
            ApiError: As `reachable`; 409, another client holds its lease.

        Source: "Machines API", Leases; the text is fly-go's and third parties'.
        """
        machine = self.reachable(request)
        lease = machine.lease
        if lease is None or lease.expires_at <= time.time():
            return machine
        if request.headers.get(LEASE_NONCE_HEADER) != lease.nonce:
            raise ApiError(
                409,
                f"failed_precondition: machine ID {machine.id} lease currently held by "
                f"{lease.owner}, expires at {int(lease.expires_at)}",
            )
        return machine
