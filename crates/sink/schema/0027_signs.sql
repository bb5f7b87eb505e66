-- How many signs there were that people passed a surge's content on, and how many are usual: what a site itself sends
-- without tags has hardly any.
ALTER TABLE grapevine.surge_states
    ADD COLUMN IF NOT EXISTS signs Float64 COMMENT 'Signs since started that it was passed on: visits whose private link a fact tells of (sum of their P(dark social)), and acts of sharing that may be private.' AFTER share_acts,
    ADD COLUMN IF NOT EXISTS signs_usual Float64 COMMENT 'How many such signs are usual on this site for so many dark visits. Far fewer signs than that: rather sent by something that leaves no trace, such as a notification or newsletter of the site without tags.' AFTER signs;

CREATE OR REPLACE VIEW grapevine.surges AS
SELECT * FROM grapevine.surge_states FINAL
COMMENT 'Contents that are or were spreading in the dark faster than their baseline, each surge as it stands now.';

CREATE OR REPLACE VIEW grapevine.bi_surges AS
SELECT
    site,
    content,
    state,
    started,
    updated,
    visits,
    dark,
    dark_low,
    dark_high,
    baseline,
    baseline_high,
    rate_per_hour,
    doubling_seconds,
    doubling_seconds_low,
    doubling_seconds_high,
    apps,
    share_acts,
    signs,
    signs_usual,
    networks,
    reproduction_number,
    reproduction_low,
    reproduction_high,
    false_alarm
FROM grapevine.surges
WHERE networks >= (SELECT visitors_min FROM grapevine.k_anonymity)
COMMENT 'Surges from enough networks, without ids.';
