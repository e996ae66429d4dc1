"""The Machines API, one method per verb that this library uses.

What is not said here about a verb is in Fly's OpenAPI file 1.0, under the path that
the method sends to.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from worker_lib.errors import (
    ConfigError,
    MachineNotFound,
    MachinesApiError,
    MachineWaitTimeout,
)
from worker_lib.fly.protocol import MAX_WAIT
from worker_lib.machines.address import segment
from worker_lib.machines.errors import existing_machine_id
from worker_lib.machines.transport import Transport
from worker_lib.machines.types import Machine

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["MachinesApi"]


class MachinesApi:
    """A client of one app's machines, safe to use from many threads.

    Every method raises a `MachinesApiError` if the API refuses or does not answer;
    the error's `refusal` says what to do. Calls that may be sent twice are tried
    three times on 502, 503 and connection trouble, with 0.1 to 1 s in between, as
    Fly's own client does (fly-go, http.go). A create is sent once, and nothing waits
    out a 429.

    Args:
        base_url: `https://api.machines.dev`, or plain http on a private network.
        token: Any token that Fly gives out, with or without its scheme.
        app: The app that machine calls go to.
        timeout: Seconds to connect in, and seconds of silence before an answer is
            given up.
        sleep: Called with the seconds between two tries.

    Raises:
        ConfigError: the address, the token or the app cannot work.
    """

    def __init__(
        self,
        base_url: str,
        token: str,
        app: str,
        *,
        timeout: float = 10.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not app.strip("."):
            raise ConfigError("FLY_TASKS_APP is empty: name the app to run machines in")
        self.app = app
        self._transport = Transport(base_url, token, timeout=timeout, sleep=sleep)
        self._send = self._transport.send

    def __repr__(self) -> str:
        return f"MachinesApi(app={self.app!r}, base_url={self._transport.base_url!r})"

    def create_machine(
        self, *, name: str, region: str | None, config: Mapping[str, Any]
    ) -> Machine:
        """Create a machine and start it; return it as `created`, not yet running.

        Sent once. An error with refusal `ambiguous` leaves open whether it was
        made: look it up with `find_machine`, or send it again under the same name,
        which Fly lets exist only once per app.

        Args:
            name: Unique in the app.
            region: One region, or a list in order of preference (`ams,fra`), which
                Fly works through by itself (guide, "Machine placement"). None: near
                the caller.
            config: The API's `config` object; `image` is all it needs.
        """
        body = {"name": name, "config": dict(config)}
        body |= {"region": region} if region else {}
        path = self._machines()
        return self._send("POST", path, body=body, idempotent=False).machine()

    def get_machine(self, machine_id: str) -> Machine:
        """Return a machine, also a destroyed one for a while.

        Raises:
            MachineNotFound: there is none, it is gone for good, or it is so new
                that this part of Fly has not heard of it.
        """
        return self._send("GET", self._machines(machine_id)).machine()

    def find_machine(
        self,
        name: str,
        *,
        metadata: Mapping[str, str],
        refused: MachinesApiError | None = None,
    ) -> Machine | None:
        """Return the machine of this name that is not going away, or None.

        None is no proof that there is none: the list may be stale.

        Args:
            name: Its name.
            metadata: What it must have.
            refused: Why a create under this name failed. If that tells which machine
                has the name, it is found before any list shows it.
        """
        taken_by = existing_machine_id(refused) if refused is not None else ""
        if not taken_by:
            found = self.list_machines(metadata=metadata)
            return next((m for m in found if m.name == name and not m.is_gone), None)
        try:
            machine = self.get_machine(taken_by)
        except MachineNotFound:  # so new that this part of Fly has not heard of it
            return None
        is_it = metadata.items() <= machine.metadata.items() and not machine.is_gone
        return machine if is_it else None

    def list_machines(
        self,
        *,
        metadata: Mapping[str, str] | None = None,
        include_deleted: bool = False,
    ) -> list[Machine]:
        """Return the app's machines; the list may be stale, or empty for a moment.

        Args:
            metadata: Only machines with all of these. The filter is in Fly's guide
                and not in its OpenAPI file, so it is applied here again.
            include_deleted: Destroyed ones too, as long as Fly keeps them.
        """
        wanted = dict(metadata or {})
        query = {f"metadata.{key}": value for key, value in wanted.items()}
        query |= {"include_deleted": "true"} if include_deleted else {}
        listed = self._send("GET", self._machines(), query=query)
        machines = map(Machine.from_json, listed.objects("a list of machines"))
        return [m for m in machines if wanted.items() <= m.metadata.items()]

    def start_machine(self, machine_id: str) -> str:
        """Start a machine that is stopped or suspended; return the state it was in.

        One that runs already stays as it is. The answer does not wait for the boot.

        Raises:
            MachineNotFound: there is none any more.
            MachineConflict: it is still stopping (`retry`: Fly goes on refusing for
                some seconds after it is shown as stopped), or its host has no room
                for it any more (`next_region`).
        """
        path = self._machines(machine_id, "start")
        answer = self._send("POST", path).json(dict, "the machine's former state")
        return str(answer.get("previous_state") or "")

    def stop_machine(self, machine_id: str, *, signal: str, timeout: float) -> None:
        """Ask a machine to stop; the answer does not wait for that.

        One that has stopped already stays as it is.

        Args:
            machine_id: The machine.
            signal: That its process gets, as `SIGTERM`.
            timeout: Whole seconds until it is killed.

        Raises:
            MachineNotFound: there is none any more.
            MachineConflict: it is in a state in which it cannot be stopped.
        """
        body = {"signal": signal, "timeout": f"{timeout:.0f}s"}
        self._send("POST", self._machines(machine_id, "stop"), body=body)

    def destroy_machine(self, machine_id: str) -> None:
        """Kill and destroy a machine; one that is not there counts as destroyed."""
        path = self._machines(machine_id)
        try:
            self._send("DELETE", path, query={"force": "true"})
        except MachineNotFound:
            return

    def wait_until_destroyed(self, machine_id: str, timeout: float) -> Machine:
        """Block until a machine is destroyed; return it as last seen.

        Sent once, so that it ends in time. What comes back may be a step behind:
        third parties have read `destroying` after this wait.

        Args:
            machine_id: The machine.
            timeout: Seconds; sent as whole seconds, clamped to 1..60.

        Raises:
            MachineWaitTimeout: not there yet; it may still arrive.

        Source: Fly's OpenAPI file, "Wait for State" (default 60); the clamp is
        fly-go's, flaps/flaps_machines_wait.go; 404 and 408 as in flyctl.
        """
        seconds = int(min(max(timeout, 1), MAX_WAIT))
        try:
            self._wait(machine_id, seconds)
            return self.get_machine(machine_id)
        except MachineNotFound:
            return Machine(id=machine_id, state="destroyed")

    def close(self) -> None:
        """Close the connections of every thread; the next call opens new ones."""
        self._transport.close()

    def _machines(self, *parts: str) -> str:
        path = f"/v1/apps/{segment(self.app)}/machines"
        return "/".join([path, *map(segment, parts)])

    def _wait(self, machine_id: str, seconds: int) -> None:
        path = self._machines(machine_id, "wait")
        query = {"state": "destroyed", "timeout": str(seconds)}
        try:
            self._send("GET", path, query=query, patience=seconds)
        except MachinesApiError as exc:
            if exc.status != 408:
                raise
            raise MachineWaitTimeout(
                f"machine {machine_id} was not destroyed after {seconds} s: it may "
                "still be, so wait again or look at its events"
            ) from exc
