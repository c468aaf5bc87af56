"""Draft and judge one draft again with a correction, beside customers it is compared with.

The portfolio's move is part of the score: some hundred customers of the same shard are judged
with it, but only the corrected draft is stored.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import polars as pl

from prebill.bootstrap import Installation, Judges
from prebill.core.errors import ConflictError, InputError
from prebill.store.agreements import reference_hash, shared_frames
from prebill.store.codec import canonical_json
from prebill.store.engine import Row, Tx
from prebill.store.runs import Run, load_run, members_of
from prebill.workflows.bill import issuing_of
from prebill.workflows.correction_kinds import (
    Correction,
    OneOffLine,
    PhaseAmendment,
    TaxStatus,
    UsageQuantity,
    amended,
    as_json,
    changes_of,
)
from prebill.workflows.corrections import corrections_of
from prebill.workflows.finalize import Issuing
from prebill.workflows.gather import gather, read_facts
from prebill.workflows.rows import ShardRows, Stamp, rows_of
from prebill.workflows.shard import ShardInputs, judge

#: Customers judged beside the corrected one, for the portfolio's move.
COMPANY: Final = 300


@dataclass(frozen=True, slots=True)
class Recomputed:
    """The new version, ready to be stored."""

    rows: ShardRows
    issuing: Issuing
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Gathered:
    """Everything that a draft is judged on again, before any correction."""

    draft: Row
    run: Run
    inputs: ShardInputs
    judges: Judges
    #: Corrections of this draft that were entered before.
    entered: list[tuple[str, str]]
    at: datetime


def recompute(
    opened: Installation, draft: Row, correction: Correction, *, now_at: datetime, actor: str
) -> Recomputed:
    """Gather, apply the correction to what was gathered, bill and judge.

    Raises
    ------
    InputError
        The correction names something that the draft doesn't have, or changes nothing.
    """
    gathered = gather_again(opened, draft, now_at=now_at)
    rows = judge_again(gathered, [correction], actor=actor)
    issuing = issuing_of(opened, gathered.inputs.billing.entities, gathered.at, actor)
    return Recomputed(rows, issuing, gathered.at)


def gather_again(opened: Installation, draft: Row, *, now_at: datetime) -> Gathered:
    """Gather what is known of a draft today, beside customers that it is compared with."""
    judges = opened.load_judges()
    with opened.store.read() as tx:
        run = load_run(tx, draft["run_id"])
        # Today's knowledge, but the usage that the run was frozen to.
        at = max(now_at, run.as_of_at)
        run = replace(run, as_of_at=at, reference_hash=reference_hash(shared_frames(tx)))
        members = _company_of(tx, run, draft["customer_id"])
        customers = pl.DataFrame({"customer_id": members})
        facts = read_facts(opened, run, customers)
        inputs = gather(tx, run, members, facts, norms=None)
        entered = _entered(tx, draft)
    return Gathered(draft, run, inputs, judges, entered, at)


def judge_again(gathered: Gathered, corrections: Sequence[Correction], *, actor: str) -> ShardRows:
    """Bill and judge the draft as if some corrections were stored; nothing is.

    Raises
    ------
    InputError
        A correction names something that the draft doesn't have, or they change nothing.
    """
    draft, inputs, entered = gathered.draft, gathered.inputs, list(gathered.entered)
    for correction in corrections:
        inputs = _corrected(inputs, draft, correction, entered)
    result = judge(inputs, gathered.judges)
    stamp = Stamp(gathered.run.run_id, gathered.run.period, actor, gathered.at)
    target = pl.DataFrame({"draft_id": [draft["draft_id"]]})
    rows = rows_of(result, gathered.judges.policy, stamp).only(target)
    if rows.drafts.is_empty():
        raise InputError("with this correction the draft would vanish: reject it instead")
    if rows.drafts["version"][0] == draft["version"]:
        raise InputError("this correction changes nothing on the draft")
    return rows


def store_source_change(tx: Tx, draft: Row, correction: Correction, recorded_at: datetime) -> None:
    """Write the change where the next run finds it. Quantity and one-off line are verdicts."""
    if isinstance(correction, PhaseAmendment):
        row = _latest_phase(tx, draft["subscription_id"], correction.phase_id)
        stamp = {"recorded_at": recorded_at, "import_id": None}
        rows = [{**one, **stamp} for one in amended(row, correction)]
        tx.insert_rows("subscription_phases", rows)
    if isinstance(correction, TaxStatus):
        tx.update("customers", changes_of(correction), where={"customer_id": draft["customer_id"]})


def _company_of(tx: Tx, run: Run, customer_id: str) -> list[str]:
    """The customer and evenly chosen others of its shard, sorted."""
    for members in members_of(tx, run.run_id):
        if customer_id in members:
            step = max(1, len(members) // COMPANY)
            return sorted({customer_id, *members[::step]})
    raise ConflictError(f"customer {customer_id} is not part of run {run.run_id}")


def _entered(tx: Tx, draft: Row) -> list[tuple[str, str]]:
    rows = tx.rows(
        "SELECT draft_id, correction_json FROM verdicts WHERE verdict = 'correct' "
        "AND draft_id = :draft_id ORDER BY entered_at, verdict_id",
        {"draft_id": draft["draft_id"]},
    )
    return [(row["draft_id"], row["correction_json"]) for row in rows]


def _corrected(
    inputs: ShardInputs, draft: Row, correction: Correction, entered: list[tuple[str, str]]
) -> ShardInputs:
    """The inputs as they are once the correction is stored; ``entered`` gets it added."""
    match correction:
        case PhaseAmendment():
            phases = _amended(inputs.billing.phases, draft["subscription_id"], correction)
            return replace(inputs, billing=replace(inputs.billing, phases=phases))
        case TaxStatus():
            key = {"customer_id": draft["customer_id"]}
            customers = _changed(inputs.billing.customers, key, changes_of(correction))
            return replace(inputs, billing=replace(inputs.billing, customers=customers))
        case UsageQuantity() | OneOffLine():
            if isinstance(correction, UsageQuantity):
                _require_metered(draft, correction)
            entered.append((draft["draft_id"], canonical_json(as_json(correction))))
            return replace(inputs, corrections=corrections_of(entered))


def _amended(
    phases: pl.DataFrame, subscription_id: str, correction: PhaseAmendment
) -> pl.DataFrame:
    """The phases with the newest version of one amended."""
    is_own = pl.col("subscription_id") == subscription_id
    is_phase = is_own & (pl.col("phase_id") == correction.phase_id)
    known = phases.filter(is_phase).sort("recorded_at")
    if known.is_empty():
        message = (
            f"there is nothing to correct with subscription_id {subscription_id}, "
            f"phase_id {correction.phase_id}"
        )
        raise InputError(message)
    rows = amended(known.row(-1, named=True), correction)
    new = pl.DataFrame(rows, schema=phases.schema, orient="row")
    return pl.concat([phases.filter(~is_phase), new])


def _require_metered(draft: Row, correction: UsageQuantity) -> None:
    if f'"charge_id":"{correction.charge_id}"' not in draft["lines_json"]:
        message = f"the draft has no line of the charge {correction.charge_id!r}"
        raise InputError(message, charge_id=correction.charge_id)


def _changed(frame: pl.DataFrame, key: dict[str, str], changes: dict[str, Any]) -> pl.DataFrame:
    """Set columns of the one row with this key."""
    is_row = pl.all_horizontal(*(pl.col(name) == value for name, value in key.items()))
    if frame.filter(is_row).is_empty():
        named = ", ".join(f"{name} {value}" for name, value in key.items())
        raise InputError(f"there is nothing to correct with {named}")
    return frame.with_columns(
        pl.when(is_row)
        .then(pl.lit(value).cast(frame.schema[name]))
        .otherwise(pl.col(name))
        .alias(name)
        for name, value in changes.items()
    )


def _latest_phase(tx: Tx, subscription_id: str, phase_id: str) -> Row:
    row = tx.first(
        "SELECT * FROM subscription_phases WHERE subscription_id = :subscription_id "
        "AND phase_id = :phase_id ORDER BY recorded_at DESC LIMIT 1",
        {"subscription_id": subscription_id, "phase_id": phase_id},
    )
    if row is None:
        raise InputError(f"subscription {subscription_id} has no phase {phase_id!r}")
    return row
