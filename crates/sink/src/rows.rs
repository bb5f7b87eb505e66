//! From a decoded record to a row of its table, with nothing owned in between.

use grapevine_event::{
    AddressOf, Calibration, Cascade, ChainModel, Channel, CodecError, DeadLetter, Device, Edge,
    EdgeMethod, HitKind, Id, Method, ParentKind, Record, RecordType, Share, ShareKind, Spread,
    Surge, SurgeState, Visit, VisitEvent, VisitorBasis, topic,
};
use thiserror::Error;

use crate::month::Month;
use crate::native::{
    AppList, Column, EvidenceList, EvidenceSearch, Millis, Nullable, Numbers, Plain, Properties,
    SeedList, Symbols, Text, column, varint,
};

/// Version of what this module makes of a record. It is part of every plan: a plan of another
/// version may have skipped other records. Raise it when the same bytes would give other rows.
pub(crate) const ENCODER_VERSION: u32 = 1;

/// Why a record gives no row. A function of its bytes only.
#[derive(Debug, Error)]
pub(crate) enum Unwritable {
    #[error("{0}")]
    Undecodable(#[from] CodecError),
    #[error(
        "topic {topic} is no place for a record of schema {found}: stop whatever writes it there"
    )]
    WrongRecord {
        topic: &'static str,
        found: &'static str,
    },
    #[error(
        "time {0} ms since 1970 is not between the years 1970 and 2099: the clock that gave it is wrong"
    )]
    TimeOutOfRange(i64),
}

impl Unwritable {
    /// The fixed name that dead letters carry.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Unwritable::Undecodable(error) => error.reason(),
            Unwritable::WrongRecord { .. } => "wrong_record",
            Unwritable::TimeOutOfRange(_) => "time_out_of_range",
        }
    }
}

macro_rules! table {
    ($columns:ident: $record:ident { $($column:ident: $kind:ty = |$row:ident| $value:expr,)+ }) => {
        #[derive(Default)]
        struct $columns { $($column: $kind,)+ }

        impl $columns {
            fn push(&mut self, record: &$record<'_>) {
                $(self.$column.push({ let $row = record; $value });)+
            }

            const NAMES: &'static [&'static str] = &[$(stringify!($column)),+];

            fn types() -> Vec<String> {
                vec![$(<$kind as Column>::type_name()),+]
            }

            /// Appends the columns; makes room for them and for `more` bytes at once.
            fn write(&self, block: &mut Vec<u8>, more: usize) {
                let values = 0 $(+ self.$column.bytes())+;
                block.reserve(values + Self::NAMES.len() * HEADER_BYTES + more);
                $(column(block, stringify!($column), &self.$column);)+
            }
        }
    };
}

table! {
    VisitColumns: Visit {
        visit_id: Plain<Id> = |r| r.visit_id,
        site: Text = |r| r.site.as_bytes(),
        time: Plain<Millis> = |r| Millis(r.time),
        visitor: Nullable<Plain<i64>> = |r| r.visitor,
        visitor_basis: Symbols<VisitorBasis> = |r| r.visitor_basis,
        returning: Plain<bool> = |r| r.returning,
        network: Nullable<Plain<i64>> = |r| r.network,
        content: Text = |r| r.content.as_bytes(),
        title: Nullable<Text> = |r| r.title.map(str::as_bytes),
        referrer_host: Nullable<Text> = |r| r.referrer_host.as_deref().map(str::as_bytes),
        campaign_source: Nullable<Text> = |r| r.campaign_source.as_deref().map(str::as_bytes),
        campaign_medium: Nullable<Text> = |r| r.campaign_medium.as_deref().map(str::as_bytes),
        campaign_name: Nullable<Text> = |r| r.campaign_name.as_deref().map(str::as_bytes),
        device: Symbols<Device> = |r| r.device,
        system: Text = |r| r.system.as_bytes(),
        browser: Text = |r| r.browser.as_bytes(),
        language: Nullable<Text> = |r| r.language.as_deref().map(str::as_bytes),
        conventional_channel: Symbols<Channel> = |r| r.conventional_channel,
        channel: Symbols<Channel> = |r| r.channel,
        app: Text = |r| r.app.as_bytes(),
        method: Symbols<Method> = |r| r.method,
        dark_probability: Plain<f32> = |r| r.dark_probability,
        dark_probability_low: Plain<f32> = |r| r.dark_probability_low,
        dark_probability_high: Plain<f32> = |r| r.dark_probability_high,
        dark_search_probability: Plain<f32> = |r| r.dark_search_probability,
        evidence: EvidenceList = |r| &r.evidence,
        evidence_search: EvidenceSearch = |r| &r.evidence,
        model_version: Text = |r| r.model_version.as_bytes(),
        robot: Nullable<Text> = |r| r.robot.as_deref().map(str::as_bytes),
        incoming_token: Nullable<Text> = |r| r.incoming_token.as_deref().map(str::as_bytes),
        share_token: Nullable<Text> = |r| r.share_token.map(str::as_bytes),
        cascade_id: Nullable<Plain<Id>> = |r| r.cascade_id,
        generation: Nullable<Plain<i32>> = |r| r.generation,
    }
}

table! {
    EventColumns: VisitEvent {
        event_id: Plain<Id> = |r| r.event_id,
        visit_id: Nullable<Plain<Id>> = |r| r.visit_id,
        site: Text = |r| r.site.as_bytes(),
        time: Plain<Millis> = |r| Millis(r.time),
        kind: Symbols<HitKind> = |r| r.kind,
        content: Text = |r| r.content.as_bytes(),
        name: Nullable<Text> = |r| r.name.map(str::as_bytes),
        value: Nullable<Plain<f64>> = |r| r.value,
        props: Properties = |r| &r.props,
    }
}

table! {
    ShareColumns: Share {
        share_id: Plain<Id> = |r| r.share_id,
        site: Text = |r| r.site.as_bytes(),
        time: Plain<Millis> = |r| Millis(r.time),
        content: Text = |r| r.content.as_bytes(),
        kind: Symbols<ShareKind> = |r| r.kind,
        app: Text = |r| r.app.as_bytes(),
        private: Nullable<Plain<bool>> = |r| r.private,
        probability: Plain<f32> = |r| r.probability,
        address_of: Symbols<AddressOf> = |r| r.address_of,
        network: Nullable<Plain<i64>> = |r| r.network,
        visitor: Nullable<Plain<i64>> = |r| r.visitor,
        sharer_visit: Nullable<Plain<Id>> = |r| r.sharer_visit,
        token: Nullable<Text> = |r| r.token.as_deref().map(str::as_bytes),
    }
}

table! {
    EdgeColumns: Edge {
        site: Text = |r| r.site.as_bytes(),
        content: Text = |r| r.content.as_bytes(),
        child_visit: Plain<Id> = |r| r.child_visit,
        parent_visit: Nullable<Plain<Id>> = |r| r.parent_visit,
        time: Plain<Millis> = |r| Millis(r.time),
        method: Symbols<EdgeMethod> = |r| r.method,
        probability: Plain<f32> = |r| r.probability,
        lag_ms: Nullable<Plain<i64>> = |r| r.lag_ms,
        parent_app: Text = |r| r.parent_app.as_bytes(),
        child_app: Text = |r| r.child_app.as_bytes(),
        model_version: Text = |r| r.model_version.as_bytes(),
        parent_kind: Symbols<ParentKind> = |r| r.parent_kind,
        sign: Plain<i32> = |r| r.sign,
    }
}

table! {
    CascadeColumns: Cascade {
        cascade_id: Plain<Id> = |r| r.cascade_id,
        site: Text = |r| r.site.as_bytes(),
        content: Text = |r| r.content.as_bytes(),
        started: Plain<Millis> = |r| Millis(r.started),
        updated: Plain<Millis> = |r| Millis(r.updated),
        method: Symbols<EdgeMethod> = |r| r.method,
        size: Plain<i64> = |r| r.size,
        depth: Plain<i32> = |r| r.depth,
        breadth: Numbers<i64> = |r| &r.breadth,
        structural_virality: Nullable<Plain<f64>> = |r| r.structural_virality,
        reproduction_number: Nullable<Plain<f64>> = |r| r.reproduction_number,
    }
}

table! {
    SpreadColumns: Spread {
        site: Text = |r| r.site.as_bytes(),
        content: Text = |r| r.content.as_bytes(),
        started: Plain<Millis> = |r| Millis(r.started),
        updated: Plain<Millis> = |r| Millis(r.updated),
        closed: Plain<bool> = |r| r.closed,
        arrivals: Plain<i64> = |r| r.arrivals,
        settled: Plain<i64> = |r| r.settled,
        certain_shares: Plain<i64> = |r| r.certain_shares,
        certain_outside: Plain<i64> = |r| r.certain_outside,
        tokens: Plain<i64> = |r| r.tokens,
        shares: Plain<i64> = |r| r.shares,
        chain_arrivals: Plain<f64> = |r| r.chain_arrivals,
        chain_arrivals_low: Plain<f64> = |r| r.chain_arrivals_low,
        chain_arrivals_high: Plain<f64> = |r| r.chain_arrivals_high,
        reproduction: Plain<f64> = |r| r.reproduction,
        reproduction_low: Plain<f64> = |r| r.reproduction_low,
        reproduction_high: Plain<f64> = |r| r.reproduction_high,
        structural_virality: Nullable<Plain<f64>> = |r| r.structural_virality,
        structural_virality_low: Nullable<Plain<f64>> = |r| r.structural_virality_low,
        structural_virality_high: Nullable<Plain<f64>> = |r| r.structural_virality_high,
        depth: Plain<f64> = |r| r.depth,
        depth_low: Plain<f64> = |r| r.depth_low,
        depth_high: Plain<f64> = |r| r.depth_high,
        generation: Plain<f64> = |r| r.generation,
        breadth: Numbers<f64> = |r| &r.breadth,
        generation_time_seconds: Nullable<Plain<f64>> = |r| r.generation_time_seconds,
        generation_time_seconds_low: Nullable<Plain<f64>> = |r| r.generation_time_seconds_low,
        generation_time_seconds_high: Nullable<Plain<f64>> = |r| r.generation_time_seconds_high,
        half_life_seconds: Nullable<Plain<f64>> = |r| r.half_life_seconds,
        half_life_seconds_low: Nullable<Plain<f64>> = |r| r.half_life_seconds_low,
        half_life_seconds_high: Nullable<Plain<f64>> = |r| r.half_life_seconds_high,
        k_factor: Nullable<Plain<f64>> = |r| r.k_factor,
        k_factor_low: Nullable<Plain<f64>> = |r| r.k_factor_low,
        k_factor_high: Nullable<Plain<f64>> = |r| r.k_factor_high,
        reproduction_now: Nullable<Plain<f64>> = |r| r.reproduction_now,
        reproduction_now_low: Nullable<Plain<f64>> = |r| r.reproduction_now_low,
        reproduction_now_high: Nullable<Plain<f64>> = |r| r.reproduction_now_high,
        amplification: Nullable<Plain<f64>> = |r| r.amplification,
        amplification_low: Nullable<Plain<f64>> = |r| r.amplification_low,
        amplification_high: Nullable<Plain<f64>> = |r| r.amplification_high,
        doubling_seconds: Nullable<Plain<f64>> = |r| r.doubling_seconds,
        doubling_seconds_low: Nullable<Plain<f64>> = |r| r.doubling_seconds_low,
        doubling_seconds_high: Nullable<Plain<f64>> = |r| r.doubling_seconds_high,
        broadcast: Plain<bool> = |r| r.broadcast,
        largest_broadcast: Plain<i64> = |r| r.largest_broadcast,
        broadcast_probability: Nullable<Plain<f64>> = |r| r.broadcast_probability,
        broadcast_arrivals: Nullable<Plain<f64>> = |r| r.broadcast_arrivals,
        broadcast_arrivals_low: Nullable<Plain<f64>> = |r| r.broadcast_arrivals_low,
        broadcast_arrivals_high: Nullable<Plain<f64>> = |r| r.broadcast_arrivals_high,
        model_version: Text = |r| r.model_version.as_bytes(),
    }
}

table! {
    ModelColumns: ChainModel {
        site: Text = |r| r.site.as_bytes(),
        time: Plain<Millis> = |r| Millis(r.time),
        version: Text = |r| r.version.as_bytes(),
        learned_from: Text = |r| r.learned_from.as_bytes(),
        lessons: Plain<i64> = |r| r.lessons,
        weights: Text = |r| r.weights.as_bytes(),
        scored: Plain<i64> = |r| r.scored,
        log_loss: Nullable<Plain<f64>> = |r| r.log_loss,
        brier: Nullable<Plain<f64>> = |r| r.brier,
        ece: Nullable<Plain<f64>> = |r| r.ece,
        top1: Nullable<Plain<f64>> = |r| r.top1,
        reliability_count: Numbers<i64> = |r| &r.reliability_count,
        reliability_predicted: Numbers<f64> = |r| &r.reliability_predicted,
        reliability_observed: Numbers<f64> = |r| &r.reliability_observed,
        alarm: Plain<bool> = |r| r.alarm,
        token_survival: Plain<f64> = |r| r.token_survival,
        copying_app: Nullable<Plain<f64>> = |r| r.copying_app,
        copying_app_edges: Nullable<Plain<i64>> = |r| r.copying_app_edges,
        copying_network: Nullable<Plain<f64>> = |r| r.copying_network,
        copying_network_edges: Nullable<Plain<i64>> = |r| r.copying_network_edges,
        copying_device: Nullable<Plain<f64>> = |r| r.copying_device,
        copying_device_edges: Nullable<Plain<i64>> = |r| r.copying_device_edges,
        arrivals_per_act: Nullable<Plain<f64>> = |r| r.arrivals_per_act,
        outside_shift: Nullable<Plain<f64>> = |r| r.outside_shift,
        outside_shift_deviation: Nullable<Plain<f64>> = |r| r.outside_shift_deviation,
        outside_shift_known: Nullable<Plain<f64>> = |r| r.outside_shift_known,
        outside_shift_known_deviation: Nullable<Plain<f64>> = |r| r.outside_shift_known_deviation,
        strangers: Nullable<Plain<f64>> = |r| r.strangers,
        balance: Nullable<Plain<f64>> = |r| r.balance,
        mean_log_odds: Nullable<Plain<f64>> = |r| r.mean_log_odds,
        hours_outside: Numbers<i64> = |r| &r.hours_outside,
        hours_shared: Numbers<i64> = |r| &r.hours_shared,
    }
}

table! {
    SurgeColumns: Surge {
        surge_id: Plain<Id> = |r| r.surge_id,
        site: Text = |r| r.site.as_bytes(),
        content: Text = |r| r.content.as_bytes(),
        state: Symbols<SurgeState> = |r| r.state,
        started: Plain<Millis> = |r| Millis(r.started),
        updated: Plain<Millis> = |r| Millis(r.updated),
        visits: Plain<i64> = |r| r.visits,
        dark: Plain<f64> = |r| r.dark,
        dark_low: Plain<f64> = |r| r.dark_low,
        dark_high: Plain<f64> = |r| r.dark_high,
        baseline: Plain<f64> = |r| r.baseline,
        baseline_high: Plain<f64> = |r| r.baseline_high,
        rate_per_hour: Plain<f64> = |r| r.rate_per_hour,
        doubling_seconds: Nullable<Plain<f64>> = |r| r.doubling_seconds,
        doubling_seconds_low: Nullable<Plain<f64>> = |r| r.doubling_seconds_low,
        doubling_seconds_high: Nullable<Plain<f64>> = |r| r.doubling_seconds_high,
        apps: AppList = |r| &r.apps,
        seeds: SeedList = |r| &r.seeds,
        share_acts: Plain<f64> = |r| r.share_acts,
        signs: Plain<f64> = |r| r.signs,
        signs_usual: Plain<f64> = |r| r.signs_usual,
        networks: Plain<i64> = |r| r.networks,
        chained: Plain<i64> = |r| r.chained,
        reproduction_number: Nullable<Plain<f64>> = |r| r.reproduction_number,
        reproduction_low: Nullable<Plain<f64>> = |r| r.reproduction_low,
        reproduction_high: Nullable<Plain<f64>> = |r| r.reproduction_high,
        false_alarm: Plain<f64> = |r| r.false_alarm,
        new_content: Plain<bool> = |r| r.new_content,
        model_version: Text = |r| r.model_version.as_bytes(),
    }
}

table! {
    CalibrationColumns: Calibration {
        site: Text = |r| r.site.as_bytes(),
        time: Plain<Millis> = |r| Millis(r.time),
        model_version: Text = |r| r.model_version.as_bytes(),
        landings: Plain<i64> = |r| r.landings,
        tokens: Plain<i64> = |r| r.tokens,
        known: Plain<i64> = |r| r.known,
        known_with_token: Plain<i64> = |r| r.known_with_token,
        token_survival: Nullable<Plain<f64>> = |r| r.token_survival,
        token_survival_low: Nullable<Plain<f64>> = |r| r.token_survival_low,
        token_survival_high: Nullable<Plain<f64>> = |r| r.token_survival_high,
        intercept: Nullable<Plain<f64>> = |r| r.intercept,
        intercept_low: Nullable<Plain<f64>> = |r| r.intercept_low,
        intercept_high: Nullable<Plain<f64>> = |r| r.intercept_high,
        slope: Nullable<Plain<f64>> = |r| r.slope,
        ece: Nullable<Plain<f64>> = |r| r.ece,
        ece_low: Nullable<Plain<f64>> = |r| r.ece_low,
        ece_high: Nullable<Plain<f64>> = |r| r.ece_high,
        brier: Nullable<Plain<f64>> = |r| r.brier,
        private_part: Plain<f64> = |r| r.private_part,
        bin_landings: Numbers<i64> = |r| &r.bin_landings,
        bin_tokens: Numbers<i64> = |r| &r.bin_tokens,
        bin_predicted: Numbers<f64> = |r| &r.bin_predicted,
    }
}

table! {
    DeadLetterColumns: DeadLetter {
        letter_id: Plain<Id> = |r| r.letter_id,
        time: Plain<Millis> = |r| Millis(r.time),
        site: Text = |r| r.site.as_bytes(),
        stage: Text = |r| r.stage.as_bytes(),
        reason: Text = |r| r.reason.as_bytes(),
        detail: Text = |r| r.detail.as_bytes(),
        source: Text = |r| r.source.as_bytes(),
        source_partition: Nullable<Plain<i32>> = |r| r.partition,
        source_position: Plain<i64> = |r| r.position,
        payload: Text = |r| r.payload,
        payload_length: Plain<i64> = |r| r.payload_length,
    }
}

/// One of the sink's tables: the topic that feeds it and how its rows are identified.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) topic: &'static str,
    pub(crate) name: &'static str,
    /// Column that the table is partitioned by month of.
    pub(crate) time: &'static str,
    record: RecordType,
    /// True where writing a row again changes nothing (ReplacingMergeTree).
    pub(crate) idempotent: bool,
    /// True where rows tell what stages found over hours: nobody waits for the single one.
    pub(crate) findings: bool,
}

/// The tables, in the order of the data flow.
pub(crate) const TABLES: [Table; 10] = [
    Table::of(topic::VISITS, "visits", RecordType::Visit),
    Table::of(topic::EVENTS, "events", RecordType::VisitEvent),
    Table::of(topic::SHARES, "shares", RecordType::Share),
    Table::findings(topic::EDGES, "edges", RecordType::Edge),
    Table {
        time: "started",
        idempotent: true,
        ..Table::findings(topic::CASCADES, "cascade_states", RecordType::Cascade)
    },
    Table {
        time: "started",
        idempotent: true,
        ..Table::findings(topic::SPREADS, "spread_states", RecordType::Spread)
    },
    Table::findings(topic::MODELS, "chain_models", RecordType::ChainModel),
    Table {
        time: "started",
        idempotent: true,
        ..Table::of(topic::SURGES, "surge_states", RecordType::Surge)
    },
    Table::findings(topic::CALIBRATIONS, "calibrations", RecordType::Calibration),
    Table::of(topic::DEAD_LETTERS, "dead_letters", RecordType::DeadLetter),
];

impl Table {
    const fn of(topic: &'static str, name: &'static str, record: RecordType) -> Table {
        Table {
            topic,
            name,
            time: "time",
            record,
            idempotent: false,
            findings: false,
        }
    }

    const fn findings(topic: &'static str, name: &'static str, record: RecordType) -> Table {
        Table {
            findings: true,
            ..Table::of(topic, name, record)
        }
    }

    /// Columns that a block of this table carries.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &'static str> {
        let own = match self.record {
            RecordType::Visit => VisitColumns::NAMES,
            RecordType::VisitEvent => EventColumns::NAMES,
            RecordType::Share => ShareColumns::NAMES,
            RecordType::Edge => EdgeColumns::NAMES,
            RecordType::Cascade => CascadeColumns::NAMES,
            RecordType::Spread => SpreadColumns::NAMES,
            RecordType::ChainModel => ModelColumns::NAMES,
            RecordType::Surge => SurgeColumns::NAMES,
            RecordType::Calibration => CalibrationColumns::NAMES,
            RecordType::DeadLetter => DeadLetterColumns::NAMES,
            RecordType::Hit | RecordType::Heartbeat => &[],
        };
        own.iter().copied().chain(SOURCE_COLUMNS)
    }

    /// The types of [`Table::columns`], as a block declares them.
    pub(crate) fn types(&self) -> Vec<String> {
        let mut types = match self.record {
            RecordType::Visit => VisitColumns::types(),
            RecordType::VisitEvent => EventColumns::types(),
            RecordType::Share => ShareColumns::types(),
            RecordType::Edge => EdgeColumns::types(),
            RecordType::Cascade => CascadeColumns::types(),
            RecordType::Spread => SpreadColumns::types(),
            RecordType::ChainModel => ModelColumns::types(),
            RecordType::Surge => SurgeColumns::types(),
            RecordType::Calibration => CalibrationColumns::types(),
            RecordType::DeadLetter => DeadLetterColumns::types(),
            RecordType::Hit | RecordType::Heartbeat => Vec::new(),
        };
        types.extend([
            Text::type_name(),
            Plain::<i32>::type_name(),
            Plain::<u64>::type_name(),
        ]);
        types
    }

    /// Decodes a record of this table's topic and says which month its row belongs to.
    pub(crate) fn decode<'a>(&self, bytes: &'a [u8]) -> Result<Row<'a>, Unwritable> {
        let record = Record::decode(bytes)?;
        let found = Record::kind_of(bytes)?;
        let time = match &record {
            Record::Visit(visit) => visit.time,
            Record::VisitEvent(event) => event.time,
            Record::Share(share) => share.time,
            Record::Edge(edge) => edge.time,
            Record::Cascade(cascade) => cascade.started,
            Record::Spread(spread) => spread.started,
            Record::ChainModel(model) => model.time,
            Record::Surge(surge) => surge.started,
            Record::Calibration(calibration) => calibration.time,
            Record::DeadLetter(letter) => letter.time,
            Record::Hit(_) | Record::Heartbeat(_) => 0,
        };
        if found != self.record {
            return Err(Unwritable::WrongRecord {
                topic: self.topic,
                found: found.text().name,
            });
        }
        let month = Month::of_millis(time).ok_or(Unwritable::TimeOutOfRange(time))?;
        let updated = match &record {
            Record::Cascade(cascade) => cascade.updated,
            Record::Spread(spread) => spread.updated,
            Record::Surge(surge) => surge.updated,
            _ => time,
        };
        if Month::of_millis(updated).is_none() {
            return Err(Unwritable::TimeOutOfRange(updated));
        }
        Ok(Row {
            record,
            month,
            time,
        })
    }
}

/// A decoded record that can be written.
pub(crate) struct Row<'a> {
    record: Record<'a>,
    pub(crate) month: Month,
    /// Event time, milliseconds since 1970.
    pub(crate) time: i64,
}

/// About what a column's name and type take.
const HEADER_BYTES: usize = 128;
const SOURCE_COLUMNS: [&str; 3] = ["topic", "partition", "offset"];

enum Own {
    Visit(Box<VisitColumns>),
    Event(Box<EventColumns>),
    Share(Box<ShareColumns>),
    Edge(Box<EdgeColumns>),
    Cascade(Box<CascadeColumns>),
    Spread(Box<SpreadColumns>),
    Model(Box<ModelColumns>),
    Surge(Box<SurgeColumns>),
    Calibration(Box<CalibrationColumns>),
    DeadLetter(Box<DeadLetterColumns>),
}

/// Rows of one table and one month, growing.
pub(crate) struct Rows {
    own: Own,
    topic: Text,
    partition: Plain<i32>,
    offset: Plain<u64>,
    count: usize,
}

impl Rows {
    /// Starts with a row, which says what the columns are.
    pub(crate) fn starting_with(row: &Row<'_>) -> Option<Rows> {
        let own = match &row.record {
            Record::Visit(_) => Own::Visit(Box::default()),
            Record::VisitEvent(_) => Own::Event(Box::default()),
            Record::Share(_) => Own::Share(Box::default()),
            Record::Edge(_) => Own::Edge(Box::default()),
            Record::Cascade(_) => Own::Cascade(Box::default()),
            Record::Spread(_) => Own::Spread(Box::default()),
            Record::ChainModel(_) => Own::Model(Box::default()),
            Record::Surge(_) => Own::Surge(Box::default()),
            Record::Calibration(_) => Own::Calibration(Box::default()),
            Record::DeadLetter(_) => Own::DeadLetter(Box::default()),
            Record::Hit(_) | Record::Heartbeat(_) => return None,
        };
        Some(Rows {
            own,
            topic: Text::default(),
            partition: Plain::default(),
            offset: Plain::default(),
            count: 0,
        })
    }

    /// How many rows.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Appends a row of the same table.
    pub(crate) fn push(&mut self, row: &Row<'_>, topic: &str, partition: i32, offset: u64) {
        match (&mut self.own, &row.record) {
            (Own::Visit(columns), Record::Visit(record)) => columns.push(record),
            (Own::Event(columns), Record::VisitEvent(record)) => columns.push(record),
            (Own::Share(columns), Record::Share(record)) => columns.push(record),
            (Own::Edge(columns), Record::Edge(record)) => columns.push(record),
            (Own::Cascade(columns), Record::Cascade(record)) => columns.push(record),
            (Own::Spread(columns), Record::Spread(record)) => columns.push(record),
            (Own::Model(columns), Record::ChainModel(record)) => columns.push(record),
            (Own::Surge(columns), Record::Surge(record)) => columns.push(record),
            (Own::Calibration(columns), Record::Calibration(record)) => columns.push(record),
            (Own::DeadLetter(columns), Record::DeadLetter(record)) => columns.push(record),
            // `Table::decode` lets one kind of record through.
            _ => return,
        }
        self.topic.push(topic.as_bytes());
        self.partition.push(partition);
        self.offset.push(offset);
        self.count += 1;
    }

    /// The rows as one `Native` block.
    pub(crate) fn freeze(&self, columns: usize) -> Vec<u8> {
        let mut block = Vec::new();
        varint(&mut block, columns as u64);
        varint(&mut block, self.count as u64);
        let source = self.topic.bytes() + self.partition.bytes() + self.offset.bytes();
        let more = source + SOURCE_COLUMNS.len() * HEADER_BYTES;
        match &self.own {
            Own::Visit(columns) => columns.write(&mut block, more),
            Own::Event(columns) => columns.write(&mut block, more),
            Own::Share(columns) => columns.write(&mut block, more),
            Own::Edge(columns) => columns.write(&mut block, more),
            Own::Cascade(columns) => columns.write(&mut block, more),
            Own::Spread(columns) => columns.write(&mut block, more),
            Own::Model(columns) => columns.write(&mut block, more),
            Own::Surge(columns) => columns.write(&mut block, more),
            Own::Calibration(columns) => columns.write(&mut block, more),
            Own::DeadLetter(columns) => columns.write(&mut block, more),
        }
        let [topic, partition, offset] = SOURCE_COLUMNS;
        column(&mut block, topic, &self.topic);
        column(&mut block, partition, &self.partition);
        column(&mut block, offset, &self.offset);
        block
    }
}
