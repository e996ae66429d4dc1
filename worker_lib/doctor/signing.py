"""Whether both sides sign with the same secret, told without ever showing it.

Two kinds of evidence, neither of which holds the secret or anything it could be
computed from:

- the newest outcome in Redis: the machine that ended the job has signed it, so it
  verifies under our secret, or theirs is another. It is verified, never loaded.
- the mark that each side's `worker-lib doctor` leaves in `{namespace}:doctor` for a
  week: a random number and its HMAC under a key that is derived from the secret for
  this purpose alone.

What this does not promise: without an outcome or another side's mark there is
nothing to compare with, and the finding says so; `--probe` makes an outcome.
"""

from __future__ import annotations

import hmac
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker_lib.calls import codec
from worker_lib.calls.codec import Codec
from worker_lib.doctor.findings import Finding, bad, good, unknown
from worker_lib.errors import PayloadError, SignatureMismatch
from worker_lib.store.connection import Connection
from worker_lib.store.keys import key_prefix
from worker_lib.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from worker_lib.doctor.server import RedisServer
    from worker_lib.settings import Settings
    from worker_lib.store.replies import Seen

__all__ = [
    "MISMATCH_REMEDY",
    "Evidence",
    "check_secret_shared",
    "outcome_evidence",
    "read_marks",
    "side_name",
    "write_mark",
]

MISMATCH_REMEDY = (
    "set the same WORKER_LIB_SECRET in the web app and in the tasks app "
    "(fly secrets set); to change it, keep the former as WORKER_LIB_SECRET_OLD"
)
_MARK_TTL = 7 * 86400
_NONCE_BYTES = 16
_RECENT = 20
_LONGEST_SIDE = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One thing that was signed.

    Attributes:
        what: Named for people, as in "machine 148e…".
        same: Whether it was signed with our secret, or with the old one.
    """

    what: str
    same: bool


def check_secret_shared(found: Sequence[Evidence]) -> Finding:
    """Judge all that was found signed; one foreign signature is enough to fail."""
    name = "secret shared"
    others = [one.what for one in found if not one.same]
    if others:
        text = f"another secret was used by {', '.join(others)}"
        return bad(name, text, MISMATCH_REMEDY)
    if not found:
        text = "nothing in Redis was signed by another side yet"
        return unknown(name, text, "worker-lib doctor --probe has a machine sign")
    return good(name, f"the same as of {', '.join(one.what for one in found)}")


def side_name(environ: Mapping[str, str]) -> str:
    """Return who we are: the app on Fly, else the computer."""
    app, host = environ.get("FLY_APP_NAME", ""), os.uname().nodename
    return (f"app {app}" if app else f"computer {host}")[:_LONGEST_SIDE]


def write_mark(server: RedisServer, settings: Settings, side: str) -> None:
    """Leave our mark for the other sides; it replaces our former one.

    Raises:
        StoreError: it was not written.
    """
    nonce = os.urandom(_NONCE_BYTES)
    mark = nonce + _mac(settings.secret, settings.namespace, side, nonce)
    key = _marks_key(settings)
    server.ask("HSET", key, side, mark.hex())
    server.ask("PEXPIRE", key, _MARK_TTL * 1000)


def read_marks(server: RedisServer, settings: Settings, side: str) -> list[Evidence]:
    """Return what the marks of all sides but ours prove.

    Raises:
        StoreError: they cannot be read.
    """
    reply = server.ask("HGETALL", _marks_key(settings))
    listed = reply if isinstance(reply, list) else []
    words = [word for word in listed if isinstance(word, bytes)]
    marks = zip(words[::2], words[1::2], strict=False)
    return [
        Evidence(what=_shown(name), same=_verifies(mark, settings, _shown(name)))
        for name, mark in marks
        if _shown(name) != side
    ]


def outcome_evidence(settings: Settings) -> list[Evidence]:
    """Return what the newest outcome that a machine wrote proves.

    Raises:
        StoreError: Redis cannot be read as callers do.
    """
    store = Store(
        Connection(settings.redis_url, key_prefix(settings.namespace)),
        settings.namespace,
    )
    try:
        newest = store.look(*store.recent(_RECENT))
    finally:
        store.close()
    ended = (one for one in newest if one is not None and _is_machines(one))
    return [_verified(one, settings) for one in list(ended)[:1]]


def _shown(name: bytes) -> str:
    return name.decode("utf-8", "replace")


def _is_machines(seen: Seen) -> bool:
    """Whether a machine wrote the outcome: of a lost one, a sweep did."""
    last = seen.info.attempts[-1].outcome if seen.info.attempts else ""
    return bool(seen.outcome and seen.outcome.envelope) and last not in ("", "lost")


def _verified(seen: Seen, settings: Settings) -> Evidence:
    what = f"machine {seen.info.machine_id or seen.info.id}"
    keys = Codec(
        settings.secret,
        settings.namespace,
        max_bytes=settings.max_payload_bytes,
        old_secret=settings.old_secret,
    )
    outcome = seen.outcome
    if outcome is None:
        return Evidence(what=what, same=True)
    try:
        keys.open(
            outcome.envelope,
            kind=codec.OUTCOME,
            job_id=seen.info.id,
            fence=outcome.fence,
        )
    except SignatureMismatch:
        return Evidence(what=what, same=False)
    except PayloadError:  # its signature held; versions are another check's matter
        return Evidence(what=what, same=True)
    return Evidence(what=what, same=True)


def _verifies(mark: bytes, settings: Settings, side: str) -> bool:
    try:
        raw = bytes.fromhex(mark.decode("ascii", "replace"))
    except ValueError:
        return False
    nonce, mac = raw[:_NONCE_BYTES], raw[_NONCE_BYTES:]
    return any(
        hmac.compare_digest(mac, _mac(secret, settings.namespace, side, nonce))
        for secret in (settings.secret, settings.old_secret)
        if secret
    )


def _mac(secret: str, namespace: str, side: str, nonce: bytes) -> bytes:
    key = hmac.digest(secret.encode(), b"worker_lib doctor", "sha256")
    message = b"\0".join((namespace.encode(), side.encode(), nonce))
    return hmac.digest(key, message, "sha256")


def _marks_key(settings: Settings) -> str:
    return f"{key_prefix(settings.namespace)}:doctor"
