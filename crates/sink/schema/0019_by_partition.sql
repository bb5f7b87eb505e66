-- A chain partition learns from its own contents, in a state of its own, and what it writes stays in
-- its number. So a site's state is the newest row of each partition, all of them together; offsets of
-- two partitions say nothing about which is newer.
CREATE OR REPLACE VIEW grapevine.calibration AS
WITH
    -- Under the likely survival and under both ends of its range.
    arrayMap(
        part -> arraySum(arrayMap((predicted, marked) -> abs(predicted - marked * private / part), sums_predicted, sums_tokens)) / greatest(sum_landings, 1),
        [ifNull(survival, 1), ifNull(survival_low, 1), ifNull(survival_high, 1)]
    ) AS errors
SELECT
    site,
    newest_time AS time,
    versions AS model_version,
    sum_landings AS landings,
    sum_tokens AS tokens,
    sum_known AS known,
    sum_known_with_token AS known_with_token,
    survival AS token_survival,
    survival_low AS token_survival_low,
    survival_high AS token_survival_high,
    mean_intercept AS intercept,
    mean_intercept_low AS intercept_low,
    mean_intercept_high AS intercept_high,
    mean_slope AS slope,
    if(survival IS NULL, NULL, errors[1]) AS ece,
    if(survival IS NULL, NULL, arrayMin(errors)) AS ece_low,
    if(survival IS NULL, NULL, arrayMax(errors)) AS ece_high,
    mean_brier AS brier,
    private AS private_part,
    sums_landings AS bin_landings,
    sums_tokens AS bin_tokens,
    arrayMap((predicted, landed) -> if(landed > 0, predicted / landed, 0), sums_predicted, sums_landings) AS bin_predicted
FROM
(
    SELECT
        newest.site AS site,
        max(newest.time) AS newest_time,
        arrayStringConcat(arraySort(groupUniqArray(toString(newest.model_version))), ', ') AS versions,
        sum(newest.landings) AS sum_landings,
        sum(newest.tokens) AS sum_tokens,
        sum(newest.known) AS sum_known,
        sum(newest.known_with_token) AS sum_known_with_token,
        -- Harmonic means: tokens over the survival then are as many private links as the partitions'
        -- own tokens over their own survivals.
        sumIf(newest.tokens * newest.private_part, newest.token_survival IS NOT NULL) AS judged,
        judged / nullIf(sum(newest.tokens * newest.private_part / newest.token_survival), 0) AS survival,
        judged / nullIf(sum(newest.tokens * newest.private_part / newest.token_survival_low), 0) AS survival_low,
        judged / nullIf(sum(newest.tokens * newest.private_part / newest.token_survival_high), 0) AS survival_high,
        sumIf(greatest(newest.landings, 1), newest.intercept IS NOT NULL) AS learned,
        sum(greatest(newest.landings, 1) * newest.intercept) / nullIf(learned, 0) AS mean_intercept,
        sum(greatest(newest.landings, 1) * newest.intercept_low) / nullIf(learned, 0) AS mean_intercept_low,
        sum(greatest(newest.landings, 1) * newest.intercept_high) / nullIf(learned, 0) AS mean_intercept_high,
        sum(greatest(newest.landings, 1) * newest.slope) / nullIf(learned, 0) AS mean_slope,
        sum(newest.landings * newest.brier) / nullIf(sumIf(newest.landings, newest.brier IS NOT NULL), 0) AS mean_brier,
        if(sum_tokens > 0, sum(newest.tokens * newest.private_part) / sum_tokens, 1) AS private,
        sumForEach(newest.bin_landings) AS sums_landings,
        sumForEach(arrayResize(newest.bin_tokens, length(newest.bin_landings))) AS sums_tokens,
        sumForEach(arrayMap((landed, predicted) -> landed * predicted, newest.bin_landings, arrayResize(newest.bin_predicted, length(newest.bin_landings)))) AS sums_predicted
    FROM
    (
        SELECT * FROM grapevine.calibrations
        WHERE (site, partition, offset) IN (SELECT site, partition, max(offset) FROM grapevine.calibrations GROUP BY site, partition)
        LIMIT 1 BY site, partition
    ) AS newest
    GROUP BY newest.site
) AS sums
COMMENT 'How well P(private link) fits each site\'s own share tokens, as it stands now: the newest row of each partition, taken together. Columns as in calibrations. Counts and bins are sums; model_version lists those in force; ece and its range are of the summed bins. token_survival is the harmonic mean by private tokens; intercept, slope and brier are means by landings, of the partitions that have them. Ranges are put together as if all partitions erred the same way.';

CREATE OR REPLACE VIEW grapevine.calibration_curve AS
SELECT
    site,
    time,
    model_version,
    bin,
    landed AS landings,
    marked AS tokens,
    predicted,
    if(token_survival IS NULL, NULL, least(1, marked * private_part / token_survival / landed)) AS observed,
    if(token_survival IS NULL, NULL, least(1, marked * private_part / token_survival_high / landed)) AS observed_low,
    if(token_survival IS NULL, NULL, least(1, marked * private_part / token_survival_low / landed)) AS observed_high
FROM
(
    SELECT
        site,
        time,
        model_version,
        token_survival,
        token_survival_low,
        token_survival_high,
        private_part,
        bin,
        bin_landings[bin] AS landed,
        bin_tokens[bin] AS marked,
        bin_predicted[bin] AS predicted
    FROM grapevine.calibration
    ARRAY JOIN arrayEnumerate(bin_landings) AS bin
) AS bins
WHERE landed > 0
COMMENT 'The reliability curve of each site as it stands now, all partitions together: of landings by their predicted P(private link), the part that truly was passed on in private, from tokens over the part of links that keep theirs; null while that is not known.';

CREATE OR REPLACE VIEW grapevine.chain_calibration AS
WITH
    -- What the error would be by chance alone, were every probability right.
    arraySum(arrayMap((count, predicted) -> sqrt(2 / pi() * greatest(predicted * (1 - predicted / greatest(count, 1)), 0)), sums_count, sums_predicted)) / greatest(sum_scored, 1) AS chance,
    arraySum(arrayMap((predicted, right) -> abs(predicted - right), sums_predicted, sums_right)) / nullIf(sum_scored, 0) AS error
SELECT
    site,
    versions AS version,
    newest_time AS updated,
    sum_scored AS scored,
    mean_log_loss AS log_loss,
    mean_brier AS brier,
    error AS ece,
    mean_top1 AS top1,
    sums_count AS reliability_count,
    arrayMap((predicted, count) -> if(count > 0, predicted / count, 0), sums_predicted, sums_count) AS reliability_predicted,
    arrayMap((right, count) -> if(count > 0, right / count, 0), sums_right, sums_count) AS reliability_observed,
    toBool(sum_scored >= 200 AND ifNull(error, 0) - chance > 0.05) AS alarm,
    mean_token_survival AS token_survival
FROM
(
    SELECT
        newest.site AS site,
        arrayStringConcat(arraySort(groupUniqArray(toString(newest.version))), ', ') AS versions,
        max(newest.time) AS newest_time,
        sum(newest.scored) AS sum_scored,
        sum(newest.scored * newest.log_loss) / nullIf(sum_scored, 0) AS mean_log_loss,
        sum(newest.scored * newest.brier) / nullIf(sum_scored, 0) AS mean_brier,
        sum(newest.scored * newest.top1) / nullIf(sum_scored, 0) AS mean_top1,
        sumForEach(newest.reliability_count) AS sums_count,
        sumForEach(arrayMap((count, predicted) -> count * predicted, newest.reliability_count, arrayResize(newest.reliability_predicted, length(newest.reliability_count)))) AS sums_predicted,
        sumForEach(arrayMap((count, observed) -> count * observed, newest.reliability_count, arrayResize(newest.reliability_observed, length(newest.reliability_count)))) AS sums_right,
        sum(greatest(newest.scored, 1) * newest.token_survival) / sum(greatest(newest.scored, 1)) AS mean_token_survival
    FROM
    (
        SELECT * FROM grapevine.chain_models
        WHERE (site, partition, offset) IN (SELECT site, partition, max(offset) FROM grapevine.chain_models GROUP BY site, partition)
        LIMIT 1 BY site, partition
    ) AS newest
    GROUP BY newest.site
) AS sums
COMMENT 'How well the causes of arrivals are inferred on each site, by its certain edges: the newest record of each partition, taken together. version lists the weights in force; scored and bins are sums, ece and alarm are of the summed bins, the other measures means over the scored edges. token_survival, of which the records have no counts, is the mean by scored edges.';

-- Edges over visits of one tree are (size - 1) / size: no figure of how a content spreads, which is
-- reproduction in spreads.
CREATE OR REPLACE VIEW grapevine.cascades AS
SELECT * EXCEPT (reproduction_number) FROM grapevine.cascade_states FINAL
COMMENT 'Trees of edges, each as it stands now.';

CREATE OR REPLACE VIEW grapevine.share_chains AS
SELECT
    cascade_id,
    site,
    content,
    started,
    updated,
    method,
    size,
    depth,
    breadth,
    structural_virality
FROM grapevine.cascades
WHERE size > 1
COMMENT 'Cascades in which a link was passed on at least once.';

CREATE OR REPLACE VIEW grapevine.bi_share_chains AS
SELECT
    site,
    content,
    toDate(started) AS day,
    method,
    size,
    depth,
    breadth,
    structural_virality
FROM grapevine.cascades
WHERE size >= (SELECT visitors_min FROM grapevine.k_anonymity)
COMMENT 'Cascades of enough visits, without the ids of anybody\'s visit.';
