"""Answers with pages: whole, as JSON, as a part, as a stream; and with files."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from flask import Response, jsonify, request
from markupsafe import Markup

from worker_lib.dashboard import live
from worker_lib.dashboard.visit import Parts, Visit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from worker_lib.dashboard.live import Channel, Rendered
    from worker_lib.dashboard.registry import Download, Event, Feed, Page, Query

__all__ = ["Answers"]

_HAVE = "_have"


class Answers:
    """What a page, a download or a feed answers with."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def page(self, page: Page, **words: str) -> Response:
        """Return the whole page, read at this moment."""
        visit, query = Visit(self._parts), _query(words)
        channel = self._channel(visit, page, query)
        document = channel.load_now()
        now = self._render(visit, page, query, channel)()
        title = page.title_of(document) if page.title_of else page.title
        return visit.html(
            page.template,
            **visit.block_words(page, query, document),
            title=title,
            current=page.parent or page.slug,
            live=_live(visit, page, query, now),
            once=page.once(query) if page.once else None,
        )

    def json(self, page: Page, **words: str) -> Response:
        """Return the page's document."""
        return jsonify(page.load(_query(words)))

    def part(self, page: Page, **words: str) -> Response:
        """Return the part that changes, for a page that has no stream."""
        visit, query = Visit(self._parts), _query(words)
        channel = self._channel(visit, page, query)
        if request.cache_control.no_cache:  # somebody wants it fresh
            channel.expire()
        now = self._render(visit, page, query, channel)()
        if now.trouble:
            return Response(now.trouble, 503, content_type="text/plain; charset=utf-8")
        response = Response(self._parts.csrf.fill(request, now.html))
        response.set_etag(now.digest)
        return response.make_conditional(request)  # type: ignore[return-value]  # self

    def live(self, page: Page, **words: str) -> Response:
        """Return the page's stream."""
        visit, query = Visit(self._parts), _query(words)
        channel = self._channel(visit, page, query)
        have = request.headers.get("Last-Event-ID") or request.args.get(_HAVE, "")
        rendered = self._render(visit, page, query, channel)
        fill = self._filler()

        def filled() -> Rendered:
            now = rendered()
            return now._replace(html=fill(now.html))

        return self._streamed(live.page_events(filled, have))

    def feed(self, feed: Feed, **words: str) -> Response:
        """Return a stream of its own."""
        last = request.headers.get("Last-Event-ID", "")
        return self._streamed(feed.follow(_query({**words, "last_event_id": last})))

    def download(self, download: Download, **words: str) -> Response:
        """Return a file."""
        file = download.load(_query(words))
        response = Response(file.parts, content_type=file.content_type)
        name = quote(file.name, safe="")
        response.headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{name}"
        return response

    def _channel(self, visit: Visit, page: Page, query: Query) -> Channel:
        key = (visit.root, page.slug, frozenset(query.items()))
        return self._parts.hub.channel(key, partial(page.load, query))

    def _render(
        self, visit: Visit, page: Page, query: Query, channel: Channel
    ) -> Callable[[], Rendered]:
        role = visit.viewer.role if visit.viewer else ""
        return partial(channel.rendered, role, partial(visit.block, page, query))

    def _filler(self) -> Callable[[str], str]:
        """Return what puts this browser's token into pages, also after this request."""
        csrf, real = self._parts.csrf, request._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001 - it outlives the answer
        return partial(csrf.fill, real)

    def _streamed(self, events: Iterator[Event | None]) -> Response:
        """Return events as they come, or 204 if there cannot be another stream.

        A browser does not come back after 204; the page asks for its part instead.
        """
        gone = live.is_gone(request.environ)
        release = self._parts.slots.take() if gone else None
        if gone is None or release is None:
            return Response(status=204)
        response = Response(
            live.stream(events, gone), content_type="text/event-stream; charset=utf-8"
        )
        # nginx would keep events until it has 4 KB of them.
        response.headers["X-Accel-Buffering"] = "no"
        response.call_on_close(release)
        return response


def _query(words: Mapping[str, str]) -> Query:
    given = request.args.to_dict().items()
    return {name: text for name, text in given if text and name[0] != "_"} | dict(words)


def _live(visit: Visit, page: Page, query: Query, now: Rendered) -> dict[str, Any]:
    """Return what changes, and where the page's stream and its part are."""
    words = [name for name in query if f"<{name}>" in page.path]
    base = visit.addresses.url(page.slug, **{name: query[name] for name in words})
    if page.slug == "overview":
        base += page.path
    text = request.query_string.decode("ascii", "replace")
    return {
        "stream": f"{base}/live",
        "part": f"{base}/part",
        "query": text,
        "digest": now.digest,
        "html": Markup(now.html),  # noqa: S704 - rendered by a template
    }
