CREATE TABLE configuration_texts (
	kind TEXT COLLATE "C" NOT NULL,
	text_hash TEXT COLLATE "C" NOT NULL,
	digest TEXT COLLATE "C" NOT NULL,
	content TEXT COLLATE "C" NOT NULL,
	entered_at TEXT COLLATE "C" NOT NULL,
	CONSTRAINT pk_configuration_texts PRIMARY KEY (kind, text_hash)
)
--
CREATE INDEX ix_configuration_texts_kind_digest ON configuration_texts (kind, digest)
--
CREATE TABLE configurations (
	kind TEXT COLLATE "C" NOT NULL,
	number BIGINT NOT NULL,
	name TEXT COLLATE "C" NOT NULL,
	digest TEXT COLLATE "C" NOT NULL,
	text_hash TEXT COLLATE "C" NOT NULL,
	note TEXT COLLATE "C" NOT NULL,
	status TEXT COLLATE "C" NOT NULL,
	lock_version BIGINT NOT NULL,
	entered_by TEXT COLLATE "C" NOT NULL,
	entered_at TEXT COLLATE "C" NOT NULL,
	submitted_at TEXT COLLATE "C",
	simulation TEXT COLLATE "C",
	simulated_hash TEXT COLLATE "C",
	simulated_at TEXT COLLATE "C",
	compared_with TEXT COLLATE "C",
	approved_by TEXT COLLATE "C",
	approved_at TEXT COLLATE "C",
	live_from_at TEXT COLLATE "C",
	live_at TEXT COLLATE "C",
	retired_at TEXT COLLATE "C",
	replaces_number BIGINT,
	CONSTRAINT pk_configurations PRIMARY KEY (kind, number),
	CONSTRAINT fk_configurations_configuration_texts FOREIGN KEY(kind, text_hash) REFERENCES configuration_texts (kind, text_hash),
	CONSTRAINT ck_configurations_status_is_known CHECK (status IN ('draft', 'in_review', 'approved', 'live', 'retired', 'withdrawn')),
	CONSTRAINT ck_configurations_author_is_not_approver CHECK (number = 0 OR NOT (status IN ('approved', 'live', 'retired')) OR (approved_by IS NOT NULL AND approved_by <> entered_by)),
	CONSTRAINT ck_configurations_approval_needs_simulation CHECK (number = 0 OR NOT (status IN ('approved', 'live', 'retired')) OR (simulation IS NOT NULL AND simulated_hash IS NOT NULL AND simulated_hash = text_hash)),
	CONSTRAINT ck_configurations_installed_is_number_0 CHECK (number > 0 OR (entered_by = 'system' AND status IN ('live', 'retired'))),
	CONSTRAINT ck_configurations_live_has_begun CHECK (status <> 'live' OR live_at IS NOT NULL)
)
--
CREATE UNIQUE INDEX uq_configurations_approved ON configurations (kind) WHERE status = 'approved'
--
CREATE UNIQUE INDEX uq_configurations_live ON configurations (kind) WHERE status = 'live'
