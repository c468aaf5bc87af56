CREATE TABLE signatures (
	draft_id TEXT NOT NULL,
	draft_version TEXT NOT NULL,
	user_id TEXT NOT NULL,
	case_id TEXT NOT NULL,
	role TEXT NOT NULL,
	on_behalf_of TEXT,
	entered_at TEXT NOT NULL,
	CONSTRAINT pk_signatures PRIMARY KEY (draft_id, draft_version, user_id)
)
--
CREATE INDEX ix_signatures_case_id ON signatures (case_id)
--
CREATE TRIGGER signatures_four_eyes BEFORE INSERT ON signatures
        WHEN
    EXISTS (SELECT 1 FROM verdicts earlier
            WHERE earlier.draft_id = NEW.draft_id
              AND earlier.verdict = 'correct'
              AND earlier.entered_by = NEW.user_id)

        BEGIN SELECT RAISE(ABORT, 'prebill: who corrected a draft may not sign its release'); END
--
CREATE TABLE delegations (
	delegation_id TEXT NOT NULL,
	from_user_id TEXT NOT NULL,
	to_user_id TEXT NOT NULL,
	from_at TEXT NOT NULL,
	until_at TEXT NOT NULL,
	reason TEXT NOT NULL,
	ended_at TEXT,
	entered_at TEXT NOT NULL,
	entered_by TEXT NOT NULL,
	CONSTRAINT pk_delegations PRIMARY KEY (delegation_id),
	CONSTRAINT ck_delegations_to_somebody_else CHECK (from_user_id <> to_user_id),
	CONSTRAINT ck_delegations_has_an_end CHECK (from_at < until_at)
)
--
CREATE INDEX ix_delegations_from_user_id ON delegations (from_user_id)
--
CREATE INDEX ix_delegations_to_user_id ON delegations (to_user_id)
--
CREATE TABLE broken_glass (
	case_id TEXT NOT NULL,
	draft_id TEXT NOT NULL,
	reason TEXT NOT NULL,
	entered_at TEXT NOT NULL,
	entered_by TEXT NOT NULL,
	reviewed_at TEXT,
	reviewed_by TEXT,
	review TEXT,
	CONSTRAINT pk_broken_glass PRIMARY KEY (case_id),
	CONSTRAINT ck_broken_glass_reviewed_by_another CHECK (reviewed_by IS NULL OR reviewed_by <> entered_by)
)
