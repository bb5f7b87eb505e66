ALTER TABLE grapevine.spread_states
    ADD COLUMN IF NOT EXISTS reproduction_now Nullable(Float64) COMMENT 'R now: the same of the newest 96 readers and the time since (Cori et al. 2013), settled or not; null below two readers.' AFTER k_factor,
    ADD COLUMN IF NOT EXISTS reproduction_now_low Nullable(Float64) COMMENT 'Low end of its range.' AFTER reproduction_now,
    ADD COLUMN IF NOT EXISTS reproduction_now_high Nullable(Float64) COMMENT 'High end.' AFTER reproduction_now_low,
    ADD COLUMN IF NOT EXISTS amplification Nullable(Float64) COMMENT 'Readers that one from outside leads to in the end, itself included: 1 / (1 - R); null where R may be 1 or more.' AFTER reproduction_now_high,
    ADD COLUMN IF NOT EXISTS amplification_low Nullable(Float64) COMMENT 'Low end of its range.' AFTER amplification,
    ADD COLUMN IF NOT EXISTS amplification_high Nullable(Float64) COMMENT 'High end.' AFTER amplification_low,
    ADD COLUMN IF NOT EXISTS doubling_seconds Nullable(Float64) COMMENT 'Time in which readers double, from R and the usual delays between readers (Wallinga and Lipsitch 2007); null unless R is surely above 1.' AFTER amplification_high,
    ADD COLUMN IF NOT EXISTS doubling_seconds_low Nullable(Float64) COMMENT 'Low end of its range.' AFTER doubling_seconds,
    ADD COLUMN IF NOT EXISTS doubling_seconds_high Nullable(Float64) COMMENT 'High end.' AFTER doubling_seconds_low;

ALTER TABLE grapevine.surge_states
    COMMENT COLUMN IF EXISTS reproduction_number 'R now of the content\'s readers, as chains are inferred: readers that one reader brings, of the newest 96 and the time since; null where its readers are not followed or fewer than two.';

CREATE OR REPLACE VIEW grapevine.spreads AS
SELECT
    *,
    chain_arrivals / nullIf(settled, 0) AS chain_share,
    chain_arrivals_low / nullIf(settled, 0) AS chain_share_low,
    chain_arrivals_high / nullIf(settled, 0) AS chain_share_high,
    tokens / nullIf(arrivals, 0) AS token_share
FROM grapevine.spread_states FINAL
COMMENT 'How contents spread, each as it stands now. chain_share is the part of settled readers who came from an earlier reader, with its range.';

CREATE OR REPLACE VIEW grapevine.bi_spreads AS
SELECT
    site,
    content,
    toDate(started) AS day,
    closed,
    arrivals,
    settled,
    shares,
    chain_share,
    chain_share_low,
    chain_share_high,
    reproduction,
    reproduction_low,
    reproduction_high,
    structural_virality,
    structural_virality_low,
    structural_virality_high,
    depth,
    generation,
    generation_time_seconds,
    half_life_seconds,
    k_factor,
    reproduction_now,
    reproduction_now_low,
    reproduction_now_high,
    amplification,
    doubling_seconds,
    broadcast,
    token_share,
    model_version
FROM grapevine.spreads
WHERE arrivals >= (SELECT visitors_min FROM grapevine.k_anonymity)
COMMENT 'spreads of enough readers.';
