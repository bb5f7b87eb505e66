//! What a settled posterior says, as edges.

use std::collections::VecDeque;

use grapevine_event::{ChainModel, Edge, EdgeMethod, Id, ParentKind, Spread};

use super::followed::ActName;
use super::readers::{Known, Readers};
use super::rises::Reproductions;
use crate::causes::Posterior;
use crate::surges::{Act, Landing};

/// Causes that are named of one arrival at the most, the outside aside.
const NAMED_MAX: usize = 3;
/// Least probability of a cause that is named; less likely ones are pooled.
const NAMED_FROM: f64 = 0.01;
/// What is pooled and less likely than this is left to the outside.
const POOLED_FROM: f64 = 1e-4;

/// Something that was found out, or happened next in the order of event time.
#[derive(Clone, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "made one at a time, on the stack"
)]
pub enum Finding<'a> {
    /// A possible cause of a visit.
    Edge(Edge<'a>),
    /// How a content spreads.
    Spread(Spread<'a>),
    /// Weights in force, or how well they do.
    Model(ChainModel<'a>),
    /// A landing of a person, for surges.
    Landed(Landing<'a>, Reproductions<'a>),
    /// An act of sharing, for surges.
    Shared(Act<'a>),
    /// Event time by the collector's clock, milliseconds since 1970 UTC: all that happened before was
    /// told.
    Passed(i64, Reproductions<'a>),
}

/// A cause that may be named.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named {
    /// Reader's or act's key.
    key: u64,
    is_act: bool,
    probability: f64,
    /// Of it, by an act that was seen.
    seen: f64,
}

/// The content that an arrival is of, and what names things.
pub(super) struct Page<'a> {
    pub(super) site: &'a str,
    pub(super) content: &'a str,
    pub(super) key: u64,
    pub(super) acts: &'a VecDeque<ActName>,
    pub(super) apps: &'a [String],
    pub(super) model_version: &'a str,
}

/// Writes the causes of an arrival: at most three that are named, somebody who is no reader, the
/// outside, and the rest.
/// Their probabilities sum to 1. `named` is room to work in.
pub(super) fn causes(
    page: &Page<'_>,
    child: &Known,
    posterior: &Posterior<'_>,
    readers: &Readers,
    named: &mut Vec<Named>,
    emit: &mut dyn FnMut(Finding<'_>),
) {
    let apps = page.apps;
    named.clear();
    for act in posterior.acts() {
        let mut left = 1.0;
        for (key, probability) in act.sharers.into_iter().flatten() {
            left -= probability;
            let seen = probability * act.probability;
            match named
                .iter_mut()
                .find(|known| known.key == key && !known.is_act)
            {
                Some(known) => known.seen += seen,
                None => named.push(Named {
                    key,
                    is_act: false,
                    probability: 0.0,
                    seen,
                }),
            }
        }
        named.push(Named {
            key: act.key,
            is_act: true,
            probability: 0.0,
            seen: act.probability * left.clamp(0.0, 1.0),
        });
    }
    let by_acts = named.len();
    let mut likeliest = [(0, 0, 0.0); NAMED_MAX];
    for (key, ordinal, probability) in posterior.readers() {
        if let Some(known) = named[..by_acts]
            .iter_mut()
            .find(|known| known.key == key && !known.is_act)
        {
            known.probability = probability;
            continue;
        }
        let mut place = (key, ordinal, probability);
        for best in &mut likeliest {
            // The earlier one on a tie, whatever the order they are kept in.
            if place.2 > best.2 || (place.2 == best.2 && place.1 < best.1) {
                std::mem::swap(best, &mut place);
            }
        }
    }
    named.extend(likeliest.iter().map(|(key, _, probability)| Named {
        key: *key,
        is_act: false,
        probability: *probability,
        seen: 0.0,
    }));
    for known in &mut *named {
        known.probability += known.seen;
    }
    named.retain(|known| known.probability >= NAMED_FROM);
    named.sort_by(|a, b| {
        b.probability
            .total_cmp(&a.probability)
            .then(a.key.cmp(&b.key))
    });

    let mut write = |parent: Option<Id>, kind, method, probability, lag_ms, parent_app: &str| {
        emit(Finding::Edge(Edge {
            site: page.site,
            content: page.content.into(),
            child_visit: child.visit,
            parent_visit: parent,
            time: child.time,
            method,
            probability,
            lag_ms,
            parent_app: parent_app.into(),
            child_app: app_of(apps, child.app).into(),
            model_version: page.model_version.into(),
            parent_kind: kind,
            sign: 1,
        }));
    };
    let mut told = 0.0;
    let mut rows = 0;
    for known in &*named {
        if rows == NAMED_MAX {
            break;
        }
        let probability = known.probability as f32;
        let method = match known.seen * 2.0 > known.probability {
            true => EdgeMethod::Preview,
            false => EdgeMethod::Inferred,
        };
        if known.is_act {
            let Some(act) = page.acts.iter().find(|act| act.key == known.key) else {
                continue;
            };
            let lag = child.time.saturating_sub(act.time);
            let app = app_of(apps, act.app);
            write(None, ParentKind::Act, method, probability, Some(lag), app);
        } else {
            let Some(parent) = readers.of(known.key, page.key) else {
                continue;
            };
            let lag = child.time.saturating_sub(parent.time);
            let app = app_of(apps, parent.app);
            let visit = Some(parent.visit);
            write(
                visit,
                ParentKind::Visitor,
                method,
                probability,
                Some(lag),
                app,
            );
        }
        told += f64::from(probability);
        rows += 1;
    }
    let strangers = posterior.strangers() as f32;
    if f64::from(strangers) >= NAMED_FROM {
        write(
            None,
            ParentKind::Unknown,
            EdgeMethod::Inferred,
            strangers,
            None,
            "",
        );
        told += f64::from(strangers);
    }
    let pooled = (1.0 - posterior.outside() - told) as f32;
    if f64::from(pooled) >= POOLED_FROM {
        write(
            None,
            ParentKind::Pooled,
            EdgeMethod::Inferred,
            pooled,
            None,
            "",
        );
        told += f64::from(pooled);
    }
    let outside = (1.0 - told).max(0.0) as f32;
    write(
        None,
        ParentKind::Outside,
        EdgeMethod::Inferred,
        outside,
        None,
        "",
    );
}

/// Name of an app by its number, or empty.
pub(super) fn app_of(apps: &[String], number: u16) -> &str {
    apps.get(usize::from(number)).map_or("", String::as_str)
}
