CREATE TABLE IF NOT EXISTS grapevine.events
(
    event_id UUID COMMENT 'hit_id of the hit.',
    visit_id Nullable(UUID) COMMENT 'Visit it belongs to; null where no landing was seen.',
    site LowCardinality(String) COMMENT 'Site, lower case.',
    time DateTime64(3, 'UTC') COMMENT 'Event time.',
    kind Enum8('page_view' = 0, 'copy' = 1, 'share' = 2, 'engagement' = 3, 'conversion' = 4, 'link_click' = 5, 'custom' = 6) COMMENT 'What happened.',
    content String COMMENT 'Canonical URL.',
    name Nullable(String) COMMENT 'Name of a conversion or custom event.',
    value Nullable(Float64) COMMENT 'Value of a conversion, in the site\'s own unit.',
    props Map(LowCardinality(String), String) COMMENT 'The sender\'s own properties.',
    topic LowCardinality(String) COMMENT 'Topic that the row came from.',
    partition Int32 COMMENT 'Partition of that topic.',
    offset UInt64 COMMENT 'Offset in that partition: with topic and partition, the identity of the row.',
    PROJECTION by_hour
    (
        SELECT
            site, toStartOfHour(time), kind, name,
            count(), sum(value), uniq(visit_id)
        GROUP BY site, toStartOfHour(time), kind, name
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
COMMENT 'A later hit of a visit (page view, engagement, conversion …): carries the visit\'s id, so that what dark visits bring can be counted. Topics hits.classified and events.';
