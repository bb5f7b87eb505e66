-- Every batch is a part, and with the default of 5 each row is merged again for each fivefold of its
-- part: as much work as the inserts themselves. Fewer merges leave some tens of parts to read.
ALTER TABLE grapevine.visits MODIFY SETTING merge_selector_base = 20;
ALTER TABLE grapevine.events MODIFY SETTING merge_selector_base = 20;
ALTER TABLE grapevine.shares MODIFY SETTING merge_selector_base = 20;
ALTER TABLE grapevine.edges MODIFY SETTING merge_selector_base = 20;
ALTER TABLE grapevine.cascade_states MODIFY SETTING merge_selector_base = 20;
ALTER TABLE grapevine.spread_states MODIFY SETTING merge_selector_base = 20;
