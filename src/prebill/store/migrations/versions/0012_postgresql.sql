CREATE TABLE signatures (
	draft_id TEXT COLLATE "C" NOT NULL,
	draft_version TEXT COLLATE "C" NOT NULL,
	user_id TEXT COLLATE "C" NOT NULL,
	case_id TEXT COLLATE "C" NOT NULL,
	role TEXT COLLATE "C" NOT NULL,
	on_behalf_of TEXT COLLATE "C",
	entered_at TEXT COLLATE "C" NOT NULL,
	CONSTRAINT pk_signatures PRIMARY KEY (draft_id, draft_version, user_id)
)
--
CREATE INDEX ix_signatures_case_id ON signatures (case_id)
--
CREATE FUNCTION signatures_four_eyes() RETURNS trigger LANGUAGE plpgsql AS $body$
        BEGIN
            IF
    EXISTS (SELECT 1 FROM verdicts earlier
            WHERE earlier.draft_id = NEW.draft_id
              AND earlier.verdict = 'correct'
              AND earlier.entered_by = NEW.user_id)
 THEN
                RAISE EXCEPTION 'prebill: who corrected a draft may not sign its release' USING ERRCODE = 'check_violation';
            END IF;
            RETURN NEW;
        END $body$
--
CREATE TRIGGER signatures_four_eyes BEFORE INSERT ON signatures
        FOR EACH ROW EXECUTE FUNCTION signatures_four_eyes()
--
CREATE TABLE delegations (
	delegation_id TEXT COLLATE "C" NOT NULL,
	from_user_id TEXT COLLATE "C" NOT NULL,
	to_user_id TEXT COLLATE "C" NOT NULL,
	from_at TEXT COLLATE "C" NOT NULL,
	until_at TEXT COLLATE "C" NOT NULL,
	reason TEXT COLLATE "C" NOT NULL,
	ended_at TEXT COLLATE "C",
	entered_at TEXT COLLATE "C" NOT NULL,
	entered_by TEXT COLLATE "C" NOT NULL,
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
	case_id TEXT COLLATE "C" NOT NULL,
	draft_id TEXT COLLATE "C" NOT NULL,
	reason TEXT COLLATE "C" NOT NULL,
	entered_at TEXT COLLATE "C" NOT NULL,
	entered_by TEXT COLLATE "C" NOT NULL,
	reviewed_at TEXT COLLATE "C",
	reviewed_by TEXT COLLATE "C",
	review TEXT COLLATE "C",
	CONSTRAINT pk_broken_glass PRIMARY KEY (case_id),
	CONSTRAINT ck_broken_glass_reviewed_by_another CHECK (reviewed_by IS NULL OR reviewed_by <> entered_by)
)
