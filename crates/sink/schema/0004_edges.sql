CREATE TABLE IF NOT EXISTS grapevine.edges
(
    site LowCardinality(String) COMMENT 'Site, lower case.',
    content String COMMENT 'Canonical URL.',
    child_visit UUID COMMENT 'The visit that came.',
    parent_visit Nullable(UUID) COMMENT 'The sharer\'s visit; null where a token proves a share but its owner was never seen.',
    time DateTime64(3, 'UTC') COMMENT 'Event time of the child\'s landing.',
    method Enum8('token' = 0, 'preview' = 1, 'inferred' = 2) COMMENT 'How it is known.',
    probability Float32 COMMENT 'P(the child came from this parent), 0 to 1; 1 for a token.',
    lag_ms Nullable(Int64) COMMENT 'Milliseconds from the parent\'s visit to the child\'s; null without a parent.',
    parent_app LowCardinality(String) COMMENT 'App of the parent\'s own arrival, or empty.',
    child_app LowCardinality(String) COMMENT 'App of the child\'s arrival, or empty.',
    model_version LowCardinality(String) COMMENT 'Version of the model that judged it.',
    topic LowCardinality(String) COMMENT 'Topic that the row came from.',
    partition Int32 COMMENT 'Partition of that topic.',
    offset UInt64 COMMENT 'Offset in that partition: with topic and partition, the identity of the row.',
    PROJECTION by_app
    (
        SELECT
            site, toDate(time), method, parent_app, child_app,
            count(), countIf(ifNull(parent_visit, toUUID('00000000-0000-0000-0000-000000000000')) = toUUID('00000000-0000-0000-0000-000000000000')), sum(probability)
        GROUP BY site, toDate(time), method, parent_app, child_app
    ),
    PROJECTION presence
    (
        SELECT topic, partition, toYYYYMM(time), count(), min(offset), max(offset)
        GROUP BY topic, partition, toYYYYMM(time)
    )
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(time)
ORDER BY (site, toDate(time), content, time)
SETTINGS non_replicated_deduplication_window = 1000, min_bytes_for_wide_part = 67108864, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Visit B came from visitor A\'s share, with a probability and a method. Topic edges.';
