"""A call to store, and how the script that stores it takes it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from worker_lib.job import FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from worker_lib.store.scripts import Word

__all__ = ["NewJob", "pairs_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
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
        queues: The order in which these serve queues: "high,low", or "high=5,low=1".
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
    queues: str = ""
    max_machines: int = 1
    linger: float = 0.0
    may_launch: bool = True

    def named(self) -> dict[str, Any]:
        """Return what the script looks at before it stores the record."""
        return {
            "job": self.id,
            "pool": self.of("pool"),
            "task": self.of("task"),
            "queue": self.of("queue"),
            "priority": self.of("priority"),
            "delay": self.delay,
            "pending": self.of("pending"),
            "timeout": self.of("timeout"),
            "ttl": self.of("ttl"),
            "key_wanted": self.of("key"),
            "unique_for": self.unique_for,
            "tags": "\n".join(f"{name}={value}" for name, value in self.tags.items()),
            "retry_of": self.retry_of,
            "code_hash": self.of("code"),
            "max_machines": self.max_machines,
            "linger": self.linger,
            "rule": self.queues,
            "spec": self.pool_spec,
        }

    def of(self, name: str) -> Word:
        """Return a field of its record."""
        return self.record.get(name, FIELDS[name].default)

    def pairs(self) -> Iterator[Word]:
        """Yield the fields of its record to store, each followed by its value."""
        record = dict(self.record)
        if self.tags:
            record["tags"] = json.dumps(dict(self.tags), separators=(",", ":"))
        if self.retry_of:
            record["retry_of"] = self.retry_of
        return pairs_of(record)


def pairs_of(record: Mapping[str, Word]) -> Iterator[Word]:
    """Yield names and values, but for the values that go without saying."""
    for name, value in record.items():
        if isinstance(value, bytes) or str(value) != FIELDS[name].default:
            yield name
            yield value
