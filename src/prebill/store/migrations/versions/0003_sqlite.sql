CREATE TABLE verdicts_kept AS SELECT * FROM verdicts
--
DROP TABLE verdicts
--
CREATE TABLE cases_kept AS SELECT * FROM cases
--
DROP TABLE cases
--
CREATE TABLE cases (
	case_id TEXT NOT NULL,
	kind TEXT NOT NULL,
	draft_id TEXT NOT NULL,
	draft_version TEXT NOT NULL,
	action TEXT NOT NULL,
	status TEXT NOT NULL,
	queue TEXT NOT NULL,
	priority DOUBLE,
	expected_loss_minor BIGINT NOT NULL,
	currency TEXT NOT NULL,
	lock_version BIGINT NOT NULL,
	opened_at TEXT NOT NULL,
	due_at TEXT NOT NULL,
	resolved_by TEXT,
	resolved_at TEXT,
	CONSTRAINT pk_cases PRIMARY KEY (case_id),
	CONSTRAINT ck_cases_kind_is_known CHECK (kind IN ('draft', 'gap', 'gate')),
	CONSTRAINT ck_cases_action_is_known CHECK (action IN ('review', 'hold')),
	CONSTRAINT ck_cases_status_is_known CHECK (status IN ('open', 'released', 'corrected', 'rejected', 'lapsed'))
)
--
INSERT INTO cases SELECT * FROM cases_kept
--
DROP TABLE cases_kept
--
CREATE INDEX ix_cases_open ON cases (priority DESC, case_id) WHERE status = 'open'
--
CREATE INDEX ix_cases_totals ON cases (currency, queue, action, expected_loss_minor) WHERE status = 'open'
--
CREATE INDEX ix_cases_draft_id_draft_version ON cases (draft_id, draft_version)
--
CREATE TABLE verdicts (
	verdict_id TEXT NOT NULL,
	case_id TEXT NOT NULL,
	draft_id TEXT NOT NULL,
	draft_version TEXT NOT NULL,
	verdict TEXT NOT NULL,
	reason_code TEXT NOT NULL,
	note TEXT,
	correction_json TEXT,
	entered_at TEXT NOT NULL,
	entered_by TEXT NOT NULL,
	CONSTRAINT pk_verdicts PRIMARY KEY (verdict_id),
	CONSTRAINT ck_verdicts_verdict_is_known CHECK (verdict IN ('release', 'correct', 'reject')),
	CONSTRAINT fk_verdicts_cases FOREIGN KEY(case_id) REFERENCES cases (case_id),
	CONSTRAINT uq_verdicts_case_id UNIQUE (case_id)
)
--
INSERT INTO verdicts SELECT * FROM verdicts_kept
--
DROP TABLE verdicts_kept
--
CREATE INDEX ix_verdicts_draft_id ON verdicts (draft_id)
--
CREATE TRIGGER verdicts_four_eyes BEFORE INSERT ON verdicts
        WHEN NEW.verdict = 'release' AND
    EXISTS (SELECT 1 FROM verdicts earlier
            WHERE earlier.draft_id = NEW.draft_id
              AND earlier.verdict = 'correct'
              AND earlier.entered_by = NEW.entered_by)

        BEGIN SELECT RAISE(ABORT, 'prebill: who corrected a draft may not release it'); END
--
CREATE TABLE outbox_kept AS SELECT * FROM outbox
--
DROP TABLE outbox
--
CREATE TABLE outbox (
	delivery_id TEXT NOT NULL,
	document_id TEXT,
	channel TEXT NOT NULL,
	payload TEXT NOT NULL,
	status TEXT NOT NULL,
	attempts BIGINT NOT NULL,
	next_attempt_at TEXT NOT NULL,
	delivered_at TEXT,
	last_error TEXT,
	draft_id TEXT,
	CONSTRAINT pk_outbox PRIMARY KEY (delivery_id),
	CONSTRAINT ck_outbox_status_is_known CHECK (status IN ('pending', 'delivered', 'failed', 'lapsed')),
	CONSTRAINT fk_outbox_documents FOREIGN KEY(document_id) REFERENCES documents (document_id),
	CONSTRAINT uq_outbox_document_id_channel UNIQUE (document_id, channel)
)
--
INSERT INTO outbox SELECT *, NULL FROM outbox_kept
--
DROP TABLE outbox_kept
--
CREATE INDEX ix_outbox_pending ON outbox (next_attempt_at, delivery_id) WHERE status = 'pending'
--
CREATE INDEX ix_outbox_draft_id ON outbox (draft_id) WHERE draft_id IS NOT NULL
--
CREATE TABLE engine_drafts (
	draft_id TEXT NOT NULL,
	version TEXT NOT NULL,
	system TEXT NOT NULL,
	sequence BIGINT NOT NULL,
	customer_id TEXT NOT NULL,
	entity_id TEXT,
	currency TEXT NOT NULL,
	issued_on TEXT NOT NULL,
	due_on TEXT NOT NULL,
	period_start_on TEXT,
	period_end_on TEXT,
	subtotal_minor BIGINT,
	tax_minor BIGINT,
	total_minor BIGINT NOT NULL,
	content_digest TEXT NOT NULL,
	state TEXT NOT NULL,
	lines_json TEXT NOT NULL,
	entered_at TEXT NOT NULL,
	entered_by TEXT NOT NULL,
	CONSTRAINT pk_engine_drafts PRIMARY KEY (draft_id, version),
	CONSTRAINT ck_engine_drafts_state_is_known CHECK (state IN ('released', 'in_review', 'held', 'rejected', 'superseded', 'withdrawn'))
)
--
CREATE UNIQUE INDEX uq_engine_drafts_live ON engine_drafts (draft_id) WHERE state <> 'superseded'
