"""A report as PDF, drawn page by page from made-up figures.

Everything is drawn as plain text and shapes: no markup of a person's title is ever
interpreted, and nothing is fetched.
"""

# ruff: noqa: PLC0415 - a machine loads only what its task needs
from __future__ import annotations

import calendar
import io
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from reportlab.pdfgen.canvas import Canvas

__all__ = ["MAX_PAGES", "ReportRefused", "render", "unprintable"]

MAX_PAGES = 500

_MONTHS = tuple(calendar.month_abbr)[1:]
_PRODUCTS = ("Anchors", "Buoys", "Compasses", "Dinghies", "Ensigns", "Fenders")
_INK, _MUTED, _ACCENT, _PALE = "#1c2330", "#6b7484", "#5b3df5", "#eceafd"
_MARGIN = 54
_WIDTH, _HEIGHT = 595, 842  # A4 in points


class ReportRefused(Exception):
    """The report cannot be made as ordered; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Section:
    """The figures of one page."""

    name: str
    sales: tuple[int, ...]
    returns: tuple[int, ...]


def render(title: str, pages: int, on_page: Callable[[int], None]) -> bytes:
    """Return a PDF of exactly `pages` A4 pages: a cover, then one section each.

    The figures follow from the title and the page number, so the same order gives the
    same report.

    Args:
        on_page: Called with the number of each page when it is done.

    Raises:
        ReportRefused: `pages` is not within 1 to `MAX_PAGES`, or the title has
            characters that the PDF's built-in fonts lack.
    """
    from reportlab.pdfgen.canvas import Canvas

    _check(title, pages)
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=(_WIDTH, _HEIGHT), pageCompression=1, invariant=1)
    canvas.setTitle(title)
    canvas.setAuthor("worker_lib demo")
    for page in range(1, pages + 1):
        section = _figures(title, page)
        if page == 1:
            _cover(canvas, title, pages, section)
        else:
            _header(canvas, title, page, pages)
            _body(canvas, section, top=_HEIGHT - 110)
        canvas.showPage()
        on_page(page)
    canvas.save()
    return out.getvalue()


def unprintable(title: str) -> str:
    """Return the characters that the PDF's built-in fonts lack, each once, or ""."""
    printable = title.encode("cp1252", "ignore").decode("cp1252")
    return "".join(dict.fromkeys(c for c in title if c not in printable))


def _check(title: str, pages: int) -> None:
    if not 1 <= pages <= MAX_PAGES:
        raise ReportRefused(f"A report has 1 to {MAX_PAGES} pages, not {pages}.")
    if missing := unprintable(title):
        raise ReportRefused(f"The report's font cannot print {missing}")


def _figures(title: str, page: int) -> _Section:
    chance = random.Random(f"{title}/{page}")
    sales = tuple(chance.randrange(240, 990) for _ in _MONTHS)
    return _Section(
        name=f"{chance.choice(_PRODUCTS)}, region {page}",
        sales=sales,
        returns=tuple(chance.randrange(4, 60) for _ in _MONTHS),
    )


def _cover(canvas: Canvas, title: str, pages: int, section: _Section) -> None:
    from reportlab.lib.utils import simpleSplit

    canvas.setFillColor(_ACCENT)
    canvas.rect(0, _HEIGHT - 250, _WIDTH, 250, stroke=0, fill=1)
    canvas.setFillColor("#ffffff")
    canvas.setFont("Helvetica-Bold", 30)
    lines = simpleSplit(title, "Helvetica-Bold", 30, _WIDTH - 2 * _MARGIN)[:4]
    for number, line in enumerate(lines):
        canvas.drawString(_MARGIN, _HEIGHT - 100 - 36 * number, line)
    canvas.setFont("Helvetica", 11)
    canvas.drawString(_MARGIN, _HEIGHT - 228, f"{_pages(pages)} of made-up figures")
    _body(canvas, section, top=_HEIGHT - 296)
    _footer(canvas, 1, pages)


def _header(canvas: Canvas, title: str, page: int, pages: int) -> None:
    from reportlab.lib.utils import simpleSplit

    canvas.setFillColor(_MUTED)
    canvas.setFont("Helvetica", 9)
    line = simpleSplit(title, "Helvetica", 9, _WIDTH - 2 * _MARGIN)[0]
    canvas.drawString(_MARGIN, _HEIGHT - 48, line)
    canvas.setStrokeColor(_ACCENT)
    canvas.setLineWidth(1.5)
    canvas.line(_MARGIN, _HEIGHT - 58, _WIDTH - _MARGIN, _HEIGHT - 58)
    _footer(canvas, page, pages)


def _footer(canvas: Canvas, page: int, pages: int) -> None:
    canvas.setFillColor(_MUTED)
    canvas.setFont("Helvetica", 9)
    canvas.drawString(_MARGIN, 34, "Made by a job of worker_lib")
    canvas.drawRightString(_WIDTH - _MARGIN, 34, f"{page} / {pages}")


def _body(canvas: Canvas, section: _Section, *, top: float) -> None:
    """Draw a section's heading, chart and table downwards from `top`."""
    canvas.setFillColor(_INK)
    canvas.setFont("Helvetica-Bold", 17)
    canvas.drawString(_MARGIN, top, section.name)
    _chart(canvas, section, top=top - 28, height=150)
    _table(canvas, section, top=top - 232)


def _chart(canvas: Canvas, section: _Section, *, top: float, height: float) -> None:
    step = (_WIDTH - 2 * _MARGIN) / len(_MONTHS)
    floor, best = top - height, max(section.sales)
    canvas.setFont("Helvetica", 8)
    for number, (month, sold) in enumerate(zip(_MONTHS, section.sales, strict=True)):
        left = _MARGIN + step * number
        canvas.setFillColor(_ACCENT if sold == best else "#b9aefb")
        tall = (height - 14) * sold / best
        canvas.roundRect(left + 4, floor, step - 8, tall, 3, stroke=0, fill=1)
        canvas.setFillColor(_MUTED)
        canvas.drawCentredString(left + step / 2, floor - 13, month)
        canvas.drawCentredString(left + step / 2, floor + tall + 4, str(sold))


def _table(canvas: Canvas, section: _Section, *, top: float) -> None:
    columns = (_MARGIN + 10, 300, 420, _WIDTH - _MARGIN - 10)
    _row(canvas, columns, ("Month", "Sold", "Returned", "Kept"), top, bold=True)
    figures = zip(_MONTHS, section.sales, section.returns, strict=True)
    for number, (month, sold, back) in enumerate(figures, start=1):
        y = top - 19 * number
        if number % 2:
            canvas.setFillColor(_PALE)
            canvas.rect(_MARGIN, y - 6, _WIDTH - 2 * _MARGIN, 19, stroke=0, fill=1)
        kept = f"{(sold - back) / sold:.1%}"
        _row(canvas, columns, (month, str(sold), str(back), kept), y, bold=False)


def _row(
    canvas: Canvas,
    columns: tuple[float, ...],
    cells: tuple[str, ...],
    y: float,
    *,
    bold: bool,
) -> None:
    canvas.setFont("Helvetica-Bold" if bold else "Helvetica", 10)
    canvas.setFillColor(_INK)
    canvas.drawString(columns[0], y, cells[0])
    for x, cell in zip(columns[1:], cells[1:], strict=True):
        canvas.drawRightString(x, y, cell)


def _pages(count: int) -> str:
    return "1 page" if count == 1 else f"{count} pages"
