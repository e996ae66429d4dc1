"""Boots a machine and runs one tiny task on it: the whole way, for real."""

from __future__ import annotations

import dataclasses
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from worker_lib.causes import failed_boot
from worker_lib.client.client import Client
from worker_lib.doctor.findings import Finding, bad, good, poor, unknown
from worker_lib.doctor.signing import MISMATCH_REMEDY
from worker_lib.errors import (
    InvalidRequest,
    JobError,
    MachinesApiError,
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
    "see what its machines say: fly logs -a {app}; most often REDIS_URL or "
    "WORKER_LIB_SECRET is no secret of that app, or its Redis is another"
)
# Source: Fly's guide "Managing Docker images with Fly.io's private registry",
# "Verifying image existence".
_NO_IMAGE = (
    "see whether the image exists and this organization may use it: fly auth docker "
    "&& docker manifest inspect {image}; then: fly logs -a {app}"
)
_ABOUT_IMAGE = re.compile(r"\b(image|manifest|registry)\b", re.IGNORECASE)
# The first that fits what went wrong.
_REMEDIES: tuple[tuple[type[BaseException], str], ...] = (
    (SignatureMismatch, MISMATCH_REMEDY),
    (UnknownVersion, "build the image with the Python that runs here"),
    (WaitTimeout, _SILENT),
    (StoreError, "see the lines on Redis"),
    (JobError, "use an image that has this app and this version of worker_lib"),
    (BaseException, "see the lines on the token, the app and the image"),
)
# How often it is looked whether the machine has failed meanwhile, in seconds.
_LOOK_EVERY = 1.0
_UNSTARTED = frozenset({"failed", "launch_failed"})
_ENDED = _UNSTARTED | {"stopped", "destroying", "destroyed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """How the tiny task ended.

    Attributes:
        told: What it returned; empty if it did not.
        error: Why it did not.
        ended: The machine that ended before it took the task.
        took: Seconds from the call to the answer.
    """

    told: Mapping[str, str] = field(default_factory=dict)
    error: BaseException | None = None
    ended: Machine | None = None
    took: float = 0.0


def run_probe(settings: Settings, timeout: float) -> Probe:
    """Run `ping` on a machine; cancel it if there is no answer in time."""
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
                job_id, max(0.0, min(left, _LOOK_EVERY)), fresh=True
            )
        except WaitTimeout as error:
            ended = boots.failed() if _waits(client, job_id) else None
            if ended is None and left > _LOOK_EVERY:
                continue
            client.cancel(job_id)
            return Probe(ended=ended, error=error)
        return Probe(told=dict(value)) if good_end else Probe(error=value)


def _waits(client: Client, job_id: str) -> bool:
    """Whether no machine has taken the job yet."""
    return client.look(job_id).info.status == "queued"


class _Boots:
    """Watches the machines that are made from now on."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._owner = owner(client.settings.namespace, client.settings.secret)
        self._before = self._known()
        self._suspects: set[str] = set()

    def failed(self) -> Machine | None:
        """Return a new machine that has ended, if all have; seen so twice.

        Between two looks a machine may have taken the job and finished it.
        """
        if self._before is None:
            return None
        try:
            new = [one for one in self._listed() if one.id not in self._before]
        except MachinesApiError:
            return None  # it is only asked so as to tell sooner
        ended = [one for one in new if one.state in _ENDED]
        sure = [one for one in ended if one.id in self._suspects]
        self._suspects = {one.id for one in ended}
        return self._whole(sure[0]) if sure and ended == new else None

    def _known(self) -> set[str] | None:
        try:
            return {machine.id for machine in self._listed()}
        except MachinesApiError:
            return None

    def _listed(self) -> list[Machine]:
        wanted = {METADATA_OWNER: self._owner}
        api = self._client.launcher.api
        return api.list_machines(metadata=wanted, include_deleted=True)

    def _whole(self, machine: Machine) -> Machine:
        """Return it with its events, if Fly still tells them."""
        try:
            return self._client.launcher.api.get_machine(machine.id)
        except MachinesApiError:
            return machine


def check_probe(probe: Probe, settings: Settings) -> Finding:
    """Judge whether a machine can boot, take a call and answer."""
    name, error = "probe", probe.error
    if probe.ended is not None:
        return _check_ended(name, probe.ended, settings)
    if error is None:
        where = f"machine {probe.told['machine_id']} ({probe.told['region']})"
        return good(name, f"{where} answered after {probe.took:.1f} s")
    text = str(error).partition("\n")[0]
    if isinstance(error, WaitTimeout):
        text = f"no answer after {probe.took:.0f} s"
    remedies = (remedy for kind, remedy in _REMEDIES if isinstance(error, kind))
    remedy = next(remedies)
    if isinstance(error, InvalidRequest) and _ABOUT_IMAGE.search(text):
        remedy = _NO_IMAGE
    return bad(name, text, remedy.format(app=settings.fly_app, image=settings.image))


def _check_ended(name: str, machine: Machine, settings: Settings) -> Finding:
    """Tell of a machine that ended before it took the call."""
    words = {"app": settings.fly_app, "image": settings.image}
    states = {machine.state, *(one.status for one in machine.events)}
    if machine.exit_event is not None:
        text = failed_boot(machine, machine.exit_event)
        return bad(name, text, _SILENT.format(**words))
    if states & _UNSTARTED or not machine.events:
        text = f"Fly could not start machine {machine.id} of {settings.image}"
        return bad(name, text, _NO_IMAGE.format(**words))
    text = f"machine {machine.id} was stopped before it took the call"
    return bad(name, text, _SILENT.format(**words))


def check_versions(theirs: Mapping[str, str], ours: Mapping[str, str]) -> Finding:
    """Compare what pickles depend on.

    Args:
        theirs: The machine's; empty if no machine was asked.
        ours: This process's.
    """
    name = "versions"
    if not theirs:
        here = ", ".join(f"{what} {version}" for what, version in ours.items())
        text = f"here: {here}; no machine was asked for its own"
        return unknown(name, text, "worker-lib doctor --probe asks one")
    text = _compared(theirs, ours)
    if _minor(theirs["python"]) != _minor(ours["python"]):
        return bad(name, text, "use one minor version in the app and its image")
    if any(theirs.get(what) != ours[what] for what in ours if what != "python"):
        return poor(name, text, "install the same versions on both sides")
    return good(name, text)


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
