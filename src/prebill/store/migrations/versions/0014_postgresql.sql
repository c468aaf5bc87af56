CREATE TABLE resolutions (
	case_id TEXT COLLATE "C" NOT NULL,
	code TEXT COLLATE "C" NOT NULL,
	resolved_at TEXT COLLATE "C" NOT NULL,
	resolved_by TEXT COLLATE "C" NOT NULL,
	verdict TEXT COLLATE "C" NOT NULL,
	reason_code TEXT COLLATE "C" NOT NULL,
	kind TEXT COLLATE "C" NOT NULL,
	customer_id TEXT COLLATE "C",
	queue TEXT COLLATE "C" NOT NULL,
	first_queue TEXT COLLATE "C" NOT NULL,
	currency TEXT COLLATE "C" NOT NULL,
	amount_minor BIGINT NOT NULL,
	total_minor BIGINT NOT NULL,
	is_exact BOOLEAN NOT NULL,
	codes TEXT COLLATE "C" NOT NULL,
	charges TEXT COLLATE "C" NOT NULL,
	anomaly_score DOUBLE PRECISION,
	p_error DOUBLE PRECISION,
	CONSTRAINT pk_resolutions PRIMARY KEY (case_id, code)
)
--
CREATE INDEX ix_resolutions_resolved_at ON resolutions (resolved_at)
--
CREATE INDEX ix_resolutions_code_resolved_at ON resolutions (code, resolved_at)
--
CREATE INDEX ix_resolutions_customer_id_resolved_at ON resolutions (customer_id, resolved_at)
--
CREATE TABLE recommendations (
	case_id TEXT COLLATE "C" NOT NULL,
	action TEXT COLLATE "C" NOT NULL,
	confidence DOUBLE PRECISION,
	basis TEXT COLLATE "C" NOT NULL,
	recommender TEXT COLLATE "C",
	was_shown BOOLEAN NOT NULL,
	verdict TEXT COLLATE "C" NOT NULL,
	entered_at TEXT COLLATE "C" NOT NULL,
	CONSTRAINT pk_recommendations PRIMARY KEY (case_id),
	CONSTRAINT ck_recommendations_action_is_known CHECK (action IN ('release', 'correct', 'reject', 'look')),
	CONSTRAINT ck_recommendations_basis_is_known CHECK (basis IN ('rules', 'verdicts'))
)
--
CREATE INDEX ix_recommendations_entered_at ON recommendations (entered_at)
--
CREATE TABLE recommenders (
	digest TEXT COLLATE "C" NOT NULL,
	verdicts BIGINT NOT NULL,
	model_json TEXT COLLATE "C" NOT NULL,
	fitted_at TEXT COLLATE "C" NOT NULL,
	CONSTRAINT pk_recommenders PRIMARY KEY (digest)
)
