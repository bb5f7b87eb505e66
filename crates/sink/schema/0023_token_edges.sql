-- A token may be the reader's own: its edge is as probable as that it was passed on.
ALTER TABLE grapevine.edges
    COMMENT COLUMN IF EXISTS probability 'P(this is the cause), 0 to 1; of a token, P(it was passed on and is not the reader\'s own). Those of one child sum to 1, signs counted.',
    COMMENT COLUMN IF EXISTS parent_kind 'What the cause is: an earlier visitor, an observed share act of nobody known, the outside world (with method token: the reader\'s own token, come back on another device or under a new id), all other possible causes together, or a share of somebody who was never seen to land on the content: by a token with method token, else a possible one.',
    MODIFY COMMENT 'One possible cause of a visit, with its probability: whose token came and that it is the reader\'s own, or the likeliest ones of an inferred cause, which sum to 1 together with what is pooled. A row of sign -1 takes back an earlier one. Topic edges.';

ALTER TABLE grapevine.cascade_states
    COMMENT COLUMN IF EXISTS method 'Weakest method among its edges: token = every edge is by a token that was more likely passed on than the reader\'s own.',
    COMMENT COLUMN IF EXISTS reproduction_number 'Mean number of children by tokens that a visit has: edges over visits; too low where tokens get lost.';

ALTER TABLE grapevine.spread_states
    COMMENT COLUMN IF EXISTS certain_shares 'Readers who came by the token of an earlier reader, more likely passed on than their own.',
    COMMENT COLUMN IF EXISTS tokens 'Readers whose link carried a token, known or not, more likely passed on than their own.',
    COMMENT COLUMN IF EXISTS largest_broadcast 'Most readers who came by the tokens of one reader.';

ALTER TABLE grapevine.surge_states
    COMMENT COLUMN IF EXISTS chained 'Visits since started by the share token of an earlier visit, more likely passed on than the reader\'s own; others came so without a token.';

ALTER TABLE grapevine.visits
    COMMENT COLUMN IF EXISTS cascade_id 'Cascade by share tokens that were more likely passed on than the reader\'s own: the visit_id of its root. Null until the chain stage has seen it, and for robots.';

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
COMMENT 'Expected visits that each visit brought, from the edges that name it, and of those children_certain by its tokens; what is pooled names nobody, so the sum over visits is a lower bound. Give it a site and a content.';

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
COMMENT 'app_transitions without groups of too few visits: those of which fewer are expected. certain of them are expected by share tokens alone, each as probable as that it was passed on; nothing of it has a range.';

CREATE OR REPLACE VIEW grapevine.cascades AS
SELECT * EXCEPT (reproduction_number) FROM grapevine.cascade_states FINAL
COMMENT 'Trees of edges by tokens that were more likely passed on than the reader\'s own, each as it stands now. size, depth and breadth are lower bounds: tokens get lost, and who passes a link on without visiting is invisible. How deep a content may go at all, with its range, is depth in spreads.';
