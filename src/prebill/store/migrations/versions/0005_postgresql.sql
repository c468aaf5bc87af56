CREATE TABLE hook_rows (
	seq BIGSERIAL NOT NULL,
	table_name TEXT COLLATE "C" NOT NULL,
	row_json TEXT COLLATE "C" NOT NULL,
	entered_at TEXT COLLATE "C" NOT NULL,
	CONSTRAINT pk_hook_rows PRIMARY KEY (seq),
	CONSTRAINT ck_hook_rows_table_name_is_known CHECK (table_name IN ('feature_rows', 'shadow_scores'))
)
