"""Whatever others wrote into Redis is shown as text, and nothing of it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
import redis
from hostile import PAYLOADS, SURVEY, shouts

from worker_lib.inspection import AuditEntry, audit
from worker_lib.store.keys import key_prefix

if TYPE_CHECKING:
    from collections.abc import Callable

    from tabs import Tab

    from worker_lib import Job
    from worker_lib.client.client import Client

PARTS = [PAYLOADS[start::4] for start in range(4)]
LISTS = ("", "jobs", "failed", "tasks", "machines", "queues", "costs", "audit")
HARMLESS = [0, 0, 0]


def calls(payloads: list[str]) -> dict[str, Job[None]]:
    """Have a job for each text, which has it wherever a caller may write one."""
    made = {}
    for text in payloads:
        plain = "".join(filter(str.isprintable, text))[:60]
        task = shouts.options(key=plain, tags={"text": plain})
        made[text] = task.delay(text, word=text)
        audit(AuditEntry(text[:60], text[:60], text, 1, text))
    for job in made.values():
        job.wait(timeout=50)
    return made


def forge(client: Client, made: dict[str, Job[None]]) -> None:
    """Write the texts also where no caller may, as whoever has Redis's password."""
    prefix = key_prefix(client.settings.namespace)
    names = ("task", "queue", "machine", "region", "error", "tail", "trace", "pool")
    with redis.Redis.from_url(client.settings.redis_url) as connection:
        for text, job in made.items():
            record = dict.fromkeys(names, text.encode())
            connection.hset(f"{prefix}:job:{job.id}", mapping=record)
        for slot, text in zip(connection.keys(f"{prefix}:slot:*"), made, strict=False):
            connection.hset(slot, mapping={"region": text, "machine": text})


@pytest.mark.timeout(180)
@pytest.mark.parametrize("payloads", PARTS, ids=range(len(PARTS)))
def test_nothing_of_it_runs(
    own: Client, open_tab: Callable[..., Tab], payloads: list[str]
) -> None:
    """In names, arguments, errors, logs, tags, keys, addresses and the audit."""
    made = calls(payloads)
    tab = open_tab()
    shown = [f"jobs/{job.id}" for job in made.values()]
    asked = [f"jobs?task={quote(text)}&tag={quote(text)}" for text in payloads[::3]]
    found = {path: look(tab, path) for path in (*LISTS, *shown, *asked)}
    forge(own, made)
    found |= {f"forged {path}": look(tab, path) for path in (*LISTS, *shown[:3])}

    assert dict.fromkeys(found, HARMLESS) == found
    assert [] == [fault for fault in tab.faults if "status of 4" not in fault.text]


def look(tab: Tab, path: str) -> list[int] | str:
    """Open a page; return what came of hostile texts on it."""
    tab.goto(path)
    return str(tab.reports) if tab.reports else list(tab.page.evaluate(SURVEY))


def test_it_is_shown_as_it_is(own: Client, open_tab: Callable[..., Tab]) -> None:
    """Without scripts, too; what cannot be seen stands there as an escape."""
    texts = [PAYLOADS[0], PAYLOADS[12], PAYLOADS[30]]
    made = calls(texts)
    tab = open_tab(scripts=False)
    shown = {}
    for text, job in made.items():
        tab.goto(f"jobs/{job.id}")
        shown[text] = tab.page.locator("#why").inner_text()

    assert texts[0] in shown[texts[0]]
    assert texts[1] in shown[texts[1]]
    assert "\x1b" not in shown[texts[2]]
    assert "\u202e" not in shown[texts[2]]
    assert "31m<b data-evil>" in shown[texts[2]]
