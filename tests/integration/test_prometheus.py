"""A real Prometheus scrapes real metrics, and answers what board and rules ask."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import jobs as tasks
import pytest
from prometheus_client import CollectorRegistry
from waiting import until

from worker_lib.metrics import JobsCollector, serve, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
BOARD = ROOT / "deploy" / "grafana" / "worker_lib.json"
RULES = ROOT / "deploy" / "prometheus" / "worker_lib.rules.yml"
CONFIG = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ["{rules}"]
scrape_configs:
  - job_name: shop
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""
# What Grafana fills in.
VARIABLES = {
    "$__rate_interval": "1m",
    "$__range": "1h",
    "$job": ".*",
    "$task": ".*",
}
# What needs a failed launch, a limit of Redis's memory, or calls that wait.
MAY_BE_EMPTY = (
    "worker_lib_launch_errors",
    "memory_limit",
    "worker_lib_queue_jobs",
    "retried",
)


@pytest.fixture
def exporter(client: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Serve the metrics of this test's Redis; yield the port."""
    registry = CollectorRegistry()
    registry.register(JobsCollector(keep=0.0))
    monkeypatch.setattr(serving, "_registry", lambda: registry)
    server = serve(0, "127.0.0.1")
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture
def ask(exporter: int, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Run Prometheus on it; yield what asks its API."""
    if not shutil.which("prometheus"):
        if os.environ.get("CI"):
            pytest.fail("prometheus is not installed")
        pytest.skip("prometheus is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = tmp_path / "prometheus.yml"
    config.write_text(CONFIG.format(rules=RULES, port=exporter))
    process = subprocess.Popen(
        (
            "prometheus",
            f"--config.file={config}",
            f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ),
        stderr=subprocess.DEVNULL,
    )

    def get(path: str, **words: str) -> Any:
        url = f"http://127.0.0.1:{port}/api/v1/{path}?{urlencode(words)}"
        with urlopen(url, timeout=5) as reply:
            return json.load(reply)["data"]

    def is_scraped() -> bool:
        try:
            return bool(get("query", query="worker_lib_up == 1")["result"])
        except URLError:
            return False

    try:
        until(is_scraped, 40)
        yield get
    finally:
        process.terminate()
        process.wait(20)


def queries() -> list[tuple[str, str]]:
    """Return each query of the board, with what Grafana fills in, and its panel."""
    found = []
    for panel in json.loads(BOARD.read_text())["panels"]:
        for target in panel.get("targets", []):
            text = target["expr"]
            for name, value in VARIABLES.items():
                text = text.replace(name, value)
            assert "$" not in text, text
            found.append((panel["title"], text))
    return found


def unanswered(ask: Callable[..., Any]) -> list[str]:
    """Return the panels that show nothing, but for those that may."""
    return [
        title
        for title, query in queries()
        if not any(word in query for word in MAY_BE_EMPTY)
        and not ask("query", query=query)["result"]
    ]


def test_a_real_prometheus_answers_what_the_board_asks(ask: Callable[..., Any]) -> None:
    """And finds nothing wrong with the page or the rules."""
    for number in range(3):
        assert number == tasks.add.delay(number).result(timeout=30)
    with pytest.raises(ValueError, match="no"):
        tasks.boom.delay("no").result(timeout=30)
    outcomes = {"succeeded": 3, "failed": 1}
    counted = [
        f'sum(worker_lib_jobs_total{{outcome="{outcome}"}}) == {count}'
        for outcome, count in outcomes.items()
    ]
    until(lambda: ask("query", query=" and ".join(counted))["result"], 20)
    # Rates need two scrapes with the numbers of before and after.
    tasks.add.delay(3).result(timeout=30)
    with pytest.raises(ValueError, match="no"):
        tasks.boom.delay("no").result(timeout=30)

    until(lambda: not unanswered(ask), 25)
    (target,) = ask("targets")["activeTargets"]
    assert ("up", "") == (target["health"], target["lastError"])
    (group,) = ask("rules")["groups"]
    assert {"ok"} == {rule["health"] for rule in group["rules"]}
    names = re.findall(r"alert: (\w+)", RULES.read_text())
    assert names == [rule["name"] for rule in group["rules"]]
