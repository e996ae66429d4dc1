"""Names that both sides agree on."""

from __future__ import annotations

import re

from worker_lib.fly.naming import machine_name
from worker_lib.store.keys import (
    doctor_marks,
    job_channel,
    key_prefix,
    new_job_id,
    new_slot_id,
    trial_key,
)


def test_ids_are_plain_hexadecimal_and_do_not_repeat() -> None:
    """They go into keys, URLs and machine names, so nothing in them needs quoting."""
    jobs = {new_job_id() for _ in range(1000)}
    slots = {new_slot_id() for _ in range(1000)}

    assert (1000, 1000) == (len(jobs), len(slots))
    assert all(re.fullmatch("[0-9a-f]{20}", one) for one in jobs)
    assert all(re.fullmatch("[0-9a-f]{12}", one) for one in slots)


def test_a_slot_has_one_machine_name_and_fly_takes_it() -> None:
    """Fly's names are lower case letters, digits and dashes."""
    assert "wl-00ff" == machine_name("00ff")
    assert re.fullmatch("[a-z0-9-]{1,63}", machine_name(new_slot_id()))


def test_all_keys_of_a_namespace_share_a_hash_slot() -> None:
    """Redis Cluster hashes what is in the first braces."""
    assert "{shop}" == key_prefix("shop")
    assert "{shop}:changed:j1" == job_channel("shop", "j1")
    assert "{shop}:doctor" == doctor_marks("shop")
    assert "{shop}:trial" == trial_key("shop")
