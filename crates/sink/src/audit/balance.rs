//! Do aggregates agree with the rows that they sum up?

use clickhouse::Client;

use crate::DATABASE;
use crate::audit::{Depth, Problem};
use crate::error::SinkError;

/// Every projection that does not agree with its rows.
pub(super) async fn problems(client: &Client, depth: Depth) -> Result<Vec<Problem>, SinkError> {
    let mut problems = Vec::new();
    for balance in BALANCES {
        let groups = unbalanced(client, balance, depth).await?;
        if groups > 0 {
            problems.push(Problem::Unbalanced {
                table: balance.table,
                projection: balance.projection,
                groups,
            });
        }
    }
    Ok(problems)
}

/// Sums that a projection keeps, and the groups that it keeps them by.
struct Balance {
    table: &'static str,
    projection: &'static str,
    keys: &'static str,
    /// Aggregates, all of them numbers.
    sums: &'static [&'static str],
}

const VISIT_SUMS: &[&str] = &[
    "count()",
    "uniq(visitor)",
    "countIf(visitor_basis = 'none')",
    "sum(dark_probability)",
    "sum(dark_probability_low)",
    "sum(dark_probability_high)",
    "sum(dark_probability * (1 - dark_probability))",
    "sum(dark_search_probability)",
];
const PRESENCE_SUMS: &[&str] = &["count()", "min(offset)", "max(offset)"];
const PRESENCE_KEYS: &str = "topic, partition, toYYYYMM(time)";

const fn presence(table: &'static str) -> Balance {
    Balance {
        table,
        projection: "presence",
        keys: PRESENCE_KEYS,
        sums: PRESENCE_SUMS,
    }
}

const BALANCES: &[Balance] = &[
    Balance {
        table: "visits",
        projection: "by_hour",
        keys: "site, toStartOfHour(time), conventional_channel, channel, app, method",
        sums: VISIT_SUMS,
    },
    Balance {
        table: "visits",
        projection: "by_content",
        keys: "site, content, toDate(time), conventional_channel, channel",
        sums: VISIT_SUMS,
    },
    Balance {
        table: "events",
        projection: "by_hour",
        keys: "site, toStartOfHour(time), kind, name",
        sums: &["count()", "sum(value)", "uniq(visit_id)"],
    },
    Balance {
        table: "shares",
        projection: "by_hour",
        keys: "site, toStartOfHour(time), kind, app, private",
        sums: &["count()", "sum(probability)"],
    },
    Balance {
        table: "edges",
        projection: "by_transition",
        keys: "site, toDate(time), method, parent_kind, parent_app, child_app",
        sums: &[
            "sum(sign)",
            "sumIf(sign, ifNull(parent_visit, toUUID('00000000-0000-0000-0000-000000000000')) = toUUID('00000000-0000-0000-0000-000000000000'))",
            "sum(probability * sign)",
        ],
    },
    presence("visits"),
    presence("events"),
    presence("shares"),
    presence("edges"),
    presence("chain_models"),
    presence("calibrations"),
    presence("dead_letters"),
];

/// Sums of whole numbers, which are compared exactly.
const WHOLE: [&str; 5] = ["count", "min(", "max(", "sum(sign)", "sumIf(sign"];

/// Groups whose sums differ between projection and rows. Sums of floats are compared to a part in
/// a million: their last digits depend on the order of addition.
async fn unbalanced(client: &Client, balance: &Balance, depth: Depth) -> Result<u64, SinkError> {
    // Distinct counts are the costly ones, and no kill leaves them apart from the plain ones.
    let (keys_max, distinct) = match depth {
        Depth::Totals => (1, false),
        Depth::Groups => (usize::MAX, true),
    };
    let named_keys: Vec<String> = balance
        .keys
        .split(", ")
        .take(keys_max)
        .enumerate()
        .map(|(index, expression)| format!("{expression} AS k{index}"))
        .collect();
    let keys: Vec<String> = (0..named_keys.len())
        .map(|index| format!("k{index}"))
        .collect();
    let compared: Vec<&str> = (balance.sums.iter().copied())
        .filter(|sum| distinct || !sum.starts_with("uniq"))
        .collect();
    let sums: Vec<String> = (compared.iter().enumerate())
        .map(|(index, sum)| format!("toFloat64(ifNull({sum}, 0)) AS s{index}"))
        .collect();
    // A setting inside a query does not keep the planner from projections; a condition on a column
    // that they do not group by does. The side without it is to come from this projection and no other:
    // two that are grouped by the same first key would both be answered from the smaller one.
    let side = |from_rows: u8| {
        format!(
            "SELECT {from_rows} AS from_rows, {}, {} FROM {DATABASE}.{} {} GROUP BY {}",
            named_keys.join(", "),
            sums.join(", "),
            balance.table,
            if from_rows == 1 {
                "WHERE NOT ignore(offset)"
            } else {
                ""
            },
            keys.join(", "),
        )
    };
    let differs: Vec<String> = (compared.iter().enumerate())
        .map(|(index, sum)| {
            let whole = WHOLE.iter().any(|start| sum.starts_with(start));
            let allowed = if whole { 0.0 } else { 1e-6 };
            format!("abs(sumIf(s{index}, from_rows = 1) - sumIf(s{index}, from_rows = 0)) > {allowed} * (1 + abs(max(s{index})))")
        })
        .collect();
    let sql = format!(
        "SELECT count() FROM (SELECT 1 FROM (SELECT * FROM ({}) UNION ALL SELECT * FROM ({})) \
         GROUP BY {} HAVING count() != 2 OR {})",
        side(0),
        side(1),
        keys.join(", "),
        differs.join(" OR "),
    );
    let mut query = client
        .query(&sql)
        .with_setting("preferred_optimize_projection_name", balance.projection);
    if is_kept(client, balance).await? {
        query = query.with_setting("force_optimize_projection_name", balance.projection);
    }
    let groups = query.fetch_one::<u64>().await;
    groups.map_err(SinkError::ClickHouse)
}

/// True where some part has the projection. A table without rows has none, and one that was made
/// without it is read from its rows by everybody: then there is nothing that could disagree, and the engine
/// would refuse to be held to it.
async fn is_kept(client: &Client, balance: &Balance) -> Result<bool, SinkError> {
    let parts = client
        .query(
            "SELECT count() FROM system.projection_parts \
             WHERE database = ? AND table = ? AND name = ? AND active",
        )
        .bind(DATABASE)
        .bind(balance.table)
        .bind(balance.projection)
        .fetch_one::<u64>()
        .await;
    Ok(parts.map_err(SinkError::ClickHouse)? > 0)
}
