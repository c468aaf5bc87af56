"""Read from an installation what drift watches: lake, database, and the champions' own periods."""

from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from prebill.bundles import Bundle, in_use
from prebill.core.errors import InputError
from prebill.core.schemas.internal import DECISIONS
from prebill.core.scoring.labels import is_correction
from prebill.core.scoring.models.error_risk import ErrorRisk
from prebill.core.scoring.models.payment_risk import PaymentRisk
from prebill.settings import Settings
from training import dataset as datasets
from training.drift import watched
from training.drift.judge import Watched
from training.drift.limits import Limits
from training.labelled import read_labelled, with_features

if TYPE_CHECKING:
    from prebill.bootstrap import Installation


@dataclass(frozen=True, slots=True)
class Seen:
    """What can be watched, and in words what can't."""

    watches: list[Watched]
    notes: list[str]


@dataclass(frozen=True, slots=True)
class Judgements:
    """Decisions with ``at_on, customer_id``; their feature rows with ``at_on``."""

    decisions: pl.DataFrame
    feature_rows: pl.DataFrame


def gather(home: Path | None, limits: Limits, *, as_of_on: date) -> Seen:
    """Read everything that was judged before a day and what became of it.

    Parameters
    ----------
    home : Path or None
        The installation; None: ``PREBILL_HOME``.
    limits : Limits
        Names the top features.
    as_of_on : date
        Nothing dated this day or later is watched.
    """
    from prebill.bootstrap import Installation

    settings = Settings.load(home)
    forest = in_use(settings, "forest")
    reference = None if forest is None else test_period(forest)
    opened = Installation.open(settings)
    try:
        runs = judged_by_runs(opened)
        gate = judged_by_gate(opened)
        found = found_errors(opened)
        errors = _error_watches(opened, limits, as_of_on)
    finally:
        opened.close()
    everything = pl.concat([runs.decisions, gate.decisions])
    watches = [
        watched.detection(runs.decisions, runs.feature_rows, limits, reference=reference),
        replace(
            watched.detection(gate.decisions, gate.feature_rows, limits, reference=reference),
            name="gate",
        ),
        watched.corrections(everything, found, as_of_on=as_of_on),
    ]
    kept = [watch for watch in watches if not watch.rows.is_empty()]
    payments = _payment_watches(home, settings, limits, as_of_on)
    notes = [f"{one.name}: nothing was judged yet" for one in watches if one.rows.is_empty()]
    more = [errors, payments]
    return Seen(
        kept + [watch for one in more for watch in one.watches],
        notes + [note for one in more for note in one.notes],
    )


def test_period(champion: Bundle) -> tuple[date, date]:
    """The days [start, end) on which a champion was measured."""
    facts = champion.facts
    return date.fromisoformat(facts["train_before"]), date.fromisoformat(facts["test_end_on"])


def judged_by_runs(opened: "Installation") -> Judgements:
    """Read the decisions and feature rows of every finished run, dated by its instant."""
    from prebill.store.judgements import customers_of_drafts, runs_in_order
    from prebill.store.lake_index import named_batches

    with opened.store.read() as tx:
        runs = list(runs_in_order(tx).iter_rows())
        customers = customers_of_drafts(tx)
        named = {name: named_batches(tx, name) for name in ("decisions", "feature_rows")}
    parts: dict[str, list[pl.DataFrame]] = {name: [] for name in named}
    for run_id, as_of_at in runs:  # the rows of a run carry no date of their own
        for name, batches in named.items():
            own = [batch for batch in batches if batch.startswith(f"{run_id}#")]
            rows = opened.lake.scan(name, own)
            rows = rows.select(DECISIONS.names) if name == "decisions" else rows
            parts[name].append(rows.collect().with_columns(at_on=pl.lit(as_of_at.date())))
    decisions = pl.concat([_no_decisions(), *parts["decisions"]], how="diagonal")
    features = pl.concat(parts["feature_rows"], how="diagonal") if runs else pl.DataFrame()
    return Judgements(_with_customers(decisions, customers), features)


def judged_by_gate(opened: "Installation") -> Judgements:
    """Read the hook's decisions, the last of a day on each draft, and what features are moved."""
    from prebill.store.judgements import GATE_RUN, customers_of_drafts, decisions_of
    from prebill.store.lake_index import named_batches

    with opened.store.read() as tx:
        decisions = decisions_of(tx, GATE_RUN)
        customers = customers_of_drafts(tx)
        batches = named_batches(tx, "feature_rows")
    last = decisions.with_columns(at_on=pl.col("decided_at").dt.date()).unique(
        ["invoice_id", "at_on"], keep="last", maintain_order=True
    )
    own = [batch for batch in batches if batch.startswith(f"{GATE_RUN}#")]
    features = pl.DataFrame()
    if own:
        key = ["invoice_id", "draft_version"]
        stored = opened.lake.scan("feature_rows", own).collect()
        features = stored.join(last.select(*key, "at_on"), on=key).drop("draft_version")
    dated = last.drop("decided_at", "draft_version")
    whole = pl.concat([_no_decisions(), dated], how="diagonal")
    return Judgements(_with_customers(whole, customers), features)


def _with_customers(decisions: pl.DataFrame, customers: pl.DataFrame) -> pl.DataFrame:
    return decisions.drop("customer_id").join(
        customers, on="invoice_id", how="left", maintain_order="left"
    )


def _no_decisions() -> pl.DataFrame:
    return DECISIONS.empty().with_columns(
        at_on=pl.lit(None, pl.Date()), customer_id=pl.lit(None, pl.String())
    )


def found_errors(opened: "Installation") -> pl.DataFrame:
    """Return ``draft_id, found_on`` of verdicts, and of credit notes that are no goodwill."""
    from prebill.store.judgements import drafts_of_documents, verdict_errors
    from prebill.store.lake_index import named_batches

    with opened.store.read() as tx:
        verdicts = verdict_errors(tx)
        documents = drafts_of_documents(tx)
        batches = named_batches(tx, "credit_notes")
    credited = (
        opened.lake.scan("credit_notes", batches)
        .filter(is_correction(pl.col("reason")))
        .select("invoice_id", found_on="issued_on")
        .collect()
    )
    own = documents.join(credited, left_on="document_id", right_on="invoice_id")
    # The hook judges invoices of another engine under that engine's ids.
    others = credited.join(documents, left_on="invoice_id", right_on="document_id", how="anti")
    return pl.concat(
        [
            verdicts.select("draft_id", found_on=pl.col("found_at").dt.date()),
            own.select("draft_id", "found_on"),
            others.select("found_on", draft_id="invoice_id").select("draft_id", "found_on"),
        ]
    )


def _error_watches(opened: "Installation", limits: Limits, as_of_on: date) -> Seen:
    """The re-ranker, where a champion was fitted."""
    from prebill.store.judgements import judged_drafts

    champion = in_use(opened.settings, "error_risk")
    if champion is None:
        return Seen([], ["error_risk: no champion yet: P(error) is the stated prior"])
    labels_on = as_of_on - timedelta(days=1)
    within = timedelta(days=watched.LABELS_SEEN_DAYS)
    with opened.store.read() as tx:
        judged = judged_drafts(tx).filter(pl.col("day_on") < as_of_on)
    found = watched.error_risk(
        with_features(opened, judged).rename({"draft_id": "invoice_id"}),
        read_labelled(opened, labels_on, within=within),
        ErrorRisk.from_bytes(dict(champion.files)),
        limits,
        reference=test_period(champion),
    )
    kept = [watch for watch in found if not watch.rows.is_empty()]
    empty = [watch.name for watch in found if watch.rows.is_empty()]
    return Seen(kept, [f"{name}: nothing since the champion was tested" for name in empty])


def _payment_watches(home: Path | None, settings: Settings, limits: Limits, as_of_on: date) -> Seen:
    """Payment risk, where a champion was fitted and there are invoices."""
    champion = in_use(settings, "payment_risk")
    if champion is None:
        return Seen([], ["payment_risk: no champion yet: `prebill train`"])
    try:
        known = datasets.from_home(home).receivables()
    except InputError as error:
        return Seen([], [f"payment_risk: {error}"])
    model = PaymentRisk.from_bytes(dict(champion.files))
    period = test_period(champion)
    found = watched.payment_risk(known, model, limits, as_of_on=as_of_on, reference=period)
    return Seen(found, [])
