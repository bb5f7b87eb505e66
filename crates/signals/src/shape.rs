//! How an address looks: whether a person could have typed or bookmarked it.

use crate::pages::Pages;

/// Facts of a canonical path. Counts stop at 65,535.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Bytes of the path.
    pub path_length: u16,
    /// Segments of the path: 0 for a home page.
    pub depth: u16,
    /// Bytes of the longest segment.
    pub longest_segment: u16,
    /// Hyphens and underscores: words of a slug.
    pub separators: u16,
    /// Digits: dates and ids.
    pub digits: u16,
    /// Escaped bytes: nobody types them.
    pub escapes: u16,
    /// Query parameters that are part of the content's address.
    pub parameters: u16,
    /// The home page of the host, without parameters.
    pub is_home: bool,
    /// A home page or the front of a section, such as `/news` or `/sport/football`: people
    /// type and bookmark these. Everything else is deep.
    pub is_section_front: bool,
}

/// A segment of a section's name: longer ones are slugs.
const SECTION_SEGMENT_BYTES_MAX: usize = 24;

impl Shape {
    /// The shape of a path without parameters.
    pub(crate) fn of(path: &str, pages: &Pages) -> Shape {
        let mut shape = Shape {
            path_length: count(path.len()),
            ..Shape::default()
        };
        for byte in path.bytes() {
            match byte {
                b'-' | b'_' => shape.separators = shape.separators.saturating_add(1),
                b'0'..=b'9' => shape.digits = shape.digits.saturating_add(1),
                b'%' => shape.escapes = shape.escapes.saturating_add(1),
                _ => {}
            }
        }
        let mut short = true;
        for segment in path.split('/').filter(|s| !s.is_empty()) {
            shape.depth = shape.depth.saturating_add(1);
            shape.longest_segment = shape.longest_segment.max(count(segment.len()));
            short &= is_name(segment);
        }
        shape.is_home = shape.depth == 0;
        let first = path.split('/').nth(1).unwrap_or_default();
        let named = pages.is_section(first) && shape.depth <= 3 && no_article(path);
        shape.is_section_front = shape.is_home || named || (shape.depth <= 2 && short);
        shape
    }

    /// The same path with so many parameters that belong to the content: then no front of
    /// anything.
    pub(crate) fn with_parameters(self, parameters: usize) -> Shape {
        let front = parameters == 0;
        Shape {
            parameters: count(parameters),
            is_home: self.is_home && front,
            is_section_front: self.is_section_front && front,
            ..self
        }
    }

    /// From 0 (an address nobody types) to 1 (a home page): an input for weights, not a
    /// probability. Half is lost at 16 bytes of path, at 4 digits, at 2 separators, at one
    /// escape and at one parameter; our own scale, there is no published one.
    pub fn typeability(&self) -> f32 {
        let half_at = |value: u16, half: f32| half / (half + f32::from(value));
        let length = self.path_length.saturating_sub(1);
        half_at(length, 16.0)
            * half_at(self.digits, 4.0)
            * half_at(self.separators, 2.0)
            * half_at(self.escapes, 1.0)
            * half_at(self.parameters, 1.0)
    }
}

/// A word or two, no slug, no id, no file.
fn is_name(segment: &str) -> bool {
    let separators = segment.bytes().filter(|b| matches!(b, b'-' | b'_')).count();
    let digits = segment.bytes().filter(u8::is_ascii_digit).count();
    segment.len() <= SECTION_SEGMENT_BYTES_MAX
        && separators <= 1
        && digits <= 2
        && !segment.contains(['.', '%'])
}

/// Below a known section: topics may have long names, but articles have more words or an id.
fn no_article(path: &str) -> bool {
    path.split('/').all(|segment| {
        let separators = segment.bytes().filter(|b| matches!(b, b'-' | b'_')).count();
        let digits = segment.bytes().filter(u8::is_ascii_digit).count();
        separators <= 3 && digits <= 4 && !segment.contains('.')
    })
}

fn count(n: usize) -> u16 {
    u16::try_from(n).unwrap_or(u16::MAX)
}
