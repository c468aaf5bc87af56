"""A few of the random kills of tests/benchmarks/kills.py; `make bench` makes a hundred."""

from tests.benchmarks import kills


def test_a_run_killed_at_random_moments_ends_as_if_left_in_peace() -> None:
    tally = kills.run(2, seed=11, database="sqlite")
    assert (tally.kills >= 2, tally.failures) == (True, [])
