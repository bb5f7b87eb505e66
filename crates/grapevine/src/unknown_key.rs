//! What an unknown configuration key was meant to be.

/// Keys less alike than this are no suggestion; 0 to 1, Jaro-Winkler.
const LIKENESS_MIN: f64 = 0.75;

/// The known key that an unknown one is most like, from serde's message about it (``unknown field
/// `lissten`, expected one of `listen`, `sites` ``); `None` for other messages, and where none is
/// alike.
pub(crate) fn nearest(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("unknown field `")?;
    let (unknown, rest) = rest.split_once('`')?;
    let known = rest.split('`').skip(1).step_by(2);
    known
        .map(|key| (strsim::jaro_winkler(unknown, key), key))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, key)| key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_known_key_is_named() {
        let message = "unknown field `lissten`, expected one of `listen`, `sites`, `trusted_proxies` for key `collector`";
        assert_eq!(nearest(message), Some("listen"));
        let message = "unknown field `data-dir`, expected `data_dir` or `engine`";
        assert_eq!(nearest(message), Some("data_dir"));
        let message = "unknown field `zzz`, expected `data_dir` or `engine`";
        assert_eq!(nearest(message), None);
        assert_eq!(nearest("invalid socket address syntax"), None);
    }
}
