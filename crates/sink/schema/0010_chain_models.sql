CREATE TABLE IF NOT EXISTS grapevine.chain_models
(
    site LowCardinality(String) COMMENT 'Site, lower case.',
    time DateTime64(3, 'UTC') COMMENT 'Event time of the record that brought the last certain edge.',
    version LowCardinality(String) COMMENT 'Version of the weights in force from here on.',
    learned_from LowCardinality(String) COMMENT 'Version of the weights that these were learned from; empty where the weights did not change.',
    lessons Int64 COMMENT 'Certain edges that they were learned from, 0 where they did not change.',
    weights String COMMENT 'The weights as `grapevine evaluate` reads them, TOML; empty where they did not change.',
    scored Int64 COMMENT 'Certain edges scored since the weights before came into force.',
    log_loss Nullable(Float64) COMMENT 'Mean of -ln p(true cause), nats; null without a scored edge.',
    brier Nullable(Float64) COMMENT 'Mean squared error of the likeliest cause\'s probability; null without a scored edge.',
    ece Nullable(Float64) COMMENT 'Expected calibration error of the likeliest cause\'s probability over 15 bins; null without a scored edge.',
    top1 Nullable(Float64) COMMENT 'Part of the scored edges whose likeliest cause was the true one; null without a scored edge.',
    reliability_count Array(Int64) COMMENT 'Scored edges in 15 equal bins of the likeliest cause\'s probability.',
    reliability_predicted Array(Float64) COMMENT 'Mean probability in each bin, 0 where it is empty.',
    reliability_observed Array(Float64) COMMENT 'Part of each bin that was right, 0 where it is empty.',
    alarm Bool COMMENT 'True where the calibration error is above .05 beyond chance.',
    token_survival Float64 COMMENT 'Probability that a shared link still carries its token, as estimated for the site.',
    topic LowCardinality(String) COMMENT 'Topic that the row came from.',
    partition Int32 COMMENT 'Partition of that topic.',
    offset UInt64 COMMENT 'Offset in that partition: with topic and partition, the identity of the row.',
    PROJECTION presence
    (
        SELECT topic, partition, toYYYYMM(time), count(), min(offset), max(offset)
        GROUP BY topic, partition, toYYYYMM(time)
    )
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(time)
ORDER BY (site, time)
SETTINGS non_replicated_deduplication_window = 1000, min_bytes_for_wide_part = 67108864, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Weights of the causes of arrivals in force on one site from a moment on, or how well those in force did: certain edges, each scored as if its token were missing. Topic models.';
