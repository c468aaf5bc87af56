"""Guessing is slowed down, and only the guesser's account and address."""

from prebill.console.throttle import MAX_FAILURES_PER_ACCOUNT, WINDOW_SECONDS, Throttle


def failing(times: int) -> tuple[Throttle, list[float]]:
    now = [1000.0]
    throttle = Throttle(clock=lambda: now[0])
    for _ in range(times):
        throttle.failed("a@example.com", "10.0.0.1")
    return throttle, now


def test_fifth_failure_closes_the_account_for_the_window() -> None:
    throttle, now = failing(MAX_FAILURES_PER_ACCOUNT)
    assert throttle.wait_seconds("a@example.com", "10.0.0.2") > 0
    assert throttle.wait_seconds("b@example.com", "10.0.0.1") == 0
    now[0] += WINDOW_SECONDS + 1
    assert throttle.wait_seconds("a@example.com", "10.0.0.2") == 0


def test_fewer_failures_do_not() -> None:
    throttle, _ = failing(MAX_FAILURES_PER_ACCOUNT - 1)
    assert throttle.wait_seconds("a@example.com", "10.0.0.1") == 0


def test_success_forgets_the_failures_of_the_account() -> None:
    throttle, _ = failing(MAX_FAILURES_PER_ACCOUNT)
    throttle.succeeded("a@example.com")
    assert throttle.wait_seconds("a@example.com", "10.0.0.1") == 0


def test_many_accounts_from_one_address_are_closed_too() -> None:
    throttle = Throttle(clock=lambda: 0.0)
    for number in range(30):
        throttle.failed(f"{number}@example.com", "10.0.0.1")
    assert throttle.wait_seconds("new@example.com", "10.0.0.1") > 0
