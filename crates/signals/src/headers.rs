//! Request headers other than user agent and referrer, each a pure reading of its value.

/// What Fetch Metadata (`Sec-Fetch-*`) says of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Navigation {
    /// None of the headers: an old browser, plain HTTP, or no browser. Preview fetchers and
    /// HTTP libraries send none.
    Absent,
    /// Loaded a picture, a script or data, not a page.
    NotPage,
    /// A page in a frame of another page.
    Framed,
    /// A page the browser itself caused: typed, bookmarked, or, in Chrome, opened from another
    /// app. Stays so through redirects, short links included.
    Direct,
    /// A page that a page of another site caused. With no referrer: `noreferrer` (web chat, web
    /// mail), or, in Firefox, an open from another app.
    CrossSite,
    /// A page that a page of the same site or host caused.
    SameSite,
}

impl Navigation {
    /// Reads `Sec-Fetch-Site`, `-Mode` and `-Dest`; pass the empty text for an absent header.
    /// Source: W3C Fetch Metadata Request Headers.
    pub fn read(site: &str, mode: &str, dest: &str) -> Self {
        let is = |value: &str, word: &str| value.trim().eq_ignore_ascii_case(word);
        if site.is_empty() && mode.is_empty() && dest.is_empty() {
            Navigation::Absent
        } else if is(dest, "iframe") || is(dest, "frame") || is(dest, "embed") || is(dest, "object")
        {
            Navigation::Framed
        } else if (!mode.is_empty() && !is(mode, "navigate"))
            || (!dest.is_empty() && !is(dest, "document"))
        {
            Navigation::NotPage
        } else if is(site, "none") {
            Navigation::Direct
        } else if is(site, "cross-site") {
            Navigation::CrossSite
        } else if is(site, "same-site") || is(site, "same-origin") {
            Navigation::SameSite
        } else {
            Navigation::Absent
        }
    }
}

/// Whether `Sec-Fetch-User` says that a person's act began the load. Without it on a page: a script,
/// a redirect, a restored tab or a scanner. Source: W3C Fetch Metadata Request Headers.
pub fn is_by_a_person(user: &str) -> bool {
    user.trim() == "?1"
}

/// Whether a load was made before anybody asked for the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Speculation {
    /// An ordinary load.
    None,
    /// Loaded ahead; no person has seen it yet.
    Prefetch,
    /// Loaded ahead through a proxy: the address is the proxy's.
    PrefetchAnonymous,
}

/// Reads `Sec-Purpose`, or the older `Purpose`, `X-Purpose` and `X-Moz`. Source: WICG
/// nav-speculation, `prefetch.bs`.
pub fn speculation(purpose: &str) -> Speculation {
    let mut items = purpose.split([';', ',']).map(str::trim);
    let ahead = ["prefetch", "prerender", "preview"];
    let any = |item: &str| ahead.iter().any(|word| item.eq_ignore_ascii_case(word));
    if !items.clone().any(any) {
        Speculation::None
    } else if items.any(|item| item.eq_ignore_ascii_case("anonymous-client-ip")) {
        Speculation::PrefetchAnonymous
    } else {
        Speculation::Prefetch
    }
}

/// Whether `Sec-CH-UA` names Android's WebView, a mark that survives a rewritten user agent.
pub fn brands_name_webview(sec_ch_ua: &str) -> bool {
    sec_ch_ua.contains("\"Android WebView\"")
}

/// Whether a `Range` on a page asks for its beginning only. Browsers load pages whole; Meta
/// (`bytes=0-524288`), Slack, LinkedIn and X do not. Source: Meta's crawler page (2026).
pub fn asks_for_head_only(range: &str) -> bool {
    let Some(span) = range.trim().strip_prefix("bytes=0-") else {
        return false;
    };
    !span.is_empty() && span.len() <= 19 && span.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_typed_from_linked_from_asset() {
        let read = Navigation::read;
        assert_eq!(read("none", "navigate", "document"), Navigation::Direct);
        assert_eq!(
            read("cross-site", "navigate", "document"),
            Navigation::CrossSite
        );
        assert_eq!(read("same-origin", "cors", "empty"), Navigation::NotPage);
        assert_eq!(read("cross-site", "navigate", "iframe"), Navigation::Framed);
        assert_eq!(read("", "", ""), Navigation::Absent);
        assert_eq!(read("\u{0}", "navigate", "document"), Navigation::Absent);
        assert!(is_by_a_person("?1") && !is_by_a_person("?0") && !is_by_a_person(""));
    }

    #[test]
    fn sees_loads_ahead() {
        assert_eq!(speculation(""), Speculation::None);
        assert_eq!(speculation("prefetch;prerender"), Speculation::Prefetch);
        assert_eq!(
            speculation("prefetch;anonymous-client-ip"),
            Speculation::PrefetchAnonymous
        );
        assert_eq!(speculation("preview"), Speculation::Prefetch);
        assert_eq!(speculation("user"), Speculation::None);
    }

    #[test]
    fn sees_heads_only() {
        assert!(asks_for_head_only("bytes=0-524288"));
        assert!(asks_for_head_only("bytes=0-32768"));
        assert!(
            !asks_for_head_only("bytes=0-"),
            "a download manager may ask so"
        );
        assert!(!asks_for_head_only("bytes=500-999"));
    }

    #[test]
    fn sees_the_webview_brand() {
        let brands = r#""Android WebView";v="141", "Not?A_Brand";v="8", "Chromium";v="141""#;
        assert!(brands_name_webview(brands));
        assert!(!brands_name_webview(
            r#""Google Chrome";v="141", "Chromium";v="141""#
        ));
    }
}
