"""The `Emulator`: builds all parts, starts and stops them."""

from __future__ import annotations

import secrets
import threading
from typing import TYPE_CHECKING, Any, Self

from worker_lib.emulator.access import Access
from worker_lib.emulator.backend import Backend
from worker_lib.emulator.billing import BillingMeter
from worker_lib.emulator.dispatch import Dispatcher
from worker_lib.emulator.endpoints.admin import request_counts
from worker_lib.emulator.engine import Engine
from worker_lib.emulator.faults import FaultInjector, FaultRule
from worker_lib.emulator.fleet import Fleet
from worker_lib.emulator.lifecycle import Lifecycle
from worker_lib.emulator.machine_sockets import MachineSockets
from worker_lib.emulator.options import EmulatorOptions
from worker_lib.emulator.runtimes.process import ProcessRuntime
from worker_lib.emulator.server import ApiServer
from worker_lib.emulator.validation import checked_secrets
from worker_lib.emulator.views import machine_view
from worker_lib.errors import ConfigError
from worker_lib.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from worker_lib.emulator.runtimes import Runtime

log = get_logger("emulator")

_JOIN_TIMEOUT = 5.0
_TOKEN_BYTES = 24


class Emulator:
    """The Machines API on a local port, with machines on this computer.

    Use it as a context manager, or call `start` and `stop`, once. Only the logs in
    `state_dir` stay for the next emulator.
    """

    def __init__(self, options: EmulatorOptions | None = None) -> None:
        options = options or EmulatorOptions()
        fleet = Fleet(options)
        meter = BillingMeter()
        runtime = _runtime(options)
        injector = FaultInjector()
        injector.set_rules(options.faults.rules, seed=options.faults.seed)
        self._sockets = MachineSockets(
            max_body_bytes=options.max_body_bytes, region=options.region
        )
        engine = Engine(
            fleet=fleet,
            runtime=runtime,
            meter=meter,
            options=options,
            injector=injector,
            sockets=self._sockets,
        )
        self._options = options
        self._tokens = options.tokens or (secrets.token_hex(_TOKEN_BYTES),)
        self._backend = Backend(
            options=options,
            fleet=fleet,
            lifecycle=Lifecycle(fleet=fleet, engine=engine, options=options),
            runtime=runtime,
            meter=meter,
            injector=injector,
        )
        self._server: ApiServer | None = None
        self._thread: threading.Thread | None = None
        self._url = ""

    @property
    def url(self) -> str:
        """Where it listens: `http://127.0.0.1:PORT`; empty before `start`."""
        return self._url

    @property
    def token(self) -> str:
        """A valid token: the first of the options, or the random one."""
        return self._tokens[0]

    def start(self) -> Self:
        """Listen, and serve from a thread; return itself.

        Raises:
            ConfigError: Something that the runtime needs is missing.
            OSError: The address is taken or the state directory cannot be written.
        """
        options = self._options
        access = Access(tokens=self._tokens, host=options.host, names=options.hosts)
        answer = Dispatcher(self._backend, access).answer
        server = ApiServer(
            (options.host, options.port),
            answer,
            max_body_bytes=options.max_body_bytes,
            region=options.region,
        )
        try:
            self._backend.runtime.open()
            self._sockets.open(answer)
        except (ConfigError, OSError):
            server.server_close()
            self._backend.runtime.close()
            raise
        self._serve(server)
        log.info("emulator_started", extra={"url": self._url})
        return self

    def _serve(self, server: ApiServer) -> None:
        self._url = f"http://{self._options.host}:{server.server_address[1]}"
        self._server = server
        self._thread = threading.Thread(
            target=server.accept_forever, name="emulator-accept", daemon=True
        )
        self._thread.start()

    def stop(self, grace: float = 2.0) -> None:
        """End every machine and stop serving; nothing happens if it does not run.

        Args:
            grace: Seconds between SIGTERM and SIGKILL.
        """
        if self._server is None or self._thread is None:
            return
        self._backend.injector.close()
        self._backend.lifecycle.shut_down(grace)
        self._server.close()
        self._sockets.close()
        self._thread.join(_JOIN_TIMEOUT)
        self._backend.runtime.close()
        self._server = self._thread = None
        log.info("emulator_stopped", extra={"url": self._url})

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def set_secrets(self, app: str, values: Mapping[str, str | None]) -> None:
        """Set an app's secrets; None removes one.

        As on Fly, a machine keeps those of when it was created or last updated.

        Raises:
            ApiError: there is no such app, or a name or value cannot be an
                environment variable.
        """
        with self._backend.fleet.lock:
            found = self._backend.fleet.app(app)
            for name, value in checked_secrets(values).items():
                found.set_secret(name, value)
            found.secrets_version += 1

    def script_faults(self, rules: Iterable[FaultRule], *, seed: int = 0) -> None:
        """Replace all fault rules in force."""
        self._backend.injector.set_rules(rules, seed=seed)

    def machines(self) -> list[dict[str, Any]]:
        """Every machine that is still shown, as the API shows it."""
        with self._backend.fleet.lock:
            return [machine_view(m) for m in self._backend.fleet.machines()]

    def billing(self) -> dict[str, Any]:
        """What the machines would have cost: the body of `/_emulator/billing`."""
        return self._backend.meter.report()

    def requests(self) -> dict[str, Any]:
        """API calls since the start: the body of `/_emulator/requests`."""
        return request_counts(self._backend)


def _runtime(options: EmulatorOptions) -> Runtime:
    if options.runtime == "process":
        return ProcessRuntime(options)
    from worker_lib.emulator.runtimes import docker  # noqa: PLC0415 - needs its extra

    return docker.DockerRuntime(options)
