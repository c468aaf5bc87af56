ALTER TABLE cases DROP CONSTRAINT ck_cases_kind_is_known
--
ALTER TABLE cases ADD CONSTRAINT ck_cases_kind_is_known CHECK (kind IN ('draft', 'gap', 'gate'))
--
ALTER TABLE outbox ALTER COLUMN document_id DROP NOT NULL
--
ALTER TABLE outbox ADD COLUMN draft_id TEXT COLLATE "C"
--
CREATE INDEX ix_outbox_draft_id ON outbox (draft_id) WHERE draft_id IS NOT NULL
--
ALTER TABLE outbox DROP CONSTRAINT ck_outbox_status_is_known
--
ALTER TABLE outbox ADD CONSTRAINT ck_outbox_status_is_known CHECK (status IN ('pending', 'delivered', 'failed', 'lapsed'))
--
CREATE TABLE engine_drafts (
	draft_id TEXT COLLATE "C" NOT NULL,
	version TEXT COLLATE "C" NOT NULL,
	system TEXT COLLATE "C" NOT NULL,
	sequence BIGINT NOT NULL,
	customer_id TEXT COLLATE "C" NOT NULL,
	entity_id TEXT COLLATE "C",
	currency TEXT COLLATE "C" NOT NULL,
	issued_on TEXT COLLATE "C" NOT NULL,
	due_on TEXT COLLATE "C" NOT NULL,
	period_start_on TEXT COLLATE "C",
	period_end_on TEXT COLLATE "C",
	subtotal_minor BIGINT,
	tax_minor BIGINT,
	total_minor BIGINT NOT NULL,
	content_digest TEXT COLLATE "C" NOT NULL,
	state TEXT COLLATE "C" NOT NULL,
	lines_json TEXT COLLATE "C" NOT NULL,
	entered_at TEXT COLLATE "C" NOT NULL,
	entered_by TEXT COLLATE "C" NOT NULL,
	CONSTRAINT pk_engine_drafts PRIMARY KEY (draft_id, version),
	CONSTRAINT ck_engine_drafts_state_is_known CHECK (state IN ('released', 'in_review', 'held', 'rejected', 'superseded', 'withdrawn'))
)
--
CREATE UNIQUE INDEX uq_engine_drafts_live ON engine_drafts (draft_id) WHERE state <> 'superseded'
