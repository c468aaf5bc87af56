"""Every table of Prebill. What must never happen twice is a unique key here, not a habit.

JSON is text. Amounts are integers in minor units, decimals and times are text (see columns.py).
DBOS and MLflow own their tables; they are not listed.
"""

from typing import Final

import sqlalchemy as sa

from prebill.core.schemas.frame import Kind
from prebill.core.schemas.inbound import USAGE_EVENTS
from prebill.core.schemas.internal import CASES, DECISIONS, DRAFTS, LABELS, SKIPS
from prebill.core.scoring.labels import SOURCES
from prebill.store.alert_tables import define_alerts
from prebill.store.approval_tables import define_approvals
from prebill.store.assistance_tables import define_assistance
from prebill.store.claim_tables import define_claims
from prebill.store.columns import (
    boolean,
    day,
    from_frame,
    instant,
    integer,
    key,
    minor,
    one_of,
    optional,
    schema_of,
    serial,
    text,
)
from prebill.store.configuration_tables import define_configurations
from prebill.store.grouping_tables import define_grouping
from prebill.store.handling_tables import define_handling
from prebill.store.model_tables import define_model_changes
from prebill.store.policy_tables import define_snoozes_and_incidents
from prebill.store.reference import REFERENCE, define_reference_tables

__all__ = ["REFERENCE", "REFERENCE_TABLES", "metadata", "schema_of", "table_of"]

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

REFERENCE_TABLES: Final = define_reference_tables(metadata)
model_changes: Final = define_model_changes(metadata)
claims, viewers = define_claims(metadata)
configuration_texts, configurations = define_configurations(metadata)
define_handling(metadata)
define_grouping(metadata)
signatures: Final = define_approvals(metadata)
snoozes, incidents = define_snoozes_and_incidents(metadata)
define_assistance(metadata)

# ── Who may act ──────────────────────────────────────────────────────────────────────────────

users = sa.Table(
    "users",
    metadata,
    key("user_id"),
    text("name"),
    text("email"),
    text("role"),
    text("password_hash"),
    boolean("is_active"),
    boolean("must_change_password"),
    instant("created_at"),
    one_of("role", "admin", "controller", "reviewer", "viewer"),
    sa.UniqueConstraint("email"),
)
tokens = sa.Table(
    "tokens",
    metadata,
    key("token_id"),
    text("user_id"),
    text("digest"),
    text("name"),
    instant("created_at"),
    optional("expires_at", Kind.INSTANT),
    optional("revoked_at", Kind.INSTANT),
    sa.ForeignKeyConstraint(["user_id"], ["users.user_id"]),
    sa.UniqueConstraint("digest"),
)

# ── What came in ─────────────────────────────────────────────────────────────────────────────

imports = sa.Table(
    "imports",
    metadata,
    key("import_id"),
    text("file"),
    text("contract"),
    text("digest"),
    integer("rows"),
    integer("good"),
    integer("known"),
    integer("rejected"),
    instant("entered_at"),
    text("entered_by"),
)
quarantine = sa.Table(
    "quarantine",
    metadata,
    key("quarantine_id"),
    text("import_id"),
    text("contract"),
    text("file"),
    integer("line"),
    text("rule"),
    optional("column_name"),
    optional("value"),
    text("row_json"),
    text("status"),
    instant("entered_at"),
    optional("resolved_at", Kind.INSTANT),
    one_of("status", "open", "resolved", "dismissed"),
    sa.Index(None, "status", "contract", "quarantine_id"),
)
#: Events acknowledged over HTTP that wait to be moved to the lake in one batch.
staged_events = sa.Table(
    "staged_events",
    metadata,
    serial("seq"),
    *from_frame(USAGE_EVENTS),
    instant("entered_at"),
    text("entered_by"),
)
#: Rows that the hook made for tables of the lake and that wait to be moved there in one batch.
hook_rows = sa.Table(
    "hook_rows",
    metadata,
    serial("seq"),
    text("table_name"),
    text("row_json"),
    instant("entered_at"),
    one_of("table_name", "feature_rows", "shadow_scores", "decisions"),
)
#: A batch of a lake table counts only when it is named here.
lake_batches = sa.Table(
    "lake_batches",
    metadata,
    key("table_name"),
    key("batch_id"),
    integer("rows"),
    text("checksum"),
    integer("version"),
    instant("committed_at"),
)

# ── Runs and drafts ──────────────────────────────────────────────────────────────────────────

runs = sa.Table(
    "runs",
    metadata,
    key("run_id"),
    text("period"),
    instant("as_of_at"),
    text("status"),
    boolean("is_final"),
    text("policy_hash"),
    text("reference_hash"),
    text("lake_versions"),
    text("model_versions"),
    integer("shards"),
    instant("started_at"),
    optional("finished_at", Kind.INSTANT),
    text("entered_by"),
    optional("error"),
    one_of("status", "running", "finished", "failed"),
    sa.Index(None, "period", "started_at"),
)
run_shards = sa.Table(
    "run_shards",
    metadata,
    key("run_id"),
    key("shard", Kind.INTEGER),
    text("customer_ids"),
    text("status"),
    optional("counts"),
    optional("seconds"),
    optional("finished_at", Kind.INSTANT),
    one_of("status", "pending", "running", "finished", "failed"),
    sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"]),
)
drafts = sa.Table(
    "drafts",
    metadata,
    *from_frame(DRAFTS, keys=("draft_id", "version")),
    text("run_id"),
    text("state"),
    text("lines_json"),
    instant("entered_at"),
    text("entered_by"),
    one_of(
        "state",
        *("draft", "in_review", "held", "released", "issued", "rejected"),
        *("superseded", "lapsed"),
    ),
    sa.Index(None, "run_id", "state"),
    sa.Index(None, "period", "state"),
    sa.Index(None, "customer_id", "period_start_on"),
)
#: At most one version of a draft is alive.
sa.Index(
    "uq_drafts_live",
    drafts.c.draft_id,
    unique=True,
    sqlite_where=sa.text("state NOT IN ('superseded', 'lapsed')"),
    postgresql_where=sa.text("state NOT IN ('superseded', 'lapsed')"),
)
decisions = sa.Table(
    "decisions",
    metadata,
    *(c for c in from_frame(DECISIONS) if c.name != "invoice_id"),
    key("draft_id"),
    key("draft_version"),
    text("run_id"),
    text("findings_json"),
    text("feature_hash"),
    text("draft_hash"),
    instant("decided_at"),
    # The chance with which a released draft is looked at all the same; null: it is not released.
    optional("sample_propensity", Kind.FLOAT),
    sa.Index(None, "run_id", "action"),
)
#: Drafts of other engines as they were scored. They get no number and no document here; a content
#: that comes back after another one is the same row with a higher sequence.
engine_drafts = sa.Table(
    "engine_drafts",
    metadata,
    key("draft_id"),
    key("version"),
    text("system"),
    integer("sequence"),
    text("customer_id"),
    optional("entity_id"),
    text("currency"),
    day("issued_on"),
    day("due_on"),
    optional("period_start_on", Kind.DATE),
    optional("period_end_on", Kind.DATE),
    optional("subtotal_minor", Kind.MINOR),
    optional("tax_minor", Kind.MINOR),
    minor("total_minor"),
    text("content_digest"),
    text("state"),
    text("lines_json"),
    instant("entered_at"),
    text("entered_by"),
    one_of(
        "state",
        *("released", "in_review", "held", "rejected", "superseded", "withdrawn"),
    ),
)
#: At most one version of another engine's draft counts: the one that was scored last.
sa.Index(
    "uq_engine_drafts_live",
    engine_drafts.c.draft_id,
    unique=True,
    sqlite_where=sa.text("state <> 'superseded'"),
    postgresql_where=sa.text("state <> 'superseded'"),
)
skips = sa.Table(
    "skips",
    metadata,
    key("run_id"),
    *from_frame(SKIPS, keys=SKIPS.key),
)

# ── What people decide ───────────────────────────────────────────────────────────────────────

cases = sa.Table(
    "cases",
    metadata,
    *from_frame(CASES, keys=("case_id",)),
    one_of("kind", "draft", "gap", "gate", "sample"),
    one_of("action", "release", "review", "hold"),
    one_of("status", "open", "released", "corrected", "rejected", "lapsed"),
    sa.Index(None, "draft_id", "draft_version"),
)
for _name, *_columns in (
    # The queue page: open cases, the money first.
    ("ix_cases_open", cases.c.priority.desc(), cases.c.case_id),
    # The totals above it: read from the index alone, 100,000 open cases in 10 ms.
    (
        *("ix_cases_totals", cases.c.currency, cases.c.queue, cases.c.action),
        cases.c.expected_loss_minor,
    ),
):
    _is_open = sa.text("status = 'open'")
    sa.Index(_name, *_columns, sqlite_where=_is_open, postgresql_where=_is_open)
verdicts = sa.Table(
    "verdicts",
    metadata,
    key("verdict_id"),
    text("case_id"),
    text("draft_id"),
    text("draft_version"),
    text("verdict"),
    text("reason_code"),
    optional("note"),
    optional("correction_json"),
    instant("entered_at"),
    text("entered_by"),
    one_of("verdict", "release", "correct", "reject"),
    sa.ForeignKeyConstraint(["case_id"], ["cases.case_id"]),
    sa.UniqueConstraint("case_id"),
    sa.Index(None, "draft_id"),
)
labels = sa.Table(
    "labels",
    metadata,
    *from_frame(LABELS, keys=("label_id",)),
    one_of("source", *SOURCES),
    sa.Index(None, "draft_id"),
)

# ── Issued documents, journal, deliveries ────────────────────────────────────────────────────

number_series = sa.Table(
    "number_series",
    metadata,
    key("entity_id"),
    key("series"),
    integer("next_number"),
)
documents = sa.Table(
    "documents",
    metadata,
    key("document_id"),
    text("entity_id"),
    text("series"),
    integer("sequence"),
    text("kind"),
    text("draft_id"),
    text("draft_version"),
    text("customer_id"),
    text("contract_id"),
    text("currency"),
    day("issued_on"),
    day("due_on"),
    day("tax_point_on"),
    day("period_start_on"),
    day("period_end_on"),
    minor("subtotal_minor"),
    minor("tax_minor"),
    minor("total_minor"),
    instant("entered_at"),
    text("entered_by"),
    sa.CheckConstraint("subtotal_minor + tax_minor = total_minor", name="adds_up"),
    sa.UniqueConstraint("entity_id", "series", "sequence"),
    sa.UniqueConstraint("draft_id"),
    sa.Index(None, "customer_id", "issued_on"),
)
journal_entries = sa.Table(
    "journal_entries",
    metadata,
    key("entry_id"),
    text("document_id"),
    text("entity_id"),
    day("posting_on"),
    text("currency"),
    instant("entered_at"),
    sa.ForeignKeyConstraint(["document_id"], ["documents.document_id"]),
    sa.Index(None, "document_id"),
)
postings = sa.Table(
    "postings",
    metadata,
    key("entry_id"),
    key("line", Kind.INTEGER),
    text("account_id"),
    text("purpose"),
    minor("amount_minor"),  # debit > 0, credit < 0
    text("currency"),
    minor("functional_minor"),
    text("functional_currency"),
    text("rate"),
    sa.ForeignKeyConstraint(["entry_id"], ["journal_entries.entry_id"]),
)
#: A delivery without a document carries all that it says in its payload: a decision on the draft of
#: another engine, ``draft_id``.
outbox = sa.Table(
    "outbox",
    metadata,
    key("delivery_id"),
    optional("document_id"),
    text("channel"),
    text("payload"),
    text("status"),
    integer("attempts"),
    instant("next_attempt_at"),
    optional("delivered_at", Kind.INSTANT),
    optional("last_error"),
    optional("draft_id"),
    one_of("status", "pending", "delivered", "failed", "lapsed"),
    sa.ForeignKeyConstraint(["document_id"], ["documents.document_id"]),
    sa.UniqueConstraint("document_id", "channel"),
)
#: What the delivery worker asks for: the pending ones that are due.
sa.Index(
    "ix_outbox_pending",
    outbox.c.next_attempt_at,
    outbox.c.delivery_id,
    sqlite_where=sa.text("status = 'pending'"),
    postgresql_where=sa.text("status = 'pending'"),
)
sa.Index(
    "ix_outbox_draft_id",
    outbox.c.draft_id,
    sqlite_where=sa.text("draft_id IS NOT NULL"),
    postgresql_where=sa.text("draft_id IS NOT NULL"),
)

# ── Proof ────────────────────────────────────────────────────────────────────────────────────

state_changes = sa.Table(
    "state_changes",
    metadata,
    serial("seq"),
    text("object_type"),
    text("object_id"),
    optional("from_state"),
    text("to_state"),
    instant("entered_at"),
    text("entered_by"),
    sa.Index(None, "object_id", "seq"),
)
audit_entries = sa.Table(
    "audit_entries",
    metadata,
    serial("seq"),
    text("stream"),
    instant("entered_at"),
    text("actor"),
    text("action"),
    text("object_id"),
    text("detail"),
    text("hash"),
    one_of("stream", "books", "access"),
    sa.Index(None, "object_id", "seq"),
    sqlite_autoincrement=True,  # the number of a deleted last entry is never given again
)
audit_seals = sa.Table(
    "audit_seals",
    metadata,
    key("stream"),
    key("seal_id", Kind.INTEGER),
    integer("first_seq"),
    integer("last_seq"),
    integer("entries"),
    text("merkle_root"),
    text("previous_head"),
    text("head"),
    instant("sealed_at"),
)

# ── Operation ────────────────────────────────────────────────────────────────────────────────

workers = sa.Table(
    "workers",
    metadata,
    key("worker_id"),
    instant("started_at"),
    instant("heartbeat_at"),
)
idempotency_keys = sa.Table(
    "idempotency_keys",
    metadata,
    key("key"),
    key("user_id"),
    text("request_hash"),
    optional("response_json"),
    optional("status_code", Kind.INTEGER),
    instant("entered_at"),
)
#: One prepared row a customer: what the hook reads instead of the history.
profiles = sa.Table(
    "profiles",
    metadata,
    key("customer_id"),
    day("as_of_on"),
    text("payload"),
)
define_alerts(metadata)


def table_of(name: str) -> sa.Table:
    """Return the table of that name; a wrong name is a programming error (KeyError)."""
    return metadata.tables[name]
