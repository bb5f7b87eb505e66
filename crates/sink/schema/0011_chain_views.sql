CREATE OR REPLACE VIEW grapevine.app_transitions AS
SELECT
    site,
    toDate(time) AS day,
    method,
    parent_kind,
    parent_app,
    child_app,
    sum(sign) AS edges,
    sumIf(sign, ifNull(parent_visit, toUUID('00000000-0000-0000-0000-000000000000')) = toUUID('00000000-0000-0000-0000-000000000000')) AS edges_of_unknown_parent,
    sum(probability * sign) AS expected
FROM grapevine.edges
WHERE parent_kind != 'outside'
GROUP BY site, day, method, parent_kind, parent_app, child_app
COMMENT 'From which app to which app links travelled, by day. expected is the expected number of visits and adds up; edges counts rows, of which an inferred cause has several.';

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
HAVING expected >= (SELECT visitors_min FROM grapevine.k_anonymity)
COMMENT 'app_transitions without groups of too few visits: those of which fewer are expected.';

CREATE OR REPLACE VIEW grapevine.visit_children AS
SELECT
    site,
    content,
    parent_visit AS visit_id,
    sum(probability * sign) AS children,
    sumIf(probability * sign, method = 'token') AS children_certain,
    sum(probability * sign * lag_ms) / nullIf(sum(probability * sign), 0) / 1000 AS mean_lag_seconds
FROM grapevine.edges
WHERE parent_visit IS NOT NULL
GROUP BY site, content, parent_visit
HAVING sum(sign) > 0
COMMENT 'Expected visits that each visit brought, from the edges that name it; what is pooled names nobody, so the sum over visits is a lower bound. Give it a site and a content.';

CREATE OR REPLACE VIEW grapevine.likely_edges AS
SELECT
    site,
    content,
    child_visit,
    parent_visit,
    any(time) AS landed,
    method,
    sum(probability * sign) AS likelihood,
    any(lag_ms) / 1000 AS lag_seconds,
    parent_app,
    child_app,
    model_version
FROM grapevine.edges
WHERE parent_visit IS NOT NULL
GROUP BY site, content, child_visit, parent_visit, method, parent_app, child_app, model_version
HAVING likelihood >= 0.5
COMMENT 'Edges that are more likely right than not, those taken back aside. For another threshold ask the table edges.';

CREATE OR REPLACE VIEW grapevine.spreads AS
SELECT
    *,
    chain_arrivals / nullIf(settled, 0) AS chain_share,
    chain_arrivals_low / nullIf(settled, 0) AS chain_share_low,
    chain_arrivals_high / nullIf(settled, 0) AS chain_share_high,
    tokens / nullIf(arrivals, 0) AS token_share
FROM grapevine.spread_states FINAL
COMMENT 'How contents spread, each as it stands now. chain_share is the part of settled readers who came from an earlier reader, with its range.';

CREATE OR REPLACE VIEW grapevine.bi_spreads AS
SELECT
    site,
    content,
    toDate(started) AS day,
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
    generation,
    generation_time_seconds,
    half_life_seconds,
    k_factor,
    broadcast,
    token_share,
    model_version
FROM grapevine.spreads
WHERE arrivals >= (SELECT visitors_min FROM grapevine.k_anonymity)
COMMENT 'spreads of enough readers.';

CREATE OR REPLACE VIEW grapevine.spread_by_site AS
SELECT
    site,
    toDate(started) AS day,
    count() AS contents,
    sum(spreads.arrivals) AS arrivals,
    sum(spreads.settled) AS settled,
    sum(spreads.tokens) AS tokens,
    sum(spreads.chain_arrivals) AS chain_arrivals,
    sum(spreads.chain_arrivals_low) AS chain_arrivals_low,
    sum(spreads.chain_arrivals_high) AS chain_arrivals_high,
    countIf(spreads.broadcast) AS broadcasts
FROM grapevine.spreads AS spreads
GROUP BY site, day
COMMENT 'Readers and those who came from earlier readers, by the day that a content was first read on. Low and high add up as if all contents erred the same way.';

CREATE OR REPLACE VIEW grapevine.chain_calibration AS
SELECT
    site,
    argMax(version, offset) AS version,
    max(time) AS updated,
    argMax(scored, offset) AS scored,
    argMax(log_loss, offset) AS log_loss,
    argMax(brier, offset) AS brier,
    argMax(ece, offset) AS ece,
    argMax(top1, offset) AS top1,
    argMax(reliability_count, offset) AS reliability_count,
    argMax(reliability_predicted, offset) AS reliability_predicted,
    argMax(reliability_observed, offset) AS reliability_observed,
    argMax(alarm, offset) AS alarm,
    argMax(token_survival, offset) AS token_survival
FROM grapevine.chain_models AS chain_models
GROUP BY site
COMMENT 'How well the causes of arrivals are inferred on each site, by its certain edges: the newest record.';
