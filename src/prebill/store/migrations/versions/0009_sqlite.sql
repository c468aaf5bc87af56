CREATE TABLE hook_rows_kept AS SELECT * FROM hook_rows
--
DROP TABLE hook_rows
--
CREATE TABLE hook_rows (
	seq INTEGER NOT NULL,
	table_name TEXT NOT NULL,
	row_json TEXT NOT NULL,
	entered_at TEXT NOT NULL,
	CONSTRAINT pk_hook_rows PRIMARY KEY (seq),
	CONSTRAINT ck_hook_rows_table_name_is_known CHECK (table_name IN ('feature_rows', 'shadow_scores', 'decisions'))
)
--
INSERT INTO hook_rows SELECT seq, table_name, row_json, entered_at FROM hook_rows_kept
--
DROP TABLE hook_rows_kept
