"""Keeps what was done from a command line for the audit, beside what pages do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker_lib.cli.output import complain
from worker_lib.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["note"]


def note(
    what: str, targets: Sequence[str], *, refused: int = 0, total: int | None = None
) -> None:
    """Keep that this person did something; what is done is done, whether kept or not.

    Args:
        what: The action, by the name that the dashboard has for it.
        targets: What it was done to; nothing is kept if there are none.
        refused: To how many others it could not be done.
        total: How many jobs that concerned; None: as many as there are targets.
    """
    if not targets and not refused:
        return
    from worker_lib.inspection import AuditEntry, audit  # noqa: PLC0415 - not for --help

    more = f" and {len(targets) - 1} more" if len(targets) > 1 else ""
    target = f"{targets[0]}{more}" if targets else ""
    outcome = f"{refused} refused" if refused else "done"
    try:
        count = len(targets) if total is None else total
        audit(AuditEntry(_person(), what, target, count, outcome))
    except StoreError as error:
        complain(f"worker-lib: this is missing in the audit: {error}")


def _person() -> str:
    """Return who it was, as this computer names them."""
    import getpass  # noqa: PLC0415 - not for --help
    import socket  # noqa: PLC0415 - as above

    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = "somebody"
    return f"{user}@{socket.gethostname()}"
