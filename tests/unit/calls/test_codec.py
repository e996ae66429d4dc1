"""Envelopes: what goes in comes out, in its own place only."""

from __future__ import annotations

import hashlib
import hmac
import random
import sys
import tracemalloc
import zlib
from types import SimpleNamespace

import pytest

from worker_lib.calls import codec
from worker_lib.calls.codec import CALL, CODE, OUTCOME, Codec, content_hash
from worker_lib.calls.pieces import Piece, open_piece
from worker_lib.errors import PayloadTooLarge, SignatureMismatch, UnknownVersion

SECRET = "s" * 32
MAX = 1 << 20
NOISE = random.Random(1).randbytes(10_000)


def make(secret: str = SECRET, namespace: str = "shop", old: str = "") -> Codec:
    """Return a codec; by default all of them are alike."""
    return Codec(secret, namespace, max_bytes=MAX, old_secret=old)


def forge(body: bytes, *, header: bytes) -> bytes:
    """Return an envelope for call `j1` whose MAC holds, whatever its header says."""
    secret = SECRET.encode()
    context = b"\0".join((CALL, b"shop", b"j1", b""))
    key = hmac.digest(secret, b"worker_lib " + CALL, "sha256")
    message = len(context).to_bytes(4, "big") + context + header + body
    key_id = hmac.digest(secret, b"worker_lib key id", "sha256")[:4]
    return header + key_id + hmac.digest(key, message, hashlib.sha256) + body


def header(flags: int = 0, *, form: int = 1) -> bytes:
    """Return the header that this Python writes."""
    return bytes((form, *sys.version_info[:2], flags))


@pytest.mark.parametrize("body", [b"", b"x", b"ab" * 50_000, NOISE])
def test_what_is_sealed_is_opened_unchanged(body: bytes) -> None:
    """Small and large, well and badly compressible."""
    envelope = make().seal(body, kind=CALL, job_id="j1")

    assert body == make().open(envelope, kind=CALL, job_id="j1")


def test_large_bodies_are_compressed_only_where_that_helps() -> None:
    """Redis is paid by the byte; noise would only grow."""
    text = make().seal(b"to be, or not to be %d " * 5_000, kind=CALL, job_id="j1")
    noise = make().seal(NOISE, kind=CALL, job_id="j1")

    assert len(text) < 2_000
    assert len(NOISE) + 40 == len(noise)


def test_large_bodies_that_shrink_little_are_not_compressed_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would take longer than all the rest; a few samples tell."""
    compressed: list[int] = []
    real = zlib.compress

    def watched(data: bytes, level: int) -> bytes:
        compressed.append(len(data))
        return real(data, level)

    monkeypatch.setattr(zlib, "compress", watched)
    noise = random.Random(1).randbytes(800_000)
    sealed = make().seal(noise, kind=CALL, job_id="j1")

    assert len(noise) + 40 == len(sealed)
    assert max(compressed) < 50_000
    assert noise == make().open(sealed, kind=CALL, job_id="j1")


def test_a_body_in_pieces_is_sealed_as_one_is() -> None:
    """Small or large, compressed or not; and opened in one."""
    noise = random.Random(1).randbytes(100_000)
    for whole in (b"some text", b"to be, or not " * 9_000, noise):
        at = len(whole) // 3
        pieces = [whole[:1], whole[1:at], whole[at:]]
        sealed = make().seal(pieces, kind=CALL, job_id="j1")

        assert sealed == make().seal(whole, kind=CALL, job_id="j1")
        assert whole == make().open(sealed, kind=CALL, job_id="j1")


def test_what_earlier_releases_compressed_is_opened() -> None:
    """Jobs wait for days, and an upgrade must not lose them."""
    body = b"to be, or not to be %d " * 5_000
    old = forge(zlib.compress(body, 1), header=header(1))

    assert body == make().open(old, kind=CALL, job_id="j1")


@pytest.mark.parametrize("told", [0, 1_000, 9_000_000, 1 << 63])
def test_a_body_that_inflates_beyond_what_it_tells_is_refused(told: int) -> None:
    """Or tells of more than there may be: nothing grows without bounds."""
    stream = zlib.compressobj(1, wbits=-15)
    deflated = stream.compress(bytes(100_000)) + stream.flush()
    bomb = forge(told.to_bytes(8, "big") + deflated, header=header(2))

    tracemalloc.start()
    with pytest.raises(PayloadTooLarge, match="grows beyond"):
        make().open(bomb, kind=CALL, job_id="j1")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000


def test_a_body_over_the_limit_is_compressed_whatever_its_samples_say() -> None:
    """Nothing that fits compressed is refused."""
    noise = random.Random(1).randbytes(400_000)
    body = noise[:200_000] + bytes(300_000) + noise[200_000:] + bytes(200_000)

    assert len(make().seal(body, kind=CALL, job_id="j1")) < MAX
    assert len(make().seal(body * 2, kind=CALL, job_id="j1")) < MAX


@pytest.mark.parametrize("by", [-1, 0, 1])
def test_envelopes_of_any_size_are_signed_alike(by: int) -> None:
    """Also where a large body is hashed without a copy of it."""
    body = random.Random(1).randbytes((1 << 15) + by)

    assert forge(body, header=header()) == make().seal(body, kind=CALL, job_id="j1")


def test_a_body_that_shrinks_beyond_the_ratio_still_comes_back() -> None:
    """A megabyte of zeros is no bomb when it is honest."""
    body = bytes(900_000)
    envelope = make().seal(body, kind=CALL, job_id="j1")

    assert body == make().open(envelope, kind=CALL, job_id="j1")


@pytest.mark.parametrize("body", [b"payload", b"ab" * 4_000])
def test_every_changed_byte_is_refused(body: bytes) -> None:
    """Each bit of header, key id, MAC and body counts."""
    envelope = make().seal(body, kind=CALL, job_id="j1")
    accepted = [
        at
        for at in range(len(envelope))
        for mask in (0x01, 0x80, 0xFF)
        if _opens(envelope[:at] + bytes([envelope[at] ^ mask]) + envelope[at + 1 :])
    ]

    assert [] == accepted


@pytest.mark.parametrize("size", [0, 1, 4, 8, 39, 40, 46])
def test_a_shortened_envelope_is_refused(size: int) -> None:
    """Also where there is not even a whole header."""
    envelope = make().seal(b"payload", kind=CALL, job_id="j1")

    assert not _opens(envelope[:size])


def _opens(envelope: bytes) -> bool:
    try:
        make().open(envelope, kind=CALL, job_id="j1")
    except SignatureMismatch:
        return False
    return True


@pytest.mark.parametrize(
    ("namespace", "kind", "job_id", "fence"),
    [
        ("shop", OUTCOME, "j2", "3"),
        ("shop", CALL, "j1", "3"),
        ("shop", CODE, "j1", "3"),
        ("test", OUTCOME, "j1", "3"),
        ("shop", OUTCOME, "j1", "4"),
        ("shop", OUTCOME, "j1", ""),
        ("shop", OUTCOME, "j13", ""),
    ],
)
def test_an_envelope_opens_nowhere_but_in_its_own_place(
    namespace: str, kind: bytes, job_id: str, fence: str
) -> None:
    """Bytes cannot be moved to another kind, job, namespace or attempt."""
    envelope = make().seal(b"value", kind=OUTCOME, job_id="j1", fence="3")
    mover = make(namespace=namespace)

    with pytest.raises(SignatureMismatch):
        mover.open(envelope, kind=kind, job_id=job_id, fence=fence)
    assert b"value" == make().open(envelope, kind=OUTCOME, job_id="j1", fence="3")


def test_another_secret_is_refused_with_a_remedy_and_without_the_secret() -> None:
    """The sentence names the job, the variable and what to do."""
    envelope = make("o" * 32).seal(b"value", kind=CALL, job_id="j1")

    with pytest.raises(SignatureMismatch) as caught:
        make().open(envelope, kind=CALL, job_id="j1")
    assert "the call of job j1 in Redis is not signed" in str(caught.value)
    assert "set the same secret in the app and its machines" in str(caught.value)
    assert SECRET not in str(caught.value)


def test_the_old_secret_still_opens_and_no_longer_seals() -> None:
    """A secret can be changed while jobs are under way."""
    before, after = make("o" * 32), make(old="o" * 32)
    stored = before.seal(b"stored before", kind=CALL, job_id="j1")
    fresh = after.seal(b"stored after", kind=CALL, job_id="j1")

    assert b"stored before" == after.open(stored, kind=CALL, job_id="j1")
    assert b"stored after" == make().open(fresh, kind=CALL, job_id="j1")
    with pytest.raises(SignatureMismatch):
        before.open(fresh, kind=CALL, job_id="j1")


def test_another_python_minor_version_is_named_with_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Pickles of code do not travel between minor versions: say which two met."""
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(codec, "sys", SimpleNamespace(version_info=(3, 99, 0)))
        envelope = make().seal(b"value", kind=OUTCOME, job_id="j1", fence="1")

    with pytest.raises(UnknownVersion) as caught:
        make().open(envelope, kind=OUTCOME, job_id="j1", fence="1")
    ours = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert "pickled by Python 3.99" in str(caught.value)
    assert f"this is Python {ours}" in str(caught.value)


def test_a_newer_format_is_named_with_ours() -> None:
    """A newer library wrote it: say which format each speaks."""
    with pytest.raises(UnknownVersion, match=r"has format 2 and this .* reads 1"):
        make().open(forge(b"x", header=header(form=2)), kind=CALL, job_id="j1")


def test_versions_are_told_only_of_what_is_signed() -> None:
    """A forged header is no more than a forgery."""
    envelope = bytearray(make().seal(b"value", kind=CALL, job_id="j1"))
    envelope[0] = 2

    with pytest.raises(SignatureMismatch):
        make().open(bytes(envelope), kind=CALL, job_id="j1")


def test_too_large_a_body_is_refused_with_both_sizes() -> None:
    """The sentence and the attributes have what it is and what it may be."""
    small = Codec(SECRET, "shop", max_bytes=5_000)

    with pytest.raises(PayloadTooLarge) as caught:
        small.seal(NOISE, kind=CALL, job_id="j1")
    assert "the call is 10,000 bytes" in str(caught.value)
    assert "the limit is 5,000" in str(caught.value)
    assert "WORKER_LIB_MAX_PAYLOAD" in str(caught.value)
    assert (10_000, 5_000) == (caught.value.size_bytes, caught.value.limit_bytes)


def test_the_limit_counts_the_whole_envelope() -> None:
    """What fits exactly is taken; a byte more is not."""
    exact = Codec(SECRET, "shop", max_bytes=140)

    assert 140 == len(exact.seal(bytes(100), kind=CALL, job_id="j1"))
    with pytest.raises(PayloadTooLarge):
        exact.seal(bytes(101), kind=CALL, job_id="j1")


def test_a_decompression_bomb_is_refused_before_it_goes_off() -> None:
    """Even with a MAC that holds, 200 KB never become 200 MB."""
    bomb = forge(zlib.compress(bytes(200_000_000), 9), header=header(flags=1))
    tracemalloc.start()
    try:
        with pytest.raises(PayloadTooLarge, match="grows beyond"):
            make().open(bomb, kind=CALL, job_id="j1")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 20_000_000


@pytest.mark.parametrize("damage", [0, 5, 39])
def test_nothing_is_decompressed_before_the_mac_holds(
    damage: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The decompressor never sees bytes of a stranger."""
    fed: list[bytes] = []
    monkeypatch.setattr(codec, "_decompress", lambda body, _limit: fed.append(body))
    envelope = bytearray(make().seal(b"ab" * 10_000, kind=CALL, job_id="j1"))
    envelope[damage] ^= 1

    with pytest.raises(SignatureMismatch):
        make().open(bytes(envelope), kind=CALL, job_id="j1")
    assert [] == fed


def test_a_codec_shows_nothing_of_its_keys() -> None:
    """It is an attribute of objects that end up in tracebacks."""
    shown = repr(make(old="o" * 32))

    assert "Codec(namespace='shop')" == shown


def test_code_is_named_by_its_content() -> None:
    """The same function is stored once, another one beside it."""
    assert content_hash(b"a") == content_hash(b"a")
    assert content_hash(b"a") != content_hash(b"b")
    assert 32 == len(content_hash(b""))


@pytest.mark.parametrize("body", [b"payload", b"ab" * 4_000])
def test_a_call_can_be_sealed_for_another_job_without_a_look_at_it(body: bytes) -> None:
    """The same bytes, and the same Python in the header, whatever runs here."""
    theirs = forge(body, header=bytes((1, 3, 4, 0)))

    moved = make().reseal(theirs, kind=CALL, job_id="j1", fence="", new_job_id="j2")

    assert theirs[:4] == moved[:4]
    with pytest.raises(UnknownVersion, match=r"pickled by Python 3\.4"):
        make().open(moved, kind=CALL, job_id="j2")
    ours = make().seal(body, kind=CALL, job_id="j1", fence="place")
    moved = make().reseal(ours, kind=CALL, job_id="j1", fence="place", new_job_id="j2")
    assert body == make().open(moved, kind=CALL, job_id="j2", fence="place")
    with pytest.raises(SignatureMismatch):
        make().open(moved, kind=CALL, job_id="j1", fence="place")


def test_what_is_not_genuine_is_not_sealed_again() -> None:
    """Else whoever writes to Redis had their bytes signed."""
    envelope = make().seal(b"payload", kind=CALL, job_id="j1", fence="place")

    for changed in (
        envelope[:-1] + b"!",
        make("t" * 32).seal(b"x", kind=CALL, job_id="j1"),
    ):
        with pytest.raises(SignatureMismatch):
            make().reseal(
                changed, kind=CALL, job_id="j1", fence="place", new_job_id="j2"
            )
    with pytest.raises(SignatureMismatch):
        make().reseal(envelope, kind=CALL, job_id="j1", fence="other", new_job_id="j2")


def test_a_call_of_the_old_secret_is_sealed_with_the_new_one() -> None:
    """A retry after a change of the secret outlives the old one."""
    envelope = make("o" * 32).seal(b"payload", kind=CALL, job_id="j1")

    moved = make(old="o" * 32).reseal(
        envelope, kind=CALL, job_id="j1", fence="", new_job_id="j2"
    )

    assert b"payload" == make().open(moved, kind=CALL, job_id="j2")


def test_output_is_bound_to_its_attempt_and_read_by_any_python(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is text, not a pickle; and no other attempt's, nor a job's outcome."""
    text = "é\n" * 9000
    sealed = make().seal(text.encode(), kind=codec.OUTPUT, job_id="j1", fence="3")
    monkeypatch.setattr("sys.version_info", (3, 99, 0))

    piece = Piece(0, text.encode())
    assert piece == open_piece(make(), sealed, "j1", "3", is_all=True)
    assert len(sealed) < 9000
    for job_id, fence in (("j1", "2"), ("j2", "3")):
        with pytest.raises(SignatureMismatch):
            open_piece(make(), sealed, job_id, fence, is_all=True)
    with pytest.raises(SignatureMismatch):
        make().open(sealed, kind=codec.OUTCOME, job_id="j1", fence="3")
