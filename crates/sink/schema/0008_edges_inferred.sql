ALTER TABLE grapevine.edges
    ADD COLUMN IF NOT EXISTS parent_kind Enum8('visitor' = 0, 'act' = 1, 'outside' = 2, 'pooled' = 3, 'unknown' = 4) DEFAULT if(parent_visit IS NULL, 'unknown', 'visitor') COMMENT 'What the cause is: an earlier visitor, an observed share act of nobody known, the outside world, all other possible causes together, or a proven share of somebody who was never seen.' AFTER model_version,
    ADD COLUMN IF NOT EXISTS sign Int32 DEFAULT 1 COMMENT '1, or -1 where a later token takes back what was written before: sum probability times sign.' AFTER parent_kind;

ALTER TABLE grapevine.edges
    COMMENT COLUMN IF EXISTS parent_visit 'The sharer\'s visit; null where parent_kind names nobody, or where the visit is no longer known.',
    COMMENT COLUMN IF EXISTS probability 'P(this is the cause), 0 to 1; 1 for a token. Those of one child sum to 1, signs counted.',
    COMMENT COLUMN IF EXISTS lag_ms 'Milliseconds from the parent\'s visit (of an act, from the act) to the child\'s; null without one.',
    COMMENT COLUMN IF EXISTS parent_app 'App of the parent\'s own arrival, of an act the app it was seen in, or empty.',
    MODIFY COMMENT 'One possible cause of a visit, with its probability: a certain one alone, or the likeliest ones of an inferred cause, which sum to 1 together with what is pooled. A row of sign -1 takes back an earlier one. Topic edges.';

ALTER TABLE grapevine.edges ADD PROJECTION IF NOT EXISTS by_transition
    (
        SELECT
            site, toDate(time), method, parent_kind, parent_app, child_app,
            sum(sign), sumIf(sign, ifNull(parent_visit, toUUID('00000000-0000-0000-0000-000000000000')) = toUUID('00000000-0000-0000-0000-000000000000')), sum(probability * sign)
        GROUP BY site, toDate(time), method, parent_kind, parent_app, child_app
    );

ALTER TABLE grapevine.edges MATERIALIZE PROJECTION IF EXISTS by_transition SETTINGS mutations_sync = 2;

ALTER TABLE grapevine.edges DROP PROJECTION IF EXISTS by_app SETTINGS mutations_sync = 2;
