//! Histories through [`Chains`], and what is found in them.

mod learning;
mod properties;
mod stories;

use std::collections::BTreeMap;

use super::*;
use crate::chains::{Arrival, Cause, Chains, Gift, Judgement, Place, own_token};
use crate::{from_bytes, to_bytes};
use grapevine_event::{AddressOf, Edge, EdgeMethod, Id, ParentKind, Share, ShareKind};

const SITE: &str = "example.org";
const T0: i64 = 1_760_000_000_000;
const HOUR: i64 = 3_600_000;
const CONTENTS: [&str; 2] = ["https://example.org/a", "https://example.org/b"];
const APPS: [&str; 3] = ["", "whatsapp", "telegram"];

/// What was found, owned.
#[derive(Debug, Default, PartialEq)]
struct Found {
    edges: Vec<Edge<'static>>,
    spreads: Vec<grapevine_event::Spread<'static>>,
    models: Vec<grapevine_event::ChainModel<'static>>,
    /// What surges are told: time, identity, R of the content in a rise.
    told: Vec<(i64, Id, Option<f64>)>,
}

impl Found {
    fn take(&mut self, finding: Finding<'_>) {
        let own = |text: &str| text.to_owned().into();
        match finding {
            Finding::Edge(edge) => self.edges.push(Edge {
                site: SITE,
                content: own(&edge.content),
                parent_app: own(&edge.parent_app),
                child_app: own(&edge.child_app),
                model_version: own(&edge.model_version),
                ..edge
            }),
            Finding::Spread(spread) => self.spreads.push(grapevine_event::Spread {
                site: SITE,
                content: own(&spread.content),
                model_version: own(&spread.model_version),
                ..spread
            }),
            Finding::Model(model) => self.models.push(grapevine_event::ChainModel {
                site: SITE,
                version: own(&model.version),
                learned_from: own(&model.learned_from),
                weights: own(&model.weights),
                ..model
            }),
            Finding::Landed(landing, reproductions) => {
                let (site, content) = (landing.site, landing.content);
                let range = reproductions.in_rise(landing.clock, site, content, landing.time);
                let likely = range.map(|range| range.likely);
                self.told.push((landing.time, landing.visit, likely));
            }
            Finding::Shared(act) => self.told.push((act.time, act.share, None)),
            Finding::Passed(time, _) => self.told.push((time, Id::default(), None)),
        }
    }

    /// Sum of the probabilities of each child's causes.
    fn sums(&self) -> BTreeMap<Id, f64> {
        let mut sums = BTreeMap::new();
        for edge in &self.edges {
            *sums.entry(edge.child_visit).or_default() +=
                f64::from(edge.probability) * f64::from(edge.sign);
        }
        sums
    }

    fn of(&self, child: Id) -> Vec<&Edge<'static>> {
        let edges = self.edges.iter();
        edges.filter(|edge| edge.child_visit == child).collect()
    }
}

/// The stage in little: certain edges at once, as it writes them, and whatever else is found.
#[derive(Default)]
struct World {
    chains: Chains,
    found: Found,
}

#[derive(Clone, Copy, Debug)]
struct Landing<'a> {
    number: u64,
    content: &'a str,
    visitor: Option<i64>,
    time: i64,
    app: &'a str,
    token: Option<&'a str>,
    given: Option<&'a str>,
    network: Option<i64>,
    outside: bool,
    dark: f32,
    /// P(its token was passed on).
    passed_on: f32,
}

impl<'a> Landing<'a> {
    fn new(number: u64, content: &'a str, time: i64) -> Self {
        Landing {
            number,
            content,
            visitor: Some(number as i64),
            time,
            app: "",
            token: None,
            given: None,
            network: None,
            outside: false,
            dark: 0.5,
            passed_on: 1.0,
        }
    }
}

fn visit(number: u64) -> Id {
    Id::builder("test").number(number).finish()
}

impl World {
    fn land(&mut self, landing: &Landing<'_>) -> Place {
        let arrival = Arrival {
            site: SITE,
            content: landing.content,
            visit: visit(landing.number),
            visitor: landing.visitor,
            time: landing.time,
            app: landing.app,
            incoming_token: landing.token,
            share_token: landing.given,
            network: landing.network,
        };
        let judgement = Judgement {
            outside: landing.outside,
            decided: landing.outside || landing.token.is_some(),
            way_known: false,
            traceless: false,
            private: !landing.outside,
            dark: [landing.dark * 0.5, landing.dark, 0.5 + landing.dark * 0.5],
            passed_on: [landing.passed_on; 3],
            device: 0,
        };
        let found = &mut self.found;
        let emit = &mut |finding: Finding<'_>| found.take(finding);
        self.chains.reach(landing.time, emit);
        let place = self.chains.arrive(&arrival, &judgement);
        let known = match place.cause {
            Cause::Parent { visit, .. } => Some((Some(visit), ParentKind::Visitor)),
            Cause::SomeShare => Some((None, ParentKind::Unknown)),
            _ => None,
        };
        if let Some((parent, kind)) = known {
            let edge = Edge {
                site: SITE,
                content: landing.content.to_owned().into(),
                child_visit: arrival.visit,
                parent_visit: parent,
                time: landing.time,
                method: EdgeMethod::Token,
                probability: judgement.sure(),
                lag_ms: None,
                parent_app: "".into(),
                child_app: landing.app.to_owned().into(),
                model_version: "".into(),
                parent_kind: kind,
                sign: 1,
            };
            let own = own_token(&edge);
            self.found
                .edges
                .extend([Some(edge), own].into_iter().flatten());
        }
        let found = &mut self.found;
        let emit = &mut |finding: Finding<'_>| found.take(finding);
        self.chains.read(&arrival, &place, &judgement, emit);
        place
    }

    fn preview(&mut self, number: u64, content: &str, time: i64, token: Option<&str>) {
        let share = Share {
            share_id: Id::builder("act").number(number).finish(),
            site: SITE,
            time,
            content: content.into(),
            kind: ShareKind::Preview,
            app: "whatsapp".into(),
            private: Some(true),
            probability: 0.95,
            address_of: AddressOf::Sender,
            network: Some(7),
            visitor: None,
            sharer_visit: None,
            token: token.map(Into::into),
        };
        let sharer = self.chains.share(&share);
        let found = &mut self.found;
        let emit = &mut |finding: Finding<'_>| found.take(finding);
        self.chains.pass_on(&share, sharer, emit);
    }

    fn give(&mut self, content: &str, sharer: u64, time: i64, token: &str) {
        self.chains.give(&Gift {
            site: SITE,
            content,
            visit: visit(sharer),
            visitor: Some(sharer as i64),
            time,
            token,
        });
        let found = &mut self.found;
        let emit = &mut |finding: Finding<'_>| found.take(finding);
        self.chains
            .adopt(SITE, content, token, Some(sharer as i64), emit);
    }

    fn end(&mut self) {
        let found = &mut self.found;
        self.chains.import_ended(&mut |finding| found.take(finding));
    }

    fn reload(&mut self) {
        let bytes = to_bytes(1, &self.chains).expect("writes");
        self.chains = from_bytes(1, &bytes).expect("reads");
        assert_eq!(to_bytes(1, &self.chains).expect("writes"), bytes);
    }
}
