"""The board of Grafana and the alert rules: they ask for what there is."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from scrape import READING, exposed

from worker_lib.metrics import JobsCollector

ROOT = Path(__file__).parents[3]
BOARD = ROOT / "deploy" / "grafana" / "worker_lib.json"
RULES = ROOT / "deploy" / "prometheus" / "worker_lib.rules.yml"
_METRIC = re.compile(r"\bworker_lib_\w+")


def run_promtool(*words: str) -> str:
    """Return what promtool says; it is part of Debian's package prometheus."""
    if not shutil.which("promtool"):
        if os.environ.get("CI"):
            pytest.fail("promtool is not installed")
        pytest.skip("promtool is not installed")
    done = subprocess.run(
        ("promtool", *words), capture_output=True, text=True, check=False
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout


def samples() -> set[str]:
    """Return the names of all samples."""
    text = exposed(JobsCollector(lambda: READING))
    return {
        line.partition("{")[0].split()[0]
        for line in text.splitlines()
        if line[0] != "#"
    }


@pytest.mark.parametrize("path", [BOARD, RULES], ids=["board", "rules"])
def test_every_metric_that_is_asked_for_exists(path: Path) -> None:
    """Under the name that a sample has, as `..._total` or `..._bucket`."""
    asked = set(_METRIC.findall(path.read_text())) - {"worker_lib_"}

    assert len(asked) > 6
    assert set() == asked - samples()


def test_the_board_shows_every_metric() -> None:
    """But for counts and sums of histograms that others show."""
    board = BOARD.read_text()
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in samples()}

    missing = {name for name in families if name not in board}
    assert {"worker_lib_queue_paused"} == missing, "its alert shows that"


def test_panels_do_not_overlap_and_have_a_query_each() -> None:
    """Grafana would move them."""
    board = json.loads(BOARD.read_text())
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not taken & cells, panel["title"]
        assert panel["type"] == "row" or panel["targets"], panel["title"]
        taken |= cells
    assert max(x for x, _ in taken) < 24
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def test_rules_are_rules() -> None:
    """As Prometheus reads them."""
    assert "SUCCESS" in run_promtool("check", "rules", str(RULES))


def test_each_alert_is_raised_by_what_it_is_about_and_by_nothing_less() -> None:
    """Also where several processes tell the same numbers."""
    tests = Path(__file__).with_name("rules_test.yml")
    alerts = set(re.findall(r"alert: (\w+)", RULES.read_text()))

    assert set() == {name for name in alerts if name not in tests.read_text()}
    assert "SUCCESS" in run_promtool("test", "rules", str(tests))
