"""What a machine makes of words and answers that cross each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from children import CODEC, claimed, fork

from worker_lib.runtime.outage import Outage
from worker_lib.runtime.reports import Reports
from worker_lib.runtime.stop import Stop
from worker_lib.runtime.supervisor import Supervisor
from worker_lib.store.claims import Claim, Word
from worker_lib.store.machine import MachineStore

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    """Yield one whose Redis is not there: it must not be asked."""
    store = MachineStore(
        "unix:///none", "shop", slot="s", machine_id="m", region="ams", lease_ttl=30.0
    )
    stop = Stop()
    made = Supervisor(
        store,
        fork(),
        lambda _: fork(),
        Reports(lambda: CODEC),
        stop=stop,
        outage=Outage(store, stop, longest_pause=1.0),
        lease_ttl=30.0,
        max_lifetime=60.0,
    )
    yield made
    made._runner.close()
    stop.wakeup.close()
    stop._writer.close()


def test_a_cancel_is_heard_though_the_answer_to_wait_came_late(
    supervisor: Supervisor,
) -> None:
    """A machine that was told to wait, and given a job since, does not wait."""
    supervisor._hear_word(Word("j", claimed("jobs:hangs")))
    supervisor._take(Claim("idle", wait=60.0))
    supervisor._hear_word(Word("c"))

    assert supervisor._lease.due_at("") == 0.0
