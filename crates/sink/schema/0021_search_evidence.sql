-- A column of its own: another type of evidence would have every part written anew, and would be refused to
-- a sink of the version before, which goes on writing until it is replaced.
ALTER TABLE grapevine.visits
    ADD COLUMN IF NOT EXISTS evidence_search Array(Nullable(Float32)) DEFAULT arrayMap(fact -> CAST(NULL, 'Nullable(Float32)'), evidence) COMMENT 'search_log_odds of each fact of evidence, in its order: what it adds to the log-odds of dark search against a typed or bookmarked address; 0 for a fact that decides by itself or says nothing of it; null in rows of releases that did not say.' AFTER evidence;

-- A view has the columns of when it was made.
CREATE OR REPLACE VIEW grapevine.visits_people AS
SELECT * FROM grapevine.visits
WHERE channel != 'bot'
COMMENT 'Visits without robots.';

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
    if(arrayExists(search -> isNull(search), evidence_search), NULL, arraySum(search -> ifNull(search, 0), evidence_search)) AS evidence_search_log_odds,
    evidence,
    evidence_search,
    model_version
FROM grapevine.visits
WHERE method = 'prior' AND channel != 'bot'
COMMENT 'The three rivals of each visit that no fact decided: a privately passed link, a search engine that left no referrer, a typed or bookmarked address. dark_log_odds is a private link against both others, which evidence_log_odds, the sum of evidence, gives; search_against_typed is a search against a typed address, which evidence_search_log_odds, the sum of evidence_search, gives; it is null where that was not kept. How search and typed divide has no range. Give it a site and a period.';
