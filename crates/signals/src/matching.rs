//! One pass over a user agent finds every candidate rule; only candidates are checked.
//!
//! All literals of all rules form one case-insensitive Aho-Corasick automaton. A literal found
//! marks a bit and wakes the rules it triggers; a woken rule is then held to the rest of its
//! conditions. An ordinary browser wakes next to nothing, so the cost is the one pass.

use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::{MatchKind, dfa};
use hashbrown::HashMap;
use regex_automata::dfa::{Automaton as _, dense};
use regex_automata::meta::Regex;
use regex_automata::{Anchored, Input};

use crate::pattern;

/// Literals and rules one automaton holds: two bitmaps of 512 bytes on the stack of a call.
pub(crate) const BITS_MAX: usize = 4096;
const WORDS: usize = BITS_MAX / 64;

/// Bytes of a user agent that are looked at. Real ones end below 700; the rest is hostile.
pub(crate) const AGENT_BYTES_MAX: usize = 2048;

/// The literal's place in the automaton.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Literal(u32);

/// Conditions as data files state them; every one given must hold. Letter case never counts.
#[derive(Debug, Clone, Default, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Conditions {
    /// The whole text.
    pub(crate) exact: Option<String>,
    /// The text begins so.
    pub(crate) starts: Option<String>,
    /// All of these occur; the first at the start of a word.
    pub(crate) has: Vec<String>,
    /// None of these occurs.
    pub(crate) lacks: Vec<String>,
    /// A regular expression (ASCII classes, no look-around) that matches somewhere.
    pub(crate) pattern: Option<String>,
    /// The first `has` is not directly preceded by any of these.
    pub(crate) before_not: Vec<String>,
    /// The first `has` is not directly followed by any of these.
    pub(crate) after_not: Vec<String>,
    /// A regular expression that matches from the start of the first `has` on.
    pub(crate) at: Option<String>,
    /// The first `has` may stand inside a word.
    pub(crate) inside_word: bool,
}

#[derive(Debug)]
struct Rule {
    entry: u32,
    word_start: bool,
    starts: Option<Box<[u8]>>,
    ends: Option<Box<[u8]>>,
    whole: bool,
    has: Box<[Literal]>,
    lacks: Box<[Literal]>,
    before_not: Box<[Box<[u8]>]>,
    after_not: Box<[Box<[u8]>]>,
    at: Option<Regex>,
    pattern: Option<Regex>,
}

/// The automaton under construction.
#[derive(Debug, Default)]
pub(crate) struct MatcherBuilder {
    literals: Vec<Box<[u8]>>,
    ids: HashMap<Box<[u8]>, Literal>,
    rules: Vec<Rule>,
    triggers: Vec<(Literal, u32)>,
    anchored: Vec<(String, u32)>,
    always: Vec<u32>,
}

/// All rules in one automaton.
#[derive(Debug)]
pub(crate) struct Matcher {
    automaton: dfa::DFA,
    rules: Vec<Rule>,
    /// Rules woken by each literal.
    triggered: Vec<Box<[u32]>>,
    /// Patterns without a literal that hold at the text's start only, as one automaton.
    anchored: Option<dense::DFA<Vec<u32>>>,
    anchored_rules: Vec<u32>,
    /// Patterns without literal or anchor: tried on every text.
    always: Vec<u32>,
}

/// What one pass over one text found.
pub(crate) struct Scan<'t> {
    text: &'t [u8],
    found: [u64; WORDS],
    woken: [u64; WORDS],
}

/// Literals or rules above [`BITS_MAX`]: what, and how many.
#[derive(Debug)]
pub(crate) struct Overflow {
    pub(crate) what: &'static str,
    pub(crate) count: usize,
}

impl MatcherBuilder {
    /// A literal whose presence [`Scan::has`] answers later.
    pub(crate) fn literal(&mut self, text: &str) -> Literal {
        let folded: Box<[u8]> = text.to_ascii_lowercase().into_bytes().into();
        if let Some(known) = self.ids.get(&folded) {
            return *known;
        }
        let id = Literal(self.literals.len() as u32);
        self.literals.push(folded.clone());
        self.ids.insert(folded, id);
        id
    }

    /// A rule for `entry`; entries must come in ascending order. Errors say what is wrong with
    /// the conditions, naming the key.
    pub(crate) fn rule(&mut self, entry: u32, conditions: &Conditions) -> Result<(), String> {
        let c = conditions;
        let all = c
            .exact
            .iter()
            .chain(&c.starts)
            .chain(&c.has)
            .chain(&c.lacks);
        for literal in all.chain(&c.before_not).chain(&c.after_not) {
            if literal.is_empty() {
                return Err("an empty text would match everything".into());
            }
        }
        if c.has.is_empty()
            && (c.at.is_some() || !c.before_not.is_empty() || !c.after_not.is_empty())
        {
            return Err("`at`, `before_not` and `after_not` need a `has` to stand next to".into());
        }
        if c.exact.is_some() && c.starts.is_some() {
            return Err("`exact` and `starts` exclude each other; keep one".into());
        }
        let mut rule = Rule {
            entry,
            word_start: !c.has.is_empty() && !c.inside_word,
            starts: c.starts.as_deref().or(c.exact.as_deref()).map(bytes),
            ends: None,
            whole: c.exact.is_some(),
            has: c.has.iter().map(|t| self.literal(t)).collect(),
            lacks: c.lacks.iter().map(|t| self.literal(t)).collect(),
            before_not: c.before_not.iter().map(|t| bytes(t)).collect(),
            after_not: c.after_not.iter().map(|t| bytes(t)).collect(),
            at: c.at.as_deref().map(pattern::compile).transpose()?,
            pattern: None,
        };
        let mut trigger = rule.has.first().copied();
        if trigger.is_none() {
            trigger = c
                .exact
                .as_deref()
                .or(c.starts.as_deref())
                .map(|t| self.literal(t));
        }
        let index = self.rules.len() as u32;
        if let Some(text) = c.pattern.as_deref() {
            let anatomy = pattern::dissect(text)?;
            let guard = anatomy.literal.as_deref().map(String::from_utf8_lossy);
            // A pattern that is nothing but the literal that wakes its rule needs no second look.
            if !(anatomy.is_literal && guard.is_some() && trigger.is_none()) {
                rule.pattern = Some(pattern::compile(text)?);
            }
            if rule.starts.is_none() {
                rule.starts = anatomy.starts.as_deref().map(Into::into);
            }
            rule.ends = anatomy.ends.as_deref().map(Into::into);
            if trigger.is_none() {
                match guard {
                    Some(literal) => trigger = Some(self.literal(&literal)),
                    None if anatomy.anchored && c.lacks.is_empty() => {
                        self.anchored.push((text.to_owned(), index));
                    }
                    None => self.always.push(index),
                }
            }
        } else if trigger.is_none() {
            return Err("no condition: give `exact`, `starts`, `has` or `pattern`".into());
        }
        if let Some(trigger) = trigger {
            self.triggers.push((trigger, index));
        }
        self.rules.push(rule);
        Ok(())
    }

    /// The finished automaton, or what there is too much of.
    pub(crate) fn build(self) -> Result<Matcher, Overflow> {
        for (what, count) in [
            ("literals", self.literals.len()),
            ("rules", self.rules.len()),
        ] {
            if count > BITS_MAX {
                return Err(Overflow { what, count });
            }
        }
        let mut triggered = vec![Vec::new(); self.literals.len()];
        for (literal, rule) in self.triggers {
            triggered[literal.0 as usize].push(rule);
        }
        let automaton = dfa::Builder::new()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .start_kind(aho_corasick::StartKind::Unanchored)
            .build(&self.literals)
            .map_err(|_| Overflow {
                what: "literals",
                count: self.literals.len(),
            })?;
        let (patterns, anchored_rules): (Vec<_>, Vec<_>) = self.anchored.into_iter().unzip();
        let anchored = match patterns.is_empty() {
            true => None,
            false => Some(pattern::compile_anchored(&patterns).map_err(|_| Overflow {
                what: "patterns",
                count: patterns.len(),
            })?),
        };
        Ok(Matcher {
            automaton,
            rules: self.rules,
            triggered: triggered.into_iter().map(Vec::into_boxed_slice).collect(),
            anchored,
            anchored_rules,
            always: self.always,
        })
    }
}

impl Matcher {
    /// Passes once over `text` (at most [`AGENT_BYTES_MAX`] of it).
    pub(crate) fn scan<'t>(&self, text: &'t str) -> Scan<'t> {
        let bytes = text.as_bytes();
        let text = &bytes[..bytes.len().min(AGENT_BYTES_MAX)];
        let mut scan = Scan {
            text,
            found: [0; WORDS],
            woken: [0; WORDS],
        };
        let unanchored = aho_corasick::Anchored::No;
        // The start state exists in every automaton built for unanchored searches.
        let Ok(mut state) = self.automaton.start_state(unanchored) else {
            return scan;
        };
        let mut at = 0;
        loop {
            // Kept apart and tight: this loop is where the time of a whole classification goes.
            while at < text.len() {
                state = self.automaton.next_state(unanchored, state, text[at]);
                at += 1;
                if self.automaton.is_special(state) {
                    break;
                }
            }
            if self.automaton.is_match(state) {
                self.found(&mut scan, state, at);
            }
            if at == text.len() {
                break;
            }
        }
        for &rule in &self.always {
            set(&mut scan.woken, rule as usize);
        }
        scan
    }

    /// Notes every literal that ends at `end`, where the automaton is in `state`.
    #[inline(never)]
    fn found(&self, scan: &mut Scan<'_>, state: StateID, end: usize) {
        for nth in 0..self.automaton.match_len(state) {
            let literal = self.automaton.match_pattern(state, nth);
            let start = end - self.automaton.pattern_len(literal);
            set(&mut scan.found, literal.as_usize());
            for &rule in &*self.triggered[literal.as_usize()] {
                if self.rules[rule as usize].stands(scan.text, start, end) {
                    set(&mut scan.woken, rule as usize);
                }
            }
        }
    }

    /// The lowest entry within `entries` that has a rule which holds.
    pub(crate) fn first(&self, scan: &Scan<'_>, entries: std::ops::Range<u32>) -> Option<u32> {
        let woken = self.first_woken(scan, &entries);
        let below = woken.unwrap_or(entries.end);
        self.first_anchored(scan, entries.start..below).or(woken)
    }

    fn first_woken(&self, scan: &Scan<'_>, entries: &std::ops::Range<u32>) -> Option<u32> {
        let words = self.rules.len().div_ceil(64);
        for (index, word) in scan.woken[..words].iter().enumerate() {
            let mut left = *word;
            while left != 0 {
                let rule = &self.rules[index * 64 + left.trailing_zeros() as usize];
                left &= left - 1;
                if rule.entry >= entries.end {
                    return None;
                }
                if rule.entry >= entries.start && rule.holds(scan) {
                    return Some(rule.entry);
                }
            }
        }
        None
    }

    fn first_anchored(&self, scan: &Scan<'_>, entries: std::ops::Range<u32>) -> Option<u32> {
        let entry_of = |rule: &u32| self.rules[*rule as usize].entry;
        if !self
            .anchored_rules
            .iter()
            .any(|rule| entries.contains(&entry_of(rule)))
        {
            return None;
        }
        let input = Input::new(scan.text).anchored(Anchored::Yes);
        // The automaton knows no bytes it would give up on, so there is no error.
        let hit = self.anchored.as_ref()?.try_search_fwd(&input).ok()??;
        let entry = entry_of(&self.anchored_rules[hit.pattern().as_usize()]);
        entries.contains(&entry).then_some(entry)
    }

    /// Every entry with a rule that holds: for tests of single entries.
    #[cfg(test)]
    pub(crate) fn every(&self, text: &str) -> Vec<u32> {
        let scan = self.scan(text);
        let woken = |rule: usize| scan.woken[rule / 64] >> (rule % 64) & 1 == 1;
        let held = |(index, rule): (usize, &Rule)| {
            let candidate = woken(index) || self.anchored_rules.contains(&(index as u32));
            (candidate && rule.holds(&scan)).then_some(rule.entry)
        };
        self.rules.iter().enumerate().filter_map(held).collect()
    }
}

impl Scan<'_> {
    /// Whether the literal occurs anywhere.
    pub(crate) fn has(&self, literal: Literal) -> bool {
        let index = literal.0 as usize;
        self.found[index / 64] >> (index % 64) & 1 == 1
    }
}

impl Rule {
    /// Whether the trigger's occurrence at `start..end` is one the rule accepts.
    fn stands(&self, text: &[u8], start: usize, end: usize) -> bool {
        if self.word_start && start > 0 && text[start].is_ascii_alphanumeric() {
            let before = text[start - 1];
            if before.is_ascii_alphanumeric() {
                return false;
            }
        }
        let (before, after) = (&text[..start], &text[end..]);
        if self.before_not.iter().any(|t| ends_with(before, t))
            || self.after_not.iter().any(|t| starts_with(after, t))
        {
            return false;
        }
        match &self.at {
            Some(at) => at.is_match(
                Input::new(text)
                    .span(start..text.len())
                    .anchored(Anchored::Yes),
            ),
            None => true,
        }
    }

    /// Whether all but the trigger's own conditions hold.
    fn holds(&self, scan: &Scan<'_>) -> bool {
        let text = scan.text;
        let fits = |prefix: &[u8]| {
            starts_with(text, prefix) && (!self.whole || text.len() == prefix.len())
        };
        if !self.starts.as_deref().is_none_or(fits) {
            return false;
        }
        if !self
            .ends
            .as_deref()
            .is_none_or(|suffix| ends_with(text, suffix))
        {
            return false;
        }
        self.has.iter().all(|l| scan.has(*l))
            && !self.lacks.iter().any(|l| scan.has(*l))
            && self.pattern.as_ref().is_none_or(|p| p.is_match(text))
    }
}

fn set(bits: &mut [u64; WORDS], index: usize) {
    bits[index / 64] |= 1 << (index % 64);
}

fn bytes(text: &str) -> Box<[u8]> {
    text.as_bytes().into()
}

fn starts_with(text: &[u8], prefix: &[u8]) -> bool {
    text.len() >= prefix.len() && text[..prefix.len()].eq_ignore_ascii_case(prefix)
}

fn ends_with(text: &[u8], suffix: &[u8]) -> bool {
    text.len() >= suffix.len() && text[text.len() - suffix.len()..].eq_ignore_ascii_case(suffix)
}
