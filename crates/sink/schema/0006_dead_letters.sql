CREATE TABLE IF NOT EXISTS grapevine.dead_letters
(
    letter_id UUID COMMENT 'Identity: a function of source position, so that the same failure has the same id.',
    time DateTime64(3, 'UTC') COMMENT 'Event time of the last good record before it, or of receipt.',
    site LowCardinality(String) COMMENT 'Site, or empty where not known.',
    stage LowCardinality(String) COMMENT 'Where it failed: import, collect, classify, chain, sink.',
    reason LowCardinality(String) COMMENT 'Short fixed name of the reason.',
    detail String COMMENT 'The reason in words: what is wrong and where.',
    source String COMMENT 'Topic, or name of the imported file.',
    source_partition Nullable(Int32) COMMENT 'Partition of the source topic.',
    source_position Int64 COMMENT 'Offset in the source topic, or line number (from 1) in the imported file.',
    payload String COMMENT 'The bytes themselves, network addresses masked where it is a log line; cut at 65536 bytes.',
    payload_length Int64 COMMENT 'Length before cutting, bytes.',
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
ORDER BY (stage, reason, time)
SETTINGS non_replicated_deduplication_window = 1000, min_bytes_for_wide_part = 67108864, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Something that could not be decoded or processed, with the reason, where it came from, and its bytes. Topic dead-letters.';
