ALTER TABLE decisions ADD COLUMN proposed_action TEXT COLLATE "C"
--
ALTER TABLE decisions ADD COLUMN rules TEXT COLLATE "C"
--
ALTER TABLE decisions ADD COLUMN policy_class TEXT COLLATE "C"
--
CREATE TABLE snoozes (
	snooze_id TEXT COLLATE "C" NOT NULL,
	rule_id TEXT COLLATE "C" NOT NULL,
	customer_id TEXT COLLATE "C" NOT NULL,
	reason TEXT COLLATE "C" NOT NULL,
	until_at TEXT COLLATE "C" NOT NULL,
	entered_by TEXT COLLATE "C" NOT NULL,
	entered_at TEXT COLLATE "C" NOT NULL,
	ended_by TEXT COLLATE "C",
	ended_at TEXT COLLATE "C",
	CONSTRAINT pk_snoozes PRIMARY KEY (snooze_id)
)
--
CREATE INDEX ix_snoozes_customer_id ON snoozes (customer_id)
--
CREATE UNIQUE INDEX uq_snoozes_live ON snoozes (rule_id, customer_id) WHERE ended_at IS NULL
--
CREATE TABLE incidents (
	run_id TEXT COLLATE "C" NOT NULL,
	status TEXT COLLATE "C" NOT NULL,
	drafts BIGINT NOT NULL,
	stopped BIGINT NOT NULL,
	limit_share DOUBLE PRECISION NOT NULL,
	cause_kind TEXT COLLATE "C",
	cause TEXT COLLATE "C",
	stopped_with BIGINT NOT NULL,
	others_with BIGINT NOT NULL,
	text TEXT COLLATE "C" NOT NULL,
	opened_at TEXT COLLATE "C" NOT NULL,
	closed_by TEXT COLLATE "C",
	closed_at TEXT COLLATE "C",
	note TEXT COLLATE "C",
	CONSTRAINT pk_incidents PRIMARY KEY (run_id),
	CONSTRAINT ck_incidents_status_is_known CHECK (status IN ('open', 'closed'))
)
