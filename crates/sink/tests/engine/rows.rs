//! Every record reads back from ClickHouse as it was on the topic.

use std::collections::BTreeMap;

use grapevine_event::{DEAD_LETTER_BYTES_MAX, Id, ParentKind, Record, Visit, topic};
use grapevine_log::{Commit, Durability};
use grapevine_sink::{Depth, audit, migrate, topics};
use serde_json::{Value, json};

use crate::generate::Generator;
use crate::server::{Turn, block_on, drain, quick};

async fn table(turn: &Turn, table: &str) -> BTreeMap<u64, Value> {
    // A dead letter's payload need not be text.
    let columns = match table {
        "dead_letters" => "* REPLACE (hex(payload) AS payload)",
        _ => "*",
    };
    let mut answer = turn
        .client()
        .query(&format!(
            "SELECT {columns} FROM grapevine.{table} ORDER BY offset"
        ))
        .with_setting("output_format_json_quote_64bit_integers", "0")
        .with_setting("output_format_json_named_tuples_as_objects", "1")
        .with_setting("date_time_output_format", "unix_timestamp")
        .fetch_bytes("JSONEachRow")
        .expect("asks");
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.next().await.expect("reads") {
        bytes.extend_from_slice(&chunk);
    }
    let mut rows = BTreeMap::new();
    for line in bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        let row: Value = serde_json::from_slice(line).expect("JSON");
        let offset = row["offset"].as_u64().expect("offset");
        assert!(rows.insert(offset, row).is_none(), "offset {offset} once");
    }
    rows
}

/// A time as `unix_timestamp` writes it.
fn time(millis: i64) -> String {
    format!("{}.{:03}", millis / 1000, millis % 1000)
}

fn id(id: Id) -> String {
    id.to_string()
}

/// What the row of a record must be, without where it came from.
fn expected(record: &Record<'_>) -> Value {
    match record {
        Record::Visit(visit) => json!({
            "visit_id": id(visit.visit_id),
            "site": visit.site,
            "time": time(visit.time),
            "visitor": visit.visitor,
            "visitor_basis": visit.visitor_basis.as_str(),
            "returning": visit.returning,
            "network": visit.network,
            "content": visit.content,
            "title": visit.title,
            "referrer_host": visit.referrer_host,
            "campaign_source": visit.campaign_source,
            "campaign_medium": visit.campaign_medium,
            "campaign_name": visit.campaign_name,
            "device": visit.device.as_str(),
            "system": visit.system,
            "browser": visit.browser,
            "language": visit.language,
            "conventional_channel": visit.conventional_channel.as_str(),
            "channel": visit.channel.as_str(),
            "app": visit.app,
            "method": visit.method.as_str(),
            "dark_probability": visit.dark_probability,
            "dark_probability_low": visit.dark_probability_low,
            "dark_probability_high": visit.dark_probability_high,
            "dark_search_probability": visit.dark_search_probability,
            "evidence": visit.evidence.iter().map(|fact| json!({
                "name": fact.name, "detail": fact.detail, "log_odds": fact.log_odds,
            })).collect::<Vec<_>>(),
            "evidence_search": visit.evidence.iter().map(|fact| fact.search_log_odds).collect::<Vec<_>>(),
            "model_version": visit.model_version,
            "robot": visit.robot,
            "incoming_token": visit.incoming_token,
            "share_token": visit.share_token,
            "cascade_id": visit.cascade_id.map(id),
            "generation": visit.generation,
        }),
        Record::VisitEvent(event) => json!({
            "event_id": id(event.event_id),
            "visit_id": event.visit_id.map(id),
            "site": event.site,
            "time": time(event.time),
            "kind": event.kind.as_str(),
            "content": event.content,
            "name": event.name,
            "value": event.value,
            "props": event.props.iter().map(|property| (property.name.to_owned(), json!(property.value)))
                .collect::<serde_json::Map<_, _>>(),
        }),
        Record::Share(share) => json!({
            "share_id": id(share.share_id),
            "site": share.site,
            "time": time(share.time),
            "content": share.content,
            "kind": share.kind.as_str(),
            "app": share.app,
            "private": share.private,
            "probability": share.probability,
            "address_of": share.address_of.as_str(),
            "network": share.network,
            "visitor": share.visitor,
            "sharer_visit": share.sharer_visit.map(id),
            "token": share.token,
        }),
        Record::Edge(edge) => json!({
            "site": edge.site,
            "content": edge.content,
            "child_visit": id(edge.child_visit),
            "parent_visit": edge.parent_visit.map(id),
            "time": time(edge.time),
            "method": edge.method.as_str(),
            "probability": edge.probability,
            "lag_ms": edge.lag_ms,
            "parent_app": edge.parent_app,
            "child_app": edge.child_app,
            "model_version": edge.model_version,
            "parent_kind": edge.parent_kind.as_str(),
            "sign": edge.sign,
        }),
        Record::Cascade(cascade) => json!({
            "cascade_id": id(cascade.cascade_id),
            "site": cascade.site,
            "content": cascade.content,
            "started": time(cascade.started),
            "updated": time(cascade.updated),
            "method": cascade.method.as_str(),
            "size": cascade.size,
            "depth": cascade.depth,
            "breadth": cascade.breadth,
            "structural_virality": cascade.structural_virality,
            "reproduction_number": cascade.reproduction_number,
        }),
        Record::Spread(spread) => json!({
            "site": spread.site,
            "content": spread.content,
            "started": time(spread.started),
            "updated": time(spread.updated),
            "closed": spread.closed,
            "arrivals": spread.arrivals,
            "settled": spread.settled,
            "certain_shares": spread.certain_shares,
            "certain_outside": spread.certain_outside,
            "tokens": spread.tokens,
            "shares": spread.shares,
            "chain_arrivals": spread.chain_arrivals,
            "chain_arrivals_low": spread.chain_arrivals_low,
            "chain_arrivals_high": spread.chain_arrivals_high,
            "reproduction": spread.reproduction,
            "reproduction_low": spread.reproduction_low,
            "reproduction_high": spread.reproduction_high,
            "structural_virality": spread.structural_virality,
            "structural_virality_low": spread.structural_virality_low,
            "structural_virality_high": spread.structural_virality_high,
            "depth": spread.depth,
            "depth_low": spread.depth_low,
            "depth_high": spread.depth_high,
            "generation": spread.generation,
            "breadth": spread.breadth,
            "generation_time_seconds": spread.generation_time_seconds,
            "generation_time_seconds_low": spread.generation_time_seconds_low,
            "generation_time_seconds_high": spread.generation_time_seconds_high,
            "half_life_seconds": spread.half_life_seconds,
            "half_life_seconds_low": spread.half_life_seconds_low,
            "half_life_seconds_high": spread.half_life_seconds_high,
            "k_factor": spread.k_factor,
            "k_factor_low": spread.k_factor_low,
            "k_factor_high": spread.k_factor_high,
            "reproduction_now": spread.reproduction_now,
            "reproduction_now_low": spread.reproduction_now_low,
            "reproduction_now_high": spread.reproduction_now_high,
            "amplification": spread.amplification,
            "amplification_low": spread.amplification_low,
            "amplification_high": spread.amplification_high,
            "doubling_seconds": spread.doubling_seconds,
            "doubling_seconds_low": spread.doubling_seconds_low,
            "doubling_seconds_high": spread.doubling_seconds_high,
            "broadcast": spread.broadcast,
            "largest_broadcast": spread.largest_broadcast,
            "broadcast_probability": spread.broadcast_probability,
            "broadcast_arrivals": spread.broadcast_arrivals,
            "broadcast_arrivals_low": spread.broadcast_arrivals_low,
            "broadcast_arrivals_high": spread.broadcast_arrivals_high,
            "model_version": spread.model_version,
        }),
        Record::ChainModel(model) => json!({
            "site": model.site,
            "time": time(model.time),
            "version": model.version,
            "learned_from": model.learned_from,
            "lessons": model.lessons,
            "weights": model.weights,
            "scored": model.scored,
            "log_loss": model.log_loss,
            "brier": model.brier,
            "ece": model.ece,
            "top1": model.top1,
            "reliability_count": model.reliability_count,
            "reliability_predicted": model.reliability_predicted,
            "reliability_observed": model.reliability_observed,
            "alarm": model.alarm,
            "token_survival": model.token_survival,
            "copying_app": model.copying_app,
            "copying_app_edges": model.copying_app_edges,
            "copying_network": model.copying_network,
            "copying_network_edges": model.copying_network_edges,
            "copying_device": model.copying_device,
            "copying_device_edges": model.copying_device_edges,
            "arrivals_per_act": model.arrivals_per_act,
            "outside_shift": model.outside_shift,
            "outside_shift_deviation": model.outside_shift_deviation,
            "outside_shift_known": model.outside_shift_known,
            "outside_shift_known_deviation": model.outside_shift_known_deviation,
            "strangers": model.strangers,
            "balance": model.balance,
            "mean_log_odds": model.mean_log_odds,
            "hours_outside": model.hours_outside,
            "hours_shared": model.hours_shared,
        }),
        Record::Surge(surge) => json!({
            "surge_id": id(surge.surge_id),
            "site": surge.site,
            "content": surge.content,
            "state": surge.state.as_str(),
            "started": time(surge.started),
            "updated": time(surge.updated),
            "visits": surge.visits,
            "dark": surge.dark,
            "dark_low": surge.dark_low,
            "dark_high": surge.dark_high,
            "baseline": surge.baseline,
            "baseline_high": surge.baseline_high,
            "rate_per_hour": surge.rate_per_hour,
            "doubling_seconds": surge.doubling_seconds,
            "doubling_seconds_low": surge.doubling_seconds_low,
            "doubling_seconds_high": surge.doubling_seconds_high,
            "apps": surge.apps.iter().map(|share| json!({"app": share.app, "probability": share.probability})).collect::<Vec<_>>(),
            "seeds": surge.seeds.iter().map(|seed| json!({"kind": seed.kind.as_str(), "id": id(seed.id), "time": time(seed.time), "app": seed.app, "probability": seed.probability})).collect::<Vec<_>>(),
            "share_acts": surge.share_acts,
            "signs": surge.signs,
            "signs_usual": surge.signs_usual,
            "networks": surge.networks,
            "chained": surge.chained,
            "reproduction_number": surge.reproduction_number,
            "reproduction_low": surge.reproduction_low,
            "reproduction_high": surge.reproduction_high,
            "false_alarm": surge.false_alarm,
            "new_content": surge.new_content,
            "model_version": surge.model_version,
        }),
        Record::Calibration(calibration) => json!({
            "site": calibration.site,
            "time": time(calibration.time),
            "model_version": calibration.model_version,
            "landings": calibration.landings,
            "tokens": calibration.tokens,
            "known": calibration.known,
            "known_with_token": calibration.known_with_token,
            "token_survival": calibration.token_survival,
            "token_survival_low": calibration.token_survival_low,
            "token_survival_high": calibration.token_survival_high,
            "intercept": calibration.intercept,
            "intercept_low": calibration.intercept_low,
            "intercept_high": calibration.intercept_high,
            "slope": calibration.slope,
            "ece": calibration.ece,
            "ece_low": calibration.ece_low,
            "ece_high": calibration.ece_high,
            "brier": calibration.brier,
            "private_part": calibration.private_part,
            "bin_landings": calibration.bin_landings,
            "bin_tokens": calibration.bin_tokens,
            "bin_predicted": calibration.bin_predicted,
        }),
        Record::DeadLetter(letter) => json!({
            "letter_id": id(letter.letter_id),
            "time": time(letter.time),
            "site": letter.site,
            "stage": letter.stage,
            "reason": letter.reason,
            "detail": letter.detail,
            "source": letter.source,
            "source_partition": letter.partition,
            "source_position": letter.position,
            "payload": letter.payload.iter().map(|byte| format!("{byte:02X}")).collect::<String>(),
            "payload_length": letter.payload_length,
        }),
        Record::Hit(_) | Record::Heartbeat(_) => Value::Null,
    }
}

/// Floats of four bytes are written by both sides in their shortest form, which may differ.
fn same(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Number(found), Value::Number(expected)) => {
            // A whole one is written without a fraction.
            let real = expected.is_f64();
            match (found.as_f64(), expected.as_f64()) {
                (Some(found), Some(expected))
                    if real || found.fract() != 0.0 || expected.fract() != 0.0 =>
                {
                    // The nearest f32 is the same one.
                    found as f32 == expected as f32
                }
                _ => found == expected,
            }
        }
        (Value::Array(found), Value::Array(expected)) => {
            found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| same(a, b))
        }
        (Value::Object(found), Value::Object(expected)) => {
            found.len() == expected.len()
                && expected
                    .iter()
                    .all(|(key, value)| found.get(key).is_some_and(|found| same(found, value)))
        }
        _ => found == expected,
    }
}

#[test]
fn every_record_reads_back_as_it_was() {
    let turn = Turn::take();
    block_on(async {
        migrate(&turn.client()).await.expect("migrates");
        for seed in 0..8 {
            let mut generator = Generator::new(seed);
            let mut commit = Commit::default();
            for topic in topics() {
                for _ in 0..generator.number(60) {
                    // Up to six years: several months a batch.
                    generator.append(
                        topic,
                        &mut commit,
                        1 + 200 * i64::try_from(seed).expect("small"),
                    );
                }
            }
            turn.log
                .commit(&commit, Durability::Durable)
                .expect("commits");
            drain(&turn.log, &turn.client(), quick())
                .await
                .expect("drains");
        }
        let tables = [
            "visits",
            "events",
            "shares",
            "edges",
            "cascade_states",
            "spread_states",
            "chain_models",
            "surge_states",
            "calibrations",
            "dead_letters",
        ];
        for (topic, name) in topics().zip(tables) {
            let mut rows = table(&turn, name).await;
            let records = turn.log.read(topic, 0, usize::MAX).expect("reads");
            assert!(records.len() > 100, "{topic} has records");
            for (offset, bytes) in &records {
                let record = Record::decode(bytes).expect("decodes");
                let Some(mut row) = rows.remove(&offset) else {
                    assert!(
                        [topic::CASCADES, topic::SPREADS, topic::SURGES].contains(&topic),
                        "offset {offset} of {topic} has a row"
                    );
                    continue;
                };
                let fields = row.as_object_mut().expect("object");
                assert_eq!(fields.remove("topic"), Some(json!(topic)));
                assert_eq!(fields.remove("partition"), Some(json!(0)));
                assert_eq!(fields.remove("offset"), Some(json!(offset)));
                let expected = expected(&record);
                assert!(
                    same(&row, &expected),
                    "{topic} {offset}:\n{row}\n{expected}"
                );
            }
            assert!(rows.is_empty(), "{name} has no other rows");
        }
        let audit = audit(&turn.log, &turn.client(), Depth::Groups)
            .await
            .expect("audits");
        assert!(audit.is_clean(), "{:?}", audit.problems);
    });
}

#[test]
fn of_a_cascade_the_newest_record_counts() {
    let turn = Turn::take();
    block_on(async {
        migrate(&turn.client()).await.expect("migrates");
        let mut generator = Generator::new(3);
        for _ in 0..5 {
            let mut commit = Commit::default();
            for _ in 0..150 {
                generator.append(topic::CASCADES, &mut commit, 90);
            }
            turn.log
                .commit(&commit, Durability::Durable)
                .expect("commits");
            drain(&turn.log, &turn.client(), quick())
                .await
                .expect("drains");
        }
        let mut newest = BTreeMap::new();
        let records = turn
            .log
            .read(topic::CASCADES, 0, usize::MAX)
            .expect("reads");
        for (offset, bytes) in &records {
            let Record::Cascade(cascade) = Record::decode(bytes).expect("decodes") else {
                panic!("topic holds cascades");
            };
            newest.insert(id(cascade.cascade_id), (offset, cascade.size));
        }
        let found: Vec<(String, u64, i64)> = turn
            .client()
            .query("SELECT toString(cascade_id), offset, size FROM grapevine.cascades")
            .fetch_all()
            .await
            .expect("asks");
        let found: BTreeMap<String, (u64, i64)> = found
            .into_iter()
            .map(|(id, offset, size)| (id, (offset, size)))
            .collect();
        assert_eq!(found, newest);
    });
}

#[test]
fn of_a_spread_the_newest_record_counts_and_what_is_taken_back_does_not() {
    let turn = Turn::take();
    block_on(async {
        migrate(&turn.client()).await.expect("migrates");
        let mut generator = Generator::new(4);
        let mut commit = Commit::default();
        for _ in 0..400 {
            generator.append(topic::SPREADS, &mut commit, 90);
            generator.append(topic::EDGES, &mut commit, 90);
        }
        turn.log
            .commit(&commit, Durability::Durable)
            .expect("commits");
        drain(&turn.log, &turn.client(), quick())
            .await
            .expect("drains");
        let mut newest = BTreeMap::new();
        let records = turn.log.read(topic::SPREADS, 0, usize::MAX).expect("reads");
        for (offset, bytes) in &records {
            let Record::Spread(spread) = Record::decode(bytes).expect("decodes") else {
                panic!("topic holds spreads");
            };
            let key = (
                spread.site.to_owned(),
                spread.content.to_string(),
                spread.started,
            );
            newest.insert(key, offset);
        }
        let found: Vec<(String, String, i64, u64)> = turn
            .client()
            .query("SELECT site, content, toUnixTimestamp64Milli(started), offset FROM grapevine.spreads")
            .fetch_all()
            .await
            .expect("asks");
        let found: BTreeMap<(String, String, i64), u64> = found
            .into_iter()
            .map(|(site, content, started, offset)| ((site, content, started), offset))
            .collect();
        assert_eq!(found, newest);

        // The sums of the projection are those of the rows with their signs.
        let mut expected = 0.0;
        let mut rows = 0;
        let records = turn.log.read(topic::EDGES, 0, usize::MAX).expect("reads");
        for (_, bytes) in &records {
            let Record::Edge(edge) = Record::decode(bytes).expect("decodes") else {
                panic!("topic holds edges");
            };
            if edge.parent_kind != ParentKind::Outside {
                expected += f64::from(edge.probability) * f64::from(edge.sign);
                rows += i64::from(edge.sign);
            }
        }
        let (sum, edges): (f64, i64) = turn
            .client()
            .query("SELECT sum(expected), sum(edges) FROM grapevine.app_transitions")
            .fetch_one()
            .await
            .expect("asks");
        assert!((sum - expected).abs() < 1e-3, "{sum} {expected}");
        assert_eq!(edges, rows);
    });
}

/// More than a dead letter keeps.
const LARGE: usize = 100_000;

#[test]
fn what_is_no_row_becomes_a_dead_letter_and_stops_nothing() {
    let turn = Turn::take();
    block_on(async {
        migrate(&turn.client()).await.expect("migrates");
        let mut generator = Generator::new(5);
        let mut commit = Commit::default();
        let mut visit = Vec::new();
        generator.visit(1, &mut visit);
        let mut late = Vec::new();
        let Ok(Record::Visit(decoded)) = Record::decode(&visit) else {
            panic!("the generator makes visits");
        };
        let year_2150 = 5_680_281_600_000;
        let decoded = Visit {
            time: year_2150,
            ..decoded
        };
        decoded.encode(&mut late).expect("encodes");
        let mut of_tomorrow = visit.clone();
        of_tomorrow[2] ^= 0xFF;
        for index in 0..500 {
            generator.append(topic::VISITS, &mut commit, 40);
            match index % 100 {
                10 => commit.append(topic::VISITS, b"garbage"),
                20 => commit.append(topic::VISITS, b""),
                30 => commit.append(topic::VISITS, &visit[..visit.len() / 2]),
                50 => commit.append(topic::VISITS, &late),
                60 => commit.append(topic::VISITS, &of_tomorrow),
                70 => commit.append(topic::VISITS, &[7; LARGE]),
                40 => {
                    commit.append_with(topic::VISITS, |out| {
                        let beat = grapevine_event::Heartbeat {
                            event_time: 1,
                            source: "x",
                        };
                        beat.encode(out).expect("fits");
                    });
                }
                _ => {}
            }
        }
        commit.append(topic::DEAD_LETTERS, b"not even a letter");
        turn.log
            .commit(&commit, Durability::Durable)
            .expect("commits");
        drain(&turn.log, &turn.client(), quick())
            .await
            .expect("drains");
        let reasons: Vec<(String, String, u64)> = turn
            .client()
            .query("SELECT source, reason, count() FROM grapevine.dead_letters WHERE stage = 'sink' GROUP BY source, reason ORDER BY source, reason")
            .fetch_all()
            .await
            .expect("asks");
        let reasons: Vec<(&str, &str, u64)> = reasons
            .iter()
            .map(|(source, reason, count)| (source.as_str(), reason.as_str(), *count))
            .collect();
        assert_eq!(
            reasons,
            [
                ("dead-letters", "undecodable", 1),
                ("visits", "time_out_of_range", 5),
                ("visits", "undecodable", 20),
                ("visits", "unknown_schema", 5),
                ("visits", "wrong_record", 5)
            ]
        );
        let cut: Vec<(u64, i64, u64)> = turn
            .client()
            .query(
                "SELECT length(payload), payload_length, count() FROM grapevine.dead_letters \
                 WHERE payload_length > length(payload) GROUP BY ALL",
            )
            .fetch_all()
            .await
            .expect("asks");
        assert_eq!(cut, [(DEAD_LETTER_BYTES_MAX as u64, LARGE as i64, 5)]);
        for (reason, says) in [
            ("time_out_of_range", "the clock that gave it is wrong"),
            ("unknown_schema", "use the newer grapevine"),
            ("wrong_record", "stop whatever writes it there"),
        ] {
            let detail: String = turn
                .client()
                .query("SELECT any(detail) FROM grapevine.dead_letters WHERE reason = ?")
                .bind(reason)
                .fetch_one()
                .await
                .expect("asks");
            assert!(detail.contains(says), "{reason}: {detail}");
        }
        let visits: u64 = turn
            .client()
            .query("SELECT count() FROM grapevine.visits")
            .fetch_one()
            .await
            .expect("asks");
        assert_eq!(visits, 500);
        let audit = audit(&turn.log, &turn.client(), Depth::Groups)
            .await
            .expect("audits");
        assert!(audit.is_clean(), "{:?}", audit.problems);
        let visits = &audit.topics[0];
        assert_eq!(visits.expected, Some(visits.committed - 35));
    });
}
