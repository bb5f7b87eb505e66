//! Reading just enough of a statement's text: tokens, where an INSERT's data begins, and where the
//! output format is named. What a statement *means* is the engine's parser's to say (see
//! [`crate::guard`]); a misjudgement here can only make a statement fail, not pass.

/// A token's kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A bare word or number.
    Word,
    /// A word in backticks or double quotes.
    Quoted,
    /// A string literal.
    Text,
    /// One character of punctuation.
    Punct(u8),
}

/// A token and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// How many brackets are open around it.
    pub(crate) depth: usize,
}

/// Cuts `text` into tokens by ClickHouse's lexical rules, comments left out.
pub(crate) struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
    depth: usize,
}

pub(crate) fn lex(text: &[u8]) -> Lexer<'_> {
    Lexer {
        text,
        at: 0,
        depth: 0,
    }
}

impl Lexer<'_> {
    fn seek(&self, from: usize, what: &[u8]) -> Option<usize> {
        let rest = self.text.get(from..)?;
        rest.windows(what.len())
            .position(|w| w == what)
            .map(|i| from + i)
    }

    fn skip_blank(&mut self) {
        loop {
            let rest = &self.text[self.at..];
            let end_of_line = |from| self.seek(from, b"\n").map_or(self.text.len(), |i| i + 1);
            match rest {
                [b, ..] if b.is_ascii_whitespace() || *b == 0x0b || *b == 0 => self.at += 1,
                [b'-', b'-', ..] | [b'#', b' ' | b'!', ..] => self.at = end_of_line(self.at),
                [b'/', b'*', ..] => {
                    self.at = self
                        .seek(self.at + 2, b"*/")
                        .map_or(self.text.len(), |i| i + 2);
                }
                // The no-break space, in UTF-8.
                [0xc2, 0xa0, ..] => self.at += 2,
                _ => break,
            }
        }
    }

    /// The end of a literal in `quote`, where a backslash or a doubled quote escapes.
    fn quoted_end(&self, quote: u8) -> usize {
        let mut at = self.at + 1;
        while let Some(&byte) = self.text.get(at) {
            if byte == b'\\' {
                at += 2;
            } else if byte == quote {
                if self.text.get(at + 1) != Some(&quote) {
                    return at + 1;
                }
                at += 2;
            } else {
                at += 1;
            }
        }
        self.text.len()
    }

    /// The end of a heredoc `$tag$ … $tag$`, if one begins here.
    fn heredoc_end(&self) -> Option<usize> {
        let close = self.seek(self.at + 1, b"$")?;
        let tag = &self.text[self.at..=close];
        let is_tag = tag[1..tag.len() - 1]
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || *b == b'_');
        is_tag
            .then(|| self.seek(close + 1, tag).map(|i| i + tag.len()))
            .flatten()
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

impl Iterator for Lexer<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        self.skip_blank();
        let start = self.at;
        let first = *self.text.get(start)?;
        let heredoc = (first == b'$').then(|| self.heredoc_end()).flatten();
        let (kind, end) = match first {
            b'\'' => (Kind::Text, self.quoted_end(first)),
            b'`' | b'"' => (Kind::Quoted, self.quoted_end(first)),
            _ if heredoc.is_some() => (Kind::Text, heredoc.unwrap_or(start + 1)),
            _ if is_word(first) => {
                let length = self.text[start..]
                    .iter()
                    .take_while(|b| is_word(**b))
                    .count();
                (Kind::Word, start + length)
            }
            _ => (Kind::Punct(first), start + 1),
        };
        self.at = end.min(self.text.len());
        let mut depth = self.depth;
        match kind {
            Kind::Punct(b'(' | b'[' | b'{') => self.depth += 1,
            Kind::Punct(b')' | b']' | b'}') => {
                self.depth = self.depth.saturating_sub(1);
                depth = self.depth;
            }
            _ => {}
        }
        Some(Token {
            kind,
            start,
            end: self.at,
            depth,
        })
    }
}

impl Token {
    pub(crate) fn bytes<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        &text[self.start..self.end]
    }

    /// Whether it is this keyword.
    pub(crate) fn is(&self, text: &[u8], keyword: &str) -> bool {
        self.kind == Kind::Word && self.bytes(text).eq_ignore_ascii_case(keyword.as_bytes())
    }

    /// The name it spells, without quotes; `None` for strings and punctuation.
    pub(crate) fn name(&self, text: &[u8]) -> Option<String> {
        let bytes = self.bytes(text);
        match self.kind {
            Kind::Word => Some(String::from_utf8_lossy(bytes).into_owned()),
            Kind::Quoted => {
                let inner = bytes
                    .get(1..bytes.len().saturating_sub(1))
                    .unwrap_or_default();
                Some(unescape(inner, bytes[0]))
            }
            Kind::Text | Kind::Punct(_) => None,
        }
    }
}

fn unescape(inner: &[u8], quote: u8) -> String {
    let mut name = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if byte == b'\\' || (byte == quote && bytes.peek() == Some(&quote)) {
            name.extend(bytes.next());
        } else {
            name.push(byte);
        }
    }
    String::from_utf8_lossy(&name).into_owned()
}

/// An INSERT whose data are given from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Insert {
    /// The statement's text up to and with `VALUES` or `FORMAT x`, without data.
    pub(crate) head_end: usize,
    /// Where `FROM INFILE` would stand: before `SETTINGS`, `FORMAT` or `VALUES`.
    pub(crate) source_at: usize,
    /// The format named; `None` where the text ends without one.
    pub(crate) format: Option<String>,
    /// Where SETTINGS begin in the head, if there are any.
    pub(crate) format_at: usize,
}

/// Reads `text` as an INSERT with outside data. `None` for every other statement, an
/// `INSERT … SELECT` among them.
pub(crate) fn insert(text: &[u8]) -> Option<Insert> {
    let mut tokens = lex(text).peekable();
    if !tokens.next()?.is(text, "INSERT") {
        return None;
    }
    let mut source_at = None;
    let mut end = 0;
    // The table's name may be any word, so the first clause is looked for after it.
    let mut named = false;
    while let Some(token) = tokens.next() {
        if token.depth > 0 {
            if token.depth == 1 && (token.is(text, "SELECT") || token.is(text, "WITH")) {
                return None;
            }
            end = token.end;
            continue;
        }
        if !named {
            let skip =
                token.is(text, "INTO") || token.is(text, "TABLE") || token.is(text, "FUNCTION");
            named = !skip && matches!(token.kind, Kind::Word | Kind::Quoted);
            end = token.end;
            continue;
        }
        if token.is(text, "SELECT") || token.is(text, "WITH") || token.is(text, "FROM") {
            return None;
        }
        let format = if token.is(text, "VALUES") {
            Some("Values".to_owned())
        } else if token.is(text, "FORMAT") {
            let name = tokens.peek().filter(|t| t.kind == Kind::Word)?;
            Some(name.name(text)?)
        } else {
            None
        };
        if token.is(text, "SETTINGS") {
            source_at.get_or_insert(token.start);
        }
        if format.is_some() {
            let head_end = if token.is(text, "VALUES") {
                token.end
            } else {
                tokens.peek()?.end
            };
            return Some(Insert {
                head_end,
                source_at: source_at.unwrap_or(token.start),
                format,
                format_at: token.start,
            });
        }
        if token.kind == Kind::Punct(b';') {
            break;
        }
        end = token.end;
    }
    named.then_some(Insert {
        head_end: end,
        source_at: source_at.unwrap_or(end),
        format: None,
        format_at: end,
    })
}

/// Where a statement's output is described.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Output {
    /// The format named in the text.
    pub(crate) format: Option<String>,
    /// Where `INTO OUTFILE` would stand.
    pub(crate) target_at: usize,
    /// The end of the statement, without a closing semicolon and comments.
    pub(crate) end: usize,
}

/// Finds the FORMAT clause of a statement with a result.
pub(crate) fn output(text: &[u8]) -> Output {
    let mut output = Output {
        format: None,
        target_at: 0,
        end: 0,
    };
    let mut previous: Option<Token> = None;
    for token in lex(text) {
        if token.kind == Kind::Punct(b';') && token.depth == 0 {
            continue;
        }
        let after_format = previous.is_some_and(|p| p.is(text, "FORMAT") && p.depth == 0);
        if let (true, Kind::Word, Some(format)) = (after_format, token.kind, previous) {
            output.format = token.name(text);
            output.target_at = format.start;
        }
        output.end = token.end;
        previous = Some(token);
    }
    if output.format.is_none() {
        output.target_at = output.end;
    }
    output
}

/// Writes `value` as a string literal.
pub(crate) fn quote(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// Writes `name` as an identifier.
pub(crate) fn quote_name(name: &str) -> String {
    format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(text: &str) -> Vec<&str> {
        lex(text.as_bytes())
            .map(|t| &text[t.start..t.end])
            .collect()
    }

    #[test]
    fn tokens_leave_comments_and_keep_strings() {
        assert_eq!(
            words("SELECT /* file( */ 1 -- url('x')\n, 'a''b\\'c' # x\n, `q``x`"),
            ["SELECT", "1", ",", "'a''b\\'c'", ",", "`q``x`"]
        );
        assert_eq!(words("$a$it's$a$ $x"), ["$a$it's$a$", "$x"]);
        assert_eq!(words("'open"), ["'open"]);
    }

    #[test]
    fn inserts_are_cut_before_their_data() {
        /// Head, format, and what comes before the source.
        type Parts<'a> = (&'a str, Option<&'a str>, &'a str);
        let cases: &[(&str, Option<Parts<'_>>)] = &[
            (
                "INSERT INTO t FORMAT CSV\n1,2",
                Some(("INSERT INTO t FORMAT CSV", Some("CSV"), "INSERT INTO t ")),
            ),
            (
                "insert into t (a, `format`) values (1)",
                Some((
                    "insert into t (a, `format`) values",
                    Some("Values"),
                    "insert into t (a, `format`) ",
                )),
            ),
            (
                "INSERT INTO d.t SETTINGS a=1 FORMAT Native\n\0",
                Some((
                    "INSERT INTO d.t SETTINGS a=1 FORMAT Native",
                    Some("Native"),
                    "INSERT INTO d.t ",
                )),
            ),
            (
                "INSERT INTO values VALUES (1)",
                Some((
                    "INSERT INTO values VALUES",
                    Some("Values"),
                    "INSERT INTO values ",
                )),
            ),
            (
                "INSERT INTO t ",
                Some(("INSERT INTO t", None, "INSERT INTO t")),
            ),
            (
                "INSERT INTO t (a)",
                Some(("INSERT INTO t (a)", None, "INSERT INTO t (a)")),
            ),
            ("INSERT INTO t SELECT 1 FORMAT CSV", None),
            ("INSERT INTO t (SELECT 1)", None),
            ("INSERT INTO t WITH x AS (SELECT 1) SELECT * FROM x", None),
            ("INSERT INTO t FROM INFILE 'x' FORMAT CSV", None),
            ("SELECT 1", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let found = insert(text.as_bytes());
            let found = found.as_ref().map(|i| {
                (
                    &text[..i.head_end],
                    i.format.as_deref(),
                    &text[..i.source_at],
                )
            });
            assert_eq!(found, *expected, "{text}");
        }
    }

    #[test]
    fn the_output_clause_is_found() {
        let cases = [
            (
                "SELECT 1 FORMAT JSON",
                Some("JSON"),
                "SELECT 1 ",
                "SELECT 1 FORMAT JSON",
            ),
            (
                "SELECT 1 format JSON settings a=1;",
                Some("JSON"),
                "SELECT 1 ",
                "SELECT 1 format JSON settings a=1",
            ),
            (
                "SELECT format('{}', a) FROM t -- FORMAT x",
                None,
                "SELECT format('{}', a) FROM t",
                "SELECT format('{}', a) FROM t",
            ),
            (
                "SELECT (SELECT 1 FORMAT CSV)",
                None,
                "SELECT (SELECT 1 FORMAT CSV)",
                "SELECT (SELECT 1 FORMAT CSV)",
            ),
        ];
        for (text, format, before, whole) in cases {
            let found = output(text.as_bytes());
            assert_eq!(found.format.as_deref(), format, "{text}");
            assert_eq!(
                (&text[..found.target_at], &text[..found.end]),
                (before, whole)
            );
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_cut(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut at = 0;
            for token in lex(&text) {
                prop_assert!(token.start >= at && token.end > token.start && token.end <= text.len());
                at = token.end;
            }
            let _ = insert(&text);
            let _ = output(&text);
        }

        #[test]
        fn quoted_names_read_back(name in ".{0,20}") {
            let text = quote_name(&name);
            let tokens: Vec<Token> = lex(text.as_bytes()).collect();
            prop_assert_eq!(tokens.len(), 1);
            prop_assert_eq!(tokens[0].name(text.as_bytes()), Some(name));
        }

        #[test]
        fn quoted_strings_are_one_token(value in ".{0,20}") {
            let text = quote(&value);
            prop_assert_eq!(lex(text.as_bytes()).count(), 1);
        }
    }
}
