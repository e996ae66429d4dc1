"""Hashes without OpenSSL are those that everybody else computes."""

from __future__ import annotations

import hashlib
import hmac
import random
import sys

import pytest

from tests.unit.test_cold_start import run_python
from worker_lib import hashes

_SIZES = (0, 1, 55, 56, 63, 64, 65, 1000, hashes.LARGE_BYTES - 1, hashes.LARGE_BYTES)


def _bytes(size: int) -> bytes:
    return random.Random(size).randbytes(size)


@pytest.mark.parametrize("size", _SIZES)
def test_hashes_are_those_of_openssl(size: int) -> None:
    """A name of a script or of code is the same whoever computes it."""
    data = _bytes(size)

    assert hashlib.sha256(data).hexdigest() == hashes.sha256(data)
    assert hashlib.sha1(data).hexdigest() == hashes.sha1(data)


@pytest.mark.parametrize("key", [b"", b"k", _bytes(32), _bytes(64), _bytes(65)])
@pytest.mark.parametrize("size", _SIZES)
def test_a_mac_is_that_of_the_standard_library(key: bytes, size: int) -> None:
    """Also of messages in pieces, short and long."""
    data, mac = _bytes(size), hashes.Mac(key)
    expected = hmac.digest(key, data, "sha256")

    assert expected == mac.digest(data)
    assert expected == mac.digest(data[:7], b"", data[7:])
    assert expected == mac.digest(data)  # a key is good for any number of messages


def test_a_mac_is_that_of_rfc_4231() -> None:
    """Test case 2 of it: a short key."""
    expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"

    found = hashes.Mac(b"Jefe").digest(b"what do ya want ", b"for nothing?")

    assert expected == found.hex()


@pytest.mark.parametrize("built_in", [True, False])
def test_a_python_without_hashes_of_its_own_uses_openssl(*, built_in: bool) -> None:
    """Whoever builds Python may leave them out; with them OpenSSL is not loaded."""
    hidden = "" if built_in else "sys.modules['_sha2'] = sys.modules['_sha256'] = None"
    code = f"""
{hidden}
from worker_lib.hashes import Mac, sha256
print(Mac(b"k" * 70).digest(b"x").hex(), sha256(b"x"), "_hashlib" in sys.modules)
"""
    mac = hmac.digest(b"k" * 70, b"x", "sha256").hex()

    expected = f"{mac} {hashlib.sha256(b'x').hexdigest()} {not built_in}"

    assert expected == run_python(code)


def test_digests_are_compared_in_the_same_time_wherever_they_differ() -> None:
    """It is the function behind `hmac.compare_digest` of a Python without OpenSSL."""
    assert hashes.same_digest(b"abc", b"abc")
    assert not hashes.same_digest(b"abc", b"abd")
    assert not hashes.same_digest(b"abc", b"ab")
    assert sys.modules["_operator"]._compare_digest is hashes.same_digest
