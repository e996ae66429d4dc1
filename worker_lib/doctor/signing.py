"""Whether web app and machines sign with the same secret; it is never shown.

There are two kinds of evidence. The secret cannot be computed from either:

- the newest outcome in Redis: the machine that ended the job has signed it. If its
  signature does not verify with our secret, the machine has another one. The outcome
  is verified, never unpickled.
- a mark: `worker-lib doctor` leaves one in Redis for a week, wherever it runs. It is
  a random number and its HMAC, with a key derived from the secret only for this.

Without an outcome or a mark of another host there is nothing to compare with, and the
finding says so; `--probe` makes an outcome.
"""

from __future__ import annotations

import hmac
import os
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker_lib.calls import codec
from worker_lib.calls.codec import Codec
from worker_lib.doctor.findings import Finding, failed, ok, unknown
from worker_lib.errors import PayloadError, SignatureMismatch
from worker_lib.store.connection import Connection
from worker_lib.store.keys import doctor_marks, key_prefix
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
    "host_name",
    "open_store",
    "outcome_evidence",
    "read_marks",
    "write_mark",
]

MISMATCH_REMEDY = (
    "set the same WORKER_LIB_SECRET in the web app and in the tasks app "
    "(fly secrets set); to change it, keep the former as WORKER_LIB_SECRET_OLD"
)
_MARK_TTL = 7 * 86400
_NONCE_BYTES = 16
_RECENT = 20
_LONGEST_NAME = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One thing that was signed.

    Attributes:
        what: Who signed it, for people, as in "machine 148e…".
        same: Whether it was signed with our secret, or with the old one.
    """

    what: str
    same: bool


def check_secret_shared(found: Sequence[Evidence]) -> Finding:
    """Check all evidence; one signature with another secret is a failure."""
    name = "secret shared"
    others = [one.what for one in found if not one.same]
    if others:
        text = f"another secret was used by {', '.join(others)}"
        return failed(name, text, MISMATCH_REMEDY)
    if not found:
        text = "nothing in Redis was signed by another host yet"
        remedy = "worker-lib doctor --probe lets a machine sign an outcome"
        return unknown(name, text, remedy)
    return ok(name, f"the same as that of {', '.join(one.what for one in found)}")


def host_name(environ: Mapping[str, str]) -> str:
    """Return the name for our mark: the app on Fly, else the computer."""
    app, host = environ.get("FLY_APP_NAME", ""), os.uname().nodename
    return (f"app {app}" if app else f"computer {host}")[:_LONGEST_NAME]


def write_mark(server: RedisServer, settings: Settings, host: str) -> None:
    """Leave our mark for the other hosts; it replaces our last one.

    Raises:
        StoreError: it was not written.
    """
    nonce = os.urandom(_NONCE_BYTES)
    mark = nonce + _mac(settings.secret, settings.namespace, host, nonce)
    key = doctor_marks(settings.namespace)
    server.ask("HSET", key, host, mark.hex())
    server.ask("PEXPIRE", key, _MARK_TTL * 1000)


def read_marks(server: RedisServer, settings: Settings, host: str) -> list[Evidence]:
    """Return what the marks of the other hosts prove.

    Raises:
        StoreError: they cannot be read.
    """
    reply = server.ask("HGETALL", doctor_marks(settings.namespace))
    listed = reply if isinstance(reply, list) else []
    words = [word for word in listed if isinstance(word, bytes)]
    marks = zip(words[::2], words[1::2], strict=False)
    return [
        Evidence(what=_shown(name), same=_verifies(mark, settings, _shown(name)))
        for name, mark in marks
        if _shown(name) != host
    ]


def outcome_evidence(settings: Settings) -> list[Evidence]:
    """Return what the newest outcome that a machine wrote proves.

    Raises:
        StoreError: Redis cannot be read over the connection of callers.
    """
    with closing(open_store(settings)) as store:
        newest = store.look(*store.recent(_RECENT))
    ended = (one for one in newest if one is not None and _is_machines(one))
    return [_verified(one, settings) for one in list(ended)[:1]]


def open_store(settings: Settings) -> Store:
    """Return the store as callers use it; close it after use."""
    connection = Connection(settings.redis_url, key_prefix(settings.namespace))
    return Store(connection, settings.namespace)


def _shown(name: bytes) -> str:
    return name.decode("utf-8", "replace")


def _is_machines(seen: Seen) -> bool:
    """Whether a machine wrote the outcome; a sweep writes those of lost jobs."""
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
    except PayloadError:  # the signature is right; another check compares versions
        return Evidence(what=what, same=True)
    return Evidence(what=what, same=True)


def _verifies(mark: bytes, settings: Settings, host: str) -> bool:
    try:
        raw = bytes.fromhex(mark.decode("ascii", "replace"))
    except ValueError:
        return False
    nonce, mac = raw[:_NONCE_BYTES], raw[_NONCE_BYTES:]
    return any(
        hmac.compare_digest(mac, _mac(secret, settings.namespace, host, nonce))
        for secret in (settings.secret, settings.old_secret)
        if secret
    )


def _mac(secret: str, namespace: str, host: str, nonce: bytes) -> bytes:
    key = hmac.digest(secret.encode(), b"worker_lib doctor", "sha256")
    message = b"\0".join((namespace.encode(), host.encode(), nonce))
    return hmac.digest(key, message, "sha256")
