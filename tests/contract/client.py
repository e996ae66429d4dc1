"""A small client of the Machines API that hides nothing: replies come back as is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import pytest
import requests
from waiting import until

from worker_lib.emulator import FaultPlan, FaultRule

from .facts import odd_reply

if TYPE_CHECKING:
    from worker_lib.emulator import Emulator


SLEEP = ["sleep", "60"]
ANY_IMAGE = "registry.fly.io/demo:latest"
on_every_runtime = pytest.mark.parametrize(
    "runtime", ["process", "docker"], indirect=True
)


def shell(script: str) -> list[str]:
    """Return the command that runs a script."""
    return ["/bin/sh", "-c", script]


def python(code: str) -> list[str]:
    """Return the command that runs Python code with the image's interpreter."""
    return ["python", "-c", code]


def boot_delay(seconds: float) -> FaultPlan:
    """Return a plan by which new machines stay `created` for a while."""
    return FaultPlan(rules=(FaultRule(state="created", delay=seconds),))


def _hold_to_the_table(reply: requests.Response, method: str, path: str) -> None:
    """Refuse a reply that Fly's would not look like, whatever a test is about."""
    is_json = reply.headers.get("Content-Type") == "application/json"
    if is_json and path.startswith("/v1"):
        body = reply.json() if reply.content else None
        assert [] == odd_reply(method, path, reply.status_code, body)


class Api:
    """Talks to one app of one emulator."""

    def __init__(
        self, emulator: Emulator, app: str = "demo", image: str = ANY_IMAGE
    ) -> None:
        self.emulator = emulator
        self._image = image
        self._app = f"/v1/apps/{app}"
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {emulator.token}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        """Send any request; a path without a leading slash is one of the app."""
        path = path if path.startswith("/") else f"{self._app}/{path}"
        reply = self._session.request(
            method, self.emulator.url + path, timeout=30, **options
        )
        _hold_to_the_table(reply, method, path)
        return reply

    def create_raw(self, **body: Any) -> requests.Response:
        """Send a create as it is."""
        return self.call("POST", "machines", json=body)

    def create(
        self, command: list[str] | None = None, *, top: Any = None, **config: Any
    ) -> dict[str, Any]:
        """Create a machine that runs a command and is not restarted; return its view.

        Args:
            command: Sleeps a minute if None.
            top: Fields of the request beside `config`.
            config: Fields of the config that are added or replaced.
        """
        whole = {
            "image": self._image,
            "init": {"exec": command or SLEEP},
            "restart": {"policy": "no"},
            **config,
        }
        reply = self.create_raw(config=whole, **(top or {}))
        assert 200 == reply.status_code, reply.text
        view: dict[str, Any] = reply.json()
        return view

    def run(
        self, command: list[str] | None = None, *, top: Any = None, **config: Any
    ) -> str:
        """Create a machine like `create` and wait until it runs; return its id."""
        machine_id: str = self.create(command, top=top, **config)["id"]
        self.wait(machine_id, "started")
        return machine_id

    def prepare(self, *, region: str = "iad", **config: Any) -> str:
        """Create a machine that has not run yet; return its id once it is stopped."""
        top = {"skip_launch": True, "region": region}
        machine_id: str = self.create(top=top, **config)["id"]
        self.wait(machine_id, "stopped")
        return machine_id

    def wait_started(self) -> dict[str, Any]:
        """Create a machine and return its view as soon as it runs."""
        view = self.create()
        self.wait(view["id"], "started")
        return view

    def get(self, machine_id: str) -> dict[str, Any]:
        """Return a machine as it is now."""
        reply = self.call("GET", f"machines/{machine_id}")
        assert 200 == reply.status_code, reply.text
        view: dict[str, Any] = reply.json()
        return view

    def post(self, machine_id: str, action: str, **body: Any) -> requests.Response:
        """Act on a machine."""
        return self.call("POST", f"machines/{machine_id}/{action}", json=body)

    def wait(self, machine_id: str, state: str) -> dict[str, Any]:
        """Block until a machine is in a state; fail if that does not happen."""
        reply = self.call("GET", f"machines/{machine_id}/wait", params={"state": state})
        assert 200 == reply.status_code, reply.text
        body: dict[str, Any] = reply.json()
        return body

    def destroy(self, machine_id: str) -> requests.Response:
        """Destroy a machine, whatever it does."""
        return self.call("DELETE", f"machines/{machine_id}?force=true")

    def log(self, machine_id: str) -> str:
        """Return what a machine has printed."""
        return self.call("GET", f"/_emulator/machines/{machine_id}/log").text

    def printed(self, machine_id: str, word: str) -> str:
        """Wait until a machine has printed a word; return all that it printed."""
        return until(lambda: text if word in (text := self.log(machine_id)) else "")

    def steps(self, machine_id: str) -> list[str]:
        """Return a machine's events as `type/status/source`, the oldest first."""
        events = self.get(machine_id)["events"]
        return [f"{e['type']}/{e['status']}/{e['source']}" for e in reversed(events)]

    def exit_event(self, machine_id: str) -> dict[str, Any]:
        """Return the latest exit event's details."""
        events = self.get(machine_id)["events"]
        found: dict[str, Any] = next(
            event["request"]["exit_event"]
            for event in events
            if "exit" == event["type"]
        )
        return found
