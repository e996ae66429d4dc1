"""The Machines API, one method per verb.

What is not said here about a verb is in Fly's OpenAPI file 1.0, under the path that
the method sends to.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from worker_lib.errors import (
    ConfigError,
    MachineNotFound,
    MachinesApiError,
    MachineWaitTimeout,
)
from worker_lib.machines.address import segment
from worker_lib.machines.transport import Transport
from worker_lib.machines.types import (
    App,
    Lease,
    Machine,
    MachineEvent,
    MachineState,
    MachineVersion,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import requests

__all__ = ["MachinesApi"]

_LONGEST_WAIT: Final = 60


class MachinesApi:
    """A client of one app's machines, safe to use from many threads.

    Every method raises a `MachinesApiError` if the API refuses or does not answer;
    the error's `refusal` says what to do. Calls that may be sent twice are tried
    three times on 502, 503 and connection trouble, with 0.1 to 1 s in between, as
    Fly's own client does (fly-go, http.go). Creating, updating, restarting and
    signalling are sent once, and nothing waits out a 429.

    Args:
        base_url: `https://api.machines.dev`, or plain http on a private network.
        token: Any token that Fly gives out, with or without its scheme.
        app: The app that machine calls go to.
        timeout: Seconds to connect in, and seconds of silence before an answer is
            given up.
        session: One to use from every thread, left open by `close`. None: one per
            thread and process, as `requests` promises no more than that.
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
        session: requests.Session | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not app.strip("."):
            raise ConfigError("FLY_TASKS_APP is empty: name the app to run machines in")
        self.app = app
        self._transport = Transport(
            base_url, token, timeout=timeout, session=session, sleep=sleep
        )
        self._send = self._transport.send

    def __repr__(self) -> str:
        return f"MachinesApi(app={self.app!r}, base_url={self._transport.base_url!r})"

    def create_machine(
        self,
        *,
        name: str,
        region: str | None,
        config: Mapping[str, Any],
        skip_launch: bool = False,
    ) -> Machine:
        """Create a machine and start it; return it as `created`, not yet running.

        Sent once. An error with refusal `ambiguous` leaves open whether it was
        made: look it up with `find_machine`, adopt it, or send it again under the
        same name, which Fly lets exist only once per app.

        Args:
            name: Unique in the app.
            region: One region, or a list in order of preference (`ams,fra`), which
                Fly works through by itself (guide, "Machine placement"). None: near
                the caller.
            config: The API's `config` object; `image` is all it needs.
            skip_launch: Prepare only: it goes to `stopped`.
        """
        body = {"name": name, "config": dict(config)}
        body |= _given(region=region, skip_launch=skip_launch)
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
        self, name: str, *, metadata: Mapping[str, str] | None = None
    ) -> Machine | None:
        """Return the machine of this name that is not going away, or None.

        None is no proof that there is none: the list may be stale.
        """
        for machine in self.list_machines(metadata=metadata):
            if machine.name == name and not machine.is_gone:
                return machine
        return None

    def list_machines(
        self,
        *,
        metadata: Mapping[str, str] | None = None,
        include_deleted: bool = False,
        region: str | None = None,
        states: Iterable[MachineState] = (),
    ) -> list[Machine]:
        """Return the app's machines; the list may be stale, or empty for a moment.

        Args:
            metadata: Only machines with all of these. The filter is in Fly's guide
                and not in its OpenAPI file, so it is applied here again.
            include_deleted: Destroyed ones too, as long as Fly keeps them.
            region: Only machines there.
            states: Only machines in one of these; none means any.
        """
        wanted = dict(metadata or {})
        query = {f"metadata.{key}": value for key, value in wanted.items()}
        query |= _given(
            include_deleted="true" if include_deleted else "",
            region=region,
            state=",".join(states),
        )
        listed = self._send("GET", self._machines(), query=query)
        machines = map(Machine.from_json, listed.objects("a list of machines"))
        return [m for m in machines if wanted.items() <= m.metadata.items()]

    def update_machine(
        self,
        machine_id: str,
        *,
        config: Mapping[str, Any],
        current_version: str = "",
        skip_launch: bool = False,
        lease_nonce: str = "",
    ) -> Machine:
        """Replace the whole config, restarting the machine if it runs.

        Sent once; `ambiguous` if it may have been done.

        Args:
            machine_id: The machine; its name and region cannot change.
            config: All of it: what is left out is gone afterwards.
            current_version: The `instance_id` it must still have, or "" for any.
            skip_launch: Do not start it.
            lease_nonce: Of the lease that is held on it.
        """
        body = {"config": dict(config)}
        body |= _given(current_version=current_version, skip_launch=skip_launch)
        path = self._machines(machine_id)
        return self._send(
            "POST", path, body=body, nonce=lease_nonce, idempotent=False
        ).machine()

    def start_machine(self, machine_id: str, *, lease_nonce: str = "") -> None:
        """Start a stopped machine or resume a suspended one; do not wait for it.

        Raises:
            MachineConflict: 412, its state forbids it for now, `created` included.
        """
        self._send("POST", self._machines(machine_id, "start"), nonce=lease_nonce)

    def stop_machine(
        self,
        machine_id: str,
        *,
        signal: str = "SIGTERM",
        timeout: float | None = None,
        lease_nonce: str = "",
    ) -> None:
        """Ask a machine to stop; do not wait for it.

        Args:
            machine_id: The machine.
            signal: Sent to its main process first. Always sent along: Fly's pages
                disagree on the default.
            timeout: Seconds until it is killed, 300 at most. None: 5, or what its
                config says (Fly's guide, "Configuration", `kill_timeout`).
            lease_nonce: Of the lease that is held on it.
        """
        body = _given(signal=signal, timeout=_duration(timeout))
        path = self._machines(machine_id, "stop")
        self._send("POST", path, body=body, nonce=lease_nonce)

    def suspend_machine(self, machine_id: str, *, lease_nonce: str = "") -> None:
        """Save the machine's memory and pause it; the next start resumes it."""
        self._send("POST", self._machines(machine_id, "suspend"), nonce=lease_nonce)

    def restart_machine(
        self,
        machine_id: str,
        *,
        signal: str | None = None,
        timeout: float | None = None,
        lease_nonce: str = "",
    ) -> None:
        """Stop and start a machine. Sent once: a second one would stop it again.

        Args:
            machine_id: The machine.
            signal: As for `stop_machine`; None leaves it to Fly.
            timeout: As for `stop_machine`.
            lease_nonce: Of the lease that is held on it.
        """
        query = _given(signal=signal, timeout=_duration(timeout))
        path = self._machines(machine_id, "restart")
        self._send("POST", path, query=query, nonce=lease_nonce, idempotent=False)

    def signal_machine(self, machine_id: str, signal: str) -> None:
        """Send a signal to the main process, once; `signal` is as in `SIGTERM`."""
        path = self._machines(machine_id, "signal")
        self._send("POST", path, body={"signal": signal}, idempotent=False)

    def cordon(self, machine_id: str, *, lease_nonce: str = "") -> None:
        """Have Fly's proxy send the machine nothing any more."""
        self._send("POST", self._machines(machine_id, "cordon"), nonce=lease_nonce)

    def uncordon(self, machine_id: str, *, lease_nonce: str = "") -> None:
        """Have Fly's proxy use the machine again."""
        self._send("POST", self._machines(machine_id, "uncordon"), nonce=lease_nonce)

    def destroy_machine(
        self, machine_id: str, *, force: bool = False, lease_nonce: str = ""
    ) -> None:
        """Destroy a machine; one that is not there counts as destroyed.

        Args:
            machine_id: The machine.
            force: Kill it if it runs. Without, a running one is refused with 412,
                as third parties have seen.
            lease_nonce: Of the lease that is held on it.

        Raises:
            MachineConflict: it runs, and `force` is not set.
        """
        self._delete(self._machines(machine_id), force=force, nonce=lease_nonce)

    def wait(
        self,
        machine_id: str,
        state: MachineState,
        timeout: float,
        *,
        instance_id: str | None = None,
    ) -> Machine:
        """Block until the machine is in `state`; return it as last seen.

        Sent once, so that it ends in time. What comes back may be a step behind:
        third parties have read `destroying` after waiting for `destroyed`.

        Args:
            machine_id: The machine.
            state: `started`, `stopped`, `suspended`, `destroyed` or `failed`: Fly
                waits for no other.
            timeout: Seconds; sent as whole seconds, clamped to 1..60.
            instance_id: Wait for this version of the machine, not for any.

        Raises:
            MachineWaitTimeout: not there yet; it may still arrive.
            MachineNotFound: it is gone, unless that was waited for.

        Source: Fly's OpenAPI file, "Wait for State" (default 60); the clamp is
        fly-go's, flaps/flaps_machines_wait.go; 404 and 408 as in flyctl.
        """
        seconds = int(min(max(timeout, 1), _LONGEST_WAIT))
        query = _given(state=state, timeout=str(seconds), version=instance_id)
        try:
            self._wait(machine_id, query, seconds)
            return self.get_machine(machine_id)
        except MachineNotFound:
            if state != "destroyed":
                raise
            return Machine(id=machine_id, state=state)

    def events(self, machine_id: str, *, limit: int = 20) -> list[MachineEvent]:
        """Return what happened to a machine, newest first; Fly gives 50 at most."""
        path = self._machines(machine_id, "events")
        listed = self._send("GET", path, query={"limit": str(limit)})
        return [MachineEvent.from_json(item) for item in listed.objects("events")]

    def list_versions(self, machine_id: str) -> list[MachineVersion]:
        """Return every config that a machine has had."""
        listed = self._send("GET", self._machines(machine_id, "versions"))
        return [MachineVersion.from_json(item) for item in listed.objects("versions")]

    def acquire_lease(
        self, machine_id: str, *, ttl: int, description: str = ""
    ) -> Lease:
        """Take the exclusive right to change a machine for `ttl` seconds.

        Sent once: a lost reply takes its nonce along, and the lease then has to
        run out.

        Raises:
            MachineConflict: somebody else has it.
        """
        path = self._machines(machine_id, "lease")
        body = {"ttl": ttl, "description": description}
        return self._send("POST", path, body=body, idempotent=False).lease()

    def get_lease(self, machine_id: str) -> Lease:
        """Return the lease that is held on a machine.

        Raises:
            MachineNotFound: there is none.
        """
        return self._send("GET", self._machines(machine_id, "lease")).lease()

    def refresh_lease(self, machine_id: str, nonce: str, *, ttl: int) -> Lease:
        """Hold a lease for `ttl` seconds from now."""
        path = self._machines(machine_id, "lease")
        return self._send("POST", path, body={"ttl": ttl}, nonce=nonce).lease()

    def release_lease(self, machine_id: str, nonce: str) -> None:
        """Give a lease back; one that is not there counts as given back."""
        self._delete(self._machines(machine_id, "lease"), nonce=nonce)

    def get_metadata(self, machine_id: str) -> dict[str, str]:
        """Return a machine's metadata."""
        path = self._machines(machine_id, "metadata")
        return self._send("GET", path).json(dict, "metadata")

    def set_metadata(self, machine_id: str, key: str, value: str) -> None:
        """Set one key; it makes no new version and needs no lease. "" removes it."""
        path = self._machines(machine_id, "metadata", key)
        self._send("POST", path, body={"value": value})

    def delete_metadata(self, machine_id: str, key: str) -> None:
        """Remove one key; one that is not there counts as removed."""
        self._delete(self._machines(machine_id, "metadata", key))

    def create_app(self, name: str, *, org_slug: str = "personal") -> App:
        """Create an app; what comes back has little more than its id.

        Raises:
            InvalidRequest: somebody has the name: it is unique in all of Fly.
        """
        body = {"name": name, "org_slug": org_slug}
        made = self._send("POST", "/v1/apps", body=body, idempotent=False)
        return App.from_json({"name": name} | made.json(dict, "an app"))

    def get_app(self, name: str | None = None) -> App:
        """Return an app; None means this client's own.

        Raises:
            MachineNotFound: no such app.
            Unauthorized: it belongs to an organization the token is not for.
        """
        path = f"/v1/apps/{segment(name or self.app)}"
        return App.from_json(self._send("GET", path).json(dict, "an app"))

    def list_apps(self, *, org_slug: str = "personal") -> list[App]:
        """Return the apps of an organization."""
        listed = self._send("GET", "/v1/apps", query={"org_slug": org_slug})
        apps = listed.json(dict, "a list of apps").get("apps") or []
        return [App.from_json(app) for app in apps]

    def delete_app(self, name: str, *, force: bool = False) -> None:
        """Delete an app; one that is not there counts as deleted.

        Args:
            name: The app, always named in full: there is no way back.
            force: Also if it has machines.
        """
        self._delete(f"/v1/apps/{segment(name)}", force=force)

    def set_secrets(self, values: Mapping[str, str | None]) -> int:
        """Set secrets of this client's app; None removes one.

        A machine sees them only after its next update.

        Returns:
            The version of the app's secrets that has them.
        """
        path = f"/v1/apps/{segment(self.app)}/secrets"
        body = {"values": dict(values)}
        reply = self._send("POST", path, body=body).json(dict, "a version")
        return int(reply.get("version") or 0)

    def close(self) -> None:
        """Close the connections of every thread; the next call opens new ones."""
        self._transport.close()

    def _machines(self, *parts: str) -> str:
        path = f"/v1/apps/{segment(self.app)}/machines"
        return "/".join([path, *map(segment, parts)])

    def _delete(self, path: str, *, force: bool = False, nonce: str = "") -> None:
        query = _given(force="true" if force else "")
        try:
            self._send("DELETE", path, query=query, nonce=nonce)
        except MachineNotFound:
            return

    def _wait(self, machine_id: str, query: Mapping[str, str], seconds: int) -> None:
        path = self._machines(machine_id, "wait")
        try:
            self._send("GET", path, query=query, patience=seconds)
        except MachinesApiError as exc:
            if exc.status != 408:
                raise
            raise MachineWaitTimeout(
                f"machine {machine_id} was not {query['state']} after {seconds} s: "
                "it may still arrive, so wait again or look at its events"
            ) from exc


def _given(**fields: str | bool | None) -> dict[str, Any]:
    """Return the fields that are set; Fly takes an absent one for its default."""
    return {name: value for name, value in fields.items() if value}


def _duration(seconds: float | None) -> str:
    """Return a time as Go spells it, which Fly reads, or "" for none."""
    return "" if seconds is None else f"{round(seconds, 3)}s"
