"""What comes first: the money that a reviewer's minute saves, times how near the deadline is."""

from datetime import timedelta
from typing import Final

#: Time left to the deadline → how many times a case counts from then on, the latest step first.
URGENCY: Final[dict[timedelta, float]] = {
    timedelta(0): 4.0,
    timedelta(hours=4): 2.0,
    timedelta(hours=12): 1.5,
}


def urgency(left: timedelta) -> float:
    """How many times a case counts with so much time left.

    Examples
    --------
    >>> [urgency(timedelta(hours=hours)) for hours in (20, 12, 3, -1)]
    [1.0, 1.5, 2.0, 4.0]
    """
    return next((times for step, times in URGENCY.items() if left <= step), 1.0)
