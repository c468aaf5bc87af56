"""Judging the judge: money, recall, precision and names, on a company of six contracts."""

import polars as pl

from prebill.demo.assessment import OUTCOME, assess
from prebill.demo.report import (
    Console,
    Control,
    HeldInvoice,
    console_lines,
    control_lines,
    error_lines,
    family_lines,
    held_lines,
    money_lines,
    render,
)
from prebill.demo.truth import FAULT_COLUMNS, Truth


def fault(family: str, number: int, error_minor: int) -> dict[str, object]:
    values = (family, f"C{number}", f"K{number}", "EUR", 10_000, 12_000, "EUR", error_minor)
    return dict(zip(FAULT_COLUMNS, (*values, 9_000, "over"), strict=True))


def draft(
    number: int,
    action: str,
    code: str | None = None,
    *,
    suffix: str = "",
    is_gap: bool = False,
    total_minor: int = 12_000,
) -> dict[str, object]:
    return {
        "draft_id": f"DE01:2026-10:S{number}{suffix}",
        "contract_id": f"K{number}",
        "customer_id": f"C{number}",
        "currency": "EUR",
        "total_minor": total_minor,
        "action": action,
        "reason_code": code,
        "is_gap": is_gap,
    }


TRUTH = Truth(
    seed=1,
    customers=7,
    faults=pl.DataFrame(
        [
            fault("unit_error", 1, 10_000),
            fault("unit_error", 2, 3_000),
            fault("double_invoice", 3, 10_000),
            fault("never_drafted", 4, 10_000),
        ]
    ),
    negatives=pl.DataFrame(
        [
            {"kind": "season", "customer_id": "C5", "contract_id": "K5"},
            {"kind": "spike", "customer_id": "C6", "contract_id": "K6"},
        ]
    ),
)
NAMES = pl.DataFrame(
    {
        "customer_id": [f"C{number}" for number in range(1, 8)],
        "name": [f"Customer {number}" for number in range(1, 8)],
    }
)
OUTCOME_ROWS = pl.DataFrame(
    [
        draft(1, "hold", "usage_high"),
        draft(2, "release"),
        draft(3, "release"),
        draft(3, "review", "duplicate", suffix="B"),
        draft(4, "hold", "never_drafted", is_gap=True, total_minor=9_000),
        draft(5, "release"),
        draft(6, "hold", "usage_high"),
        draft(7, "review", "odd"),
    ],
    schema=OUTCOME,
)
RESULT = assess(TRUTH, OUTCOME_ROWS, NAMES)


def test_family_counts_held_reviewed_and_missed() -> None:
    rows = {row["family"]: row for row in RESULT.families.iter_rows(named=True)}
    assert tuple(rows["unit_error"][n] for n in ("held", "reviewed", "recall")) == (1, 0, 0.5)
    assert tuple(rows["double_invoice"][n] for n in ("held", "reviewed", "recall")) == (0, 1, 1.0)
    assert rows["never_drafted"]["recall"] == 1.0
    assert tuple(rows["all"][n] for n in ("faults", "held", "reviewed")) == (4, 2, 1)


def test_precision_counts_false_stops_for_the_familys_reason() -> None:
    rows = {row["family"]: row for row in RESULT.families.iter_rows(named=True)}
    assert rows["unit_error"]["precision"] == 0.5
    assert rows["double_invoice"]["precision"] == 1.0
    assert rows["all"]["precision"] == 3 / 5


def test_money_line_counts_a_missing_invoice_as_caught_but_not_as_billed() -> None:
    row = RESULT.money.row(0, named=True)
    assert (row["drafts"], row["billed_minor"]) == (7, 84_000)
    assert (row["caught_minor"], row["missed_minor"]) == (30_000, 3_000)
    assert (row["untouched"], row["untouched_minor"]) == (3, 36_000)
    assert (row["held_minor"], row["reviewed_minor"]) == (24_000, 24_000)


def test_names_of_missed_and_wrongly_stopped() -> None:
    assert RESULT.missed["customer_id"].to_list() == ["C2"]
    assert RESULT.wrongly_stopped["customer_id"].to_list() == ["C6", "C7"]
    assert RESULT.wrongly_stopped["kind"].to_list() == ["spike", None]


def test_hard_negatives_by_kind() -> None:
    rows = {row["kind"]: row for row in RESULT.hard_negatives.iter_rows(named=True)}
    assert (rows["spike"]["held"], rows["season"]["held"]) == (1, 0)


def test_unseen_families_are_shown_apart() -> None:
    faults = pl.concat([TRUTH.faults, pl.DataFrame([fault("sibling_usage", 7, 500)])])
    truth = Truth(1, 7, faults, TRUTH.negatives)
    result = assess(truth, OUTCOME_ROWS, NAMES)
    whole = result.families.filter(pl.col("family") == "all").row(0, named=True)
    assert (4, 1) == (whole["faults"], whole["false_stops"])
    unseen = result.unseen.row(0, named=True)
    assert ("sibling_usage", 0, 1) == tuple(unseen[n] for n in ("family", "held", "reviewed"))
    assert result.money.equals(RESULT.money)
    assert RESULT.unseen.is_empty()


def test_nothing_stopped_gives_no_precision() -> None:
    nothing = assess(TRUTH, pl.DataFrame([draft(1, "release")], schema=OUTCOME), NAMES)
    whole = nothing.families.filter(pl.col("family") == "all").row(0, named=True)
    assert whole["recall"] == 0.0
    assert whole["precision"] is None
    assert family_lines(nothing)


CONTROL = Control(
    contracts=8,
    drafted_contracts=7,
    skipped_contracts=1,
    drafts=8,
    issued=4,
    in_review=2,
    held=2,
    unbalanced=0,
    entries_by_entity={"DE01 EUR": 4},
    audit_entries=30,
    audit_problems=[],
    differences=[],
)
HELD = HeldInvoice(
    draft_id="DE01:2026-10:S1",
    customer="Customer 1",
    currency="EUR",
    billed_minor=12_000,
    expected_minor=10_000,
    reason="API calls 2.00x",
    evidence="e1, e2",
    smallest_fix="bill 100 API calls",
    command="prebill correct case:1",
)
CONSOLE = Console("http://127.0.0.1:8400/", "admin@example.com", "word", "prebill serve", None)


def test_held_invoice_takes_six_lines() -> None:
    lines = held_lines(HELD)
    assert len(lines) == 6
    assert "100.00 EUR" in lines[1]
    assert "120.00 EUR" in lines[1]
    assert "+20.00 EUR" in lines[1]
    assert lines[5].endswith("prebill correct case:1")


def test_control_line_says_ok_only_when_all_agrees() -> None:
    assert control_lines(CONTROL)[0].startswith("OK: 8 contracts = 7 drafted + 1 skipped")
    broken = Control(**{name: getattr(CONTROL, name) for name in Control.__slots__} | {"held": 3})
    assert control_lines(broken)[0].startswith("NOT OK")


def test_report_has_all_parts_in_order() -> None:
    lines = render(
        RESULT, held=HELD, control=CONTROL, console=CONSOLE, seconds={"import": 1.0, "run": 2.0}
    )
    text = "\n".join(lines)
    places = [text.index(part) for part in ("faulty money caught", "Evidence", "Missed: 1")]
    places += [text.index(part) for part in ("OK: 8", "one-time password word", "template DIR")]
    assert places == sorted(places)
    assert "in all 3.0" in text
    assert money_lines(RESULT)[0].startswith("EUR: billed 840.00 EUR on 7 invoices")
    assert "  C2 Customer 2: unit_error, 30.00 EUR of 100.00 EUR" in error_lines(RESULT)
    assert "Start it: prebill serve" in console_lines(CONSOLE)
