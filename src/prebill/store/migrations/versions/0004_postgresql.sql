ALTER TABLE cases DROP CONSTRAINT ck_cases_kind_is_known
--
ALTER TABLE cases ADD CONSTRAINT ck_cases_kind_is_known CHECK (kind IN ('draft', 'gap', 'gate', 'sample'))
--
ALTER TABLE cases DROP CONSTRAINT ck_cases_action_is_known
--
ALTER TABLE cases ADD CONSTRAINT ck_cases_action_is_known CHECK (action IN ('release', 'review', 'hold'))
--
ALTER TABLE labels ADD COLUMN was_shown BOOLEAN
--
UPDATE labels SET was_shown = source = 'verdict'
--
ALTER TABLE labels ALTER COLUMN was_shown SET NOT NULL
--
ALTER TABLE labels ADD COLUMN propensity DOUBLE PRECISION
--
ALTER TABLE labels ADD CONSTRAINT ck_labels_source_is_known CHECK (source IN ('credit_note', 'verdict', 'sample', 'dispute', 'payment'))
--
ALTER TABLE decisions ADD COLUMN sample_propensity DOUBLE PRECISION
