"""How long metering, pricing, tax and drafting take in memory: ``python -m …`` or ``run(...)``."""

import sys
import time
from collections.abc import Callable
from typing import TypeVar

import polars as pl

from prebill.core.billing.contracts import contract_inputs
from prebill.core.billing.invoicing import bill, windows
from prebill.core.billing.metering import dedupe, meter_usage, usage_days
from prebill.core.calendar import month_period
from tests.benchmarks import company

Result = TypeVar("Result")


def run(accounts: int, events: int) -> dict[str, float]:
    """Seconds by stage; ``run`` is what a billing run needs, the others stand beside it."""
    frames = company.frames(accounts, events, history_months=0)
    inputs = company.billing_inputs(frames)
    usage = frames["usage_events"]
    period = month_period(company.PERIOD)
    seconds: dict[str, float] = {}

    def timed(stage: str, work: Callable[[], Result]) -> Result:
        started = time.perf_counter()
        result = work()
        seconds[stage] = time.perf_counter() - started
        return result

    asked = timed("windows", lambda: windows(inputs, period))
    metered = timed("meter", lambda: meter_usage(usage, inputs.meters, asked))
    billed = timed("bill", lambda: bill(inputs, metered.quantities, period))
    seconds["run"] = sum(seconds.values())
    assert billed.drafts.height == accounts
    assert metered.metered_events == events
    timed("dedupe", lambda: dedupe(usage))
    timed("usage_days", lambda: usage_days(usage))
    expected_inputs = contract_inputs(inputs, frames["contract_terms"])
    both = pl.concat([asked, windows(expected_inputs, period)])
    twice = timed("meter for contracts too", lambda: meter_usage(usage, inputs.meters, both))
    timed("bill contracts", lambda: bill(expected_inputs, twice.quantities, period))
    return seconds


if __name__ == "__main__":
    sizes = [int(text) for text in sys.argv[1:3]] or [100_000, 5_000_000]
    for stage, taken in run(sizes[0], sizes[1]).items():
        print(f"{stage:26} {taken:7.3f} s")
