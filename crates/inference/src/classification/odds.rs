//! The grey rest: no referrer and nothing certain. Three rivals, a privately passed link, search
//! that left no referrer, and a typed or bookmarked address, told apart by log-odds.
//!
//! Each rival has log-odds against the typed address, and every fact shifts both: facts that are
//! independent given the rival add up there, not in the log-odds against the other two together
//! (a browser that says "cross-site" rules out typing, so it speaks for a message where a search is
//! improbable and for a search where a message is). The three probabilities are in proportion to
//! e^private, e^search and 1, and sum to one.
//!
//! A weight's `dark` is what the fact adds to the log-odds of a private link against everything else
//! where nothing else is known, as publications state it; with other facts it adds as much as the
//! rivals leave it, and that is what its evidence says: the log-odds of the evidence add up to the
//! log-odds of the probability. Beside that stands the weight's `search`: those add up to the log-odds
//! of search against a typed address. What the content's history says is added later, to a private
//! link against both rivals alike ([`add_to_odds`]). The ends of the range treat what is not known of prior and weights as
//! independent: the distance of an end is the root of the sum of squares.

use std::borrow::Cow;

use grapevine_event::{Channel, Evidence, Method, VisitorBasis};
use grapevine_signals::headers::{Navigation, brands_name_webview};
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

/// Most facts that one landing has besides those of its content's history.
const EVIDENCE: usize = 10;

/// Log-odds of both rivals of a typed address, with the distances of the ends of the first.
#[derive(Clone, Copy, Debug)]
struct Odds {
    dark: f64,
    search: f64,
    /// `search` before any fact.
    search_before: f64,
    below_squared: f64,
    above_squared: f64,
}

/// ln(1 + e^x): log-odds against two rivals, of which one has the log-odds `x` against the other, are
/// by this much less than those against the other alone.
fn rivalry(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// What a weight adds to the log-odds of a private link against a typed address alone: `dark` against
/// both rivals where nothing else is known, `search` of the other rival, which stands at
/// `search_before` before any fact.
pub fn against_typed(dark: f64, search: f64, search_before: f64) -> f64 {
    dark + rivalry(search_before + search) - rivalry(search_before)
}

impl Odds {
    fn prior(model: &Model) -> Odds {
        let search = model.prior.search;
        let mut odds = Odds {
            dark: model.prior.dark.likely + rivalry(search),
            search,
            search_before: search,
            below_squared: 0.0,
            above_squared: 0.0,
        };
        odds.widen(model.prior.dark);
        odds
    }

    fn widen(&mut self, dark: Range) {
        self.below_squared += (dark.likely - dark.low).powi(2);
        self.above_squared += (dark.high - dark.likely).powi(2);
    }

    fn add(&mut self, weight: &Weight) {
        self.dark += against_typed(weight.dark.likely, weight.search, self.search_before);
        self.search += weight.search;
        self.widen(weight.dark);
    }

    /// Log-odds of a private link against everything else.
    fn private(&self) -> f64 {
        self.dark - rivalry(self.search)
    }

    /// P(private) low, likely, high, and P(search).
    fn probabilities(&self) -> [f32; 4] {
        let [below, above] = [self.below_squared, self.above_squared].map(f64::sqrt);
        rivals(self.private(), self.search, below, above)
    }
}

/// P(private) low, likely, high, and P(search), from the log-odds of private against everything else
/// with the distances of their ends, and those of search against typed.
fn rivals(private: f64, search: f64, below: f64, above: f64) -> [f32; 4] {
    let likely = sigmoid(private);
    let low = sigmoid(private - below);
    let high = sigmoid(private + above);
    let search = (1.0 - likely) * sigmoid(search);
    [low as f32, likely as f32, high as f32, search as f32]
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

/// Adds a weight, against both rivals alike, to a judgement that was made by log-odds before: low,
/// likely, high and search.
pub(crate) fn add_to_odds(probabilities: [f32; 4], weight: &Weight) -> [f32; 4] {
    let [low, likely, high, search] = probabilities;
    let rest = f64::from(1.0 - likely).max(1e-5);
    let split = (f64::from(search) / rest).clamp(1e-5, 1.0 - 1e-5) as f32;
    let dark = logit(likely);
    let below = (dark - logit(low)).hypot(weight.dark.likely - weight.dark.low);
    let above = (logit(high) - dark).hypot(weight.dark.high - weight.dark.likely);
    let search = logit(split) + weight.search;
    rivals(dark + weight.dark.likely, search, below, above)
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
    let below = distance(low, prior.low) + (site.likely - site.low).powi(2);
    let above = distance(high, prior.high) + (site.high - site.likely).powi(2);
    let search = logit(split);
    rivals(dark + site.likely, search, below.sqrt(), above.sqrt())
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
        let before = self.odds.private();
        self.odds.add(weight);
        self.evidence.push(Evidence {
            name,
            detail: detail.into(),
            log_odds: (self.odds.private() - before) as f32,
            search_log_odds: Some(weight.search as f32),
        });
    }
}

impl Classifier {
    /// The log-odds that the grey rest gives, facts that decide left aside: of a private link against
    /// everything else, and of search against a typed address. `list` lends its room.
    pub(super) fn log_odds<'a>(
        &'a self,
        landing: &Landing<'_, 'a>,
        list: &mut Vec<Evidence<'a>>,
    ) -> [f64; 2] {
        let before = list.len();
        let mut grey = self.grey(landing, std::mem::take(list));
        grey.evidence.truncate(before);
        *list = grey.evidence;
        [grey.odds.private(), grey.odds.search]
    }

    fn grey<'a>(&'a self, landing: &Landing<'_, 'a>, list: Vec<Evidence<'a>>) -> Grey<'a> {
        let model = self.model();
        let mut grey = Grey {
            odds: Odds::prior(model),
            evidence: list,
        };
        grey.evidence.reserve(EVIDENCE);
        grey.evidence.push(Evidence {
            name: evidence::PRIOR,
            detail: Cow::Borrowed("landings without referrer, before any fact of this one"),
            log_odds: model.prior.dark.likely as f32,
            search_log_odds: Some(model.prior.search as f32),
        });
        self.weigh_address(landing, &mut grey);
        self.weigh_visitor(landing, &mut grey);
        self.weigh_headers(landing, &mut grey);
        grey
    }

    /// Judges by log-odds, with the evidence in an empty `list`.
    pub(super) fn weigh<'a>(
        &'a self,
        landing: &Landing<'_, 'a>,
        list: Vec<Evidence<'a>>,
    ) -> Classification<'a> {
        let grey = self.grey(landing, list);
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
                search_log_odds: Some(0.0),
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
                let detail = "no earlier visit under this visitor's id";
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
        let navigation = Navigation::read(
            text(hit.fetch_site),
            text(hit.fetch_mode),
            text(hit.fetch_dest),
        );
        match navigation {
            Navigation::CrossSite => {
                let detail = match landing.agent.browser {
                    "firefox" => "Firefox: a page that hides itself, or another app",
                    "safari" => "a page that hides itself, or, as may be in Safari, another app",
                    _ => "a page that hides itself, such as web chat or web mail",
                };
                // Chats and mail are pages on computers, and apps on phones.
                let weight = match landing.agent.device {
                    Device::Mobile | Device::Tablet => &weights.fetch_cross_site_mobile,
                    Device::Desktop | Device::Other => &weights.fetch_cross_site,
                };
                grey.fact(evidence::FETCH_CROSS_SITE, detail, weight);
            }
            Navigation::Direct => {
                let detail = match landing.agent.browser {
                    "firefox" => "typed or bookmarked, not opened from a page",
                    _ => "typed, bookmarked or opened from another app, not from a page",
                };
                grey.fact(evidence::FETCH_NONE, detail, &weights.fetch_none);
            }
            Navigation::SameSite => {
                let detail = "opened from a page of the site itself";
                grey.fact(evidence::FETCH_SAME_SITE, detail, &weights.fetch_same_site);
            }
            // Whoever asks has left out what is no page.
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
