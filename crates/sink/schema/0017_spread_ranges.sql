ALTER TABLE grapevine.spread_states
    ADD COLUMN IF NOT EXISTS half_life_seconds_low Nullable(Float64) COMMENT 'Low end of its range: what the number of later readers leaves open, with those still to come and the width of counted ages. Which moment was the busiest, and more readers from outside than come in one and a half more doublings of the age as they did in the last, are not in it.' AFTER half_life_seconds,
    ADD COLUMN IF NOT EXISTS half_life_seconds_high Nullable(Float64) COMMENT 'High end; where it has not come yet, the time that has passed.' AFTER half_life_seconds_low,
    ADD COLUMN IF NOT EXISTS k_factor_low Nullable(Float64) COMMENT 'Low end of its range.' AFTER k_factor,
    ADD COLUMN IF NOT EXISTS k_factor_high Nullable(Float64) COMMENT 'High end.' AFTER k_factor_low,
    ADD COLUMN IF NOT EXISTS broadcast_probability Nullable(Float64) COMMENT 'Probability that at least one link of a reader was mainly read in public, by how those came who brought its token and how many at once; null where no token named a reader.' AFTER largest_broadcast,
    ADD COLUMN IF NOT EXISTS broadcast_arrivals Nullable(Float64) COMMENT 'Expected readers by tokens of such links: of certain_shares, those who are no chain of private messages.' AFTER broadcast_probability,
    ADD COLUMN IF NOT EXISTS broadcast_arrivals_low Nullable(Float64) COMMENT 'Low end of its range.' AFTER broadcast_arrivals,
    ADD COLUMN IF NOT EXISTS broadcast_arrivals_high Nullable(Float64) COMMENT 'High end.' AFTER broadcast_arrivals_low;

ALTER TABLE grapevine.spread_states
    COMMENT COLUMN IF EXISTS broadcast 'True where a shared link is likelier to have been posted in public than passed on in private, or one brought more than 50 readers.';

CREATE OR REPLACE VIEW grapevine.spreads AS
SELECT
    *,
    chain_arrivals / nullIf(settled, 0) AS chain_share,
    chain_arrivals_low / nullIf(settled, 0) AS chain_share_low,
    chain_arrivals_high / nullIf(settled, 0) AS chain_share_high,
    tokens / nullIf(arrivals, 0) AS token_share
FROM grapevine.spread_states FINAL
COMMENT 'How contents spread, each as it stands now. chain_share is the part of settled readers who came from an earlier reader, with its range; broadcast_arrivals of them came by a link that was posted in public.';

CREATE OR REPLACE VIEW grapevine.bi_spreads AS
SELECT
    site,
    content,
    toDate(started) AS day,
    updated,
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
    half_life_seconds_low,
    half_life_seconds_high,
    k_factor,
    k_factor_low,
    k_factor_high,
    reproduction_now,
    reproduction_now_low,
    reproduction_now_high,
    amplification,
    amplification_low,
    amplification_high,
    doubling_seconds,
    doubling_seconds_low,
    doubling_seconds_high,
    broadcast,
    broadcast_probability,
    broadcast_arrivals,
    broadcast_arrivals_low,
    broadcast_arrivals_high,
    token_share,
    model_version
FROM grapevine.spreads
WHERE arrivals >= (SELECT visitors_min FROM grapevine.k_anonymity)
COMMENT 'spreads of enough readers.';

CREATE OR REPLACE VIEW grapevine.spread_by_site AS
SELECT
    site,
    toDate(started) AS day,
    count() AS contents,
    sum(spreads.arrivals) AS arrivals,
    sum(spreads.settled) AS settled,
    sum(spreads.tokens) AS tokens,
    sum(spreads.chain_arrivals) AS chain_arrivals,
    sum(spreads.chain_arrivals_low) AS chain_arrivals_low,
    sum(spreads.chain_arrivals_high) AS chain_arrivals_high,
    countIf(spreads.broadcast) AS broadcasts,
    sum(spreads.broadcast_arrivals) AS broadcast_arrivals
FROM grapevine.spreads AS spreads
GROUP BY site, day
COMMENT 'Readers and those who came from earlier readers, by the day that a content was first read on, with those of them who came by links posted in public. Low and high add up as if all contents erred the same way.';
