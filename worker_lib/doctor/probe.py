"""Boots a machine and runs one tiny task on it."""

from __future__ import annotations

import dataclasses
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from worker_lib.causes import failed_boot
from worker_lib.client.client import Client
from worker_lib.doctor.findings import Finding, failed, ok, unknown, warning
from worker_lib.doctor.signing import MISMATCH_REMEDY
from worker_lib.errors import (
    InvalidRequest,
    JobError,
    MachinesApiError,
    PayloadError,
    SignatureMismatch,
    StoreError,
    UnknownVersion,
    WaitTimeout,
    WorkerLibError,
)
from worker_lib.fly.naming import METADATA_OWNER, owner
from worker_lib.ping import ping

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker_lib.machines.types import Machine
    from worker_lib.settings import Settings

__all__ = ["Probe", "check_probe", "check_versions", "run_probe"]

_CANCEL_WITHIN = 5.0
_SILENT = (
    "read the logs of its machines: fly logs -a {app}; most often REDIS_URL or "
    "WORKER_LIB_SECRET is not set for that app, or names another Redis"
)
# Source: Fly's guide "Managing Docker images with Fly.io's private registry",
# "Verifying image existence".
_NO_IMAGE = (
    "check that the image exists and this organization may use it: fly auth docker "
    "&& docker manifest inspect {image}; then: fly logs -a {app}"
)
_ABOUT_IMAGE = re.compile(r"\b(image|manifest|registry)\b", re.IGNORECASE)
# The first that fits the error.
_REMEDIES: tuple[tuple[type[BaseException], str], ...] = (
    (SignatureMismatch, MISMATCH_REMEDY),
    (UnknownVersion, "build the image with the Python that runs here"),
    (WaitTimeout, _SILENT),
    (StoreError, "see the lines about Redis"),
    (JobError, "use an image that has this app and this version of worker_lib"),
    (BaseException, "see the lines about the token, the app and the image"),
)
# Seconds between two checks whether the machine has failed.
_CHECK_EVERY = 1.0
_UNSTARTED = frozenset({"failed", "launch_failed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """How the tiny task ended.

    Attributes:
        reported: The versions it returned; empty if it failed.
        error: Why it failed.
        ended: The machine that ended before it took the task.
        took: Seconds from the call to the result.
    """

    reported: Mapping[str, str] = field(default_factory=dict)
    error: BaseException | None = None
    ended: Machine | None = None
    took: float = 0.0


def run_probe(settings: Settings, timeout: float) -> Probe:
    """Run `ping` on a machine; cancel it if there is no result in time."""
    client = Client(settings)
    began = time.monotonic()
    try:
        boots = _Boots(client)
        job = client.submit(ping, (), {})
        probe = _outcome(client, job.id, boots, timeout)
    except WorkerLibError as error:
        probe = Probe(error=error)
    finally:
        client.close(_CANCEL_WITHIN)
    return dataclasses.replace(probe, took=time.monotonic() - began)


def _outcome(client: Client, job_id: str, boots: _Boots, timeout: float) -> Probe:
    deadline = time.monotonic() + timeout
    while True:
        left = deadline - time.monotonic()
        try:
            good_end, value = client.outcome(
                job_id, max(0.0, min(left, _CHECK_EVERY)), fresh=True
            )
        except WaitTimeout as error:
            ended = boots.failed_machine() if _is_queued(client, job_id) else None
            if ended is None and left > _CHECK_EVERY:
                continue
            client.cancel(job_id)
            return Probe(ended=ended, error=error)
        return Probe(reported=dict(value)) if good_end else Probe(error=value)


def _is_queued(client: Client, job_id: str) -> bool:
    return client.look(job_id).info.status == "queued"


class _Boots:
    """Watches the machines that are created from now on."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._owner = owner(client.settings.namespace, client.settings.secret)
        self._before = self._known()
        self._seen_ended: set[str] = set()

    def failed_machine(self) -> Machine | None:
        """Return a new machine if all new ones have ended, in this call and the last.

        One call is not enough: a machine may just have taken the job and finished it.
        """
        if self._before is None:
            return None
        try:
            new = [one for one in self._listed() if one.id not in self._before]
        except MachinesApiError:
            return None  # without it a failure is only noticed later
        ended = [one for one in new if one.has_ended]
        sure = [one for one in ended if one.id in self._seen_ended]
        self._seen_ended = {one.id for one in ended}
        return self._with_events(sure[0]) if sure and ended == new else None

    def _known(self) -> set[str] | None:
        try:
            return {machine.id for machine in self._listed()}
        except MachinesApiError:
            return None

    def _listed(self) -> list[Machine]:
        wanted = {METADATA_OWNER: self._owner}
        api = self._client.launcher.api
        return api.list_machines(metadata=wanted, include_deleted=True)

    def _with_events(self, machine: Machine) -> Machine:
        """Return the machine with its events, if Fly still has them."""
        try:
            return self._client.launcher.api.get_machine(machine.id)
        except MachinesApiError:
            return machine


def check_probe(probe: Probe, settings: Settings) -> Finding:
    """Check that a machine can boot, take a call and return its result."""
    name, error = "probe", probe.error
    if probe.ended is not None:
        return _check_ended(name, probe.ended, settings)
    if error is None:
        machine = f"machine {probe.reported['machine_id']}"
        where = f"{machine} ({probe.reported['region']})"
        return ok(name, f"{where} answered after {probe.took:.1f} s")
    text = str(error).partition("\n")[0]
    if isinstance(error, WaitTimeout):
        text = f"no answer after {probe.took:.0f} s"
    # What the machine found wrong with a call comes as the cause of a NotLoadable.
    cause = error.__cause__
    told = cause if isinstance(cause, PayloadError) else error
    remedies = (remedy for kind, remedy in _REMEDIES if isinstance(told, kind))
    remedy = next(remedies)
    if isinstance(error, InvalidRequest) and _ABOUT_IMAGE.search(text):
        remedy = _NO_IMAGE
    return failed(name, text, remedy.format(app=settings.fly_app, image=settings.image))


def _check_ended(name: str, machine: Machine, settings: Settings) -> Finding:
    """Explain why a machine ended before it took the call."""
    words = {"app": settings.fly_app, "image": settings.image}
    states = {machine.state, *(one.status for one in machine.events)}
    if machine.exit_event is not None:
        text = failed_boot(machine, machine.exit_event)
        return failed(name, text, _SILENT.format(**words))
    if states & _UNSTARTED or not machine.events:
        text = f"Fly could not start machine {machine.id} of {settings.image}"
        return failed(name, text, _NO_IMAGE.format(**words))
    text = f"machine {machine.id} was stopped before it took the call"
    return failed(name, text, _SILENT.format(**words))


def check_versions(theirs: Mapping[str, str], ours: Mapping[str, str]) -> Finding:
    """Compare the versions that pickles depend on.

    Args:
        theirs: Those of a machine; empty if none was asked.
        ours: Those of this process.
    """
    name = "versions"
    if not theirs:
        here = ", ".join(f"{what} {version}" for what, version in ours.items())
        text = f"here: {here}; no machine was asked"
        return unknown(name, text, "worker-lib doctor --probe asks one")
    text = _compared(theirs, ours)
    if _minor(theirs["python"]) != _minor(ours["python"]):
        return failed(name, text, "use one minor version in the app and its image")
    if any(theirs.get(what) != ours[what] for what in ours if what != "python"):
        return warning(name, text, "install the same versions on both sides")
    return ok(name, text)


def _compared(theirs: Mapping[str, str], ours: Mapping[str, str]) -> str:
    equal = [what for what in ours if theirs.get(what) == ours[what]]
    parts = [
        f"{what} {ours[what]} here and {theirs.get(what, 'none')} in the image"
        for what in ours
        if what not in equal
    ]
    if equal:
        parts.append(
            ", ".join(f"{what} {ours[what]}" for what in equal) + " on both sides"
        )
    return "; ".join(parts)


def _minor(version: str) -> list[str]:
    return version.split(".")[:2]
