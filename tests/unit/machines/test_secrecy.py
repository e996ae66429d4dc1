"""No error shows the token, a header or what was sent, however it is printed."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

import pytest
import requests

from worker_lib.errors import MachineError

from .conftest import CANARY, MACHINES

if TYPE_CHECKING:
    import responses

    from worker_lib.machines.api import MachinesApi

CONFIG = {
    "image": "i",
    "env": {"REDIS_URL": "redis://default:CANARYpassword@fly-jobs.upstash.io:6379"},
}
ECHO = f"bad request: {CONFIG}, Authorization: FlyV1 {CANARY}"


def shown(error: BaseException | None) -> str:
    """Return all that a log or a debugger's first look may show of an error."""
    texts: list[str] = []
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        texts += [str(error), repr(error), *traceback.format_exception(error)]
        for value in [*vars(error).values(), *error.args]:
            texts += [repr(value), repr(getattr(value, "__dict__", ""))]
        error = error.__cause__ or error.__context__
    return "\n".join(texts)


@pytest.mark.parametrize("answer", [ECHO, f'{{"error": "{ECHO}"}}', CANARY])
@pytest.mark.parametrize("status", [302, 400, 401, 409, 422, 429, 500])
def test_refusal_shows_no_secret_even_if_fly_quotes_it(
    status: int, answer: str, api: MachinesApi, fly: responses.RequestsMock
) -> None:
    """Token and environment are blanked out of Fly's words."""
    fly.post(MACHINES, status=status, body=answer, headers={"X-Echo": CANARY})

    with pytest.raises(MachineError) as caught:
        api.create_machine(name="jobs-1", region=None, config=CONFIG)

    assert "CANARY" not in shown(caught.value)


@pytest.mark.parametrize(
    "trouble",
    [
        requests.ConnectionError,
        requests.ConnectTimeout,
        requests.ReadTimeout,
        requests.exceptions.ChunkedEncodingError,
    ],
)
def test_silence_shows_no_secret_in_its_cause(
    trouble: type[requests.RequestException],
    api: MachinesApi,
    fly: responses.RequestsMock,
) -> None:
    """Requests hangs the whole request, token included, on what it raises."""

    def fail(request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        raise trouble("no luck", request=request)

    fly.add_callback("POST", MACHINES, fail)

    with pytest.raises(MachineError) as caught:
        api.create_machine(name="jobs-1", region=None, config=CONFIG)

    assert isinstance(caught.value.__cause__, trouble)
    assert "CANARY" not in shown(caught.value)


def test_client_does_not_show_its_token(api: MachinesApi) -> None:
    """Not even what it is made of does, in a debugger's list of attributes."""
    shown_parts = [repr(api), str(api), *map(repr, vars(api).values())]

    assert "CANARY" not in "".join(shown_parts)
