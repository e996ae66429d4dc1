"""What the Machines API says, as values with the API's own field names.

Reading never fails: a field that is missing, null or of another type becomes its
empty value, an unknown one is ignored. Fly adds fields without notice and leaves
some out, such as the config of a machine whose host does not answer.

Source of the fields, unless a class says more: Fly's OpenAPI file 1.0, schemas
`Machine`, `MachineEvent`, and fly-go, machine_types.go.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from worker_lib.fly.states import ENDED, GONE

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ExitEvent", "Machine", "MachineEvent"]


def _text(data: Mapping[str, Any], key: str) -> str:
    value = data.get(key)
    return value if isinstance(value, str) else ""


def _number(data: Mapping[str, Any], key: str) -> int:
    value = data.get(key)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) else 0


def _object(data: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = data.get(key)
    return value if isinstance(value, dict) else {}


def _moment(value: object) -> float:
    """Return seconds since 1970 for RFC 3339 text or milliseconds, else 0.

    Go's empty time, of the year 1, is 0 too.
    """
    try:
        if isinstance(value, str):
            return max(0.0, datetime.fromisoformat(value).timestamp())
        return value / 1000 if isinstance(value, int) else 0.0
    except (ValueError, OverflowError):
        return 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitEvent:
    """How the main process of a machine ended.

    Attributes:
        exit_code: As Fly reports it, 128 + n after signal n. Fly leaves zeros out,
            so an absent code is 0.
        oom_killed: The kernel ended it for want of memory.
        requested_stop: Somebody asked for the stop.
        exited_at: Seconds since 1970 by the host's clock, 0 if unknown. Sent as
            RFC 3339 (fly-go) or as milliseconds (older samples in Fly's guide).
    """

    exit_code: int = 0
    oom_killed: bool = False
    requested_stop: bool = False
    exited_at: float = 0.0

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ExitEvent:
        """Read an `exit_event` object."""
        return cls(
            exit_code=_number(data, "exit_code"),
            oom_killed=data.get("oom_killed") is True,
            requested_stop=data.get("requested_stop") is True,
            exited_at=_moment(data.get("exited_at")),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineEvent:
    """One step in a machine's life.

    Attributes:
        type: `launch`, `start`, `stop`, `exit`, `update`, `restart`, `suspend`,
            `destroy`, or one that Fly has added since.
        status: The state that the machine went to.
        timestamp: Milliseconds since 1970.
        exit_event: Only on `exit`. The API puts it in the request itself or in the
            request's `MonitorEvent`, which wins, as in fly-go's `GetExitCode`.
    """

    type: str = ""
    status: str = ""
    timestamp: int = 0
    exit_event: ExitEvent | None = None

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> MachineEvent:
        """Read one entry of a machine's `events`."""
        request = _object(data, "request")
        ended = _object(_object(request, "MonitorEvent"), "exit_event")
        ended = ended or _object(request, "exit_event")
        return cls(
            type=_text(data, "type"),
            status=_text(data, "status"),
            timestamp=_number(data, "timestamp"),
            exit_event=ExitEvent.from_json(ended) if ended else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A machine as the API last described it.

    Attributes:
        id: 14 hexadecimal digits.
        name: Unique in its app.
        state: One of Fly's guide, "Machine states"; `pending`, which third parties
            have seen; or one that Fly has added since.
        region: Where it is, whatever list of regions was asked for.
        config: Its whole config, environment included, hence not in the `repr`;
            the partial one while its host does not answer.
        events: Newest first, as third parties see them and flyctl relies on.
        host_status: `ok`, `unknown` or `unreachable`.
        created_at: RFC 3339, by the host's clock.
    """

    id: str
    name: str = ""
    state: str = ""
    region: str = ""
    config: dict[str, Any] = field(default_factory=dict, repr=False, hash=False)
    events: tuple[MachineEvent, ...] = field(default=(), repr=False)
    host_status: str = ""
    created_at: str = ""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Machine:
        """Read a machine; a summary or a partial answer gives a partial machine."""
        events = data.get("events")
        listed = events if isinstance(events, list) else []
        return cls(
            id=_text(data, "id"),
            name=_text(data, "name"),
            state=_text(data, "state"),
            region=_text(data, "region"),
            config=_object(data, "config") or _object(data, "incomplete_config"),
            events=tuple(MachineEvent.from_json(e) for e in listed if type(e) is dict),
            host_status=_text(data, "host_status"),
            created_at=_text(data, "created_at"),
        )

    @property
    def metadata(self) -> dict[str, str]:
        """The config's metadata."""
        return _object(self.config, "metadata")

    @property
    def is_gone(self) -> bool:
        """Whether it is destroyed or on its way there, never to run again."""
        return self.state in GONE

    @property
    def has_ended(self) -> bool:
        """Whether it has stopped running; it may still have to be destroyed.

        A state that is not known here is no evidence of an end.
        """
        return self.state in ENDED

    @property
    def exit_event(self) -> ExitEvent | None:
        """How its last run ended; None while it runs, or if Fly does not say.

        An exit older than the last start belongs to an earlier run: flyctl reads
        a release command's exit code by the same rule.
        """
        for event in self.events:
            if event.exit_event is not None:
                return event.exit_event
            if event.type == "start":
                return None
        return None
