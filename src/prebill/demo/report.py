"""The last page of ``prebill demo`` as lines of text. Pure: it writes down what it is given."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from prebill.core.money import format_minor
from prebill.demo.assessment import Assessment

Row = Mapping[str, Any]

_SHOWN: Final = 25
_RULE: Final = "─" * 96


@dataclass(frozen=True, slots=True)
class HeldInvoice:
    """One held invoice, ready to be told in six lines."""

    draft_id: str
    customer: str
    currency: str
    billed_minor: int
    expected_minor: int
    reason: str
    evidence: str
    smallest_fix: str
    command: str


@dataclass(frozen=True, slots=True)
class Control:
    """Figures from different places that must agree; ``differences`` are reconciliation's words."""

    contracts: int
    drafted_contracts: int
    skipped_contracts: int
    drafts: int
    issued: int
    in_review: int
    held: int
    unbalanced: int
    entries_by_entity: Mapping[str, int]
    audit_entries: int
    audit_problems: Sequence[str]
    differences: Sequence[str]

    @property
    def holds(self) -> bool:
        """Whether everything agrees."""
        return (
            self.contracts == self.drafted_contracts + self.skipped_contracts
            and self.drafts == self.issued + self.in_review + self.held
            and self.unbalanced == 0
            and not self.audit_problems
            and not self.differences
        )


@dataclass(frozen=True, slots=True)
class Console:
    """Where the demo's console is; ``command`` starts it where it does not run."""

    url: str
    email: str
    password: str
    command: str
    process_id: int | None


def render(
    assessment: Assessment,
    *,
    held: HeldInvoice | None,
    control: Control,
    console: Console,
    seconds: Mapping[str, float],
) -> list[str]:
    """Return the whole report."""
    sections = (
        ("1  The money, a line per currency", money_lines(assessment)),
        ("2  One held invoice", held_lines(held)),
        ("3  What it missed and what it stopped wrongly", error_lines(assessment)),
        ("4  Control", control_lines(control)),
        ("   Recall and precision by kind of fault", family_lines(assessment)),
        *_unseen_section(assessment),
        ("5  The console on this data", console_lines(console)),
        ("6  Your own data", own_data_lines()),
        ("   Seconds", [_seconds(seconds)]),
    )
    lines: list[str] = []
    for title, body in sections:
        lines += ["", title, _RULE, *body]
    return lines


def money_lines(assessment: Assessment) -> list[str]:
    """Say for each currency what was billed, went out untouched, was stopped, caught and missed."""
    return [_money_line(row) for row in assessment.money.iter_rows(named=True)]


def _money_line(row: Row) -> str:
    currency = row["currency"]

    def money(name: str) -> str:
        return format_minor(row[name], currency)

    faulty = row["caught_minor"] + row["missed_minor"]
    share = f" ({row['caught_minor'] / faulty:.1%})" if faulty else ""
    return (
        f"{currency}: billed {money('billed_minor')} on {row['drafts']:,} invoices · "
        f"untouched {row['untouched'] / max(row['drafts'], 1):.1%} · "
        f"held {money('held_minor')}, to review {money('reviewed_minor')} · "
        f"faulty money caught {money('caught_minor')}{share}, missed {money('missed_minor')}"
    )


def held_lines(held: HeldInvoice | None) -> list[str]:
    """Tell one held invoice in six lines."""
    if held is None:
        return ["Nothing was held."]
    difference = held.billed_minor - held.expected_minor
    sign = "+" if difference > 0 else ""
    return [
        f"Invoice   {held.draft_id} to {held.customer}",
        (
            f"Expected  {format_minor(held.expected_minor, held.currency)} · billed "
            f"{format_minor(held.billed_minor, held.currency)} · difference "
            f"{sign}{format_minor(difference, held.currency)} before tax"
        ),
        f"Reason    {held.reason}",
        f"Evidence  {held.evidence}",
        f"Fix       {held.smallest_fix}",
        f"Command   {held.command}",
    ]


def error_lines(assessment: Assessment) -> list[str]:
    """Name the faults that went out and the right invoices that were stopped."""
    missed = [
        f"  {row['customer_id']} {row['name'] or ''}: {row['family']}, "
        f"{format_minor(row['error_minor'], row['currency'])} of "
        f"{format_minor(row['true_total_minor'], row['currency'])}"
        for row in assessment.missed.iter_rows(named=True)
    ]
    stopped = assessment.wrongly_stopped
    held = [_stopped_line(row) for row in stopped.iter_rows(named=True) if row["action"] == "hold"]
    odd = [
        f"{row['kind']} {row['held']}+{row['reviewed']} of {row['invoices']}"
        for row in assessment.hard_negatives.iter_rows(named=True)
    ]
    return [
        f"Missed: {len(missed)}",
        *_first(missed),
        f"Held wrongly: {len(held)}",
        *_first(held),
        f"Sent to review though right: {stopped.height - len(held)}, by name in result.json",
        f"Odd but right, held+reviewed: {', '.join(odd)}",
    ]


def _stopped_line(row: Row) -> str:
    odd = f" (odd but right: {row['kind']})" if row["kind"] else ""
    total = format_minor(row["total_minor"], row["currency"])
    return f"  {row['customer_id']} {row['name'] or ''}: {total}, {row['reason_code']}{odd}"


def _first(lines: list[str]) -> list[str]:
    if len(lines) <= _SHOWN:
        return lines
    return [*lines[:_SHOWN], f"  … and {len(lines) - _SHOWN} more in result.json"]


def control_lines(control: Control) -> list[str]:
    """Say in one line whether everything agrees, then list what does not."""
    entries = ", ".join(f"{name} {count:,}" for name, count in control.entries_by_entity.items())
    balance = "balanced" if control.unbalanced == 0 else f"{control.unbalanced} NOT BALANCED"
    audit = "verified" if not control.audit_problems else "NOT VERIFIED"
    return [
        (
            f"{'OK' if control.holds else 'NOT OK'}: {control.contracts:,} contracts = "
            f"{control.drafted_contracts:,} drafted + {control.skipped_contracts:,} skipped · "
            f"{control.drafts:,} drafts = {control.issued:,} issued + {control.in_review:,} in "
            f"review + {control.held:,} held · journal {balance} ({entries}) · "
            f"{control.audit_entries:,} audit entries {audit}"
        ),
        *(f"  {text}" for text in (*control.audit_problems, *control.differences)),
    ]


def family_lines(assessment: Assessment) -> list[str]:
    """Return the table; the last row is the total."""
    header = (
        "kind of fault",
        "faults",
        "held",
        "review",
        "recall",
        "money",
        "false",
        "precision",
        "by",
    )
    rows: list[Sequence[str]] = [header]
    for row in assessment.families.iter_rows(named=True):
        share, precision = row["caught_money_share"], row["precision"]
        rows.append(
            (
                row["family"],
                *(str(row[name]) for name in ("faults", "held", "reviewed")),
                f"{row['recall']:.0%}",
                "" if share is None else f"{share:.0%}",
                str(row["false_stops"]),
                "–" if precision is None else f"{precision:.0%}",
                ", ".join(row["reasons"] or []),
            )
        )
    table = assessment.families
    owned = table.filter(table["family"] != "all")["false_stops"].sum()
    others = assessment.wrongly_stopped.height - owned
    notes = [
        "false: right invoices stopped for a reason that stopped this kind of fault most often;",
        f"{others} more were stopped for reasons that stopped no fault",
    ]
    return [*aligned(rows), *notes]


def _unseen_section(assessment: Assessment) -> list[tuple[str, list[str]]]:
    """Show the kinds of fault that no detector was written for, where they were planted."""
    if assessment.unseen.is_empty():
        return []
    rows: list[Sequence[str]] = [("kind of fault", "faults", "held", "review", "money", "by")]
    for row in assessment.unseen.iter_rows(named=True):
        counts = (str(row[name]) for name in ("faults", "held", "reviewed"))
        share = f"{row['caught_money_share']:.0%}"
        rows.append((row["family"], *counts, share, ", ".join(row["reasons"])))
    return [("   Kinds of fault that no detector was written for", aligned(rows))]


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Align columns: the first and the last to the left, the others to the right."""
    last = len(rows[0]) - 1
    widths = [max(len(row[column]) for row in rows) for column in range(last + 1)]
    return [
        "  ".join(
            text.ljust(width) if column in (0, last) else text.rjust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def console_lines(console: Console) -> list[str]:
    """Say where to sign in and how to stop or start the console."""
    state = (
        f"It runs in the background until `kill {console.process_id}`."
        if console.process_id
        else f"Start it: {console.command}"
    )
    return [
        f"{console.url} · {console.email} · one-time password {console.password}",
        state,
    ]


def own_data_lines() -> list[str]:
    """Say how to do the same with one's own invoices."""
    return [
        "prebill template DIR     empty files with a comment a column, to fill from your systems",
        (
            "prebill score --history DIR/history --drafts DIR/drafts --out decisions.csv "
            "--report report.html"
        ),
    ]


def _seconds(seconds: Mapping[str, float]) -> str:
    parts: Iterable[str] = (f"{name} {value:.1f}" for name, value in seconds.items())
    return f"{' · '.join(parts)} · in all {sum(seconds.values()):.1f}"
