CREATE TABLE legal_entities (
	entity_id TEXT COLLATE "C" NOT NULL,
	name TEXT COLLATE "C" NOT NULL,
	country TEXT COLLATE "C" NOT NULL,
	currency TEXT COLLATE "C" NOT NULL,
	time_zone TEXT COLLATE "C" NOT NULL,
	tax_registration_id TEXT COLLATE "C",
	series TEXT COLLATE "C" NOT NULL,
	grace_days BIGINT NOT NULL,
	issue_by_days BIGINT NOT NULL,
	import_id TEXT COLLATE "C",
	CONSTRAINT pk_legal_entities PRIMARY KEY (entity_id)
)
--
CREATE TABLE customers (
	customer_id TEXT COLLATE "C" NOT NULL,
	name TEXT COLLATE "C",
	email TEXT COLLATE "C",
	country TEXT COLLATE "C",
	region TEXT COLLATE "C",
	tax_id TEXT COLLATE "C",
	is_business BOOLEAN,
	segment TEXT COLLATE "C",
	signed_up_on TEXT COLLATE "C",
	import_id TEXT COLLATE "C",
	CONSTRAINT pk_customers PRIMARY KEY (customer_id)
)
--
CREATE TABLE customer_links (
	customer_id TEXT COLLATE "C" NOT NULL,
	system TEXT COLLATE "C" NOT NULL,
	external_id TEXT COLLATE "C" NOT NULL,
	import_id TEXT COLLATE "C",
	CONSTRAINT pk_customer_links PRIMARY KEY (system, external_id)
)
--
CREATE INDEX ix_customer_links_customer_id ON customer_links (customer_id)
--
CREATE TABLE meters (
	meter TEXT COLLATE "C" NOT NULL,
	name TEXT COLLATE "C" NOT NULL,
	aggregation TEXT COLLATE "C" NOT NULL,
	unit TEXT COLLATE "C" NOT NULL,
	max_quantity TEXT COLLATE "C" NOT NULL,
	import_id TEXT COLLATE "C",
	CONSTRAINT pk_meters PRIMARY KEY (meter)
)
--
CREATE TABLE price_books (
	price_book_id TEXT COLLATE "C" NOT NULL,
	family TEXT COLLATE "C" NOT NULL,
	version BIGINT NOT NULL,
	currency TEXT COLLATE "C" NOT NULL,
	effective_from_on TEXT COLLATE "C" NOT NULL,
	import_id TEXT COLLATE "C",
	CONSTRAINT pk_price_books PRIMARY KEY (price_book_id)
)
--
CREATE TABLE plans (
	price_book_id TEXT COLLATE "C" NOT NULL,
	plan_id TEXT COLLATE "C" NOT NULL,
	name TEXT COLLATE "C" NOT NULL,
	import_id TEXT COLLATE "C",
	CONSTRAINT pk_plans PRIMARY KEY (price_book_id, plan_id)
)
--
CREATE TABLE charges (
	price_book_id TEXT COLLATE "C" NOT NULL,
	plan_id TEXT COLLATE "C" NOT NULL,
	charge_id TEXT COLLATE "C" NOT NULL,
	name TEXT COLLATE "C" NOT NULL,
	charge_model TEXT COLLATE "C" NOT NULL,
	quantity_source TEXT COLLATE "C" NOT NULL,
	meter TEXT COLLATE "C",
	timing TEXT COLLATE "C" NOT NULL,
	is_prorated BOOLEAN NOT NULL,
	unit_price TEXT COLLATE "C",
	package_size TEXT COLLATE "C",
	included_quantity TEXT COLLATE "C" NOT NULL,
	tax_category TEXT COLLATE "C" NOT NULL,
	import_id TEXT COLLATE "C",
	CONSTRAINT pk_charges PRIMARY KEY (price_book_id, plan_id, charge_id)
)
--
CREATE TABLE tiers (
	price_book_id TEXT COLLATE "C" NOT NULL,
	plan_id TEXT COLLATE "C" NOT NULL,
	charge_id TEXT COLLATE "C" NOT NULL,
	from_quantity TEXT COLLATE "C" NOT NULL,
	up_to_quantity TEXT COLLATE "C",
	unit_price TEXT COLLATE "C" NOT NULL,
	flat_fee TEXT COLLATE "C" NOT NULL,
	import_id TEXT COLLATE "C",
	CONSTRAINT pk_tiers PRIMARY KEY (price_book_id, plan_id, charge_id, from_quantity)
)
--
CREATE TABLE contracts (
	contract_id TEXT COLLATE "C" NOT NULL,
	customer_id TEXT COLLATE "C" NOT NULL,
	entity_id TEXT COLLATE "C" NOT NULL,
	currency TEXT COLLATE "C" NOT NULL,
	time_zone TEXT COLLATE "C" NOT NULL,
	starts_on TEXT COLLATE "C" NOT NULL,
	ends_on TEXT COLLATE "C",
	payment_terms_days BIGINT NOT NULL,
	proration_policy TEXT COLLATE "C" NOT NULL,
	recorded_at TEXT COLLATE "C" NOT NULL,
	import_id TEXT COLLATE "C",
	CONSTRAINT pk_contracts PRIMARY KEY (contract_id, recorded_at)
)
--
CREATE INDEX ix_contracts_customer_id ON contracts (customer_id)
--
CREATE TABLE contract_terms (
	contract_id TEXT COLLATE "C" NOT NULL,
	term_id TEXT COLLATE "C" NOT NULL,
	plan_id TEXT COLLATE "C" NOT NULL,
	price_book_id TEXT COLLATE "C" NOT NULL,
	quantity TEXT COLLATE "C" NOT NULL,
	discount_percent TEXT COLLATE "C" NOT NULL,
	discount_ends_on TEXT COLLATE "C",
	effective_from_on TEXT COLLATE "C" NOT NULL,
	effective_to_on TEXT COLLATE "C",
	recorded_at TEXT COLLATE "C" NOT NULL,
	import_id TEXT COLLATE "C",
	CONSTRAINT pk_contract_terms PRIMARY KEY (contract_id, term_id, recorded_at)
)
--
CREATE TABLE subscriptions (
	subscription_id TEXT COLLATE "C" NOT NULL,
	contract_id TEXT COLLATE "C" NOT NULL,
	customer_id TEXT COLLATE "C" NOT NULL,
	started_on TEXT COLLATE "C" NOT NULL,
	ended_on TEXT COLLATE "C",
	recorded_at TEXT COLLATE "C" NOT NULL,
	import_id TEXT COLLATE "C",
	CONSTRAINT pk_subscriptions PRIMARY KEY (subscription_id, recorded_at)
)
--
CREATE INDEX ix_subscriptions_customer_id ON subscriptions (customer_id)
--
CREATE INDEX ix_subscriptions_contract_id ON subscriptions (contract_id)
--
CREATE TABLE subscription_phases (
	subscription_id TEXT COLLATE "C" NOT NULL,
	phase_id TEXT COLLATE "C" NOT NULL,
	plan_id TEXT COLLATE "C" NOT NULL,
	price_book_id TEXT COLLATE "C" NOT NULL,
	quantity TEXT COLLATE "C" NOT NULL,
	discount_percent TEXT COLLATE "C" NOT NULL,
	discount_ends_on TEXT COLLATE "C",
	effective_from_on TEXT COLLATE "C" NOT NULL,
	effective_to_on TEXT COLLATE "C",
	recorded_at TEXT COLLATE "C" NOT NULL,
	import_id TEXT COLLATE "C",
	CONSTRAINT pk_subscription_phases PRIMARY KEY (subscription_id, phase_id, recorded_at)
)
--
CREATE TABLE entitlements (
	entitlement_id TEXT COLLATE "C" NOT NULL,
	contract_id TEXT COLLATE "C" NOT NULL,
	feature TEXT COLLATE "C" NOT NULL,
	granted_quantity TEXT COLLATE "C" NOT NULL,
	effective_from_on TEXT COLLATE "C" NOT NULL,
	effective_to_on TEXT COLLATE "C",
	import_id TEXT COLLATE "C",
	CONSTRAINT pk_entitlements PRIMARY KEY (entitlement_id)
)
--
CREATE INDEX ix_entitlements_contract_id ON entitlements (contract_id)
--
CREATE TABLE exchange_rates (
	base_currency TEXT COLLATE "C" NOT NULL,
	quote_currency TEXT COLLATE "C" NOT NULL,
	rate_on TEXT COLLATE "C" NOT NULL,
	rate TEXT COLLATE "C" NOT NULL,
	source TEXT COLLATE "C" NOT NULL,
	import_id TEXT COLLATE "C",
	CONSTRAINT pk_exchange_rates PRIMARY KEY (base_currency, quote_currency, rate_on)
)
--
CREATE TABLE ledger_accounts (
	entity_id TEXT COLLATE "C" NOT NULL,
	account_id TEXT COLLATE "C" NOT NULL,
	name TEXT COLLATE "C" NOT NULL,
	kind TEXT COLLATE "C" NOT NULL,
	import_id TEXT COLLATE "C",
	CONSTRAINT pk_ledger_accounts PRIMARY KEY (entity_id, account_id)
)
--
CREATE TABLE account_mappings (
	entity_id TEXT COLLATE "C" NOT NULL,
	purpose TEXT COLLATE "C" NOT NULL,
	tax_category TEXT COLLATE "C" NOT NULL,
	account_id TEXT COLLATE "C" NOT NULL,
	import_id TEXT COLLATE "C",
	CONSTRAINT pk_account_mappings PRIMARY KEY (entity_id, purpose, tax_category)
)
--
CREATE TABLE accounting_periods (
	entity_id TEXT COLLATE "C" NOT NULL,
	period TEXT COLLATE "C" NOT NULL,
	status TEXT COLLATE "C" NOT NULL,
	import_id TEXT COLLATE "C",
	CONSTRAINT pk_accounting_periods PRIMARY KEY (entity_id, period)
)
--
CREATE TABLE users (
	user_id TEXT COLLATE "C" NOT NULL,
	name TEXT COLLATE "C" NOT NULL,
	email TEXT COLLATE "C" NOT NULL,
	role TEXT COLLATE "C" NOT NULL,
	password_hash TEXT COLLATE "C" NOT NULL,
	is_active BOOLEAN NOT NULL,
	must_change_password BOOLEAN NOT NULL,
	created_at TEXT COLLATE "C" NOT NULL,
	CONSTRAINT pk_users PRIMARY KEY (user_id),
	CONSTRAINT ck_users_role_is_known CHECK (role IN ('admin', 'controller', 'reviewer', 'viewer')),
	CONSTRAINT uq_users_email UNIQUE (email)
)
--
CREATE TABLE imports (
	import_id TEXT COLLATE "C" NOT NULL,
	file TEXT COLLATE "C" NOT NULL,
	contract TEXT COLLATE "C" NOT NULL,
	digest TEXT COLLATE "C" NOT NULL,
	rows BIGINT NOT NULL,
	good BIGINT NOT NULL,
	known BIGINT NOT NULL,
	rejected BIGINT NOT NULL,
	entered_at TEXT COLLATE "C" NOT NULL,
	entered_by TEXT COLLATE "C" NOT NULL,
	CONSTRAINT pk_imports PRIMARY KEY (import_id)
)
--
CREATE TABLE quarantine (
	quarantine_id TEXT COLLATE "C" NOT NULL,
	import_id TEXT COLLATE "C" NOT NULL,
	contract TEXT COLLATE "C" NOT NULL,
	file TEXT COLLATE "C" NOT NULL,
	line BIGINT NOT NULL,
	rule TEXT COLLATE "C" NOT NULL,
	column_name TEXT COLLATE "C",
	value TEXT COLLATE "C",
	row_json TEXT COLLATE "C" NOT NULL,
	status TEXT COLLATE "C" NOT NULL,
	entered_at TEXT COLLATE "C" NOT NULL,
	resolved_at TEXT COLLATE "C",
	CONSTRAINT pk_quarantine PRIMARY KEY (quarantine_id),
	CONSTRAINT ck_quarantine_status_is_known CHECK (status IN ('open', 'resolved', 'dismissed'))
)
--
CREATE INDEX ix_quarantine_status_contract_quarantine_id ON quarantine (status, contract, quarantine_id)
--
CREATE TABLE staged_events (
	seq BIGSERIAL NOT NULL,
	source TEXT COLLATE "C" NOT NULL,
	id TEXT COLLATE "C" NOT NULL,
	customer_id TEXT COLLATE "C" NOT NULL,
	meter TEXT COLLATE "C" NOT NULL,
	occurred_at TEXT COLLATE "C" NOT NULL,
	quantity TEXT COLLATE "C" NOT NULL,
	unique_value TEXT COLLATE "C",
	entered_at TEXT COLLATE "C" NOT NULL,
	entered_by TEXT COLLATE "C" NOT NULL,
	CONSTRAINT pk_staged_events PRIMARY KEY (seq)
)
--
CREATE TABLE lake_batches (
	table_name TEXT COLLATE "C" NOT NULL,
	batch_id TEXT COLLATE "C" NOT NULL,
	rows BIGINT NOT NULL,
	checksum TEXT COLLATE "C" NOT NULL,
	version BIGINT NOT NULL,
	committed_at TEXT COLLATE "C" NOT NULL,
	CONSTRAINT pk_lake_batches PRIMARY KEY (table_name, batch_id)
)
--
CREATE TABLE runs (
	run_id TEXT COLLATE "C" NOT NULL,
	period TEXT COLLATE "C" NOT NULL,
	as_of_at TEXT COLLATE "C" NOT NULL,
	status TEXT COLLATE "C" NOT NULL,
	is_final BOOLEAN NOT NULL,
	policy_hash TEXT COLLATE "C" NOT NULL,
	reference_hash TEXT COLLATE "C" NOT NULL,
	lake_versions TEXT COLLATE "C" NOT NULL,
	model_versions TEXT COLLATE "C" NOT NULL,
	shards BIGINT NOT NULL,
	started_at TEXT COLLATE "C" NOT NULL,
	finished_at TEXT COLLATE "C",
	entered_by TEXT COLLATE "C" NOT NULL,
	error TEXT COLLATE "C",
	CONSTRAINT pk_runs PRIMARY KEY (run_id),
	CONSTRAINT ck_runs_status_is_known CHECK (status IN ('running', 'finished', 'failed'))
)
--
CREATE INDEX ix_runs_period_started_at ON runs (period, started_at)
--
CREATE TABLE drafts (
	draft_id TEXT COLLATE "C" NOT NULL,
	version TEXT COLLATE "C" NOT NULL,
	entity_id TEXT COLLATE "C" NOT NULL,
	customer_id TEXT COLLATE "C" NOT NULL,
	contract_id TEXT COLLATE "C" NOT NULL,
	subscription_id TEXT COLLATE "C" NOT NULL,
	period TEXT COLLATE "C" NOT NULL,
	currency TEXT COLLATE "C" NOT NULL,
	period_start_on TEXT COLLATE "C" NOT NULL,
	period_end_on TEXT COLLATE "C" NOT NULL,
	tax_point_on TEXT COLLATE "C" NOT NULL,
	payment_terms_days BIGINT NOT NULL,
	subtotal_minor BIGINT NOT NULL,
	tax_minor BIGINT NOT NULL,
	total_minor BIGINT NOT NULL,
	lines BIGINT NOT NULL,
	run_id TEXT COLLATE "C" NOT NULL,
	state TEXT COLLATE "C" NOT NULL,
	lines_json TEXT COLLATE "C" NOT NULL,
	entered_at TEXT COLLATE "C" NOT NULL,
	entered_by TEXT COLLATE "C" NOT NULL,
	CONSTRAINT pk_drafts PRIMARY KEY (draft_id, version),
	CONSTRAINT ck_drafts_state_is_known CHECK (state IN ('draft', 'in_review', 'held', 'released', 'issued', 'rejected', 'superseded', 'lapsed'))
)
--
CREATE UNIQUE INDEX uq_drafts_live ON drafts (draft_id) WHERE state NOT IN ('superseded', 'lapsed')
--
CREATE INDEX ix_drafts_customer_id_period_start_on ON drafts (customer_id, period_start_on)
--
CREATE INDEX ix_drafts_run_id_state ON drafts (run_id, state)
--
CREATE INDEX ix_drafts_period_state ON drafts (period, state)
--
CREATE TABLE decisions (
	action TEXT COLLATE "C" NOT NULL,
	anomaly_score DOUBLE PRECISION,
	p_error DOUBLE PRECISION,
	p_error_basis TEXT COLLATE "C" NOT NULL,
	direction TEXT COLLATE "C" NOT NULL,
	p_late DOUBLE PRECISION,
	days_late_p10 DOUBLE PRECISION,
	days_late_p50 DOUBLE PRECISION,
	days_late_p90 DOUBLE PRECISION,
	expected_loss_minor BIGINT NOT NULL,
	currency TEXT COLLATE "C" NOT NULL,
	priority DOUBLE PRECISION,
	confidence TEXT COLLATE "C" NOT NULL,
	reasons TEXT COLLATE "C" NOT NULL,
	model_versions TEXT COLLATE "C" NOT NULL,
	policy_hash TEXT COLLATE "C" NOT NULL,
	draft_id TEXT COLLATE "C" NOT NULL,
	draft_version TEXT COLLATE "C" NOT NULL,
	run_id TEXT COLLATE "C" NOT NULL,
	findings_json TEXT COLLATE "C" NOT NULL,
	feature_hash TEXT COLLATE "C" NOT NULL,
	draft_hash TEXT COLLATE "C" NOT NULL,
	decided_at TEXT COLLATE "C" NOT NULL,
	CONSTRAINT pk_decisions PRIMARY KEY (draft_id, draft_version)
)
--
CREATE INDEX ix_decisions_run_id_action ON decisions (run_id, action)
--
CREATE TABLE skips (
	run_id TEXT COLLATE "C" NOT NULL,
	contract_id TEXT COLLATE "C" NOT NULL,
	subscription_id TEXT COLLATE "C" NOT NULL,
	charge_id TEXT COLLATE "C" NOT NULL,
	period TEXT COLLATE "C" NOT NULL,
	reason TEXT COLLATE "C" NOT NULL,
	CONSTRAINT pk_skips PRIMARY KEY (run_id, contract_id, subscription_id, charge_id, period)
)
--
CREATE TABLE cases (
	case_id TEXT COLLATE "C" NOT NULL,
	kind TEXT COLLATE "C" NOT NULL,
	draft_id TEXT COLLATE "C" NOT NULL,
	draft_version TEXT COLLATE "C" NOT NULL,
	action TEXT COLLATE "C" NOT NULL,
	status TEXT COLLATE "C" NOT NULL,
	queue TEXT COLLATE "C" NOT NULL,
	priority DOUBLE PRECISION,
	expected_loss_minor BIGINT NOT NULL,
	currency TEXT COLLATE "C" NOT NULL,
	lock_version BIGINT NOT NULL,
	opened_at TEXT COLLATE "C" NOT NULL,
	due_at TEXT COLLATE "C" NOT NULL,
	resolved_by TEXT COLLATE "C",
	resolved_at TEXT COLLATE "C",
	CONSTRAINT pk_cases PRIMARY KEY (case_id),
	CONSTRAINT ck_cases_kind_is_known CHECK (kind IN ('draft', 'gap')),
	CONSTRAINT ck_cases_action_is_known CHECK (action IN ('review', 'hold')),
	CONSTRAINT ck_cases_status_is_known CHECK (status IN ('open', 'released', 'corrected', 'rejected', 'lapsed'))
)
--
CREATE INDEX ix_cases_totals ON cases (currency, queue, action, expected_loss_minor) WHERE status = 'open'
--
CREATE INDEX ix_cases_draft_id_draft_version ON cases (draft_id, draft_version)
--
CREATE INDEX ix_cases_open ON cases (priority DESC, case_id) WHERE status = 'open'
--
CREATE TABLE labels (
	label_id TEXT COLLATE "C" NOT NULL,
	draft_id TEXT COLLATE "C" NOT NULL,
	draft_version TEXT COLLATE "C" NOT NULL,
	is_error BOOLEAN NOT NULL,
	source TEXT COLLATE "C" NOT NULL,
	reason_code TEXT COLLATE "C" NOT NULL,
	entered_by TEXT COLLATE "C" NOT NULL,
	entered_at TEXT COLLATE "C" NOT NULL,
	matures_on TEXT COLLATE "C" NOT NULL,
	CONSTRAINT pk_labels PRIMARY KEY (label_id)
)
--
CREATE INDEX ix_labels_draft_id ON labels (draft_id)
--
CREATE TABLE number_series (
	entity_id TEXT COLLATE "C" NOT NULL,
	series TEXT COLLATE "C" NOT NULL,
	next_number BIGINT NOT NULL,
	CONSTRAINT pk_number_series PRIMARY KEY (entity_id, series)
)
--
CREATE TABLE documents (
	document_id TEXT COLLATE "C" NOT NULL,
	entity_id TEXT COLLATE "C" NOT NULL,
	series TEXT COLLATE "C" NOT NULL,
	sequence BIGINT NOT NULL,
	kind TEXT COLLATE "C" NOT NULL,
	draft_id TEXT COLLATE "C" NOT NULL,
	draft_version TEXT COLLATE "C" NOT NULL,
	customer_id TEXT COLLATE "C" NOT NULL,
	contract_id TEXT COLLATE "C" NOT NULL,
	currency TEXT COLLATE "C" NOT NULL,
	issued_on TEXT COLLATE "C" NOT NULL,
	due_on TEXT COLLATE "C" NOT NULL,
	tax_point_on TEXT COLLATE "C" NOT NULL,
	period_start_on TEXT COLLATE "C" NOT NULL,
	period_end_on TEXT COLLATE "C" NOT NULL,
	subtotal_minor BIGINT NOT NULL,
	tax_minor BIGINT NOT NULL,
	total_minor BIGINT NOT NULL,
	entered_at TEXT COLLATE "C" NOT NULL,
	entered_by TEXT COLLATE "C" NOT NULL,
	CONSTRAINT pk_documents PRIMARY KEY (document_id),
	CONSTRAINT ck_documents_adds_up CHECK (subtotal_minor + tax_minor = total_minor),
	CONSTRAINT uq_documents_entity_id_series_sequence UNIQUE (entity_id, series, sequence),
	CONSTRAINT uq_documents_draft_id UNIQUE (draft_id)
)
--
CREATE INDEX ix_documents_customer_id_issued_on ON documents (customer_id, issued_on)
--
CREATE TABLE state_changes (
	seq BIGSERIAL NOT NULL,
	object_type TEXT COLLATE "C" NOT NULL,
	object_id TEXT COLLATE "C" NOT NULL,
	from_state TEXT COLLATE "C",
	to_state TEXT COLLATE "C" NOT NULL,
	entered_at TEXT COLLATE "C" NOT NULL,
	entered_by TEXT COLLATE "C" NOT NULL,
	CONSTRAINT pk_state_changes PRIMARY KEY (seq)
)
--
CREATE INDEX ix_state_changes_object_id_seq ON state_changes (object_id, seq)
--
CREATE TABLE audit_entries (
	seq BIGSERIAL NOT NULL,
	stream TEXT COLLATE "C" NOT NULL,
	entered_at TEXT COLLATE "C" NOT NULL,
	actor TEXT COLLATE "C" NOT NULL,
	action TEXT COLLATE "C" NOT NULL,
	object_id TEXT COLLATE "C" NOT NULL,
	detail TEXT COLLATE "C" NOT NULL,
	hash TEXT COLLATE "C" NOT NULL,
	CONSTRAINT pk_audit_entries PRIMARY KEY (seq),
	CONSTRAINT ck_audit_entries_stream_is_known CHECK (stream IN ('books', 'access'))
)
--
CREATE INDEX ix_audit_entries_object_id_seq ON audit_entries (object_id, seq)
--
CREATE TABLE audit_seals (
	stream TEXT COLLATE "C" NOT NULL,
	seal_id BIGINT NOT NULL,
	first_seq BIGINT NOT NULL,
	last_seq BIGINT NOT NULL,
	entries BIGINT NOT NULL,
	merkle_root TEXT COLLATE "C" NOT NULL,
	previous_head TEXT COLLATE "C" NOT NULL,
	head TEXT COLLATE "C" NOT NULL,
	sealed_at TEXT COLLATE "C" NOT NULL,
	CONSTRAINT pk_audit_seals PRIMARY KEY (stream, seal_id)
)
--
CREATE TABLE workers (
	worker_id TEXT COLLATE "C" NOT NULL,
	started_at TEXT COLLATE "C" NOT NULL,
	heartbeat_at TEXT COLLATE "C" NOT NULL,
	CONSTRAINT pk_workers PRIMARY KEY (worker_id)
)
--
CREATE TABLE idempotency_keys (
	key TEXT COLLATE "C" NOT NULL,
	user_id TEXT COLLATE "C" NOT NULL,
	request_hash TEXT COLLATE "C" NOT NULL,
	response_json TEXT COLLATE "C",
	status_code BIGINT,
	entered_at TEXT COLLATE "C" NOT NULL,
	CONSTRAINT pk_idempotency_keys PRIMARY KEY (key, user_id)
)
--
CREATE TABLE profiles (
	customer_id TEXT COLLATE "C" NOT NULL,
	as_of_on TEXT COLLATE "C" NOT NULL,
	payload TEXT COLLATE "C" NOT NULL,
	CONSTRAINT pk_profiles PRIMARY KEY (customer_id)
)
--
CREATE TABLE tokens (
	token_id TEXT COLLATE "C" NOT NULL,
	user_id TEXT COLLATE "C" NOT NULL,
	digest TEXT COLLATE "C" NOT NULL,
	name TEXT COLLATE "C" NOT NULL,
	created_at TEXT COLLATE "C" NOT NULL,
	expires_at TEXT COLLATE "C",
	revoked_at TEXT COLLATE "C",
	CONSTRAINT pk_tokens PRIMARY KEY (token_id),
	CONSTRAINT fk_tokens_users FOREIGN KEY(user_id) REFERENCES users (user_id),
	CONSTRAINT uq_tokens_digest UNIQUE (digest)
)
--
CREATE TABLE run_shards (
	run_id TEXT COLLATE "C" NOT NULL,
	shard BIGINT NOT NULL,
	customer_ids TEXT COLLATE "C" NOT NULL,
	status TEXT COLLATE "C" NOT NULL,
	counts TEXT COLLATE "C",
	seconds TEXT COLLATE "C",
	finished_at TEXT COLLATE "C",
	CONSTRAINT pk_run_shards PRIMARY KEY (run_id, shard),
	CONSTRAINT ck_run_shards_status_is_known CHECK (status IN ('pending', 'running', 'finished', 'failed')),
	CONSTRAINT fk_run_shards_runs FOREIGN KEY(run_id) REFERENCES runs (run_id)
)
--
CREATE TABLE verdicts (
	verdict_id TEXT COLLATE "C" NOT NULL,
	case_id TEXT COLLATE "C" NOT NULL,
	draft_id TEXT COLLATE "C" NOT NULL,
	draft_version TEXT COLLATE "C" NOT NULL,
	verdict TEXT COLLATE "C" NOT NULL,
	reason_code TEXT COLLATE "C" NOT NULL,
	note TEXT COLLATE "C",
	correction_json TEXT COLLATE "C",
	entered_at TEXT COLLATE "C" NOT NULL,
	entered_by TEXT COLLATE "C" NOT NULL,
	CONSTRAINT pk_verdicts PRIMARY KEY (verdict_id),
	CONSTRAINT ck_verdicts_verdict_is_known CHECK (verdict IN ('release', 'correct', 'reject')),
	CONSTRAINT fk_verdicts_cases FOREIGN KEY(case_id) REFERENCES cases (case_id),
	CONSTRAINT uq_verdicts_case_id UNIQUE (case_id)
)
--
CREATE INDEX ix_verdicts_draft_id ON verdicts (draft_id)
--
CREATE FUNCTION verdicts_four_eyes() RETURNS trigger LANGUAGE plpgsql AS $body$
        BEGIN
            IF NEW.verdict = 'release' AND
    EXISTS (SELECT 1 FROM verdicts earlier
            WHERE earlier.draft_id = NEW.draft_id
              AND earlier.verdict = 'correct'
              AND earlier.entered_by = NEW.entered_by)
 THEN
                RAISE EXCEPTION 'prebill: who corrected a draft may not release it' USING ERRCODE = 'check_violation';
            END IF;
            RETURN NEW;
        END $body$
--
CREATE TRIGGER verdicts_four_eyes BEFORE INSERT ON verdicts
        FOR EACH ROW EXECUTE FUNCTION verdicts_four_eyes()
--
CREATE TABLE journal_entries (
	entry_id TEXT COLLATE "C" NOT NULL,
	document_id TEXT COLLATE "C" NOT NULL,
	entity_id TEXT COLLATE "C" NOT NULL,
	posting_on TEXT COLLATE "C" NOT NULL,
	currency TEXT COLLATE "C" NOT NULL,
	entered_at TEXT COLLATE "C" NOT NULL,
	CONSTRAINT pk_journal_entries PRIMARY KEY (entry_id),
	CONSTRAINT fk_journal_entries_documents FOREIGN KEY(document_id) REFERENCES documents (document_id)
)
--
CREATE INDEX ix_journal_entries_document_id ON journal_entries (document_id)
--
CREATE TABLE outbox (
	delivery_id TEXT COLLATE "C" NOT NULL,
	document_id TEXT COLLATE "C" NOT NULL,
	channel TEXT COLLATE "C" NOT NULL,
	payload TEXT COLLATE "C" NOT NULL,
	status TEXT COLLATE "C" NOT NULL,
	attempts BIGINT NOT NULL,
	next_attempt_at TEXT COLLATE "C" NOT NULL,
	delivered_at TEXT COLLATE "C",
	last_error TEXT COLLATE "C",
	CONSTRAINT pk_outbox PRIMARY KEY (delivery_id),
	CONSTRAINT ck_outbox_status_is_known CHECK (status IN ('pending', 'delivered', 'failed')),
	CONSTRAINT fk_outbox_documents FOREIGN KEY(document_id) REFERENCES documents (document_id),
	CONSTRAINT uq_outbox_document_id_channel UNIQUE (document_id, channel)
)
--
CREATE INDEX ix_outbox_pending ON outbox (next_attempt_at, delivery_id) WHERE status = 'pending'
--
CREATE TABLE postings (
	entry_id TEXT COLLATE "C" NOT NULL,
	line BIGINT NOT NULL,
	account_id TEXT COLLATE "C" NOT NULL,
	purpose TEXT COLLATE "C" NOT NULL,
	amount_minor BIGINT NOT NULL,
	currency TEXT COLLATE "C" NOT NULL,
	functional_minor BIGINT NOT NULL,
	functional_currency TEXT COLLATE "C" NOT NULL,
	rate TEXT COLLATE "C" NOT NULL,
	CONSTRAINT pk_postings PRIMARY KEY (entry_id, line),
	CONSTRAINT fk_postings_journal_entries FOREIGN KEY(entry_id) REFERENCES journal_entries (entry_id)
)
