//! The grey rest: no referrer and nothing certain. Three rivals, a privately passed link, search
//! that left no referrer, and a typed or bookmarked address, told apart by log-odds.
//!
//! P(private) = σ(prior + Σ weights); of what is left, P(search) = σ(prior + Σ weights of the
//! search side). So what each fact adds to the log-odds of a private link adds up exactly, and
//! the three probabilities sum to one. The ends of the range treat what is not known of prior
//! and weights as independent: the distance of an end is the root of the sum of squares.

use std::borrow::Cow;

use grapevine_event::{Channel, Evidence, Method, VisitorBasis};
use grapevine_signals::headers::{FetchMetadata, Navigation, brands_name_webview};
use grapevine_signals::{AgentKind, Device};

use super::{Classification, Classifier, Landing};
use crate::evidence;
use crate::model::{Model, Range, Weight};

/// Longest path that people are taken to type, bytes: a word or two. Our reading.
const SHORT_PATH_BYTES_MAX: u16 = 13;
/// Shortest path that nobody is taken to type, bytes, three levels apart. Our reading.
const LONG_PATH_BYTES_MIN: u16 = 32;
/// Levels of a path that nobody is taken to type (MozCon 2015).
const DEEP_PATH_LEVELS_MIN: u16 = 3;

/// Log-odds with the distances of their ends.
#[derive(Clone, Copy, Debug)]
struct Odds {
    dark: f64,
    search: f64,
    below_squared: f64,
    above_squared: f64,
}

impl Odds {
    fn prior(model: &Model) -> Odds {
        let mut odds = Odds {
            dark: 0.0,
            search: model.prior.search,
            below_squared: 0.0,
            above_squared: 0.0,
        };
        odds.shift(
            model.prior.dark.low,
            model.prior.dark.likely,
            model.prior.dark.high,
        );
        odds
    }

    fn shift(&mut self, low: f64, likely: f64, high: f64) {
        self.dark += likely;
        self.below_squared += (likely - low).powi(2);
        self.above_squared += (high - likely).powi(2);
    }

    fn add(&mut self, weight: &Weight) {
        self.shift(weight.dark.low, weight.dark.likely, weight.dark.high);
        self.search += weight.search;
    }

    /// P(private) low, likely, high, and P(search).
    fn probabilities(&self) -> [f32; 4] {
        let likely = sigmoid(self.dark);
        let low = sigmoid(self.dark - self.below_squared.sqrt());
        let high = sigmoid(self.dark + self.above_squared.sqrt());
        let search = (1.0 - likely) * sigmoid(self.search);
        [low as f32, likely as f32, high as f32, search as f32]
    }
}

/// The logistic function; its argument is bounded by the model's own bounds, so it is never 0, 1
/// or no number.
fn sigmoid(log_odds: f64) -> f64 {
    1.0 / (1.0 + (-log_odds.clamp(-12.0, 12.0)).exp())
}

fn logit(probability: f32) -> f64 {
    let probability = f64::from(probability).clamp(1e-5, 1.0 - 1e-5);
    (probability / (1.0 - probability)).ln()
}

/// Adds a weight to a judgement that was made by log-odds before: low, likely, high and search.
pub(crate) fn add_to_odds(probabilities: [f32; 4], weight: &Weight) -> [f32; 4] {
    let [low, likely, high, search] = probabilities;
    let rest = f64::from(1.0 - likely).max(1e-5);
    let split = (f64::from(search) / rest).clamp(1e-5, 1.0 - 1e-5) as f32;
    let dark = logit(likely);
    let odds = Odds {
        dark: dark + weight.dark.likely,
        search: logit(split) + weight.search,
        below_squared: (dark - logit(low)).powi(2) + (weight.dark.likely - weight.dark.low).powi(2),
        above_squared: (logit(high) - dark).powi(2)
            + (weight.dark.high - weight.dark.likely).powi(2),
    };
    odds.probabilities()
}

/// Puts what a site's own tokens say in the place of what is believed of sites: `site` is what they
/// add to the log-odds with its ends; what the prior's own ends leave open is then known.
pub(crate) fn replace_prior_by(probabilities: [f32; 4], model: &Model, site: Range) -> [f32; 4] {
    let [low, likely, high, search] = probabilities;
    let rest = f64::from(1.0 - likely).max(1e-5);
    let split = (f64::from(search) / rest).clamp(1e-5, 1.0 - 1e-5) as f32;
    let dark = logit(likely);
    let prior = model.prior.dark;
    let distance = |end: f32, prior_end: f64| {
        let all = (dark - logit(end)).powi(2) - (prior.likely - prior_end).powi(2);
        all.max(0.0)
    };
    let odds = Odds {
        dark: dark + site.likely,
        search: logit(split),
        below_squared: distance(low, prior.low) + (site.likely - site.low).powi(2),
        above_squared: distance(high, prior.high) + (site.high - site.likely).powi(2),
    };
    odds.probabilities()
}

/// Channel and app that follow from the probabilities where no fact decides.
pub(crate) fn most_probable(probabilities: [f32; 4]) -> (Channel, &'static str) {
    let [_, dark, _, search] = probabilities;
    let typed = 1.0 - dark - search;
    if dark > typed && dark >= search {
        (Channel::DarkSocial, "unknown")
    } else if search > typed {
        (Channel::Search, "unknown")
    } else {
        (Channel::Direct, "")
    }
}

/// Collects the facts of one landing.
struct Grey<'a> {
    odds: Odds,
    evidence: Vec<Evidence<'a>>,
}

impl<'a> Grey<'a> {
    fn fact(&mut self, name: &'static str, detail: impl Into<Cow<'a, str>>, weight: &Weight) {
        self.odds.add(weight);
        self.evidence.push(Evidence {
            name,
            detail: detail.into(),
            log_odds: weight.dark.likely as f32,
        });
    }
}

impl Classifier {
    /// The log-odds of a private link that the grey rest gives, facts that decide left aside.
    pub(super) fn log_odds(&self, landing: &Landing<'_, '_>) -> f64 {
        self.grey(landing).odds.dark
    }

    fn grey<'a>(&'a self, landing: &Landing<'_, 'a>) -> Grey<'a> {
        let model = self.model();
        let mut grey = Grey {
            odds: Odds::prior(model),
            evidence: Vec::with_capacity(10),
        };
        grey.evidence.push(Evidence {
            name: evidence::PRIOR,
            detail: Cow::Borrowed("landings without referrer, before any fact of this one"),
            log_odds: model.prior.dark.likely as f32,
        });
        self.weigh_address(landing, &mut grey);
        self.weigh_visitor(landing, &mut grey);
        self.weigh_headers(landing, &mut grey);
        grey
    }

    pub(super) fn weigh<'a>(&'a self, landing: &Landing<'_, 'a>) -> Classification<'a> {
        let grey = self.grey(landing);
        let probabilities = grey.odds.probabilities();
        let (channel, app) = most_probable(probabilities);
        let [low, likely, high, search] = probabilities;
        Classification {
            conventional_channel: Channel::Direct,
            channel,
            app,
            method: Method::Prior,
            dark_probability: likely,
            dark_probability_low: low,
            dark_probability_high: high,
            dark_search_probability: search,
            evidence: grey.evidence,
            robot: None,
        }
    }

    fn weigh_address<'a>(&'a self, landing: &Landing<'_, 'a>, grey: &mut Grey<'a>) {
        let weights = &self.model().weight;
        let shape = &landing.link.shape;
        if shape.is_home {
            grey.fact(evidence::HOME_PAGE, "home page", &weights.home_page);
        } else if shape.is_section_front {
            let detail = "front of a section";
            grey.fact(evidence::SECTION_FRONT, detail, &weights.section_front);
        } else if shape.path_length >= LONG_PATH_BYTES_MIN
            || shape.depth >= DEEP_PATH_LEVELS_MIN
            || shape.escapes > 0
        {
            let detail = self.wording.path(shape.path_length);
            grey.fact(evidence::LONG_PATH, detail, &weights.long_path);
        } else if shape.path_length <= SHORT_PATH_BYTES_MAX && shape.parameters == 0 {
            let detail = self.wording.path(shape.path_length);
            grey.fact(evidence::SHORT_PATH, detail, &weights.short_path);
        }
        if shape.parameters > 0 {
            let detail = self.wording.parameters(shape.parameters);
            grey.fact(evidence::QUERY, detail, &weights.query);
        }
        if landing.link.share_token_broken {
            grey.evidence.push(Evidence {
                name: evidence::TOKEN_BROKEN,
                detail: Cow::Borrowed("a share token that is cut or forged says nothing"),
                log_odds: 0.0,
            });
        }
    }

    fn weigh_visitor<'a>(&'a self, landing: &Landing<'_, 'a>, grey: &mut Grey<'a>) {
        let weights = &self.model().weight;
        if landing.visitor.basis == VisitorBasis::Client {
            if landing.visitor.returning {
                let detail = "visitor was here before";
                grey.fact(evidence::RETURNING, detail, &weights.returning);
            } else {
                let detail = "visitor was never here before";
                grey.fact(evidence::NEW_VISITOR, detail, &weights.new_visitor);
            }
        }
        match landing.agent.device {
            Device::Mobile => grey.fact(evidence::MOBILE, "phone", &weights.mobile),
            Device::Tablet => grey.fact(evidence::MOBILE, "tablet", &weights.mobile),
            Device::Desktop => grey.fact(evidence::DESKTOP, "computer", &weights.desktop),
            Device::Other => {}
        }
    }

    fn weigh_headers<'a>(&'a self, landing: &Landing<'_, 'a>, grey: &mut Grey<'a>) {
        let weights = &self.model().weight;
        let hit = landing.hit;
        let text = |header: Option<&'a str>| header.unwrap_or_default();
        let fetch = FetchMetadata::read(
            text(hit.fetch_site),
            text(hit.fetch_mode),
            text(hit.fetch_dest),
            text(hit.fetch_user),
        );
        match fetch.navigation {
            Navigation::CrossSite => {
                let detail = match landing.agent.browser {
                    "firefox" => "Firefox: a page that hides itself, or another app",
                    _ => "a page that hides itself, such as web chat or web mail",
                };
                grey.fact(
                    evidence::FETCH_CROSS_SITE,
                    detail,
                    &weights.fetch_cross_site,
                );
            }
            Navigation::Direct => {
                let detail = "typed, bookmarked or opened from another app, not from a page";
                grey.fact(evidence::FETCH_NONE, detail, &weights.fetch_none);
            }
            Navigation::SameSite => {
                let detail = "opened from a page of the site itself";
                grey.fact(evidence::FETCH_SAME_SITE, detail, &weights.fetch_same_site);
            }
            Navigation::Absent | Navigation::NotPage | Navigation::Framed => {}
        }
        let view = landing.agent.webview;
        if view.wv || view.bare_webkit || brands_name_webview(text(hit.client_hints)) {
            let detail = "shown inside an app that does not name itself";
            grey.fact(evidence::WEBVIEW, detail, &weights.webview);
        } else if (view.version_4 || view.unreduced)
            && matches!(landing.agent.kind, AgentKind::Person)
        {
            let detail = "looks like an app's own browser with its mark removed, as Telegram's";
            grey.fact(
                evidence::REWRITTEN_WEBVIEW,
                detail,
                &weights.rewritten_webview,
            );
        }
    }
}
