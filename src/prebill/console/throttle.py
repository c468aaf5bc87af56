"""Slows down guessing of passwords: a few failures, then a wait. Kept in the serving process."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from time import monotonic
from typing import Final

WINDOW_SECONDS: Final = 15 * 60
MAX_FAILURES_PER_ACCOUNT: Final = 5
MAX_FAILURES_PER_ADDRESS: Final = 30
#: Beyond this many names the oldest are forgotten, so that a flood can't fill the memory.
MAX_NAMES: Final = 10_000


@dataclass(slots=True)
class Throttle:
    """Counts failures per account and per address within a sliding window."""

    clock: Callable[[], float] = monotonic
    _failures: dict[str, deque[float]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def wait_seconds(self, account: str, address: str) -> int:
        """Return how long this account or address must wait; 0: it may try now."""
        with self._lock:
            return max(
                self._wait(f"account {account}", MAX_FAILURES_PER_ACCOUNT),
                self._wait(f"address {address}", MAX_FAILURES_PER_ADDRESS),
            )

    def _wait(self, name: str, limit: int) -> int:
        failures = self._failures.get(name, deque())
        while failures and failures[0] <= self.clock() - WINDOW_SECONDS:
            failures.popleft()
        if len(failures) < limit:
            return 0
        return int(failures[-limit] + WINDOW_SECONDS - self.clock()) + 1

    def failed(self, account: str, address: str) -> None:
        """Remember a failure."""
        with self._lock:
            for name in (f"account {account}", f"address {address}"):
                self._failures.setdefault(name, deque(maxlen=100)).append(self.clock())
            while len(self._failures) > MAX_NAMES:
                self._failures.pop(next(iter(self._failures)))

    def succeeded(self, account: str) -> None:
        """Forget the failures of an account that signed in."""
        with self._lock:
            self._failures.pop(f"account {account}", None)
