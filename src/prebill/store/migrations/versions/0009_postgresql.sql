ALTER TABLE hook_rows DROP CONSTRAINT ck_hook_rows_table_name_is_known
--
ALTER TABLE hook_rows ADD CONSTRAINT ck_hook_rows_table_name_is_known CHECK (table_name IN ('feature_rows', 'shadow_scores', 'decisions'))
