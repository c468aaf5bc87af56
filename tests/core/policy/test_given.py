"""Which stored decisions are asked about again, and what is kept of each."""

from datetime import date, timedelta

import polars as pl

from prebill.core.policy.given import KEPT, Given, given_of, stamped
from prebill.core.policy.model import Policy
from prebill.core.schemas.internal import DECISIONS
from prebill.core.scoring.models import Models
from prebill.core.scoring.scorer import score
from prebill.workflows.decisions import FAILED, READINESS, cannot_judge
from prebill.workflows.decisions import given as given_with
from tests.core.policy.decisions import DECIDED_AT, NO_LABELS, found, stored
from tests.core.scoring.company import company

#: Of the scores: names of the draft, what a decision has already, and intermediate sums.
NOT_KEPT = {*DECISIONS.names, "known", "saved_minor", "unpaid_minor", "review_minutes"}


def told(given: Given) -> set[tuple[str, str]]:
    return set(given.rows.select("draft_id", "draft_version").iter_rows())


def test_last_decision_of_the_last_version_counts() -> None:
    later = DECIDED_AT + timedelta(days=1)
    rows = stored(
        {"invoice_id": "A"},
        {"invoice_id": "A", "draft_version": "2", "decided_at": later, "run_id": "again"},
        {"invoice_id": "A", "draft_version": "2"},
        {"invoice_id": "B"},
    )
    found_rows = given_of(rows.lazy(), NO_LABELS).rows
    assert {("A", "2", "again"), ("B", "1", "run")} == set(
        found_rows.select("draft_id", "draft_version", "run_id").iter_rows()
    )


def test_earlier_version_counts_once_somebody_answered_it() -> None:
    later = DECIDED_AT + timedelta(days=1)
    rows = stored(
        {"invoice_id": "A", "found": [found("level")]},
        {"invoice_id": "A", "draft_version": "2", "decided_at": later},
    )
    labelled = pl.DataFrame({"draft_id": ["A"], "draft_version": ["1"]})
    given = given_of(rows.lazy(), labelled)
    assert {("A", "1"), ("A", "2")} == told(given)
    (first,) = given.rows.filter(draft_version="1")["invoice_id"]
    assert [first] == given.findings["invoice_id"].to_list()


def test_drafts_issued_before_a_day_are_left_out() -> None:
    rows = stored({}, {"issued_on": date(2026, 10, 4)})
    assert {("D0", "1")} == told(given_of(rows.lazy(), NO_LABELS, date(2026, 11, 1)))


def test_decisions_of_an_older_program_are_counted_and_left_out() -> None:
    old = stored({}, {}).select(DECISIONS.names)
    assert (0, 2) == _sizes(given_of(old.lazy(), NO_LABELS))
    both = pl.concat([old, stored({"invoice_id": "new"})], how="diagonal")
    assert (1, 2) == _sizes(given_of(both.lazy(), NO_LABELS))


def _sizes(given: Given) -> tuple[int, int]:
    return given.rows.height, given.left_out


def test_every_column_that_a_policy_decides_on_is_kept() -> None:
    scored = score(company(customers=6), Models(), Policy.default())
    assert set() == set(scored.scores.columns) - set(KEPT) - NOT_KEPT


def test_facts_are_kept_apart_from_what_rules_are_asked() -> None:
    policy = Policy.default()
    inputs = company(customers=3)
    scored = score(inputs, Models(), policy)
    names = inputs.drafts.invoices["invoice_id"].to_list()
    drafts = inputs.drafts.invoices.select(
        "invoice_id",
        "customer_id",
        "total_minor",
        draft_version=pl.lit("1"),
        entity_id=pl.lit("DE"),
    )
    facts = pl.concat([_fact(scored.findings, names[0], "billing")])
    facts = pl.concat([facts, _fact(scored.findings, names[1], READINESS)])
    kept = given_with(scored, drafts, pl.concat([scored.findings, facts]), policy)
    rows = stamped(kept, "run", DECIDED_AT)
    blocked = dict(rows.select("invoice_id", "is_blocked").iter_rows())
    assert [False, True, False] == [blocked[name] for name in names[:3]]
    codes = dict(rows.select("invoice_id", "found").iter_rows())
    assert "a_fact" in {one["code"] for one in codes[names[0]]}
    assert "a_fact" not in {one["code"] for one in codes[names[1]]}


def _fact(findings: pl.DataFrame, name: str, detector: str) -> pl.DataFrame:
    row = {"invoice_id": name, "detector": detector, "code": "a_fact", "basis": "exact"}
    return pl.DataFrame(
        [{**row, "score": 1.0, "text": "t", "line_ids": "", "evidence": ""}],
        schema=findings.schema,
    )


def test_draft_that_nothing_could_judge_says_so() -> None:
    drafts = pl.DataFrame({"draft_id": ["A"], "currency": ["EUR"]})
    policy = Policy.default()
    scored = cannot_judge(drafts, policy, "broken")
    named = pl.DataFrame(
        {
            "invoice_id": ["A"],
            "draft_version": ["1"],
            "customer_id": ["C"],
            "entity_id": [None],
            "total_minor": [5],
        },
        schema_overrides={"entity_id": pl.String},
    )
    (row,) = stamped(given_with(scored, named, scored.findings, policy), "r", DECIDED_AT).to_dicts()
    assert (True, [], None) == (row["is_unjudged"], row["found"], row["issued_on"])
    assert [FAILED] == scored.findings["detector"].to_list()
