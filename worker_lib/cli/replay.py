"""`worker-lib replay`: runs the call of a job that failed here, to see why."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from worker_lib.cli import exits
from worker_lib.cli.output import complain, print_json, say, tell
from worker_lib.cli.parsers import verb

if TYPE_CHECKING:
    import argparse
    from types import TracebackType

    from worker_lib.cli.parsers import Subparsers
    from worker_lib.client.replay import Replay
    from worker_lib.doctor.findings import Finding

__all__ = ["add_parser"]

_PROBE_WITHIN = 180.0


def add_parser(subparsers: Subparsers) -> None:
    """Add the command with its options."""
    parser = verb(
        subparsers,
        "replay",
        "run the call of a job that failed here, in this process",
        _run,
        description="Run the very call of a job that failed in this process, with its "
        "arguments: verified first, and if the versions of its image are those here. "
        "What the task does it does once more; Redis is told nothing, hooks are not "
        "called, and no time-out ends it. Exit code: 0 it returned, 1 it raised or is "
        "refused, 2 wrong call or setting, 3 no such job, 5 Redis cannot be reached.",
    )
    add = parser.add_argument
    add("job_id", metavar="ID", help="of a job that failed, was cancelled or expired")
    add("--pdb", action="store_true", help="debug what it raises")
    add("--probe", action="store_true", help="ask a machine of its image for versions")
    add("--force", action="store_true", help="also with other versions here")


def _run(args: argparse.Namespace) -> int:
    from worker_lib.client.replay import recorded  # noqa: PLC0415 - not for --help

    # As `python -m` does: a task is found in the folder one stands in.
    sys.path.insert(0, os.getcwd())
    job = recorded(args.job_id, any_python=True)
    found = _compared(job, probing=args.probe)
    if not _may_run(found, force=args.force):
        return exits.FAILED
    env = f" with {', '.join(job.env)} of its env=" if job.env else ""
    tell(f"replaying {job.info.task} of job {job.info.id}{env}")
    run = job.load()
    try:
        value = run(lambda text: tell(f"progress: {text}"))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever the task raises
        return _raised(args, error)
    if args.json:
        print_json({"job_id": job.info.id, "outcome": "succeeded", "result": value})
    else:
        say(repr(value))
    return exits.OK


def _compared(job: Replay, *, probing: bool) -> Finding:
    """Compare the versions here with what is known of the job's image."""
    from worker_lib.doctor.findings import failed, ok, unknown  # noqa: PLC0415 - as above
    from worker_lib.doctor.probe import check_versions  # noqa: PLC0415 - as above
    from worker_lib.ping import versions  # noqa: PLC0415 - as above

    ours = versions()
    minor = ".".join(ours["python"].split(".")[:2])
    name = "versions"
    if job.python != minor:
        text = f"Python {job.python} made and ran the call, and this is {minor}"
        return failed(name, text, "use one minor version here and in the image")
    image = job.image or "an image that Redis no longer knows"
    if probing:
        return check_versions(_probed(job), ours)
    if job.image and job.image == os.environ.get("FLY_IMAGE_REF"):
        return ok(name, f"this is its image, {image}")
    text = f"Python {minor} here and in {image}; of its libraries nothing is known"
    return unknown(name, text, "--probe asks a machine of that image")


def _probed(job: Replay) -> dict[str, str]:
    """Return the versions that a machine of the job's image reports.

    Raises:
        WorkerLibError: none could be asked.
    """
    import dataclasses  # noqa: PLC0415 - not for --help

    from worker_lib.client.client import default_client  # noqa: PLC0415 - as above
    from worker_lib.doctor.probe import run_probe  # noqa: PLC0415 - as above
    from worker_lib.errors import ConfigError  # noqa: PLC0415 - as above

    settings = default_client().settings
    if job.image:
        settings = dataclasses.replace(settings, image=job.image)
    probe = run_probe(settings, _PROBE_WITHIN)
    if probe.error is not None or not probe.reported:
        raise ConfigError(
            f"no machine of {settings.image} tells its versions ({probe.error}): see "
            "worker-lib doctor --probe, or leave --probe out"
        )
    return dict(probe.reported)


def _may_run(found: Finding, *, force: bool) -> bool:
    """Tell what was found; only other versions are a reason to refuse."""
    remedy = f": {found.remedy}" if found.remedy else ""
    if found.verdict in {"ok", "unknown"}:
        tell(f"{found.text}{remedy}")
        return True
    if force:
        complain(f"worker-lib replay: {found.text}; it may behave otherwise here")
        return True
    complain(f"worker-lib: {found.text}{remedy}; --force replays it all the same")
    return False


def _raised(args: argparse.Namespace, error: BaseException) -> int:
    import traceback  # noqa: PLC0415 - not for --help

    frames = _users_part(error.__traceback__)
    text = "".join(traceback.format_exception(type(error), error, frames))
    complain(text.rstrip())
    if args.json:
        line = traceback.format_exception_only(error)[-1].strip()
        told = {"job_id": args.job_id, "outcome": "failed", "result": None}
        print_json({**told, "error": line})
    if args.pdb:
        import pdb  # noqa: PLC0415, T100 - the person asked for it

        pdb.post_mortem(frames or error.__traceback__)
    return exits.FAILED


def _users_part(frames: TracebackType | None) -> Any:
    """Return a traceback without the frames of this library in front."""
    ours = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(ours):
        if frames.tb_next is None:
            break
        frames = frames.tb_next
    return frames
