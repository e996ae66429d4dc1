"""`python -m worker_lib.runtime`: what a machine runs."""

from __future__ import annotations

import os
import sys

from worker_lib.errors import StoreError
from worker_lib.runtime.process import ChildProcess

TYPE_CHECKING = False
if TYPE_CHECKING:
    from worker_lib.codec import Codec
    from worker_lib.runtime.frames import Frames
    from worker_lib.runtime.supervisor import Supervisor
    from worker_lib.runtime.watch import Ended
    from worker_lib.store.worker import ClaimedJob

_NEEDED = {
    "REDIS_URL": "make it a secret of the tasks app: fly secrets set REDIS_URL=...",
    "WORKER_LIB_SECRET": "make it a secret of the tasks app, the same as in the web "
    "app: fly secrets set WORKER_LIB_SECRET=...",
    "WORKER_LIB_SLOT": "the launcher sets it; this program is not started by hand",
}


def main() -> int:
    """Run jobs until there is none; return the exit code.

    0 when all is done, 1 if Redis could not be reached, 2 if a setting is missing.
    """
    missing = [name for name in _NEEDED if not os.environ.get(name)]
    for name in missing:
        print(f"worker_lib: {name} is not set: {_NEEDED[name]}", file=sys.stderr)
    if missing:
        return 2
    # Forked before the rest is imported: supervisor and child then load what each of
    # them needs side by side.
    child = ChildProcess(_serve)
    try:
        return _supervisor(child).run()
    except StoreError as error:
        print(f"worker_lib: {error}", file=sys.stderr)
        return 1


def _supervisor(child: ChildProcess) -> Supervisor:
    from worker_lib.runtime.supervisor import Supervisor  # noqa: PLC0415 - see main
    from worker_lib.store.worker import MachineStore  # noqa: PLC0415

    lease_ttl = float(os.environ.get("WORKER_LIB_LEASE_TTL") or 30)
    store = MachineStore(
        os.environ["REDIS_URL"],
        os.environ.get("WORKER_LIB_NAMESPACE") or "worker_lib",
        slot=os.environ["WORKER_LIB_SLOT"],
        machine_id=os.environ.get("FLY_MACHINE_ID", ""),
        region=os.environ.get("FLY_REGION", ""),
        lease_ttl=lease_ttl,
    )
    return Supervisor(
        store,
        child,
        _serve,
        _seal,
        lease_ttl=lease_ttl,
        max_lifetime=float(os.environ.get("WORKER_LIB_MAX_LIFETIME") or 6 * 3600),
    )


def _serve(frames: Frames) -> None:
    from worker_lib.runtime.child import Child  # noqa: PLC0415 - in the child only

    Child(frames, _codec(), os.environ.get("WORKER_LIB_POOL", "")).serve()


def _seal(job: ClaimedJob, ended: Ended, output: str) -> bytes:
    from worker_lib import codec, pickling  # noqa: PLC0415 - only after a crash

    failure = pickling.Failure(
        kind=ended.kind, message=ended.error, remote_traceback=output
    )
    return _codec().seal(
        pickling.dump_failure(failure),
        kind=codec.OUTCOME,
        job_id=job.id,
        fence=job.fence,
    )


def _codec() -> Codec:
    from worker_lib.codec import Codec  # noqa: PLC0415 - the supervisor needs none

    return Codec(
        os.environ["WORKER_LIB_SECRET"],
        os.environ.get("WORKER_LIB_NAMESPACE") or "worker_lib",
        max_bytes=int(os.environ.get("WORKER_LIB_MAX_PAYLOAD") or 8 * 1024 * 1024),
        old_secret=os.environ.get("WORKER_LIB_SECRET_OLD", ""),
    )


if __name__ == "__main__":
    # A normal exit would only tidy up what the machine's end does away with.
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
