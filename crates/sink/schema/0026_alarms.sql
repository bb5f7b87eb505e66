-- An alarm is that causes are right less often than is said: certain edges are easier than those that are
-- inferred, so that they are right more often is as it should be.
ALTER TABLE grapevine.chain_models
    COMMENT COLUMN IF EXISTS lessons 'Certain edges that they were learned from, each the first return of a link; 0 where they did not change.',
    COMMENT COLUMN IF EXISTS alarm 'True where causes are right less often than is said, by more than .05 beyond chance. Right more often raises none: certain edges are easier than those that are inferred.';

CREATE OR REPLACE VIEW grapevine.chain_calibration AS
WITH
    arraySum(arrayMap((predicted, right) -> abs(predicted - right), sums_predicted, sums_right)) / nullIf(sum_scored, 0) AS error,
    -- The part of the error by bins that are right less often than is said, and what that would be by
    -- chance alone, were every probability right.
    arraySum(arrayMap((predicted, right) -> greatest(predicted - right, 0), sums_predicted, sums_right)) / greatest(sum_scored, 1) AS overstated,
    arraySum(arrayMap((count, predicted) -> sqrt(greatest(predicted * (1 - predicted / greatest(count, 1)), 0) / (2 * pi())), sums_count, sums_predicted)) / greatest(sum_scored, 1) AS overstated_by_chance
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
    toBool(sum_scored >= 200 AND overstated - overstated_by_chance > 0.05) AS alarm,
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
COMMENT 'How well the causes of arrivals are inferred on each site, by its certain edges: the newest record of each partition, taken together. version lists the weights in force; scored and bins are sums, ece and alarm are of the summed bins, alarm where causes are right less often than is said by more than .05 beyond chance, the other measures means over the scored edges. token_survival, of which the records have no counts, is the mean by scored edges.';
