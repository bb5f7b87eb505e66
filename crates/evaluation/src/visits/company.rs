//! What others who came to a content of late change of a site's own figures, on simulated sites.

use grapevine_event::Method;
use grapevine_inference::evidence;

use super::pipeline::{Judged, Outcome};

/// What a site needs where others who came of late are not looked at, and where they are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Needed {
    /// To be added to the log-odds of every landing, others not looked at.
    pub(super) alone: f64,
    /// The same where they are.
    pub(super) beside: f64,
    /// What they add on the average over landings, by how little is known of these without.
    pub(super) company: f64,
}

/// What looking at others who came of late makes up for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct CompanyLaw {
    /// What must be added where they are not looked at, for each unit that they add on the average.
    pub(super) worth: f64,
    /// Standard deviation of that between sites.
    pub(super) spread: f64,
}

/// The law of sites; least squares through no company, which is worth nothing.
pub(super) fn company_law(sites: &[Needed]) -> CompanyLaw {
    let made_up = |site: &Needed| site.alone - site.beside;
    let sum = |of: &dyn Fn(&Needed) -> f64| sites.iter().map(of).sum::<f64>();
    let square = sum(&|site| site.company.powi(2)).max(1e-9);
    let together = sum(&|site| site.company * made_up(site));
    let worth = (together / square).clamp(0.01, 2.0);
    let off = sum(&|site| (made_up(site) - worth * site.company).powi(2));
    CompanyLaw {
        worth,
        spread: (off / square).sqrt().clamp(0.01, 2.0),
    }
}

/// Private links with a token, and without, beside so many who came by private links of late.
type Kept = [[f64; 2]; 3];

/// Odds that a private link keeps its token beside a few who came by private links of late, and beside many, over
/// those beside nobody: of all `marked` sites, compared within each (Mantel and Haenszel 1959). `None` where nothing
/// can be compared.
pub(super) fn survival_beside(marked: &[Outcome]) -> Option<[f64; 2]> {
    let sites: Vec<Kept> = marked.iter().map(|site| kept(&site.visits)).collect();
    let over_nobody = |readers: usize| {
        let [mut up, mut down] = [0.0; 2];
        for site in &sites {
            let [[with, without], [with_alone, without_alone]] = [site[readers], site[0]];
            let all = with + without + with_alone + without_alone;
            if all > 0.0 {
                // Every site the same, however many landings it has.
                up += with * without_alone / (all * all);
                down += without * with_alone / (all * all);
            }
        }
        (up > 0.0 && down > 0.0).then(|| (up / down).clamp(0.01, 100.0))
    };
    Some([over_nobody(1)?, over_nobody(2)?])
}

fn kept(visits: &[Judged]) -> Kept {
    let mut kept = Kept::default();
    let undecided = visits.iter().filter(|visit| {
        visit.deep
            && visit.truth.is_dark()
            && (visit.rest.is_some() || visit.method == Method::Prior)
    });
    for visit in undecided {
        let has = |name: &str| visit.facts.iter().any(|(fact, _)| *fact == name);
        let readers = match () {
            () if has(evidence::MANY_PRIVATE_READERS) => 2,
            () if has(evidence::FEW_PRIVATE_READERS) || has(evidence::ONE_PRIVATE_READER) => 1,
            () => 0,
        };
        kept[readers][usize::from(visit.rest.is_none())] += 1.0;
    }
    kept
}

#[cfg(test)]
mod tests {
    use grapevine_event::Channel;

    use super::super::lineage::tests::row;
    use super::*;

    #[test]
    fn what_others_make_up_for_is_found_again() {
        let sites: Vec<Needed> = (0..200)
            .map(|at| {
                let company = f64::from(at) / 100.0;
                let beside = f64::from(at % 7) / 5.0 - 0.6;
                let worth = if at % 2 == 0 { 0.9 } else { 0.7 };
                Needed {
                    alone: beside + worth * company,
                    beside,
                    company,
                }
            })
            .collect();
        let found = company_law(&sites);
        assert!((found.worth - 0.8).abs() < 0.01, "{found:?}");
        assert!((found.spread - 0.1).abs() < 0.01, "{found:?}");
        let none = company_law(&[]);
        assert!(none.worth > 0.0 && none.spread > 0.0, "{none:?}");
    }

    #[test]
    fn links_are_compared_within_a_site() {
        let visit = |fact: &'static str, token: bool| Judged {
            truth: row(1, "share", None),
            time: 0,
            content: String::new(),
            conventional: Channel::Direct,
            channel: Channel::DarkSocial,
            app: "unknown".to_owned(),
            method: if token { Method::Token } else { Method::Prior },
            dark: [0.4, 0.6, 0.9],
            search: 0.0,
            deep: true,
            facts: vec![(fact, 0.0)],
            rest: token.then_some(0.3),
        };
        // Twice the odds beside a few, four times beside many; the sites keep different parts.
        let site = |alone: usize, few: usize, many: usize| {
            let levels = [
                (evidence::MOBILE, alone),
                (evidence::ONE_PRIVATE_READER, few),
                (evidence::MANY_PRIVATE_READERS, many),
            ];
            let visits = levels
                .into_iter()
                .flat_map(|(fact, with)| (0..300).map(move |at| visit(fact, at < with)));
            Outcome {
                visits: visits.collect(),
                ..Outcome::default()
            }
        };
        let [few, many] =
            survival_beside(&[site(100, 150, 200), site(60, 100, 150)]).expect("both");
        assert!(
            (few - 2.0).abs() < 0.01 && (many - 4.0).abs() < 0.01,
            "{few} {many}"
        );
        assert_eq!(survival_beside(&[]), None);
    }
}
