//! A report for scripts.

use std::io::{self, Write};

use super::figures::{Estimate, Report};

/// One JSON document; its fields are those of [`Report`].
///
/// # Errors
/// Those of `out`.
pub(super) fn write_json(report: &Report, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, report)?;
    writeln!(out)
}

/// One row a figure: section, item, measure, value. Long rather than wide, so that a new figure
/// never moves a column.
///
/// # Errors
/// Those of `out`.
pub(super) fn write_csv(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let mut rows = Rows { out };
    rows.put("section", "item", "measure", "value")?;
    rows.put("period", "", "site", &report.site)?;
    rows.put("period", "", "from", &report.from)?;
    rows.put("period", "", "to", &report.to)?;
    rows.number("total", "people", "visits", report.visits)?;
    rows.number("total", "robots", "visits", report.robots)?;
    rows.number("total", "dead_letters", "count", report.dead_letters)?;
    for channel in &report.channels {
        rows.number(
            "channel",
            &channel.channel,
            "conventional",
            channel.conventional,
        )?;
        rows.estimate("channel", &channel.channel, "found", channel.found)?;
    }
    rows.number("direct", "", "visits", report.direct.visits)?;
    rows.estimate("direct", "dark_social", "visits", report.direct.dark_social)?;
    rows.estimate("direct", "others", "visits", report.direct.others)?;
    rows.number("direct", "dark_search", "visits", report.direct.dark_search)?;
    rows.number("direct", "certain", "visits", report.direct.certain)?;
    for app in &report.apps {
        rows.estimate("app", &app.app, "visits", app.visits)?;
        rows.number("app", &app.app, "certain", app.certain)?;
        rows.number("app", &app.app, "shares", app.shares)?;
    }
    for content in &report.contents {
        rows.number("content", &content.content, "visits", content.visits)?;
        rows.estimate(
            "content",
            &content.content,
            "dark_social",
            content.dark_social,
        )?;
        rows.number("content", &content.content, "shares", content.shares)?;
    }
    for hour in &report.hours {
        let name = format!("{:02}", hour.hour);
        rows.number("hour", &name, "visits", hour.visits)?;
        rows.estimate("hour", &name, "dark_social", hour.dark_social)?;
    }
    for fact in &report.evidence {
        rows.number("evidence", &fact.name, "visits", fact.visits)?;
        rows.number("evidence", &fact.name, "decided", fact.decided)?;
        rows.number("evidence", &fact.name, "log_odds", fact.log_odds)?;
        if let Some(search) = fact.search_log_odds {
            rows.number("evidence", &fact.name, "search_log_odds", search)?;
        }
    }
    rows.number("chains", "token", "visits", report.chains.token_visits)?;
    rows.number("chains", "cascades", "count", report.chains.cascades)?;
    rows.number("chains", "largest", "visits", report.chains.largest)?;
    rows.number("chains", "deepest", "generations", report.chains.deepest)?;
    for surge in &report.surges {
        let item = &surge.content;
        rows.put("surge", item, "state", &surge.state)?;
        rows.put("surge", item, "started", &surge.started)?;
        rows.put("surge", item, "updated", &surge.updated)?;
        rows.number("surge", item, "visits", surge.visits)?;
        rows.estimate("surge", item, "dark_social", surge.dark_social)?;
        rows.number("surge", item, "baseline", surge.baseline)?;
        rows.number("surge", item, "baseline_high", surge.baseline_high)?;
        rows.number("surge", item, "rate_per_hour", surge.rate_per_hour)?;
        if let Some(doubling) = surge.doubling_seconds {
            rows.estimate("surge", item, "doubling_seconds", doubling)?;
        }
        for (app, probability) in &surge.apps {
            rows.number("surge", item, &format!("app_{app}"), *probability)?;
        }
        for (number, seed) in surge.seeds.iter().enumerate() {
            let told = format!("{} {} {} {}", seed.time, seed.kind, seed.app, seed.id);
            rows.put("surge", item, &format!("seed_{}", number + 1), &told)?;
        }
        rows.number("surge", item, "share_acts", surge.share_acts)?;
        rows.number("surge", item, "signs", surge.signs)?;
        rows.number("surge", item, "signs_usual", surge.signs_usual)?;
        rows.number("surge", item, "networks", surge.networks)?;
        rows.number("surge", item, "chained", surge.chained)?;
        if let Some(reproduction) = surge.reproduction_number {
            rows.estimate("surge", item, "reproduction_number", reproduction)?;
        }
        let false_alarm = format!("{:e}", surge.false_alarm);
        rows.put("surge", item, "false_alarm", &false_alarm)?;
    }
    let chains = &report.chains;
    rows.number("chains", "settled", "readers", chains.readers)?;
    rows.estimate("chains", "from_readers", "readers", chains.from_readers)?;
    rows.estimate("chains", "from_strangers", "readers", chains.from_strangers)?;
    for (item, ratio) in [
        ("reproduction", chains.reproduction),
        (
            "reproduction_without_strangers",
            chains.reproduction_without_strangers,
        ),
    ] {
        if let Some(ratio) = ratio {
            rows.estimate("chains", item, "ratio", ratio)?;
        }
    }
    for row in &chains.transitions {
        let item = format!("{} > {}", row.from, row.to);
        rows.number("transition", &item, "visits", row.visits)?;
        rows.number("transition", &item, "certain", row.certain)?;
    }
    for row in &chains.spreading {
        let item = row.content.as_str();
        rows.number("spreading", item, "readers", row.readers)?;
        rows.estimate("spreading", item, "from_readers", row.from_readers)?;
        rows.estimate("spreading", item, "reproduction", row.reproduction)?;
        if let Some(virality) = row.virality {
            rows.estimate("spreading", item, "virality", virality)?;
        }
        rows.estimate("spreading", item, "depth", row.depth)?;
        if let Some(seconds) = row.generation_time_seconds {
            rows.number("spreading", item, "generation_time_seconds", seconds)?;
        }
        for (measure, value) in [
            ("reproduction_now", row.reproduction_now),
            ("amplification", row.amplification),
            ("doubling_seconds", row.doubling_seconds),
            ("half_life_seconds", row.half_life_seconds),
            ("k_factor", row.k_factor),
            ("broadcast_readers", row.broadcast_readers),
        ] {
            if let Some(value) = value {
                rows.estimate("spreading", item, measure, value)?;
            }
        }
        let broadcast = f64::from(u8::from(row.broadcast));
        rows.number("spreading", item, "broadcast", broadcast)?;
        if let Some(probability) = row.broadcast_probability {
            rows.number("spreading", item, "broadcast_probability", probability)?;
        }
    }
    if let Some(calibration) = &chains.calibration {
        rows.put("chain_calibration", "", "version", &calibration.version)?;
        for (measure, value) in [
            ("scored", calibration.scored),
            ("log_loss", calibration.log_loss),
            ("calibration_error", calibration.calibration_error),
            ("likeliest_right", calibration.likeliest_right),
            ("alarm", f64::from(u8::from(calibration.alarm))),
            ("token_survival", calibration.token_survival),
        ] {
            rows.number("chain_calibration", "", measure, value)?;
        }
    }
    Ok(())
}

struct Rows<'a, W: Write> {
    out: &'a mut W,
}

impl<W: Write> Rows<'_, W> {
    fn put(&mut self, section: &str, item: &str, measure: &str, value: &str) -> io::Result<()> {
        writeln!(
            self.out,
            "{},{},{},{}",
            field(section),
            field(item),
            field(measure),
            field(value)
        )
    }

    fn number(&mut self, section: &str, item: &str, measure: &str, value: f64) -> io::Result<()> {
        self.put(
            section,
            item,
            measure,
            &format!("{}", (value * 1000.0).round() / 1000.0),
        )
    }

    fn estimate(
        &mut self,
        section: &str,
        item: &str,
        measure: &str,
        value: Estimate,
    ) -> io::Result<()> {
        self.number(section, item, measure, value.expected)?;
        self.number(section, item, &format!("{measure}_low"), value.low)?;
        self.number(section, item, &format!("{measure}_high"), value.high)
    }
}

/// A field as RFC 4180 has it; a leading sign that a spreadsheet would take for a formula is
/// disarmed, since URLs come from strangers.
fn field(text: &str) -> String {
    let disarmed = match text.chars().next() {
        Some('=' | '+' | '@' | '\t' | '\r') => format!("'{text}"),
        Some('-') if text.parse::<f64>().is_err() => format!("'{text}"),
        _ => text.to_owned(),
    };
    if disarmed.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", disarmed.replace('"', "\"\""))
    } else {
        disarmed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_survive_commas_quotes_and_formulas() {
        assert_eq!(field("plain"), "plain");
        assert_eq!(field("a,b"), "\"a,b\"");
        assert_eq!(field("say \"hi\""), "\"say \"\"hi\"\"\"");
        assert_eq!(field("=cmd()"), "'=cmd()");
        assert_eq!(field("-0.5"), "-0.5");
        assert_eq!(field("-x"), "'-x");
    }
}
