"""What each line was expected to cost, read from the findings of the judges. Pure.

A finding says how much money it objects to. Exact findings (contract, price book, invariants) know
the right amount; statistical ones know the ordinary one and speak only where no exact one does.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

EXACT: Final = "exact"
#: Line id of the row that compares the tax.
TAX: Final = "tax"
STATISTICAL: Final = "statistical"

Finding = dict[str, Any]
Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Gap:
    """One row of the comparison: a line of the draft, or something absent from it."""

    line_id: str
    name: str
    expected_minor: int
    billed_minor: int
    finding: Finding | None

    @property
    def difference_minor(self) -> int:
        """Billed less expected: > 0 is too much."""
        return self.billed_minor - self.expected_minor


@dataclass(frozen=True, slots=True)
class Comparison:
    """Every line with its expectation; ``basis`` says which kind of judge spoke."""

    gaps: tuple[Gap, ...]
    basis: str

    @property
    def expected_minor(self) -> int:
        """Sum of what was expected."""
        return sum(gap.expected_minor for gap in self.gaps)

    @property
    def billed_minor(self) -> int:
        """Sum of what was billed, before tax."""
        return sum(gap.billed_minor for gap in self.gaps)

    @property
    def difference_minor(self) -> int:
        """Billed less expected."""
        return self.billed_minor - self.expected_minor

    @property
    def has_tax(self) -> bool:
        """Whether the tax is among the rows: only where a judge objects to it."""
        return any(gap.line_id == TAX for gap in self.gaps)


def findings_of(findings_json: str | None, reasons_json: str | None) -> list[Finding]:
    """Read the findings of a decision; a gap has reasons alone, which say the same in short."""
    found: list[Finding] = json.loads(findings_json or "[]")
    if found:
        return found
    return [
        {
            "detector": "",
            "basis": EXACT,
            "score": None,
            "expected": None,
            "evidence": "",
            **{name: one.get(name) for name in ("code", "text", "amount_minor")},
            "line_ids": ",".join(str(line) for line in one.get("lines") or []),
        }
        for one in json.loads(reasons_json or "[]")
    ]


def compare(
    lines: Sequence[Line], findings: Sequence[Finding], *, tax_minor: int = 0
) -> Comparison:
    """Set the lines beside what the judges expected.

    A line takes its expectation from the finding with the most money on it. A finding over several
    lines counts at the last of them (of a pair of duplicates the later one is the surplus). One
    about the whole document becomes a row of its own; statistical ones do so only if no line
    explains the difference, else the same money would stand twice.
    """
    with_money = sorted(
        (one for one in findings if one.get("amount_minor")),
        key=lambda one: abs(one["amount_minor"]),
        reverse=True,
    )
    exact = [one for one in with_money if one["basis"] == EXACT]
    chosen = exact or [one for one in with_money if one["basis"] == STATISTICAL]
    priced = [one for one in chosen if not one["code"].startswith("tax_")]
    by_line = _by_line(priced, {str(line["line_id"]) for line in lines})
    gaps = [_gap(line, by_line.get(str(line["line_id"]))) for line in lines]
    on_tax = [one for one in chosen if one["code"].startswith("tax_")]
    whole = [one for one in chosen if not one["line_ids"] and one not in on_tax]
    if not exact:
        whole = [] if by_line else whole[:1]
    gaps += [_absent(one) for one in _distinct(whole)]
    if on_tax:
        expected = tax_minor - int(on_tax[0]["amount_minor"])
        gaps.append(Gap(TAX, "Tax", expected, tax_minor, on_tax[0]))
    basis = (EXACT if exact else STATISTICAL) if chosen else ""
    return Comparison(tuple(gaps), basis)


def _by_line(findings: Sequence[Finding], known: set[str]) -> dict[str, Finding]:
    """The first, that is the largest, finding of each line."""
    found: dict[str, Finding] = {}
    for one in findings:
        named = [part.strip() for part in one["line_ids"].split(",") if part.strip() in known]
        if named:
            found.setdefault(named[-1], one)
    return found


def _gap(line: Line, finding: Finding | None) -> Gap:
    billed = int(line["amount_minor"])
    difference = int(finding["amount_minor"]) if finding else 0
    return Gap(str(line["line_id"]), str(line["name"]), billed - difference, billed, finding)


def _absent(finding: Finding) -> Gap:
    """A finding about the whole document: too little means that something is not on it."""
    amount = int(finding["amount_minor"])
    name = "Not on the draft" if amount < 0 else "The draft as a whole"
    return Gap("", name, -amount, 0, finding)


def _distinct(findings: Sequence[Finding]) -> list[Finding]:
    """Two judges that name the same amount mean the same thing."""
    seen: dict[int, Finding] = {}
    for one in findings:
        seen.setdefault(int(one["amount_minor"]), one)
    return list(seen.values())
