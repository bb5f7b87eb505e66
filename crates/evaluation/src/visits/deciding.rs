//! Probabilities where a fact decides, fitted on the visits that it decided.

use grapevine_event::Method;
use grapevine_inference::{Model, Range};
use grapevine_simulator::App;

use super::fitting::{QUANTILE, SITE_VISITS, STEPS, WIDTH_MIN};
use super::pipeline::{Judged, Outcome};
use super::rivals::sigmoid;

/// A probability that is used where a fact decides.
pub(super) struct Deciding {
    /// Table of the model that it stands in.
    pub(super) table: &'static str,
    /// Its key there.
    pub(super) name: String,
    /// As the sites are driven with it: low, likely and high.
    pub(super) used: Range,
    /// As published.
    pub(super) published: Range,
}

/// All of a model.
pub(super) fn deciding(model: &Model) -> Vec<Deciding> {
    let facts = model.facts().into_iter();
    let facts = facts.map(|(name, used, published)| Deciding {
        table: "fact",
        name: name.to_owned(),
        used,
        published,
    });
    let surfaces = model.surfaces().into_iter();
    let surfaces = surfaces.map(|(app, used, published)| Deciding {
        table: "surface",
        name: app.to_owned(),
        used,
        published,
    });
    let without = model.surfaces_without_referrer().into_iter();
    let without = without.map(|(app, used, published)| Deciding {
        table: "surface_without_referrer",
        name: app.to_owned(),
        used,
        published,
    });
    facts.chain(surfaces).chain(without).collect()
}

impl Deciding {
    /// Whether it gave a visit its probability: by what decided, and by the figure.
    fn decided(&self, visit: &Judged) -> bool {
        let same = (visit.dark[1] - self.used.likely).abs() < 1e-6;
        let app = matches!(
            visit.method,
            Method::InAppBrowser | Method::RequestedWith | Method::Client | Method::Referrer
        );
        let is_surface = self.table.starts_with("surface");
        let of_surface = is_surface && visit.app == self.name;
        // What it says stands in the visit with what the site's own tokens say, and is of those only
        // that somebody passed on.
        if self.name == "token" {
            return visit.rest.is_some() && visit.truth.cause == "share";
        }
        same && match (self.name.as_str(), visit.method) {
            _ if is_surface => app && of_surface,
            ("token_private" | "token_again" | "token_public", Method::Token) => true,
            (
                "share_mark_private" | "share_mark_public" | "share_mark_unknown",
                Method::ShareMark,
            ) => true,
            ("private_app" | "public_app" | "unknown_surface", _) => app,
            ("mail_referrer" | "public_referrer", Method::Referrer) => true,
            ("click_id" | "paid_without_referrer", Method::ClickId) => true,
            ("campaign_without_referrer" | "campaign_messenger", Method::Campaign) => true,
            _ => false,
        }
    }

    /// Whether simulated sites know both what makes it private and what makes it public.
    pub(super) fn is_simulated(&self) -> bool {
        match (self.table, self.name.as_str()) {
            ("surface" | "surface_without_referrer", app) => App::ALL
                .iter()
                .any(|known| known.has_messages_and_posts() && known.as_str() == app),
            (_, "unknown_surface" | "token_unknown_surface") => false,
            _ => true,
        }
    }

    /// The published range with the likely value that the sites ask for, held to the published one
    /// by its range and inside it.
    pub(super) fn fitted(&self, sites: &[Outcome]) -> Range {
        let logit = |p: f64| {
            let p = p.clamp(0.005, 0.995);
            (p / (1.0 - p)).ln()
        };
        let Range { low, likely, high } = self.published;
        let width = ((logit(high) - logit(low)) / 2.0 / QUANTILE).max(WIDTH_MIN);
        let mut counts = Vec::new();
        for site in sites {
            let visits = site.visits.iter().filter(|visit| self.decided(visit));
            let (all, dark) = visits.fold((0.0, 0.0), |(all, dark), visit| {
                (all + 1.0, dark + f64::from(u8::from(visit.truth.is_dark())))
            });
            let weight = SITE_VISITS / site.visits.len().max(1) as f64;
            counts.push((weight * all, weight * dark));
        }
        let mut figure = logit(likely);
        for _ in 0..STEPS {
            let precision = width.powi(-2);
            let mut slope = (logit(likely) - figure) * precision;
            let mut bend = precision;
            let p = sigmoid(figure);
            for (all, dark) in &counts {
                slope += dark - all * p;
                bend += all * p * (1.0 - p);
            }
            figure += (slope / bend).clamp(-1.0, 1.0);
        }
        let fitted = (sigmoid(figure) * 1_000.0).round() / 1_000.0;
        Range {
            low,
            likely: fitted.clamp(low, high),
            high,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fitting::driving_model;
    use super::*;

    /// Who decided is told by the figure, so that no two facts of one way may share theirs.
    #[test]
    fn facts_of_one_way_have_figures_of_their_own() {
        let facts = deciding(&driving_model().expect("a model"));
        let ways: [&[&str]; 6] = [
            &["token_private", "token_again", "token_public"],
            &[
                "share_mark_private",
                "share_mark_public",
                "share_mark_unknown",
            ],
            &["private_app", "public_app", "unknown_surface"],
            &["mail_referrer", "public_referrer"],
            &["click_id", "paid_without_referrer"],
            &["campaign_without_referrer", "campaign_messenger"],
        ];
        for way in ways {
            let mut figures: Vec<f64> = facts
                .iter()
                .filter(|fact| way.contains(&fact.name.as_str()))
                .map(|fact| fact.used.likely)
                .collect();
            assert_eq!(figures.len(), way.len(), "{way:?}");
            figures.sort_by(f64::total_cmp);
            assert!(
                figures.windows(2).all(|two| two[1] - two[0] > 1e-5),
                "{way:?}"
            );
        }
    }
}
