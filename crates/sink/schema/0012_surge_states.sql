CREATE TABLE IF NOT EXISTS grapevine.surge_states
(
    surge_id UUID COMMENT 'Identity of this surge, the same in every record of it.',
    site LowCardinality(String) COMMENT 'Site, lower case.',
    content String COMMENT 'Canonical URL.',
    state Enum8('raised' = 0, 'updated' = 1, 'over' = 2) COMMENT 'raised: first record; updated: the expected dark visits have doubled since the last record; over: back near the baseline.',
    started DateTime64(3, 'UTC') COMMENT 'Event time since when the content is above its baseline: the likeliest moment of change.',
    updated DateTime64(3, 'UTC') COMMENT 'Event time of what made this record be written.',
    visits Int64 COMMENT 'Landings on the content since started, of all channels, robots and returning readers left out.',
    dark Float64 COMMENT 'Expected number of them that came by a privately passed link: the sum of their P(dark social).',
    dark_low Float64 COMMENT 'Low end of that number: the sum of the low ends.',
    dark_high Float64 COMMENT 'High end of that number: the sum of the high ends.',
    baseline Float64 COMMENT 'Dark visits that were to be expected in the same time: the larger of what the content\'s own level and what its open visits explain.',
    baseline_high Float64 COMMENT '90 % quantile of that expectation, scatter and what is not known of the level included.',
    rate_per_hour Float64 COMMENT 'Expected dark visits an hour at this moment (exponential window of an hour).',
    doubling_seconds Nullable(Float64) COMMENT 'Time in which the rate doubled, over the visits since the last record; null where growth is not certain at 90 %.',
    doubling_seconds_low Nullable(Float64) COMMENT 'Low end (10 %) of that time.',
    doubling_seconds_high Nullable(Float64) COMMENT 'High end (90 %) of that time.',
    apps Array(Tuple(app String, probability Float32)) COMMENT 'Where it spreads, likeliest first.',
    share_acts Float64 COMMENT 'Expected number of acts of passing the link on that were observed since started (previews, copies, share buttons), and less and less of those in the hour before, since a preview precedes its readers.',
    networks Int64 COMMENT 'About how many networks the visits came from (linear counting, 10 % off at 500; at most 1,419).',
    chained Int64 COMMENT 'Visits since started that a share token proves to come from an earlier visit: a lower bound.',
    reproduction_number Nullable(Float64) COMMENT 'Mean number of visits that one visit of the content causes, where it is inferred.',
    reproduction_low Nullable(Float64) COMMENT 'Low end (10 %) of that number.',
    reproduction_high Nullable(Float64) COMMENT 'High end (90 %) of that number.',
    false_alarm Float64 COMMENT 'Rises a day on this site that are as unusual as this one, by what its contents have shown; at most 1.',
    new_content Bool COMMENT 'True where the content is younger than 64 hours, so that its baseline is mostly the site\'s typical early curve.',
    model_version LowCardinality(String) COMMENT 'Version of the model that gave the probabilities.',
    topic LowCardinality(String) COMMENT 'Topic that the row came from.',
    partition Int32 COMMENT 'Partition of that topic.',
    offset UInt64 COMMENT 'Offset in that partition: with topic and partition, the identity of the row.'
)
ENGINE = ReplacingMergeTree(offset)
PARTITION BY toYYYYMM(started)
ORDER BY (site, surge_id)
SETTINGS min_bytes_for_wide_part = 67108864, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'A content that spreads in the dark faster than its own baseline, as known at a moment; the newest record by offset wins. Topic surges.';

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
    apps,
    share_acts,
    networks,
    reproduction_number,
    false_alarm
FROM grapevine.surges
WHERE networks >= (SELECT visitors_min FROM grapevine.k_anonymity)
COMMENT 'Surges from enough networks, without ids.';
