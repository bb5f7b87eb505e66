//! Whole objects and arrays inside one that breaks off.

use super::split::{HITS_MAX, length};

/// Where the objects and arrays end that begin a line inside a value that breaks off.
///
/// What is broken ends with its line, and the next line is read by itself. Were it read from the
/// text once more, every line that opens an object and never closes it would be read to the end of
/// the body. But inside a value an object or array is read just as it is by itself: the one pass
/// that finds where the value breaks off tells of all that begin before.
#[derive(Debug, Default)]
pub(super) struct Nested {
    /// Where the value breaks off: what begins before is known.
    to: usize,
    /// Start and end of the whole ones that lie in no other whole one, in order.
    whole: Vec<(usize, usize)>,
}

impl Nested {
    /// Reads the object or array that begins at `start` to where it breaks off, which may be the end
    /// of the text.
    pub(super) fn read(text: &[u8], start: usize) -> Nested {
        let mut pass = Pass {
            text,
            at: start,
            levels: Vec::new(),
            lines: Vec::new(),
            whole: Vec::new(),
        };
        // It ends either way, and what matters is where.
        let _ = pass.run();
        Nested {
            to: pass.at,
            whole: pass.whole,
        }
    }

    /// Whether what begins there is known.
    pub(super) fn knows(&self, start: usize) -> bool {
        start < self.to
    }

    /// The end of the object or array that begins there, which is known; `None` where it breaks off.
    pub(super) fn end(&self, start: usize) -> Option<usize> {
        let found = self.whole.binary_search_by_key(&start, |(start, _)| *start);
        let (_, end) = self.whole.get(found.ok()?)?;
        Some(*end)
    }
}

/// An object or array that is open.
struct Level {
    /// What closes it.
    closing: u8,
    /// Whether its start is among [`Pass::lines`].
    begins_line: bool,
}

struct Pass<'a> {
    text: &'a [u8],
    at: usize,
    levels: Vec<Level>,
    /// Starts of those that are open and begin a line. Not more than a request may have hits: each
    /// that is looked up has broken hits of all around it before it. The same holds for `whole`,
    /// where each has those before it as hits.
    lines: Vec<usize>,
    whole: Vec<(usize, usize)>,
}

impl Pass<'_> {
    /// `None` in the end: the value is whole, or breaks off where the pass stands.
    fn run(&mut self) -> Option<()> {
        loop {
            let mut after_value = match self.peek()? {
                opening @ (b'{' | b'[') => {
                    self.open(opening);
                    false
                }
                _ => {
                    self.scalar()?;
                    true
                }
            };
            loop {
                let closing = self.levels.last()?.closing;
                match self.peek()? {
                    b',' if after_value => {
                        self.at += 1;
                        break;
                    }
                    byte if byte == closing => {
                        self.close()?;
                        after_value = true;
                    }
                    _ if after_value => return None,
                    _ => break,
                }
            }
            if self.levels.last()?.closing == b'}' {
                self.name()?;
            }
        }
    }

    /// The next byte that is no space, which the pass then stands at.
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.text.get(self.at)? {
                b' ' | b'\n' | b'\t' | b'\r' => self.at += 1,
                byte => return Some(*byte),
            }
        }
    }

    fn open(&mut self, opening: u8) {
        let begins_line = self.lines.len() < HITS_MAX && self.at_line_start();
        if begins_line {
            self.lines.push(self.at);
        }
        self.levels.push(Level {
            closing: if opening == b'{' { b'}' } else { b']' },
            begins_line,
        });
        self.at += 1;
    }

    fn at_line_start(&self) -> bool {
        let before = self.text[..self.at].iter().rev();
        let mut before = before.skip_while(|byte| matches!(byte, b' ' | b'\t' | b'\r'));
        before.next().is_none_or(|byte| *byte == b'\n')
    }

    /// `None` where it was the outermost.
    fn close(&mut self) -> Option<()> {
        self.at += 1;
        let level = self.levels.pop()?;
        if level.begins_line
            && let Some(start) = self.lines.pop()
        {
            // What lies in it is taken with it.
            while self.whole.last().is_some_and(|(inner, _)| *inner > start) {
                self.whole.pop();
            }
            if self.whole.len() < HITS_MAX {
                self.whole.push((start, self.at));
            }
        }
        (!self.levels.is_empty()).then_some(())
    }

    /// Passes over a string, a number or a word.
    fn scalar(&mut self) -> Option<()> {
        self.at += length(&self.text[self.at..])?;
        Some(())
    }

    /// Passes over a field's name and its colon.
    fn name(&mut self) -> Option<()> {
        if self.peek()? != b'"' {
            return None;
        }
        self.scalar()?;
        if self.peek()? != b':' {
            return None;
        }
        self.at += 1;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_a_line_is_found_where_it_is_whole() {
        let text = b"{\"a\":[\n{\"b\":{\n\"c\":[1]}},\n [\n[2],\n{\"d\":\ntrue false";
        let nested = Nested::read(text, 0);
        let at = |what: &str| {
            let text = std::str::from_utf8(text).expect("text");
            text.find(what).expect("it is there")
        };
        assert!(nested.knows(at("true")) && !nested.knows(at("false")));
        assert_eq!(nested.end(0), None);
        // {"b": {"c": [1]}}
        assert_eq!(nested.end(at("{\"b\"")), Some(at(",\n [")));
        assert_eq!(nested.end(at("[\n[2]")), None);
        assert_eq!(nested.end(at("[2]")), Some(at(",\n{\"d\"")));
        assert_eq!(nested.end(at("{\"d\"")), None);
    }
}
