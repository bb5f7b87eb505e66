CREATE TABLE IF NOT EXISTS grapevine.spread_states
(
    site LowCardinality(String) COMMENT 'Site, lower case.',
    content String COMMENT 'Canonical URL.',
    started DateTime64(3, 'UTC') COMMENT 'Event time of the first reader. A content that was idle for long and is read again starts anew.',
    updated DateTime64(3, 'UTC') COMMENT 'Event time of the newest reader or share act.',
    closed Bool COMMENT 'True where nothing more is added: the content was idle, or had to make room.',
    arrivals Int64 COMMENT 'Readers: first visits of people. Returns, robots and previews are none.',
    settled Int64 COMMENT 'Readers whose causes are settled; the figures below are of these.',
    certain_shares Int64 COMMENT 'Readers whose cause is an earlier reader\'s share, proven by a token.',
    certain_outside Int64 COMMENT 'Readers who came from outside for certain: search, another site, a campaign.',
    tokens Int64 COMMENT 'Readers whose link carried a token of somebody else, known or not.',
    shares Int64 COMMENT 'Share acts observed: previews, copies, buttons.',
    chain_arrivals Float64 COMMENT 'Expected settled readers who came from an earlier reader.',
    chain_arrivals_low Float64 COMMENT 'Low end of its range.',
    chain_arrivals_high Float64 COMMENT 'High end.',
    reproduction Float64 COMMENT 'R: expected readers that one reader brings, corrected for those still to come.',
    reproduction_low Float64 COMMENT 'Low end of its range.',
    reproduction_high Float64 COMMENT 'High end.',
    structural_virality Nullable(Float64) COMMENT 'Mean distance between all pairs of readers, with the outside as the root (Goel et al. 2016); null below two settled readers.',
    structural_virality_low Nullable(Float64) COMMENT 'Low end of its range.',
    structural_virality_high Nullable(Float64) COMMENT 'High end.',
    depth Float64 COMMENT 'Deepest generation; who came from outside is of the first.',
    depth_low Float64 COMMENT 'Low end of its range.',
    depth_high Float64 COMMENT 'High end.',
    generation Float64 COMMENT 'Mean generation of the readers.',
    breadth Array(Float64) COMMENT 'Expected settled readers by generation, from the first; the last counts all beyond.',
    generation_time_seconds Nullable(Float64) COMMENT 'Median time from a reader\'s visit to those of the readers it brings, corrected for those still to come; null where too few are expected.',
    generation_time_seconds_low Nullable(Float64) COMMENT 'First quartile of those times.',
    generation_time_seconds_high Nullable(Float64) COMMENT 'Third quartile.',
    half_life_seconds Nullable(Float64) COMMENT 'Time after the busiest moment within which half of all later readers came; null where too few are there.',
    k_factor Nullable(Float64) COMMENT 'Expected readers from earlier readers, for each reader: share acts a reader times readers a share act; null without a settled reader.',
    broadcast Bool COMMENT 'True where one shared link brought so many that it was no private one: its owner has more than 50 certain children.',
    largest_broadcast Int64 COMMENT 'Most certain children of one reader.',
    model_version LowCardinality(String) COMMENT 'Version of the weights in force.',
    topic LowCardinality(String) COMMENT 'Topic that the row came from.',
    partition Int32 COMMENT 'Partition of that topic.',
    offset UInt64 COMMENT 'Offset in that partition: with topic and partition, the identity of the row.'
)
ENGINE = ReplacingMergeTree(offset)
PARTITION BY toYYYYMM(started)
ORDER BY (site, content, started)
SETTINGS min_bytes_for_wide_part = 67108864, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'How one content spreads, as known at a moment; the newest record of site, content and started by offset wins. Ranges hold the true figure in 80 of 100 cases. Topic spreads.';
