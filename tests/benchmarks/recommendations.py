"""How good recommended actions are: demo companies, one a month, reviewers of stated accuracy.

    python -m tests.benchmarks.recommendations --seeds 21 22 23 24 25 26 27 28

Each company is billed and judged in memory under the default policy, but with more reviews, so that
there are right cases to learn from. The cases of a month are decided in random order; who is shown
a recommendation follows it unseen with a stated chance, else finds out themselves and errs with
another. Recommendations are learnt anew after each month, from those verdicts alone.
"""

import argparse
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import polars as pl
import yaml

from prebill.bootstrap import Judges, policy_text
from prebill.core.accounting.journal import Ledger
from prebill.core.billing.dedupe import dedupe
from prebill.core.billing.usage_days import usage_days
from prebill.core.calendar import month_period
from prebill.core.policy.model import Policy
from prebill.core.schemas.inbound import DISPUTES
from prebill.core.scoring.frames import Books
from prebill.core.scoring.models import Models
from prebill.core.triage.agreement import agreement
from prebill.core.triage.recommend import LOOK, Recommender, is_withheld, learn, recommend
from prebill.core.triage.resolutions import FACTS, RESOLUTIONS, facts_of
from prebill.demo.billing import billing_inputs
from prebill.demo.catalogue import GRACE_DAYS, PERIOD
from prebill.demo.faults import Frames
from prebill.demo.generator import make_company, make_faulty
from prebill.workflows.candidates import CORRECTABLE
from prebill.workflows.corrections import Corrections
from prebill.workflows.gather import usage_bounds
from prebill.workflows.rows import ShardRows, Stamp, rows_of
from prebill.workflows.shard import ShardInputs, judge
from tests.benchmarks.markdown import table

AS_OF_AT: Final = datetime(2026, 11, 1, 18, tzinfo=UTC) + timedelta(days=GRACE_DAYS)
ACTIONS: Final = ("release", "correct", "reject")
#: Faults after which the document should not be at all, or has to be made at its source.
REJECTED: Final = ("double_invoice", "never_drafted")
WITHHELD: Final = 0.2


def policy() -> Policy:
    """The default policy, reviewing one draft in twenty for its score alone."""
    document = yaml.safe_load(policy_text(None))
    for rule in document["rules"]:
        if rule["id"] == "anomaly-review":
            rule["at_least"] = 0.95
    return Policy.parse(yaml.safe_dump(document))


def cases_of(seed: int, customers: int, judged_by: Policy) -> pl.DataFrame:
    """``FACTS`` of one company's cases, and ``right``: what a person who knows would do."""
    company, jumps = make_company(seed, customers)
    frames, faults = make_faulty(seed, company, jumps)
    result = judge(shard_inputs(frames), Judges(judged_by, Models()))
    rows = rows_of(result, judged_by, Stamp("run", PERIOD.name, "bench", AS_OF_AT))
    facts = facts_of(told(rows)).with_columns(
        case_id=pl.format("{}/{}", pl.lit(seed), "case_id"), first_queue="queue"
    )
    return facts.join(right_answers(rows, faults, seed), on="case_id")


def shard_inputs(frames: Frames) -> ShardInputs:
    """Everything known of the company, as a run would gather it."""
    start_at, end_at = usage_bounds(month_period(PERIOD.name))
    events = frames["usage_events"]
    is_now = (pl.col("occurred_at") >= start_at) & (pl.col("occurred_at") < end_at)
    earlier = events.filter(pl.col("occurred_at") < start_at)
    return ShardInputs(
        period=month_period(PERIOD.name),
        as_of_at=AS_OF_AT,
        billing=billing_inputs(frames),
        contract_terms=frames["contract_terms"],
        entitlements=frames["entitlements"],
        accounting_periods=frames["accounting_periods"],
        ledger=Ledger(
            frames["legal_entities"], frames["account_mappings"], frames["exchange_rates"]
        ),
        events=events.filter(is_now),
        late_sources=pl.DataFrame(
            schema={"meter": pl.String, "source": pl.String, "watermark_on": pl.Date}
        ),
        earlier_days=usage_days(dedupe(earlier).events),
        history=Books(frames["invoices"], frames["invoice_lines"]),
        payments=frames["payments"],
        credit_notes=frames["credit_notes"],
        disputes=frames.get("disputes", DISPUTES.empty()),
        norms=None,
        corrections=Corrections(),
    )


def told(rows: ShardRows) -> pl.DataFrame:
    """Cases of drafts and gaps with what was found on them."""
    drafts = rows.drafts.select("draft_id", "customer_id", "total_minor", "lines_json")
    scores = ("draft_id", "anomaly_score", "p_error", "findings_json", "reasons")
    heads = ("case_id", "kind", "draft_id", "queue", "currency")
    own = (
        rows.cases.filter(pl.col("kind") == "draft")
        .select(heads)
        .join(rows.decisions.select(scores), on="draft_id")
        .join(drafts, on="draft_id")
    )
    gaps = (
        rows.gap_cases.select(heads)
        .join(rows.gap_decisions.select(scores), on="draft_id")
        .with_columns(
            customer_id=pl.col("draft_id").str.split(":").list.get(2),
            total_minor=pl.lit(0, dtype=pl.Int64),
            lines_json=pl.lit(None, dtype=pl.String),
        )
    )
    return pl.concat([own, gaps.select(own.columns)])


def right_answers(rows: ShardRows, faults: pl.DataFrame, seed: int) -> pl.DataFrame:
    """What is true of each case: ``case_id, right``."""
    wrong = faults.select("contract_id", "customer_id", "family")
    owners = rows.drafts.select("draft_id", "contract_id", "subscription_id")
    drafted = (
        rows.cases.filter(pl.col("kind") == "draft")
        .select("case_id", "draft_id")
        .join(owners, on="draft_id")
        .join(wrong.drop("customer_id"), on="contract_id", how="left")
    )
    # Of a contract billed twice, the draft of the first subscription is right.
    is_first = (pl.col("family") == "double_invoice") & ~pl.col("subscription_id").str.ends_with(
        "B"
    )
    drafted = drafted.with_columns(family=pl.when(~is_first.fill_null(value=False)).then("family"))
    missing = rows.gap_cases.select(
        "case_id", customer_id=pl.col("draft_id").str.split(":").list.get(2)
    ).join(wrong.filter(pl.col("family") == "never_drafted"), on="customer_id", how="left")
    both = pl.concat([drafted.select("case_id", "family"), missing.select("case_id", "family")])
    family = pl.col("family")
    right = (
        pl.when(family.is_null())
        .then(pl.lit("release"))
        .when(family.is_in(REJECTED))
        .then(pl.lit("reject"))
        .otherwise(pl.lit("correct"))
    )
    return both.select(case_id=pl.format("{}/{}", pl.lit(seed), "case_id"), right=right).unique(
        "case_id", keep="first"
    )


@dataclass(frozen=True)
class Reviewers:
    """``accuracy``: share that they answer rightly by themselves; ``follows``: unseen."""

    accuracy: float
    follows: float


def decided(months: list[pl.DataFrame], people: Reviewers, seed: int = 1) -> pl.DataFrame:
    """Decide every case; return ``action, confidence, basis, verdict, right, was_shown, month``."""
    draw = np.random.default_rng(seed)
    resolved = RESOLUTIONS.empty()
    recommender: Recommender | None = None
    answers = []
    for month, facts in enumerate(months):
        rows = []
        parts = facts.partition_by("case_id", maintain_order=True)
        for part in (parts[place] for place in draw.permutation(len(parts))):
            case_id, right = part["case_id"][0], part["right"][0]
            advice = recommend(part.select(FACTS), recommender, frozenset(CORRECTABLE))
            was_shown = not is_withheld(case_id, WITHHELD)
            verdict = right if draw.random() < people.accuracy else _other(draw, right)
            if was_shown and advice.action != LOOK and draw.random() < people.follows:
                verdict = advice.action
            answers.append(
                (advice.action, advice.confidence, advice.basis, verdict, right, was_shown, month)
            )
            rows.append((case_id, verdict, AS_OF_AT + timedelta(days=30 * month)))
        verdicts = pl.DataFrame(rows, schema=["case_id", "verdict", "resolved_at"], orient="row")
        kept = facts.join(verdicts, on="case_id").with_columns(
            resolved_by=pl.lit("reviewer"), reason_code=pl.lit("said")
        )
        resolved = pl.concat([resolved, RESOLUTIONS.conform(kept)])
        recommender = learn(resolved)
    names = ["action", "confidence", "basis", "verdict", "right", "was_shown", "month"]
    return pl.DataFrame(answers, schema=names, orient="row", infer_schema_length=None)


def _other(draw: np.random.Generator, right: str) -> str:
    return str(draw.choice([action for action in ACTIONS if action != right]))


def report(answers: pl.DataFrame, people: Reviewers) -> list[list[str]]:
    """Rows of the table: agreement as Prebill reports it, and what was true."""
    blind = answers.filter(~pl.col("was_shown"))
    found = []
    for row in agreement(answers).iter_rows(named=True):
        group = {
            "shown": answers.filter("was_shown"),
            "blind": blind,
            "blind, by rules": blind.filter(pl.col("basis") == "rules"),
            "blind, by verdicts": blind.filter(pl.col("basis") == "verdicts"),
        }[row["group"]]
        told_of = group.filter(pl.col("action") != LOOK)
        true = (told_of["action"] == told_of["right"]).mean()
        found.append(
            [
                f"{people.accuracy:.0%}, {people.follows:.0%}",
                row["group"],
                f"{row['cases']:,}",
                f"{row['recommended']:,}",
                "–"
                if row["share"] is None
                else f"{row['share']:.1%} ({row['low']:.1%} to {row['high']:.1%})",
                "–" if true is None else f"{true:.1%}",
            ]
        )
    return found


def calibration(answers: pl.DataFrame) -> list[list[str]]:
    """Stated confidence of what was learnt, beside how often it was the right thing to do."""
    learnt = answers.filter(pl.col("basis") == "verdicts", pl.col("action") != LOOK)
    bins = learnt.with_columns(
        bin=pl.sum_horizontal(pl.col("confidence") >= end for end in (0.6, 0.8, 0.9, 0.95))
    )
    rows = (
        bins.group_by("bin")
        .agg(
            cases=pl.len(),
            stated=pl.col("confidence").mean(),
            right=(pl.col("action") == pl.col("right")).mean(),
            agreed=(pl.col("action") == pl.col("verdict")).mean(),
        )
        .sort("stated")
    )
    return [
        [f"{row['cases']:,}", *(f"{row[n]:.1%}" for n in ("stated", "agreed", "right"))]
        for row in rows.iter_rows(named=True)
    ]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(21, 29)))
    parser.add_argument("--customers", type=int, default=1_500)
    asked = parser.parse_args()
    judged_by = policy()
    months = []
    for seed in asked.seeds:
        months.append(cases_of(seed, asked.customers, judged_by))
        cases = months[-1].unique("case_id")
        counts = dict(cases["right"].value_counts().sort("right").iter_rows())
        print(f"seed {seed}: {cases.height} cases, {counts}", flush=True)
    rows = []
    for people in (Reviewers(0.95, 0.0), Reviewers(0.95, 0.3), Reviewers(0.8, 0.0)):
        answers = decided(months, people)
        rows += report(answers, people)
        if people == Reviewers(0.95, 0.0):
            stated = calibration(answers)
    heads = ["reviewers right, following", "group", "cases", "recommended", "agreed", "true"]
    print(table(heads, rows))
    print(table(["cases", "stated", "agreed", "right"], stated))


if __name__ == "__main__":
    main()
