"""Judge invoices of another engine before they are released: gather, score (pure), store.

One prepared profile row a customer stands for the history, one more for what is ordinary in the
company; the features, models and policy are those of every run. Storing is one SQL transaction, see
workflows/gate_cases.py. No DBOS, lake or MLflow here.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from prebill.bootstrap import Installation, Judges
from prebill.core.errors import ConflictError, InputError
from prebill.core.schemas.inbound import INVOICE_LINES, INVOICES
from prebill.core.schemas.internal import DECISIONS
from prebill.store.codec import now_text
from prebill.store.engine import Row, Tx
from prebill.store.engine_drafts import decided_now
from prebill.store.judgements import GATE_RUN
from prebill.store.profiles import (
    CHALLENGER,
    COMPANY,
    FORM,
    MARK,
    books_of,
    customers_named,
    prepared_of,
    read_profiles,
)
from prebill.store.snoozes import snoozed_now
from prebill.store.users import Actor
from prebill.workflows.gate_cases import HOOK, Origin, ScoredDrafts, channels_of, store_scored

if TYPE_CHECKING:
    from prebill.contracts import Catalog
    from prebill.core.policy.model import Policy
    from prebill.core.scoring.company import Company
    from prebill.core.scoring.detectors import Scene
    from prebill.core.scoring.norms import Norms
    from prebill.core.scoring.scorer import Scored
    from prebill.core.scoring.shadow import Answers

MAX_INVOICES: Final = 200
#: A changed model is in use within this time.
JUDGES_SECONDS: Final = 30.0


@dataclass(slots=True)
class Hook:
    """Scores invoices; keeps judges and sample between requests."""

    opened: Installation
    _lock: Lock = field(default_factory=Lock)
    _judges: tuple[float, Judges] | None = None
    _known: "tuple[str, Known] | None" = None

    def score(
        self,
        catalog: "Catalog",
        given: dict[str, list[dict[str, Any]]],
        actor: Actor,
        origin: Origin | None = None,
    ) -> list[dict[str, Any]]:
        """Judge and store; the same content gets the decision that it got before.

        ``origin`` says which engine drafted; without it the caller reads the decision here.

        Raises
        ------
        InputError
            A row breaks its data contract, or there are too many.
        ConflictError
            No profile was prepared yet, or an invoice came from another engine before.
        """
        origin = origin or Origin(HOOK, channels_of(self.opened.settings, HOOK))
        invoices = _checked(catalog, INVOICES.name, given["invoices"])
        lines = _checked(catalog, INVOICE_LINES.name, given["invoice_lines"])
        versions = _versions(invoices, lines)
        with self.opened.store.read() as tx:
            known = decided_now(tx, versions, origin.system)
            if len(known) == len(versions):
                return [_answer(known[name]) for name in versions]
            inputs = self._gather(tx, invoices)
            policy = self.opened.policy_in_force(tx)
        judges = self._present_judges(policy)
        scored, shadow = self._judged(judges, inputs, invoices, lines)
        batch = ScoredDrafts(
            _rows(scored, versions),
            invoices,
            lines,
            features=_feature_rows(scored, versions),
            shadow=_shadow_rows(shadow, invoices, versions),
            given=_given_rows(scored, invoices, versions, judges.policy),
        )
        with self.opened.store.transaction() as tx:
            stored = store_scored(tx, batch, origin, judges.policy, actor.user_id)
        return [_answer(stored[name]) for name in versions]

    def _gather(self, tx: Tx, invoices: pl.DataFrame) -> "Past":
        names = sorted(set(invoices["customer_id"]))
        profiles = read_profiles(tx, [*names, MARK])
        if MARK not in profiles or not profiles[MARK]["payload"].startswith(FORM):
            message = "no profile was prepared yet: import the history, then wait a minute"
            raise ConflictError(message)
        known = self._company(tx, profiles[MARK]["payload"])
        payloads = [profiles[name]["payload"] for name in names if name in profiles]
        snoozed = snoozed_now(tx, names, datetime.now(UTC))
        return Past(payloads, customers_named(tx, names), known, snoozed)

    def _company(self, tx: Tx, mark: str) -> "Known":
        with self._lock:
            if self._known is None or self._known[0] != mark:
                from prebill.core.scoring.company import Company

                rows = read_profiles(tx, [COMPANY, CHALLENGER])
                read = {name: Company.from_json(row["payload"]) for name, row in rows.items()}
                challenged = read[CHALLENGER].norms if CHALLENGER in read else None
                self._known = mark, Known(read[COMPANY], challenged)
            return self._known[1]

    def _judged(
        self, judges: Judges, past: "Past", invoices: pl.DataFrame, lines: pl.DataFrame
    ) -> "tuple[Scored, Answers | None]":
        from prebill.core.scoring.detectors import DRAFT_DETECTORS
        from prebill.core.scoring.frames import Books, ScoringInputs
        from prebill.core.scoring.prepared import scene_prepared
        from prebill.core.scoring.scene import scene_of
        from prebill.core.scoring.scorer import score_scene
        from prebill.workflows.decisions import cannot_judge

        if judges.failure:
            drafts = invoices.select("currency", draft_id="invoice_id")
            why = f"models can't be used: {judges.failure}"
            return cannot_judge(drafts, judges.policy, why), None
        norms, everybody = past.known.company.norms, past.known.company.everybody
        prepared = prepared_of(past.payloads)
        inputs = ScoringInputs(
            history=Books(),
            drafts=Books(invoices, lines),
            customers=past.customers,
            remembered=prepared.remembered,
            owed=prepared.owed,
            snoozes=past.snoozes,
        )
        scene = scene_prepared(inputs, prepared, norms, everybody)
        if scene is None:
            books = books_of(past.payloads)
            history = Books(books["invoices"], books["invoice_lines"])
            scene = scene_of(replace(inputs, history=history), norms, everybody)
        scored = score_scene(scene, judges.models, judges.policy, DRAFT_DETECTORS)
        return scored, _in_shadow(scene, scored, judges, past.known.challenger_norms)

    def _present_judges(self, policy: "Policy") -> Judges:
        """The judges in use: another policy in force is met at once, a model within a while."""
        with self._lock:
            kept = self._judges
            is_old = kept is None or monotonic() - kept[0] > JUDGES_SECONDS
            if kept is None or is_old or kept[1].policy.digest != policy.digest:
                self._judges = kept = (monotonic(), self.opened.load_judges())
            return kept[1]


@dataclass(frozen=True, slots=True)
class Past:
    """What is known of the customers of a request, and of the company."""

    payloads: list[str]
    customers: pl.DataFrame
    known: "Known"
    snoozes: pl.DataFrame


@dataclass(frozen=True, slots=True)
class Known:
    """What is ordinary in the company; ``challenger_norms`` where its forest is another one."""

    company: "Company"
    challenger_norms: "Norms | None"


def _in_shadow(
    scene: "Scene", scored: "Scored", judges: Judges, norms: "Norms | None"
) -> "Answers | None":
    """What the challenger would have said; without its norms nothing, until they are prepared."""
    from prebill.core.scoring.detectors import DRAFT_DETECTORS
    from prebill.workflows.shard import in_shadow

    seen = norms if judges.has_other_forest else scene.norms
    return in_shadow(scene, scored, judges, seen, DRAFT_DETECTORS)


def _checked(catalog: "Catalog", contract: str, rows: Sequence[dict[str, Any]]) -> pl.DataFrame:
    """Check rows by the contract that files are checked by."""
    if len(rows) > MAX_INVOICES * 100:
        message = f"too many {contract} for one request: use `prebill score` for files"
        raise InputError(message)
    compiled = catalog.compiled(contract)
    names = [column.name for column in compiled.frame.columns]
    text = pl.DataFrame(
        {name: [_text(row.get(name)) for row in rows] for name in names},
        schema=dict.fromkeys(names, pl.String()),
    )
    checked = compiled.check(text)
    if not checked.rejected.is_empty():
        first = checked.rejected.row(0, named=True)
        message = f"{contract} row {first['row']}: {first['column']} breaks {first['rule']}"
        raise InputError(message, contract=contract, row=first["row"], column=first["column"])
    return checked.good.drop("row")


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return str(value).lower() if isinstance(value, bool) else str(value)


def _versions(invoices: pl.DataFrame, lines: pl.DataFrame) -> dict[str, str]:
    """A digest of each invoice's content: the same content is decided once."""
    if not 0 < invoices.height <= MAX_INVOICES:
        message = f"send between 1 and {MAX_INVOICES} invoices; this request has {invoices.height}"
        raise InputError(message)
    if invoices["invoice_id"].is_duplicated().any():
        message = "two invoices of the request have the same invoice_id"
        raise InputError(message)
    texts: dict[str, list[str]] = {
        row["invoice_id"]: [json.dumps(row, default=str)] for row in invoices.iter_rows(named=True)
    }
    for row in lines.sort("invoice_id", "line_id").iter_rows(named=True):
        if row["invoice_id"] not in texts:
            message = f"line {row['line_id']} belongs to {row['invoice_id']}, which is not sent"
            raise InputError(message)
        texts[row["invoice_id"]].append(json.dumps(row, default=str))
    return {
        name: hashlib.sha256("\n".join(parts).encode()).hexdigest() for name, parts in texts.items()
    }


def _rows(scored: "Scored", versions: dict[str, str]) -> list[Row]:
    """Rows of the decision log."""
    from prebill.workflows.rows import feature_hashes

    now = now_text()
    findings: dict[str, list[Row]] = {name: [] for name in versions}
    for one in scored.findings.iter_rows(named=True):
        findings[one.pop("invoice_id")].append(one)
    features = dict(feature_hashes(scored.feature_rows).iter_rows())
    rows = []
    for decision in scored.decisions.iter_rows(named=True):
        name = decision.pop("invoice_id")
        rows.append(
            {
                **decision,
                "draft_id": name,
                "draft_version": versions[name],
                "run_id": GATE_RUN,
                "findings_json": json.dumps(findings[name]),
                "feature_hash": features.get(name, ""),
                "draft_hash": versions[name],
                "decided_at": now,
            }
        )
    return rows


def _feature_rows(scored: "Scored", versions: dict[str, str]) -> list[Row]:
    """Features as they were seen: training reads them once a label came."""
    return [
        {**row, "draft_version": versions[row["invoice_id"]]}
        for row in scored.feature_rows.iter_rows(named=True)
    ]


def _shadow_rows(
    shadow: "Answers | None", invoices: pl.DataFrame, versions: dict[str, str]
) -> list[Row]:
    from prebill.core.scoring.shadow import shadow_rows

    if shadow is None:
        return []
    drafts = invoices.select(
        "customer_id",
        draft_id="invoice_id",
        version=pl.col("invoice_id").replace_strict(versions, return_dtype=pl.String()),
    )
    return list(shadow_rows(shadow, drafts, GATE_RUN).iter_rows(named=True))


def _given_rows(
    scored: "Scored", invoices: pl.DataFrame, versions: dict[str, str], policy: "Policy"
) -> list[Row]:
    """The decision with what the policy was given: the lake keeps both in one row."""
    from prebill.core.policy.given import stamped
    from prebill.workflows.decisions import given

    drafts = invoices.select(
        "invoice_id",
        "customer_id",
        "total_minor",
        entity_id="legal_entity",
        draft_version=pl.col("invoice_id").replace_strict(versions, return_dtype=pl.String()),
    )
    kept = stamped(given(scored, drafts, scored.findings, policy), GATE_RUN, datetime.now(UTC))
    rows = scored.decisions.join(kept, on="invoice_id", how="left", maintain_order="left")
    days = rows.select(pl.selectors.temporal().dt.to_string("iso:strict"))
    return list(rows.with_columns(days).iter_rows(named=True))


def _answer(row: Row) -> dict[str, Any]:
    """A stored decision as it is answered."""
    kept = {name: row[name] for name in DECISIONS.names if name != "invoice_id"}
    return {
        "invoice_id": row["draft_id"],
        **kept,
        "reasons": json.loads(row["reasons"]),
        "model_versions": json.loads(row["model_versions"]),
        "findings": json.loads(row["findings_json"]),
        "version": row["draft_version"],
        "decided_at": row["decided_at"],
        "state": row["state"],
        "case_id": row["case_id"],
    }
