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
	CONSTRAINT ck_cases_kind_is_known CHECK (kind IN ('draft', 'gap', 'gate', 'sample')),
	CONSTRAINT ck_cases_action_is_known CHECK (action IN ('release', 'review', 'hold')),
	CONSTRAINT ck_cases_status_is_known CHECK (status IN ('open', 'released', 'corrected', 'rejected', 'lapsed'))
)
--
INSERT INTO cases SELECT * FROM cases_kept
--
DROP TABLE cases_kept
--
CREATE INDEX ix_cases_totals ON cases (currency, queue, action, expected_loss_minor) WHERE status = 'open'
--
CREATE INDEX ix_cases_draft_id_draft_version ON cases (draft_id, draft_version)
--
CREATE INDEX ix_cases_open ON cases (priority DESC, case_id) WHERE status = 'open'
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
CREATE TABLE labels_kept AS SELECT * FROM labels
--
DROP TABLE labels
--
CREATE TABLE labels (
	label_id TEXT NOT NULL,
	draft_id TEXT NOT NULL,
	draft_version TEXT NOT NULL,
	is_error BOOLEAN NOT NULL,
	source TEXT NOT NULL,
	reason_code TEXT NOT NULL,
	entered_by TEXT NOT NULL,
	entered_at TEXT NOT NULL,
	matures_on TEXT NOT NULL,
	was_shown BOOLEAN NOT NULL,
	propensity DOUBLE,
	CONSTRAINT pk_labels PRIMARY KEY (label_id),
	CONSTRAINT ck_labels_source_is_known CHECK (source IN ('credit_note', 'verdict', 'sample', 'dispute', 'payment'))
)
--
INSERT INTO labels SELECT *, source = 'verdict', NULL FROM labels_kept
--
DROP TABLE labels_kept
--
CREATE INDEX ix_labels_draft_id ON labels (draft_id)
--
CREATE TABLE decisions_kept AS SELECT * FROM decisions
--
DROP TABLE decisions
--
CREATE TABLE decisions (
	action TEXT NOT NULL,
	anomaly_score DOUBLE,
	p_error DOUBLE,
	p_error_basis TEXT NOT NULL,
	direction TEXT NOT NULL,
	p_late DOUBLE,
	days_late_p10 DOUBLE,
	days_late_p50 DOUBLE,
	days_late_p90 DOUBLE,
	expected_loss_minor BIGINT NOT NULL,
	currency TEXT NOT NULL,
	priority DOUBLE,
	confidence TEXT NOT NULL,
	reasons TEXT NOT NULL,
	model_versions TEXT NOT NULL,
	policy_hash TEXT NOT NULL,
	draft_id TEXT NOT NULL,
	draft_version TEXT NOT NULL,
	run_id TEXT NOT NULL,
	findings_json TEXT NOT NULL,
	feature_hash TEXT NOT NULL,
	draft_hash TEXT NOT NULL,
	decided_at TEXT NOT NULL,
	sample_propensity DOUBLE,
	CONSTRAINT pk_decisions PRIMARY KEY (draft_id, draft_version)
)
--
INSERT INTO decisions SELECT *, NULL FROM decisions_kept
--
DROP TABLE decisions_kept
--
CREATE INDEX ix_decisions_run_id_action ON decisions (run_id, action)
