CREATE TABLE case_urgencies (
	case_id TEXT COLLATE "C" NOT NULL,
	times DOUBLE PRECISION NOT NULL,
	CONSTRAINT pk_case_urgencies PRIMARY KEY (case_id)
)
--
CREATE TABLE case_files (
	digest TEXT COLLATE "C" NOT NULL,
	media_type TEXT COLLATE "C" NOT NULL,
	size BIGINT NOT NULL,
	content BYTEA NOT NULL,
	CONSTRAINT pk_case_files PRIMARY KEY (digest)
)
--
CREATE TABLE case_pauses (
	case_id TEXT COLLATE "C" NOT NULL,
	kind TEXT COLLATE "C" NOT NULL,
	until_at TEXT COLLATE "C" NOT NULL,
	asked_user_id TEXT COLLATE "C",
	entered_at TEXT COLLATE "C" NOT NULL,
	entered_by TEXT COLLATE "C" NOT NULL,
	CONSTRAINT pk_case_pauses PRIMARY KEY (case_id),
	CONSTRAINT ck_case_pauses_kind_is_known CHECK (kind IN ('snooze', 'question')),
	CONSTRAINT ck_case_pauses_question_has_somebody CHECK ((kind = 'question') = (asked_user_id IS NOT NULL))
)
--
CREATE INDEX ix_case_pauses_asked_user_id ON case_pauses (asked_user_id)
--
CREATE TABLE case_escalations (
	case_id TEXT COLLATE "C" NOT NULL,
	from_queue TEXT COLLATE "C" NOT NULL,
	entered_at TEXT COLLATE "C" NOT NULL,
	entered_by TEXT COLLATE "C" NOT NULL,
	CONSTRAINT pk_case_escalations PRIMARY KEY (case_id)
)
--
CREATE TABLE case_notes (
	seq BIGSERIAL NOT NULL,
	case_id TEXT COLLATE "C" NOT NULL,
	kind TEXT COLLATE "C" NOT NULL,
	text TEXT COLLATE "C" NOT NULL,
	file_name TEXT COLLATE "C",
	file_digest TEXT COLLATE "C",
	entered_at TEXT COLLATE "C" NOT NULL,
	entered_by TEXT COLLATE "C" NOT NULL,
	CONSTRAINT pk_case_notes PRIMARY KEY (seq),
	CONSTRAINT ck_case_notes_kind_is_known CHECK (kind IN ('comment', 'question', 'answer', 'snooze', 'wake', 'escalation', 'sent_back')),
	CONSTRAINT fk_case_notes_case_files FOREIGN KEY(file_digest) REFERENCES case_files (digest)
)
--
CREATE INDEX ix_case_notes_case_id_seq ON case_notes (case_id, seq)
