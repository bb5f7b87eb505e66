ALTER TABLE grapevine.edges
    COMMENT COLUMN IF EXISTS parent_kind 'What the cause is: an earlier visitor, an observed share act of nobody known, the outside world, all other possible causes together, or a share of somebody who was never seen to land on the content: a proven one with method token, else a possible one.';
