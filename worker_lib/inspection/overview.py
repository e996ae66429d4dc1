"""What there is at this moment: jobs by status, machines, queues, and what is wrong."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias, get_args

from worker_lib.client.client import default_client

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from worker_lib.store.views import PoolState, State

__all__ = [
    "ALERT_KINDS",
    "Alert",
    "Overview",
    "PoolSeen",
    "QueueState",
    "ServerSeen",
    "overview",
    "overview_of",
]

AlertKind: TypeAlias = Literal["eviction", "memory", "launch", "waiting", "paused"]
ALERT_KINDS: tuple[AlertKind, ...] = get_args(AlertKind)

# What waits for longer is worth a word to a person.
_LONG_WAIT = 300.0
_NEARLY_FULL = 0.8
_NO_EVICTION = "noeviction"


class QueueState(NamedTuple):
    """A queue of all pools.

    Attributes:
        waiting: Jobs that could run now, were there machines and no pause.
        paused_at: Seconds since the epoch, by Redis's clock; None if it is not paused.
        oldest_wait: Seconds that the job has waited which is next; None without one.
    """

    name: str
    waiting: int
    paused_at: float | None
    oldest_wait: float | None


class PoolSeen(NamedTuple):
    """The machines that some tasks share, and what waits for them.

    Attributes:
        id: 12 hexadecimal digits.
        size: Of its machines, as `shared-cpu-1x@256mb`; "" if that is not known.
        max_machines: At the same time.
        waiting: Jobs that could run now.
        running: Jobs that run.
        due: Jobs that are scheduled, or are tried again later.
        machines: By state.
        run_s: What its jobs took of late, in seconds; None if unknown.
        boot_s: The same from a launch to a machine's first claim.
        trouble: Why it can have no machine at present, or "".
    """

    id: str
    size: str
    max_machines: int
    waiting: int
    running: int
    due: int
    machines: dict[str, int]
    run_s: float | None
    boot_s: float | None
    trouble: str


class ServerSeen(NamedTuple):
    """The Redis server.

    Attributes:
        used_bytes: Memory in use; 0 if it does not tell.
        max_bytes: Its limit; 0 for none.
        policy: What it does at its limit; `noeviction` is the one that loses nothing.
    """

    used_bytes: int
    max_bytes: int
    policy: str


class Alert(NamedTuple):
    """Something that a person should know.

    Attributes:
        kind: For programs.
        text: What is wrong.
        remedy: What to do about it.
    """

    kind: AlertKind
    text: str
    remedy: str


class Overview(NamedTuple):
    """All there is, at one moment.

    Attributes:
        at: Seconds since the epoch, by Redis's clock.
        counts: Jobs by status; of those that ended, how many are still kept.
        jobs: How many jobs are kept in all.
        machines: By state: `owed`, `launching`, `starting`, `idle`, `woken`, `busy`,
            `parked`.
        oldest_wait: Seconds that a job has waited which could run; None without one.
    """

    at: float
    counts: dict[str, int]
    jobs: int
    machines: dict[str, int]
    queues: tuple[QueueState, ...]
    pools: tuple[PoolSeen, ...]
    oldest_wait: float | None
    alerts: tuple[Alert, ...]
    server: ServerSeen

    @property
    def machines_alive(self) -> int:
        """How many machines run, or have been asked for."""
        asleep = {"owed", "parked"}
        return sum(
            count for state, count in self.machines.items() if state not in asleep
        )


def overview() -> Overview:
    """Return what there is now.

    One command to Redis for 50 pools; of more than 100 machines or 50 scheduled jobs
    of a pool the numbers are those of a sample, scaled up.

    Raises:
        StoreUnavailable: Redis cannot be reached.
    """
    return overview_of(default_client().store.views.state())


def overview_of(state: State) -> Overview:
    """Return the same of what Redis told."""
    queues = tuple(_queues(state))
    waits = [queue.oldest_wait for queue in queues if not queue.paused_at]
    server = _server(state.memory)
    pools = tuple(map(_pool, state.pools))
    machines = Counter[str]()
    for pool in pools:
        machines.update(pool.machines)
    return Overview(
        at=state.at,
        counts=_counts(state),
        jobs=state.kept.get("jobs", 0),
        machines={name: count for name, count in machines.items() if count},
        queues=queues,
        pools=pools,
        oldest_wait=max((wait for wait in waits if wait is not None), default=None),
        alerts=tuple(_alerts(server, queues, pools)),
        server=server,
    )


def _counts(state: State) -> dict[str, int]:
    pools = state.pools
    return {
        "scheduled": sum(pool.scheduled for pool in pools),
        "queued": sum(count for pool in pools for count, *_ in pool.queues.values()),
        "running": sum(pool.running for pool in pools),
        "retrying": sum(pool.retrying for pool in pools),
        **{name: count for name, count in state.kept.items() if name != "jobs"},
    }


def _queues(state: State) -> Iterator[QueueState]:
    names = {name for pool in state.pools for name in pool.queues} | {*state.paused}
    for name in sorted(names):
        found = [pool.queues[name] for pool in state.pools if name in pool.queues]
        since = min((one[2] for one in found if one[2]), default=None)
        yield QueueState(
            name,
            sum(one[0] for one in found),
            state.paused.get(name),
            None if since is None else max(0.0, state.at - since),
        )


def _pool(pool: PoolState) -> PoolSeen:
    return PoolSeen(
        id=pool.id,
        size=pool.size,
        max_machines=pool.most,
        waiting=sum(count for count, *_ in pool.queues.values()),
        running=pool.running,
        due=pool.scheduled + pool.retrying,
        machines={name: count for name, count in pool.states.items() if count},
        run_s=pool.run,
        boot_s=pool.boot,
        trouble=str(json.loads(pool.trouble)["message"]) if pool.trouble else "",
    )


def _server(memory: dict[str, str]) -> ServerSeen:
    return ServerSeen(
        int(memory.get("used_memory", "0")),
        int(memory.get("maxmemory", "0")),
        memory.get("maxmemory_policy", ""),
    )


def _alerts(
    server: ServerSeen, queues: Sequence[QueueState], pools: Iterable[PoolSeen]
) -> Iterator[Alert]:
    if server.max_bytes and server.policy not in {"", _NO_EVICTION}:
        yield Alert(
            "eviction",
            f"Redis forgets jobs when it is full: its maxmemory-policy is "
            f"{server.policy}.",
            f"Set maxmemory-policy to {_NO_EVICTION}.",
        )
    if server.max_bytes and server.used_bytes > _NEARLY_FULL * server.max_bytes:
        share = server.used_bytes / server.max_bytes
        yield Alert(
            "memory",
            f"Redis is {share:.0%} full; when it is full, no call is stored.",
            "Give it more memory, or keep results for a shorter time (result_ttl).",
        )
    for pool in pools:
        if pool.trouble:
            yield Alert("launch", pool.trouble, "worker-lib doctor tells the cause.")
    yield from _queue_alerts(queues)


def _queue_alerts(queues: Sequence[QueueState]) -> Iterator[Alert]:
    for queue in queues:
        if queue.paused_at and queue.waiting:
            wait = (
                "1 job waits" if queue.waiting == 1 else f"{queue.waiting:,} jobs wait"
            )
            yield Alert(
                "paused",
                f"Queue {queue.name} is paused; {wait} in it.",
                f"worker-lib queues resume {queue.name}",
            )
        elif (queue.oldest_wait or 0.0) > _LONG_WAIT:
            minutes = (queue.oldest_wait or 0.0) / 60
            yield Alert(
                "waiting",
                f"A job of queue {queue.name} has waited for {minutes:.0f} minutes.",
                "Allow more machines (max_machines), or see whether any come up.",
            )
