CREATE TABLE claims (
	case_id TEXT COLLATE "C" NOT NULL,
	user_id TEXT COLLATE "C" NOT NULL,
	claimed_at TEXT COLLATE "C" NOT NULL,
	expires_at TEXT COLLATE "C" NOT NULL,
	CONSTRAINT pk_claims PRIMARY KEY (case_id)
)
--
CREATE INDEX ix_claims_user_id ON claims (user_id)
--
CREATE TABLE viewers (
	case_id TEXT COLLATE "C" NOT NULL,
	user_id TEXT COLLATE "C" NOT NULL,
	seen_at TEXT COLLATE "C" NOT NULL,
	CONSTRAINT pk_viewers PRIMARY KEY (case_id, user_id)
)
