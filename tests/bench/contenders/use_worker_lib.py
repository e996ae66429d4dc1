"""worker_lib: its launcher asks the emulator of Fly's API for machines."""

from __future__ import annotations

import os
import time

from worker_lib import fly_task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NOTE = "machines are processes of the emulator, asked for by the launcher; linger=60s"
BULK = "delay_many"


@fly_task(max_machines=1, linger="60s")
def echo(value: str) -> str:
    """Return what was given."""
    return value


@fly_task(max_machines=1, linger="60s")
def nap(seconds: float) -> int:
    """Sleep."""
    time.sleep(seconds)
    return os.getpid()


tasks: dict[str, Any] = {"echo": echo, "nap": nap}


def call(task: str, *args: Any) -> Any:
    """Store one call."""
    return tasks[task].delay(*args)


def result(handle: Any) -> Any:
    """Wait for its result."""
    return handle.result(60)


def bulk(task: str, arguments: list[tuple[Any, ...]]) -> Any:
    """Store many as a batch."""
    return tasks[task].delay_many(arguments)


def gather(handle: Any) -> list[Any]:
    """Wait for the results of all."""
    return list(handle.results(timeout=120))


def left(handle: Any) -> int:
    """Return how many have not ended."""
    return len(handle) - int(handle.counts["succeeded"])


def drained_among(jobs: int, behind: int, pools: int) -> float:
    """Return jobs done a second, while others wait behind them or in other pools."""
    from worker_lib import Queue

    main, aside = Queue("default"), Queue("aside")
    main.pause()
    aside.pause()
    for number in range(pools):
        echo.options(queue="aside", env={"POOL": str(number)}).delay("")
    first = bulk("echo", [("x" * 100,)] * jobs)
    if behind:
        bulk("echo", [("x" * 100,)] * behind)
    main.resume()
    while not (done := jobs - left(first)):
        time.sleep(0.005)
    began = time.perf_counter()
    while left(first):
        time.sleep(0.005)
    return (jobs - done) / (time.perf_counter() - began)


class Workers:
    """Machines of a namespace that is new each time, as are pool and limits then."""

    def __init__(self) -> None:
        self._client: Any = None

    def prepare(self, count: int) -> None:
        """Let calls ask for so many machines; 0: for none."""
        import secrets

        from worker_lib.client import client as clients
        from worker_lib.settings import Settings

        self.stop()
        settings = Settings.load(
            os.environ,
            namespace=f"bench-{secrets.token_hex(4)}",
            **({} if count else {"fly_api_token": ""}),
        )
        self._client = clients._default = clients.Client(settings)
        tasks["echo"] = echo.options(max_machines=max(1, count))
        tasks["nap"] = nap.options(max_machines=max(1, count))

    def launch(self, _count: int, *, alone: bool) -> None:
        """Do nothing: the launcher does."""

    def roots(self, workers: set[int]) -> list[int]:
        """Return the supervisors of these children."""
        return [_parent(pid) for pid in workers]

    def stop(self) -> None:
        """Destroy the machines."""
        if self._client is None:
            return
        self._client.close()
        if self._client.settings.fly_api_token:
            _destroy_machines(self._client.launcher.api)
        self._client = None


def _destroy_machines(api: Any) -> None:
    import contextlib

    from worker_lib.errors import MachineNotFound

    while machines := api.list_machines():
        for machine in machines:
            with contextlib.suppress(MachineNotFound):
                api.destroy_machine(machine.id)
        time.sleep(0.01)


def _parent(pid: int) -> int:
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        return int(file.read().rpartition(")")[2].split()[1])
