CREATE TABLE model_changes (
	model TEXT COLLATE "C" NOT NULL,
	sequence BIGINT NOT NULL,
	kind TEXT COLLATE "C" NOT NULL,
	version BIGINT NOT NULL,
	digest TEXT COLLATE "C" NOT NULL,
	replaces_digest TEXT COLLATE "C" NOT NULL,
	basis TEXT COLLATE "C" NOT NULL,
	status TEXT COLLATE "C" NOT NULL,
	evidence TEXT COLLATE "C" NOT NULL,
	proposed_at TEXT COLLATE "C" NOT NULL,
	proposed_by TEXT COLLATE "C" NOT NULL,
	decided_at TEXT COLLATE "C",
	decided_by TEXT COLLATE "C",
	live_at TEXT COLLATE "C",
	CONSTRAINT pk_model_changes PRIMARY KEY (model, sequence),
	CONSTRAINT ck_model_changes_kind_is_known CHECK (kind IN ('promote', 'rollback', 'challenge')),
	CONSTRAINT ck_model_changes_basis_is_known CHECK (basis IN ('second_person', 'first_champion', 'unattended', 'evaluation')),
	CONSTRAINT ck_model_changes_status_is_known CHECK (status IN ('proposed', 'approved', 'live', 'withdrawn')),
	CONSTRAINT ck_model_changes_author_is_not_approver CHECK (basis <> 'second_person' OR status NOT IN ('approved', 'live') OR (decided_by IS NOT NULL AND decided_by <> proposed_by)),
	CONSTRAINT ck_model_changes_only_two_people_move CHECK (basis <> 'evaluation' OR kind = 'challenge')
)
--
CREATE UNIQUE INDEX uq_model_changes_first ON model_changes (model) WHERE basis = 'first_champion' AND status <> 'withdrawn'
--
CREATE UNIQUE INDEX uq_model_changes_open ON model_changes (model) WHERE status IN ('proposed', 'approved')
