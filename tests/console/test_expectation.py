"""What a line was expected to cost."""

from prebill.console.expectation import compare, findings_of
from tests.api.builders import finding, line


def test_exact_finding_sets_the_expectation_of_its_line() -> None:
    found = compare([line(1, amount_minor=17_500)], [finding("price_differs", 5_000)])
    assert [(gap.expected_minor, gap.billed_minor) for gap in found.gaps] == [(12_500, 17_500)]
    assert (found.basis, found.difference_minor) == ("exact", 5_000)


def test_statistical_findings_are_silent_where_an_exact_one_speaks() -> None:
    unusual = finding("total_unusual", 9_000, basis="statistical", line_ids="")
    found = compare([line(1, amount_minor=17_500)], [unusual, finding("price_differs", 5_000)])
    assert found.difference_minor == 5_000


def test_whole_document_counts_only_where_no_line_explains_it() -> None:
    whole = finding("total_unusual", 9_000, basis="statistical", line_ids="")
    part = finding("line_unusual", 8_000, basis="statistical")
    assert compare([line(1)], [whole]).difference_minor == 9_000
    assert compare([line(1)], [whole, part]).difference_minor == 8_000


def test_absent_charge_is_a_row_of_its_own() -> None:
    absent = finding("expected_charge_absent", -4_000, line_ids="")
    found = compare([line(1, amount_minor=10_000)], [absent])
    assert [(gap.expected_minor, gap.billed_minor) for gap in found.gaps] == [
        (10_000, 10_000),
        (4_000, 0),
    ]


def test_two_judges_of_one_absence_count_once() -> None:
    pair = [finding(code, -4_000, line_ids="") for code in ("expected_charge_absent", "phase_lost")]
    assert compare([line(1)], pair).difference_minor == -4_000


def test_duplicate_pair_counts_at_the_later_line() -> None:
    double = finding("duplicate_line", 12_500, line_ids="1,2")
    found = compare([line(1), line(2)], [double])
    assert [gap.difference_minor for gap in found.gaps] == [0, 12_500]


def test_without_money_nothing_was_expected_otherwise() -> None:
    silent = finding("usage_late", None, basis="could_not_judge")
    found = compare([line(1)], [silent])
    assert (found.basis, found.difference_minor) == ("", 0)


def test_objection_to_the_tax_is_a_row_of_its_own() -> None:
    wrong = finding("tax_share_unusual", -2_375, line_ids="")
    found = compare([line(1)], [wrong], tax_minor=0)
    assert [(12_500, 12_500), (2_375, 0)] == [
        (gap.expected_minor, gap.billed_minor) for gap in found.gaps
    ]
    assert found.has_tax


def test_reasons_stand_in_where_no_findings_were_kept() -> None:
    reasons = '[{"code": "invoice_missing", "text": "none", "amount_minor": -6034, "lines": []}]'
    found = compare([], findings_of("[]", reasons))
    assert found.difference_minor == -6_034
