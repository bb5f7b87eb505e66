//! The part of a report on how links were passed on from reader to reader.

use std::io::{self, Write};

use comfy_table::Cell;

use super::figures::{ChainCalibration, Estimate, SpreadingFigures};
use super::terminal::{Page, range, right, shortened};
use crate::numerals::{count, percent, plural};

/// Contents that are listed; JSON and CSV have more.
const CONTENTS_MAX: usize = 8;
/// Transitions that are listed.
const TRANSITIONS_MAX: usize = 8;
/// Columns for the name of an app.
const APP_WIDTH: usize = 16;
/// Fewer expected readers than this spread nowhere.
const SPREADING_MIN: f64 = 0.5;

impl Page<'_> {
    pub(super) fn chains(&self, out: &mut impl Write) -> io::Result<()> {
        self.title(out, "Share chains")?;
        self.reader_to_reader(out)?;
        self.by_tokens(out)?;
        self.spreading(out)?;
        self.speeds(out)?;
        self.transitions(out)?;
        self.calibration(out)
    }

    fn reader_to_reader(&self, out: &mut impl Write) -> io::Result<()> {
        let chains = &self.report.chains;
        if chains.readers == 0.0 {
            return self.paragraph(
                out,
                "Nothing is known yet of how links were passed on: why a reader came is settled six hours later, or when an import ends.",
            );
        }
        let from = chains.from_readers;
        let share = |part: f64| percent(part, chains.readers);
        let mut text = format!(
            "Of {} {} of a content, about {} ({}) came by a link that somebody passed on who had it before; the range is {} to {} ({} to {}).",
            count(chains.readers),
            plural(chains.readers, "first visit", "first visits"),
            count(from.expected),
            share(from.expected),
            count(from.low),
            count(from.high),
            share(from.low),
            share(from.high),
        );
        if let Some(ratio) = chains.reproduction {
            let bring = format!(
                " So each reader brings {} more ({} to {}), those still to come included; what spreads by itself brings 1.",
                ratio_of(ratio.expected),
                ratio_of(ratio.low),
                ratio_of(ratio.high),
            );
            text.push_str(&bring);
        }
        if let Some(ratio) = chains.reproduction_without_strangers
            && chains.from_strangers.expected >= SPREADING_MIN
        {
            let strangers = format!(
                " About {} of them have a sender who was never seen to land on that content; if no reader stands behind these, each reader brings {} ({} to {}).",
                count(chains.from_strangers.expected),
                ratio_of(ratio.expected),
                ratio_of(ratio.low),
                ratio_of(ratio.high),
            );
            text.push_str(&strangers);
        }
        text.push_str(" Who passes a link on without opening it is invisible.");
        self.paragraph(out, &text)
    }

    fn by_tokens(&self, out: &mut impl Write) -> io::Result<()> {
        let chains = &self.report.chains;
        if chains.token_visits == 0.0 {
            return self.paragraph(out, "No visit carried a share token, so no chain is known by one: that needs a page that marks its links (an access log alone has none).");
        }
        if chains.cascades == 0.0 {
            return self.paragraph(
                out,
                &format!(
                    "{} {} came by a share token, but no page told which visit it had given that token to, so no chain is known by tokens. An access log alone has the tokens that arrive, not those that are given: docs/hits.md says how a page tells.",
                    count(chains.token_visits),
                    plural(chains.token_visits, "visit", "visits"),
                ),
            );
        }
        self.paragraph(
            out,
            &format!(
                "{} {} came by a share token. Those whose sharer was seen form {} {}; the largest has at least {} visits, and in the deepest the link went at least {} {} from hand to hand: tokens get lost, so there may be more.",
                count(chains.token_visits),
                plural(chains.token_visits, "visit", "visits"),
                count(chains.cascades),
                plural(chains.cascades, "chain", "chains"),
                count(chains.largest),
                count(chains.deepest),
                plural(chains.deepest, "time", "times"),
            ),
        )
    }

    /// Contents that are listed.
    fn spread_furthest(&self) -> Vec<&SpreadingFigures> {
        let rows = self.report.chains.spreading.iter();
        rows.filter(|row| row.from_readers.expected >= SPREADING_MIN)
            .take(CONTENTS_MAX)
            .collect()
    }

    fn spreading(&self, out: &mut impl Write) -> io::Result<()> {
        let rows = self.spread_furthest();
        if rows.is_empty() {
            return Ok(());
        }
        self.title(out, "Contents that spread the furthest")?;
        let head = match self.is_narrow() {
            true => vec!["content", "passed on", "R"],
            false => vec!["content", "passed on", "range", "of", "R", "range", "after"],
        };
        // What the figures leave of a line.
        let content_width = usize::from(self.width)
            .saturating_sub(if self.is_narrow() { 22 } else { 66 })
            .max(12);
        let mut table = self.table(&head);
        for row in &rows {
            let name = match row.broadcast {
                true => format!("* {}", without_scheme(&row.content)),
                false => without_scheme(&row.content).to_owned(),
            };
            let passed_on = right(count(row.from_readers.expected));
            let ratio = right(ratio_of(row.reproduction.expected));
            let mut cells = vec![Cell::new(shortened(&name, content_width)), passed_on];
            if self.is_narrow() {
                cells.push(ratio);
            } else {
                cells.extend([
                    right(range(row.from_readers)),
                    right(count(row.readers)),
                    ratio,
                    right(ratios(row.reproduction)),
                    right(row.generation_time_seconds.map_or("–".to_owned(), duration)),
                ]);
            }
            table.add_row(cells);
        }
        writeln!(out, "{table}")?;
        let mut words =
            "passed on: expected readers who came by a link that somebody passed on.".to_owned();
        if !self.is_narrow() {
            words.push_str(" R: readers that one reader brings, those still to come included, and those whose sender never landed there. after: half of them come sooner after the reader who passed the link on.");
        }
        if rows.iter().any(|row| row.broadcast) {
            words.push_str(
                " *: a reader's link was probably posted in public, or brought more than 50 readers as a post does: those are no chain of private messages.",
            );
        }
        self.paragraph(out, &words)
    }

    /// How fast the same contents spread at the end of what is known of them.
    fn speeds(&self, out: &mut impl Write) -> io::Result<()> {
        let rows = self.spread_furthest().into_iter();
        let rows: Vec<_> = rows
            .filter_map(|row| Some((row, row.reproduction_now?)))
            .collect();
        if rows.is_empty() {
            return Ok(());
        }
        self.title(out, "How fast they spread now")?;
        let head = match self.is_narrow() {
            true => vec!["content", "R now", "range"],
            false => vec![
                "content",
                "R now",
                "range",
                "leads to",
                "range",
                "doubles in",
            ],
        };
        let content_width = usize::from(self.width)
            .saturating_sub(if self.is_narrow() { 24 } else { 60 })
            .max(12);
        let mut table = self.table(&head);
        for (row, now) in &rows {
            let name = shortened(without_scheme(&row.content), content_width);
            let mut cells = vec![
                Cell::new(name),
                right(ratio_of(now.expected)),
                right(ratios(*now)),
            ];
            if !self.is_narrow() {
                let or_none = |text: Option<String>| right(text.unwrap_or_else(|| "–".to_owned()));
                let amplified = row.amplification;
                cells.extend([
                    or_none(amplified.map(|times| ratio_of(times.expected))),
                    or_none(amplified.map(ratios)),
                    or_none(row.doubling_seconds.map(|time| duration(time.expected))),
                ]);
            }
            table.add_row(cells);
        }
        writeln!(out, "{table}")?;
        let mut words = "R now: readers that one of the newest 96 readers brings; without share tokens its range is wide.".to_owned();
        if !self.is_narrow() {
            words.push_str(" leads to: readers in the end for one from outside, itself included, by R over the whole time; –: R may be 1 or more. doubles in: where R is surely above 1.");
        }
        self.paragraph(out, &words)
    }

    fn transitions(&self, out: &mut impl Write) -> io::Result<()> {
        let rows = &self.report.chains.transitions;
        if rows.is_empty() {
            return Ok(());
        }
        self.title(out, "From app to app")?;
        let mut head = vec!["sharer came by", "reader came by", "visits"];
        if !self.is_narrow() {
            head.push("by a token");
        }
        let mut table = self.table(&head);
        for row in rows.iter().take(TRANSITIONS_MAX) {
            let name = |app: &str| shortened(&app.replace('_', " "), APP_WIDTH);
            let mut cells = vec![
                Cell::new(name(&row.from)),
                right(name(&row.to)),
                right(count(row.visits)),
            ];
            if !self.is_narrow() {
                cells.push(right(count(row.certain)));
            }
            table.add_row(cells);
        }
        writeln!(out, "{table}")?;
        let mut words = "visits: expected, where a sharer can be named with some probability; they have no range. unknown: no app is known.".to_owned();
        if !self.is_narrow() {
            words.push_str(" by a token: of them by share tokens that were passed on and not the reader's own.");
        }
        self.paragraph(out, &words)
    }

    fn calibration(&self, out: &mut impl Write) -> io::Result<()> {
        let chains = &self.report.chains;
        if chains.readers == 0.0 {
            return Ok(());
        }
        let text = match &chains.calibration {
            Some(calibration) if calibration.scored > 0.0 => judged(calibration),
            _ => "How well chains are inferred on this site is not known: it has no visit yet whose token names a sharer that was seen. What docs/chains.md says was measured on published cascades.".to_owned(),
        };
        writeln!(out)?;
        self.paragraph(out, &text)
    }
}

fn judged(calibration: &ChainCalibration) -> String {
    let mut text = format!(
        "How well chains are inferred: {} {} of known cause (a token, a referrer) {} judged as if nothing were known. The likeliest cause was the right one in {} of them, and its probability was off by {} on average (log-loss {:.2}, {} {}).",
        count(calibration.scored),
        plural(calibration.scored, "visit", "visits"),
        plural(calibration.scored, "was", "were"),
        percent(calibration.likeliest_right, 1.0),
        percent(calibration.calibration_error, 1.0),
        calibration.log_loss,
        // Of several partitions each learns its own.
        if calibration.version.contains(", ") {
            "models"
        } else {
            "model"
        },
        calibration.version,
    );
    if calibration.alarm {
        text.push_str(
            " The likeliest cause is right less often than is said: do not rely on single probabilities here.",
        );
    }
    text
}

fn without_scheme(content: &str) -> &str {
    content.split_once("://").map_or(content, |(_, rest)| rest)
}

/// A ratio with two decimals.
fn ratio_of(ratio: f64) -> String {
    format!("{ratio:.2}")
}

fn ratios(estimate: Estimate) -> String {
    format!("{}–{}", ratio_of(estimate.low), ratio_of(estimate.high))
}

/// A duration in its largest fitting unit.
fn duration(seconds: f64) -> String {
    let (value, unit) = match seconds {
        ..90.0 => (seconds, "s"),
        ..5_400.0 => (seconds / 60.0, "min"),
        ..172_800.0 => (seconds / 3_600.0, "h"),
        _ => (seconds / 86_400.0, "d"),
    };
    format!("{}\u{202f}{unit}", count(value.round()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_said_in_a_fitting_unit() {
        for (seconds, said) in [
            (0.0, "0\u{202f}s"),
            (61.0, "61\u{202f}s"),
            (600.0, "10\u{202f}min"),
            (7_200.0, "2\u{202f}h"),
            (864_000.0, "10\u{202f}d"),
        ] {
            assert_eq!(duration(seconds), said);
        }
    }
}
