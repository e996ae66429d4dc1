"""A call to store, and how the script that stores it takes it."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from worker_lib.job import FIELDS
from worker_lib.store.scripts import script

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from worker_lib.store.resp import Packed
    from worker_lib.store.scripts import Word

__all__ = ["BatchPart", "NewJob", "pairs_of"]

# A slot that its caller's process has not launched by then is anyone's to launch.
_LAUNCH_GRACE = 10.0


@dataclass(frozen=True, kw_only=True)
class NewJob:
    """A call to store.

    Attributes:
        record: The fields of its record (see `worker_lib.job.FIELDS`) that are known
            before it is stored: `task`, `pool`, `call` (signed), `policy` (JSON that
            machines and sweeps read), `timeout`, `ttl` (seconds that its outcome is
            kept) and `pending` (seconds that it may wait for a machine); `code` if its
            function travels by value; `queue`, `priority`, `key` and others if they
            differ from their defaults.
        tags: For look-up.
        code: Signed function; b"" if it travels by name.
        delay: Seconds.
        unique_for: Seconds for which its key is taken at least.
        retry_of: The job that it runs again, or "".
        pool_spec: Sealed description of the pool's machines; b"" if its pool is there.
        size: Of its pool's machines, as people are told.
        queues: The order in which these serve queues: "high,low", or "high=5,low=1".
        max_machines: Of the pool at the same time.
        linger: Seconds that they wait for another call.
        isolate: Each of them runs one job.
        target_latency: Seconds that a job is to wait at most; 0 if that is not said.
        may_launch: Whether this process can ask for machines.
    """

    id: str
    record: Mapping[str, Word]
    tags: Mapping[str, str] = field(default_factory=dict)
    code: bytes = b""
    delay: float = 0.0
    unique_for: float = 0.0
    retry_of: str = ""
    pool_spec: bytes = b""
    size: str = ""
    queues: str = ""
    max_machines: int = 1
    linger: float = 0.0
    isolate: bool = False
    target_latency: float = 0.0
    may_launch: bool = True

    @functools.cached_property
    def packed_where_known(self) -> Packed:
        """What is told of it to a Redis that knows its code and its pool."""
        return self.packed(with_code=False, with_pool=False, check_rights=False)

    def packed(self, *, with_code: bool, with_pool: bool, check_rights: bool) -> Packed:
        """Return what is told of it, but for its id and its call."""
        _, spec, fields = self.pool
        pairs = list(self.pairs())
        return script("enqueue").packed(
            *pairs,
            delay=self.delay,
            unique_for=self.unique_for,
            tags="\n".join(f"{name}={value}" for name, value in self.tags.items()),
            retry_of=self.retry_of,
            code=self.code if with_code else b"",
            launch_grace=_LAUNCH_GRACE if self.may_launch else 0,
            pool_fields=json.dumps(dict(fields)) if with_pool else "",
            spec=spec if with_pool else b"",
            check_rights=int(check_rights),
            shared=len(pairs) // 2,
        )

    @functools.cached_property
    def pool(self) -> tuple[Word, bytes, tuple[tuple[str, Word], ...]]:
        """Id, sealed spec and fields of its pool, as Redis is to have them."""
        fields = (
            ("max", self.max_machines),
            ("size", self.size),
            ("linger", self.linger),
            ("rule", self.queues),
            ("isolate", int(self.isolate)),
            ("target", self.target_latency),
        )
        return self.of("pool"), self.pool_spec, fields

    @functools.cached_property
    def pool_text(self) -> str:
        """The same as a text, whose hash is computed once."""
        return repr(self.pool)

    @functools.cached_property
    def code_hash(self) -> Word:
        """Name of its code; "" if its function travels by name."""
        return self.of("code")

    def of(self, name: str) -> Word:
        """Return a field of its record."""
        return self.record.get(name, FIELDS[name].default)

    def pairs(self) -> Iterator[Word]:
        """Yield the fields of its record to store, each followed by its value.

        All but its call, which comes last.
        """
        record = dict(self.record)
        record.pop("call", None)
        if self.tags:
            record["tags"] = json.dumps(dict(self.tags), separators=(",", ":"))
        if self.retry_of:
            record["retry_of"] = self.retry_of
        return pairs_of(record)


class BatchPart(NamedTuple):
    """Some of the jobs of a batch, stored in one command.

    Attributes:
        id: Of the batch.
        start: Index of the first of them.
        total: Jobs in all; None while more may come.
    """

    id: str
    start: int
    total: int | None = None


def pairs_of(record: Mapping[str, Word]) -> Iterator[Word]:
    """Yield names and values, but for the values that go without saying."""
    for name, value in record.items():
        if isinstance(value, bytes) or str(value) != FIELDS[name].default:
            yield name
            yield value
