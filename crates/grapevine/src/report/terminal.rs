//! A report for people, in a terminal of any width.

use std::io::{self, Write};

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, TableComponent, presets};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::figures::{Estimate, EvidenceFigures, Report};
use crate::numerals::{count, percent, plural};

/// Narrowest width that a table is laid out for.
pub(super) const WIDTH_MIN: u16 = 40;
/// Below this many columns tables leave out what explains least.
const WIDTH_FULL: u16 = 72;
/// Apps that are listed; JSON and CSV have more.
const APPS_MAX: usize = 12;
/// Columns for the name of an app: hits may bring names of up to 64.
const APP_WIDTH: usize = 16;

/// Writes the report for a terminal of `width` columns.
///
/// # Errors
/// Those of `out`.
pub(super) fn write_text(report: &Report, width: u16, out: &mut impl Write) -> io::Result<()> {
    let page = Page {
        width: width.max(WIDTH_MIN),
        report,
    };
    page.head(out)?;
    page.surges(out)?;
    page.direct(out)?;
    page.channels(out)?;
    page.apps(out)?;
    page.contents(out)?;
    page.hours(out)?;
    page.evidence(out)?;
    page.chains(out)?;
    page.foot(out)
}

pub(super) struct Page<'a> {
    pub(super) width: u16,
    pub(super) report: &'a Report,
}

impl Page<'_> {
    pub(super) fn is_narrow(&self) -> bool {
        self.width < WIDTH_FULL
    }

    pub(super) fn table(&self, head: &[&str]) -> Table {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        table
            .set_style(TableComponent::HeaderLines, '─')
            .set_style(TableComponent::MiddleHeaderIntersections, '─');
        table
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(self.width);
        let numbers_right = |(index, text): (usize, &&str)| {
            let cell = Cell::new(text);
            if index == 0 {
                cell
            } else {
                cell.set_alignment(CellAlignment::Right)
            }
        };
        table.set_header(head.iter().enumerate().map(numbers_right));
        table
    }

    pub(super) fn paragraph(&self, out: &mut impl Write, text: &str) -> io::Result<()> {
        for line in wrapped(text, usize::from(self.width)) {
            writeln!(out, "{line}")?;
        }
        Ok(())
    }

    pub(super) fn title(&self, out: &mut impl Write, text: &str) -> io::Result<()> {
        writeln!(out)?;
        writeln!(out, "{text}")
    }

    fn head(&self, out: &mut impl Write) -> io::Result<()> {
        let report = self.report;
        let days = if report.from == report.to {
            report.from.clone()
        } else {
            format!("{} to {}", report.from, report.to)
        };
        self.paragraph(out, &format!("{}, {days} (UTC)", report.site))?;
        let robots = match report.robots {
            0.0 => String::new(),
            robots => format!(
                "; {} robot {} left out",
                count(robots),
                plural(robots, "visit", "visits")
            ),
        };
        self.paragraph(
            out,
            &format!(
                "{} {} by people{robots}.",
                count(report.visits),
                plural(report.visits, "visit", "visits")
            ),
        )
    }

    fn surges(&self, out: &mut impl Write) -> io::Result<()> {
        let width = usize::from(self.width).saturating_sub(8);
        let name = |content: &str| shortened(content, width);
        let paragraphs = super::surges::paragraphs(&self.report.surges, &name);
        if paragraphs.is_empty() {
            return Ok(());
        }
        self.title(out, "Spreading in the dark now")?;
        paragraphs
            .iter()
            .try_for_each(|text| self.paragraph(out, text))
    }

    fn direct(&self, out: &mut impl Write) -> io::Result<()> {
        let direct = &self.report.direct;
        self.title(out, "How much of \"direct\" is dark")?;
        if direct.visits == 0.0 {
            return self.paragraph(out, "Ordinary analytics would book none of these visits as direct, so there is nothing to look behind.");
        }
        let share = |part: f64| percent(part, direct.visits);
        let (dark, others) = (&direct.dark_social, &direct.others);
        self.paragraph(
            out,
            &format!(
                "Ordinary analytics would book {} {} as direct. About {} of them ({}) came from a privately passed link; the range is {} to {} ({} to {}). The other {} to {} ({} to {}) were typed or bookmarked, or came from a search engine or another public place that left no trace. How these divide is the least known: about {} ({}) by search is a guess that has no range.",
                count(direct.visits),
                plural(direct.visits, "visit", "visits"),
                count(dark.expected),
                share(dark.expected),
                count(dark.low),
                count(dark.high),
                share(dark.low),
                share(dark.high),
                count(others.low),
                count(others.high),
                share(others.low),
                share(others.high),
                count(direct.dark_search),
                share(direct.dark_search),
            ),
        )?;
        let grey = direct.visits - direct.certain;
        self.paragraph(
            out,
            &format!(
                "{} of them {} decided by one fact (a token, an app's own browser, a referrer), {} by evidence weighed against a prior: the width of the range is what is not known.",
                count(direct.certain),
                plural(direct.certain, "was", "were"),
                count(grey)
            ),
        )
    }

    fn channels(&self, out: &mut impl Write) -> io::Result<()> {
        self.title(out, "Visits by channel")?;
        let most = self
            .report
            .channels
            .iter()
            .map(|row| row.found.expected)
            .fold(0.0, f64::max);
        let mut head = vec!["channel", "booked", "found", "share"];
        if !self.is_narrow() {
            head.extend(["range", ""]);
        }
        let mut table = self.table(&head);
        for row in &self.report.channels {
            let mut cells = vec![
                Cell::new(row.channel.replace('_', " ")),
                right(count(row.conventional)),
                right(count(row.found.expected)),
                right(percent(row.found.expected, self.report.visits)),
            ];
            if !self.is_narrow() {
                cells.push(right(range(row.found)));
                cells.push(Cell::new(bar(row.found.expected, most, 20)));
            }
            table.add_row(cells);
        }
        writeln!(out, "{table}")?;
        let mut words = "booked: what ordinary analytics would say. found: expected number of visits; dark search counts as search.".to_owned();
        if !self.is_narrow() {
            words.push_str(" range of search and direct: from what facts say to that and all visits without a trace that may be of it, since how these divide is not known.");
        }
        self.paragraph(out, &words)
    }

    fn apps(&self, out: &mut impl Write) -> io::Result<()> {
        if self.report.apps.is_empty() {
            return Ok(());
        }
        self.title(out, "Apps that links were passed on in")?;
        let mut head = vec!["app", "visits", "range"];
        if !self.is_narrow() {
            head.extend(["by a fact", "shares seen"]);
        }
        let mut table = self.table(&head);
        for row in self.report.apps.iter().take(APPS_MAX) {
            let mut cells = vec![
                Cell::new(shortened(&row.app.replace('_', " "), APP_WIDTH)),
                right(count(row.visits.expected)),
                right(range(row.visits)),
            ];
            if !self.is_narrow() {
                cells.push(right(count(row.certain)));
                cells.push(right(count(row.shares)));
            }
            table.add_row(cells);
        }
        writeln!(out, "{table}")?;
        let more = self.report.apps.len().saturating_sub(APPS_MAX);
        if more > 0 {
            self.paragraph(out, &format!("and {more} more: --format json"))?;
        }
        let mut words = "unknown: privately passed on, but nothing tells where.".to_owned();
        if !self.is_narrow() {
            words.push_str(" shares seen: previews that an app fetched when somebody pasted a link, share buttons, copies.");
        }
        self.paragraph(out, &words)
    }

    fn contents(&self, out: &mut impl Write) -> io::Result<()> {
        let rows: Vec<_> = self
            .report
            .contents
            .iter()
            .filter(|row| row.dark_social.expected >= 0.05)
            .collect();
        if rows.is_empty() {
            return Ok(());
        }
        self.title(out, "Contents most passed on privately")?;
        let mut head = vec!["content", "dark", "visits"];
        if !self.is_narrow() {
            head = vec!["content", "dark", "range", "visits", "shares"];
        }
        // What the figures leave of a line.
        let content_width = usize::from(self.width)
            .saturating_sub(if self.is_narrow() { 20 } else { 46 })
            .max(12);
        let mut table = self.table(&head);
        for row in rows {
            let name = row
                .content
                .split_once("://")
                .map_or(row.content.as_str(), |(_, rest)| rest);
            let mut cells = vec![
                Cell::new(shortened(name, content_width)),
                right(count(row.dark_social.expected)),
            ];
            if !self.is_narrow() {
                cells.push(right(range(row.dark_social)));
            }
            cells.push(right(count(row.visits)));
            if !self.is_narrow() {
                cells.push(right(count(row.shares)));
            }
            table.add_row(cells);
        }
        writeln!(out, "{table}")
    }

    fn hours(&self, out: &mut impl Write) -> io::Result<()> {
        let most = self
            .report
            .hours
            .iter()
            .map(|hour| hour.visits)
            .fold(0.0, f64::max);
        if most == 0.0 {
            return Ok(());
        }
        self.title(out, "Hours of the day (UTC)")?;
        let darkest = self
            .report
            .hours
            .iter()
            .map(|hour| hour.dark_social)
            .max_by(|a, b| a.expected.total_cmp(&b.expected))
            .unwrap_or_default();
        let line = |value: &dyn Fn(usize) -> f64, most: f64| -> String {
            (0..24).map(|hour| block(value(hour), most)).collect()
        };
        let hours = &self.report.hours;
        // Beside the bars, where there is room for it.
        let scale = |text: String| {
            if self.is_narrow() {
                String::new()
            } else {
                text
            }
        };
        writeln!(out, "           0     6     12    18")?;
        writeln!(
            out,
            "all visits {}{}",
            line(&|hour| hours.get(hour).map_or(0.0, |h| h.visits), most),
            scale(format!(" most: {} an hour", count(most)))
        )?;
        writeln!(
            out,
            "dark       {}",
            line(
                &|hour| hours.get(hour).map_or(0.0, |h| h.dark_social.expected),
                darkest.expected
            )
        )?;
        if darkest.high == 0.0 {
            return Ok(());
        }
        self.paragraph(
            out,
            &format!(
                "dark: expected number of privately passed visits; in the hour with the most of them {}, the range is {} to {}.",
                count(darkest.expected),
                count(darkest.low),
                count(darkest.high),
            ),
        )
    }

    fn evidence(&self, out: &mut impl Write) -> io::Result<()> {
        if self.report.evidence.is_empty() {
            return Ok(());
        }
        self.title(out, "The evidence behind it")?;
        let [private, search] = match self.is_narrow() {
            true => ["private", "search"],
            false => ["for a\nprivate link", "for dark\nsearch"],
        };
        let mut head = vec!["fact", "visits", private, search];
        if !self.is_narrow() {
            head.push("for example");
        }
        let mut table = self.table(&head);
        for row in &self.report.evidence {
            let [private, search] = weights(row);
            let mut cells = vec![
                Cell::new(row.name.replace('_', " ")),
                right(count(row.visits)),
                right(private),
                right(search),
            ];
            if !self.is_narrow() {
                let width = usize::from(self.width).saturating_sub(58).max(14);
                cells.push(Cell::new(shortened(&row.example, width)));
            }
            table.add_row(cells);
        }
        writeln!(out, "{table}")?;
        let [private, search] = [private, search].map(|head| head.replace('\n', " "));
        self.paragraph(
            out,
            &format!(
                "{private}: mean log-odds of dark social that the fact adds, against search and typed addresses together (+0.7 doubles the odds, -0.7 halves them); {search}: the same of a search that left no referrer, against a typed address alone; decides: a fact that settles the channel by itself. Visit by visit: grapevine query 'SELECT * FROM grapevine.visit_odds LIMIT 9'."
            ),
        )
    }

    fn foot(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out)?;
        if self.report.dead_letters > 0.0 {
            self.paragraph(
                out,
                &format!(
                    "{} {} could not be read (all sites): grapevine query 'SELECT reason, count() FROM grapevine.dead_letters GROUP BY reason'",
                    count(self.report.dead_letters),
                    plural(self.report.dead_letters, "line or hit", "lines or hits"),
                ),
            )?;
        }
        self.paragraph(
            out,
            &format!(
                "Judged by model {}. Its weights are fitted on simulated sites and held to published measurements, not to this site: docs/classification.md says how. What this site's own tokens say of them: grapevine report --calibration.",
                self.report.models.join(", ")
            ),
        )
    }
}

/// What a fact adds to a private link and to dark search, in words; the second is empty where the
/// fact decides. One without weight on visits that no fact decided is a note that adds nothing.
fn weights(fact: &EvidenceFigures) -> [String; 2] {
    let is_none = |log_odds: f64| log_odds.abs() < 0.005;
    let no_weight = is_none(fact.log_odds) && fact.search_log_odds.is_none_or(is_none);
    if no_weight && fact.decided > 0.0 {
        return ["decides".to_owned(), String::new()];
    }
    let search = match fact.search_log_odds {
        Some(log_odds) => format!("{log_odds:+.1}"),
        None => "unknown".to_owned(),
    };
    [format!("{:+.1}", fact.log_odds), search]
}

pub(super) fn right(text: String) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

pub(super) fn range(estimate: Estimate) -> String {
    let (low, high) = (count(estimate.low), count(estimate.high));
    if low == high {
        low
    } else {
        format!("{low}–{high}")
    }
}

/// A bar of up to `cells` columns, in eighths of a column.
fn bar(value: f64, most: f64, cells: usize) -> String {
    if most <= 0.0 {
        return String::new();
    }
    let eighths = (value / most * cells as f64 * 8.0)
        .round()
        .clamp(0.0, cells as f64 * 8.0) as usize;
    let mut bar = "█".repeat(eighths / 8);
    if let Some(part) = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"].get(eighths % 8) {
        bar.push_str(part);
    }
    bar
}

/// One column whose height says how large `value` is.
fn block(value: f64, most: f64) -> char {
    const HEIGHTS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    if most <= 0.0 {
        return ' ';
    }
    let step = (value / most * 8.0).ceil().clamp(0.0, 8.0) as usize;
    HEIGHTS.get(step).copied().unwrap_or(' ')
}

/// Keeps the start and the end of a text that is too long: in a path both tell it apart.
pub(super) fn shortened(text: &str, width: usize) -> String {
    let clean: String = text
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if clean.width() <= width {
        return clean;
    }
    let room = width.saturating_sub(1);
    let head = take_width(clean.chars(), room / 3);
    let tail = take_width(clean.chars().rev(), room - room / 3);
    format!("{head}…{}", tail.chars().rev().collect::<String>())
}

fn take_width(chars: impl Iterator<Item = char>, width: usize) -> String {
    let mut used = 0;
    chars
        .take_while(|c| {
            used += c.width().unwrap_or(0);
            used <= width
        })
        .collect()
}

pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        if !line.is_empty() && line.width() + 1 + word.width() > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests;
