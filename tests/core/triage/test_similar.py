from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from prebill.core.triage.resolutions import RESOLUTIONS, facts_of
from prebill.core.triage.similar import most_similar

NOW = datetime(2026, 11, 2, tzinfo=UTC)


def resolved(case_id: str, **given: Any) -> dict[str, Any]:
    """A resolved case about the price of seats, 50.00 of 1,000.00 too much."""
    usual = {
        "case_id": case_id,
        "code": "price_differs_from_contract",
        "resolved_at": NOW,
        "resolved_by": "ann",
        "verdict": "correct",
        "reason_code": "wrong_price",
        "kind": "draft",
        "customer_id": "OTHER",
        "queue": "contracts",
        "first_queue": "contracts",
        "currency": "EUR",
        "amount_minor": 5_000,
        "total_minor": 100_000,
        "is_exact": True,
        "codes": "price_differs_from_contract",
        "charges": "seats",
        "anomaly_score": 0.99,
        "p_error": 0.9,
    }
    return {**usual, **given}


def frame(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=RESOLUTIONS.schema)


def nearest(asked: dict[str, Any], *rows: dict[str, Any]) -> list[str]:
    return most_similar(frame(asked), frame(*rows))["case_id"].to_list()


def test_an_equal_case_is_at_no_distance() -> None:
    found = most_similar(frame(resolved("asked")), frame(resolved("same", customer_id="OTHER")))
    assert [0.0] == found["distance"].to_list()


def test_the_case_itself_and_those_without_a_shared_reason_are_left_out() -> None:
    other = resolved("other", code="duplicate_usage", codes="duplicate_usage")
    assert ["like"] == nearest(resolved("asked"), resolved("asked"), resolved("like"), other)


def test_the_same_customer_is_nearer_than_another() -> None:
    own = resolved("own", customer_id="ACME")
    asked = resolved("asked", customer_id="ACME")
    assert ["own", "foreign"] == nearest(asked, resolved("foreign"), own)


def test_a_shared_rare_reason_counts_more_than_a_common_one() -> None:
    both = "price_differs_from_contract,usage_missing"
    rare = resolved("rare", code="usage_missing", codes="usage_missing")
    common = [resolved(f"common{number}") for number in range(20)]
    assert nearest(resolved("asked", codes=both), *common, rare)[0] == "rare"


def test_size_and_direction_order_cases_of_one_reason() -> None:
    small = resolved("ten times smaller", amount_minor=500)
    under = resolved("as large, under-billed", amount_minor=-5_000)
    near = resolved("twice as large", amount_minor=10_000)
    found = nearest(resolved("asked"), small, near, under)
    assert found[0] == "twice as large"


def test_of_equally_near_cases_the_latest_come_first() -> None:
    rows = [
        resolved(f"{days} days ago", resolved_at=NOW - timedelta(days=days)) for days in (9, 2, 5)
    ]
    assert ["2 days ago", "5 days ago", "9 days ago"] == nearest(resolved("asked"), *rows)


def test_a_case_with_several_codes_stands_once() -> None:
    codes = "a,b"
    rows = [resolved("two", code=code, codes=codes) for code in ("a", "b")]
    assert ["two"] == nearest(resolved("asked", code="a", codes=codes), *rows)


def test_what_a_side_does_not_say_does_not_count() -> None:
    silent = resolved("silent", charges="", amount_minor=0, anomaly_score=None)
    found = most_similar(frame(resolved("asked")), frame(silent))
    assert 0.0 <= found["distance"][0] < 0.5


def test_facts_are_read_from_findings_and_lines() -> None:
    findings = (
        '[{"code":"discount_changed","basis":"statistical","amount_minor":-10,"line_ids":"1"},'
        '{"code":"duplicate_line","basis":"exact","amount_minor":900,"line_ids":"2, 3"}]'
    )
    lines = (
        '[{"line_id":"1","charge_id":"base"},{"line_id":"2","charge_id":"seats"},'
        '{"line_id":"3","charge_id":"seats"},{"line_id":"4","charge_id":"api"}]'
    )
    cases = pl.DataFrame(
        {
            "case_id": ["draft", "gap", "nothing"],
            "findings_json": [findings, "[]", None],
            "reasons": ["[]", '[{"code":"invoice_missing","amount_minor":-700,"lines":[]}]', None],
            "lines_json": [lines, None, None],
        }
    )
    facts = facts_of(cases).select(
        "case_id", "code", "amount_minor", "is_exact", "codes", "charges"
    )
    whole = (900, True, "duplicate_line,discount_changed", "base,seats")
    assert facts.rows() == [
        ("draft", "discount_changed", *whole),
        ("draft", "duplicate_line", *whole),
        ("gap", "invoice_missing", -700, True, "invoice_missing", ""),
        ("nothing", "none", 0, False, "none", ""),
    ]
