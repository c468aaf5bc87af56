from datetime import date

import polars as pl
import pytest

from prebill.core.billing.finality import finality, late_findings, late_sources
from prebill.core.calendar import Period

OCTOBER = Period(date(2026, 10, 1), date(2026, 11, 1))
ENTITIES = pl.DataFrame({"entity_id": ["E"], "grace_days": [2], "issue_by_days": [10]})
DRAFTS = pl.DataFrame({"draft_id": ["metered", "flat"], "entity_id": ["E", "E"]})
LINES = pl.DataFrame({"draft_id": ["metered", "flat"], "meter": ["calls", None]})


def late(last_on: date) -> pl.DataFrame:
    marks = pl.DataFrame(
        {"meter": ["calls"], "source": ["a"], "days": [20], "watermark_on": [last_on]}
    )
    return late_sources(marks, OCTOBER)


def is_final(last_on: date, today: date) -> dict[str, bool]:
    judged = finality(DRAFTS, LINES, late(last_on), ENTITIES, period=OCTOBER, today={"E": today})
    return dict(judged.select("draft_id", "is_final").iter_rows())


@pytest.mark.parametrize(
    ("last_on", "today", "expected"),
    [
        (date(2026, 10, 31), date(2026, 11, 2), {"metered": False, "flat": False}),
        (date(2026, 10, 31), date(2026, 11, 3), {"metered": True, "flat": True}),
        (date(2026, 10, 20), date(2026, 11, 3), {"metered": False, "flat": True}),
        (date(2026, 10, 20), date(2026, 11, 11), {"metered": True, "flat": True}),
    ],
    ids=["in grace", "grace passed", "usage late", "issue-by date"],
)
def test_a_draft_waits_for_grace_and_usage_until_it_is_due(
    last_on: date, today: date, expected: dict[str, bool]
) -> None:
    assert {key: expected[key] for key in sorted(expected)} == is_final(last_on, today)


def test_a_single_delivery_is_no_feed_to_wait_for() -> None:
    marks = pl.DataFrame({"meter": ["calls"], "source": ["upload"], "days": [1]})
    marks = marks.with_columns(watermark_on=date(2026, 10, 20))
    assert late_sources(marks, OCTOBER).is_empty()


def test_an_unknown_entity_is_never_final() -> None:
    drafts = DRAFTS.with_columns(entity_id=pl.lit("other"))
    judged = finality(drafts, LINES, late(date(2026, 10, 31)), ENTITIES, period=OCTOBER, today={})
    assert not judged["is_final"].any()


def test_a_due_draft_without_its_usage_says_what_is_missing() -> None:
    judged = finality(
        DRAFTS,
        LINES,
        late(date(2026, 10, 20)),
        ENTITIES,
        period=OCTOBER,
        today={"E": date(2026, 11, 11)},
    )
    findings = late_findings(judged)
    assert ["metered"] == findings["invoice_id"].to_list()
    assert "calls from a since 2026-10-20" in findings["text"][0]
    assert ["could_not_judge"] == findings["basis"].to_list()
