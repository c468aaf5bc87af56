CREATE TABLE legal_entities (
	entity_id TEXT NOT NULL,
	name TEXT NOT NULL,
	country TEXT NOT NULL,
	currency TEXT NOT NULL,
	time_zone TEXT NOT NULL,
	tax_registration_id TEXT,
	series TEXT NOT NULL,
	grace_days BIGINT NOT NULL,
	issue_by_days BIGINT NOT NULL,
	import_id TEXT,
	CONSTRAINT pk_legal_entities PRIMARY KEY (entity_id)
)
--
CREATE TABLE customers (
	customer_id TEXT NOT NULL,
	name TEXT,
	email TEXT,
	country TEXT,
	region TEXT,
	tax_id TEXT,
	is_business BOOLEAN,
	segment TEXT,
	signed_up_on TEXT,
	import_id TEXT,
	CONSTRAINT pk_customers PRIMARY KEY (customer_id)
)
--
CREATE TABLE customer_links (
	customer_id TEXT NOT NULL,
	system TEXT NOT NULL,
	external_id TEXT NOT NULL,
	import_id TEXT,
	CONSTRAINT pk_customer_links PRIMARY KEY (system, external_id)
)
--
CREATE INDEX ix_customer_links_customer_id ON customer_links (customer_id)
--
CREATE TABLE meters (
	meter TEXT NOT NULL,
	name TEXT NOT NULL,
	aggregation TEXT NOT NULL,
	unit TEXT NOT NULL,
	max_quantity TEXT NOT NULL,
	import_id TEXT,
	CONSTRAINT pk_meters PRIMARY KEY (meter)
)
--
CREATE TABLE price_books (
	price_book_id TEXT NOT NULL,
	family TEXT NOT NULL,
	version BIGINT NOT NULL,
	currency TEXT NOT NULL,
	effective_from_on TEXT NOT NULL,
	import_id TEXT,
	CONSTRAINT pk_price_books PRIMARY KEY (price_book_id)
)
--
CREATE TABLE plans (
	price_book_id TEXT NOT NULL,
	plan_id TEXT NOT NULL,
	name TEXT NOT NULL,
	import_id TEXT,
	CONSTRAINT pk_plans PRIMARY KEY (price_book_id, plan_id)
)
--
CREATE TABLE charges (
	price_book_id TEXT NOT NULL,
	plan_id TEXT NOT NULL,
	charge_id TEXT NOT NULL,
	name TEXT NOT NULL,
	charge_model TEXT NOT NULL,
	quantity_source TEXT NOT NULL,
	meter TEXT,
	timing TEXT NOT NULL,
	is_prorated BOOLEAN NOT NULL,
	unit_price TEXT,
	package_size TEXT,
	included_quantity TEXT NOT NULL,
	tax_category TEXT NOT NULL,
	import_id TEXT,
	CONSTRAINT pk_charges PRIMARY KEY (price_book_id, plan_id, charge_id)
)
--
CREATE TABLE tiers (
	price_book_id TEXT NOT NULL,
	plan_id TEXT NOT NULL,
	charge_id TEXT NOT NULL,
	from_quantity TEXT NOT NULL,
	up_to_quantity TEXT,
	unit_price TEXT NOT NULL,
	flat_fee TEXT NOT NULL,
	import_id TEXT,
	CONSTRAINT pk_tiers PRIMARY KEY (price_book_id, plan_id, charge_id, from_quantity)
)
--
CREATE TABLE contracts (
	contract_id TEXT NOT NULL,
	customer_id TEXT NOT NULL,
	entity_id TEXT NOT NULL,
	currency TEXT NOT NULL,
	time_zone TEXT NOT NULL,
	starts_on TEXT NOT NULL,
	ends_on TEXT,
	payment_terms_days BIGINT NOT NULL,
	proration_policy TEXT NOT NULL,
	recorded_at TEXT NOT NULL,
	import_id TEXT,
	CONSTRAINT pk_contracts PRIMARY KEY (contract_id, recorded_at)
)
--
CREATE INDEX ix_contracts_customer_id ON contracts (customer_id)
--
CREATE TABLE contract_terms (
	contract_id TEXT NOT NULL,
	term_id TEXT NOT NULL,
	plan_id TEXT NOT NULL,
	price_book_id TEXT NOT NULL,
	quantity TEXT NOT NULL,
	discount_percent TEXT NOT NULL,
	discount_ends_on TEXT,
	effective_from_on TEXT NOT NULL,
	effective_to_on TEXT,
	recorded_at TEXT NOT NULL,
	import_id TEXT,
	CONSTRAINT pk_contract_terms PRIMARY KEY (contract_id, term_id, recorded_at)
)
--
CREATE TABLE subscriptions (
	subscription_id TEXT NOT NULL,
	contract_id TEXT NOT NULL,
	customer_id TEXT NOT NULL,
	started_on TEXT NOT NULL,
	ended_on TEXT,
	recorded_at TEXT NOT NULL,
	import_id TEXT,
	CONSTRAINT pk_subscriptions PRIMARY KEY (subscription_id, recorded_at)
)
--
CREATE INDEX ix_subscriptions_customer_id ON subscriptions (customer_id)
--
CREATE INDEX ix_subscriptions_contract_id ON subscriptions (contract_id)
--
CREATE TABLE subscription_phases (
	subscription_id TEXT NOT NULL,
	phase_id TEXT NOT NULL,
	plan_id TEXT NOT NULL,
	price_book_id TEXT NOT NULL,
	quantity TEXT NOT NULL,
	discount_percent TEXT NOT NULL,
	discount_ends_on TEXT,
	effective_from_on TEXT NOT NULL,
	effective_to_on TEXT,
	recorded_at TEXT NOT NULL,
	import_id TEXT,
	CONSTRAINT pk_subscription_phases PRIMARY KEY (subscription_id, phase_id, recorded_at)
)
--
CREATE TABLE entitlements (
	entitlement_id TEXT NOT NULL,
	contract_id TEXT NOT NULL,
	feature TEXT NOT NULL,
	granted_quantity TEXT NOT NULL,
	effective_from_on TEXT NOT NULL,
	effective_to_on TEXT,
	import_id TEXT,
	CONSTRAINT pk_entitlements PRIMARY KEY (entitlement_id)
)
--
CREATE INDEX ix_entitlements_contract_id ON entitlements (contract_id)
--
CREATE TABLE exchange_rates (
	base_currency TEXT NOT NULL,
	quote_currency TEXT NOT NULL,
	rate_on TEXT NOT NULL,
	rate TEXT NOT NULL,
	source TEXT NOT NULL,
	import_id TEXT,
	CONSTRAINT pk_exchange_rates PRIMARY KEY (base_currency, quote_currency, rate_on)
)
--
CREATE TABLE ledger_accounts (
	entity_id TEXT NOT NULL,
	account_id TEXT NOT NULL,
	name TEXT NOT NULL,
	kind TEXT NOT NULL,
	import_id TEXT,
	CONSTRAINT pk_ledger_accounts PRIMARY KEY (entity_id, account_id)
)
--
CREATE TABLE account_mappings (
	entity_id TEXT NOT NULL,
	purpose TEXT NOT NULL,
	tax_category TEXT NOT NULL,
	account_id TEXT NOT NULL,
	import_id TEXT,
	CONSTRAINT pk_account_mappings PRIMARY KEY (entity_id, purpose, tax_category)
)
--
CREATE TABLE accounting_periods (
	entity_id TEXT NOT NULL,
	period TEXT NOT NULL,
	status TEXT NOT NULL,
	import_id TEXT,
	CONSTRAINT pk_accounting_periods PRIMARY KEY (entity_id, period)
)
--
CREATE TABLE users (
	user_id TEXT NOT NULL,
	name TEXT NOT NULL,
	email TEXT NOT NULL,
	role TEXT NOT NULL,
	password_hash TEXT NOT NULL,
	is_active BOOLEAN NOT NULL,
	must_change_password BOOLEAN NOT NULL,
	created_at TEXT NOT NULL,
	CONSTRAINT pk_users PRIMARY KEY (user_id),
	CONSTRAINT ck_users_role_is_known CHECK (role IN ('admin', 'controller', 'reviewer', 'viewer')),
	CONSTRAINT uq_users_email UNIQUE (email)
)
--
CREATE TABLE imports (
	import_id TEXT NOT NULL,
	file TEXT NOT NULL,
	contract TEXT NOT NULL,
	digest TEXT NOT NULL,
	rows BIGINT NOT NULL,
	good BIGINT NOT NULL,
	known BIGINT NOT NULL,
	rejected BIGINT NOT NULL,
	entered_at TEXT NOT NULL,
	entered_by TEXT NOT NULL,
	CONSTRAINT pk_imports PRIMARY KEY (import_id)
)
--
CREATE TABLE quarantine (
	quarantine_id TEXT NOT NULL,
	import_id TEXT NOT NULL,
	contract TEXT NOT NULL,
	file TEXT NOT NULL,
	line BIGINT NOT NULL,
	rule TEXT NOT NULL,
	column_name TEXT,
	value TEXT,
	row_json TEXT NOT NULL,
	status TEXT NOT NULL,
	entered_at TEXT NOT NULL,
	resolved_at TEXT,
	CONSTRAINT pk_quarantine PRIMARY KEY (quarantine_id),
	CONSTRAINT ck_quarantine_status_is_known CHECK (status IN ('open', 'resolved', 'dismissed'))
)
--
CREATE INDEX ix_quarantine_status_contract_quarantine_id ON quarantine (status, contract, quarantine_id)
--
CREATE TABLE staged_events (
	seq INTEGER NOT NULL,
	source TEXT NOT NULL,
	id TEXT NOT NULL,
	customer_id TEXT NOT NULL,
	meter TEXT NOT NULL,
	occurred_at TEXT NOT NULL,
	quantity TEXT NOT NULL,
	unique_value TEXT,
	entered_at TEXT NOT NULL,
	entered_by TEXT NOT NULL,
	CONSTRAINT pk_staged_events PRIMARY KEY (seq)
)
--
CREATE TABLE lake_batches (
	table_name TEXT NOT NULL,
	batch_id TEXT NOT NULL,
	rows BIGINT NOT NULL,
	checksum TEXT NOT NULL,
	version BIGINT NOT NULL,
	committed_at TEXT NOT NULL,
	CONSTRAINT pk_lake_batches PRIMARY KEY (table_name, batch_id)
)
--
CREATE TABLE runs (
	run_id TEXT NOT NULL,
	period TEXT NOT NULL,
	as_of_at TEXT NOT NULL,
	status TEXT NOT NULL,
	is_final BOOLEAN NOT NULL,
	policy_hash TEXT NOT NULL,
	reference_hash TEXT NOT NULL,
	lake_versions TEXT NOT NULL,
	model_versions TEXT NOT NULL,
	shards BIGINT NOT NULL,
	started_at TEXT NOT NULL,
	finished_at TEXT,
	entered_by TEXT NOT NULL,
	error TEXT,
	CONSTRAINT pk_runs PRIMARY KEY (run_id),
	CONSTRAINT ck_runs_status_is_known CHECK (status IN ('running', 'finished', 'failed'))
)
--
CREATE INDEX ix_runs_period_started_at ON runs (period, started_at)
--
CREATE TABLE drafts (
	draft_id TEXT NOT NULL,
	version TEXT NOT NULL,
	entity_id TEXT NOT NULL,
	customer_id TEXT NOT NULL,
	contract_id TEXT NOT NULL,
	subscription_id TEXT NOT NULL,
	period TEXT NOT NULL,
	currency TEXT NOT NULL,
	period_start_on TEXT NOT NULL,
	period_end_on TEXT NOT NULL,
	tax_point_on TEXT NOT NULL,
	payment_terms_days BIGINT NOT NULL,
	subtotal_minor BIGINT NOT NULL,
	tax_minor BIGINT NOT NULL,
	total_minor BIGINT NOT NULL,
	lines BIGINT NOT NULL,
	run_id TEXT NOT NULL,
	state TEXT NOT NULL,
	lines_json TEXT NOT NULL,
	entered_at TEXT NOT NULL,
	entered_by TEXT NOT NULL,
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
	action TEXT NOT NULL,
	anomaly_score DOUBLE,
	p_error DOUBLE,
	p_error_basis TEXT NOT NULL,
	direction TEXT NOT NULL,
	p_late DOUBLE,
	days_late_p10 DOUBLE,
	days_late_p50 DOUBLE,
	days_late_p90 DOUBLE,
	expected_loss_minor BIGINT NOT NULL,
	currency TEXT NOT NULL,
	priority DOUBLE,
	confidence TEXT NOT NULL,
	reasons TEXT NOT NULL,
	model_versions TEXT NOT NULL,
	policy_hash TEXT NOT NULL,
	draft_id TEXT NOT NULL,
	draft_version TEXT NOT NULL,
	run_id TEXT NOT NULL,
	findings_json TEXT NOT NULL,
	feature_hash TEXT NOT NULL,
	draft_hash TEXT NOT NULL,
	decided_at TEXT NOT NULL,
	CONSTRAINT pk_decisions PRIMARY KEY (draft_id, draft_version)
)
--
CREATE INDEX ix_decisions_run_id_action ON decisions (run_id, action)
--
CREATE TABLE skips (
	run_id TEXT NOT NULL,
	contract_id TEXT NOT NULL,
	subscription_id TEXT NOT NULL,
	charge_id TEXT NOT NULL,
	period TEXT NOT NULL,
	reason TEXT NOT NULL,
	CONSTRAINT pk_skips PRIMARY KEY (run_id, contract_id, subscription_id, charge_id, period)
)
--
CREATE TABLE cases (
	case_id TEXT NOT NULL,
	kind TEXT NOT NULL,
	draft_id TEXT NOT NULL,
	draft_version TEXT NOT NULL,
	action TEXT NOT NULL,
	status TEXT NOT NULL,
	queue TEXT NOT NULL,
	priority DOUBLE,
	expected_loss_minor BIGINT NOT NULL,
	currency TEXT NOT NULL,
	lock_version BIGINT NOT NULL,
	opened_at TEXT NOT NULL,
	due_at TEXT NOT NULL,
	resolved_by TEXT,
	resolved_at TEXT,
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
	label_id TEXT NOT NULL,
	draft_id TEXT NOT NULL,
	draft_version TEXT NOT NULL,
	is_error BOOLEAN NOT NULL,
	source TEXT NOT NULL,
	reason_code TEXT NOT NULL,
	entered_by TEXT NOT NULL,
	entered_at TEXT NOT NULL,
	matures_on TEXT NOT NULL,
	CONSTRAINT pk_labels PRIMARY KEY (label_id)
)
--
CREATE INDEX ix_labels_draft_id ON labels (draft_id)
--
CREATE TABLE number_series (
	entity_id TEXT NOT NULL,
	series TEXT NOT NULL,
	next_number BIGINT NOT NULL,
	CONSTRAINT pk_number_series PRIMARY KEY (entity_id, series)
)
--
CREATE TABLE documents (
	document_id TEXT NOT NULL,
	entity_id TEXT NOT NULL,
	series TEXT NOT NULL,
	sequence BIGINT NOT NULL,
	kind TEXT NOT NULL,
	draft_id TEXT NOT NULL,
	draft_version TEXT NOT NULL,
	customer_id TEXT NOT NULL,
	contract_id TEXT NOT NULL,
	currency TEXT NOT NULL,
	issued_on TEXT NOT NULL,
	due_on TEXT NOT NULL,
	tax_point_on TEXT NOT NULL,
	period_start_on TEXT NOT NULL,
	period_end_on TEXT NOT NULL,
	subtotal_minor BIGINT NOT NULL,
	tax_minor BIGINT NOT NULL,
	total_minor BIGINT NOT NULL,
	entered_at TEXT NOT NULL,
	entered_by TEXT NOT NULL,
	CONSTRAINT pk_documents PRIMARY KEY (document_id),
	CONSTRAINT ck_documents_adds_up CHECK (subtotal_minor + tax_minor = total_minor),
	CONSTRAINT uq_documents_entity_id_series_sequence UNIQUE (entity_id, series, sequence),
	CONSTRAINT uq_documents_draft_id UNIQUE (draft_id)
)
--
CREATE INDEX ix_documents_customer_id_issued_on ON documents (customer_id, issued_on)
--
CREATE TABLE state_changes (
	seq INTEGER NOT NULL,
	object_type TEXT NOT NULL,
	object_id TEXT NOT NULL,
	from_state TEXT,
	to_state TEXT NOT NULL,
	entered_at TEXT NOT NULL,
	entered_by TEXT NOT NULL,
	CONSTRAINT pk_state_changes PRIMARY KEY (seq)
)
--
CREATE INDEX ix_state_changes_object_id_seq ON state_changes (object_id, seq)
--
CREATE TABLE audit_entries (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	stream TEXT NOT NULL,
	entered_at TEXT NOT NULL,
	actor TEXT NOT NULL,
	action TEXT NOT NULL,
	object_id TEXT NOT NULL,
	detail TEXT NOT NULL,
	hash TEXT NOT NULL,
	CONSTRAINT ck_audit_entries_stream_is_known CHECK (stream IN ('books', 'access'))
)
--
CREATE INDEX ix_audit_entries_object_id_seq ON audit_entries (object_id, seq)
--
CREATE TABLE audit_seals (
	stream TEXT NOT NULL,
	seal_id BIGINT NOT NULL,
	first_seq BIGINT NOT NULL,
	last_seq BIGINT NOT NULL,
	entries BIGINT NOT NULL,
	merkle_root TEXT NOT NULL,
	previous_head TEXT NOT NULL,
	head TEXT NOT NULL,
	sealed_at TEXT NOT NULL,
	CONSTRAINT pk_audit_seals PRIMARY KEY (stream, seal_id)
)
--
CREATE TABLE workers (
	worker_id TEXT NOT NULL,
	started_at TEXT NOT NULL,
	heartbeat_at TEXT NOT NULL,
	CONSTRAINT pk_workers PRIMARY KEY (worker_id)
)
--
CREATE TABLE idempotency_keys (
	"key" TEXT NOT NULL,
	user_id TEXT NOT NULL,
	request_hash TEXT NOT NULL,
	response_json TEXT,
	status_code BIGINT,
	entered_at TEXT NOT NULL,
	CONSTRAINT pk_idempotency_keys PRIMARY KEY ("key", user_id)
)
--
CREATE TABLE profiles (
	customer_id TEXT NOT NULL,
	as_of_on TEXT NOT NULL,
	payload TEXT NOT NULL,
	CONSTRAINT pk_profiles PRIMARY KEY (customer_id)
)
--
CREATE TABLE tokens (
	token_id TEXT NOT NULL,
	user_id TEXT NOT NULL,
	digest TEXT NOT NULL,
	name TEXT NOT NULL,
	created_at TEXT NOT NULL,
	expires_at TEXT,
	revoked_at TEXT,
	CONSTRAINT pk_tokens PRIMARY KEY (token_id),
	CONSTRAINT fk_tokens_users FOREIGN KEY(user_id) REFERENCES users (user_id),
	CONSTRAINT uq_tokens_digest UNIQUE (digest)
)
--
CREATE TABLE run_shards (
	run_id TEXT NOT NULL,
	shard BIGINT NOT NULL,
	customer_ids TEXT NOT NULL,
	status TEXT NOT NULL,
	counts TEXT,
	seconds TEXT,
	finished_at TEXT,
	CONSTRAINT pk_run_shards PRIMARY KEY (run_id, shard),
	CONSTRAINT ck_run_shards_status_is_known CHECK (status IN ('pending', 'running', 'finished', 'failed')),
	CONSTRAINT fk_run_shards_runs FOREIGN KEY(run_id) REFERENCES runs (run_id)
)
--
CREATE TABLE verdicts (
	verdict_id TEXT NOT NULL,
	case_id TEXT NOT NULL,
	draft_id TEXT NOT NULL,
	draft_version TEXT NOT NULL,
	verdict TEXT NOT NULL,
	reason_code TEXT NOT NULL,
	note TEXT,
	correction_json TEXT,
	entered_at TEXT NOT NULL,
	entered_by TEXT NOT NULL,
	CONSTRAINT pk_verdicts PRIMARY KEY (verdict_id),
	CONSTRAINT ck_verdicts_verdict_is_known CHECK (verdict IN ('release', 'correct', 'reject')),
	CONSTRAINT fk_verdicts_cases FOREIGN KEY(case_id) REFERENCES cases (case_id),
	CONSTRAINT uq_verdicts_case_id UNIQUE (case_id)
)
--
CREATE INDEX ix_verdicts_draft_id ON verdicts (draft_id)
--
CREATE TRIGGER verdicts_four_eyes BEFORE INSERT ON verdicts
        WHEN NEW.verdict = 'release' AND
    EXISTS (SELECT 1 FROM verdicts earlier
            WHERE earlier.draft_id = NEW.draft_id
              AND earlier.verdict = 'correct'
              AND earlier.entered_by = NEW.entered_by)

        BEGIN SELECT RAISE(ABORT, 'prebill: who corrected a draft may not release it'); END
--
CREATE TABLE journal_entries (
	entry_id TEXT NOT NULL,
	document_id TEXT NOT NULL,
	entity_id TEXT NOT NULL,
	posting_on TEXT NOT NULL,
	currency TEXT NOT NULL,
	entered_at TEXT NOT NULL,
	CONSTRAINT pk_journal_entries PRIMARY KEY (entry_id),
	CONSTRAINT fk_journal_entries_documents FOREIGN KEY(document_id) REFERENCES documents (document_id)
)
--
CREATE INDEX ix_journal_entries_document_id ON journal_entries (document_id)
--
CREATE TABLE outbox (
	delivery_id TEXT NOT NULL,
	document_id TEXT NOT NULL,
	channel TEXT NOT NULL,
	payload TEXT NOT NULL,
	status TEXT NOT NULL,
	attempts BIGINT NOT NULL,
	next_attempt_at TEXT NOT NULL,
	delivered_at TEXT,
	last_error TEXT,
	CONSTRAINT pk_outbox PRIMARY KEY (delivery_id),
	CONSTRAINT ck_outbox_status_is_known CHECK (status IN ('pending', 'delivered', 'failed')),
	CONSTRAINT fk_outbox_documents FOREIGN KEY(document_id) REFERENCES documents (document_id),
	CONSTRAINT uq_outbox_document_id_channel UNIQUE (document_id, channel)
)
--
CREATE INDEX ix_outbox_pending ON outbox (next_attempt_at, delivery_id) WHERE status = 'pending'
--
CREATE TABLE postings (
	entry_id TEXT NOT NULL,
	line BIGINT NOT NULL,
	account_id TEXT NOT NULL,
	purpose TEXT NOT NULL,
	amount_minor BIGINT NOT NULL,
	currency TEXT NOT NULL,
	functional_minor BIGINT NOT NULL,
	functional_currency TEXT NOT NULL,
	rate TEXT NOT NULL,
	CONSTRAINT pk_postings PRIMARY KEY (entry_id, line),
	CONSTRAINT fk_postings_journal_entries FOREIGN KEY(entry_id) REFERENCES journal_entries (entry_id)
)
