CREATE INDEX ix_drafts_stopped ON drafts (draft_id, version, entered_at) WHERE state IN ('held', 'in_review')
--
CREATE INDEX ix_engine_drafts_stopped ON engine_drafts (draft_id, version, entered_at) WHERE state IN ('held', 'in_review')
--
CREATE INDEX ix_cases_due ON cases (due_at, queue, action) WHERE status = 'open'
--
CREATE INDEX ix_audit_entries_access ON audit_entries (seq, entered_at) WHERE stream = 'access'
--
CREATE TABLE alerts (
	alert_id INTEGER NOT NULL,
	cause TEXT NOT NULL,
	kind TEXT NOT NULL,
	severity TEXT NOT NULL,
	title TEXT NOT NULL,
	text TEXT NOT NULL,
	path TEXT NOT NULL,
	count BIGINT NOT NULL,
	since_at TEXT NOT NULL,
	owner TEXT NOT NULL,
	first_seen_at TEXT NOT NULL,
	last_seen_at TEXT NOT NULL,
	told_at TEXT NOT NULL,
	acknowledged_at TEXT,
	acknowledged_by TEXT,
	escalated_at TEXT,
	resolved_at TEXT,
	resolved_by TEXT,
	gone_at TEXT,
	CONSTRAINT pk_alerts PRIMARY KEY (alert_id),
	CONSTRAINT ck_alerts_severity_is_known CHECK (severity IN ('warning', 'critical'))
)
--
CREATE UNIQUE INDEX uq_alerts_standing ON alerts (cause) WHERE gone_at IS NULL
--
CREATE TABLE checks (
	check_name TEXT NOT NULL,
	begun_at TEXT NOT NULL,
	checked_at TEXT,
	problems BIGINT NOT NULL,
	since_at TEXT,
	detail TEXT NOT NULL,
	CONSTRAINT pk_checks PRIMARY KEY (check_name)
)
--
CREATE TABLE feeds (
	source TEXT NOT NULL,
	last_at TEXT NOT NULL,
	pause_seconds BIGINT,
	CONSTRAINT pk_feeds PRIMARY KEY (source)
)
--
CREATE INDEX ix_outbox_failed ON outbox (channel) WHERE status = 'failed'
--
CREATE TABLE alert_messages (
	message_id TEXT NOT NULL,
	alert_id BIGINT NOT NULL,
	event TEXT NOT NULL,
	channel TEXT NOT NULL,
	recipient TEXT NOT NULL,
	payload TEXT NOT NULL,
	status TEXT NOT NULL,
	attempts BIGINT NOT NULL,
	next_attempt_at TEXT NOT NULL,
	entered_at TEXT NOT NULL,
	delivered_at TEXT,
	last_error TEXT,
	CONSTRAINT pk_alert_messages PRIMARY KEY (message_id),
	CONSTRAINT ck_alert_messages_event_is_known CHECK (event IN ('opened', 'worse', 'escalated', 'gone')),
	CONSTRAINT ck_alert_messages_channel_is_known CHECK (channel IN ('mail', 'webhook')),
	CONSTRAINT ck_alert_messages_status_is_known CHECK (status IN ('pending', 'delivered', 'failed')),
	CONSTRAINT fk_alert_messages_alerts FOREIGN KEY(alert_id) REFERENCES alerts (alert_id)
)
--
CREATE INDEX ix_alert_messages_undelivered ON alert_messages (status, next_attempt_at) WHERE status <> 'delivered'
