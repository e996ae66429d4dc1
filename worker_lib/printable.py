"""Text of tasks, Redis and Fly made safe for a terminal.

A terminal obeys control characters: they can clear it, rename its window, hide what
was printed before, or have an answer typed in. So they are shown as escapes instead.
"""

from __future__ import annotations

__all__ = ["printable"]

# Besides the control characters: what reorders a line or breaks it in two, and half of
# a surrogate pair, which cannot be printed at all.
_OTHERS = frozenset("\u061c\u200e\u200f\u2028\u2029\ufeff") | {
    chr(code)
    for first, last in ((0x202A, 0x202E), (0x2066, 0x2069))
    for code in range(first, last + 1)
}


def printable(text: str, *, keep: str = "\n\t") -> str:
    r"""Return `text` with control characters as escapes, such as `\x1b`.

    Args:
        keep: Those that stay as they are; "" where a line is to stay one line.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(char, keep) for char in text)


def _shown(char: str, keep: str) -> str:
    code = ord(char)
    is_control = code < 0x20 or 0x7F <= code < 0xA0
    if (not is_control and char not in _OTHERS and not 0xD800 <= code < 0xE000) or (
        char in keep
    ):
        return char
    return char.encode("unicode_escape").decode()
