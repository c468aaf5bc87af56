"""Forecasts against simple ones: usage and cases of the demo company, cash by week.

    python -m tests.benchmarks.forecasts --receivables DIR

Without a folder of receivables, cash is forecast for the demo company alone. Every forecast sees
what was known on its morning; the payment model is fitted anew for each.
"""

import argparse
import time
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from prebill.core.calendar import add_months
from prebill.core.forecasts.series import Method, forecast
from prebill.core.forecasts.usage import by_day, expected_usage, quantity
from prebill.core.forecasts.workload import next_cycle
from prebill.core.scoring.features.payment import receivables
from prebill.core.scoring.models.payment_risk import fit_payment_risk, training_rows
from prebill.demo.catalogue import HISTORY_START_ON, PERIOD
from prebill.demo.generator import make_company
from prebill.workflows.forecast import Ledger, cash_from
from tests.benchmarks import demo_weeks
from training.dataset import from_folder

WEEKS = 8
#: Weeks of past cash that the simple forecasts read.
PAST_WEEKS = 13
LEVELS = (0.1, 0.5, 0.9)
SERIES = 10_000


def months(first: date, last: date) -> list[date]:
    found = [first]
    while found[-1] < last:
        found.append(add_months(found[-1], 1))
    return found


# ── Usage ────────────────────────────────────────────────────────────────────────────────────


def usage_table(seeds: list[int]) -> list[str]:
    """Each of the last seven months, forecast on its first morning."""
    rows = pl.concat(usage_rows(seed) for seed in seeds)
    names = {
        "expected": "Prebill",
        "last": "last month",
        "median": "median of the last 8 months",
        "ets": "AutoETS by month",
        "year": "same month last year",
    }
    lines = [
        "| meter | series x months | " + " | ".join(names.values()) + " | 80 % holds |",
        "|---|---|" + "---|" * (len(names) + 1),
    ]
    for (meter,), part in rows.sort("meter").group_by("meter", maintain_order=True):
        cells = [scored(part, name) for name in names]
        inside = part.select(pl.col("actual").is_between("low", "high").mean()).item()
        lines.append(f"| {meter} | {part.height:,} | {' | '.join(cells)} | {inside:.2f} |")
    modelled = rows.select((pl.col("basis") == "model").mean()).item()
    return [
        *lines,
        "",
        f"{modelled:.0%} of the forecasts are by a model, the rest by the fallback.",
    ]


def scored(part: pl.DataFrame, name: str) -> str:
    """WAPE / MASE over the rows for which the forecast exists."""
    known = part.drop_nulls(name)
    error = (pl.col(name) - pl.col("actual")).abs()
    found = known.select(
        wape=error.sum() / pl.col("actual").sum(),
        mase=(error / pl.col("scale")).filter(pl.col("scale") > 0).mean(),
    ).row(0)
    share = known.height / part.height
    told = f"{found[0]:.3f} / {found[1]:.2f}"
    return told if share > 0.9 else f"{told} ({share:.0%})"


def usage_rows(seed: int) -> pl.DataFrame:
    frames = make_company(seed, demo_weeks.CUSTOMERS)[0].frames
    days = by_day(frames["usage_events"].lazy(), frames["meters"]).collect()
    history = monthly(days)
    parts = []
    for start_on in months(date(2026, 4, 1), PERIOD.start_on):
        end_on = add_months(start_on, 1)
        found = expected_usage(days, as_of_on=start_on, start_on=start_on, end_on=end_on)
        past = history.filter(pl.col("month") < start_on)
        actual = history.filter(pl.col("month") == start_on).select(*KEYS, actual="value")
        others = simple_usage(past, start_on)
        joined = found.join(actual, on=KEYS).join(others, on=KEYS, how="left")
        parts.append(joined.filter(pl.col("last").is_not_null()))
    return pl.concat(parts)


KEYS = ["customer_id", "meter"]


def monthly(days: pl.DataFrame) -> pl.DataFrame:
    """Quantities by month: first months of a customer, mostly parts of one, are left out."""
    month = pl.col("used_on").dt.truncate("1mo").alias("month")
    found = days.group_by(*KEYS, month).agg(value=quantity())
    return found.filter(
        (pl.col("month") > pl.col("month").min().over(KEYS))
        | (pl.col("month").min().over(KEYS) == HISTORY_START_ON)
    ).sort(*KEYS, "month")


def simple_usage(past: pl.DataFrame, start_on: date) -> pl.DataFrame:
    from statsforecast import StatsForecast
    from statsforecast.models import AutoETS

    going = past.filter((pl.col("month") == add_months(start_on, -1)).any().over(KEYS))
    known = going.filter(pl.len().over(KEYS) >= 8).with_columns(
        unique_id=pl.concat_str(KEYS, separator="|"), ds=pl.int_range(pl.len()).over(KEYS)
    )
    model = StatsForecast(models=[AutoETS(season_length=1, alias="ets")], freq=1)
    fitted = model.forecast(df=known.select("unique_id", "ds", y="value"), h=1)
    named = known.select("unique_id", *KEYS).unique()
    year = past.filter(pl.col("month") == add_months(start_on, -12)).select(*KEYS, year="value")
    return (
        going.group_by(KEYS)
        .agg(
            last=pl.col("value").last(),
            median=pl.col("value").tail(8).median(),
            scale=pl.col("value").diff().abs().mean(),
        )
        .join(named.join(fitted, on="unique_id").select(*KEYS, "ets"), on=KEYS, how="left")
        .join(year, on=KEYS, how="left")
    )


def speed() -> str:
    """Seconds to forecast 10,000 series of 58 weeks of days."""
    generator = np.random.default_rng(1)
    count = 58 * 7
    level = generator.lognormal(4, 1, (SERIES, 1))
    values = level * generator.lognormal(0, 0.3, (SERIES, count))
    as_of_on = date(2026, 10, 1)
    first_on = as_of_on - timedelta(days=count)
    days = pl.DataFrame(
        {
            "customer_id": np.repeat([f"C{number:06}" for number in range(SERIES)], count),
            "meter": "calls",
            "aggregation": "sum",
            "value": values.ravel(),
        }
    ).with_columns(
        used_on=pl.lit(first_on) + pl.duration(days=pl.int_range(pl.len()) % count),
    )
    started = time.perf_counter()
    found = expected_usage(
        days, as_of_on=as_of_on, start_on=as_of_on, end_on=add_months(as_of_on, 1)
    )
    return f"{found.height:,} series of {count} days: {time.perf_counter() - started:.1f} s"


# ── Cash ─────────────────────────────────────────────────────────────────────────────────────


def cash_table(name: str, ledger: Ledger, mornings: list[date]) -> list[str]:
    rows = pl.concat(cash_rows(ledger, morning) for morning in mornings)
    lines = []
    for (currency, span), part in rows.sort("currency", "week").group_by(
        "currency", "span", maintain_order=True
    ):
        wapes = [wape(part, column) for column in ("expected", "last", "four", "smooth")]
        losses = [pinball(part, prefix) for prefix in ("", "past_")]
        inside = [
            part.select(pl.col("actual").is_between(f"{prefix}low", f"{prefix}high").mean()).item()
            for prefix in ("", "past_")
        ]
        cells = [f"{value:.3f}" for value in (*wapes, *losses)]
        holds = [f"{value:.2f}" for value in inside]
        lines.append(
            f"| {name} {currency} | {span} | {part.height} | {' | '.join(cells + holds)} |"
        )
    return lines


CASH_HEAD = (
    "| cash | weeks ahead | weeks x mornings | Prebill | last week | mean of 4 | smoothing of 26 | "
    "pinball: Prebill | of the last 13 weeks | 80 % holds: Prebill | of the last 13 |"
)


def wape(part: pl.DataFrame, name: str) -> float:
    error = (pl.col(name) - pl.col("actual")).abs().sum()
    return float(part.select(error / pl.col("actual").sum()).item())


def pinball(part: pl.DataFrame, prefix: str) -> float:
    """Mean pinball loss of the three percentiles over the mean cash."""
    found = 0.0
    for name, level in zip(("low", "middle", "high"), LEVELS, strict=True):
        miss = pl.col("actual") - pl.col(f"{prefix}{name}")
        loss = pl.max_horizontal(level * miss, (level - 1) * miss)
        found += float(part.select(loss.sum() / pl.col("actual").sum()).item())
    return found / len(LEVELS)


def cash_rows(ledger: Ledger, morning: date) -> pl.DataFrame:
    known = receivables(ledger.invoices, ledger.payments, ledger.credit_notes)
    model = fit_payment_risk(training_rows(known, morning), 1)
    found = cash_from(ledger, model, as_of_on=morning, weeks=WEEKS)
    currencies = ledger.invoices.select("invoice_id", "currency")
    weekly = (
        ledger.payments.join(currencies, on="invoice_id")
        .with_columns(week=(pl.col("paid_on") - morning).dt.total_days() // 7)
        .group_by("currency", "week")
        .agg(cash=pl.col("amount_minor").sum().cast(pl.Float64))
        .sort("week")
    )
    past = weekly.filter(pl.col("week") < 0)
    simple = past.group_by("currency").agg(
        last=pl.col("cash").last(),
        four=pl.col("cash").tail(4).mean(),
        **{
            f"past_{name}": pl.col("cash").tail(PAST_WEEKS).quantile(level)
            for name, level in zip(("low", "middle", "high"), LEVELS, strict=True)
        },
    )
    recent = past.filter(pl.col("week") >= -26).select("currency", step="week", value="cash")
    smooth = forecast(recent.rename({"currency": "series"}), method=Method.SMOOTHING, steps=1)
    ahead = (pl.col("start_on") - morning).dt.total_days() // 7
    return (
        found.with_columns(week=ahead)
        .join(weekly.rename({"cash": "actual"}), on=["currency", "week"])
        .join(simple, on="currency")
        .join(smooth.select(currency="series", smooth="expected"), on="currency")
        .with_columns(
            span=pl.when(pl.col("week") < 2)
            .then(pl.lit("1–2"))
            .when(pl.col("week") < 4)
            .then(pl.lit("3–4"))
            .otherwise(pl.lit("5–8"))
        )
    )


# ── Cases ────────────────────────────────────────────────────────────────────────────────────


def case_table(seeds: list[int]) -> list[str]:
    """Cases of the next month and of the next week, from those before."""
    lines = [
        "| cases of the next | forecasts | Prebill | as in the last | mean before | 80 % holds |",
        "|---|---|---|---|---|---|",
    ]
    counted = [cases_by_cycle(seed) for seed in seeds]
    for title, kind, first in (("month", "month", 4), ("week", "week", 12)):
        rows = [row for one in counted for row in case_rows(one[kind], first)]
        frame = pl.DataFrame(rows)
        inside = frame.select(pl.col("actual").is_between("low", "high").mean()).item()
        cells = [f"{wape(frame, name):.3f}" for name in ("expected", "last", "mean")]
        lines.append(f"| {title} | {frame.height} | {' | '.join(cells)} | {inside:.2f} |")
    return lines


def cases_by_cycle(seed: int) -> dict[str, pl.DataFrame]:
    company = demo_weeks.company(seed)
    first_on = date(2025, 9, 3)
    judged = demo_weeks.judged(company, start_on=first_on).decisions
    stopped = (pl.col("action") != "release").sum()
    found = {}
    month = (pl.col("at_on") - timedelta(days=2)).dt.truncate("1mo")
    week = (pl.col("at_on") - first_on).dt.total_days() // 7
    for name, cycle in (("month", month), ("week", week)):
        counts = judged.group_by(cycle=cycle).agg(drafts=pl.len(), cases=stopped).sort("cycle")
        # A week that holds the gap between two months has few drafts: as no company's would.
        found[name] = counts.filter(pl.col("drafts") >= pl.col("drafts").median() / 2)
    return found


def case_rows(cycles: pl.DataFrame, first: int) -> list[dict[str, float]]:
    verdicts = pl.DataFrame(
        schema={"entered_by": pl.String(), "entered_at": pl.Datetime("us", "UTC")}
    )
    rows = []
    for number in range(first, cycles.height):
        past = cycles.head(number)
        found = next_cycle(past, verdicts, stated_minutes=6.0, seed=1)
        assert found is not None
        rows.append(
            {
                "actual": float(cycles["cases"][number]),
                "expected": found.cases,
                "low": found.cases_low,
                "high": found.cases_high,
                "last": float(past["cases"][-1]),
                "mean": float(past["cases"].mean()),
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--receivables", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[6, 7])
    given = parser.parse_args()
    print("WAPE / MASE\n")
    print("\n".join(usage_table(given.seeds)))
    print(f"\n{speed()}\n\nWAPE\n")
    print(CASH_HEAD)
    print("|---" * 11 + "|")
    company = demo_weeks.company(given.seeds[0])
    ledger = Ledger(company.invoices, company.payments, company.credit_notes)
    print("\n".join(cash_table("demo", ledger, months(date(2026, 2, 2), date(2026, 9, 2)))))
    if given.receivables:
        real = from_folder(given.receivables)
        mornings = [date(2019, 5, 13) + timedelta(days=14 * number) for number in range(9)]
        own = Ledger(real.invoices, real.payments, real.credit_notes)
        print("\n".join(cash_table(given.receivables.name, own, mornings)))
    print("\nWAPE\n")
    print("\n".join(case_table(given.seeds)))


if __name__ == "__main__":
    main()
