CREATE VIEW IF NOT EXISTS grapevine.k_anonymity AS
SELECT toUInt32(5) AS visitors_min
COMMENT 'Views named bi_… hide groups of fewer readers than this. Replaced by the sink when another number is configured.';

CREATE OR REPLACE VIEW grapevine.visits_people AS
SELECT * FROM grapevine.visits
WHERE channel != 'bot'
COMMENT 'Visits without robots.';

CREATE OR REPLACE VIEW grapevine.visits_by_hour AS
SELECT
    site,
    toStartOfHour(time) AS hour,
    conventional_channel,
    channel,
    app,
    method,
    method != 'prior' AS certain,
    count() AS visits,
    uniq(visitor) AS visitors,
    countIf(visitor_basis = 'none') AS visits_opted_out,
    sum(dark_probability) AS dark,
    sum(dark_probability_low) AS dark_low,
    sum(dark_probability_high) AS dark_high,
    sum(dark_probability * (1 - dark_probability)) AS dark_variance,
    sum(dark_search_probability) AS dark_search
FROM grapevine.visits
WHERE channel != 'bot'
GROUP BY site, hour, conventional_channel, channel, app, method
COMMENT 'Visits of people by hour. dark is the expected number of privately passed ones, dark_low to dark_high its range, dark_variance its variance given the probabilities. Everything but visitors adds up.';

CREATE OR REPLACE VIEW grapevine.visits_by_content AS
SELECT
    site,
    content,
    toDate(time) AS day,
    conventional_channel,
    channel,
    count() AS visits,
    uniq(visitor) AS visitors,
    countIf(visitor_basis = 'none') AS visits_opted_out,
    sum(dark_probability) AS dark,
    sum(dark_probability_low) AS dark_low,
    sum(dark_probability_high) AS dark_high,
    sum(dark_probability * (1 - dark_probability)) AS dark_variance,
    sum(dark_search_probability) AS dark_search
FROM grapevine.visits
WHERE channel != 'bot'
GROUP BY site, content, day, conventional_channel, channel
COMMENT 'Visits of people by content and day; columns as in visits_by_hour.';

CREATE OR REPLACE VIEW grapevine.dark_by_app AS
SELECT
    site,
    day,
    carrier AS app,
    sum(dark) AS dark,
    sum(dark_low) AS dark_low,
    sum(dark_high) AS dark_high,
    sum(dark_variance) AS dark_variance
FROM
(
    SELECT
        site,
        toDate(hour) AS day,
        if(channel = 'dark_social', app, 'unknown') AS carrier,
        dark,
        dark_low,
        dark_high,
        dark_variance
    FROM grapevine.visits_by_hour
)
GROUP BY site, day, carrier
COMMENT 'Expected privately passed visits by app and day. What is dark among visits of other channels has no known app.';

CREATE OR REPLACE VIEW grapevine.events_by_hour AS
SELECT
    site,
    toStartOfHour(time) AS hour,
    kind,
    name,
    count() AS events,
    sum(value) AS value,
    uniq(visit_id) AS visits
FROM grapevine.events
GROUP BY site, hour, kind, name
COMMENT 'Later hits of visits by hour.';

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
    sum(happened.value * landing.dark_probability) AS dark_value
FROM grapevine.events AS happened
INNER JOIN grapevine.visits AS landing
    ON happened.site = landing.site AND happened.visit_id = landing.visit_id
WHERE happened.kind = 'conversion' AND landing.channel != 'bot'
GROUP BY site, hour, name, conventional_channel, channel, app
COMMENT 'Conversions by hour and by the channel of the visit that they belong to: what dark visits bring. Give it a site and a period.';

CREATE OR REPLACE VIEW grapevine.shares_by_hour AS
SELECT
    site,
    toStartOfHour(time) AS hour,
    kind,
    app,
    private,
    count() AS observed,
    sum(probability) AS shares
FROM grapevine.shares
GROUP BY site, hour, kind, app, private
COMMENT 'Observed acts of passing a link on, by hour; shares is the expected number that a person meant.';

CREATE OR REPLACE VIEW grapevine.app_transitions AS
SELECT
    site,
    toDate(time) AS day,
    method,
    parent_app,
    child_app,
    count() AS edges,
    countIf(ifNull(parent_visit, toUUID('00000000-0000-0000-0000-000000000000')) = toUUID('00000000-0000-0000-0000-000000000000')) AS edges_of_unknown_parent,
    sum(probability) AS expected
FROM grapevine.edges
GROUP BY site, day, method, parent_app, child_app
COMMENT 'From which app to which app links travelled, by day.';

CREATE OR REPLACE VIEW grapevine.cascades AS
SELECT * FROM grapevine.cascade_states FINAL
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
    structural_virality,
    reproduction_number
FROM grapevine.cascades
WHERE size > 1
COMMENT 'Cascades in which a link was passed on at least once.';

CREATE OR REPLACE VIEW grapevine.bi_visits_by_hour AS
SELECT
    site,
    toStartOfHour(time) AS hour,
    channel,
    app,
    count() AS visits,
    uniq(visitor) AS visitors,
    sum(dark_probability) AS dark,
    sum(dark_probability_low) AS dark_low,
    sum(dark_probability_high) AS dark_high
FROM grapevine.visits
WHERE channel != 'bot'
GROUP BY site, hour, channel, app
HAVING uniq(visitor) + (countIf(visitor_basis = 'none') > 0) >= (SELECT visitors_min FROM grapevine.k_anonymity)
COMMENT 'visits_by_hour without groups of too few readers; all who opted out count as one.';

CREATE OR REPLACE VIEW grapevine.bi_visits_by_content AS
SELECT
    site,
    content,
    toDate(time) AS day,
    channel,
    count() AS visits,
    uniq(visitor) AS visitors,
    sum(dark_probability) AS dark,
    sum(dark_probability_low) AS dark_low,
    sum(dark_probability_high) AS dark_high
FROM grapevine.visits
WHERE channel != 'bot'
GROUP BY site, content, day, channel
HAVING uniq(visitor) + (countIf(visitor_basis = 'none') > 0) >= (SELECT visitors_min FROM grapevine.k_anonymity)
COMMENT 'visits_by_content without groups of too few readers; all who opted out count as one.';

CREATE OR REPLACE VIEW grapevine.bi_dark_by_app AS
SELECT
    site,
    toDate(toStartOfHour(time)) AS day,
    app,
    count() AS visits,
    uniq(visitor) AS visitors,
    sum(dark_probability) AS dark
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
    sum(app_transitions.expected) AS expected
FROM grapevine.app_transitions AS app_transitions
GROUP BY site, day, parent_app, child_app
HAVING edges >= (SELECT visitors_min FROM grapevine.k_anonymity)
COMMENT 'app_transitions without groups of too few visits.';

CREATE OR REPLACE VIEW grapevine.bi_share_chains AS
SELECT
    site,
    content,
    toDate(started) AS day,
    method,
    size,
    depth,
    breadth,
    structural_virality,
    reproduction_number
FROM grapevine.cascades
WHERE size >= (SELECT visitors_min FROM grapevine.k_anonymity)
COMMENT 'Cascades of enough visits, without the ids of anybody''s visit.';
