CREATE TABLE IF NOT EXISTS grapevine.shares
(
    share_id UUID COMMENT 'hit_id of the hit that showed it.',
    site LowCardinality(String) COMMENT 'Site, lower case.',
    time DateTime64(3, 'UTC') COMMENT 'Event time.',
    content String COMMENT 'Canonical URL that was shared.',
    kind Enum8('preview' = 0, 'copy' = 1, 'button' = 2, 'unknown' = 3) COMMENT 'How it was observed: a messenger fetched a preview, an address was copied, a share button was pressed.',
    app LowCardinality(String) COMMENT 'App it was passed on in, or unknown.',
    private Nullable(Bool) COMMENT 'True for a private message, false for a public post, null where the fetcher serves both.',
    probability Float32 COMMENT 'P(this fetch or act means that a person passed the link on), 0 to 1.',
    address_of Enum8('sender' = 0, 'server' = 1, 'unknown' = 2) COMMENT 'Whose network the act came from: the sharer\'s own device or the service\'s data centre.',
    network Nullable(Int64) COMMENT 'Keyed hash of that network and day; see Hit.',
    visitor Nullable(Int64) COMMENT 'Pseudonym of the sharer where the act was seen on the page.',
    sharer_visit Nullable(UUID) COMMENT 'Visit of the sharer where certain (button, copy, token in the fetched link).',
    token Nullable(String) COMMENT 'Share token in the link that was passed on.',
    topic LowCardinality(String) COMMENT 'Topic that the row came from.',
    partition Int32 COMMENT 'Partition of that topic.',
    offset UInt64 COMMENT 'Offset in that partition: with topic and partition, the identity of the row.',
    PROJECTION by_hour
    (
        SELECT
            site, toStartOfHour(time), kind, app, private,
            count(), sum(probability)
        GROUP BY site, toStartOfHour(time), kind, app, private
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
COMMENT 'The act of passing a link on, as far as it was observed. Topics hits.classified and shares.';
