ALTER TABLE grapevine.surge_states
    ADD COLUMN IF NOT EXISTS seeds Array(Tuple(kind Enum8('visit' = 0, 'share' = 1), id UUID, time DateTime64(3, 'UTC'), app String, probability Float32)) COMMENT 'Who began it, as far as was seen: up to six, earliest first, of the first readers since started whose P(dark social) is .5 or more, and of the acts of sharing from an hour before the rise on.' AFTER apps;

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
    networks,
    reproduction_number,
    reproduction_low,
    reproduction_high,
    false_alarm
FROM grapevine.surges
WHERE networks >= (SELECT visitors_min FROM grapevine.k_anonymity)
COMMENT 'Surges from enough networks, without ids.';

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
    k_factor,
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
    token_share,
    model_version
FROM grapevine.spreads
WHERE arrivals >= (SELECT visitors_min FROM grapevine.k_anonymity)
COMMENT 'spreads of enough readers.';
