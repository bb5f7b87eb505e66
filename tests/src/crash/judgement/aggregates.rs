//! Aggregates: each as its view gives it, from a projection, against the same computed anew from
//! the rows.

use super::Complaints;
use crate::clickhouse::Asked;

/// What a view says, and the same from the rows.
struct Pair {
    name: &'static str,
    view: &'static str,
    rows: &'static str,
}

// A condition on a column that no projection groups by keeps the planner to the rows.
const PAIRS: [Pair; 7] = [
    Pair {
        name: "visits_by_hour",
        view: "SELECT site, hour, conventional_channel, channel, app, method, visits, visitors, \
               visits_opted_out, dark, dark_low, dark_high, dark_variance, dark_search \
               FROM grapevine.visits_by_hour",
        rows: "SELECT site, toStartOfHour(time), conventional_channel, channel, app, method, count(), \
               uniq(visitor), countIf(visitor_basis = 'none'), sum(dark_probability), \
               sum(dark_probability_low), sum(dark_probability_high), \
               sum(dark_probability * (1 - dark_probability)), sum(dark_search_probability) \
               FROM grapevine.visits WHERE channel != 'bot' AND NOT ignore(offset) \
               GROUP BY site, toStartOfHour(time), conventional_channel, channel, app, method",
    },
    Pair {
        name: "visits_by_content",
        view: "SELECT site, content, day, conventional_channel, channel, visits, visitors, \
               visits_opted_out, dark, dark_low, dark_high, dark_variance, dark_search \
               FROM grapevine.visits_by_content",
        rows: "SELECT site, content, toDate(time), conventional_channel, channel, count(), uniq(visitor), \
               countIf(visitor_basis = 'none'), sum(dark_probability), sum(dark_probability_low), \
               sum(dark_probability_high), sum(dark_probability * (1 - dark_probability)), \
               sum(dark_search_probability) \
               FROM grapevine.visits WHERE channel != 'bot' AND NOT ignore(offset) \
               GROUP BY site, content, toDate(time), conventional_channel, channel",
    },
    Pair {
        name: "events_by_hour",
        view: "SELECT site, hour, kind, ifNull(name, ''), events, ifNull(value, 0), visits \
               FROM grapevine.events_by_hour",
        rows: "SELECT site, toStartOfHour(time), kind, ifNull(name, ''), count(), \
               ifNull(sum(value), 0), uniq(visit_id) \
               FROM grapevine.events WHERE NOT ignore(offset) GROUP BY site, toStartOfHour(time), kind, name",
    },
    Pair {
        name: "shares_by_hour",
        view: "SELECT site, hour, kind, app, private, observed, shares FROM grapevine.shares_by_hour",
        rows: "SELECT site, toStartOfHour(time), kind, app, private, count(), sum(probability) \
               FROM grapevine.shares WHERE NOT ignore(offset) \
               GROUP BY site, toStartOfHour(time), kind, app, private",
    },
    Pair {
        name: "app_transitions",
        view: "SELECT site, day, method, parent_kind, parent_app, child_app, edges, \
               edges_of_unknown_parent, expected FROM grapevine.app_transitions",
        rows: "SELECT site, toDate(time), method, parent_kind, parent_app, child_app, sum(sign), \
               sumIf(sign, isNull(parent_visit)), sum(probability * sign) \
               FROM grapevine.edges WHERE parent_kind != 'outside' AND NOT ignore(offset) \
               GROUP BY site, toDate(time), method, parent_kind, parent_app, child_app",
    },
    Pair {
        name: "presence of visits",
        view: "SELECT partition, count(), min(offset), max(offset) FROM grapevine.visits GROUP BY topic, partition",
        rows: "SELECT partition, count(), min(offset), max(offset) FROM grapevine.visits \
               WHERE NOT ignore(time, offset) GROUP BY topic, partition",
    },
    Pair {
        name: "presence of edges",
        view: "SELECT partition, count(), min(offset), max(offset) FROM grapevine.edges GROUP BY topic, partition",
        rows: "SELECT partition, count(), min(offset), max(offset) FROM grapevine.edges \
               WHERE NOT ignore(time, offset) GROUP BY topic, partition",
    },
];

pub(super) fn judge(asked: &Asked, complaints: &mut Complaints) -> Result<(), String> {
    for pair in &PAIRS {
        // A view that is not answered from its projection would prove nothing.
        let view = format!("SELECT * FROM ({}) ORDER BY ALL", pair.view);
        let view = asked.rows_with(&view, "&force_optimize_projection=1")?;
        let rows = asked.rows(&format!("SELECT * FROM ({}) ORDER BY ALL", pair.rows))?;
        if view.is_empty() {
            let name = pair.name;
            complaints
                .0
                .push(format!("{name} is empty: the load gave nothing to judge"));
        }
        if view.len() != rows.len() {
            let lengths = (view.len(), rows.len());
            complaints.of(&format!("groups of {}", pair.name), &[lengths]);
        }
        let differ: Vec<_> = view
            .iter()
            .zip(&rows)
            .filter(|(view, rows)| !agree(view, rows))
            .collect();
        complaints.of(&format!("groups of {} that differ", pair.name), &differ);
    }
    Ok(())
}

/// Equal, sums of floats to a part in a hundred thousand: their last digits depend on the order of
/// addition.
fn agree(one: &[String], other: &[String]) -> bool {
    let near = |one: &String, other: &String| match (one.parse::<f64>(), other.parse::<f64>()) {
        (Ok(one), Ok(other)) => (one - other).abs() <= 1e-5 * (1.0 + one.abs()),
        _ => one == other,
    };
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| near(one, other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_visit_too_many_is_seen() {
        let line = |text: &str| -> Vec<String> { text.split(' ').map(str::to_owned).collect() };
        assert!(agree(&line("a 12 0.3000001"), &line("a 12 0.3")));
        assert!(!agree(&line("a 12 0.3"), &line("a 13 0.3")));
        assert!(!agree(&line("a 12"), &line("b 12")));
        assert!(!agree(&line("a 12"), &line("a 12 0")));
    }
}
