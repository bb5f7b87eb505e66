CREATE TABLE IF NOT EXISTS grapevine.cascade_states
(
    cascade_id UUID COMMENT 'visit_id of the root.',
    site LowCardinality(String) COMMENT 'Site, lower case.',
    content String COMMENT 'Canonical URL.',
    started DateTime64(3, 'UTC') COMMENT 'Event time of the root.',
    updated DateTime64(3, 'UTC') COMMENT 'Event time of the newest visit in it.',
    method Enum8('token' = 0, 'preview' = 1, 'inferred' = 2) COMMENT 'Weakest method among its edges: token = every edge is certain.',
    size Int64 COMMENT 'Visits in the tree, root included.',
    depth Int32 COMMENT 'Edges on the longest path from the root.',
    breadth Array(Int64) COMMENT 'Visits by generation, root first.',
    structural_virality Nullable(Float64) COMMENT 'Mean distance between all pairs of visits (Goel et al. 2016); null for a single visit.',
    reproduction_number Nullable(Float64) COMMENT 'Mean number of certain children a visit has: edges over visits; a lower bound, since tokens get lost.',
    topic LowCardinality(String) COMMENT 'Topic that the row came from.',
    partition Int32 COMMENT 'Partition of that topic.',
    offset UInt64 COMMENT 'Offset in that partition: with topic and partition, the identity of the row.'
)
ENGINE = ReplacingMergeTree(offset)
PARTITION BY toYYYYMM(started)
ORDER BY (site, cascade_id)
SETTINGS min_bytes_for_wide_part = 67108864, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'The tree of edges below one origin, for one content, as known at a moment; the newest record by offset wins. Topic cascades.';
