//! Priors and weights, from a data file.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::calibration::PrivateReaders;
use thiserror::Error;

const BUILTIN: &str = include_str!("../data/model.toml");

/// Why a text is no model.
#[derive(Debug, Error, PartialEq)]
pub enum ModelError {
    /// No TOML, or a table or key is missing or unknown.
    #[error("model: {0}")]
    Syntax(String),
    /// A range is out of order or out of bounds.
    #[error("model: {place} is {found:?}: {fix}")]
    Range {
        /// Which entry.
        place: String,
        /// What it holds.
        found: [f64; 3],
        /// What it should be.
        fix: &'static str,
    },
}

/// A figure with the ends of what is believed of it.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(from = "[f64; 3]")]
pub struct Range {
    /// Low end.
    pub low: f64,
    /// Likely value.
    pub likely: f64,
    /// High end.
    pub high: f64,
}

impl From<[f64; 3]> for Range {
    fn from([low, likely, high]: [f64; 3]) -> Self {
        Range { low, likely, high }
    }
}

/// What one fact adds.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Weight {
    /// To the log-odds of a private link against everything else.
    pub dark: Range,
    /// To the log-odds of search without referrer against typed or bookmarked.
    pub search: f64,
    /// What `dark` would be by what is published, or by our reading of it, before any fit.
    pub published: Range,
    /// The same of `search`.
    pub published_search: f64,
    /// What the published figures follow from.
    pub source: String,
}

/// Steps to a survival, each of which halves what it is off by.
const HALVINGS: usize = 40;

/// What is believed of a site before its own tokens say more.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Site {
    /// Standard deviation, between sites, of what must be added to the log-odds of every landing.
    pub(crate) intercept_spread: f64,
    /// Standard deviation, between sites, of what facts are worth against the model, less 1.
    pub(crate) slope_spread: f64,
    /// Part of visits that come by private apps that name themselves, on a site whose landings are
    /// as private as the model says.
    pub(crate) named_part: f64,
    /// Log-odds to add to every landing for each unit of the natural logarithm of that part.
    pub(crate) named_slope: f64,
    /// What `intercept_spread` is once that part is known.
    pub(crate) named_spread: f64,
    /// What must be added to the log-odds of every landing where others who came to its content of late are not
    /// looked at, for each unit that they add on the average.
    pub(crate) company_worth: f64,
    /// Standard deviation of that between sites.
    pub(crate) company_spread: f64,
    /// Part of privately passed links that arrive with their token: mean, 0 to 1.
    pub(crate) survival: f64,
    /// How many links that mean is worth.
    pub(crate) survival_weight: f64,
    /// Odds that the link of a landing without deciding fact keeps its token, over those of links whose way is
    /// known without it.
    pub(crate) survival_to_known: f64,
    /// Odds that a link keeps its token beside a few who came by private links of late, over those beside nobody:
    /// who came there is known by tokens most of all, and links that others share lose theirs together.
    pub(crate) survival_beside_few: f64,
    /// The same beside many.
    pub(crate) survival_beside_many: f64,
    /// Own tokens that come back and are not recognised, for each that is, where readers have an id.
    pub(crate) own_to_again: f64,
    /// Part of landings elsewhere than on fronts that nobody passed on which come by the reader's own
    /// token, 0 to 1.
    pub(crate) own_part: f64,
    /// Standard deviation, between sites, of the logarithm of either.
    pub(crate) own_spread: f64,
    /// How much more seldom they come by it on fronts: what to multiply either by, 0 to 1.
    pub(crate) own_on_fronts: Range,
}

impl Site {
    /// The survival beside so many who came by private links of late, where it is `alone` beside nobody.
    pub(crate) fn survival_beside(&self, alone: f64, private_readers: PrivateReaders) -> f64 {
        let times = match private_readers {
            PrivateReaders::None => return alone,
            PrivateReaders::Few => self.survival_beside_few,
            PrivateReaders::Many => self.survival_beside_many,
        };
        let alone = alone.clamp(1e-9, 1.0 - 1e-9);
        let odds = alone / (1.0 - alone) * times;
        odds / (1.0 + odds)
    }

    /// The survival beside nobody where it is `survival` of all links, `private` of which came beside nobody, a
    /// few and many.
    pub(crate) fn survival_alone(
        &self,
        survival: f64,
        private: [f64; PrivateReaders::ALL.len()],
    ) -> f64 {
        let links: f64 = private.iter().sum();
        if links <= 0.0 {
            return survival;
        }
        let [mut low, mut high] = [0.0, 1.0];
        for _ in 0..HALVINGS {
            let alone = (low + high) / 2.0;
            let each = PrivateReaders::ALL.iter().zip(private);
            let kept: f64 = each
                .map(|(readers, links)| links * self.survival_beside(alone, *readers))
                .sum();
            match kept < survival * links {
                true => low = alone,
                false => high = alone,
            }
        }
        (low + high) / 2.0
    }
}

macro_rules! table {
    ($name:ident of $type:ty { $($field:ident,)+ }) => {
        #[derive(Clone, Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name { $(pub(crate) $field: $type,)+ }

        impl $name {
            fn entries(&self) -> Vec<(&'static str, &$type)> {
                vec![$((stringify!($field), &self.$field),)+]
            }
        }
    };
}

table!(Weights of Weight {
    home_page,
    section_front,
    long_path,
    short_path,
    query,
    returning,
    new_visitor,
    mobile,
    desktop,
    fetch_cross_site,
    fetch_cross_site_mobile,
    fetch_none,
    fetch_same_site,
    webview,
    rewritten_webview,
    fresh_content,
    old_content,
    read_before,
    one_private_reader,
    few_private_readers,
    many_private_readers,
    some_public_readers,
    many_public_readers,
    few_traceless_readers,
    some_traceless_readers,
    many_traceless_readers,
    crowd_of_traceless_readers,
    large_crowd_of_traceless_readers,
    preview_minute,
    preview_ten_minutes,
    preview_hour,
    preview_same_network,
});

table!(Facts of Range {
    token,
    token_private,
    token_again,
    token_unknown_surface,
    token_public,
    share_mark_private,
    share_mark_public,
    share_mark_unknown,
    private_app,
    public_app,
    unknown_surface,
    mail_referrer,
    click_id,
    campaign_without_referrer,
    campaign_messenger,
    public_referrer,
    paid_without_referrer,
    burst,
});

table!(ShareTimes of f64 {
    compose,
    post,
    view,
    unknown,
    copy,
    button,
});

/// Priors and weights. Immutable; its version is written into everything that it judges.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    version: String,
    fitted: String,
    pub(crate) prior: Weight,
    pub(crate) weight: Weights,
    pub(crate) site: Site,
    pub(crate) fact: Facts,
    surface: BTreeMap<String, Range>,
    surface_without_referrer: BTreeMap<String, Range>,
    pub(crate) share: ShareTimes,
    published_fact: Facts,
    published_surface: BTreeMap<String, Range>,
    published_surface_without_referrer: BTreeMap<String, Range>,
}

impl Model {
    /// The model as shipped.
    pub fn builtin() -> Model {
        Model::parse(BUILTIN).expect("the built-in model is checked by this crate's tests")
    }

    /// Reads a model.
    ///
    /// # Errors
    /// A missing or unknown key, a figure that is no number, ranges out of order, probabilities
    /// outside 0 to 1: each named.
    pub fn parse(text: &str) -> Result<Model, ModelError> {
        let model: Model =
            toml::from_str(text).map_err(|error| ModelError::Syntax(error.to_string()))?;
        is_weight("prior", &model.prior)?;
        for (name, weight) in model.weight.entries() {
            is_weight(&format!("weight.{name}"), weight)?;
        }
        let site = &model.site;
        is_probability("site.survival", Range::from([site.survival; 3]))?;
        is_probability("site.own_part", Range::from([site.own_part; 3]))?;
        is_probability("site.own_on_fronts", site.own_on_fronts)?;
        is_probability("site.named_part", Range::from([site.named_part; 3]))?;
        for (name, figure) in [
            ("named_part", site.named_part * 100.0),
            ("named_slope", site.named_slope),
            ("named_spread", site.named_spread),
            ("company_worth", site.company_worth),
            ("company_spread", site.company_spread),
            ("intercept_spread", site.intercept_spread),
            ("slope_spread", site.slope_spread),
            ("survival_weight", site.survival_weight),
            ("survival_to_known", site.survival_to_known),
            ("survival_beside_few", site.survival_beside_few),
            ("survival_beside_many", site.survival_beside_many),
            ("own_to_again", site.own_to_again),
            ("own_part", site.own_part * 100.0),
            ("own_spread", site.own_spread),
        ] {
            if !(0.01..=100.0).contains(&figure) {
                return Err(ModelError::Range {
                    place: format!("site.{name}"),
                    found: [figure; 3],
                    fix: "write a number between 0.01 and 100",
                });
            }
        }
        for (name, range) in model.fact.entries() {
            is_probability(&format!("fact.{name}"), *range)?;
        }
        for (name, range) in model.published_fact.entries() {
            is_probability(&format!("published_fact.{name}"), *range)?;
        }
        for (table, surfaces) in [
            ("surface", &model.surface),
            ("surface_without_referrer", &model.surface_without_referrer),
            ("published_surface", &model.published_surface),
            (
                "published_surface_without_referrer",
                &model.published_surface_without_referrer,
            ),
        ] {
            for (name, range) in surfaces {
                is_probability(&format!("{table}.{name}"), *range)?;
            }
        }
        for (name, share) in model.share.entries() {
            is_probability(&format!("share.{name}"), Range::from([*share; 3]))?;
        }
        Ok(model)
    }

    /// Version of the model.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// How its weights were fitted, in words.
    pub fn fitted(&self) -> &str {
        &self.fitted
    }

    /// The text of [`builtin`](Self::builtin), from which a fit writes another model.
    pub const fn builtin_text() -> &'static str {
        BUILTIN
    }

    /// Where a landing without referrer starts, before any fact of it.
    pub fn prior(&self) -> &Weight {
        &self.prior
    }

    /// P(private link) where a fact decides, by the fact's name: in use, and as published.
    pub fn facts(&self) -> Vec<(&'static str, Range, Range)> {
        let published = self.published_fact.entries();
        let facts = self.fact.entries().into_iter().zip(published);
        facts
            .map(|((name, range), (_, published))| (name, *range, *published))
            .collect()
    }

    /// P(private link) for apps that have posts and messages, by app: in use, and as published.
    pub fn surfaces(&self) -> Vec<(&str, Range, Range)> {
        beside(&self.surface, &self.published_surface)
    }

    /// The same for landings in the app's own browser that have no referrer, of apps whose posts keep
    /// theirs more often than messages do.
    pub fn surfaces_without_referrer(&self) -> Vec<(&str, Range, Range)> {
        let published = &self.published_surface_without_referrer;
        beside(&self.surface_without_referrer, published)
    }

    /// P(private link) for a landing by a share token that was passed on, and nothing else to go by.
    pub fn token(&self) -> Range {
        self.fact.token
    }

    /// P(private link) for an app that has posts and messages.
    pub(crate) fn unknown_surface(&self, app: &str) -> Range {
        let known = self.surface.get(app);
        known.copied().unwrap_or(self.fact.unknown_surface)
    }

    /// The same in the app's own browser without referrer, where that says more than the app alone.
    pub(crate) fn unknown_surface_without_referrer(&self, app: &str) -> Option<Range> {
        self.surface_without_referrer.get(app).copied()
    }

    /// Every weight by name.
    pub fn weights(&self) -> Vec<(&'static str, &Weight)> {
        self.weight.entries()
    }
}

/// Figures by name: in use, and as published.
fn beside<'a>(
    used: &'a BTreeMap<String, Range>,
    published: &BTreeMap<String, Range>,
) -> Vec<(&'a str, Range, Range)> {
    let each = used.iter();
    each.map(|(name, range)| {
        let published = published.get(name).unwrap_or(range);
        (name.as_str(), *range, *published)
    })
    .collect()
}

fn is_weight(place: &str, weight: &Weight) -> Result<(), ModelError> {
    for (name, range) in [
        ("dark", weight.dark),
        ("search", Range::from([weight.search; 3])),
        ("published", weight.published),
        (
            "published_search",
            Range::from([weight.published_search; 3]),
        ),
    ] {
        in_order(&format!("{place}.{name}"), range)?;
    }
    Ok(())
}

fn in_order(place: &str, range: Range) -> Result<(), ModelError> {
    let Range { low, likely, high } = range;
    let bounded = [low, likely, high]
        .iter()
        .all(|figure| figure.abs() <= 20.0);
    if bounded && low <= likely && likely <= high {
        return Ok(());
    }
    Err(ModelError::Range {
        place: place.to_owned(),
        found: [low, likely, high],
        fix: "write [low, likely, high] in that order, each between -20 and 20",
    })
}

fn is_probability(place: &str, range: Range) -> Result<(), ModelError> {
    let Range { low, likely, high } = range;
    if 0.0 <= low && low <= likely && likely <= high && high <= 1.0 {
        return Ok(());
    }
    Err(ModelError::Range {
        place: place.to_owned(),
        found: [low, likely, high],
        fix: "write [low, likely, high] in that order, each between 0 and 1",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_builtin_model_reads_and_every_weight_has_a_source() {
        let model = Model::builtin();
        assert!(!model.version().is_empty());
        assert!(
            model
                .weights()
                .iter()
                .all(|(_, weight)| weight.source.len() > 10)
        );
    }

    #[test]
    fn a_wrong_model_is_refused_by_name() {
        let error = |text: &str| Model::parse(text).expect_err("wrong").to_string();
        let swapped = BUILTIN.replace("= [-3.8, -2.6, -1.6]", "= [-1.6, -2.6, -3.8]");
        assert!(error(&swapped).contains("weight.home_page.published"));
        let nan = BUILTIN.replace("published = [0.0, 0.2, 0.6]", "published = [0.0, nan, 0.6]");
        assert!(error(&nan).contains("weight.mobile.published"));
        let over = BUILTIN.replace("post = 0.95", "post = 1.5");
        assert!(error(&over).contains("share.post"));
        let missing = BUILTIN.replace("[weight.mobile]", "[weight.mobil]");
        assert!(error(&missing).contains("mobil"));
    }
}
