"""From Python objects to signed bytes and back.

An envelope is `format, python major, python minor, flags, key id (4), MAC (32), body`;
the body may begin with a preview: two bytes for its length, then text for people.
The MAC (HMAC-SHA256) covers the header, the body and where the bytes belong: what
kind they are, the namespace, the job (or pool, or code) and what else decides how they
are used: for a call, its function, pool, timeout and retry policy; for an outcome, and
for what an attempt printed, its fence. So bytes cannot be moved to another place, and
nothing is decompressed, unpickled or acted upon before the MAC holds.

What this does not promise: secrecy (whoever can read Redis can read arguments), or that
a call runs only as often as it should: whoever can write to Redis can have a genuine
call of a job run again under the same job id.
"""

from __future__ import annotations

import sys

from worker_lib.errors import PayloadTooLarge, SignatureMismatch, UnknownVersion
from worker_lib.hashes import LARGE_BYTES, Mac, same_digest, sha256

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "CALL",
    "CODE",
    "OUTCOME",
    "OUTPUT",
    "SPEC",
    "Codec",
    "call_place",
    "content_hash",
    "key_id_of",
    "python_of",
]

CALL = b"call"
CODE = b"code"
OUTCOME = b"outcome"
OUTPUT = b"output"
SPEC = b"spec"

# What is no pickle: any version of Python can read it.
_PLAIN = frozenset({OUTPUT, SPEC})
_WHOSE = {CODE: "function", SPEC: "pool"}
_FORMAT = 1
# By zlib, as earlier releases did it; or the size, then raw deflate: the MAC is a
# better checksum, and where the size is known nothing grows step by step.
_COMPRESSED, _DEFLATED, _PREVIEWED = 1, 2, 4
_LENGTH_BYTES = 2
_SIZE_BYTES = 8
_HEADER_BYTES = 4
_KEY_ID_BYTES = 4
_MAC_BYTES = 32
_BODY_AT = _HEADER_BYTES + _KEY_ID_BYTES + _MAC_BYTES
_COMPRESS_FROM_BYTES = 4096
_SAMPLES, _SAMPLE_BYTES = 8, 4096
# What is inflated at a time, and from how much, so that what is left is copied cheaply.
_INFLATED_BYTES, _DEFLATED_BYTES = 1 << 18, 1 << 16
# To what compression has to get a large body's samples: it runs at some 50 MB/s.
_WORTHWHILE = 0.5
# What a payload may grow to, in sizes of the largest one: beyond that it is a bomb.
_MAX_GROWTH = 8


def content_hash(body: bytes) -> str:
    """Return the name under which code of this content is stored."""
    return sha256(body)[:32]


def call_place(target: str, *, pool: str, timeout: float, policy: str) -> str:
    """Return what is signed along with a call, besides its job.

    Args:
        target: Hash of its code, or the name of its task.
        pool: The machines that it may run on.
        timeout: Seconds.
        policy: JSON: attempts, backoff, what follows a lost machine.
    """
    return "\0".join((target, pool, f"{timeout:g}", policy))


class Codec:
    """Seals and opens envelopes of one namespace.

    Args:
        secret: Signs and verifies.
        namespace: Part of what is signed.
        max_bytes: The largest envelope, after compression.
        old_secret: Verifies too, while the secret is being changed.
    """

    __slots__ = ("_keys", "_namespace", "_signing", "max_bytes")

    def __init__(
        self, secret: str, namespace: str, *, max_bytes: int, old_secret: str = ""
    ) -> None:
        self._namespace = namespace.encode()
        self.max_bytes = max_bytes
        self._signing = key_id_of(secret.encode())
        self._keys = {self._signing: _keys_by_kind(secret.encode())}
        if old_secret:
            old = old_secret.encode()
            self._keys.setdefault(key_id_of(old), _keys_by_kind(old))

    def __repr__(self) -> str:
        """Show nothing of the keys."""
        return f"Codec(namespace={self._namespace.decode()!r})"

    def seal(
        self,
        body: bytes | list[bytes],
        *,
        kind: bytes,
        job_id: str,
        fence: str = "",
        preview: bytes | None = None,
    ) -> bytes:
        """Return `body` compressed if that helps, and signed for its place.

        Args:
            preview: Text for people, 64 KB at most; None for none.

        Raises:
            PayloadTooLarge: it is over the limit; the message gives both sizes.
        """
        pieces = [body] if isinstance(body, bytes) else body
        flags, pieces, size = _compress(pieces, self.max_bytes)
        if size + _BODY_AT > self.max_bytes:
            raise PayloadTooLarge(
                f"the {kind.decode()} is {size:,} bytes after compression and "
                f"the limit is {self.max_bytes:,}: pass a reference (an S3 key, a "
                "path, an id) instead, or raise WORKER_LIB_MAX_PAYLOAD",
                size_bytes=size,
                limit_bytes=self.max_bytes,
            )
        if preview is not None:
            flags |= _PREVIEWED
            pieces = [len(preview).to_bytes(_LENGTH_BYTES, "big"), preview, *pieces]
        header = bytes((_FORMAT, *sys.version_info[:2], flags))
        return self._signed(header, self._context(kind, job_id, fence), kind, pieces)

    def open(
        self,
        envelope: bytes,
        *,
        kind: bytes,
        job_id: str,
        fence: str = "",
        any_python: bool = False,
    ) -> bytes | bytearray:
        """Return the body of an envelope that was sealed for exactly this place.

        Args:
            envelope: As `seal` returned it.
            kind: What it is.
            job_id: Of its job, pool or code.
            fence: What else was signed along.
            any_python: Whichever minor version of Python wrote it.

        Raises:
            SignatureMismatch: it was not, or it was changed.
            UnknownVersion: another Python minor version (of what is pickled) or a
                newer library wrote it.
            PayloadTooLarge: it would grow beyond all measure when decompressed.
        """
        header, whole = self._verified(envelope, kind, job_id, fence)
        _check_versions(header, SPEC if any_python else kind)
        return self._plain(header, _split_preview(header, whole)[1])

    def preview(
        self, envelope: bytes, *, kind: bytes, job_id: str, fence: str = ""
    ) -> bytes | None:
        """Return the preview of an envelope alone; None if it has none.

        Raises:
            SignatureMismatch: it was not sealed for this place, or it was changed.
        """
        header, body = self._verified(envelope, kind, job_id, fence)
        return _split_preview(header, body)[0]

    def opened(
        self, envelope: bytes, *, kind: bytes, job_id: str, fence: str = ""
    ) -> tuple[bytes | bytearray, bytes | None]:
        """Return body and preview of an envelope; raises as `open` does."""
        header, whole = self._verified(envelope, kind, job_id, fence)
        _check_versions(header, kind)
        preview, body = _split_preview(header, whole)
        return self._plain(header, body), preview

    def _plain(self, header: bytes, body: bytes) -> bytes | bytearray:
        if header[3] & _DEFLATED:
            return _inflate(body, self.max_bytes * _MAX_GROWTH)
        if header[3] & _COMPRESSED:
            return _decompress(body, self.max_bytes * _MAX_GROWTH)
        return body

    def reseal(
        self,
        envelope: bytes,
        *,
        kind: bytes,
        job_id: str,
        fence: str,
        new_job_id: str,
        new_fence: str | None = None,
    ) -> bytes:
        """Return what was sealed for one job as an envelope of another job.

        The body is not looked at, and keeps the version of the Python that wrote it.
        Without a `new_fence`, it is the same.

        Raises:
            SignatureMismatch: it was not sealed for `job_id`, or it was changed.
        """
        header, body = self._verified(envelope, kind, job_id, fence)
        place = fence if new_fence is None else new_fence
        context = self._context(kind, new_job_id, place)
        return self._signed(header, context, kind, [body])

    def _verified(
        self, envelope: bytes, kind: bytes, job_id: str, fence: str
    ) -> tuple[bytes, bytes]:
        """Return the header and the body of a genuine envelope."""
        header, key_id, mac, body = _split(envelope)
        whose = _WHOSE.get(kind, "job")
        keys = self._keys.get(key_id)
        context = self._context(kind, job_id, fence)
        if keys is None or not same_digest(
            mac, _mac(keys[kind], context, header, [body])
        ):
            raise SignatureMismatch(
                f"the {kind.decode()} of {whose} {job_id} in Redis is not "
                "signed with our WORKER_LIB_SECRET: set the same secret in the app "
                "and its machines, or find out who else writes to this Redis"
            )
        return header, body

    def _signed(
        self, header: bytes, context: bytes, kind: bytes, pieces: list[bytes]
    ) -> bytes:
        mac = _mac(self._keys[self._signing][kind], context, header, pieces)
        return b"".join((header, self._signing, mac, *pieces))

    def _context(self, kind: bytes, job_id: str, fence: str) -> bytes:
        return b"\0".join((kind, self._namespace, job_id.encode(), fence.encode()))


def key_id_of(secret: bytes) -> bytes:
    """Return what marks the key of a secret in envelopes; it reveals nothing of it."""
    return Mac(secret).digest(b"worker_lib key id")[:_KEY_ID_BYTES]


def _keys_by_kind(secret: bytes) -> dict[bytes, Mac]:
    own = Mac(secret)
    return {
        kind: Mac(own.digest(b"worker_lib " + kind))
        for kind in (CALL, CODE, OUTCOME, OUTPUT, SPEC)
    }


def _mac(key: Mac, context: bytes, header: bytes, pieces: list[bytes]) -> bytes:
    head = b"".join((len(context).to_bytes(4, "big"), context, header))
    return key.digest(head, *pieces)


def _split(envelope: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    header = envelope[:_HEADER_BYTES]
    key_id = envelope[_HEADER_BYTES : _HEADER_BYTES + _KEY_ID_BYTES]
    mac = envelope[_HEADER_BYTES + _KEY_ID_BYTES : _BODY_AT]
    return header, key_id, mac, envelope[_BODY_AT:]


def _split_preview(header: bytes, body: bytes) -> tuple[bytes | None, bytes]:
    """Return the preview and the rest."""
    if not header[3] & _PREVIEWED:
        return None, body
    end = _LENGTH_BYTES + int.from_bytes(body[:_LENGTH_BYTES], "big")
    return body[_LENGTH_BYTES:end], body[end:]


def python_of(envelope: bytes) -> tuple[int, int]:
    """Return the version of Python that wrote an envelope; nothing is verified."""
    return envelope[1], envelope[2]


def _check_versions(header: bytes, kind: bytes) -> None:
    if header[0] != _FORMAT:
        raise UnknownVersion(
            f"the {kind.decode()} has format {header[0]} and this worker_lib reads "
            f"{_FORMAT}: install the same worker_lib in the app and its image"
        )
    theirs, ours = tuple(header[1:3]), sys.version_info[:2]
    if theirs != ours and kind not in _PLAIN:
        raise UnknownVersion(
            f"the {kind.decode()} was pickled by Python {theirs[0]}.{theirs[1]} and "
            f"this is Python {ours[0]}.{ours[1]}: use one minor version in the app "
            "and its image (WORKER_IMAGE)"
        )


def _compress(pieces: list[bytes], max_bytes: int) -> tuple[int, list[bytes], int]:
    """Return the flags of an envelope, what is to be in it, and the size of that."""
    size = sum(map(len, pieces))
    if not _COMPRESS_FROM_BYTES <= size <= max_bytes * _MAX_GROWTH:
        return 0, pieces, size
    # Of what is large, compression for nothing is worth avoiding.
    may_stay = LARGE_BYTES <= size <= max_bytes - _BODY_AT
    if may_stay and not _seems_worthwhile(max(pieces, key=len)):
        return 0, pieces, size
    import zlib  # noqa: PLC0415 - most payloads are small

    stream = zlib.compressobj(1, wbits=-zlib.MAX_WBITS)
    deflated = [stream.compress(piece) for piece in pieces]
    smaller = [size.to_bytes(_SIZE_BYTES, "big"), *deflated, stream.flush()]
    new_size = sum(map(len, smaller))
    if new_size < size * 0.9:
        return _DEFLATED, smaller, new_size
    return 0, pieces, size


def _seems_worthwhile(body: bytes) -> bool:
    import zlib  # noqa: PLC0415 - as above

    step = max(1, len(body) // _SAMPLES)
    samples = b"".join(
        body[at : at + _SAMPLE_BYTES] for at in range(0, step * _SAMPLES, step)
    )
    return len(zlib.compress(samples, 1)) < len(samples) * _WORTHWHILE


def _inflate(body: bytes, limit: int) -> bytearray:
    size = int.from_bytes(body[:_SIZE_BYTES], "big")
    if size > limit:
        raise _grown(limit)
    plain, filled = bytearray(size), 0
    for part in _inflated(memoryview(body)[_SIZE_BYTES:]):
        if filled + len(part) > size:
            raise _grown(size)
        plain[filled : filled + len(part)] = part
        filled += len(part)
    del plain[filled:]
    return plain


def _inflated(deflated: memoryview) -> Iterator[bytes]:
    """Yield what is deflated, little at a time: bytes that grow would be copied."""
    import zlib  # noqa: PLC0415 - most payloads are small

    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    for at in range(0, len(deflated), _DEFLATED_BYTES):
        data: bytes | memoryview = deflated[at : at + _DEFLATED_BYTES]
        while data:
            yield stream.decompress(data, _INFLATED_BYTES)
            data = stream.unconsumed_tail
    yield stream.flush()


def _grown(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"a payload grows beyond {limit:,} bytes: refused")


def _decompress(body: bytes, limit: int) -> bytes:
    import zlib  # noqa: PLC0415 - most payloads are small

    stream = zlib.decompressobj()
    plain = stream.decompress(body, limit)
    if not stream.eof:
        raise _grown(limit)
    return plain
