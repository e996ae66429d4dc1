"""What the dashboard is made of: pages, actions, downloads and feeds.

Modules of `dashboard.pages` and `dashboard.actions` declare them; `Registry.load` finds
every module there, so that adding one is adding a file.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from types import ModuleType

__all__ = [
    "Action",
    "Confirm",
    "Done",
    "Download",
    "Event",
    "Feed",
    "File",
    "Form",
    "Kind",
    "Line",
    "Page",
    "Query",
    "Registry",
    "Role",
]

Role: TypeAlias = Literal["admin", "read"]
Query: TypeAlias = "Mapping[str, str]"
"""What the address says: the words behind `?` and those in the rule's brackets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page, its JSON and its stream.

    Attributes:
        slug: Its name in addresses, and for `url()` in templates.
        title: In the navigation and in the title of the window.
        load: Reads what the page shows, as a document for JSON: lists, mappings,
            texts, numbers, times in ISO 8601. It is the answer to `/<rule>.json` and
            the variable `page` of the template. What it raises below `WorkerLibError`
            becomes a page that says so: `JobNotFound` with 404, `ConfigError` (a
            filter that cannot be) with 400, `StoreUnavailable` with 503.
        rule: The address, for a page of one thing as `jobs/<id>`; "": the slug.
        order: Its place in the navigation, from 1; 0: it is not in it.
        icon: Name of an icon in `_ui.html`, for the navigation.
        parent: Slug of the page that the navigation shows as the present one.
        title_of: Returns a title of this very document, as a job's name.
        once: Reads what the template gets as `once`, for its blocks outside of `live`:
            when a person opens the page, never for an update or for the JSON.
    """

    slug: str
    title: str
    load: Callable[[Query], Mapping[str, Any]]
    rule: str = ""
    order: int = 0
    icon: str = "dot"
    parent: str = ""
    title_of: Callable[[Mapping[str, Any]], str] | None = None
    once: Callable[[Query], Mapping[str, Any]] | None = None

    @property
    def path(self) -> str:
        """The address below the dashboard's own, without a leading slash."""
        return self.rule or self.slug

    @property
    def template(self) -> str:
        """Name of the template, in `dashboard/templates`."""
        return f"pages/{self.slug}.html"


class Form(NamedTuple):
    """What a person sent to an action.

    Attributes:
        targets: Values of the fields named `target`: ids of jobs, names of queues.
        fields: All other fields, the first of each name.
    """

    targets: tuple[str, ...]
    fields: Mapping[str, str]

    @property
    def target(self) -> str:
        """The first target, or ""."""
        return self.targets[0] if self.targets else ""


Kind: TypeAlias = Literal["good", "bad", "warn", "info"]


class Line(NamedTuple):
    """One of several things that came of an action.

    Attributes:
        kind: `good`, `bad`, `warn` or `info`.
        name: What it is about.
        text: What came of it.
        remedy: What to do about it, or "".
        job_id: Of the job that it is about, or "".
    """

    kind: Kind
    name: str
    text: str
    remedy: str = ""
    job_id: str = ""


@dataclass(frozen=True, slots=True)
class Done:
    """What an action did.

    Attributes:
        text: One sentence for the person.
        target: For the audit: what it was done to, if not to the form's targets.
        total: For the audit: to how many.
        goto: Slug of the page to go to instead of back, with `goto_words` as its
            query; "" goes back to the page that the form was on.
        lines: What came of it one by one, shown below the sentence, instead of
            `goto`. Without a script they are a page of their own.
        kind: Of the sentence, as of a line.
    """

    text: str
    target: str = ""
    total: int = 1
    goto: str = ""
    goto_words: Query = field(default_factory=dict)
    lines: tuple[Line, ...] = ()
    kind: Kind = "good"


class Confirm(NamedTuple):
    """What a person has to agree to before an action runs.

    Attributes:
        text: What will happen, to how many.
        button: The verb, as "Destroy machine".
        typed: A word or number that the person has to type; "" for none.
    """

    text: str
    button: str
    typed: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """Something that a person may do.

    Attributes:
        name: Its address is `actions/<name>`; the audit shows it.
        run: Does it. What it raises below `WorkerLibError` is shown to the person.
        role: Who may.
        confirm: Returns what has to be agreed to first, or None for nothing. It is
            called again when the person agreed: a typed count that is no longer true
            is asked for again.
    """

    name: str
    run: Callable[[Form], Done]
    role: Role = "admin"
    confirm: Callable[[Form], Confirm | None] | None = None


class File(NamedTuple):
    """A file for the person's disk.

    Attributes:
        name: Suggested file name.
        parts: Its bytes, in pieces.
        content_type: As in HTTP.
    """

    name: str
    parts: Iterable[bytes]
    content_type: str = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A file, as the log of a job.

    Attributes:
        slug: Its name for `url()` in templates.
        rule: The address, as `jobs/<id>/log.txt`.
        load: Reads it.
    """

    slug: str
    rule: str
    load: Callable[[Query], File]


class Event(NamedTuple):
    """One event of a stream (Server-Sent Events).

    Attributes:
        name: What a script listens to.
        data: Any text.
        id: What the browser sends as `Last-Event-ID` when it comes back, or "".
    """

    name: str
    data: str
    id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """A stream of its own beside a page's, as the log of a job that runs.

    Attributes:
        slug: Its name for `url()` in templates.
        rule: The address, as `jobs/<id>/log/live`.
        follow: Yields events, and None at least once a second while there are none,
            when the core looks whether anybody still listens. It gets the query with
            the browser's `Last-Event-ID` as `last_event_id`, and ends when there can
            be no more. The core closes it after five minutes; the browser comes back.
    """

    slug: str
    rule: str
    follow: Callable[[Query], Iterator[Event | None]]


class Registry:
    """All that was declared.

    Attributes:
        pages: By slug, those of the navigation first and in its order.
        actions: By name.
        downloads: By slug.
        feeds: By slug.
    """

    def __init__(self, modules: Iterable[ModuleType]) -> None:
        declared = [one for module in modules for one in _declared(module)]
        pages = [one for one in declared if isinstance(one, Page)]
        pages.sort(key=lambda page: (page.order == 0, page.order, page.slug))
        self.pages = {page.slug: page for page in pages}
        self.actions = {one.name: one for one in declared if isinstance(one, Action)}
        self.downloads = {
            one.slug: one for one in declared if isinstance(one, Download)
        }
        self.feeds = {one.slug: one for one in declared if isinstance(one, Feed)}

    @classmethod
    def load(cls) -> Registry:
        """Import every module of `pages` and of `actions`."""
        from worker_lib.dashboard import actions, pages  # noqa: PLC0415 - they use us

        return cls(
            importlib.import_module(f"{package.__name__}.{info.name}")
            for package in (pages, actions)
            for info in pkgutil.iter_modules(package.__path__)
        )

    @property
    def rules(self) -> dict[str, str]:
        """The address of each page, download and feed, by slug."""
        files = {one.slug: one.rule for one in self.downloads.values()}
        feeds = {one.slug: one.rule for one in self.feeds.values()}
        return {slug: page.path for slug, page in self.pages.items()} | files | feeds


def _declared(module: ModuleType) -> Iterator[Page | Action | Download | Feed]:
    for value in vars(module).values():
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(one, Page | Action | Download | Feed):
                yield one
