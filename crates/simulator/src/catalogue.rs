//! What the site publishes, and how much readers want it at a time.

use std::sync::Arc;

use jiff::Timestamp;

use crate::arithmetic::{exp, pow};
use crate::dice::Dice;
use crate::scenario::Scenario;

const DAY_MS: i64 = 86_400_000;

/// One page of the site.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    pub(crate) path: Arc<str>,
    pub(crate) title: Arc<str>,
    /// Milliseconds since the epoch.
    pub(crate) published: i64,
    pub(crate) bytes: u32,
    /// Weight for readers, before fading.
    popularity: f64,
    evergreen: bool,
    /// Probability that a visit shares it.
    pub(crate) share_probability: f64,
    /// Mean visits that one visit causes.
    pub(crate) reproduction: f64,
}

/// All pages: the home page, the sections, then articles by time of publication.
#[derive(Debug)]
pub(crate) struct Catalogue {
    pub(crate) pages: Vec<Content>,
    sections: usize,
    /// Running sums over published articles: interest that fades fast (social, mail, shares).
    fresh: Vec<f64>,
    /// The same for interest that fades slowly (search, bookmarks).
    lasting: Vec<f64>,
    half_life_ms: f64,
}

const WORDS: [&str; 64] = [
    "council",
    "river",
    "budget",
    "harvest",
    "strike",
    "storm",
    "museum",
    "vaccine",
    "election",
    "bridge",
    "railway",
    "court",
    "orchestra",
    "forest",
    "market",
    "teacher",
    "island",
    "energy",
    "drought",
    "festival",
    "hospital",
    "border",
    "startup",
    "coach",
    "inquiry",
    "housing",
    "treaty",
    "satellite",
    "bakery",
    "archive",
    "glacier",
    "minister",
    "returns",
    "opens",
    "delays",
    "wins",
    "divides",
    "reveals",
    "rejects",
    "plans",
    "warns",
    "celebrates",
    "after",
    "before",
    "without",
    "against",
    "behind",
    "for",
    "new",
    "first",
    "last",
    "hidden",
    "record",
    "quiet",
    "rural",
    "northern",
    "digital",
    "public",
    "secret",
    "final",
    "early",
    "rare",
    "local",
    "global",
];

impl Catalogue {
    /// The pages of a site, drawn with `dice`.
    pub(crate) fn new(scenario: &Scenario, mut dice: Dice) -> Catalogue {
        let start = scenario.start.as_millisecond();
        let mut pages = vec![front("/".into(), &scenario.site, start)];
        for section in &scenario.content.sections {
            pages.push(front(format!("/{section}/"), section, start));
        }
        let mut times: Vec<i64> = (0..scenario.content.archive)
            .map(|_| {
                // Denser towards the start, as archives are for readers: age is quadratic.
                let age = dice.unit();
                start - 1 - (age * age * 365.0 * DAY_MS as f64) as i64
            })
            .collect();
        let days = scenario.days.ceil() as i64;
        for day in 0..days {
            for _ in 0..dice.poisson(scenario.content.published_per_day) {
                // Desks work from 5 to 22 h UTC.
                times.push(start + day * DAY_MS + dice.between(5 * 3_600_000, 22 * 3_600_000));
            }
        }
        times.sort_unstable();
        for (number, published) in times.into_iter().enumerate() {
            pages.push(article(scenario, &mut dice, number, published));
        }
        Catalogue {
            pages,
            sections: scenario.content.sections.len(),
            fresh: Vec::new(),
            lasting: Vec::new(),
            half_life_ms: scenario.content.half_life_hours * 3_600_000.0,
        }
    }

    pub(crate) fn page(&self, index: u32) -> &Content {
        &self.pages[index as usize]
    }

    /// Brings both running sums to a time; what is not yet published stays out.
    pub(crate) fn refresh(&mut self, now: i64) {
        self.fresh.clear();
        self.lasting.clear();
        let (mut fresh, mut lasting) = (0.0, 0.0);
        for page in &self.pages[1 + self.sections..] {
            if page.published > now {
                break;
            }
            let age = (now - page.published) as f64;
            let faded = exp(-std::f64::consts::LN_2 * age / self.half_life_ms);
            fresh += page.popularity
                * if page.evergreen {
                    faded.max(0.1)
                } else {
                    faded
                };
            // Search wants old articles for weeks: a slow hyperbola with 10 days to the half.
            let slow = 1.0 / (1.0 + age / (10.0 * DAY_MS as f64));
            lasting += page.popularity * if page.evergreen { slow.max(0.5) } else { slow };
            self.fresh.push(fresh);
            self.lasting.push(lasting);
        }
    }

    /// An article by interest that fades fast; the home page while nothing is published.
    pub(crate) fn pick_fresh(&self, dice: &mut Dice) -> u32 {
        self.pick(&self.fresh, dice)
    }

    /// An article by interest that lasts.
    pub(crate) fn pick_lasting(&self, dice: &mut Dice) -> u32 {
        self.pick(&self.lasting, dice)
    }

    fn pick(&self, sums: &[f64], dice: &mut Dice) -> u32 {
        let Some(total) = sums.last() else { return 0 };
        let at = dice.unit() * total;
        let index = sums.partition_point(|sum| *sum <= at).min(sums.len() - 1);
        (1 + self.sections + index) as u32
    }

    pub(crate) fn pick_section(&self, dice: &mut Dice) -> u32 {
        1 + dice.below(self.sections as u64) as u32
    }

    /// The article published last at a time; the first one where there is none yet.
    pub(crate) fn newest(&self, now: i64) -> u32 {
        let articles = &self.pages[1 + self.sections..];
        let published = articles.partition_point(|page| page.published <= now);
        (1 + self.sections + published.saturating_sub(1)) as u32
    }

    /// Makes an article spread as a burst says, at the sharing rate that goes with it.
    pub(crate) fn set_reproduction(&mut self, index: u32, reproduction: f64, scenario: &Scenario) {
        let page = &mut self.pages[index as usize];
        page.reproduction = reproduction;
        page.share_probability = share_probability(scenario, reproduction);
    }
}

fn front(path: String, name: &str, start: i64) -> Content {
    Content {
        path: path.into(),
        title: name.into(),
        published: start - 365 * DAY_MS,
        bytes: 48_000,
        popularity: 0.0,
        evergreen: true,
        share_probability: 0.0,
        reproduction: 0.0,
    }
}

/// More viral articles are shared more often, not by more readers a share.
fn share_probability(scenario: &Scenario, reproduction: f64) -> f64 {
    let sharing = &scenario.sharing;
    if sharing.reproduction <= 0.0 {
        return sharing.probability;
    }
    (sharing.probability * reproduction / sharing.reproduction)
        .min(0.5)
        .max(sharing.probability / 50.0)
}

fn article(scenario: &Scenario, dice: &mut Dice, number: usize, published: i64) -> Content {
    let content = &scenario.content;
    let popularity = pow(1.0 - dice.unit(), -1.0 / content.popularity_exponent).min(1e6);
    let tail = scenario.sharing.virality_exponent;
    let virality = (tail - 1.0) / tail * pow(1.0 - dice.unit(), -1.0 / tail);
    let reproduction =
        (scenario.sharing.reproduction * virality).min(scenario.sharing.reproduction_limit);
    let words: Vec<&str> = (0..dice.between(4, 9))
        .map(|_| *dice.one_of(&WORDS))
        .collect();
    let section = dice.one_of(&content.sections);
    let mut path = String::new();
    if dice.chance(content.dated_paths) {
        let date = Timestamp::from_millisecond(published)
            .map(|time| jiff::tz::Offset::UTC.to_datetime(time).date())
            .unwrap_or_default();
        path += &format!("/{:04}/{:02}/{:02}", date.year(), date.month(), date.day());
    }
    path += &format!("/{section}/{}", words.join("-"));
    if dice.chance(content.numbered_paths) {
        path += &format!("-{}.html", 1_000_000 + number);
    } else {
        // The number keeps two articles of the same words apart.
        path += &format!("-{number}/");
    }
    let mut title = words.join(" ");
    title[..1].make_ascii_uppercase();
    Content {
        path: path.into(),
        title: title.into(),
        published,
        bytes: dice.between(18_000, 95_000) as u32,
        popularity,
        evergreen: dice.chance(content.evergreen),
        share_probability: share_probability(scenario, reproduction),
        reproduction,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_distinct_and_articles_in_order_of_publication() {
        let catalogue = Catalogue::new(&Scenario::default(), Dice::new(1, 1));
        let mut paths: Vec<_> = catalogue
            .pages
            .iter()
            .map(|page| page.path.clone())
            .collect();
        let all = paths.len();
        paths.sort();
        paths.dedup();
        assert_eq!(paths.len(), all);
        assert!(catalogue.pages[8..].is_sorted_by_key(|page| page.published));
    }

    #[test]
    fn interest_follows_freshness_and_ignores_the_future() {
        let scenario = Scenario::default();
        let mut catalogue = Catalogue::new(&scenario, Dice::new(1, 1));
        let now = scenario.start.as_millisecond() + 5 * DAY_MS;
        catalogue.refresh(now);
        let mut dice = Dice::new(9, 0);
        let median_age = |picks: Vec<u32>| {
            let mut ages: Vec<i64> = picks
                .iter()
                .map(|index| now - catalogue.page(*index).published)
                .collect();
            ages.sort_unstable();
            assert!(ages[0] >= 0);
            ages[ages.len() / 2]
        };
        let fresh = median_age((0..999).map(|_| catalogue.pick_fresh(&mut dice)).collect());
        let lasting = median_age(
            (0..999)
                .map(|_| catalogue.pick_lasting(&mut dice))
                .collect(),
        );
        assert!(
            fresh < 2 * DAY_MS && lasting > 2 * fresh,
            "{fresh} {lasting}"
        );
        assert!(now - catalogue.page(catalogue.newest(now)).published < DAY_MS);
    }
}
