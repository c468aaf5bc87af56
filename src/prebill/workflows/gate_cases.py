"""What becomes of another engine's draft once it is scored: decision, case, word to the engine.

Everything of a request happens in the caller's one transaction. A draft that the engine changed is
a new version: the case on the old one lapses with it. The engine issues; no number is given here.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import polars as pl

from prebill import audit
from prebill.core.errors import ConflictError
from prebill.core.schemas.internal import FINDINGS
from prebill.core.scoring.labels import SAMPLE
from prebill.core.triage.causes import causes
from prebill.settings import Settings
from prebill.store import engine_drafts as drafts
from prebill.store.cases import lapse_cases, open_cases
from prebill.store.codec import canonical_json, instant_text, to_sql
from prebill.store.engine import Row, Tx
from prebill.store.grouping import save_causes
from prebill.store.hook_rows import keep
from prebill.workflows.finalize import FILES, WEBHOOK

if TYPE_CHECKING:
    from prebill.core.policy.model import Policy

#: Stands for whoever calls the hook and reads the decision in its answer.
HOOK: Final = "hook"
#: Channel of a billing engine's connector: followed by the engine's name.
ENGINE: Final = "engine:"
STATES: Final = {"release": "released", "review": "in_review", "hold": "held"}


#: Type, id, state before (None: it is new), state after.
_Change = tuple[str, str, str | None, str]


@dataclass(frozen=True, slots=True)
class Origin:
    """Which engine drafted, and how it learns what was decided."""

    system: str
    channels: tuple[str, ...]
    #: Whether the decision itself is delivered too; else only what a person answers later.
    tells_decisions: bool = False
    #: Draft → digest of its content as the connector read it; it finds a change by it.
    digests: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ScoredDrafts:
    """Rows of the decision log with the invoices and lines that were judged.

    ``features`` (``invoice_id, draft_version`` and the feature row), ``shadow`` (``SHADOW_SCORES``)
    and ``given`` (the decisions with what the policy was given, instants as text) wait in the
    database until they are moved to the lake.
    """

    decisions: list[Row]
    invoices: pl.DataFrame
    lines: pl.DataFrame
    features: Sequence[Row] = ()
    shadow: Sequence[Row] = ()
    given: Sequence[Row] = ()


def channels_of(settings: Settings, system: str) -> tuple[str, ...]:
    """Where decisions on this engine's drafts go."""
    if system != HOOK:
        return (f"{ENGINE}{system}",)
    return (FILES, WEBHOOK) if settings.webhook_url else (FILES,)


def store_scored(
    tx: Tx, scored: ScoredDrafts, origin: Origin, policy: "Policy", actor: str
) -> dict[str, Row]:
    """Store decisions, open cases, queue what the engine must hear.

    Returns
    -------
    dict
        By draft: the decision's row with ``state`` and ``case_id`` (None: no case).

    Raises
    ------
    ConflictError
        A draft of that id came from another engine.
    """
    versions = {row["draft_id"]: row["draft_version"] for row in scored.decisions}
    drafts.lock_drafts(tx, versions)
    stored = _stored(tx, list(versions), origin.system)
    present = {name for name, one in stored.items() if one.live == versions[name]}
    changed = [row for row in scored.decisions if row["draft_id"] not in present]
    if changed:
        _supersede(tx, [r["draft_id"] for r in changed if r["draft_id"] in stored], actor)
        chanced = _with_chances(changed, policy)
        placed = [_placed(row, stored, policy) for row in chanced]
        _store(tx, _with_deadlines(placed, policy), scored, origin, actor)
    return drafts.decided_now(tx, versions, origin.system)


@dataclass(slots=True)
class _Stored:
    """What is known of one draft: its live version, its versions, how often it changed."""

    live: str = ""
    versions: set[str] = field(default_factory=set)
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class _Placed:
    """A decision with the place it gets: sequence of the version, and its case if there is one."""

    decision: Row
    sequence: int
    case: Row | None

    @property
    def state(self) -> str:
        return STATES[self.decision["action"]]


def _stored(tx: Tx, draft_ids: list[str], system: str) -> dict[str, _Stored]:
    found: dict[str, _Stored] = {}
    for row in drafts.known_versions(tx, draft_ids):
        if row["system"] != system:
            message = f"invoice {row['draft_id']} came from {row['system']}: {system} can't send it"
            raise ConflictError(message, invoice_id=row["draft_id"])
        one = found.setdefault(row["draft_id"], _Stored())
        one.versions.add(row["version"])
        one.sequence = max(one.sequence, row["sequence"])
        if row["state"] != "superseded":
            one.live = row["version"]
    return found


def _supersede(tx: Tx, draft_ids: list[str], actor: str) -> None:
    """End the versions that counted, with their open cases and what was not delivered."""
    if draft_ids:
        drafts.set_engine_state(tx, draft_ids, "superseded")
        _lapse(tx, draft_ids, actor, "the engine changed the draft")


def _lapse(tx: Tx, draft_ids: list[str], actor: str, why: str) -> None:
    cases = open_cases(tx, draft_ids)["case_id"].to_list()
    drafts.lapse_deliveries(tx, draft_ids)
    if not cases:
        return
    lapse_cases(tx, cases, actor)
    _note_changes(tx, [("case", case_id, "open", "lapsed") for case_id in cases], actor)
    for case_id in cases:
        audit.record(tx, actor, "case.lapsed", case_id, {"kind": "gate", "why": why})


def _placed(decision: Row, stored: Mapping[str, _Stored], policy: "Policy") -> _Placed:
    before = stored.get(decision["draft_id"], _Stored())
    sequence = before.sequence + 1
    is_released = decision["action"] == "release"
    if is_released and not policy.sampling.is_drawn(decision, policy.digest):
        return _Placed(decision, sequence, None)
    prefix = SAMPLE if is_released else "case"
    case_id = f"{prefix}:{decision['draft_id']}:{decision['draft_version'][:12]}"
    if decision["draft_version"] in before.versions:  # it came back: its first case is closed
        case_id = f"{case_id}:{sequence}"
    return _Placed(decision, sequence, _case_row(case_id, decision, policy))


def _case_row(case_id: str, decision: Row, policy: "Policy") -> Row:
    codes = [one["code"] for one in json.loads(decision["reasons"] or "[]")]
    is_sampled = decision["action"] == "release"
    kept = ("draft_id", "draft_version", "action", "currency")
    return {
        **{name: decision[name] for name in kept},
        "case_id": case_id,
        "kind": SAMPLE if is_sampled else "gate",
        "status": "open",
        "queue": SAMPLE if is_sampled else policy.queue_of(codes, decision["policy_class"]),
        "expected_loss_minor": 0 if is_sampled else decision["expected_loss_minor"],
        "priority": 0.0 if is_sampled else decision["priority"] or 0.0,
        "lock_version": 1,
        "opened_at": datetime.now(UTC),
    }


def _with_deadlines(placed: list[_Placed], policy: "Policy") -> list[_Placed]:
    """The same with the deadlines of their cases, by the class of the decision."""
    rows = [
        {
            "action": one.case["action"],
            "policy_class": one.decision["policy_class"],
            "opened_at": one.case["opened_at"],
        }
        for one in placed
        if one.case
    ]
    if not rows:
        return placed
    due = iter(policy.due_at(pl.DataFrame(rows, schema_overrides={"policy_class": pl.String})))
    return [
        replace(one, case={**one.case, "due_at": next(due)}) if one.case else one for one in placed
    ]


def _with_chances(decisions: list[Row], policy: "Policy") -> list[Row]:
    """The decisions with the chance that a released draft is looked at all the same."""
    score = pl.Series([row["anomaly_score"] for row in decisions], dtype=pl.Float64)
    chances = pl.select(policy.sampling.propensity(pl.lit(score))).to_series()
    return [
        {**row, "sample_propensity": chance if row["action"] == "release" else None}
        for row, chance in zip(decisions, chances, strict=True)
    ]


def _store(tx: Tx, placed: list[_Placed], scored: ScoredDrafts, origin: Origin, actor: str) -> None:
    tx.insert_rows("decisions", [one.decision for one in placed], on_conflict="replace")
    rows = _draft_rows(placed, scored, origin, actor)
    tx.insert_rows("engine_drafts", rows, on_conflict="replace")
    tx.insert_rows("cases", [one.case for one in placed if one.case])
    _save_causes(tx, placed, scored)
    changes: list[_Change] = [
        ("draft", one.decision["draft_id"], None, one.state) for one in placed
    ]
    changes += [("case", one.case["case_id"], None, "open") for one in placed if one.case]
    _note_changes(tx, changes, actor)
    ids = {one.decision["draft_id"] for one in placed}
    keep(tx, "feature_rows", [row for row in scored.features if row["invoice_id"] in ids])
    keep(tx, "decisions", [row for row in scored.given if row["invoice_id"] in ids])
    keep(tx, "shadow_scores", [row for row in scored.shadow if row["draft_id"] in ids])
    for one in placed:  # a request is small
        row = one.decision
        detail: dict[str, object] = {"version": row["draft_version"], "action": row["action"]}
        detail |= {"system": origin.system} | ({"case_id": one.case["case_id"]} if one.case else {})
        audit.record(tx, actor, "invoice.scored", row["draft_id"], detail)
    if origin.tells_decisions:
        told = [_told(one, draft) for one, draft in zip(placed, rows, strict=True)]
        drafts.enqueue(tx, [row for one in told for row in one.deliveries(origin.channels)])


def _save_causes(tx: Tx, placed: list[_Placed], scored: ScoredDrafts) -> None:
    """Keep what stopped drafts may have in common with others."""
    stopped = [one for one in placed if one.case and one.case["kind"] == "gate"]
    if not stopped:
        return
    said = [
        {**finding, "invoice_id": one.decision["draft_id"]}
        for one in stopped
        for finding in json.loads(one.decision["findings_json"])
    ]
    period = pl.coalesce("period_start_on", "issued_on").dt.strftime("%Y-%m")
    found = causes(
        pl.DataFrame(said, schema=FINDINGS.schema),
        scored.lines.select("invoice_id", "line_id", "product", "tax_code"),
        scored.invoices.select("invoice_id", "currency", period=period),
    )
    ids = {one.decision["draft_id"]: one.case["case_id"] for one in stopped if one.case}
    named = found.with_columns(case_id=pl.col("invoice_id").replace_strict(ids))
    save_causes(tx, named.select("case_id", "cause"))


def _draft_rows(
    placed: list[_Placed], scored: ScoredDrafts, origin: Origin, actor: str
) -> list[Row]:
    # Row by row: for the one invoice of most requests a frame's expressions cost twice the rest.
    invoices = {row["invoice_id"]: row for row in scored.invoices.iter_rows(named=True)}
    lines: dict[str, list[Row]] = {name: [] for name in invoices}
    for line in scored.lines.iter_rows(named=True):
        texts = {name: to_sql(value) for name, value in line.items()}
        lines[texts.pop("invoice_id")].append({**texts, "name": texts["product"]})
    kept = ("customer_id", "currency", "issued_on", "due_on", "period_start_on", "period_end_on")
    money = ("subtotal_minor", "tax_minor", "total_minor")
    rows = []
    for one in placed:
        name, version = one.decision["draft_id"], one.decision["draft_version"]
        invoice = invoices[name]
        rows.append(
            {
                "draft_id": name,
                "version": version,
                "system": origin.system,
                "sequence": one.sequence,
                "entity_id": invoice["legal_entity"],
                **{column: invoice[column] for column in (*kept, *money)},
                "content_digest": origin.digests.get(name, version),
                "state": one.state,
                "lines_json": canonical_json(lines[name]),
                "entered_at": one.decision["decided_at"],
                "entered_by": actor,
            }
        )
    return rows


# ── Verdicts ─────────────────────────────────────────────────────────────────────────────────


def carry_verdict(
    tx: Tx, settings: Settings, case: Row, *, verdict: str, reason: str, actor: str
) -> str:
    """Give a person's answer to the engine that drafted; return the draft's new state.

    ``verdict`` is release or reject. Nothing is issued, voided or deleted here.

    Raises
    ------
    ConflictError
        The draft changed, or waits no more.
    """
    draft = drafts.waiting_engine_draft(tx, case)
    state = {"release": "released", "reject": "rejected"}[verdict]
    drafts.set_engine_state(tx, [draft["draft_id"]], state)
    _note_changes(tx, [("draft", draft["draft_id"], draft["state"], state)], actor)
    detail: dict[str, object] = {"version": draft["version"], "system": draft["system"]}
    audit.record(tx, actor, f"draft.{state}", draft["draft_id"], detail)
    told = _Told(draft, verdict, "person", reason, case["case_id"])
    drafts.enqueue(tx, told.deliveries(channels_of(settings, draft["system"])))
    return state


def withdraw(tx: Tx, draft_id: str, status: str, actor: str) -> bool:
    """Note that the engine's draft is no draft any more; return whether it still waited here.

    ``status`` is the engine's word: deleted, or issued by somebody in spite of the hold.
    """
    draft = drafts.live_engine_draft(tx, draft_id)
    if draft is None or draft["state"] not in drafts.WAITING:
        return False
    drafts.set_engine_state(tx, [draft_id], "withdrawn")
    _note_changes(tx, [("draft", draft_id, draft["state"], "withdrawn")], actor)
    _lapse(tx, [draft_id], actor, f"the engine says {status}")
    detail: dict[str, object] = {"version": draft["version"], "engine_status": status}
    audit.record(tx, actor, "draft.withdrawn", draft_id, detail)
    return True


# ── What the engine is told ──────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Told:
    """One decision as the engine hears it; the data contract gate_decision."""

    draft: Row
    action: str
    decided_by: str
    reason: str
    case_id: str | None

    def deliveries(self, channels: tuple[str, ...]) -> list[Row]:
        """One delivery a channel; its id says draft, version and action, so that twice is once."""
        draft = self.draft
        data = {
            "system": draft["system"],
            "invoice_id": draft["draft_id"],
            "version": draft["version"],
            "content_digest": draft["content_digest"],
            "action": self.action,
            "decided_by": self.decided_by,
            "reason": self.reason,
            "case_id": self.case_id,
            "currency": draft["currency"],
            "total_minor": draft["total_minor"],
        }
        now = instant_text(datetime.now(UTC))
        payload = canonical_json({"type": "invoice.decided", "timestamp": now, "data": data})
        name = f"gate:{draft['draft_id']}:{draft['sequence']}:{self.action}"
        return [
            {
                "delivery_id": f"{name}:{channel}",
                "draft_id": draft["draft_id"],
                "channel": channel,
                "payload": payload,
            }
            for channel in channels
        ]


def _told(one: _Placed, draft: Row) -> _Told:
    reasons = json.loads(one.decision["reasons"] or "[]")
    reason = str(reasons[0]["text"]) if reasons else ""
    case_id = one.case["case_id"] if one.case and one.case["kind"] != SAMPLE else None
    return _Told(draft, one.decision["action"], "policy", reason, case_id)


def _note_changes(tx: Tx, changes: Sequence[_Change], actor: str) -> None:
    """Record changes of state."""
    now = instant_text(datetime.now(UTC))
    rows = [
        {
            "object_type": kind,
            "object_id": name,
            "from_state": before,
            "to_state": after,
            "entered_at": now,
            "entered_by": actor,
        }
        for kind, name, before, after in changes
    ]
    tx.insert_rows("state_changes", rows)
