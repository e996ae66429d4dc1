"""`Task.plan` on the real Redis: whose figures it goes by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jobs
import pytest

from worker_lib.errors import ConfigError
from worker_lib.store.keys import key_prefix

if TYPE_CHECKING:
    from worker_lib.client.client import Client


def measured(client: Client, task: Any, **seconds: float) -> None:
    """Have the pool of a task know what its calls and boots took."""
    import redis

    key = f"{key_prefix(client.settings.namespace)}:pool:{client.plan_of(task).pool}"
    with redis.Redis.from_url(client.settings.redis_url) as connection:
        connection.hset(key, mapping=dict(seconds))


def test_a_plan_is_made_of_what_was_measured(client: Client) -> None:
    """Of the pool that the task belongs to, as far as that is known."""
    plan = jobs.add.plan(100)
    assert (("assumed", "assumed"), 1.0, 3.0) == (plan.basis, plan.run, plan.boot)
    measured(client, jobs.add, run_s=0.25)
    plan = jobs.add.plan(100)
    assert (("measured", "assumed"), 0.25) == (plan.basis, plan.run)
    measured(client, jobs.add, boot_s=1.5)

    assert 1.5 == jobs.add.plan(100).boot


def test_what_is_given_goes_before_what_was_measured(client: Client) -> None:
    """Whoever asks knows better."""
    measured(client, jobs.add, run_s=0.25, boot_s=1.5)
    plan = jobs.add.plan(range(100), run="2s", boot=0.5, machines=3)

    assert (100, 2.0, 0.5) == (plan.calls, plan.run, plan.boot)
    assert (("given", "given"), 3) == (plan.basis, plan.machines)


def test_a_plan_keeps_to_the_options_of_its_task(client: Client) -> None:
    """Number of machines, price, latency, isolation."""
    plan = jobs.add.options(max_machines=4).plan(1000, machines=9)
    assert 4 == plan.machines
    price = 2.5 * 3600 * plan.usd / plan.machine_seconds
    options = jobs.add.options(max_hourly_cost=price)
    assert 2 == options.plan(1000).machines
    assert 1 == jobs.add.options(target_latency="1d").plan(1000).machines

    assert 1000 == jobs.add.options(isolate=True).plan(1000).creates


def test_a_plan_stores_nothing(client: Client, redis_keys: Any) -> None:
    """It only looks."""
    jobs.add.plan(1000)

    assert [] == redis_keys("*")


@pytest.mark.parametrize(
    ("items", "options", "words"),
    [
        (-1, {}, "items=-1: use a whole number from 0"),
        (True, {}, "items=True: use a whole number"),
        (iter([1]), {}, "an iterator would be used up"),
        (5, {"run": 0}, "run=0: it must be"),
        (5, {"run": "soon"}, "run='soon' is not a duration"),
        (5, {"boot": -1}, "boot=-1 is not a duration"),
        (5, {"machines": 0}, "machines=0: use a whole number from 1"),
    ],
)
@pytest.mark.usefixtures("client")
def test_what_cannot_be_planned_is_refused(
    items: Any, options: dict[str, Any], words: str
) -> None:
    """With what would work."""
    with pytest.raises(ConfigError) as caught:
        jobs.add.plan(items, **options)

    assert words in str(caught.value)
