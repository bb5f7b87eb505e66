-- Tokens of readers who come back to their own address are told from those that were passed on.
ALTER TABLE grapevine.calibrations
    COMMENT COLUMN IF EXISTS tokens 'Of those, landings with a token that is not known to be the reader\'s own.',
    COMMENT COLUMN IF EXISTS private_part 'Part of tokens that were passed on which came in private, 0 to 1.',
    COMMENT COLUMN IF EXISTS bin_tokens 'Landings with a token by bin, without those that are expected to be readers\' own, come back on another device or under a new id.';
