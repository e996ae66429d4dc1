"""What a job costs the Redis server: CPU, calls inside scripts, memory that stays.

The store layer is driven directly, by one caller and one machine, so that Python's own
work does not count: only the server's CPU time is read, from its `INFO`. Nothing is
written to disk, since an append-only file costs what the disk costs. Caller and server
share one core: else the scheduler decides whether an answer wakes another core, which
costs a virtual machine more than a small script does.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import redis

from worker_lib.calls import codec, pickling
from worker_lib.calls.codec import Codec
from worker_lib.calls.plan import Plan
from worker_lib.settings import Settings
from worker_lib.store.claims import Report
from worker_lib.store.connection import Connection
from worker_lib.store.keys import key_prefix, new_job_id
from worker_lib.store.machine import MachineStore
from worker_lib.store.new_job import NewJob
from worker_lib.store.store import Store

from .bare import BareRedis, per_second
from .contenders.use_worker_lib import echo
from .figures import Figure, Note

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

__all__ = ["BUDGETS", "server"]

# What a job may cost in all, on a computer of today: microseconds, calls, bytes.
BUDGETS = {"cpu": 170.0, "calls": 30.0, "bytes": 1024.0}

_NAMESPACE = "bench-server"
_ARGUMENT = "x" * 100
_SECRET = "s" * 64
_PHASES = ("enqueue", "finish, claim the next", "collect")
# Sent by clients, or by us to look at the server; none of them stands in a script.
_SENT = frozenset({"evalsha", "eval", "fcall", "blmove", "blpop"})
_OURS = frozenset({"info", "config", "flushall", "script", "client", "hello", "ping"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ends:
    """Both ends of the store, and what makes calls for them."""

    settings: Settings
    codec: Codec
    plan: Plan
    store: Store


def _ends(socket_path: str) -> _Ends:
    """Return the calling end, with the options of a real task."""
    url = f"unix://{socket_path}"
    settings = Settings(redis_url=url, secret=_SECRET, namespace=_NAMESPACE)
    seals = Codec(_SECRET, _NAMESPACE, max_bytes=settings.max_payload_bytes)
    store = Store(Connection(url, key_prefix(_NAMESPACE)), _NAMESPACE)
    plan = Plan.of(echo.spec.shared, settings, seals)
    return _Ends(settings=settings, codec=seals, plan=plan, store=store)


def _new_job(ends: _Ends) -> NewJob:
    """Return a sealed call of a task that travels by name."""
    job_id, options, plan, name = new_job_id(), echo.spec, ends.plan, echo.name
    body = pickling.dump_call(name, pickling.Call((_ARGUMENT,), {}, None))
    place = codec.call_place(
        name, pool=plan.pool, timeout=options.timeout, policy=plan.policy
    )
    record = {
        **plan.record,
        "task": name,
        "timeout": options.timeout,
        "call": ends.codec.seal(body, kind=codec.CALL, job_id=job_id, fence=place),
    }
    return NewJob(
        id=job_id,
        record=record,
        pool_spec=plan.spec,
        queues=plan.queues,
        max_machines=1,
    )


def _drain(ends: _Ends, slot: str) -> int:
    """Work off all that waits, as one machine does; return how many jobs it was."""
    value, done = pickling.dump_value(_ARGUMENT), 0
    machine = MachineStore(
        ends.settings.redis_url,
        _NAMESPACE,
        slot=slot,
        machine_id="by-hand",
        region="ams",
        lease_ttl=ends.settings.lease_ttl,
    )
    job = machine.claim("stay").job
    while job is not None:
        sealed = ends.codec.seal(
            value, kind=codec.OUTCOME, job_id=job.id, fence=job.fence
        )
        job = machine.finish([(job, Report("succeeded", outcome=sealed))]).claim.job
        done += 1
    machine.close()
    return done


def _collect(ends: _Ends, job_ids: Sequence[str]) -> None:
    """Take the outcomes as `result()` does."""
    for job_id in job_ids:
        if ends.store.wait(job_id, 5.0) is None:
            raise RuntimeError(f"job {job_id} has no outcome")


class _Reading(NamedTuple):
    """What the server tells of itself; microseconds, bytes."""

    cpu: float
    calls: dict[str, int]
    memory: float
    keys: int


class _Round(NamedTuple):
    """What one round of jobs cost, divided by their number."""

    cpu: dict[str, float]
    calls: dict[str, dict[str, float]]
    memory: float
    keys: float
    trivial: float


def server(socket_path: str, *, rounds: int, jobs: int) -> list[Figure | Note]:
    """Measure on this server, whose data is lost and whose append-only file is off."""
    eyes = redis.Redis(unix_socket_path=socket_path)
    eyes.config_set("appendonly", "no")
    eyes.config_set("lazyfree-lazy-user-flush", "no")  # a round begins with none
    ends = _ends(socket_path)
    with BareRedis(socket_path) as bare, _on_one_core(eyes):
        _round(eyes, ends, bare, min(jobs, 200))
        found = [_round(eyes, ends, bare, jobs) for _ in range(rounds)]
    about = _about(eyes, ends, jobs)
    ends.store.close()
    eyes.close()
    return [*_cpu(found), *_calls(found), *_memory(found), *_inside(found[0]), about]


@contextlib.contextmanager
def _on_one_core(eyes: redis.Redis) -> Iterator[None]:
    if not hasattr(os, "sched_setaffinity"):  # not Linux
        yield
        return
    ours = os.sched_getaffinity(0)
    for pid in (0, eyes.info("server")["process_id"]):
        os.sched_setaffinity(pid, {max(ours)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, ours)


def _round(eyes: redis.Redis, ends: _Ends, bare: BareRedis, jobs: int) -> _Round:
    eyes.flushall()
    new = [_new_job(ends) for _ in range(jobs)]
    trivial = _cost(eyes, lambda: per_second(bare.trivial_script, jobs))
    slots: list[str] = []
    start = _read(eyes)
    steps: tuple[Callable[[], object], ...] = (
        lambda: slots.extend(ends.store.enqueue(job).slot for job in new),
        lambda: _drained(ends, next(filter(None, slots)), jobs),
        lambda: _collect(ends, [job.id for job in new]),
    )
    costs = [_cost(eyes, step) for step in steps]
    end = _read(eyes)
    named = dict(zip(_PHASES, costs, strict=True))
    return _Round(
        cpu={name: cost.cpu / jobs for name, cost in named.items()},
        calls={name: _shared(cost.calls, jobs) for name, cost in named.items()},
        memory=(end.memory - start.memory) / jobs,
        keys=(end.keys - start.keys) / jobs,
        trivial=trivial.cpu / jobs,
    )


def _drained(ends: _Ends, slot: str, jobs: int) -> None:
    done = _drain(ends, slot)
    if done != jobs:
        raise RuntimeError(f"the machine found {done} of {jobs} jobs")


def _cost(eyes: redis.Redis, step: Callable[[], object]) -> _Reading:
    before = _read(eyes)
    step()
    after = _read(eyes)
    return _Reading(
        after.cpu - before.cpu,
        {name: n - before.calls.get(name, 0) for name, n in after.calls.items()},
        after.memory - before.memory,
        after.keys - before.keys,
    )


def _read(eyes: redis.Redis) -> _Reading:
    told = eyes.info("commandstats", "cpu", "memory", "keyspace")
    cpu = told["used_cpu_user"] + told["used_cpu_sys"]
    calls = {
        name.removeprefix("cmdstat_"): about["calls"]
        for name, about in told.items()
        if name.startswith("cmdstat_")
    }
    keys = told.get("db0", {}).get("keys", 0)
    return _Reading(cpu * 1e6, calls, told["used_memory"], keys)


def _shared(calls: Mapping[str, int], jobs: int) -> dict[str, float]:
    """Return the calls made inside scripts, for each job."""
    return {
        name: times / jobs
        for name, times in calls.items()
        if times and name.partition("|")[0] not in _SENT | _OURS
    }


def _cpu(found: list[_Round]) -> list[Figure]:
    limits = [one.trivial for one in found]
    samples = {name: [one.cpu[name] for one in found] for name in _PHASES}
    samples["in all"] = [sum(one.cpu.values()) for one in found]
    return [
        Figure(
            name=f"server CPU a job, {name}",
            unit="us",
            samples=values,
            limit="EVALSHA 'return 1', bare socket",
            limits=limits,
            budget=BUDGETS["cpu"] if name == "in all" else None,
        )
        for name, values in samples.items()
    ]


def _calls(found: list[_Round]) -> list[Figure]:
    samples = {
        name: [sum(one.calls[name].values()) for one in found] for name in _PHASES
    }
    samples["in all"] = [sum(column) for column in zip(*samples.values(), strict=True)]
    return [
        Figure(
            name=f"redis.call a job, {name}",
            unit="",
            samples=values,
            budget=BUDGETS["calls"] if name == "in all" else None,
        )
        for name, values in samples.items()
    ]


def _memory(found: list[_Round]) -> list[Figure]:
    return [
        Figure(
            name="server memory that a finished job keeps",
            unit="bytes",
            samples=[one.memory for one in found],
            budget=BUDGETS["bytes"],
        ),
        Figure(
            name="keys that a finished job keeps",
            unit="",
            samples=[one.keys for one in found],
        ),
    ]


def _inside(one: _Round) -> list[Note]:
    notes = []
    for name, calls in one.calls.items():
        often = sorted(calls.items(), key=lambda pair: -pair[1])
        parts = [f"{word} {times:.2f}" for word, times in often if times >= 0.005]
        text = ", ".join(parts) or "none"
        notes.append(Note(name=f"redis.call a job, {name}", text=text))
    return notes


def _about(eyes: redis.Redis, ends: _Ends, jobs: int) -> Note:
    mode = eyes.config_get("appendonly", "save", "io-threads")
    settings = ", ".join(f"{name} {value or 'none'}" for name, value in mode.items())
    allocator = eyes.info("memory")["mem_allocator"]
    text = (
        f"{settings}, memory by {allocator}; rounds of {jobs:,} jobs on an empty "
        "server, one call at a time over a unix socket, so compare only runs in which "
        "EVALSHA 'return 1' cost the same; "
        f"argument and result of {len(_ARGUMENT)} bytes, sealed "
        f"call of {len(str(_new_job(ends).record['call']))} characters"
    )
    return Note(name="server measured with", text=text)
