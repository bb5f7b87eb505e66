CREATE TABLE IF NOT EXISTS grapevine.visits
(
    visit_id UUID COMMENT 'Identity of the visit: the hit_id of its landing.',
    site LowCardinality(String) COMMENT 'Site, lower case.',
    time DateTime64(3, 'UTC') COMMENT 'Event time of the landing.',
    visitor Nullable(Int64) COMMENT 'Pseudonym of the reader; null where the reader opted out.',
    visitor_basis Enum8('none' = 0, 'address' = 1, 'client' = 2) COMMENT 'What visitor is made from; see Hit.',
    returning Bool COMMENT 'True where this visitor pseudonym was seen on this site before.',
    network Nullable(Int64) COMMENT 'Keyed hash of the reader\'s network and day; see Hit.',
    content String COMMENT 'Canonical URL: decorations stripped, host and path normalised.',
    title Nullable(String) COMMENT 'Page title.',
    referrer_host LowCardinality(Nullable(String)) COMMENT 'Host (or android-app package) of the referrer; null where there was none.',
    campaign_source LowCardinality(Nullable(String)) COMMENT 'utm_source or its like: where the link was first published, not the last hop.',
    campaign_medium LowCardinality(Nullable(String)) COMMENT 'utm_medium or its like.',
    campaign_name LowCardinality(Nullable(String)) COMMENT 'utm_campaign or its like.',
    device Enum8('desktop' = 0, 'mobile' = 1, 'tablet' = 2, 'other' = 3) COMMENT 'Device class told by the user agent.',
    system LowCardinality(String) COMMENT 'Operating system family, or empty.',
    browser LowCardinality(String) COMMENT 'Browser family, or empty.',
    language LowCardinality(Nullable(String)) COMMENT 'First language of the reader, primary tag and region.',
    conventional_channel Enum8('direct' = 0, 'search' = 1, 'social' = 2, 'referral' = 3, 'campaign' = 4, 'mail' = 5, 'paid' = 6, 'internal' = 7, 'assistant' = 8, 'dark_social' = 9, 'bot' = 10) COMMENT 'What ordinary analytics would book: dark social and dark search both end up as direct there.',
    channel Enum8('direct' = 0, 'search' = 1, 'social' = 2, 'referral' = 3, 'campaign' = 4, 'mail' = 5, 'paid' = 6, 'internal' = 7, 'assistant' = 8, 'dark_social' = 9, 'bot' = 10) COMMENT 'The most probable channel; read it with method and the probabilities.',
    app LowCardinality(String) COMMENT 'Carrier inside dark social (whatsapp, telegram, mail …), network, engine or assistant elsewhere; unknown where nothing tells; empty where it does not apply.',
    method Enum8('token' = 0, 'share_mark' = 1, 'in_app_browser' = 2, 'requested_with' = 3, 'referrer' = 4, 'click_id' = 5, 'campaign' = 6, 'client' = 7, 'agent' = 8, 'prior' = 9) COMMENT 'What decided: a certain fact, or prior = log-odds over a stated prior.',
    dark_probability Float32 COMMENT 'P(this visit came from a privately passed link), 0 to 1.',
    dark_probability_low Float32 COMMENT 'The same under the low end of what is known of prior and weights.',
    dark_probability_high Float32 COMMENT 'The same under the high end.',
    dark_search_probability Float32 COMMENT 'P(this visit came from a search engine that left no referrer), 0 to 1.',
    evidence Array(Tuple(name LowCardinality(String), detail String, log_odds Float32)) COMMENT 'Why: the facts, strongest first.',
    model_version LowCardinality(String) COMMENT 'Version of priors, weights and signal data that judged this visit.',
    robot LowCardinality(Nullable(String)) COMMENT 'Name of the robot where channel is bot.',
    incoming_token Nullable(String) COMMENT 'Share token that the landing\'s link carried.',
    share_token Nullable(String) COMMENT 'Share token that this visit was given for links it passes on.',
    cascade_id Nullable(UUID) COMMENT 'Cascade by certain edges: the visit_id of its root. Null until the chain stage has seen it, and for robots.',
    generation Nullable(Int32) COMMENT 'Certain edges between this visit and the root of its cascade; a lower bound, since people who pass a link on without visiting are invisible.',
    topic LowCardinality(String) COMMENT 'Topic that the row came from.',
    partition Int32 COMMENT 'Partition of that topic.',
    offset UInt64 COMMENT 'Offset in that partition: with topic and partition, the identity of the row.',
    PROJECTION by_hour
    (
        SELECT
            site, toStartOfHour(time), conventional_channel, channel, app, method,
            count(), uniq(visitor), countIf(visitor_basis = 'none'),
            sum(dark_probability), sum(dark_probability_low), sum(dark_probability_high),
            sum(dark_probability * (1 - dark_probability)), sum(dark_search_probability)
        GROUP BY site, toStartOfHour(time), conventional_channel, channel, app, method
    ),
    PROJECTION by_content
    (
        SELECT
            site, content, toDate(time), conventional_channel, channel,
            count(), uniq(visitor), countIf(visitor_basis = 'none'),
            sum(dark_probability), sum(dark_probability_low), sum(dark_probability_high),
            sum(dark_probability * (1 - dark_probability)), sum(dark_search_probability)
        GROUP BY site, content, toDate(time), conventional_channel, channel
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
COMMENT 'A landing: the first page view of a session on a content, classified. Topics hits.classified (chain fields null) and visits.';
