"""Errors: what they carry, and what is left of it after a pickle."""

from __future__ import annotations

import pickle

from worker_lib.errors import ConfigError, Problem


def test_a_config_error_reads_as_all_its_problems() -> None:
    """A text stands for a problem without a remedy of its own."""
    error = ConfigError(Problem("A is 0", "use 1", "A"), "B is wrong")

    assert "A is 0: use 1; B is wrong" == str(error)
    assert (Problem("A is 0", "use 1", "A"), Problem("B is wrong")) == error.problems


def test_a_config_error_keeps_its_records_through_a_pickle() -> None:
    """A task may raise one on a machine."""
    error = ConfigError(Problem("A is 0", "use 1", "A"), "B is wrong")
    found = pickle.loads(pickle.dumps(error))

    assert (str(error), error.problems) == (str(found), found.problems)
