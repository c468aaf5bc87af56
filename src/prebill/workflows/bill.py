"""The billing run: plan, then shards; each shard gathers, computes (pure) and applies.

Steps: ``compute`` judges a shard and writes its lake batches under business ids; each chunk of at
most 500 drafts is one SQL transaction with its step record; the last step closes the shard. After
a crash the recorded steps are not repeated; a shard that was lost from memory is computed again
from the same frozen inputs and compared with the digest of the first time.
"""

import hashlib
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Final

import polars as pl
from dbos import DBOS, SetWorkflowID

from prebill import audit
from prebill.bootstrap import Installation, Judges
from prebill.core.calendar import date_in_zone
from prebill.core.errors import ConflictError, NotFoundError
from prebill.core.policy.given import stamped
from prebill.core.scoring.frames import ScoringInputs
from prebill.core.scoring.norms import Norms
from prebill.core.scoring.scorer import learn
from prebill.lake import LakeBatch
from prebill.store.cases import open_gap_cases
from prebill.store.drafts import live_drafts_of, one_changed
from prebill.store.engine import Tx
from prebill.store.lake_index import record_batch
from prebill.store.runs import Run, load_run, members_of, require_run, run_ended, shard_ended
from prebill.workflows import runtime
from prebill.workflows.apply import apply_rows, lapse_absent, lapse_filled_gaps
from prebill.workflows.finalize import FILES, WEBHOOK, Issuing
from prebill.workflows.gather import company_facts, gather, read_facts
from prebill.workflows.memory import Common, Held, Stopwatch, memory
from prebill.workflows.policy_upkeep import break_if_needed
from prebill.workflows.rows import Stamp, rows_of
from prebill.workflows.shadow import write_shadow
from prebill.workflows.shard import ShardResult, judge

if TYPE_CHECKING:
    from prebill.core.policy.model import Policy

LAKE_TABLES: Final = ("draft_lines", "feature_rows", "decisions")


@DBOS.workflow(name="billing_run")
@runtime.interruptible()
def billing_run(run_id: str) -> str:
    """Bill every shard of a frozen run and close it; return how it ended."""
    shards = runtime.in_step_transaction(_count_shards, run_id)
    handles = []
    for shard in range(shards):
        with SetWorkflowID(f"{DBOS.workflow_id}#{shard}"):
            handles.append(DBOS.enqueue_workflow(runtime.SHARDS, billing_shard, run_id, shard))
    failures = []
    for shard, handle in enumerate(handles):
        try:
            handle.get_result()
        except Exception as error:  # the edge of a step: recorded with the run
            failures.append(f"shard {shard}: {error}")
    status = runtime.in_step_transaction(_close_run, run_id, failures[:5])
    runtime.in_step_transaction(_break, run_id, _policy_of(run_id))
    memory.clear()
    if status == "failed":  # the workflow fails too, so that the run may be tried again
        message = f"{run_id} failed: {'; '.join(failures[:5])}"
        raise ConflictError(message, run_id=run_id)
    return status


@DBOS.workflow(name="billing_shard")
def billing_shard(run_id: str, shard: int) -> None:
    """Bill one shard."""
    with runtime.interruptible():
        _bill_shard(run_id, shard)


def _bill_shard(run_id: str, shard: int) -> None:
    computed = DBOS.run_step({"name": "compute"}, _compute, run_id, shard)
    held = _held_as_computed(run_id, shard, computed["digest"])
    watch = Stopwatch(held.seconds)
    for number in range(computed["chunks"]):
        counts = runtime.in_step_transaction(
            _apply_chunk, held, run_id, shard, number=number, batches=computed["batches"]
        )
        _add(held.counts, counts)
    watch.lap("store")
    runtime.in_step_transaction(_close_shard, held, run_id, shard)
    memory.release(run_id, shard)


def _held_as_computed(run_id: str, shard: int, digest: str) -> Held:
    """The shard from memory; after a crash it is computed again and must be the same."""
    held = memory.held(run_id, shard)
    if held is None:
        held, _ = _prepare(runtime.installation(), run_id, shard)
    if held.digest != digest:
        message = (
            f"shard {shard} of {run_id} came out differently after a restart: "
            "its inputs were changed meanwhile; run the period again"
        )
        raise ConflictError(message, run_id=run_id, shard=shard)
    return held


def _add(total: dict[str, int], more: dict[str, int]) -> None:
    for name, value in more.items():
        total[name] = total.get(name, 0) + value


# ── Compute: gather, judge, write the lake ───────────────────────────────────────────────────


@runtime.interruptible()
def _compute(run_id: str, shard: int) -> dict[str, Any]:
    opened = runtime.installation()
    held, result = _prepare(opened, run_id, shard)
    watch = Stopwatch(held.seconds)
    batches = _write_lake(opened, run_id, shard, result)
    if result.shadow is not None:
        batches += write_shadow(opened, run_id, shard, drafts=result.drafts, shadow=result.shadow)
    watch.lap("lake")
    memory.hold(run_id, shard, held)
    return {
        "chunks": len(held.chunks),
        "digest": held.digest,
        "batches": [
            [one.table, one.batch_id, one.rows, one.checksum, one.version] for one in batches
        ],
    }


def _prepare(opened: Installation, run_id: str, shard: int) -> tuple[Held, ShardResult]:
    run = require_run(opened.store, run_id)
    seconds: dict[str, float] = {}
    watch = Stopwatch(seconds)
    common = memory.common(run_id, lambda: _common(opened, run, watch))
    members = common.members[shard]
    facts = common.facts[shard] or read_facts(
        opened, run, pl.DataFrame({"customer_id": members}, schema={"customer_id": pl.String()})
    )
    with opened.store.read() as tx:
        inputs = gather(tx, run, members, facts, common.norms)
    inputs = replace(inputs, challenger_norms=common.challenger_norms)
    watch.lap("gather")
    result = judge(inputs, common.judges, watch.lap)
    policy = common.judges.policy
    stamp = Stamp(run_id, run.period, run.entered_by, datetime.now(UTC))
    rows = rows_of(result, policy, stamp)
    watch.lap("rows")
    counts = {
        **result.counts,
        "customers": len(members),
        "drafts": result.drafts.height,
        "lines": result.lines.height,
        "skips": result.skips.height,
    }
    issuing = issuing_of(opened, inputs.billing.entities, run.as_of_at, run.entered_by)
    held = Held(rows, rows.chunks(), result.skips, issuing, _digest(result), seconds, counts)
    return held, result


def computed_again(opened: Installation, run_id: str, customer_id: str) -> ShardResult:
    """Compute the shard of a customer from what the run was frozen to; nothing is written.

    Raises
    ------
    ConflictError
        Policy, models or reference data are no longer those of the run.
    NotFoundError
        The run did not bill the customer.
    """
    with opened.store.read() as tx:
        members = members_of(tx, run_id)
    shard = next((n for n, own in enumerate(members) if customer_id in own), None)
    if shard is None:
        message = f"{run_id} has no customer {customer_id}"
        raise NotFoundError(message, run_id=run_id, customer_id=customer_id)
    try:
        return _prepare(opened, run_id, shard)[1]
    finally:
        memory.clear()


def _common(opened: Installation, run: Run, watch: Stopwatch) -> Common:
    """What all shards of the run share: policy, models and norms as at the start, facts dealt out.

    Norms that can't be learnt are a judge that failed: every draft then needs a person.
    """
    judges = opened.load_judges()
    with opened.store.read() as tx:
        members = members_of(tx, run.run_id)
    policy = opened.policy_of(run.policy_hash)
    if policy is None or judges.models.versions != run.model_versions:
        message = f"policy or models changed since {run.run_id} started: run the period again"
        raise ConflictError(message, run_id=run.run_id)
    judges = replace(judges, policy=policy)
    facts = company_facts(opened, run, members)
    watch.lap("gather")
    norms = None
    try:
        norms = learn(facts.past, judges.models.forest)
    except Exception as error:  # fail closed, as where a shard is judged
        judges = replace(judges, failure=f"what is ordinary can't be learnt: {error!r}")
    challenger_norms = _challenger_norms(judges, facts.past, norms)
    watch.lap("learn")
    return Common(judges, norms, challenger_norms, members, list(facts.by_shard))


def _challenger_norms(judges: Judges, past: ScoringInputs, norms: Norms | None) -> Norms | None:
    """What is ordinary as the challenger's forest sees it; the champion's own where it has it."""
    challenger = judges.challenger
    if challenger is None or norms is None:
        return None
    if not judges.has_other_forest:
        return norms
    try:
        return learn(past, challenger.forest)
    except Exception:  # a challenger costs a run nothing but its shadow scores
        return None


def issuing_of(opened: Installation, entities: pl.DataFrame, at: datetime, actor: str) -> Issuing:
    """Dates, series and channels with which the entities issue at an instant."""
    rows = list(entities.select("entity_id", "time_zone", "series").iter_rows())
    dates: dict[str, date] = {entity: date_in_zone(at, zone) for entity, zone, _ in rows}
    channels = (FILES, WEBHOOK) if opened.settings.webhook_url else (FILES,)
    return Issuing(dates, {entity: series for entity, _, series in rows}, channels, actor)


def _digest(result: ShardResult) -> str:
    """Tells whether a repeated computation gave the same drafts and actions."""
    drafts = result.drafts.select("draft_id", "version")
    actions = result.decisions.select("invoice_id", "action")
    text = drafts.write_csv() + actions.write_csv()
    return hashlib.sha256(text.encode()).hexdigest()


def _write_lake(
    opened: Installation, run_id: str, shard: int, result: ShardResult
) -> list[LakeBatch]:
    given = stamped(result.given, run_id, datetime.now(UTC))
    decisions = result.decisions.join(given, on="invoice_id", how="left", maintain_order="left")
    frames = (result.lines, result.feature_rows, decisions)
    return [
        opened.lake.append(table, frame, f"{run_id}#{shard}")
        for table, frame in zip(LAKE_TABLES, frames, strict=True)
        if not frame.is_empty()
    ]


# ── Apply: one transaction each, together with the record of its step ────────────────────────


def _count_shards(tx: Tx, run_id: str) -> int:
    return load_run(tx, run_id).shards


def _apply_chunk(
    tx: Tx, held: Held, run_id: str, shard: int, *, number: int, batches: list[list[Any]]
) -> dict[str, int]:
    run = load_run(tx, run_id)
    counts: dict[str, int] = {}
    if number == 0:
        for batch in batches:
            record_batch(tx, LakeBatch(*batch))
        _save_skips(tx, run_id, held.skips)
        counts["lapsed"] = _lapse(tx, run, shard, held)
    applied = apply_rows(tx, held.chunks[number], run_id, held.issuing)
    return {**counts, **applied.counts}


def _save_skips(tx: Tx, run_id: str, skips: pl.DataFrame) -> None:
    rows = skips.select(pl.lit(run_id).alias("run_id"), pl.all())
    tx.insert_frame("skips", rows, on_conflict="ignore")


def _lapse(tx: Tx, run: Run, shard: int, held: Held) -> int:
    """End drafts and gaps of the shard's customers that this run no longer gives."""
    members = members_of(tx, run.run_id)[shard]
    if not members:
        return 0
    live = live_drafts_of(tx, run.period, members[0], members[-1])
    live = live.filter(pl.col("customer_id").is_in(members))
    if run.entity_id is None:  # one entity's run doesn't see what the others draft
        gaps = open_gap_cases(tx, run.period, members[0], members[-1])
        lapse_filled_gaps(tx, gaps, held.rows.gap_cases, run.entered_by)
    else:
        live = live.filter(pl.col("entity_id") == run.entity_id)
    produced = held.rows.drafts["draft_id"].to_list()
    return lapse_absent(tx, live, produced, run.run_id, run.entered_by)


def _close_shard(tx: Tx, held: Held, run_id: str, shard: int) -> None:
    shard_ended(tx, run_id, shard, counts=held.counts, seconds=held.seconds)


def _policy_of(run_id: str) -> "Policy | None":
    """The policy that the run started with, whatever is in force now."""
    opened = runtime.installation()
    return opened.policy_of(require_run(opened.store, run_id).policy_hash)


def _break(tx: Tx, run_id: str, policy: "Policy | None") -> None:
    """Open an incident where a run stopped too much, by the policy that decided."""
    if policy is not None:
        break_if_needed(tx, run_id, policy, load_run(tx, run_id).entered_by)


def _close_run(tx: Tx, run_id: str, failures: list[str]) -> str:
    run = load_run(tx, run_id)
    error = "; ".join(failures) or None
    run_ended(tx, run_id, error=error)
    status = "failed" if error else "finished"
    one_changed(tx, "run", run_id, change=("running", status), entered_by=run.entered_by)
    audit.record(tx, run.entered_by, f"run.{status}", run_id, {"error": error})
    return status
