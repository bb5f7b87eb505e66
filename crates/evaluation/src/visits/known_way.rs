//! How often links keep their token whose way is known without it, against those of landings that no fact
//! decides, on simulated sites.

use grapevine_event::Method;

use super::pipeline::{Judged, Outcome};

/// A site with fewer of either kind says nothing.
const LINKS_MIN: f64 = 20.0;

/// Links with a token and without.
#[derive(Clone, Copy, Debug, Default)]
struct Links {
    with: f64,
    without: f64,
}

impl Links {
    fn count(&mut self, token: bool) {
        match token {
            true => self.with += 1.0,
            false => self.without += 1.0,
        }
    }

    fn all(self) -> f64 {
        self.with + self.without
    }

    /// Logarithm of the odds of a token, half a link more on either side.
    fn log_odds(self) -> f64 {
        ((self.with + 0.5) / (self.without + 0.5)).ln()
    }
}

/// Odds that a private link keeps its token where no fact decides, over those of links by private apps that
/// name themselves, .01 to 100: the geometric mean of `marked` sites, which carry tokens. `None` where no site has enough
/// of both.
pub(super) fn survival_to_known(marked: &[Outcome]) -> Option<f64> {
    let ratios: Vec<f64> = marked
        .iter()
        .map(|site| links(&site.visits))
        .filter(|of_site| of_site.iter().all(|links| links.all() >= LINKS_MIN))
        .filter(|of_site| of_site.iter().all(|links| links.with > 0.0))
        .map(|[known, grey]| grey.log_odds() - known.log_odds())
        .collect();
    let mean = ratios.iter().sum::<f64>() / ratios.len() as f64;
    (!ratios.is_empty()).then(|| mean.exp().clamp(0.01, 100.0))
}

/// Of known way, and of private landings that a token alone decided or no fact.
fn links(visits: &[Judged]) -> [Links; 2] {
    let [mut known, mut grey] = [Links::default(); 2];
    for visit in visits {
        if visit.names_private_app() {
            known.count(visit.method == Method::Token);
        } else if visit.truth.is_dark() && (visit.rest.is_some() || visit.method == Method::Prior) {
            grey.count(visit.rest.is_some());
        }
    }
    [known, grey]
}

#[cfg(test)]
mod tests {
    use grapevine_event::Channel;
    use grapevine_inference::evidence;

    use super::super::lineage::tests::row;
    use super::*;

    #[test]
    fn what_is_typed_keeps_no_token() {
        let visit = |app: &str, method: Method, rest: Option<f64>| Judged {
            truth: row(1, "share", None),
            time: 0,
            content: String::new(),
            conventional: Channel::Direct,
            channel: Channel::DarkSocial,
            app: app.to_owned(),
            method,
            dark: [0.9, 0.95, 1.0],
            search: 0.0,
            deep: true,
            facts: match app {
                "whatsapp" => vec![(evidence::IN_APP_BROWSER, 0.0)],
                _ => Vec::new(),
            },
            rest,
        };
        // 60 of 100 of known way have a token, 40 of 100 others.
        let known = (0..100).map(|at| match at < 60 {
            true => visit("whatsapp", Method::Token, None),
            false => visit("whatsapp", Method::InAppBrowser, None),
        });
        let grey = (0..100).map(|at| match at < 40 {
            true => visit("unknown", Method::Token, Some(0.3)),
            false => visit("unknown", Method::Prior, None),
        });
        let visits: Vec<Judged> = known.chain(grey).collect();
        let [known, grey] = links(&visits);
        assert_eq!([known.with, known.all()], [60.0, 100.0]);
        assert_eq!([grey.with, grey.all()], [40.0, 100.0]);
        let ratio = (grey.log_odds() - known.log_odds()).exp();
        assert!((ratio - 4.0 / 9.0).abs() < 0.01, "{ratio}");
        assert_eq!(survival_to_known(&[]), None);
    }
}
