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
	proposed_action TEXT,
	rules TEXT,
	policy_class TEXT,
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
INSERT INTO decisions (action, anomaly_score, p_error, p_error_basis, direction, p_late, days_late_p10, days_late_p50, days_late_p90, expected_loss_minor, currency, priority, confidence, reasons, model_versions, policy_hash, draft_id, draft_version, run_id, findings_json, feature_hash, draft_hash, decided_at, sample_propensity) SELECT action, anomaly_score, p_error, p_error_basis, direction, p_late, days_late_p10, days_late_p50, days_late_p90, expected_loss_minor, currency, priority, confidence, reasons, model_versions, policy_hash, draft_id, draft_version, run_id, findings_json, feature_hash, draft_hash, decided_at, sample_propensity FROM decisions_kept
--
DROP TABLE decisions_kept
--
CREATE INDEX ix_decisions_run_id_action ON decisions (run_id, action)
--
CREATE TABLE snoozes (
	snooze_id TEXT NOT NULL,
	rule_id TEXT NOT NULL,
	customer_id TEXT NOT NULL,
	reason TEXT NOT NULL,
	until_at TEXT NOT NULL,
	entered_by TEXT NOT NULL,
	entered_at TEXT NOT NULL,
	ended_by TEXT,
	ended_at TEXT,
	CONSTRAINT pk_snoozes PRIMARY KEY (snooze_id)
)
--
CREATE INDEX ix_snoozes_customer_id ON snoozes (customer_id)
--
CREATE UNIQUE INDEX uq_snoozes_live ON snoozes (rule_id, customer_id) WHERE ended_at IS NULL
--
CREATE TABLE incidents (
	run_id TEXT NOT NULL,
	status TEXT NOT NULL,
	drafts BIGINT NOT NULL,
	stopped BIGINT NOT NULL,
	limit_share DOUBLE NOT NULL,
	cause_kind TEXT,
	cause TEXT,
	stopped_with BIGINT NOT NULL,
	others_with BIGINT NOT NULL,
	text TEXT NOT NULL,
	opened_at TEXT NOT NULL,
	closed_by TEXT,
	closed_at TEXT,
	note TEXT,
	CONSTRAINT pk_incidents PRIMARY KEY (run_id),
	CONSTRAINT ck_incidents_status_is_known CHECK (status IN ('open', 'closed'))
)
