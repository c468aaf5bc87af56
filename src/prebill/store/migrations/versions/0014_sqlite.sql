CREATE TABLE resolutions (
	case_id TEXT NOT NULL,
	code TEXT NOT NULL,
	resolved_at TEXT NOT NULL,
	resolved_by TEXT NOT NULL,
	verdict TEXT NOT NULL,
	reason_code TEXT NOT NULL,
	kind TEXT NOT NULL,
	customer_id TEXT,
	queue TEXT NOT NULL,
	first_queue TEXT NOT NULL,
	currency TEXT NOT NULL,
	amount_minor BIGINT NOT NULL,
	total_minor BIGINT NOT NULL,
	is_exact BOOLEAN NOT NULL,
	codes TEXT NOT NULL,
	charges TEXT NOT NULL,
	anomaly_score DOUBLE,
	p_error DOUBLE,
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
	case_id TEXT NOT NULL,
	action TEXT NOT NULL,
	confidence DOUBLE,
	basis TEXT NOT NULL,
	recommender TEXT,
	was_shown BOOLEAN NOT NULL,
	verdict TEXT NOT NULL,
	entered_at TEXT NOT NULL,
	CONSTRAINT pk_recommendations PRIMARY KEY (case_id),
	CONSTRAINT ck_recommendations_action_is_known CHECK (action IN ('release', 'correct', 'reject', 'look')),
	CONSTRAINT ck_recommendations_basis_is_known CHECK (basis IN ('rules', 'verdicts'))
)
--
CREATE INDEX ix_recommendations_entered_at ON recommendations (entered_at)
--
CREATE TABLE recommenders (
	digest TEXT NOT NULL,
	verdicts BIGINT NOT NULL,
	model_json TEXT NOT NULL,
	fitted_at TEXT NOT NULL,
	CONSTRAINT pk_recommenders PRIMARY KEY (digest)
)
