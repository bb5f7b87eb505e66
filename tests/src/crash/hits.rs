//! The hits of the load: functions of seed, client and number, so that none has to be kept.

use grapevine_event::Id;
use serde_json::{Value, json};

use crate::Moments;
use crate::landings::{Counts, own_landing};

/// Hits of one request.
pub(super) const BATCH: u64 = 10;
/// Site of the hits without an id. Nobody can send one of them again, so every one has an address of its
/// own: what is there twice was doubled on the way.
pub(super) const NAMELESS: &str = "nameless.example";
const SITES: [&str; 3] = ["news.example", "blog.example", "shop.example"];
/// Contents of one site. Few, so that readers meet on them and causes are inferred.
const CONTENTS: u64 = 5;
/// Landings that come before anything else, so that every act finds one of its own.
const FIRST: u64 = 4;
/// A reader comes from, or acts on, a landing at most this many hits before.
const BACK_MAX: u64 = 60;
const AGENTS: [&str; 4] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Instagram 339.0.0.12.94",
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0 Mobile Safari/537.36",
];
const ROBOT: &str = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
const FETCHER: &str = "WhatsApp/2.23.20.0";
const REFERRERS: [&str; 6] = [
    "",
    "",
    "",
    "https://www.google.com/",
    "https://l.facebook.com/",
    "https://elsewhere.example/links",
];

/// What is to become of an acknowledged hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Becomes {
    /// One row of `visits`.
    Visit,
    /// One row of `visits`, of a robot.
    Robot,
    /// One row of `events`.
    Event,
    /// One row of `shares`.
    Share,
    /// One row of `shares`, or none where another fetch of the same content was the same act.
    Fetch,
    /// No row: a page that was fetched ahead or was not there.
    Nothing,
}

/// A hit, and what is known of it.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    /// What is sent.
    pub(super) body: Value,
    pub(super) id: Id,
    pub(super) becomes: Becomes,
    /// Canonical URL.
    pub(super) content: String,
    /// The landing whose link was followed, or whose reader acts.
    pub(super) of: Option<Id>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Landing,
    Page,
    Engagement,
    Conversion,
    Copy,
    Button,
    LoneFetch,
    Fetch,
    Robot,
    Ahead,
    Missing,
}

/// One client's hits, by number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Client {
    pub(super) seed: u64,
    pub(super) client: u64,
}

impl Client {
    fn dice(self, number: u64) -> Moments {
        let stream = self.seed.wrapping_mul(1_000_003) ^ (self.client << 48);
        Moments::of(stream, number)
    }

    fn kind(self, number: u64) -> Kind {
        match self.dice(number).below(100) {
            _ if number < FIRST => Kind::Landing,
            0..54 => Kind::Landing,
            54..62 => Kind::Page,
            62..69 => Kind::Engagement,
            69..73 => Kind::Conversion,
            73..78 => Kind::Copy,
            78..82 => Kind::Button,
            82..86 => Kind::LoneFetch,
            86..90 => Kind::Fetch,
            90..95 => Kind::Robot,
            95..98 => Kind::Ahead,
            _ => Kind::Missing,
        }
    }

    fn name(self, number: u64) -> String {
        format!("{}-{number}", self.client)
    }

    fn landing_before(self, number: u64, dice: &mut Moments) -> u64 {
        let end = number.saturating_sub(dice.below(BACK_MAX));
        let found = (0..end).rev().find(|at| self.kind(*at) == Kind::Landing);
        // The first hit is one.
        found.unwrap_or(0)
    }

    /// A landing before that no other act is on.
    fn own_landing(self, number: u64) -> u64 {
        own_landing(number, |at| match self.kind(at) {
            Kind::Copy | Kind::Button => Counts::Act,
            Kind::Landing => Counts::Landing,
            _ => Counts::Nothing,
        })
    }

    /// The landing whose link a landing followed.
    fn parent(self, number: u64) -> Option<u64> {
        let mut dice = self.dice(number);
        dice.below(100);
        (number > 0 && dice.below(100) < 40).then(|| self.landing_before(number, &mut dice))
    }

    /// Site and path of a landing: those of the link that was followed.
    fn place(self, mut number: u64) -> (&'static str, String) {
        while let Some(parent) = self.parent(number) {
            number = parent;
        }
        let mut dice = self.dice(number ^ (1 << 40));
        let site = SITES[usize::try_from(dice.below(3)).unwrap_or(0)];
        (site, format!("/2026/story-{}", dice.below(CONTENTS)))
    }

    fn id(self, site: &str, number: u64) -> Id {
        Id::builder("hit/client")
            .bytes(site.as_bytes())
            .bytes(self.name(number).as_bytes())
            .finish()
    }

    /// The hit of a number.
    pub(super) fn hit(self, number: u64) -> Sent {
        let kind = self.kind(number);
        let mut dice = self.dice(number ^ (1 << 41));
        let name = self.name(number);
        let acts = matches!(
            kind,
            Kind::Page | Kind::Engagement | Kind::Conversion | Kind::Copy | Kind::Button
        );
        let of = match kind {
            Kind::Landing => self.parent(number),
            Kind::Copy | Kind::Button => Some(self.own_landing(number)),
            _ if acts || kind == Kind::Fetch => Some(self.landing_before(number, &mut dice)),
            _ => None,
        };
        let (site, path) = match (kind, of) {
            (Kind::LoneFetch, _) => (SITES[0], format!("/passed-on/{name}/story")),
            (_, Some(of)) => self.place(of),
            (_, None) => self.place(number),
        };
        let token = |number: u64| format!("t{}", self.name(number));
        let followed = match kind {
            Kind::Landing | Kind::Fetch => of.map(|of| format!("?gv={}", token(of))),
            _ => None,
        };
        let reader = match of {
            Some(of) if acts => of,
            _ => number,
        };
        let agent = match kind {
            Kind::Robot => ROBOT,
            Kind::Fetch | Kind::LoneFetch => FETCHER,
            _ => AGENTS[usize::try_from(reader % 4).unwrap_or(0)],
        };
        let network = dice.below(4_000);
        let mut body = json!({
            "site": site,
            "url": format!("https://{site}{path}{}", followed.unwrap_or_default()),
            "id": name,
            "user_agent": agent,
            "address": format!("10.{}.{}.7", network / 250, network % 250),
        });
        let mut say = |field: &str, value: Value| {
            body[field] = value;
        };
        if !matches!(kind, Kind::Fetch | Kind::LoneFetch) {
            say("visitor", json!(format!("reader-{}", self.name(reader))));
        }
        match kind {
            Kind::Landing => {
                say("token", json!(token(number)));
                if of.is_none() {
                    let which = usize::try_from(dice.below(6)).unwrap_or(0);
                    say("referrer", json!(REFERRERS[which]));
                }
            }
            Kind::Page => {
                say("token", json!(token(number)));
                say("referrer", json!(format!("https://{site}/")));
            }
            Kind::Engagement => say("type", json!("engagement")),
            Kind::Conversion => {
                say("type", json!("conversion"));
                say("name", json!("order"));
                say("value", json!(dice.below(100)));
            }
            Kind::Copy => {
                say("type", json!("copy"));
                say("token", json!(token(reader)));
            }
            Kind::Button => {
                say("type", json!("share"));
                say("app", json!("telegram"));
                say("token", json!(token(reader)));
            }
            Kind::Ahead => say("headers", json!({"sec-purpose": "prefetch"})),
            Kind::Missing => say("status", json!(404)),
            Kind::LoneFetch | Kind::Fetch | Kind::Robot => {}
        }
        Sent {
            body,
            id: self.id(site, number),
            becomes: match kind {
                Kind::Landing => Becomes::Visit,
                Kind::Robot => Becomes::Robot,
                Kind::Page | Kind::Engagement | Kind::Conversion => Becomes::Event,
                Kind::Copy | Kind::Button | Kind::LoneFetch => Becomes::Share,
                Kind::Fetch => Becomes::Fetch,
                Kind::Ahead | Kind::Missing => Becomes::Nothing,
            },
            content: format!("https://{site}{path}"),
            of: of.map(|of| self.id(site, of)),
        }
    }

    /// The body of a request: hits with ids, the same in every attempt, and one of this attempt alone
    /// that has none.
    pub(super) fn batch(self, first: u64, attempt: u64) -> String {
        let hits = (first..first + BATCH).map(|number| self.hit(number).body);
        let lone = std::iter::once(self.nameless_hit(first, attempt));
        let hits: Vec<String> = hits.chain(lone).map(|body| body.to_string()).collect();
        hits.join("\n")
    }

    /// The content of the hit without an id that an attempt carries: a landing that nobody else makes.
    pub(super) fn nameless(self, first: u64, attempt: u64) -> String {
        format!("https://{NAMELESS}/{}/{attempt}", self.name(first))
    }

    fn nameless_hit(self, first: u64, attempt: u64) -> Value {
        let content = self.nameless(first, attempt);
        json!({
            "site": NAMELESS,
            "url": content,
            "visitor": content,
            "user_agent": AGENTS[0],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_sends_hits_of_every_kind_and_the_same_ones_again() {
        let client = Client { seed: 3, client: 1 };
        let kinds: std::collections::BTreeSet<Becomes> =
            (0..500).map(|number| client.hit(number).becomes).collect();
        assert_eq!(kinds.len(), 6, "{kinds:?}");
        assert_eq!(client.batch(40, 0), client.batch(40, 0));
        let same = |attempt| client.batch(40, attempt).lines().count() as u64;
        assert_eq!((same(0), same(1)), (BATCH + 1, BATCH + 1));
        assert_ne!(client.nameless(40, 0), client.nameless(40, 1));
        let followed = (0..500).map(|number| client.hit(number));
        let followed = followed.filter(|sent| sent.becomes == Becomes::Visit && sent.of.is_some());
        assert!(followed.count() > 50);
    }
}
