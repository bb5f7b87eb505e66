CREATE TABLE IF NOT EXISTS grapevine.calibrations
(
    site LowCardinality(String) COMMENT 'Site, lower case.',
    time DateTime64(3, 'UTC') COMMENT 'Event time of the newest landing that counts.',
    model_version LowCardinality(String) COMMENT 'Version of model, signals and of what was learned of the site, as the next visits carry it.',
    landings Int64 COMMENT 'Landings without referrer that could carry a token. Older ones count ever less: all counts are halved at 65536.',
    tokens Int64 COMMENT 'Of those, landings with a token.',
    known Int64 COMMENT 'Links that are known to be passed on in private by something else than their token: arrivals from apps that name themselves, previews fetched by a sharer''s own device.',
    known_with_token Int64 COMMENT 'Of those, links with a token.',
    token_survival Nullable(Float64) COMMENT 'Estimated part of privately passed links that arrive with their token, 0 to 1; null while fewer than 20 tokens were seen.',
    token_survival_low Nullable(Float64) COMMENT 'Low end of its 90 % range.',
    token_survival_high Nullable(Float64) COMMENT 'High end of its 90 % range.',
    intercept Nullable(Float64) COMMENT 'What the site''s own tokens add to the log-odds of a private link, of the site''s mean landing; null while fewer than 20 tokens were seen.',
    intercept_low Nullable(Float64) COMMENT 'Low end of its 90 % range.',
    intercept_high Nullable(Float64) COMMENT 'High end of its 90 % range.',
    slope Nullable(Float64) COMMENT 'What the facts of the site''s landings are worth against the model, less 1: 0 where they are worth what it says.',
    ece Nullable(Float64) COMMENT 'Expected calibration error of P(private link) over the ten bins, under the likely survival.',
    ece_low Nullable(Float64) COMMENT 'The least under the survivals of its range.',
    ece_high Nullable(Float64) COMMENT 'The most under the survivals of its range.',
    brier Nullable(Float64) COMMENT 'Brier score of P(private link) under the likely survival.',
    private_part Float64 COMMENT 'Part of links with a token that are taken to be passed on in private, 0 to 1.',
    bin_landings Array(Int64) COMMENT 'Landings by predicted P(private link), ten bins of a tenth.',
    bin_tokens Array(Int64) COMMENT 'Landings with a token by bin.',
    bin_predicted Array(Float64) COMMENT 'Mean predicted P(private link) by bin.',
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
ORDER BY (site, time, partition, offset)
SETTINGS non_replicated_deduplication_window = 1000, min_bytes_for_wide_part = 67108864, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'How well P(private link) of a site''s landings without referrer fits its own share tokens, each time that it was written. Topic calibrations.';

CREATE OR REPLACE VIEW grapevine.calibration AS
SELECT * EXCEPT (topic, partition, offset)
FROM
(
    SELECT * FROM grapevine.calibrations
    ORDER BY time DESC, offset DESC
    LIMIT 1 BY site
) AS newest
COMMENT 'How well P(private link) fits each site''s own share tokens, as it stands now. Columns as in calibrations.';

CREATE OR REPLACE VIEW grapevine.calibration_curve AS
SELECT
    site,
    time,
    model_version,
    bin,
    bin_landings[bin] AS landings,
    bin_tokens[bin] AS tokens,
    bin_predicted[bin] AS predicted,
    least(1, tokens * private_part / token_survival / landings) AS observed,
    least(1, tokens * private_part / token_survival_high / landings) AS observed_low,
    least(1, tokens * private_part / token_survival_low / landings) AS observed_high
FROM grapevine.calibration
ARRAY JOIN arrayEnumerate(bin_landings) AS bin
WHERE landings > 0
COMMENT 'The reliability curve of each site as it stands now: of landings by their predicted P(private link), the part that truly was passed on in private, from tokens over the part of links that keep theirs.';
