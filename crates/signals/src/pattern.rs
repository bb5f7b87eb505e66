//! Regular expressions read apart, so that a literal can stand guard before each.
//!
//! Patterns are ASCII and ignore letter case, as in the list they come from: `\w`, `\d` and `\b`
//! know no Unicode.

use regex_automata::dfa::{StartKind, dense};
use regex_automata::meta::Regex;
use regex_automata::nfa::thompson;
use regex_automata::util::syntax;
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Hir, HirKind, Look};

/// What every match of a pattern must contain.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Anatomy {
    /// The pattern is its literal, perhaps with `^` or with `$`, and nothing else.
    pub(crate) is_literal: bool,
    /// The pattern matches only at the text's start.
    pub(crate) anchored: bool,
    /// The longest text that every match contains, if it is worth looking for.
    pub(crate) literal: Option<Vec<u8>>,
    /// Every matching text begins so.
    pub(crate) starts: Option<Vec<u8>>,
    /// Every matching text ends so.
    pub(crate) ends: Option<Vec<u8>>,
}

/// One byte is worth looking for only when ordinary browsers do not have it.
const RARE_BYTES: &[u8] = b"|@<>";

/// Size bound of one compiled pattern: a hostile override must not eat the machine.
const PATTERN_BYTES_MAX: usize = 1 << 20;

fn config() -> syntax::Config {
    syntax::Config::new()
        .case_insensitive(true)
        .unicode(false)
        .utf8(false)
}

/// Compiles one pattern. Errors are sentences naming the trouble.
pub(crate) fn compile(pattern: &str) -> Result<Regex, String> {
    Regex::builder()
        .syntax(config())
        .configure(
            Regex::config()
                .utf8_empty(false)
                .nfa_size_limit(Some(PATTERN_BYTES_MAX)),
        )
        .build(pattern)
        .map_err(|e| format!("the pattern cannot be compiled ({})", one_line(&e)))
}

/// Compiles patterns that hold at a text's start only into one automaton, which needs no
/// scratch space at a search.
pub(crate) fn compile_anchored(patterns: &[String]) -> Result<dense::DFA<Vec<u32>>, String> {
    let limits = dense::Config::new()
        .start_kind(StartKind::Anchored)
        .dfa_size_limit(Some(4 * PATTERN_BYTES_MAX))
        .determinize_size_limit(Some(4 * PATTERN_BYTES_MAX));
    dense::Builder::new()
        .syntax(config())
        .thompson(thompson::Config::new().utf8(false))
        .configure(limits)
        .build_many(patterns)
        .map_err(|e| format!("the patterns cannot be compiled ({})", one_line(&e)))
}

/// Reads a pattern apart.
pub(crate) fn dissect(pattern: &str) -> Result<Anatomy, String> {
    let hir = ParserBuilder::new()
        .unicode(false)
        .utf8(false)
        .build()
        .parse(pattern)
        .map_err(|e| format!("the pattern cannot be read ({})", one_line(&e)))?;
    let single = [hir];
    let parts: &[Hir] = match single[0].kind() {
        HirKind::Concat(parts) => parts,
        _ => &single,
    };
    let anchored = matches!(
        parts.first().map(Hir::kind),
        Some(HirKind::Look(Look::Start))
    );
    let closed = matches!(parts.last().map(Hir::kind), Some(HirKind::Look(Look::End)));
    let inner = &parts[usize::from(anchored)..parts.len() - usize::from(closed)];
    let mut longest: Option<&[u8]> = None;
    for part in inner {
        if let Some(found) = required(part)
            && longest.is_none_or(|l| l.len() < found.len())
        {
            longest = Some(found);
        }
    }
    let worthy = |l: &&[u8]| l.len() > 1 || RARE_BYTES.contains(&l[0]);
    let edge = |part: Option<&Hir>| match part.map(Hir::kind) {
        Some(HirKind::Literal(l)) => Some(l.0.to_vec()),
        _ => None,
    };
    Ok(Anatomy {
        is_literal: inner.len() == 1 && edge(inner.first()).is_some() && !(anchored && closed),
        anchored,
        literal: longest.filter(worthy).map(<[u8]>::to_vec),
        starts: if anchored { edge(inner.first()) } else { None },
        ends: if closed { edge(inner.last()) } else { None },
    })
}

/// A text that every match of this part contains.
fn required(part: &Hir) -> Option<&[u8]> {
    match part.kind() {
        HirKind::Literal(literal) => Some(&literal.0),
        HirKind::Capture(capture) => required(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => required(&repetition.sub),
        HirKind::Concat(parts) => parts.iter().filter_map(required).max_by_key(|l| l.len()),
        _ => None,
    }
}

fn one_line(error: &dyn std::fmt::Display) -> String {
    let text = error.to_string();
    let last = text
        .lines()
        .rfind(|l| !l.trim().is_empty())
        .unwrap_or_default();
    last.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anatomy(pattern: &str) -> Anatomy {
        dissect(pattern).unwrap()
    }

    #[test]
    fn finds_the_longest_required_literal() {
        assert_eq!(anatomy(r"agent\b").literal.as_deref(), Some(&b"agent"[..]));
        assert_eq!(
            anatomy(r"ptst[ /]\d").literal.as_deref(),
            Some(&b"ptst"[..])
        );
        assert_eq!(
            anatomy(r"^\w*search\b").literal.as_deref(),
            Some(&b"search"[..])
        );
        assert_eq!(anatomy(r"(?:abc)+|d").literal, None);
        assert_eq!(
            anatomy(r"^[\w\-]+/[\w]+$").literal,
            None,
            "a slash guards nothing"
        );
        assert_eq!(
            anatomy(r"@[a-z][\w-]+\.").literal.as_deref(),
            Some(&b"@"[..])
        );
    }

    #[test]
    fn knows_edges_and_plain_literals() {
        let prefix = anatomy("^whatsapp");
        assert!(prefix.is_literal && prefix.anchored);
        assert_eq!(prefix.starts.as_deref(), Some(&b"whatsapp"[..]));
        assert!(anatomy(r"mail\.ru/").is_literal);
        assert_eq!(anatomy(r";\s\w+;$").ends.as_deref(), Some(&b";"[..]));
        assert!(!anatomy(r"agent\b").is_literal);
    }

    #[test]
    fn refuses_look_around_with_a_reason() {
        let said = dissect("(?<!cam)scan").unwrap_err();
        assert!(said.contains("look-around"), "{said}");
        assert!(
            compile("a{1000}{1000}")
                .unwrap_err()
                .contains("cannot be compiled")
        );
    }
}
