"""Boots a machine and runs one tiny task on it: the whole way, for real."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from worker_lib.client import Client
from worker_lib.doctor.findings import Finding, bad, good, poor, unknown
from worker_lib.doctor.sides import MISMATCH_REMEDY
from worker_lib.errors import (
    JobError,
    SignatureMismatch,
    StoreError,
    UnknownVersion,
    WaitTimeout,
    WorkerLibError,
)
from worker_lib.ping import ping

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker_lib.settings import Settings

__all__ = ["Probe", "check_probe", "check_versions", "run_probe"]

_CANCEL_WITHIN = 5.0
_SILENT = (
    "see what its machines say: fly logs -a {app}; most often REDIS_URL or "
    "WORKER_LIB_SECRET is no secret of that app, or its Redis is another"
)
# The first that fits what went wrong.
_REMEDIES: tuple[tuple[type[BaseException], str], ...] = (
    (SignatureMismatch, MISMATCH_REMEDY),
    (UnknownVersion, "build the image with the Python that runs here"),
    (WaitTimeout, _SILENT),
    (StoreError, "see the lines on Redis"),
    (JobError, "use an image that has this app and this version of worker_lib"),
    (BaseException, "see the lines on the token, the app and the image"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """How the tiny task ended.

    Attributes:
        told: What it returned; empty if it did not.
        error: Why it did not.
        took: Seconds from the call to the answer.
    """

    told: Mapping[str, str] = field(default_factory=dict)
    error: BaseException | None = None
    took: float = 0.0


def run_probe(settings: Settings, timeout: float) -> Probe:
    """Run `ping` on a machine; cancel it if there is no answer in time."""
    client = Client(settings)
    began = time.monotonic()
    try:
        job = client.submit(ping, (), {})
        good_end, value = _outcome(client, job.id, timeout)
    except WorkerLibError as error:
        return Probe(error=error, took=time.monotonic() - began)
    finally:
        client.close(_CANCEL_WITHIN)
    took = time.monotonic() - began
    if good_end:
        return Probe(told=dict(value), took=took)
    return Probe(error=value, took=took)


def _outcome(client: Client, job_id: str, timeout: float) -> tuple[bool, Any]:
    try:
        return client.outcome(job_id, timeout, fresh=True)
    except WaitTimeout:
        client.cancel(job_id)
        raise


def check_probe(probe: Probe, app: str) -> Finding:
    """Judge whether a machine can boot, take a call and answer."""
    name, error = "probe", probe.error
    if error is None:
        where = f"machine {probe.told['machine_id']} ({probe.told['region']})"
        return good(name, f"{where} answered after {probe.took:.1f} s")
    text = str(error).partition("\n")[0]
    if isinstance(error, WaitTimeout):
        text = f"no answer after {probe.took:.0f} s"
    remedies = (remedy for kind, remedy in _REMEDIES if isinstance(error, kind))
    return bad(name, text, next(remedies).format(app=app))


def check_versions(theirs: Mapping[str, str], ours: Mapping[str, str]) -> Finding:
    """Compare what pickles depend on.

    Args:
        theirs: The machine's; empty if no machine was asked.
        ours: This process's.
    """
    name = "versions"
    here = ", ".join(f"{what} {version}" for what, version in ours.items())
    if not theirs:
        text = f"here: {here}; no machine was asked for its own"
        return unknown(name, text, "worker-lib doctor --probe asks one")
    if _minor(theirs["python"]) != _minor(ours["python"]):
        text = f"Python is {theirs['python']} in the image and {ours['python']} here"
        return bad(name, text, "use one minor version in the app and its image")
    differing = [
        what for what in ours if what != "python" and _differ(theirs, ours, what)
    ]
    if differing:
        pairs = (f"{what} is {theirs.get(what)} in the image" for what in differing)
        text = f"{', '.join(pairs)}; here: {here}"
        return poor(name, text, "install the same versions on both sides")
    return good(name, f"{here}, the same in the image")


def _differ(theirs: Mapping[str, str], ours: Mapping[str, str], what: str) -> bool:
    return theirs.get(what) != ours[what]


def _minor(version: str) -> list[str]:
    return version.split(".")[:2]
