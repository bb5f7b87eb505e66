//! Families of systems and browsers, and the signs of a browser inside an app.

use serde::Deserialize;

use crate::agents::{Device, WebViewSigns};
use crate::matching::{Literal, MatcherBuilder, Scan};

/// What a row of `platforms.toml` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PlatformKind {
    /// A family of operating systems.
    Os,
    /// A family of browsers.
    Browser,
}

/// A row of `platforms.toml`: the first row with a token that occurs wins.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlatformRule {
    pub(crate) id: String,
    pub(crate) kind: PlatformKind,
    pub(crate) tokens: Vec<String>,
    #[expect(
        dead_code,
        reason = "for the reader of the data; its presence is checked"
    )]
    pub(crate) source: String,
    #[expect(
        dead_code,
        reason = "for the reader of the data; its presence is checked"
    )]
    pub(crate) date: String,
    /// User agents that must be recognised as this family.
    #[serde(default)]
    pub(crate) examples: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Platforms {
    systems: Vec<(String, Box<[Literal]>)>,
    browsers: Vec<(String, Box<[Literal]>)>,
    marks: Marks,
}

/// Literals that tell device and WebView.
#[derive(Debug)]
struct Marks {
    wv: Literal,
    version_4: Literal,
    chrome: Literal,
    android: Literal,
    mobile: Literal,
    tablet: Literal,
    ipad: Literal,
    iphone: Literal,
    ipod: Literal,
    phone: Literal,
    safari: Literal,
    apple_webkit: Literal,
    television: [Literal; 4],
    desktop: [Literal; 5],
}

/// Chrome stopped to tell models and builds on Android with version 110 to 116 (2023); from
/// here on every Chrome has it.
const REDUCED_SINCE: u32 = 116;

impl Platforms {
    pub(crate) fn new(rules: &[PlatformRule], builder: &mut MatcherBuilder) -> Self {
        let mut systems = Vec::new();
        let mut browsers = Vec::new();
        for rule in rules {
            let tokens = rule.tokens.iter().map(|t| builder.literal(t)).collect();
            match rule.kind {
                PlatformKind::Os => systems.push((rule.id.clone(), tokens)),
                PlatformKind::Browser => browsers.push((rule.id.clone(), tokens)),
            }
        }
        let mut mark = |text| builder.literal(text);
        let marks = Marks {
            wv: mark("; wv)"),
            version_4: mark("version/4.0"),
            chrome: mark("chrome/"),
            android: mark("android"),
            mobile: mark("mobile"),
            tablet: mark("tablet"),
            ipad: mark("ipad"),
            iphone: mark("iphone"),
            ipod: mark("ipod"),
            phone: mark("phone"),
            safari: mark("safari/"),
            apple_webkit: mark("applewebkit/"),
            television: [
                mark("smart-tv"),
                mark("smarttv"),
                mark("googletv"),
                mark("playstation"),
            ],
            desktop: [
                mark("windows nt"),
                mark("macintosh"),
                mark("x11;"),
                mark("cros "),
                mark("linux"),
            ],
        };
        Platforms {
            systems,
            browsers,
            marks,
        }
    }

    pub(crate) fn os(&self, scan: &Scan<'_>) -> &str {
        first(&self.systems, scan)
    }

    pub(crate) fn browser(&self, scan: &Scan<'_>) -> &str {
        first(&self.browsers, scan)
    }

    pub(crate) fn device(&self, scan: &Scan<'_>) -> Device {
        let m = &self.marks;
        let any = |marks: &[Literal]| marks.iter().any(|l| scan.has(*l));
        if any(&m.television) {
            Device::Other
        } else if scan.has(m.ipad) || scan.has(m.tablet) {
            Device::Tablet
        } else if any(&[m.iphone, m.ipod, m.phone]) {
            Device::Mobile
        } else if scan.has(m.android) {
            if scan.has(m.mobile) {
                Device::Mobile
            } else {
                Device::Tablet
            }
        } else if scan.has(m.mobile) {
            Device::Mobile
        } else if any(&m.desktop) {
            Device::Desktop
        } else {
            Device::Other
        }
    }

    /// `browser` is the family already found: only Chrome itself keeps to the reduced form.
    pub(crate) fn webview(&self, scan: &Scan<'_>, text: &str, browser: &str) -> WebViewSigns {
        let m = &self.marks;
        let android_chrome = scan.has(m.android) && scan.has(m.chrome);
        let ios = scan.has(m.iphone) || scan.has(m.ipad) || scan.has(m.ipod);
        WebViewSigns {
            wv: scan.has(m.wv),
            version_4: android_chrome && scan.has(m.version_4),
            unreduced: android_chrome && browser == "chrome" && is_unreduced(text),
            bare_webkit: ios && scan.has(m.apple_webkit) && !scan.has(m.safari),
        }
    }
}

fn first<'p>(rows: &'p [(String, Box<[Literal]>)], scan: &Scan<'_>) -> &'p str {
    let found = rows
        .iter()
        .find(|(_, tokens)| tokens.iter().any(|l| scan.has(*l)));
    found.map_or("other", |(id, _)| id)
}

/// Whether Chrome on Android tells more than `Android 10; K` and `Chrome/<major>.0.0.0`.
fn is_unreduced(text: &str) -> bool {
    let Some((_, version)) = text.split_once("Chrome/") else {
        return false;
    };
    let version = version.split(' ').next().unwrap_or_default();
    let (major, rest) = version.split_once('.').unwrap_or((version, ""));
    let reduced = major.parse().is_ok_and(|major: u32| major >= REDUCED_SINCE);
    reduced && (rest != "0.0.0" || !text.contains("Android 10; K)"))
}
