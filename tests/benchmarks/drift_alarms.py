"""False alarms of drift on weeks without any, and how soon planted drifts are found.

    python -m tests.benchmarks.drift_alarms --seeds 3 --first 6

Two kinds of weeks without drift: the demo company as it comes, with its season, growth and new
customers; and weeks drawn from the reference itself, in which nothing can have changed.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
import polars as pl

from prebill.core.money import DECIMAL
from prebill.core.scoring.models.error_risk import ErrorRisk, ErrorSpec, fit_error_risk
from prebill.core.scoring.models.payment_risk import PaymentRisk, fit_payment_risk, training_rows
from prebill.settings import Settings
from tests.benchmarks import demo_weeks
from tests.benchmarks.demo_weeks import END, TEST_END, TRAIN_BEFORE, Company, Weeks
from training.drift.evidence import stability
from training.drift.judge import Judged, Watched, judge
from training.drift.limits import Limits, read
from training.drift.watched import LABELS_SEEN_DAYS, detection, error_risk, payment_risk
from training.error_risk import weighted
from training.labelled import COLUMNS

#: From this day on a planted drift is there.
PLANTED_ON = date(2026, 6, 12)
#: Windows that hold all of the planted ones and some before.
PLANTED_WINDOWS = 24
REFERENCE = (TRAIN_BEFORE, TEST_END)
#: The re-ranker learns from the weeks before it: only judged drafts have labels.
ERRORS_REFERENCE = (TEST_END, date(2026, 6, 3))
FREE_WEEKS = 50
KEY = ["watched", "check", "name"]


@dataclass(frozen=True)
class Base:
    """A company without drift, its judged weeks and the champion that watches its payments."""

    company: Company
    weeks: Weeks
    model: PaymentRisk
    errors: ErrorRisk
    limits: Limits

    def reranked(self, weeks: Weeks, *, more_errors: int = 0) -> dict[str, Watched]:
        """The re-ranker's inputs, and its labels by the day of the draft: maturing shifts all."""
        rows = answered(weeks, more_errors)
        seen, errors = error_risk(rows, rows, self.errors, self.limits, reference=ERRORS_REFERENCE)
        back = pl.col("at_on") - timedelta(days=LABELS_SEEN_DAYS)
        labels = replace(errors, rows=errors.rows.with_columns(back), reference=ERRORS_REFERENCE)
        return {"error_risk": seen, "errors": labels}

    def detection(self, weeks: Weeks) -> dict[str, Watched]:
        rows = (weeks.decisions, weeks.feature_rows)
        return {"detection": detection(*rows, self.limits, reference=REFERENCE)}

    def payments(self, company: Company) -> dict[str, Watched]:
        known = company.receivables()
        found = payment_risk(known, self.model, self.limits, as_of_on=END, reference=REFERENCE)
        return {one.name: one for one in found}

    def watches(self, company: Company, weeks: Weeks) -> dict[str, Watched]:
        return self.detection(weeks) | self.reranked(weeks) | self.payments(company)

    def rejudged(self, altered: Company) -> Weeks:
        first = PLANTED_ON.replace(day=TRAIN_BEFORE.day)
        later = demo_weeks.judged(altered, first, forest=self.weeks.forest)
        return self.weeks.before(first, later)


def answered(weeks: Weeks, more_errors: int = 0) -> pl.DataFrame:
    """Judged drafts with simulated answers: wrong as often as their anomaly score says.

    ``more_errors``: percent of the drafts that are wrong besides from the planting on, whatever
    their score.
    """
    scores = weeks.decisions.select("invoice_id", "anomaly_score", "customer_id")
    rows = weeks.feature_rows.join(scores, on="invoice_id").rename({"at_on": "day_on"})
    surprise = -(1.0 - pl.col("anomaly_score")).clip(1e-4, 1.0).log10()
    chance = 1.0 / (1.0 + (4.0 - 2.0 * surprise).exp())
    draw = (pl.col("invoice_id").hash(5) % 1_000_000) / 1_000_000
    is_new = is_after("day_on") & (pl.col("invoice_id").hash(6) % 100 < more_errors)
    return rows.filter(pl.col("anomaly_score").is_not_null()).with_columns(
        is_error=(draw < chance) | is_new,
        source=pl.lit("sample"),
        propensity=pl.lit(1.0),
        weight=pl.lit(1.0),
    )


# ── Planted drifts: each alters rows from a day on ───────────────────────────────────────────


def dearer(base: Base, percent: int) -> dict[str, Watched]:
    """A price book that is higher by some percent, for everybody and known to nobody."""
    altered = scaled(base.company, is_after("issued_on"), 100 + percent)
    return base.watches(altered, base.rejudged(altered))


def scaled(company: Company, which: pl.Expr, percent: int) -> Company:
    chosen = company.invoices.filter(which).select("invoice_id", is_chosen=pl.lit(value=True))

    def times(frame: pl.DataFrame, *names: str) -> pl.DataFrame:
        joined = frame.join(chosen, on="invoice_id", how="left", maintain_order="left")
        more = [
            pl.when("is_chosen")
            .then((pl.col(name).cast(DECIMAL) * percent / 100).cast(frame.schema[name]))
            .otherwise(pl.col(name))
            .alias(name)
            for name in names
        ]
        return joined.with_columns(more).drop("is_chosen")

    return company.altered(
        invoices=times(company.invoices, "subtotal_minor", "tax_minor", "total_minor"),
        lines=times(company.lines, "unit_price", "amount_minor", "tax_minor"),
        payments=times(company.payments, "amount_minor"),
    )


def feature_null(base: Base, percent: int) -> dict[str, Watched]:
    """One feature null in some percent of the rows."""
    lost = is_after("at_on") & (pl.col("invoice_id").hash(3) % 100 < percent)
    emptied = pl.when(~lost).then("price_ratio").alias("price_ratio")
    features = base.weeks.feature_rows.with_columns(emptied)
    weeks = replace(base.weeks, feature_rows=features)
    return base.detection(weeks) | base.reranked(weeks)


def new_segment(base: Base, percent: int) -> dict[str, Watched]:
    """Some percent of the invoices go to new customers that are thirty times as large."""
    joins = is_after("issued_on") & (pl.col("customer_id").hash(4) % 100 < percent)
    new_id = pl.when(joins).then(pl.format("N{}", "customer_id")).otherwise("customer_id")
    grown = scaled(base.company, joins, 3_000)
    altered = grown.altered(invoices=grown.invoices.with_columns(customer_id=new_id))
    return base.watches(altered, base.rejudged(altered))


def slower_payers(base: Base, days: int) -> dict[str, Watched]:
    """Everybody pays some days later."""
    later = pl.when(is_after("paid_on")).then(pl.col("paid_on") + timedelta(days=days))
    paid = base.company.payments.with_columns(paid_on=later.otherwise("paid_on"))
    return base.payments(base.company.altered(payments=paid))


def off_calibration(base: Base, percent: int) -> dict[str, Watched]:
    """Log odds of P(late) too high by some hundredths."""
    late = base.payments(base.company)["late"]
    odds = (pl.col("p_late") / (1 - pl.col("p_late"))).log() + percent / 100
    moved = pl.when(is_after("at_on")).then(1 / (1 + (-odds).exp())).otherwise("p_late")
    return {"late": replace(late, rows=late.rows.with_columns(p_late=moved))}


def more_held(base: Base, percent: int) -> dict[str, Watched]:
    """Some percent more are held, and as many percent more stopped, at random."""
    watch = base.detection(base.weeks)["detection"]
    rows = watch.rows.with_columns(
        draw=pl.Series(np.random.default_rng(7).random(watch.rows.height))
    )
    added = [
        (
            pl.col(name)
            | (is_after("at_on") & (pl.col("draw") < pl.col(name).mean() * percent / 100))
        )
        for name in watch.shares
    ]
    only_shares = {"features": (), "top": (), "scores": ()}
    return {"detection": replace(watch, rows=rows.with_columns(added), **only_shares)}


def unexpected_errors(base: Base, percent: int) -> dict[str, Watched]:
    """Some percent of the drafts wrong in a way that no score shows."""
    return {"errors": base.reranked(base.weeks, more_errors=percent)["errors"]}


def is_after(name: str) -> pl.Expr:
    return pl.col(name) >= PLANTED_ON


Plant = Callable[[Base, int], dict[str, Watched]]
#: What is planted: as asked for, and smaller.
PLANTS: dict[str, tuple[Plant, int]] = {
    "every price 10 % up": (dearer, 10),
    "every price 2 % up": (dearer, 2),
    "a feature null in 10 % of the rows": (feature_null, 10),
    "a feature null in 4 % of the rows": (feature_null, 4),
    "new segment, 20 % of the invoices": (new_segment, 20),
    "new segment, 3 % of the invoices": (new_segment, 3),
    "payments five days slower": (slower_payers, 5),
    "payments one day slower": (slower_payers, 1),
    "log odds of P(late) off by .5": (off_calibration, 50),
    "log odds of P(late) off by .2": (off_calibration, 20),
    "3 % of the drafts wrong, no score shows it": (unexpected_errors, 3),
    "1 % of the drafts wrong, no score shows it": (unexpected_errors, 1),
    "twice as many held and stopped": (more_held, 100),
    "half as many again held and stopped": (more_held, 50),
}


# ── Weeks without drift ──────────────────────────────────────────────────────────────────────


def drawn(watch: Watched, weeks: int, seed: int) -> Watched:
    """Weeks of customers drawn from the reference period, eight of them as the new reference."""
    generator = np.random.default_rng(seed)
    period = watch.reference or REFERENCE
    inside = watch.rows.filter(pl.col("at_on").is_between(*period, closed="left"))
    groups = inside.select(pl.col("cluster").rank("dense") - 1).to_series().to_numpy()
    members = [np.flatnonzero(groups == group) for group in range(int(groups.max()) + 1)]
    size = max(1, round(700 * len(members) / inside.height))
    parts = []
    for week in range(weeks + 8):
        chosen = generator.integers(0, len(members), size)
        index = np.concatenate([members[group] for group in chosen])
        day = TRAIN_BEFORE + timedelta(days=7 * week)
        # A customer drawn twice is two customers.
        copies = np.repeat(np.arange(size), [len(members[group]) for group in chosen])
        parts.append(
            inside[index].with_columns(
                at_on=pl.lit(day),
                cluster=pl.Series(copies).cast(pl.String),
                row_id=pl.Series(np.arange(len(index))).cast(pl.String),
            )
        )
    reference = (TRAIN_BEFORE, TRAIN_BEFORE + timedelta(days=7 * 8))
    return replace(watch, rows=pl.concat(parts), reference=reference)


def alarms_of(judged: dict[str, Judged]) -> pl.DataFrame:
    found = [one.measures.filter("is_alarm") for one in judged.values()]
    return pl.concat(found).select(*KEY, "window", "end_on")


def judged_all(
    watches: dict[str, Watched], limits: Limits, end_on: date, last: int | None = None
) -> dict[str, Judged]:
    return {
        name: judge(watch, limits, stability, as_of_on=end_on, last=last)
        for name, watch in watches.items()
    }


@dataclass(frozen=True)
class Counted:
    """Windows, measures (a check of one column in one window) and false alarms among them."""

    windows: int
    measures: int
    beyond: int
    alarms: pl.DataFrame

    def row(self, title: str) -> str:
        names = self.alarms.group_by("watched", "name").len().sort("len", descending=True)
        told = ", ".join(f"{watched} {name} {count}" for watched, name, count in names.iter_rows())
        windows = self.alarms.select("window").n_unique()
        return (
            f"| {title} | {self.windows} | {self.measures:,} | {self.beyond} | "
            f"{self.alarms.height} in {windows} windows | {told or '–'} |"
        )


def counted(judged: dict[str, Judged]) -> Counted:
    measures = pl.concat([one.measures for one in judged.values()])
    windows = max(len(one.windows.windows) for one in judged.values())
    beyond = int(measures["is_beyond"].sum())
    return Counted(windows, measures.height, beyond, alarms_of(judged))


def found(base: Base, plain: pl.DataFrame, plant: Plant, size: int) -> str:
    """Windows from the planting to the first alarm that stands only because of it, and which."""
    judged = judged_all(plant(base, size), base.limits, END, last=PLANTED_WINDOWS)
    new = alarms_of(judged).join(plain, on=[*KEY, "window"], how="anti")
    new = new.filter(pl.col("end_on") > PLANTED_ON)
    if new.is_empty():
        return "not found"
    first_on = new["end_on"].min()
    first = new.filter(pl.col("end_on") == first_on)
    counts = [
        sum(PLANTED_ON < window.end_on <= first_on for window in one.windows.windows)
        for name, one in judged.items()
        if name in first["watched"]
    ]
    kinds = first.group_by("check", maintain_order=True).agg("name")
    told = [
        f"{check} {', '.join(names)}" if len(names) < 5 else f"{check} of {len(names)} columns"
        for check, names in kinds.iter_rows()
    ]
    return f"{min(counts)}: {'; '.join(told)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=6)
    given = parser.parse_args()
    limits = read(Settings.load().model_specs_dir)
    free, results = [], {name: [] for name in PLANTS}
    for seed in range(given.first, given.first + given.seeds):
        company = demo_weeks.company(seed)
        known = company.receivables()
        model = fit_payment_risk(training_rows(known, TRAIN_BEFORE), seed)
        weeks = demo_weeks.judged(company)
        first = weighted(answered(weeks).filter(pl.col("day_on") < TEST_END))
        errors = fit_error_risk(first, tuple(COLUMNS), seed, ErrorSpec())
        if errors is None:
            message = "too few simulated errors"
            raise RuntimeError(message)
        base = Base(company, weeks, model, errors, limits)
        watches = base.watches(company, base.weeks)
        plain = judged_all(watches, limits, END)
        free.append(counted(plain).row(f"as they come, seed {seed}"))
        random = {name: drawn(watch, FREE_WEEKS, seed) for name, watch in watches.items()}
        until = TRAIN_BEFORE + timedelta(days=7 * (FREE_WEEKS + 9))
        free.append(counted(judged_all(random, limits, until)).row(f"drawn anew, seed {seed}"))
        for name, (plant, size) in PLANTS.items():
            results[name].append(found(base, alarms_of(plain), plant, size))
        print(f"seed {seed} done", file=sys.stderr, flush=True)
    print("| Weeks without drift | windows | measures | beyond a limit | alarms | which |")
    print("|---|---|---|---|---|---|")
    print("\n".join(free))
    print(
        "\n| Planted drift | windows until the first alarm, and which, one seed after the other |"
    )
    print("|---|---|")
    for name, texts in results.items():
        print(f"| {name} | {' · '.join(texts)} |")


if __name__ == "__main__":
    main()
