"""The gate alone: other engines' drafts and history in, decisions with reasons out.

Gather the files, fit what the history allows, score (pure), write. Nothing is stored.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Final

import polars as pl

from prebill.core.errors import InputError
from prebill.core.policy.model import Policy
from prebill.core.schemas.inbound import (
    CONTRACT_TERMS,
    CREDIT_NOTES,
    CUSTOMERS,
    DISPUTES,
    INVOICE_LINES,
    INVOICES,
    PAYMENTS,
    SUBSCRIPTION_PHASES,
    SUBSCRIPTIONS,
    USAGE_EVENTS,
)
from prebill.core.schemas.internal import DECISIONS, FINDINGS
from prebill.core.scoring.announced import terms_of
from prebill.core.scoring.backtest import Backtest, Past, backtest, latest_months
from prebill.core.scoring.frames import Books, ScoringInputs, settle
from prebill.core.scoring.models import Models, fit_models
from prebill.core.scoring.models.prior import predict_prior
from prebill.core.scoring.scene import scene_of
from prebill.core.scoring.scorer import Scored, score_scene
from prebill.core.scoring.usage import usage_days
from prebill.workflows.decisions import escalate
from prebill.workflows.gate_files import KEY_SEPARATOR, QUARANTINE, Loaded, load
from prebill.workflows.gate_report import report_html

#: ISO 4217 code where no currency could be read.
NO_CURRENCY: Final = "XXX"
SEED: Final = 20260101
#: Broken rows that the terminal names one by one; all of them are in the file.
SHOWN_ROWS: Final = 10


@dataclass(frozen=True, slots=True)
class Gathered:
    """The files of both folders, with what was broken and what is missing.

    ``unread``: findings on drafts that could not be read as a whole, with their currency.
    """

    inputs: ScoringInputs
    broken: pl.DataFrame
    unread: pl.DataFrame
    notes: list[str]


@dataclass(frozen=True, slots=True)
class GateResult:
    """What the gate says, for files, terminal and report."""

    scored: Scored
    inputs: ScoringInputs
    policy: Policy
    broken: pl.DataFrame
    notes: list[str] = field(default_factory=list)
    #: Past months judged as if they had been live; None: not asked for.
    backtest: Backtest | None = None


def run_gate(
    history: Path,
    drafts: Path,
    *,
    policy: Policy,
    models: Models | None = None,
    train_before: date | None = None,
    backtest_months: int = 0,
    say: Callable[[str], None] = lambda _: None,
) -> GateResult:
    """Score the drafts of a folder against the history of another.

    With ``backtest_months`` the latest whole months of the history are judged as well, each as if
    it had been live, with models fitted on its first morning.
    """
    say("reading")
    gathered = gather(history, drafts)
    say(
        f"{gathered.inputs.drafts.invoices.height:,} drafts, "
        f"{gathered.inputs.history.invoices.height:,} invoices of history"
    )
    scene = scene_of(gathered.inputs)
    notes = list(gathered.notes)
    if models is None:
        say("fitting what the history allows")
        fitted = fit_models(scene.rows, scene.inputs, train_before=train_before, seed=SEED)
        models, notes = fitted.models, notes + fitted.notes
    say("scoring")
    scored = with_unread(score_scene(scene, models, policy), gathered.unread, policy)
    notes += scored.notes
    tested = _backtest(gathered.inputs, policy, backtest_months, say) if backtest_months else None
    return GateResult(scored, gathered.inputs, policy, gathered.broken, notes, tested)


def _backtest(
    inputs: ScoringInputs, policy: Policy, months: int, say: Callable[[str], None]
) -> Backtest:
    """Judge past months by what was known before the first draft of today."""
    until_on = inputs.cut_off or date.max
    settled = settle(inputs)
    known = replace(
        settled,
        drafts=Books(),
        history=Books(
            settled.history.invoices.filter(pl.col("issued_on") < until_on), settled.history.lines
        ),
        payments=settled.payments.filter(pl.col("paid_on") < until_on),
        credit_notes=settled.credit_notes.filter(pl.col("issued_on") < until_on),
    )
    chosen = latest_months(known.history.invoices, months, known_until=until_on)
    say(f"judging {len(chosen)} past months as if they had been live")
    return backtest(Past(known, until_on), chosen, policy, seed=SEED)


def gather(history: Path, drafts: Path) -> Gathered:
    """Read both folders; a file that stands in both is joined, the drafts' rows first."""
    own = {frame.name: load(drafts, frame, needed=frame is INVOICES) for frame in _BOTH}
    past = {frame.name: load(history, frame) for frame in _BOTH}
    if own["invoices"].frame.is_empty():
        message = f"{drafts} holds no readable draft{_first_of(own['invoices'].broken)}"
        raise InputError(message, folder=str(drafts))
    joined = {
        frame.name: pl.concat([own[frame.name].frame, past[frame.name].frame]).unique(
            frame.key, keep="first", maintain_order=True
        )
        for frame in (CUSTOMERS, PAYMENTS, CREDIT_NOTES, DISPUTES, USAGE_EVENTS, *_TERMS)
    }
    inputs = ScoringInputs(
        history=Books(past["invoices"].frame, past["invoice_lines"].frame),
        drafts=Books(own["invoices"].frame, own["invoice_lines"].frame),
        customers=joined["customers"],
        payments=joined["payments"],
        credit_notes=joined["credit_notes"],
        disputes=joined["disputes"],
        usage_days=usage_days(joined["usage_events"]),
        terms=terms_of(*(joined[frame.name] for frame in _TERMS)),
    )
    broken = [
        loaded.broken.with_columns(file=pl.concat_str(pl.lit(f"{folder.name}/"), "file"))
        for folder, files in ((drafts, own), (history, past))
        for loaded in files.values()
    ]
    return Gathered(
        inputs,
        pl.concat([pl.DataFrame(schema=QUARANTINE), *broken]),
        _unread(own),
        _left_out(own, past),
    )


def with_unread(scored: Scored, unread: pl.DataFrame, policy: Policy) -> Scored:
    """Give a draft whose own rows were broken an answer too: at least a review, with the reason."""
    if unread.is_empty():
        return scored
    findings = FINDINGS.conform(unread.drop("currency"))
    known = scored.decisions.select("invoice_id")
    lost = unread.join(known, on="invoice_id", how="anti").unique("invoice_id", keep="first")
    plain = lost.select(
        "invoice_id",
        "currency",
        action=pl.lit("review"),
        proposed_action=pl.lit("review"),
        p_error_basis=pl.lit("prior"),
        direction=pl.lit("unclear"),
        expected_loss_minor=pl.lit(0, dtype=pl.Int64),
        confidence=pl.lit("cold"),
        reasons=pl.lit("[]"),
        model_versions=pl.lit("{}"),
        policy_hash=pl.lit(policy.digest),
    ).join(predict_prior(lost), on="invoice_id")
    decisions = pl.concat([scored.decisions, DECISIONS.conform(plain)])
    return replace(
        scored,
        decisions=escalate(decisions, findings, action="review"),
        findings=pl.concat([scored.findings, findings]),
    )


def summary(result: GateResult, aside: Path | None) -> list[str]:
    """What the terminal says at the end: actions, money, broken rows, what was left out."""
    decisions = result.scored.decisions
    counts = dict(decisions["action"].value_counts().iter_rows())
    shown = ", ".join(f"{name} {counts.get(name, 0):,}" for name in ("release", "review", "hold"))
    lines = [f"{decisions.height:,} drafts: {shown}"]
    passed = decisions.filter(pl.col("proposed_action") != pl.col("action"))
    if not passed.is_empty():
        counted = passed["proposed_action"].value_counts().sort("proposed_action").iter_rows()
        would = ", ".join(f"{name} {count:,} more" for name, count in counted)
        lines.append(f"not binding: the policy would {would}")
    lines += [f"left out: {note}" for note in result.notes]
    if aside is not None:
        worst = result.broken.group_by("file", "rule", "column_name").len().sort("file", "rule")
        lines += [
            f"broken rows: {count:,} in {file}: {rule} ({column})"
            for file, rule, column, count in worst.iter_rows()
        ]
        for row in result.broken.head(SHOWN_ROWS).iter_rows(named=True):
            lines.append(
                f"  {row['file']} line {row['line']}: {row['rule']} {row['column_name']} "
                f"= {row['value']!r}"
            )
        lines.append(f"broken rows are in {aside}")
    return lines


def _first_of(broken: pl.DataFrame) -> str:
    """The first broken value of a file, in words."""
    if broken.is_empty():
        return ""
    row = broken.row(0, named=True)
    return (
        f": {row['file']} line {row['line']}, {row['column_name']} {row['value']!r}: {row['rule']}"
    )


def write_broken(broken: pl.DataFrame, out: Path) -> Path | None:
    """Write the broken rows next to the result; None where there are none."""
    if broken.is_empty():
        return None
    path = out.with_name(f"{out.stem}.quarantine.csv")
    write(broken, path)
    return path


def write_report(result: GateResult, path: Path) -> None:
    """Write the HTML report."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(report_html(result), encoding="utf-8")


def load_models(folder: Path) -> Models:
    """Read models that were fitted before; digests are checked.

    Raises
    ------
    ModelError
        A file is missing or altered.
    """
    from prebill.bundles import load_folder

    return load_folder(folder)


def write(frame: pl.DataFrame, path: Path) -> None:
    """Write Parquet, or CSV where the name says so.

    Raises
    ------
    OSError
        It can't be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        if path.suffix == ".csv":
            frame.write_csv(path)
        else:
            frame.write_parquet(path)
    except pl.exceptions.PolarsError as error:  # how polars tells a full disk
        raise OSError(f"{path}: {str(error).splitlines()[0]}") from error


def _unread(own: dict[str, Loaded]) -> pl.DataFrame:
    """Findings on drafts whose row, or one of whose lines, could not be read."""
    parts = []
    for name, what in (("invoices", "the draft"), ("invoice_lines", "a line of the draft")):
        broken = own[name].broken.filter(~pl.col("is_used"), pl.col("rule") != "duplicate_key")
        parts.append(
            broken.select(
                invoice_id=pl.col("key")
                if name == "invoices"
                else pl.col("key").str.replace(rf"{KEY_SEPARATOR}[^/]*$", ""),
                detector=pl.lit("reader"),
                code=pl.lit("row_broken"),
                basis=pl.lit("could_not_judge"),
                text=pl.concat_str(
                    pl.lit(f"{what} can't be read: "),
                    "file",
                    pl.lit(" line "),
                    "line",
                    pl.lit(", "),
                    "rule",
                    pl.lit(" "),
                    "column_name",
                    pl.lit(" = "),
                    pl.col("value").fill_null("nothing"),
                ),
                line_ids=pl.lit(""),
                evidence=pl.concat_str(pl.lit("line "), "line"),
                currency=pl.lit(NO_CURRENCY),
            )
        )
    return pl.concat(parts).filter(pl.col("invoice_id").is_not_null())


def _left_out(own: dict[str, Loaded], past: dict[str, Loaded]) -> list[str]:
    """What is missing and which judgement it costs."""
    notes = [note for files in (own, past) for loaded in files.values() for note in loaded.notes]
    notes = [note for note in notes if not note.startswith("no ")]
    costs = {
        "invoices": "no history: drafts are compared with each other only",
        "invoice_lines": "no lines: rates, discounts, line mix and repeated quantities not judged",
        "payments": "no payments: payment figures are a stated prior",
        "credit_notes": "no credit notes: past corrections are unknown",
        "usage_events": "no usage events: missing, repeated and stuck usage not judged",
        "contract_terms": "no contract terms: agreed changes look like any other",
        "customers": "no customers: a new customer's tax is not compared with its country's",
    }
    for name, cost in costs.items():
        files = (past,) if name == "invoices" else (own, past)
        if all(folder[name].frame.is_empty() for folder in files):
            notes.append(cost)
    return notes


#: What contracts say; in the order of :func:`terms_of`.
_TERMS: Final = (SUBSCRIPTIONS, SUBSCRIPTION_PHASES, CONTRACT_TERMS)
_BOTH: Final = (
    *(CUSTOMERS, INVOICES, INVOICE_LINES, PAYMENTS, CREDIT_NOTES, DISPUTES, USAGE_EVENTS),
    *_TERMS,
)
