-- No sum of probabilities without its range, and beside what is expected what is certain.
CREATE OR REPLACE VIEW grapevine.conversions AS
SELECT
    happened.site AS site,
    toStartOfHour(happened.time) AS hour,
    happened.name AS name,
    landing.conventional_channel AS conventional_channel,
    landing.channel AS channel,
    landing.app AS app,
    count() AS conversions,
    sum(happened.value) AS value,
    sum(landing.dark_probability) AS dark,
    sum(landing.dark_probability_low) AS dark_low,
    sum(landing.dark_probability_high) AS dark_high,
    sum(happened.value * landing.dark_probability) AS dark_value,
    sum(least(happened.value * landing.dark_probability_low, happened.value * landing.dark_probability_high)) AS dark_value_low,
    sum(greatest(happened.value * landing.dark_probability_low, happened.value * landing.dark_probability_high)) AS dark_value_high
FROM grapevine.events AS happened
INNER JOIN grapevine.visits AS landing
    ON happened.site = landing.site AND happened.visit_id = landing.visit_id
WHERE happened.kind = 'conversion' AND landing.channel != 'bot'
GROUP BY site, hour, name, conventional_channel, channel, app
COMMENT 'Conversions by hour and by the channel of the visit that they belong to: what dark visits bring, expected, with the range under the ends of what is known of priors and weights. Give it a site and a period.';

CREATE OR REPLACE VIEW grapevine.bi_dark_by_app AS
SELECT
    site,
    toDate(toStartOfHour(time)) AS day,
    app,
    count() AS visits,
    uniq(visitor) AS visitors,
    sum(dark_probability) AS dark,
    sum(dark_probability_low) AS dark_low,
    sum(dark_probability_high) AS dark_high
FROM grapevine.visits
WHERE channel = 'dark_social'
GROUP BY site, day, app
HAVING uniq(visitor) + (countIf(visitor_basis = 'none') > 0) >= (SELECT visitors_min FROM grapevine.k_anonymity)
COMMENT 'Visits booked as dark social by app and day, without groups of too few readers.';

CREATE OR REPLACE VIEW grapevine.bi_app_transitions AS
SELECT
    site,
    day,
    parent_app,
    child_app,
    sum(app_transitions.edges) AS edges,
    sum(app_transitions.expected) AS expected,
    sumIf(app_transitions.expected, app_transitions.method = 'token') AS certain
FROM grapevine.app_transitions AS app_transitions
GROUP BY site, day, parent_app, child_app
HAVING expected >= (SELECT visitors_min FROM grapevine.k_anonymity)
COMMENT 'app_transitions without groups of too few visits: those of which fewer are expected. certain of them came by a token, so there are at least so many; what is expected besides has no range.';

CREATE OR REPLACE VIEW grapevine.cascades AS
SELECT * EXCEPT (reproduction_number) FROM grapevine.cascade_states FINAL
COMMENT 'Trees of certain edges, each as it stands now. size, depth and breadth are lower bounds: tokens get lost, and who passes a link on without visiting is invisible. How deep a content may go at all, with its range, is depth in spreads.';

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
COMMENT 'Cascades in which a link was passed on at least once. size and depth are at least so great.';

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
COMMENT 'Cascades of enough visits, without the ids of anybody\'s visit. size and depth are at least so great.';

CREATE OR REPLACE VIEW grapevine.bi_spreads AS
SELECT
    site,
    content,
    toDate(started) AS day,
    updated,
    closed,
    arrivals,
    settled,
    shares,
    chain_share,
    chain_share_low,
    chain_share_high,
    reproduction,
    reproduction_low,
    reproduction_high,
    structural_virality,
    structural_virality_low,
    structural_virality_high,
    depth,
    depth_low,
    depth_high,
    generation,
    generation_time_seconds,
    generation_time_seconds_low,
    generation_time_seconds_high,
    half_life_seconds,
    half_life_seconds_low,
    half_life_seconds_high,
    k_factor,
    k_factor_low,
    k_factor_high,
    reproduction_now,
    reproduction_now_low,
    reproduction_now_high,
    amplification,
    amplification_low,
    amplification_high,
    doubling_seconds,
    doubling_seconds_low,
    doubling_seconds_high,
    broadcast,
    broadcast_probability,
    broadcast_arrivals,
    broadcast_arrivals_low,
    broadcast_arrivals_high,
    token_share,
    model_version
FROM grapevine.spreads
WHERE arrivals >= (SELECT visitors_min FROM grapevine.k_anonymity)
COMMENT 'spreads of enough readers.';

-- The evidence says what each fact adds to a private link against everything else; here is what that
-- everything else is.
CREATE OR REPLACE VIEW grapevine.visit_odds AS
SELECT
    site,
    time,
    visit_id,
    content,
    channel,
    app,
    dark_probability,
    dark_probability_low,
    dark_probability_high,
    dark_search_probability,
    greatest(1 - toFloat64(dark_probability) - toFloat64(dark_search_probability), 0) AS typed_probability,
    log(greatest(toFloat64(dark_probability), 1e-6) / greatest(1 - toFloat64(dark_probability), 1e-6)) AS dark_log_odds,
    log(greatest(toFloat64(dark_probability), 1e-6) / greatest(typed_probability, 1e-6)) AS dark_against_typed,
    log(greatest(toFloat64(dark_search_probability), 1e-6) / greatest(typed_probability, 1e-6)) AS search_against_typed,
    arraySum(arrayMap(fact -> fact.3, evidence)) AS evidence_log_odds,
    evidence,
    model_version
FROM grapevine.visits
WHERE method = 'prior' AND channel != 'bot'
COMMENT 'The three rivals of each visit that no fact decided: a privately passed link, a search engine that left no referrer, a typed or bookmarked address. dark_log_odds is a private link against both others, which evidence_log_odds, the sum of the evidence, gives; the other two are against a typed address alone. How search and typed divide has no range. Give it a site and a period.';
