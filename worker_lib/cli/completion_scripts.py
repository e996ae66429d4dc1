"""Completion scripts for shells, made from the parser, so that they are never behind.

All three shells get the same table: for each command the words that may follow it, with
what they mean. What takes a file or free text is left to the shell.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, NamedTuple

from worker_lib.cli.parsers import subparsers_of
from worker_lib.job import MOVES

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

__all__ = ["script"]

_NAME = "worker-lib"
# Values of options that take any text, since a wrong one is told the nearest.
_OFFERED = {
    "--status": tuple(dict.fromkeys(move.target for move in MOVES)),
}


class _Word(NamedTuple):
    """A word that may stand somewhere.

    Attributes:
        path: The words before it, as `jobs list`; options aside.
        option: The option that it is a value of, or "".
    """

    path: str
    option: str
    text: str
    about: str


def script(shell: str, parser: argparse.ArgumentParser) -> str:
    """Return the script for `bash`, `zsh` or `fish`."""
    words = [*_words(parser, ())]
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](words)


def _words(parser: argparse.ArgumentParser, path: tuple[str, ...]) -> Iterator[_Word]:
    at = " ".join(path)
    inner = subparsers_of(parser)
    for action in parser._actions:  # noqa: SLF001 - there is no other list of them
        if action is inner:
            continue
        about = (action.help or "").replace("%(default)s", str(action.default))
        for option in action.option_strings:
            yield _Word(at, "", option, about)
        for option in action.option_strings or [""]:
            for choice in action.choices or _OFFERED.get(option, ()):
                yield _Word(at, option, str(choice), about)
    if inner is None:
        return
    abouts = {one.dest: one.help or "" for one in inner._choices_actions}  # noqa: SLF001
    for name, one in inner.choices.items():
        yield _Word(at, "", name, abouts[name])
        yield from _words(one, (*path, name))


def _tables(words: list[_Word]) -> dict[tuple[str, str], list[_Word]]:
    """Return the words by command and by what is before them.

    That is the option whose values they are, else "-" for options and "" for others.
    """
    tables: dict[tuple[str, str], list[_Word]] = {}
    for word in words:
        kind = word.option or ("-" if word.text.startswith("-") else "")
        tables.setdefault((word.path, kind), []).append(word)
    return tables


def _paths(words: list[_Word]) -> str:
    """Return a `case` pattern of all commands."""
    paths = dict.fromkeys(one.path for one in words if one.path)
    return "|".join(shlex.quote(path) for path in paths)


def _bash(words: list[_Word]) -> str:
    cases = "".join(
        f"    {shlex.quote(f'{path}|{kind}')}) "
        f"words={shlex.quote(' '.join(word.text for word in found))} ;;\n"
        for (path, kind), found in _tables(words).items()
    )
    return f"""\
# Completion of {_NAME} in bash, made by `{_NAME} completion bash`.
_worker_lib_words() {{
  case "$1" in
{cases}\
  esac
}}
_worker_lib() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" path="" words="" last="" kind="" word
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    case "${{path:+$path }}$word" in
      {_paths(words)}) path="${{path:+$path }}$word" ;;
    esac
    last="$word"
  done
  [[ $current == -* ]] && kind="-"
  [[ $last == -* ]] && _worker_lib_words "$path|$last"
  [[ -z $words ]] && _worker_lib_words "$path|$kind"
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _worker_lib {_NAME}
"""


def _zsh(words: list[_Word]) -> str:
    return f"""\
#compdef {_NAME}
# Completion of {_NAME} in zsh, made by `{_NAME} completion zsh`.
_worker_lib_words() {{
  case "$1" in
{_zsh_cases(words)}\
  esac
}}
_worker_lib() {{
  local where="" last="" kind="" word
  local -a known
  for word in "${{(@)words[2,CURRENT-1]}}"; do
    case "${{where:+$where }}$word" in
      {_paths(words)}) where="${{where:+$where }}$word" ;;
    esac
    last="$word"
  done
  [[ $words[CURRENT] == -* ]] && kind="-"
  [[ $last == -* ]] && _worker_lib_words "$where|$last"
  (( $#known )) || _worker_lib_words "$where|$kind"
  if [[ -n $kind ]]; then
    _describe -o option known
  elif (( $#known )); then
    _describe word known
  else
    _files
  fi
}}
compdef _worker_lib {_NAME}
"""


def _zsh_cases(words: list[_Word]) -> str:
    lines = []
    for (path, kind), found in _tables(words).items():
        listed = " ".join(shlex.quote(_described(one)) for one in found)
        lines.append(f"    {shlex.quote(f'{path}|{kind}')}) known=({listed}) ;;\n")
    return "".join(lines)


def _described(word: _Word) -> str:
    text = word.text.replace(":", "\\:")
    return f"{text}:{word.about}" if word.about else text


def _fish(words: list[_Word]) -> str:
    nested = sorted({one.path for one in words if one.path})
    lines = [
        f"# Completion of {_NAME} in fish, made by `{_NAME} completion fish`.",
        "function __worker_lib_at",
        "  set -l path",
        "  for word in (commandline -opc)[2..]",
        "    set -l longer (string join ' ' -- $path $word)",
        f"    if contains -- $longer {' '.join(map(shlex.quote, nested))}",
        "      set -a path $word",
        "    end",
        "  end",
        '  test "$path" = "$argv"',
        "end",
    ]
    values = {
        key: " ".join(one.text for one in found)
        for key, found in _tables(words).items()
        if key[1]
    }
    lines += [_fish_line(one, values) for one in words if not one.option]
    return "\n".join(lines) + "\n"


def _fish_line(word: _Word, values: dict[tuple[str, str], str]) -> str:
    where = (
        f"complete -c {_NAME} -n {shlex.quote(f'__worker_lib_at {word.path}'.strip())}"
    )
    about = f" -d {shlex.quote(word.about)}" if word.about else ""
    if word.text.startswith("--"):
        choices = values.get((word.path, word.text))
        taken = f" -x -a {shlex.quote(choices)}" if choices else ""
        return f"{where} -l {word.text[2:]}{taken}{about}"
    if word.text.startswith("-"):
        return f"{where} -s {word.text[1:]}{about}"
    return f"{where} -f -a {word.text}{about}"
