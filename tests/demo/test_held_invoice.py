"""The smallest fix of a held invoice: read off an exact finding, never guessed."""

import json
from typing import Any

from prebill.console.expectation import compare
from prebill.demo.held_invoice import _quantity_fix


def line(line_id: str, *, meter: str | None = "api_calls") -> dict[str, Any]:
    return {
        "line_id": line_id,
        "name": "API calls",
        "charge_id": "api",
        "meter": meter,
        "quantity": "2000",
        "amount_minor": 2_000,
    }


def finding(**changed: Any) -> dict[str, Any]:
    return {
        "basis": "exact",
        "amount_minor": 800,
        "expected": "1,200",
        "line_ids": "1",
        "text": "twice",
        "code": "duplicate_usage",
        "evidence": "",
    } | changed


def fix_of(lines: list[dict[str, Any]], findings: list[dict[str, Any]]) -> Any:
    return _quantity_fix({"lines_json": json.dumps(lines)}, compare(lines, findings))


def test_exact_quantity_of_one_metered_line_is_the_fix() -> None:
    fix = fix_of([line("1"), line("2")], [finding()])
    assert fix.kind == "usage_quantity"
    assert fix.values == {"charge_id": "api", "quantity": "1200"}
    assert fix.words == "API calls: quantity 2000 → 1200"


def test_statistical_expectation_is_no_fix() -> None:
    assert fix_of([line("1")], [finding(basis="statistical")]) is None


def test_expectation_in_words_is_no_fix() -> None:
    assert fix_of([line("1")], [finding(expected="one invoice")]) is None


def test_two_wrong_lines_have_no_single_fix() -> None:
    both = [finding(), finding(line_ids="2", amount_minor=300)]
    assert fix_of([line("1"), line("2")], both) is None


def test_line_without_a_meter_has_no_quantity_to_correct() -> None:
    assert fix_of([line("1", meter=None)], [finding()]) is None
