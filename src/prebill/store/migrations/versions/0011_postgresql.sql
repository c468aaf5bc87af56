CREATE TABLE case_causes (
	case_id TEXT COLLATE "C" NOT NULL,
	cause TEXT COLLATE "C" NOT NULL,
	detached_at TEXT COLLATE "C",
	detached_by TEXT COLLATE "C",
	CONSTRAINT pk_case_causes PRIMARY KEY (case_id)
)
--
CREATE INDEX ix_case_causes_cause_case_id ON case_causes (cause, case_id)
--
CREATE TABLE group_decisions (
	decision_id TEXT COLLATE "C" NOT NULL,
	cause TEXT COLLATE "C" NOT NULL,
	verdict TEXT COLLATE "C" NOT NULL,
	reason_code TEXT COLLATE "C" NOT NULL,
	note TEXT COLLATE "C" NOT NULL,
	sampled BIGINT NOT NULL,
	status TEXT COLLATE "C" NOT NULL,
	entered_at TEXT COLLATE "C" NOT NULL,
	entered_by TEXT COLLATE "C" NOT NULL,
	finished_at TEXT COLLATE "C",
	CONSTRAINT pk_group_decisions PRIMARY KEY (decision_id),
	CONSTRAINT ck_group_decisions_verdict_is_known CHECK (verdict IN ('release', 'reject')),
	CONSTRAINT ck_group_decisions_status_is_known CHECK (status IN ('running', 'finished'))
)
--
CREATE INDEX ix_group_decisions_cause ON group_decisions (cause)
--
CREATE TABLE group_members (
	decision_id TEXT COLLATE "C" NOT NULL,
	case_id TEXT COLLATE "C" NOT NULL,
	lock_version BIGINT NOT NULL,
	status TEXT COLLATE "C" NOT NULL,
	message TEXT COLLATE "C",
	CONSTRAINT pk_group_members PRIMARY KEY (decision_id, case_id),
	CONSTRAINT ck_group_members_status_is_known CHECK (status IN ('pending', 'done', 'refused')),
	CONSTRAINT fk_group_members_group_decisions FOREIGN KEY(decision_id) REFERENCES group_decisions (decision_id)
)
