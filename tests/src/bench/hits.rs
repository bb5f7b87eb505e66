//! The hits that are measured with: functions of seed, stream and number, each of which becomes one
//! row of one table, so that it can be told when the last is there.

use grapevine_event::{Hit, HitKind, Id, Protocol, VisitorBasis, topic};
use grapevine_log::{Commit, Key};
use serde_json::json;

use super::Failed;
use crate::Moments;
use crate::landings::{Counts, own_landing};

/// Tables that hits become rows of.
pub(super) const TABLES: [&str; 3] = ["visits", "events", "shares"];
/// Sites; links of the first carry share tokens.
const SITES: [&str; 4] = [
    "news.example",
    "magazine.example",
    "blog.example",
    "shop.example",
];
/// Contents of one site. The most read of them has one in thirteen of its hits.
const CONTENTS: f64 = 2_000.0;
/// Landings that come before anything else, so that every act finds one of its own.
const FIRST: u64 = 4;
/// A reader acts on, or comes from, a landing at most this many hits before.
const BACK_MAX: u64 = 20_000;
/// Of a hundred landings where links carry tokens, so many follow one.
const FOLLOW: u64 = 25;
const NETWORKS: u64 = 50_000;
const AGENTS: [&str; 5] = [
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Instagram 339.0.0.12.94",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:143.0) Gecko/20100101 Firefox/143.0",
];
const ROBOT: &str = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
const REFERRERS: [Option<&str>; 6] = [
    None,
    None,
    None,
    Some("https://www.google.com/"),
    Some("https://l.facebook.com/"),
    Some("https://elsewhere.example/links"),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Landing,
    Robot,
    Page,
    Engagement,
    Copy,
    Button,
}

/// A stream of hits: of one client, or of all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hits {
    /// What they are drawn from.
    pub(super) seed: u64,
    /// Streams share contents, and neither readers nor ids.
    pub(super) stream: u64,
}

/// What a hit says, but for its time.
struct Said {
    kind: Kind,
    site: &'static str,
    name: String,
    url: String,
    reader: u64,
    network: u64,
    agent: &'static str,
    referrer: Option<String>,
    token: Option<String>,
}

impl Hits {
    fn dice(self, number: u64, use_of: u64) -> Moments {
        let stream = self.seed.wrapping_mul(1_000_003) ^ (self.stream << 40) ^ (use_of << 56);
        Moments::of(stream, number)
    }

    fn kind(self, number: u64) -> Kind {
        match self.dice(number, 0).below(100) {
            _ if number < FIRST => Kind::Landing,
            0..60 => Kind::Landing,
            60..66 => Kind::Robot,
            66..82 => Kind::Page,
            82..94 => Kind::Engagement,
            94..98 => Kind::Copy,
            _ => Kind::Button,
        }
    }

    fn landing_before(self, number: u64, dice: &mut Moments) -> u64 {
        let end = number.saturating_sub(dice.below(BACK_MAX.min(number.max(1))));
        let found = (0..end).rev().find(|at| self.kind(*at) == Kind::Landing);
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

    /// Site and path of a landing of its own accord.
    fn chosen(self, number: u64) -> (&'static str, u64) {
        let mut dice = self.dice(number, 1);
        let site = SITES[usize::try_from(dice.below(4)).unwrap_or(0)];
        // Below 2^53, so exact; few contents are read by many.
        let uniform = dice.below(1 << 30) as f64 / f64::from(1 << 30);
        (site, (uniform.powi(3) * CONTENTS) as u64)
    }

    /// Site and content of a landing, and the landing whose link it followed.
    fn place(self, number: u64) -> (&'static str, u64, Option<u64>) {
        let mut followed = None;
        let mut at = number;
        loop {
            let (site, content) = self.chosen(at);
            let mut dice = self.dice(at, 2);
            if at == 0 || site != SITES[0] || dice.below(100) >= FOLLOW {
                return (site, content, followed);
            }
            let end = at.saturating_sub(dice.below(BACK_MAX.min(at)));
            let carries =
                |at: &u64| self.kind(*at) == Kind::Landing && self.chosen(*at).0 == SITES[0];
            let Some(before) = (0..end).rev().find(carries) else {
                return (site, content, followed);
            };
            followed = followed.or(Some(before));
            at = before;
        }
    }

    fn name(self, number: u64) -> String {
        format!("{}-{number}", self.stream)
    }

    fn said(self, number: u64) -> Said {
        let kind = self.kind(number);
        let mut dice = self.dice(number, 3);
        let reader = match kind {
            Kind::Landing | Kind::Robot => number,
            Kind::Copy | Kind::Button => self.own_landing(number),
            _ => self.landing_before(number, &mut dice),
        };
        let (site, content, followed) = self.place(reader);
        let mut url = format!("https://{site}/2026/11/a-story-of-some-length-{content}");
        let token = |number: u64| {
            (site == SITES[0]).then(|| format!("t{:x}-{}", self.seed, self.name(number)))
        };
        let follows = followed.filter(|_| kind == Kind::Landing);
        if let Some(token) = follows.and_then(token) {
            url = format!("{url}?gv={token}");
        }
        let which = usize::try_from(dice.below(6)).unwrap_or(0);
        Said {
            kind,
            site,
            name: self.name(number),
            url,
            reader,
            network: self.dice(reader, 4).below(NETWORKS),
            agent: match kind {
                Kind::Robot => ROBOT,
                _ => AGENTS[usize::try_from(reader % 5).unwrap_or(0)],
            },
            referrer: match kind {
                Kind::Landing if follows.is_none() => REFERRERS[which].map(str::to_owned),
                Kind::Page => Some(format!("https://{site}/")),
                _ => None,
            },
            token: match kind {
                Kind::Landing | Kind::Page => token(number),
                Kind::Copy | Kind::Button => token(reader),
                Kind::Robot | Kind::Engagement => None,
            },
        }
    }

    /// Rows that the first `count` hits become, by table of [`TABLES`].
    pub(super) fn rows(self, count: u64) -> [u64; 3] {
        let mut rows = [0; 3];
        for number in 0..count {
            rows[match self.kind(number) {
                Kind::Landing | Kind::Robot => 0,
                Kind::Page | Kind::Engagement => 1,
                Kind::Copy | Kind::Button => 2,
            }] += 1;
        }
        rows
    }

    /// Appends a hit as the collector would.
    ///
    /// # Errors
    /// A record that its schema does not take: a defect.
    pub(super) fn append(
        self,
        number: u64,
        time_ms: i64,
        commit: &mut Commit,
    ) -> Result<(), Failed> {
        let said = self.said(number);
        let id = Id::builder("bench")
            .number(self.seed)
            .bytes(said.name.as_bytes())
            .finish();
        // Spread as pseudonyms are.
        let mixed = (self.stream << 40 | said.reader).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let visitor = i64::from_ne_bytes(mixed.to_ne_bytes());
        let hit = Hit {
            client_id_given: true,
            kind: match said.kind {
                Kind::Landing | Kind::Robot | Kind::Page => HitKind::PageView,
                Kind::Engagement => HitKind::Engagement,
                Kind::Copy => HitKind::Copy,
                Kind::Button => HitKind::Share,
            },
            protocol: Protocol::Native,
            visitor: Some(visitor),
            visitor_basis: VisitorBasis::Client,
            network: i64::try_from(said.network).ok(),
            referrer: said.referrer.as_deref(),
            user_agent: said.agent,
            language: Some("de-AT,de;q=0.8"),
            share_token: said.token.as_deref(),
            app: (said.kind == Kind::Button).then_some("telegram"),
            ..Hit::page_view(id, said.site, time_ms, &said.url)
        };
        let key = Key::new(said.site, &visitor.to_le_bytes());
        commit
            .append_keyed(topic::HITS_RAW, key, |out| hit.encode(out))
            .map_err(|error| Failed(format!("hit {number}: {error}")))
    }

    /// A hit as a server-side sender sends it; without a time it is of when it comes.
    pub(super) fn json(self, number: u64, time_ms: Option<i64>) -> String {
        let said = self.said(number);
        let mut body = json!({
            "site": said.site,
            "url": said.url,
            "id": said.name,
            "visitor": format!("reader-{}", self.name(said.reader)),
            "user_agent": said.agent,
            "language": "de-AT,de;q=0.8",
            "address": format!("10.{}.{}.7", said.network / 250, said.network % 250),
        });
        if let Some(time_ms) = time_ms {
            body["time"] = time_ms.into();
        }
        if let Some(referrer) = said.referrer {
            body["referrer"] = referrer.into();
        }
        if let Some(token) = said.token {
            body["token"] = token.into();
        }
        match said.kind {
            Kind::Landing | Kind::Robot | Kind::Page => {}
            Kind::Engagement => body["type"] = "engagement".into(),
            Kind::Copy => body["type"] = "copy".into(),
            Kind::Button => {
                body["type"] = "share".into();
                body["app"] = "telegram".into();
            }
        }
        body.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hits_are_the_same_again_and_become_rows_of_every_table() {
        let hits = Hits { seed: 3, stream: 1 };
        let bodies = |hits: Hits| -> Vec<String> {
            (0..300).map(|number| hits.json(number, Some(1))).collect()
        };
        assert_eq!(bodies(hits), bodies(hits));
        assert_ne!(bodies(hits), bodies(Hits { seed: 4, stream: 1 }));
        let rows = hits.rows(2_000);
        assert_eq!(rows.iter().sum::<u64>(), 2_000);
        assert!(rows.iter().all(|rows| *rows > 50), "{rows:?}");
        let followed = (0..2_000).filter(|number| hits.said(*number).url.contains("?gv="));
        assert!(followed.count() > 30);
    }
}
