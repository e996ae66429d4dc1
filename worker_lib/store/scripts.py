"""The Lua scripts: one file per verb, each move of a job is one of them.

Redis runs a script whole or not at all, on its own clock, so there is no moment at
which a job is between two places. Every script can be sent again after a lost reply.

A verb names its arguments in its first statement, `local slot, job = unpack(ARGV)`; it
is called with the same names, so nothing is matched by position across files. What
comes after them (ids, or fields and values) is called `rest`.
"""

from __future__ import annotations

import os

from worker_lib.job import FIELDS, MOVES
from worker_lib.store.resp import Packed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypeAlias

    Word: TypeAlias = bytes | str | float
    # The names that it defines, its text.
    _Definition: TypeAlias = tuple[set[bytes], bytes]

__all__ = ["Script", "forget_parts", "script"]

_FOLDER = os.path.join(os.path.dirname(__file__), "lua")
_POOLS = ("_common", "_counts", "_pools")
_SLOTS = (*_POOLS, "_machines", "_parking")
_MOVES = (*_SLOTS, "_lists", "_batches", "_table", "_moves", "_claim")
# What a verb shares with others, in front of its own text.
_PARTS = {
    **dict.fromkeys(("queues", "pause", "batch", "unfinished"), _POOLS),
    **dict.fromkeys(("overview", "machines", "counts", "list"), _POOLS),
    "close_batch": (*_POOLS, "_batches"),
    **dict.fromkeys(("launch", "refuse", "replace", "retire"), _SLOTS),
    **dict.fromkeys(("created", "stray"), (*_POOLS, "_machines")),
    "enqueue": (*_MOVES, "_rights", "_enqueue"),
    **dict.fromkeys(("cancel", "cancel_batch", "cancel_waiting"), _MOVES),
    **dict.fromkeys(("delete", "edit"), _MOVES),
    **dict.fromkeys(("claim", "finish", "look", "outcomes", "release"), _MOVES),
    **dict.fromkeys(("lose", "sweep"), _MOVES),
}
_HEAD = b" = unpack(ARGV)\n"
# Whatever way a verb ends that moves jobs, or frees slots, its counts are written.
_COUNTED = b"""
local function verb()
%b
end
local reply = verb()
if next(counted) then settle_counts() end
return reply"""
_SETTLED = _COUNTED.replace(
    b"if next(counted)", b"if next(tallies) then settle_batches() end\nif next(counted)"
)
# Of a job's end: the script has them at hand.
_WRITTEN = frozenset(
    {
        *("status", "ended", "cause", "error", "tail", "trace"),
        *("exit_code", "peak_mb", "cpu_s"),
    }
)
_WORDS = bytes(at if chr(at).isalnum() or chr(at) == "_" else 32 for at in range(256))
_loaded: dict[str, Script] = {}
_defined: dict[str, list[_Definition]] = {}


class Script:
    """One verb: its source, its arguments, and the digest by which Redis knows it.

    Attributes:
        name: The verb.
        source: The Lua text, what it shares with others put in front.
        arguments: Their names, in order.
    """

    __slots__ = ("_sha", "arguments", "name", "source")

    def __init__(
        self, name: str, shared: bytes, verb: bytes, frame: bytes = b"%b"
    ) -> None:
        self.name = name
        self.source = shared + frame % verb
        self.arguments = _arguments(verb)
        self._sha = b""

    @property
    def sha(self) -> bytes:
        """SHA-1 of the source, for EVALSHA."""
        if not self._sha:
            from worker_lib.hashes import sha1  # noqa: PLC0415 - one job needs none

            self._sha = sha1(self.source).encode()
        return self._sha

    def words(
        self, rest: tuple[Word | Packed, ...], named: dict[str, Word]
    ) -> list[Word | Packed]:
        """Return arguments in the order in which the script takes them.

        Args:
            rest: Begins with what `packed` returned, if that is used.

        Raises:
            TypeError: names are missing, or unknown.
        """
        names = self.arguments
        if rest and isinstance(rest[0], Packed):
            names = names[: len(names) - rest[0].arguments]
        return [*self._in_order(names, named), *rest]

    def packed(self, *rest: Word, **named: Word) -> Packed:
        """Return its last arguments, and what follows them, for use in many runs.

        Raises:
            TypeError: these are not its last ones.
        """
        names = self.arguments[len(self.arguments) - len(named) :]
        return Packed([*self._in_order(names, named), *rest], len(names))

    def _in_order(self, names: tuple[str, ...], named: dict[str, Word]) -> list[Word]:
        if len(named) != len(names):
            wrong = set(named) ^ set(names)
            raise TypeError(f"{self.name}: missing or unknown: {sorted(wrong)}")
        try:
            return [named[name] for name in names]
        except KeyError as error:
            raise TypeError(f"{self.name}: missing argument {error}") from None


def script(name: str) -> Script:
    """Return the script of this verb; read from disk once."""
    if name not in _loaded:
        parts = _PARTS.get(name, ("_common",))
        verb = _read_verb(name)
        frame = b"%b" if b"settle_counts" in verb else _frame(parts)
        words = _words(frame % verb)
        shared = _needed([one for part in parts for one in _definitions(part)], words)
        _loaded[name] = Script(name, shared, verb, frame)
    return _loaded[name]


def _frame(parts: tuple[str, ...]) -> bytes:
    if "_moves" in parts:
        return _SETTLED
    return _COUNTED if "_parking" in parts else b"%b"


def forget_parts() -> None:
    """Free what scripts share with others: they are read again if there are more."""
    _defined.clear()


def _needed(definitions: list[_Definition], words: set[bytes]) -> bytes:
    """Return what a verb of these words uses of what it shares with others.

    All of it is made anew whenever a script runs: half of what a call cost the server.
    So a function that was only declared, and is given by `name = function(...)`, is
    made when it is first called, with what nothing else uses.
    """
    uses = _Uses(definitions)
    first = uses.reached(words, set())
    own = uses.alone(first)
    while shared := uses.shared(own):
        first |= shared
        own = uses.alone(first)
    return b"".join(
        _made_late(definitions, at, own[at]) if at in own else definitions[at][1]
        for at in sorted(first)
    )


class _Uses:
    """Which definitions use which, by their places in a list.

    Args:
        definitions: The list.
    """

    def __init__(self, definitions: list[_Definition]) -> None:
        self._texts = [text for _, text in definitions]
        self._used: dict[int, set[bytes]] = {}
        self._places: dict[bytes, set[int]] = {}
        self._late = set[int]()
        # Places of what is made late, and of its declarations.
        self._declared = set[int]()
        for at, (names, text) in enumerate(definitions):
            for name in names:
                self._places.setdefault(name, set()).add(at)
            if not text.startswith(b"local"):
                self._late.add(at)
                self._declared.update(*(self._places[name] for name in names))

    def reached(self, words: set[bytes], known: set[int]) -> set[int]:
        """Return what words lead to, but for what is known and what is made late."""
        found = set[int]()
        while words:
            names = words & self._places.keys()
            more = set[int]().union(*(self._places[name] for name in names))
            more -= found | known
            found |= more
            words = set[bytes]().union(*map(self._names_in, more - self._late))
        return found

    def _names_in(self, at: int) -> set[bytes]:
        """Return the names that a definition uses.

        Looked for when it is reached, and not kept: most of a text is other words.
        """
        if at not in self._used:
            self._used[at] = _words(self._texts[at]) & self._places.keys()
        return self._used[at]

    def alone(self, first: set[int]) -> dict[int, set[int]]:
        """Return what each of those that are made late uses besides."""
        late = first & self._late
        return {at: self.reached(self._names_in(at), first) for at in late}

    def shared(self, own: dict[int, set[int]]) -> set[int]:
        """Return what several of them use, or what is made late itself."""
        seen, shared = set[int](), set[int]()
        for found in own.values():
            shared |= found & seen
            seen |= found
        return shared | seen & self._declared


def _made_late(definitions: list[_Definition], at: int, own: set[int]) -> bytes:
    names, text = definitions[at]
    (name,) = names
    parts = b"".join(definitions[one][1] for one in sorted(own))
    made = b"%b = function(...)\n%b%breturn %b(...)\nend\n"
    return made % (name, parts, text, name)


def _definitions(part: str) -> list[_Definition]:
    """Return the names and the text of each definition in a file, in order."""
    if part not in _defined:
        text = _table() if part == "_table" else _read(part)
        blocks: list[bytes] = []
        for line in text.splitlines(keepends=True):
            if line[:1].isalpha() and not line.startswith(b"end"):
                blocks.append(line)
            elif line != b"\n" and not line.lstrip().startswith(b"--"):
                blocks[-1] += line
        _defined[part] = [(_names(one), one) for one in blocks]
    return _defined[part]


def _names(definition: bytes) -> set[bytes]:
    if b"function" in definition.partition(b"(")[0]:
        head = definition.partition(b"(")[0]
    else:
        head = definition.partition(b"=")[0]
    return _words(head) - {b"local", b"function"}


def _words(text: bytes) -> set[bytes]:
    return set(text.translate(_WORDS).split())


def _read(part: str) -> bytes:
    with open(os.path.join(_FOLDER, part + ".lua"), "rb") as file:
        return file.read()


def _read_verb(name: str) -> bytes:
    """Return the text of a verb without its comments, whose words are no code."""
    lines = _read(name).splitlines(keepends=True)
    return b"".join(line for line in lines if not line.lstrip().startswith(b"--"))


def _arguments(verb: bytes) -> tuple[str, ...]:
    head, found, _ = verb.partition(_HEAD)
    if not found or not head.startswith(b"local ") or b"=" in head:
        return ()
    names = head[len(b"local ") :].decode().split(",")
    return tuple(name.strip() for name in names)


def _table() -> bytes:
    """Return the tables of `worker_lib.job` as Lua.

    They are made anew whenever a script runs, so what few runs need stands in a
    function.
    """
    moves = " ".join(f"{move.source}>{move.target}" for move in MOVES)
    waits, ends = _kept("attempt", "running"), _kept("not_final", "due", "running")
    kept = (name for name in _kept("always", "attempt") if name not in _WRITTEN)
    return (
        f"local MOVES = ' {moves} '\n"
        f"local KEPT = {_list(kept)}\n"
        "local function dropped(to)\n"
        f"  if to == 'retrying' then return {_list(waits)} end\n"
        f"  if to == 'queued' then return {_list([*waits, *_kept('due')])} end\n"
        f"  if to ~= 'succeeded' and FINAL[to] then return {_list(ends)} end\n"
        "end\n"
    ).encode()


def _kept(*how: str) -> list[str]:
    return [field.name for field in FIELDS.values() if field.kept in how]


def _list(names: Iterable[str]) -> str:
    return "{" + ", ".join(map(repr, names)) + "}"
