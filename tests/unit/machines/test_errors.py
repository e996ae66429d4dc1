"""Every refusal that Fly is known to give, and what a program should make of it."""

from __future__ import annotations

import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker_lib.errors import (
    ApiUnavailable,
    InvalidRequest,
    MachineConflict,
    MachineNotFound,
    MachinesApiError,
    RateLimited,
    Unauthorized,
)
from worker_lib.machines.errors import (
    Call,
    existing_machine_id,
    refused,
    unanswered,
    unreadable,
)

CREATE = Call(method="POST", path="/v1/apps/jobs/machines", idempotent=False)
READ = Call(method="GET", path="/v1/apps/jobs/machines/148e", idempotent=True)
REFUSALS = {"retry", "ambiguous", "next_region", "next_size", "person"}

QUOTA = (
    "Your organization has reached its limit of 50 machines which is over the allowed "
    "quota. please consider other regions"
)
NAME = (
    "already_exists: unique machine name violation, machine ID 148ed599c14189 already "
    'exists with name "jobs-1"'
)
LEASE = (
    "failed_precondition: machine ID 148e lease currently held by me@x.org, "
    "expires at 2026-08-01T12:00:00Z"
)
NO_CPU = (
    "aborted: could not reserve resource for machine: insufficient CPUs available to "
    "fulfill request on the current host"
)
NOT_YET = "failed_precondition: unable to start machine from current state: 'created'"
BAD_WAIT = (
    "invalid_argument: invalid WaitMachineRequest.Timeout: value must be inside range "
    "[1s, 1m0s]"
)


def body(error: str, status: str = "unknown") -> bytes:
    """Return a body in the form that Fly's OpenAPI file gives."""
    return json.dumps({"error": error, "status": status}).encode()


@pytest.mark.parametrize(
    ("expected", "refusal", "status", "answer"),
    [
        (InvalidRequest, "person", 400, body(BAD_WAIT)),
        (
            InvalidRequest,
            "next_size",
            400,
            body("invalid config.guest.memory_mb, minimum required 1024 MiB"),
        ),
        (Unauthorized, "person", 401, body("unauthorized")),
        (Unauthorized, "person", 403, body("permission_denied: not your app")),
        (Unauthorized, "next_region", 403, body(QUOTA)),
        (MachineNotFound, "person", 404, body("not_found: machine not found")),
        (ApiUnavailable, "ambiguous", 408, body("deadline_exceeded: too slow")),
        (MachineConflict, "ambiguous", 409, body(NAME)),
        (MachineConflict, "retry", 409, body(LEASE)),
        (MachineConflict, "next_region", 409, body(NO_CPU)),
        (
            MachineConflict,
            "next_region",
            409,
            body(NO_CPU.replace("insufficient CPUs", "insufficient memory")),
        ),
        (MachineConflict, "next_region", 409, body("aborted: no capacity")),
        (MachineConflict, "retry", 409, body("aborted: something else is going on")),
        (MachineConflict, "retry", 412, body(NOT_YET)),
        (
            MachineConflict,
            "retry",
            412,
            body("machine still active, refusing to start"),
        ),
        (
            MachineConflict,
            "retry",
            412,
            body("the volume's host is full", "volume_placement_capacity"),
        ),
        (InvalidRequest, "person", 422, body("invalid_argument: config.image: empty")),
        (
            InvalidRequest,
            "next_region",
            422,
            body("could not find a candidate host", "insufficient_capacity"),
        ),
        (InvalidRequest, "next_region", 422, body("no room", "insufficient_capacity")),
        (
            InvalidRequest,
            "next_size",
            422,
            body("invalid config.guest.cpus: must be one of [1 2 4 6 8]"),
        ),
        (
            InvalidRequest,
            "person",
            422,
            body(
                "To create more than 1 machine per app please add a payment method. "
                "See https://fly.io/dashboard"
            ),
        ),
        (InvalidRequest, "person", 418, body("teapot")),
        (RateLimited, "retry", 429, body("rate limit exceeded")),
        (ApiUnavailable, "ambiguous", 500, body("internal: oops")),
        (ApiUnavailable, "ambiguous", 502, b"<html>Bad Gateway</html>"),
        (ApiUnavailable, "ambiguous", 503, b""),
        (ApiUnavailable, "ambiguous", 504, b"upstream request timeout"),
        (MachinesApiError, "person", 302, b""),
    ],
)
def test_refused_create_says_what_to_do(
    expected: type[MachinesApiError], refusal: str, status: int, answer: bytes
) -> None:
    """The class follows the status; the advice follows Fly's words."""
    error = refused(CREATE, status, {}, answer)

    assert (expected, refusal, status) == (type(error), error.refusal, error.status)


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
def test_trouble_on_a_read_is_safe_to_repeat(status: int) -> None:
    """Only what may do something twice is ambiguous."""
    assert "retry" == refused(READ, status, {}, b"").refusal


def test_refusal_for_want_of_room_is_definite_at_any_status() -> None:
    """Fly's own label goes before the status: nothing was made."""
    answer = body("no room", "insufficient_capacity")

    assert "next_region" == refused(CREATE, 503, {}, answer).refusal


def test_message_says_what_was_tried_what_came_back_and_what_to_do() -> None:
    """One sentence is enough for a person."""
    expected = (
        "GET /v1/apps/jobs/machines/148e was refused with 404 (not_found: machine not "
        "found): it does not exist, exists no more, or is too new to be seen yet"
    )

    assert expected == str(refused(READ, 404, {}, body("not_found: machine not found")))


def test_error_carries_what_a_program_needs() -> None:
    """Where, which and how long, for logs and for the next step."""
    headers = {"fly-request-id": "01REQ-ams", "Retry-After": "7"}
    error = refused(READ, 429, headers, body("resource_exhausted: slow down"))

    assert ("GET", READ.path) == (error.method, error.path)
    assert ("01REQ-ams", "resource_exhausted", 7.0) == (
        error.request_id,
        error.code,
        error.retry_after,
    )


def test_error_survives_pickling() -> None:
    """It may travel to another process with all it says."""
    error = refused(READ, 429, {"Retry-After": "7"}, body("slow down"))
    again = pickle.loads(pickle.dumps(error))

    assert (str(error), vars(error)) == (str(again), vars(again))


@pytest.mark.parametrize(
    ("expected", "retry_after"),
    [
        (0.5, "0.5"),
        (0.0, ""),
        (0.0, "-3"),
        (0.0, "nan"),
        (0.0, "inf"),
        (0.0, "Wed, 21 Oct 2026 07:28:00 GMT"),
    ],
)
def test_retry_after_is_a_usable_number(expected: float, retry_after: str) -> None:
    """Rubbish never makes anybody sleep for ever."""
    assert expected == refused(READ, 429, {"Retry-After": retry_after}, b"").retry_after


@pytest.mark.parametrize(
    ("expected", "code", "answer"),
    [
        ("(not_found: gone)", "not_found", b'{"error": "not_found: gone"}'),
        ("(b)", "", b'{"error": "a", "message": "b"}'),
        ("(no room)", "name_taken", b'{"error": "no room", "status": "name_taken"}'),
        ("(a)", "", b'{"error": "a", "status": {"odd": 1}}'),
        ("with 400: ", "", b'{"error": {"odd": 1}}'),
        ("(App not found)", "", b"App not found\n"),
        ('({"error": "not_fou)', "", b'{"error": "not_fou'),
        ("with 400: ", "", b"<!doctype html><h1>400</h1>"),
        ("(['a'])", "", b'["a"]'),
        ("(a b)", "", b'{"error": "a\\n\\n b\\u001b"}'),
        ("with 400: ", "", b""),
    ],
)
def test_body_is_read_in_every_form(expected: str, code: str, answer: bytes) -> None:
    """JSON of Fly, of somebody else, cut short, or none at all."""
    error = refused(CREATE, 400, {}, answer)

    assert expected in str(error)
    assert code == error.code


def test_long_answer_is_cut() -> None:
    """A page of text does not fill the log."""
    assert len(str(refused(CREATE, 400, {}, b"x" * 100_000))) < 500


def test_secret_that_fly_quotes_is_blanked() -> None:
    """Neither in one piece nor folded into one line is it shown."""
    call = Call(
        method="POST", path="/", idempotent=False, secrets=("hunter2", "-----A\nkey")
    )
    error = refused(call, 400, {}, body("bad env hunter2 and -----A\nkey"))

    assert "(bad env *** and ***)" in str(error)
    assert "hunter2" not in repr(call)


def test_name_clash_tells_which_machine_has_the_name() -> None:
    """It can be adopted without trusting the list."""
    clash = refused(CREATE, 409, {}, body(NAME))
    other = refused(CREATE, 409, {}, body(LEASE))

    assert isinstance(clash, MachineConflict)
    assert isinstance(other, MachineConflict)
    assert ("148ed599c14189", "") == (
        existing_machine_id(clash),
        existing_machine_id(other),
    )


@pytest.mark.parametrize(
    ("expected", "call", "sent"),
    [
        ("retry", CREATE, False),
        ("ambiguous", CREATE, True),
        ("retry", READ, False),
        ("retry", READ, True),
    ],
)
def test_silence_after_a_create_is_ambiguous(
    expected: str, call: Call, *, sent: bool
) -> None:
    """What never left, or does nothing twice, is simply sent again."""
    error = unanswered(call, sent=sent, reason="as the connection broke")

    assert (expected, 0, "") == (error.refusal, error.status, error.code)
    assert f"{call} got no answer, as the connection broke" in str(error)


def test_unreadable_success_of_a_create_is_ambiguous() -> None:
    """It was done, and its reply is lost."""
    error = unreadable(CREATE, 200, {"fly-request-id": "01R"}, "a machine")

    assert ("ambiguous", 200, "01R") == (error.refusal, error.status, error.request_id)


@given(
    status=st.integers(300, 599), answer=st.binary(max_size=60) | st.text().map(body)
)
def test_every_answer_becomes_an_error_with_advice(status: int, answer: bytes) -> None:
    """Nothing that a server may say breaks the reading of it."""
    assert refused(CREATE, status, {}, answer).refusal in REFUSALS
