"""Proposed terms and the first step: conservative, and never against what the figures say."""

from dataclasses import replace
from datetime import date

import polars as pl
import pytest

from prebill.core.collections.dunning import propose
from prebill.core.errors import PolicyError
from prebill.core.policy.collecting import Collecting, parse_collecting
from prebill.core.policy.model import Policy
from prebill.core.scoring.models.prior import predict_prior
from tests.core.policy.test_policy import document

DUE = date(2026, 3, 31)


def proposed(limits: Collecting | None = None, **figures: object) -> dict:
    usual = {"invoice_id": "A", "p_late": 0.1, "days_late_p50": -2.0, "days_late_p90": 1.0}
    frame = pl.DataFrame(
        [usual | {"terms_days": 30, "due_on": DUE} | figures],
        schema_overrides={"p_late": pl.Float64, "due_on": pl.Date},
    )
    return propose(frame, limits or Collecting()).row(0, named=True)


def test_punctual_payer_keeps_the_terms_and_hears_nothing_before_the_grace_is_over() -> None:
    found = proposed()
    assert (found["terms"], found["terms_text"]) == ("as_agreed", "as agreed")
    assert (found["step"], found["step_on"]) == ("reminder", date(2026, 4, 3))
    assert found["step_text"] == "reminder 3 days after the due date"
    assert found["expected_on"] == date(2026, 3, 29)


def test_who_pays_within_nine_days_is_not_reminded_on_the_third() -> None:
    assert proposed(days_late_p90=9.0)["step_days"] == 10
    assert proposed(days_late_p90=40.0)["step_days"] == 14  # the latest day


def test_likely_late_payer_is_reminded_at_once_and_a_sure_one_told_before() -> None:
    early = proposed(p_late=0.6, days_late_p50=4.0, days_late_p90=12.0)
    assert (early["step"], early["step_days"]) == ("early_reminder", 3)
    assert early["terms"] == "as_agreed"
    told = proposed(p_late=0.85, days_late_p50=6.0, days_late_p90=12.0)
    assert (told["step"], told["step_on"]) == ("notice_before_due", date(2026, 3, 26))
    assert told["step_text"] == "notice 5 days before the due date"


def test_notice_is_not_before_the_invoice() -> None:
    told = proposed(p_late=0.85, days_late_p50=6.0, terms_days=0)
    assert (told["step_days"], told["step_text"]) == (0, "notice on the due date")


def test_shorter_terms_are_what_brings_the_money_when_it_was_agreed() -> None:
    found = proposed(p_late=0.8, days_late_p50=12.0, days_late_p90=20.0)
    assert found["terms"] == "shorter_terms"
    assert found["terms_text"] == (
        "agree on 18 days instead of 30 next time: 80.0 % likely late, 12 days at the median"
    )
    short = proposed(p_late=0.8, days_late_p50=12.0, terms_days=7)
    assert short["terms"] == "as_agreed"  # they are as short as the policy allows


def test_deposit_is_for_those_who_may_never_pay() -> None:
    found = proposed(p_late=0.95, days_late_p50=365.0, days_late_p90=365.0)
    assert found["terms"] == "deposit"
    assert found["terms_text"].startswith("ask for a deposit of 30 % next time")
    assert found["expected_on"] is None


def test_draft_without_due_date_has_days_and_no_day() -> None:
    found = proposed(due_on=None)
    assert (found["step_days"], found["step_on"], found["expected_on"]) == (3, None, None)


def test_nothing_is_proposed_without_figures() -> None:
    found = proposed(p_late=None)
    assert (found["terms"], found["step"], found["step_text"]) == (None, None, None)


def test_stated_prior_proposes_nothing_unusual() -> None:
    # What natural persons get where the policy forbids payment risk for them.
    prior = predict_prior(pl.DataFrame({"invoice_id": ["A"]})).row(0, named=True)
    found = proposed(**{name: prior[name] for name in prior if name != "p_never"})
    assert (found["terms"], found["step"]) == ("as_agreed", "reminder")


def test_rows_keep_their_order() -> None:
    frame = pl.DataFrame(
        {
            "invoice_id": ["B", "A"],
            "p_late": [0.1, 0.9],
            "days_late_p50": [0.0, 30.0],
            "days_late_p90": [5.0, 50.0],
            "terms_days": [30, 30],
            "due_on": [DUE, DUE],
        }
    )
    found = propose(frame, Collecting())
    assert [("B", "as_agreed"), ("A", "shorter_terms")] == list(
        found.select("invoice_id", "terms").iter_rows()
    )


def test_default_policy_says_what_the_defaults_are() -> None:
    assert Policy.default().collecting == Collecting() == parse_collecting(None)


@pytest.mark.parametrize(
    ("part", "change", "said"),
    [
        ("reminder", {"latest_days": 1}, "latest_days must not be before"),
        ("reminder", {"before_due_p_late": 0.3}, "outside"),
        ("shorter_terms", {"p_late": "high"}, "number"),
        ("deposit", {"percent": 0}, "outside"),
        ("deposit", {"surprise": 1}, "must have exactly"),
    ],
)
def test_wrong_sections_are_refused(part: str, change: dict, said: str) -> None:
    section = document()["collections"]
    section[part] = section[part] | change
    with pytest.raises(PolicyError, match=said):
        parse_collecting(section)


def test_limits_of_the_policy_count() -> None:
    strict = replace(Collecting(), before_due_p_late=0.5, before_due_days=2)
    assert proposed(strict, p_late=0.6, days_late_p50=4.0)["step_days"] == -2
