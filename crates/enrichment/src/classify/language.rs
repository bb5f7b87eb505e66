//! The first language of a reader.

use std::borrow::Cow;

/// Longest list that is looked at, bytes.
const BYTES_MAX: usize = 100;

/// Primary tag and region of the first language in an `Accept-Language` list or a page's
/// language, such as `de-AT`; `None` where there is none.
pub(super) fn first(list: &str) -> Option<Cow<'_, str>> {
    let first = list.split([',', ';']).next().unwrap_or_default().trim();
    if first.len() > BYTES_MAX {
        return None;
    }
    let mut tags = first.split(['-', '_']);
    let primary = tags.next().filter(|tag| {
        (2..=3).contains(&tag.len()) && tag.bytes().all(|byte| byte.is_ascii_alphabetic())
    })?;
    let region = tags.find(|tag| {
        (tag.len() == 2 && tag.bytes().all(|byte| byte.is_ascii_alphabetic()))
            || (tag.len() == 3 && tag.bytes().all(|byte| byte.is_ascii_digit()))
    });
    let normal = primary.bytes().all(|byte| byte.is_ascii_lowercase());
    match region {
        None if normal => Some(Cow::Borrowed(primary)),
        None => Some(Cow::Owned(primary.to_ascii_lowercase())),
        Some(region) => {
            let upper = !region.bytes().any(|byte| byte.is_ascii_lowercase());
            let together = first.len() == primary.len() + 1 + region.len();
            if normal && upper && together && first.as_bytes()[primary.len()] == b'-' {
                return Some(Cow::Borrowed(first));
            }
            let (primary, region) = (primary.to_ascii_lowercase(), region.to_ascii_uppercase());
            Some(Cow::Owned(format!("{primary}-{region}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::first;

    #[test]
    fn takes_primary_tag_and_region_of_the_first() {
        assert_eq!(first("de-AT,de;q=0.8,en").as_deref(), Some("de-AT"));
        assert_eq!(first("EN_us").as_deref(), Some("en-US"));
        assert_eq!(first("zh-Hans-CN;q=0.9").as_deref(), Some("zh-CN"));
        assert_eq!(first("es-419").as_deref(), Some("es-419"));
        assert_eq!(first("fr").as_deref(), Some("fr"));
        for nothing in ["", "*", ",", "e", "français", "12"] {
            assert_eq!(first(nothing), None, "{nothing}");
        }
    }

    proptest! {
        #[test]
        fn is_short_and_stays_what_it_is(list in ".{0,60}") {
            if let Some(language) = first(&list) {
                prop_assert!(language.len() <= 7);
                let again = first(&language);
                prop_assert_eq!(again.as_deref(), Some(language.as_ref()));
            }
        }
    }
}
