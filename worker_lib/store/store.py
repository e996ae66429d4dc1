"""What the calling side does with Redis, a verb a method."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from worker_lib.job import FINAL
from worker_lib.store.batch_store import BatchStore
from worker_lib.store.calls import Calls
from worker_lib.store.changes import Changes
from worker_lib.store.enqueuer import MAX_CANDIDATES, Enqueuer
from worker_lib.store.keys import (
    calls_key,
    job_channel,
    key_prefix,
    new_slot_id,
    outcome_key,
)
from worker_lib.store.limits import MAX_LOST
from worker_lib.store.parts import (
    count_unfinished,
    list_queues,
    look_at,
    set_paused,
)
from worker_lib.store.printed import Output
from worker_lib.store.replies import (
    FailedBoot,
    Found,
    Launch,
    Loss,
    Stored,
    Stray,
    Sweep,
    Unfinished,
    check_of,
    launch_of,
    outcome_of,
)
from worker_lib.store.scripts import script
from worker_lib.store.strays import Strays
from worker_lib.store.views import Views

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from worker_lib.store.connection import Connection
    from worker_lib.store.new_job import NewJob
    from worker_lib.store.replies import Check, Outcome, QueueSeen, Seen
    from worker_lib.store.scripts import Word

__all__ = ["Store"]

# How long another sweep leaves alone what one has taken up.
_SWEEP_LATCH = 10.0
_RECORDS_AT_ONCE, _RECORD_BYTES = 250, 1_000_000
# A little under the 1 per second that Fly allows, since its clock is not ours.
CREATES_PER_SECOND = 0.95
CREATE_BURST = 3


class Store:
    """The verbs of the calling side.

    Args:
        connection: Runs the scripts.
        namespace: First part of every key.

    Attributes:
        batches: The verbs for jobs that are stored together.
        strays: The verbs for machines that are there and should not be.
        views: The verbs that look, for pages and lists.
        output: What jobs print.
    """

    def __init__(self, connection: Connection, namespace: str) -> None:
        self._connection = connection
        self._namespace = namespace
        self._prefix = key_prefix(namespace)
        self._enqueuer = Enqueuer(connection, self._prefix)
        self.batches = BatchStore(connection, namespace, self._enqueuer)
        self.strays = Strays(connection)
        self.views = Views(connection)
        self.output = Output(connection, namespace)

    @property
    def sent_by_thread(self) -> int:
        """How many commands this thread has sent to Redis so far."""
        return self._connection.sent_by_thread

    def enqueue(self, job: NewJob, job_id: str = "", call: bytes = b"") -> Stored:
        """Store a call and decide whether a machine is owed; idempotent.

        Stores nothing where a job holds its key: what that one is, is returned.

        The first call of a process also checks what this user of Redis may do, and
        warns once if the server evicts.

        Args:
            job: The call; or, with the next two, what many calls have in common.
            job_id: Instead of its own.
            call: Signed for that id.

        Raises:
            StoreUnavailable: nothing is known to be stored.
            StoreError: the user lacks a right that jobs need; nothing was stored.
            JobError: it runs a job again whose code or pool Redis has forgotten.
        """
        calls = (call or job.record["call"],)
        return self._enqueuer.store(job, calls, job_id=job_id or job.id)

    def launch(
        self,
        slot: str,
        look_in: float,
        who: str,
        *,
        probe_for: float = 30.0,
        waiting: Sequence[str] = (),
    ) -> Launch:
        """Ask whether the machine of `slot` may be created now.

        Args:
            look_in: Seconds until somebody looks what became of it.
            who: Fingerprint of the credentials that it would be created with.
            probe_for: Seconds that others of its pool wait for what becomes of it, if
                it is the first after machines that never took a job.
            waiting: Slots that wait for their turn in this process, so that nobody
                takes it for dead.
        """
        reply = self._connection.run(
            script("launch"),
            *waiting,
            slot=slot,
            rate=CREATES_PER_SECOND,
            burst=CREATE_BURST,
            look_in=look_in,
            who=who,
            question=new_slot_id(),
            probe_for=probe_for,
        )
        return launch_of(reply)

    def is_launching(self, slot: str) -> bool:
        """Say whether the machine of `slot` was launched and has not claimed yet."""
        return bool(self._connection.run(script("launching"), slot=slot))

    def created(self, slot: str, machine_id: str) -> bool:
        """Keep the id of a slot's machine; False if the slot is gone meanwhile."""
        return bool(
            self._connection.run(script("created"), slot=slot, machine=machine_id)
        )

    def replace(self, slot: str) -> str:
        """Give up the parked machine of a slot; it is a `Stray` from then on.

        Returns:
            The slot to launch instead, or "" if none is needed.
        """
        reply = self._connection.run(
            script("replace"), slot=slot, slot_candidate=new_slot_id()
        )
        return str(reply, "utf-8")

    def retire(self, pool: str) -> list[Stray]:
        """Give up the parked machines of a pool, which are to be destroyed."""
        reply = self._connection.run(script("retire"), pool=pool)
        words = [one.decode() for one in reply]
        return [Stray(*pair) for pair in zip(words[::2], words[1::2], strict=True)]

    def refuse(
        self,
        slot: str,
        reason: str,
        hold: float,
        *,
        who: str,
        tell: bool,
        unsure: bool = False,
    ) -> bool:
        """Note why no machine can be had, and hold the pool's launches.

        Args:
            reason: JSON, as `Launcher` writes it.
            hold: Seconds.
            who: Fingerprint of the credentials that were refused.
            tell: Wake those who wait for the pool's jobs, as a person must act.
            unsure: An earlier request may have made the machine; it is looked for.

        Returns:
            False if nothing was done, since the machine came all the same.
        """
        done = self._connection.run(
            script("refuse"),
            slot=slot,
            reason=reason,
            hold=hold,
            tell=int(tell),
            who=who,
            unsure=int(unsure),
        )
        return bool(done)

    def cancel(self, job_id: str) -> bool | None:
        """End a job; False if it was final already, None if there is none."""
        done = self._connection.run(
            script("cancel"), job=job_id, canceller=new_slot_id()
        )
        return None if done < 0 else bool(done)

    @property
    def reached(self) -> bool:
        """Whether Redis has ever answered this process."""
        return self._connection.reached

    def look(self, *job_ids: str, patience: float = 0.0) -> list[Seen | None]:
        """Return what is known of each job; None where there is none.

        Args:
            patience: Seconds to wait for the answer; 0 as long as usual.
        """
        return list(look_at(self._connection, job_ids, patience))

    def recent(self, limit: int) -> list[str]:
        """Return the ids of the newest jobs, newest first."""
        return self.find(budget=limit).job_ids

    def find(
        self,
        *,
        status: str = "",
        queue: str = "",
        task: str = "",
        tag: str = "",
        since: float = 0.0,
        cursor: tuple[str, str] | None = None,
        budget: int = 400,
    ) -> Found:
        """Return a part of the jobs that fit, newest first.

        Args:
            status: "" for any, as the next three.
            queue: Its name.
            task: `module:name`.
            tag: `name=value`.
            since: Seconds since the epoch, by Redis's clock; below 0: so many ago.
            cursor: Of the part before; None for the first.
            budget: Looks at so many jobs of the list; the part has that many at most.
        """
        index = f"tag:{tag}" if tag else "jobs"
        if not tag and status in FINAL - {"succeeded"}:
            index = f"ended:{status}"
        created, after = cursor or ("+inf", "")
        reply = self._connection.run(
            script("list"),
            index=index,
            created_from=created,
            after=after,
            since=since,
            status=status,
            queue=queue,
            task=task,
            budget=budget,
        )
        created, after, *job_ids = (part.decode() for part in reply)
        return Found(job_ids, (created, after) if created else None)

    def record(self, job_id: str) -> dict[str, bytes]:
        """Return the whole record of a job, its sealed call included; {} if none."""
        return self.records([job_id])[0]

    def records(self, job_ids: Sequence[str]) -> list[dict[str, bytes]]:
        """Return the whole records of the first of these jobs: of one at least.

        Redis stops at about a megabyte; `{}` where there is no such job.
        """
        found = self._connection.run(
            script("record"), *job_ids[:_RECORDS_AT_ONCE], max_bytes=_RECORD_BYTES
        )
        return [
            {
                name.decode(): value
                for name, value in zip(pairs[::2], pairs[1::2], strict=True)
            }
            for pairs in found
        ]

    def edit(
        self,
        job_id: str,
        *,
        fence: str,
        queue: str,
        priority: int,
        delay: float | None = None,
        first: bool = False,
        fields: Mapping[str, Word] | None = None,
    ) -> str:
        """Change a job that waits, as a whole or not at all.

        Args:
            job_id: The job.
            fence: Of the record that was read: if it is another now, nothing is done.
            queue: Where it waits afterwards.
            priority: In that queue.
            delay: Seconds from now; 0: it may run now; None: as it was.
            first: Before all others of its queue.
            fields: Of its record, to be stored as they are.

        Returns:
            `changed`, `gone`, or the status that it has by now.
        """
        words = [word for pair in (fields or {}).items() for word in pair]
        verdict = self._connection.run(
            script("edit"),
            *words,
            job=job_id,
            fence=fence,
            queue=queue,
            priority=priority,
            delay="" if delay is None else delay,
            first=int(first),
        )
        return str(verdict, "utf-8")

    def delete(self, job_id: str) -> str:
        """Forget a job; one that waits is cancelled first.

        Returns:
            `deleted`, `gone`, or `running`.
        """
        verdict = self._connection.run(
            script("delete"), job=job_id, canceller=new_slot_id()
        )
        return str(verdict, "utf-8")

    def pause(self, queue: str) -> bool:
        """Hold back the jobs of a queue; False if it was paused already."""
        return set_paused(self._connection, queue, paused=True)

    def resume(self, queue: str) -> bool:
        """Let the jobs of a queue run again; False if it was not paused."""
        return set_paused(self._connection, queue, paused=False)

    def queues(self) -> list[QueueSeen]:
        """Return all queues that have jobs or are paused, by name."""
        return list_queues(self._connection)

    def measured(self, pool: str) -> dict[str, float]:
        """Return what a pool's jobs, boots and wake-ups took of late, in seconds.

        By the names `run`, `boot` (from a machine's launch to its first claim) and
        `wake`, as far as they are known; and how many of its machines are `parked`.
        """
        found = self._connection.run(script("measured"), pool=pool)
        return {
            name: float(value)
            for name, value in zip(
                ("run", "boot", "wake", "parked"), found, strict=True
            )
            if value
        }

    def wait(self, job_id: str, timeout: float) -> Outcome | None:
        """Block until the job is final; None if woken for another reason, or late."""
        key = outcome_key(self._namespace, job_id)
        element = self._connection.block("BLMOVE", key, key, "LEFT", "RIGHT", timeout)
        return outcome_of(element) if element else None

    def changes(self, job_id: str, timeout: float) -> Iterator[None]:
        """Yield when subscribed, then whenever the job changes."""
        return self._connection.listen(job_channel(self._namespace, job_id), timeout)

    @contextlib.contextmanager
    def follow(self) -> Iterator[Changes]:
        """Yield a way to hear of many jobs' changes, on a connection of its own.

        Raises:
            StoreUnavailable: the connection broke, or could not be opened.
        """
        with self._connection.own() as wire:
            yield Changes(wire, job_channel(self._namespace, ""))

    @contextlib.contextmanager
    def calls(self) -> Iterator[Calls]:
        """Yield a way to hear of calls for a launcher, on a connection of its own.

        Raises:
            StoreUnavailable: the connection broke, or could not be opened.
        """
        with self._connection.own() as wire:
            yield Calls(wire, calls_key(self._namespace))

    def await_call(self, timeout: float) -> bool:
        """Block until a slot waits for a launcher with a token; False if late."""
        key = calls_key(self._namespace)
        return self._connection.block("BLPOP", key, timeout) is not None

    def nest(self, wanted: int, rate: int, burst: int) -> int:
        """Return how many more jobs jobs may make now: `wanted`, fewer, or none.

        Args:
            rate: So many a second, all machines of the namespace together.
            burst: So many at once after a pause.
        """
        granted: int = self._connection.run(
            script("nest"), wanted=wanted, rate=rate, burst=burst
        )
        return granted

    def sweep(self, *, parking: int = 0) -> Sweep:
        """Take up what is overdue; another sweep leaves it alone for a while.

        Args:
            parking: Tell so many pools, at most, that have parked machines.
        """
        candidates = [new_slot_id() for _ in range(MAX_CANDIDATES)]
        first, *found = self._connection.run(
            script("sweep"), *candidates, latch=_SWEEP_LATCH, parking=parking
        )
        launches = [one[1].decode() for one in found if one[0] == b"launch"]
        checks = [check_of(one) for one in found if one[0] == b"check"]
        strays = [
            Stray(one[1].decode(), one[2].decode())
            for one in found
            if one[0] == b"stray"
        ]
        pools = [(one[1].decode(), one[2]) for one in found if one[0] == b"parking"]
        return Sweep(float(first) if first else None, launches, checks, strays, pools)

    def lose(
        self,
        check: Check,
        *,
        envelope: bytes,
        error: str,
        kind: str,
        gone: bool,
        exit_code: int | None = None,
        failed_boot: FailedBoot | None = None,
    ) -> Loss:
        """Free the slot of a lost machine, unless it was heard of since the sweep.

        Its job runs again, or fails. The machine itself may be destroyed only after
        this said that it is lost; unless it is known to be gone, it is a `Stray` from
        then on, for any process to destroy.

        Args:
            check: As a sweep of the last seconds returned it.
            envelope: Signed outcome, in case the job fails.
            gone: Fly says that the machine is no more.
            exit_code: Of its exit event, if Fly has one.
            failed_boot: It was launched and never took a job: the pool's next launch
                has to wait, longer each time.
        """
        boot = failed_boot or FailedBoot()
        verdict, *slot = self._connection.run(
            script("lose"),
            slot=check.slot,
            state=check.state,
            machine=check.machine_id,
            holds=check.holds,
            gone=int(gone),
            outcome=envelope,
            error=error,
            cause=kind,
            exit_code="" if exit_code is None else exit_code,
            most_lost=MAX_LOST,
            slot_candidate=new_slot_id(),
            boot_reason=boot.reason,
            tell=int(boot.tell),
            first_hold=boot.first_hold,
            most_boots=boot.most,
        )
        return Loss(verdict == b"lost", *(one.decode() for one in slot))

    def extend(self, check: Check, seconds: float) -> None:
        """Look at this slot again after so many seconds, unless it was heard of."""
        self._connection.run(
            script("extend"), slot=check.slot, state=check.state, seconds=seconds
        )

    def unfinished(self, soon: float, *, with_life: bool = False) -> Unfinished:
        """Return how many jobs are not final; looks at each of them.

        Args:
            soon: Seconds; what is due later is counted apart.
            with_life: Look also for how long outcomes are kept.
        """
        return count_unfinished(self._connection, soon, with_life=with_life)

    def close(self) -> None:
        """Close idle connections."""
        self._connection.close()
