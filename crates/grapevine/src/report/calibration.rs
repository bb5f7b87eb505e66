//! `grapevine report --calibration`: how well the probabilities fit a site's own share tokens, and
//! what that cannot say.

use std::io::{self, Write};

use clickhouse::{Client, Row};
use serde::{Deserialize, Serialize};

use super::ask::{AskError, chosen_site};
use super::terminal::{WIDTH_MIN, wrapped};
use crate::numerals::{count, plural};

/// Columns of the curve.
const CURVE_WIDTH: usize = 40;
/// Tokens from which on something is learned of a site (docs/classification.md).
const TOKENS_MIN: i64 = 20;

/// What is stored of one site's calibration, as it stands now.
#[derive(Clone, Debug, PartialEq, Row, Serialize, Deserialize)]
pub struct Calibration {
    /// Site.
    pub site: String,
    /// Event time of the newest landing that counts, UTC.
    pub time: String,
    /// Version that the next visits are judged by; of several partitions with their own, all of them.
    pub model_version: String,
    /// Landings without referrer that could carry a token.
    pub landings: i64,
    /// Of those, landings with one.
    pub tokens: i64,
    /// Links whose way is known without their token.
    pub known: i64,
    /// Of those, links with a token.
    pub known_with_token: i64,
    /// Part of privately passed links that arrive with their token.
    pub token_survival: Option<f64>,
    /// Low end.
    pub token_survival_low: Option<f64>,
    /// High end.
    pub token_survival_high: Option<f64>,
    /// What the site adds to the log-odds of its mean landing.
    pub intercept: Option<f64>,
    /// Low end.
    pub intercept_low: Option<f64>,
    /// High end.
    pub intercept_high: Option<f64>,
    /// What facts are worth against the model, less 1.
    pub slope: Option<f64>,
    /// Expected calibration error.
    pub ece: Option<f64>,
    /// The least under the survivals of the range.
    pub ece_low: Option<f64>,
    /// The most.
    pub ece_high: Option<f64>,
    /// Brier score.
    pub brier: Option<f64>,
    /// Part of links with a token that are taken to be private.
    pub private_part: f64,
    /// Landings by predicted P(private link), ten bins.
    pub bin_landings: Vec<i64>,
    /// Landings with a token by bin, without those that are expected to be readers' own.
    pub bin_tokens: Vec<i64>,
    /// Mean prediction by bin.
    pub bin_predicted: Vec<f64>,
}

/// A bin of the reliability curve.
struct Bin {
    landings: i64,
    tokens: i64,
    predicted: f64,
    /// Part that was passed on in private, low, likely and high, by the tokens: the ends are those of
    /// chance and of the part that keeps its token together.
    observed: Option<[f64; 3]>,
}

impl Calibration {
    fn bins(&self) -> impl Iterator<Item = Bin> {
        let rows = self.bin_landings.iter().zip(&self.bin_tokens);
        let rows = rows.zip(&self.bin_predicted);
        rows.filter(|((landings, _), _)| **landings > 0)
            .map(|((landings, tokens), predicted)| {
                let observed = |part: f64, survival: Option<f64>| {
                    survival.map(|survival| (part * self.private_part / survival).min(1.0))
                };
                let [low, high] = chance(*tokens as f64, *landings as f64);
                let observed = [
                    observed(low, self.token_survival_high),
                    observed(*tokens as f64 / *landings as f64, self.token_survival),
                    observed(high, self.token_survival_low),
                ];
                Bin {
                    landings: *landings,
                    tokens: *tokens,
                    predicted: *predicted,
                    observed: match observed {
                        [Some(low), Some(likely), Some(high)] => Some([low, likely, high]),
                        _ => None,
                    },
                }
            })
    }
}

/// Standard deviations on either side that hold 90 % of a normal distribution.
const Z: f64 = 1.645;

/// Ends of the 90 % range of a part of which `found` of `all`, 1 or more, were seen: Wilson's score
/// interval (Journal of the American Statistical Association 22, 1927).
fn chance(found: f64, all: f64) -> [f64; 2] {
    let part = found / all;
    let middle = part + Z * Z / (2.0 * all);
    let half = Z * (part * (1.0 - part) / all + Z * Z / (4.0 * all * all)).sqrt();
    [middle - half, middle + half].map(|end| (end / (1.0 + Z * Z / all)).clamp(0.0, 1.0))
}

/// Fetches what is stored; `None` where the site has no landing that counts.
///
/// # Errors
/// Nothing stored, no such site, or ClickHouse's own.
pub async fn ask_calibration(
    client: &Client,
    site: Option<&str>,
) -> Result<(String, Option<Calibration>), AskError> {
    let site = chosen_site(client, site).await?;
    let found = client
        .query(
            "SELECT toString(site) AS site, toString(time) AS time, toString(model_version) AS model_version, landings, tokens, known, known_with_token, token_survival, token_survival_low, token_survival_high, intercept, intercept_low, intercept_high, slope, ece, ece_low, ece_high, brier, private_part, bin_landings, bin_tokens, bin_predicted FROM grapevine.calibration WHERE site = {site:String}",
        )
        .with_setting("prefer_column_name_to_alias", "1")
        .param("site", &site)
        .fetch_optional()
        .await?;
    Ok((site, found))
}

/// For people.
///
/// # Errors
/// Those of `out`.
pub(super) fn write_text(
    site: &str,
    calibration: Option<&Calibration>,
    width: u16,
    out: &mut impl Write,
) -> io::Result<()> {
    let paragraph = |out: &mut dyn Write, text: &str| -> io::Result<()> {
        for line in wrapped(text, usize::from(width.max(WIDTH_MIN))) {
            writeln!(out, "{line}")?;
        }
        Ok(())
    };
    paragraph(
        out,
        &format!("{site}: how well P(private link) fits the site's own share tokens"),
    )?;
    writeln!(out)?;
    let Some(found) = calibration else {
        return paragraph(
            out,
            "No landing without referrer was seen yet, so there is nothing to calibrate on.",
        );
    };
    paragraph(
        out,
        &format!(
            "{} {} without referrer could carry a share token (newest {} UTC), {} did. Each was scored as if its token were missing, by what was learned before it.",
            count(found.landings as f64),
            plural(found.landings as f64, "landing", "landings"),
            found.time.get(..16).unwrap_or(&found.time),
            count(found.tokens as f64),
        ),
    )?;
    writeln!(out)?;
    let (Some(survival), Some(low), Some(high)) = (
        found.token_survival,
        found.token_survival_low,
        found.token_survival_high,
    ) else {
        // Each partition learns from its own contents.
        let few = if found.tokens < TOKENS_MIN {
            "Fewer than 20 carried one elsewhere than on home pages and sections' fronts"
        } else {
            "Fewer than 20 carried one elsewhere than on home pages and sections' fronts, in each of the partitions that the site's contents are in"
        };
        return paragraph(
            out,
            &format!(
                "{few}: nothing can be learned from so few. Pages that mark their links (docs/hits.md) give the labels."
            ),
        );
    };
    paragraph(
        out,
        &format!(
            "Of privately passed links {:.0} % arrive with their token ({:.0} to {:.0} %), {}.",
            100.0 * survival,
            100.0 * low,
            100.0 * high,
            match found.known {
                0 => "which is an assumption that the tokens fit: no link of known way was seen"
                    .to_owned(),
                known => format!(
                    "as {} {} of known way {}: apps that name themselves, previews that a sharer's device fetched",
                    count(known as f64),
                    plural(known as f64, "link", "links"),
                    plural(known as f64, "says", "say"),
                ),
            },
        ),
    )?;
    if let (Some(likely), Some(low), Some(high), Some(slope)) = (
        found.intercept,
        found.intercept_low,
        found.intercept_high,
        found.slope,
    ) {
        paragraph(
            out,
            &format!(
                "Against the model, landings of this site have {likely:+.2} log-odds ({low:+.2} to {high:+.2}) of a private link, and facts are worth {:.0} %. Visits are judged by {}.",
                100.0 * (1.0 + slope),
                found.model_version,
            ),
        )?;
    }
    let bar = CURVE_WIDTH.min(usize::from(width.max(WIDTH_MIN)).saturating_sub(60));
    writeln!(
        out,
        "\n predicted   true (range)          landings   tokens"
    )?;
    for bin in found.bins() {
        let [low, likely, high] = bin.observed.unwrap_or_default();
        let line = format!(
            "{:>8.1} % {:>6.1} % ({:>4.1}–{:>5.1}) {:>10} {:>8}  {}",
            100.0 * bin.predicted,
            100.0 * likely,
            100.0 * low,
            100.0 * high,
            bin.landings,
            bin.tokens,
            curve(bin.predicted, likely, bar),
        );
        writeln!(out, "{}", line.trim_end())?;
    }
    if bar > 0 {
        paragraph(out, "█ true, │ predicted")?;
    }
    writeln!(out)?;
    if let (Some(ece), Some(low), Some(high), Some(brier)) =
        (found.ece, found.ece_low, found.ece_high, found.brier)
    {
        paragraph(
            out,
            &format!(
                "Expected calibration error {ece:.3} ({low:.3} to {high:.3} by the part that keeps its token), Brier score {brier:.3}."
            ),
        )?;
    }
    writeln!(out)?;
    let passed_on: i64 = found.bin_tokens.iter().sum();
    let own = (found.tokens - passed_on).max(0);
    paragraph(
        out,
        &format!(
            "Ranges are 90 %, of chance and of the part that keeps its token together. What this cannot say: the true parts are tokens divided by the part of links that keep theirs, and that part is itself an estimate; where it differs between kinds of landings, the curve bends with it. Of tokens that were passed on {:.0} % are taken to have come in private; about {} of the {} that came are readers' own, come back on another device or under a new id, and left out of the curve.",
            100.0 * found.private_part,
            count(own as f64),
            count(found.tokens as f64),
        ),
    )
}

/// A bar of the true part with a mark where the prediction is.
fn curve(predicted: f64, truth: f64, width: usize) -> String {
    if width == 0 {
        return String::new();
    }
    let place = |part: f64| (part.clamp(0.0, 1.0) * width as f64).round() as usize;
    let (bar, mark) = (place(truth), place(predicted));
    let cell = |at: usize| match at {
        at if at == mark => '│',
        at if at < bar => '█',
        _ => ' ',
    };
    let line: String = (0..=width).map(cell).collect();
    line.trim_end().to_owned()
}

/// One JSON document: the site, and its calibration or null.
///
/// # Errors
/// Those of `out`.
pub(super) fn write_json(
    site: &str,
    calibration: Option<&Calibration>,
    out: &mut impl Write,
) -> io::Result<()> {
    let document = serde_json::json!({ "site": site, "calibration": calibration });
    serde_json::to_writer_pretty(&mut *out, &document)?;
    writeln!(out)
}

/// One row a bin.
///
/// # Errors
/// Those of `out`.
pub(super) fn write_csv(calibration: Option<&Calibration>, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "predicted,landings,tokens,true,true_low,true_high")?;
    for bin in calibration.iter().flat_map(|found| found.bins()) {
        let observed = match bin.observed {
            Some([low, likely, high]) => format!("{likely:.6},{low:.6},{high:.6}"),
            None => ",,".to_owned(),
        };
        writeln!(
            out,
            "{:.6},{},{},{observed}",
            bin.predicted, bin.landings, bin.tokens
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calibration() -> Calibration {
        Calibration {
            site: "example.org".into(),
            time: "2026-11-27 12:00:00.000".into(),
            model_version: "1+2+site.400".into(),
            landings: 400,
            tokens: 100,
            known: 50,
            known_with_token: 25,
            token_survival: Some(0.5),
            token_survival_low: Some(0.4),
            token_survival_high: Some(0.6),
            intercept: Some(0.2),
            intercept_low: Some(-0.1),
            intercept_high: Some(0.5),
            slope: Some(-0.1),
            ece: Some(0.02),
            ece_low: Some(0.01),
            ece_high: Some(0.05),
            brier: Some(0.2),
            private_part: 0.9,
            bin_landings: vec![200, 0, 200],
            bin_tokens: vec![20, 0, 80],
            bin_predicted: vec![0.1, 0.0, 0.7],
        }
    }

    #[test]
    fn few_landings_say_little() {
        let near = |ends: [f64; 2], low: f64, high: f64| {
            assert!(
                (ends[0] - low).abs() < 5e-4 && (ends[1] - high).abs() < 5e-4,
                "{ends:?}"
            );
        };
        // Worked out apart from this code.
        near(chance(5.0, 10.0), 0.2693, 0.7307);
        near(chance(0.0, 1_082.0), 0.0, 0.0025);
        near(chance(500.0, 1_000.0), 0.4740, 0.5260);
        near(chance(1.0, 1.0), 0.2699, 1.0);
    }

    fn text(calibration: Option<&Calibration>) -> String {
        let mut out = Vec::new();
        write_text("example.org", calibration, 100, &mut out).expect("writes");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn the_curve_says_how_far_it_can_be_trusted() {
        let text = text(Some(&calibration()));
        // 80 tokens of 200 (.345 to .458), .9 of them private, over .5 (.6 to .4) that keep theirs.
        assert!(text.contains("70.0 %   72.0 % (51.7–100.0)"), "{text}");
        assert!(text.contains("What this cannot say") && text.contains("0.010 to 0.050"));
        assert!(!text.contains("NaN"));
        for width in [40u16, 60, 72, 132] {
            let mut out = Vec::new();
            write_text("example.org", Some(&calibration()), width, &mut out).expect("writes");
            let text = String::from_utf8(out).expect("text");
            let longest = text.lines().map(|line| line.chars().count()).max();
            assert!(
                longest <= Some(usize::from(width.max(56))),
                "{width}: {text}"
            );
        }
        let mut out = Vec::new();
        write_csv(Some(&calibration()), &mut out).expect("writes");
        let csv = String::from_utf8(out).expect("text");
        assert_eq!(csv.lines().count(), 3);
        assert!(
            csv.contains("0.700000,200,80,0.720000,0.517075,1.000000"),
            "{csv}"
        );
    }

    #[test]
    fn nothing_is_said_of_few_tokens() {
        let spread_out = Calibration {
            token_survival: None,
            token_survival_low: None,
            token_survival_high: None,
            ..calibration()
        };
        let few = Calibration {
            tokens: 19,
            ..spread_out.clone()
        };
        let said = text(Some(&few));
        assert!(said.contains("Fewer than 20 carried one elsewhere than on home pages"));
        // Enough in all, too few for any partition.
        let said = text(Some(&spread_out));
        assert!(said.contains("in each of"));
        assert!(text(None).contains("nothing to calibrate"));
        let mut out = Vec::new();
        write_json("example.org", None, &mut out).expect("writes");
        let value: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
        assert!(value["calibration"].is_null());
    }
}
