"""Templates of the dashboard, apart from those of the app around it."""

from __future__ import annotations

import json
import re
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from worker_lib import __version__
from worker_lib.dashboard import csrf, filters
from worker_lib.printable import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Addresses", "Templates"]

# Control characters, what reorders a line, and halves of a pair; not line ends, tabs.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff"
    "\ud800-\udfff]"
)
_FOLDER = Path(__file__).with_name("templates")


class Addresses:
    """Addresses within the dashboard, wherever the app has put it.

    Args:
        root: Where it is, with a slash at its end.
        rules: Address of each page, download and feed below that, by slug.
        version: Of the assets.
    """

    def __init__(self, root: str, rules: Mapping[str, str], version: str) -> None:
        self.root = root
        self._rules = rules
        self._version = version

    def url(self, slug: str, **words: object) -> str:
        """Return the address of a page, download or feed; None leaves out a word.

        Words that are not in its rule follow behind a `?`.
        """
        rest = {name: str(word) for name, word in words.items() if word is not None}
        parts = []
        for part in self._rules[slug].split("/"):
            name = part.removeprefix("<").removesuffix(">")
            parts.append(part if name == part else quote(rest.pop(name), safe=""))
        path = "" if slug == "overview" else "/".join(parts)
        query = urlencode({name: word for name, word in rest.items() if word})
        return f"{self.root}{path}{'?' * bool(query)}{query}"

    def action(self, name: str) -> str:
        """Return where the form of an action is sent."""
        return f"{self.root}actions/{name}"

    def asset(self, name: str) -> str:
        """Return the address of a file of `static`."""
        return f"{self.root}assets/{self._version}/{name}"


class Templates:
    """Renders pages and parts of them."""

    @cached_property
    def _environment(self) -> Environment:
        made = Environment(
            loader=FileSystemLoader(_FOLDER),
            autoescape=True,
            undefined=StrictUndefined,
            finalize=_visible,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        made.filters.update(filters.FILTERS, as_json=_as_json)
        made.globals.update(csrf_field=csrf.FIELD, csrf_mark=csrf.MARK)
        made.globals["library_version"] = __version__
        # As a module, so that macros are there in a block that is rendered alone.
        made.globals["ui"] = made.get_template("_ui.html").module
        return made

    def page(self, name: str, words: Mapping[str, Any]) -> str:
        """Return a whole page."""
        return self._environment.get_template(name).render(words)

    def block(self, name: str, block: str, words: Mapping[str, Any]) -> str:
        """Return one block of a page alone."""
        template = self._environment.get_template(name)
        context = template.new_context(dict(words))
        return "".join(template.blocks[block](context))


def _visible(value: Any) -> Any:
    """Return what is to be shown: a text without characters that cannot be seen."""
    if type(value) is str and _UNSEEN.search(value):
        return printable(value)
    return value


def _as_json(value: Any) -> Markup:
    """Return JSON for an attribute in double quotes."""
    return Markup.escape(json.dumps(value, separators=(",", ":")))
