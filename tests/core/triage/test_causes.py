"""Causes: what several drafts may have in common, and when one decision holds for all."""

import doctest

import polars as pl

from prebill.core.schemas.internal import FINDINGS
from prebill.core.triage import causes as module
from prebill.core.triage.causes import agrees, causes


def found(invoice: str, code: str, amount: int | None, lines: str = "", **more: str) -> dict:
    usual = {"detector": "d", "basis": "exact", "score": 0.99, "expected": None}
    usual |= {"text": "", "evidence": ""}
    return usual | {
        "invoice_id": invoice,
        "code": code,
        "amount_minor": amount,
        "line_ids": lines,
        **more,
    }


LINES = pl.DataFrame(
    {
        "invoice_id": ["a", "a", "b", "c", "d"],
        "line_id": ["1", "2", "1", "1", "1"],
        "price_book": ["eur-2", "eur-2", "eur-2", "eur-3", "eur-3"],
        "meter": [None, "calls", None, "calls", "calls"],
        "product": ["Seats", "Calls", "Seats", "Calls", "Calls"],
        "tax_code": ["DE-S-19"] * 5,
    }
)
DRAFTS = pl.DataFrame(
    {
        "invoice_id": ["a", "b", "c", "d", "e"],
        "currency": ["EUR"] * 5,
        "period": ["2026-10"] * 5,
    }
)


def named(*rows: dict) -> dict[str, str]:
    frame = causes(pl.DataFrame(rows, schema=FINDINGS.schema), LINES, DRAFTS)
    return dict(frame.iter_rows())


def test_examples_run() -> None:
    assert doctest.testmod(module).failed == 0


def test_one_price_book_is_one_cause() -> None:
    actual = named(
        found("a", "price_differs_from_contract", -500, "1,2"),
        found("b", "price_differs_from_contract", 300, "1"),
        found("c", "price_differs_from_contract", 300, "1"),
    )
    cause = "2026-10:price_differs_from_contract:"
    assert {"a": f"{cause}eur-2", "b": f"{cause}eur-2", "c": f"{cause}eur-3"} == actual


def test_the_finding_with_the_most_money_names_it() -> None:
    both = (
        found("a", "usage_missing", -9_000, "2", basis="statistical"),
        found("a", "price_differs_from_contract", 400, "1"),
    )
    assert {"a": "2026-10:usage_missing:calls"} == named(*both)
    # A total off its history is the customer's own, however large.
    own = found("a", "total_above_history", 90_000, basis="statistical")
    assert {} == named(*both, own)


def test_causes_without_a_line() -> None:
    actual = named(
        found("d", "currency_differs_from_contract", None),
        found("e", "could_not_judge", None, basis="could_not_judge", detector="level"),
        found("c", "tax_share_unusual", 100),
    )
    assert {
        "d": "2026-10:currency_differs_from_contract:EUR",
        "e": "2026-10:could_not_judge:level",
        "c": "2026-10:tax_share_unusual:",
    } == actual


def test_books_without_price_books_and_meters() -> None:
    lines = LINES.select("invoice_id", "line_id", "product")
    row = found("a", "rate_never_billed", 100, "2")
    frame = causes(pl.DataFrame([row], schema=FINDINGS.schema), lines, DRAFTS)
    assert ["2026-10:rate_never_billed:Calls"] == frame["cause"].to_list()


def test_nothing_found_has_no_cause() -> None:
    assert named() == {}


def test_sample_must_be_of_one_mind() -> None:
    assert agrees("release", ["release", "release"])
    assert agrees("reject", ["reject", "correct"])
    assert not agrees("release", ["release", "reject"])
    assert not agrees("reject", ["release", "reject"])
