"""What the Machines API replies: it is asked once, and every check reads it here.

Source of the paths: Fly's OpenAPI file 1.0 (`/apps`, `/apps/{app_name}/secrets`,
`/tokens/current`, `/platform/regions`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from worker_lib.errors import ConfigError, MachinesApiError, Problem, RateLimited
from worker_lib.fly.images import image_app
from worker_lib.machines.address import segment
from worker_lib.machines.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker_lib.settings import Settings

__all__ = ["FlyFacts", "Reply", "read_fly"]

_REPLY_TIMEOUT = 5.0
# Seconds that all requests together wait where Fly limits their rate.
_LONGEST_WAIT = 20.0
_PAUSE = 1.0
_Json = TypeVar("_Json", dict[str, Any], list[Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The reply to one request.

    Attributes:
        body: JSON; None if there is an error.
        error: Why there is no body.
        date: The `Date` header.
        at: When it arrived, by this computer's clock.
    """

    body: Any = None
    error: MachinesApiError | None = None
    date: str = ""
    at: float = 0.0

    def objects(self, key: str = "") -> list[dict[str, Any]]:
        """Return the objects of a list, or of the list under `key`."""
        found = self.body
        if key:
            found = found.get(key) if isinstance(found, dict) else None
        if not isinstance(found, list):
            return []
        return [one for one in found if isinstance(one, dict)]


@dataclass(frozen=True, slots=True, kw_only=True)
class FlyFacts:
    """Every reply that the checks need.

    Attributes:
        machines: Those of the tasks app.
        neighbours: The apps that the token sees in the tasks app's organization.
        image_machines: Those of the app that the image was built for.
    """

    app: Reply
    machines: Reply
    secrets: Reply
    token: Reply
    neighbours: Reply
    regions: Reply
    image_machines: Reply


def read_fly(
    settings: Settings, clock: Callable[[], float] = time.time
) -> FlyFacts | Reply:
    """Send all requests; return the one failed reply if the API does not work.

    Raises:
        ConfigError: the address, the token or the app is not valid.
    """
    transport = Transport(
        settings.api_hostname,
        settings.fly_api_token,
        timeout=_REPLY_TIMEOUT,
    )
    try:
        return _Reader(transport, clock).read(settings)
    finally:
        transport.close()


class _Reader:
    def __init__(self, transport: Transport, clock: Callable[[], float]) -> None:
        self._transport = transport
        self._clock = clock
        self._give_up_at = time.monotonic() + _LONGEST_WAIT

    def read(self, settings: Settings) -> FlyFacts | Reply:
        if not settings.fly_app.strip("."):
            remedy = "name the app to run machines in"
            raise ConfigError(
                Problem("FLY_TASKS_APP is empty", remedy, "FLY_TASKS_APP")
            )
        path = f"/v1/apps/{segment(settings.fly_app)}"
        app = self._ask(path, dict)
        if app.error is not None and app.error.status not in (403, 404):
            return app
        home = image_app(settings.image)
        elsewhere = home and home != settings.fly_app
        machines = self._ask(f"{path}/machines", list)
        return FlyFacts(
            app=app,
            machines=machines,
            secrets=self._ask(f"{path}/secrets", dict),
            token=self._ask("/v1/tokens/current", dict),
            neighbours=self._ask("/v1/apps", dict, org_slug=_org(app)),
            regions=self._ask("/v1/platform/regions", dict),
            image_machines=self._ask(f"/v1/apps/{segment(home)}/machines", list)
            if elsewhere
            else machines,
        )

    def _ask(self, path: str, kind: type[_Json], **query: str) -> Reply:
        """Return the reply for `path`; wait if the rate is limited."""
        while True:
            reply = self._ask_once(path, kind, query)
            if not isinstance(reply.error, RateLimited):
                return reply
            pause = reply.error.retry_after or _PAUSE
            if time.monotonic() + pause > self._give_up_at:
                return reply
            time.sleep(pause)

    def _ask_once(self, path: str, kind: type[_Json], query: dict[str, str]) -> Reply:
        """Return the reply for `path`; a body of another kind is an error."""
        try:
            answer = self._transport.send("GET", path, query=query)
            at = self._clock()
            body: Any = answer.json(kind, "an answer")
        except MachinesApiError as error:
            return Reply(error=error, at=self._clock())
        return Reply(body=body, at=at, date=answer.response.headers.get("Date", ""))


def _org(app: Reply) -> str:
    body = app.body if isinstance(app.body, dict) else {}
    owner = body.get("organization")
    slug = owner.get("slug") if isinstance(owner, dict) else None
    return str(slug or "personal")
