"""How records of `logging` are printed on a machine whose task configures nothing.

Python itself would print the message alone. Where a logger has a handler, as after
`logging.basicConfig`, that one prints, and nothing here is used.
"""

from __future__ import annotations

import logging
import sys

from worker_lib.log_lines import format_line

__all__ = ["write"]

_KNOWN = frozenset(logging.makeLogRecord({}).__dict__) | {
    *("message", "asctime", "taskName")
}
_formatter = logging.Formatter()


def write(record: logging.LogRecord) -> None:
    """Print a record: a line with its time, level, logger, message and `extra`."""
    try:
        fields = {
            name: value for name, value in record.__dict__.items() if name not in _KNOWN
        }
        message = _with_traceback(record)
        line = format_line(
            record.created, record.levelname, record.name, message, fields
        )
        # In one piece: other threads print, too.
        sys.stderr.write(f"{line}\n")
    except Exception:  # noqa: BLE001 - a record that cannot be printed fails no task
        logging.Handler().handleError(record)


def _with_traceback(record: logging.LogRecord) -> str:
    parts = [record.getMessage()]
    if record.exc_info:
        parts.append(_formatter.formatException(record.exc_info))
    if record.stack_info:
        parts.append(record.stack_info)
    return "\n".join(parts)
