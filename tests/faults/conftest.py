"""Faults come by the dozen here, so what follows each of them follows soon."""

from __future__ import annotations

import pytest

from worker_lib import sweep, sweeper


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look and launch again after tenths of a second, where it is seconds elsewhere."""
    monkeypatch.setattr(sweeper, "_MIN_PAUSE", 0.4)
    monkeypatch.setattr(sweep, "_LOOK_AGAIN_IN", 0.4)
    monkeypatch.setattr(sweep, "_FIRST_HOLD", 0.1)
