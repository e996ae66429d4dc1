"""Sessions: whose they are, what they keep, and what they must not pick up."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
import requests

from worker_lib.errors import MachinesApiError
from worker_lib.machines.api import MachinesApi

from .conftest import CANARY, MACHINES

if TYPE_CHECKING:
    from pathlib import Path

    import responses

ONE = f"{MACHINES}/148e"
REPLY = {"id": "148e"}


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> list[requests.Session]:
    """Return the session of each request, in order."""
    seen: list[requests.Session] = []
    send = requests.Session.request

    def request(session: requests.Session, *args: str, **kwargs: object) -> object:
        seen.append(session)
        return send(session, *args, **kwargs)  # type: ignore[arg-type] # as it came

    monkeypatch.setattr(requests.Session, "request", request)
    return seen


def test_each_thread_has_a_session_of_its_own(
    api: MachinesApi, fly: responses.RequestsMock, used: list[requests.Session]
) -> None:
    """Requests does not promise that threads may share one."""
    fly.get(ONE, json=REPLY)

    api.get_machine("148e")
    api.get_machine("148e")
    thread = threading.Thread(target=api.get_machine, args=("148e",))
    thread.start()
    thread.join()

    here, again, there = used
    assert here is again
    assert here is not there


def test_forked_process_has_a_session_of_its_own(
    api: MachinesApi,
    fly: responses.RequestsMock,
    used: list[requests.Session],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two processes on one connection would read each other's answers."""
    fly.get(ONE, json=REPLY)

    api.get_machine("148e")
    monkeypatch.setattr(os, "getpid", lambda: -1)
    api.get_machine("148e")

    assert used[0] is not used[1]


def test_close_closes_what_was_opened(
    api: MachinesApi, fly: responses.RequestsMock, used: list[requests.Session]
) -> None:
    """And the client works again afterwards."""
    fly.get(ONE, json=REPLY)
    api.get_machine("148e")
    closed: list[bool] = []
    used[0].close = lambda: closed.append(True)  # type: ignore[method-assign] # a spy

    api.close()

    assert [True] == closed
    assert "148e" == api.get_machine("148e").id


def test_cookies_are_kept(api: MachinesApi, fly: responses.RequestsMock) -> None:
    """Fly sends a caller back to the server that knows its machines."""
    cookie = "fly_flaps_affinity=a1; Path=/v1/apps/jobs"
    fly.get(ONE, json=REPLY, headers={"Set-Cookie": cookie})

    api.get_machine("148e")
    api.get_machine("148e")

    assert "fly_flaps_affinity=a1" == fly.calls[1].request.headers["Cookie"]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirect_is_an_error_and_never_followed(
    status: int, api: MachinesApi, fly: responses.RequestsMock
) -> None:
    """The token stays with the host it was meant for."""
    fly.get(ONE, status=status, headers={"Location": "https://evil.example/"})

    with pytest.raises(MachinesApiError, match="never followed") as caught:
        api.get_machine("148e")

    assert ("person", 1) == (caught.value.refusal, len(fly.calls))


def test_password_file_does_not_replace_the_token(
    api: MachinesApi,
    fly: responses.RequestsMock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Requests puts what ~/.netrc says into Authorization, unless stopped."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine api.machines.dev login me password wrong\n")
    monkeypatch.setenv("NETRC", str(netrc))
    fly.get(ONE, json=REPLY)

    api.get_machine("148e")

    assert f"FlyV1 {CANARY}" == fly.calls[0].request.headers["Authorization"]


@pytest.mark.parametrize(
    ("expected", "base_url"),
    [(None, "http://127.0.0.1:9"), ("http://proxy:1", "https://api.machines.dev")],
)
def test_plain_http_takes_no_proxy(
    expected: str | None,
    base_url: str,
    fly: responses.RequestsMock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A proxy would read the token, and has no way into a private network."""
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:1")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    url = f"{base_url}/v1/apps/jobs/machines/148e"
    fly.get(url, json=REPLY)

    MachinesApi(base_url, CANARY, "jobs").get_machine("148e")

    options = fly.calls[0].request.req_kwargs  # type: ignore[attr-defined] # of responses
    scheme = base_url.partition(":")[0]
    assert expected == (options["proxies"].get(scheme) or None)


@pytest.mark.parametrize("module", ["", ".types", ".errors", ".address"])
def test_only_the_transport_loads_requests(module: str) -> None:
    """Whoever reads a type or a price does not pay 170 ms for HTTP."""
    code = f"import sys, worker_lib.machines{module}; print('requests' in sys.modules)"
    command = [sys.executable, "-c", code]

    assert "False" == subprocess.check_output(command, text=True).strip()
