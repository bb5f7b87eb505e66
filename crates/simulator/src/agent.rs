//! Ordinary browsers: their user agents and client hints.
//!
//! Shares of browsers are round figures near public market counters of 2026 (assumption).

use std::sync::Arc;

use crate::person::Person;

/// Rendering engine: decides fetch metadata and client hints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Chromium,
    Gecko,
    Webkit,
}

/// What a browser says of itself.
#[derive(Clone, Debug)]
pub(crate) struct Agent {
    pub(crate) user_agent: Arc<str>,
    pub(crate) sec_ch_ua: Option<Arc<str>>,
    pub(crate) engine: Engine,
    /// Cookie jar: one for each browser of a person; in-app browsers have their own.
    pub(crate) jar: u8,
    /// Whether this is an app's own web view.
    pub(crate) in_app: bool,
    pub(crate) x_requested_with: Option<&'static str>,
    /// App that page script can see in the web view.
    pub(crate) script_sees: Option<&'static str>,
}

/// Versions of a person's device, all derived from the person.
pub(crate) struct Versions {
    /// Major version of Chromium.
    pub(crate) chromium: u64,
    /// iOS as `18_5`, `18.5`.
    pub(crate) ios: (u64, u64),
    /// Android release.
    pub(crate) android: u64,
    /// Phone model and build.
    pub(crate) model: (&'static str, &'static str),
    /// Apple model code.
    pub(crate) iphone_model: &'static str,
}

const MODELS: [(&str, &str); 6] = [
    ("SM-S921B", "UP1A.231005.007"),
    ("SM-A546B", "TP1A.220624.014"),
    ("Pixel 8", "AP3A.241105.008"),
    ("Pixel 7a", "BP1A.250305.019"),
    ("2311DRK48G", "UKQ1.230917.001"),
    ("CPH2581", "TP1A.220905.001"),
];
const IPHONES: [&str; 5] = [
    "iPhone13,2",
    "iPhone14,5",
    "iPhone15,3",
    "iPhone16,1",
    "iPhone17,3",
];

impl Versions {
    pub(crate) fn of(person: &Person) -> Versions {
        Versions {
            chromium: 141 + person.trait_of(10) % 5,
            ios: [(17, 7), (18, 3), (18, 5), (18, 6)][(person.trait_of(11) % 4) as usize],
            android: 12 + person.trait_of(12) % 5,
            model: MODELS[(person.trait_of(13) % 6) as usize],
            iphone_model: IPHONES[(person.trait_of(14) % 5) as usize],
        }
    }

    /// A full build number of Chromium, as web views tell it.
    pub(crate) fn chromium_build(&self) -> String {
        let major = self.chromium;
        format!(
            "{major}.0.{}.{}",
            7390 + (major - 141) * 52,
            40 + major % 7 * 11
        )
    }
}

/// The part of `trait_of` that decides among weighted kinds, in per cent.
fn per_cent(person: &Person, what: u64) -> u64 {
    person.trait_of(what) % 100
}

/// The browser a person uses on the phone or on the desktop.
pub(crate) fn browser(person: &Person, mobile: bool) -> Agent {
    let versions = Versions::of(person);
    match (mobile, person.iphone) {
        (true, true) => iphone_browser(person, &versions),
        (true, false) => android_browser(person, &versions),
        (false, _) => desktop_browser(person, &versions),
    }
}

/// Safari's user agent on the person's iPhone.
pub(crate) fn mobile_safari(versions: &Versions) -> String {
    let (major, minor) = versions.ios;
    format!(
        "Mozilla/5.0 (iPhone; CPU iPhone OS {major}_{minor} like Mac OS X) AppleWebKit/605.1.15 \
         (KHTML, like Gecko) Version/{major}.{minor} Mobile/15E148 Safari/604.1"
    )
}

fn iphone_browser(person: &Person, versions: &Versions) -> Agent {
    let (major, minor) = versions.ios;
    let head = format!(
        "Mozilla/5.0 (iPhone; CPU iPhone OS {major}_{minor} like Mac OS X) AppleWebKit/605.1.15 \
         (KHTML, like Gecko)"
    );
    let user_agent = match per_cent(person, 20) {
        0..88 => mobile_safari(versions),
        88..96 => {
            format!(
                "{head} CriOS/{} Mobile/15E148 Safari/604.1",
                versions.chromium_build()
            )
        }
        _ => format!(
            "{head} FxiOS/{}.0 Mobile/15E148 Safari/605.1.15",
            versions.chromium + 2
        ),
    };
    plain(user_agent, None, Engine::Webkit, 0)
}

fn android_browser(person: &Person, versions: &Versions) -> Agent {
    let major = versions.chromium;
    let reduced = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko)";
    match per_cent(person, 21) {
        0..82 => chromium(
            format!("{reduced} Chrome/{major}.0.0.0 Mobile Safari/537.36"),
            "Google Chrome",
            major,
            0,
        ),
        82..92 => chromium(
            format!("{reduced} SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36"),
            "Samsung Internet",
            130,
            0,
        ),
        _ => {
            let version = major + 2;
            let user_agent = format!(
                "Mozilla/5.0 (Android {}; Mobile; rv:{version}.0) Gecko/{version}.0 \
                 Firefox/{version}.0",
                versions.android
            );
            plain(user_agent, None, Engine::Gecko, 0)
        }
    }
}

fn desktop_browser(person: &Person, versions: &Versions) -> Agent {
    let major = versions.chromium;
    let (system, safari) = match per_cent(person, 22) {
        0..68 => ("Windows NT 10.0; Win64; x64", false),
        68..94 => ("Macintosh; Intel Mac OS X 10_15_7", true),
        _ => ("X11; Linux x86_64", false),
    };
    let head = format!("Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko)");
    let chrome = format!("{head} Chrome/{major}.0.0.0 Safari/537.36");
    match per_cent(person, 23) {
        0..48 if safari => plain(
            format!(
                "Mozilla/5.0 ({system}) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                 Version/{}.{} Safari/605.1.15",
                versions.ios.0, versions.ios.1
            ),
            None,
            Engine::Webkit,
            1,
        ),
        0..70 => chromium(chrome, "Google Chrome", major, 1),
        70..86 => chromium(
            format!("{chrome} Edg/{major}.0.0.0"),
            "Microsoft Edge",
            major,
            1,
        ),
        86..89 => chromium(
            format!("{chrome} OPR/{}.0.0.0", major - 16),
            "Opera",
            major,
            1,
        ),
        _ => {
            let version = major + 2;
            let system = system.replace("10_15_7", "10.15");
            plain(
                format!(
                    "Mozilla/5.0 ({system}; rv:{version}.0) Gecko/20100101 Firefox/{version}.0"
                ),
                None,
                Engine::Gecko,
                1,
            )
        }
    }
}

fn chromium(user_agent: String, brand: &str, major: u64, jar: u8) -> Agent {
    plain(
        user_agent,
        Some(client_hint(brand, major)),
        Engine::Chromium,
        jar,
    )
}

/// `Sec-CH-UA` of a Chromium brand.
pub(crate) fn client_hint(brand: &str, major: u64) -> Arc<str> {
    format!("\"Chromium\";v=\"{major}\", \"{brand}\";v=\"{major}\", \"Not_A Brand\";v=\"24\"")
        .into()
}

fn plain(user_agent: String, sec_ch_ua: Option<Arc<str>>, engine: Engine, jar: u8) -> Agent {
    Agent {
        user_agent: user_agent.into(),
        sec_ch_ua,
        engine,
        jar,
        in_app: false,
        x_requested_with: None,
        script_sees: None,
    }
}
