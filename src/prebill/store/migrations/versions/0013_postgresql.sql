CREATE INDEX ix_drafts_stopped ON drafts (draft_id, version, entered_at) WHERE state IN ('held', 'in_review')
--
CREATE INDEX ix_engine_drafts_stopped ON engine_drafts (draft_id, version, entered_at) WHERE state IN ('held', 'in_review')
--
CREATE INDEX ix_cases_due ON cases (due_at, queue, action) WHERE status = 'open'
--
CREATE INDEX ix_audit_entries_access ON audit_entries (seq, entered_at) WHERE stream = 'access'
--
CREATE TABLE alerts (
	alert_id BIGSERIAL NOT NULL,
	cause TEXT COLLATE "C" NOT NULL,
	kind TEXT COLLATE "C" NOT NULL,
	severity TEXT COLLATE "C" NOT NULL,
	title TEXT COLLATE "C" NOT NULL,
	text TEXT COLLATE "C" NOT NULL,
	path TEXT COLLATE "C" NOT NULL,
	count BIGINT NOT NULL,
	since_at TEXT COLLATE "C" NOT NULL,
	owner TEXT COLLATE "C" NOT NULL,
	first_seen_at TEXT COLLATE "C" NOT NULL,
	last_seen_at TEXT COLLATE "C" NOT NULL,
	told_at TEXT COLLATE "C" NOT NULL,
	acknowledged_at TEXT COLLATE "C",
	acknowledged_by TEXT COLLATE "C",
	escalated_at TEXT COLLATE "C",
	resolved_at TEXT COLLATE "C",
	resolved_by TEXT COLLATE "C",
	gone_at TEXT COLLATE "C",
	CONSTRAINT pk_alerts PRIMARY KEY (alert_id),
	CONSTRAINT ck_alerts_severity_is_known CHECK (severity IN ('warning', 'critical'))
)
--
CREATE UNIQUE INDEX uq_alerts_standing ON alerts (cause) WHERE gone_at IS NULL
--
CREATE TABLE checks (
	check_name TEXT COLLATE "C" NOT NULL,
	begun_at TEXT COLLATE "C" NOT NULL,
	checked_at TEXT COLLATE "C",
	problems BIGINT NOT NULL,
	since_at TEXT COLLATE "C",
	detail TEXT COLLATE "C" NOT NULL,
	CONSTRAINT pk_checks PRIMARY KEY (check_name)
)
--
CREATE TABLE feeds (
	source TEXT COLLATE "C" NOT NULL,
	last_at TEXT COLLATE "C" NOT NULL,
	pause_seconds BIGINT,
	CONSTRAINT pk_feeds PRIMARY KEY (source)
)
--
CREATE INDEX ix_outbox_failed ON outbox (channel) WHERE status = 'failed'
--
CREATE TABLE alert_messages (
	message_id TEXT COLLATE "C" NOT NULL,
	alert_id BIGINT NOT NULL,
	event TEXT COLLATE "C" NOT NULL,
	channel TEXT COLLATE "C" NOT NULL,
	recipient TEXT COLLATE "C" NOT NULL,
	payload TEXT COLLATE "C" NOT NULL,
	status TEXT COLLATE "C" NOT NULL,
	attempts BIGINT NOT NULL,
	next_attempt_at TEXT COLLATE "C" NOT NULL,
	entered_at TEXT COLLATE "C" NOT NULL,
	delivered_at TEXT COLLATE "C",
	last_error TEXT COLLATE "C",
	CONSTRAINT pk_alert_messages PRIMARY KEY (message_id),
	CONSTRAINT ck_alert_messages_event_is_known CHECK (event IN ('opened', 'worse', 'escalated', 'gone')),
	CONSTRAINT ck_alert_messages_channel_is_known CHECK (channel IN ('mail', 'webhook')),
	CONSTRAINT ck_alert_messages_status_is_known CHECK (status IN ('pending', 'delivered', 'failed')),
	CONSTRAINT fk_alert_messages_alerts FOREIGN KEY(alert_id) REFERENCES alerts (alert_id)
)
--
CREATE INDEX ix_alert_messages_undelivered ON alert_messages (status, next_attempt_at) WHERE status <> 'delivered'
