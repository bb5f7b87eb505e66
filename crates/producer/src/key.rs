//! Which partition of `hits.raw` a hit goes to.

use grapevine_event::Hit;
use grapevine_log::Key;

/// One task owns a visitor's history, so hits of one visitor of a site go to one partition. Who is
/// nobody's visitor has no history: such a hit goes by its own id, so that its repetition meets it.
pub(crate) fn of_hit(hit: &Hit<'_>) -> Key {
    match hit.visitor {
        Some(visitor) => Key::new(hit.site, &visitor.to_le_bytes()),
        None => Key::new(hit.site, &hit.hit_id.0),
    }
}

#[cfg(test)]
mod tests {
    use grapevine_event::Id;

    use super::*;

    #[test]
    fn a_visitor_stays_together_and_the_nameless_are_spread() {
        let hit = |number: u64, visitor| {
            let id = Id::builder("test").number(number).finish();
            let mut hit = Hit::page_view(id, "example.org", 0, "https://example.org/");
            hit.visitor = visitor;
            of_hit(&hit)
        };
        assert_eq!(hit(1, Some(7)), hit(2, Some(7)));
        assert_ne!(hit(1, Some(7)), hit(1, Some(8)));
        assert_ne!(hit(1, None), hit(2, None));
        assert_eq!(hit(1, None), hit(1, None));
    }
}
