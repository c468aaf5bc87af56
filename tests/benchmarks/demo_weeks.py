"""The demo company judged week by week, the gate alone: for benchmarks of drift and of workload.

Its invoices are all issued on one day a month; here each customer has a billing day of its own, so
that every week has its share of customers and weekdays. Payments are made for the moved due dates.
"""

from dataclasses import dataclass, replace
from datetime import date

import polars as pl

from prebill.core.billing.usage_days import usage_days
from prebill.core.policy.model import Policy
from prebill.core.scoring.features.payment import receivables
from prebill.core.scoring.frames import Books, ScoringInputs
from prebill.core.scoring.models import Forest, Models, fit_level
from prebill.core.scoring.scene import scene_of
from prebill.core.scoring.scorer import score_scene
from prebill.demo.generator import make_company
from prebill.demo.payments import make_payments

CUSTOMERS = 4_000
#: The champion learns before this day; before it nine months of history are too young to compare.
TRAIN_BEFORE = date(2026, 2, 3)
TEST_END = date(2026, 4, 3)
END = date(2026, 11, 3)


@dataclass(frozen=True)
class Company:
    """Canonical frames, dates moved."""

    invoices: pl.DataFrame
    lines: pl.DataFrame
    payments: pl.DataFrame
    credit_notes: pl.DataFrame
    customers: pl.DataFrame
    usage_days: pl.DataFrame

    def receivables(self) -> pl.DataFrame:
        return receivables(self.invoices, self.payments, self.credit_notes)

    def altered(self, **frames: pl.DataFrame) -> "Company":
        return replace(self, **frames)


@dataclass(frozen=True)
class Weeks:
    """Decisions (with ``at_on, customer_id``) and feature rows of the judged drafts."""

    decisions: pl.DataFrame
    feature_rows: pl.DataFrame
    forest: Forest | None

    def before(self, day: date, later: "Weeks") -> "Weeks":
        """These rows up to a day, the later ones from it on."""
        return Weeks(
            *(
                pl.concat([old.filter(pl.col("at_on") < day), new.filter(pl.col("at_on") >= day)])
                for old, new in (
                    (self.decisions, later.decisions),
                    (self.feature_rows, later.feature_rows),
                )
            ),
            self.forest,
        )


def company(seed: int, customers: int = CUSTOMERS) -> Company:
    made, _ = make_company(seed, customers)
    frames = made.frames
    days = frames["invoices"].select("invoice_id", days=pl.col("customer_id").hash(1) % 28)

    def moved(frame: pl.DataFrame, *names: str) -> pl.DataFrame:
        joined = frame.join(days, on="invoice_id", maintain_order="left")
        return joined.with_columns(pl.col(names) + pl.duration(days="days")).drop("days")

    invoices = moved(frames["invoices"], "issued_on", "due_on")
    credit_notes = moved(frames["credit_notes"], "issued_on")
    return Company(
        invoices=invoices,
        lines=frames["invoice_lines"],
        payments=make_payments(seed, made.traits, invoices, credit_notes),
        credit_notes=credit_notes,
        customers=frames["customers"],
        usage_days=usage_days(frames["usage_events"]),
    )


def judged(
    given: Company, start_on: date = TRAIN_BEFORE, end_on: date = END, forest: Forest | None = None
) -> Weeks:
    """Judge a month of weeks at a time; the forest is the champion's, fitted before the first."""
    parts = []
    starts = pl.date_range(start_on, end_on, "1mo", closed="left", eager=True).to_list()
    for first, last in zip(starts, [*starts[1:], end_on], strict=True):
        inputs = _inputs(given, first, last)
        scene = scene_of(inputs)
        forest = forest or fit_level(scene.rows, 1)
        scored = score_scene(scene, Models(forest=forest), Policy.default())
        parts.append((scored.decisions, scored.feature_rows))
    days = given.invoices.select("invoice_id", "customer_id", at_on="issued_on")
    decisions, features = (pl.concat(frames) for frames in zip(*parts, strict=True))
    return Weeks(
        decisions.join(days, on="invoice_id", maintain_order="left"),
        features.join(days.drop("customer_id"), on="invoice_id", maintain_order="left"),
        forest,
    )


def _inputs(given: Company, first: date, last: date) -> ScoringInputs:
    is_draft = pl.col("issued_on").is_between(first, last, closed="left")

    def books(which: pl.Expr) -> Books:
        invoices = given.invoices.filter(which)
        ids = invoices.select("invoice_id")
        return Books(invoices, given.lines.join(ids, on="invoice_id", how="semi"))

    return ScoringInputs(
        history=books(pl.col("issued_on") < first),
        drafts=books(is_draft),
        customers=given.customers,
        payments=given.payments,
        credit_notes=given.credit_notes,
        usage_days=given.usage_days,
    )
