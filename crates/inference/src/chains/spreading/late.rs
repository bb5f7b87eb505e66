//! Tokens whose owner becomes known after they came.

use grapevine_event::{Edge, EdgeMethod, Id, ParentKind};
use serde::{Deserialize, Serialize};

use super::finding::{Finding, app_of};
use super::{Origin, Spreading, site_of};
use crate::causes::{Certain, Late};
use crate::chains::{PASSED_ON_MIN, own_token};
use crate::clock::short;

/// Tokens of nobody known that are remembered: 120 bytes each with one reader, 2.5 kB with all.
pub(super) const ORPHANS_MAX: u32 = 16_384;
/// Readers remembered of one such token: a link may be read by many before its sharer's own landing
/// comes through a partition that is behind.
const CHILDREN_MAX: usize = 32;

/// A reader who came by a token of nobody known.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(in crate::chains) struct Orphan {
    pub(in crate::chains) visit: Id,
    pub(in crate::chains) visitor: Option<i64>,
    pub(in crate::chains) time: i64,
    pub(in crate::chains) app: u16,
    /// P(the token was passed on): else it is the reader's own.
    pub(in crate::chains) passed_on: f32,
    /// P(from a public place), where it was passed on.
    pub(in crate::chains) public: f32,
    pub(in crate::chains) content: u64,
    pub(in crate::chains) clock: u8,
}

/// Whose token it turns out to be.
#[derive(Clone, Copy, Debug)]
pub(in crate::chains) struct Owner<'a> {
    pub(in crate::chains) site: &'a str,
    pub(in crate::chains) content: &'a str,
    pub(in crate::chains) content_key: u64,
    pub(in crate::chains) visit: Id,
    pub(in crate::chains) visitor: Option<i64>,
    pub(in crate::chains) time: i64,
    /// App of the sharer's own arrival, by number.
    pub(in crate::chains) app: u16,
}

impl Spreading {
    /// Remembers who came by a token of nobody known.
    pub(in crate::chains) fn orphan(&mut self, token: u64, orphan: Orphan) {
        match self.orphans.get(token) {
            Some(known) if known.len() < CHILDREN_MAX => known.push(orphan),
            Some(_) => self.not_followed.late_tokens += 1,
            None => {
                self.orphans.set(token, vec![orphan]);
            }
        }
    }

    /// True where somebody came by that token and its owner is not known.
    pub(in crate::chains) fn is_orphaned(&self, token: u64) -> bool {
        self.orphans.peek(token).is_some()
    }

    /// A token's owner is known: what was said of who came by it is taken back, the edge to the
    /// owner said instead, and the spreading corrected. A token that its own reader brought proves
    /// nothing; then it is only taken back.
    pub(in crate::chains) fn adopt(
        &mut self,
        token: u64,
        owner: &Owner<'_>,
        apps: &[String],
        emit: &mut dyn FnMut(Finding<'_>),
    ) {
        for child in self.orphans.remove(token).unwrap_or_default() {
            if child.content != owner.content_key || child.visit == owner.visit {
                continue;
            }
            let key = short(child.visit);
            let parent = short(owner.visit);
            let site = site_of(&mut self.sites, &self.deployed, owner.site);
            let edge = Edge {
                site: owner.site,
                content: owner.content.into(),
                child_visit: child.visit,
                parent_visit: None,
                time: child.time,
                method: EdgeMethod::Token,
                probability: child.passed_on,
                lag_ms: None,
                parent_app: "".into(),
                child_app: app_of(apps, child.app).into(),
                model_version: site.weights().version().into(),
                parent_kind: ParentKind::Unknown,
                sign: -1,
            };
            emit(Finding::Edge(edge.clone()));
            if child.visitor.is_some() && child.visitor == owner.visitor {
                if let Some(own) = own_token(&edge) {
                    emit(Finding::Edge(own));
                }
                continue;
            }
            let known = self.readers.of(parent, child.content);
            emit(Finding::Edge(Edge {
                parent_visit: Some(owner.visit),
                lag_ms: Some(child.time.saturating_sub(owner.time)),
                parent_app: app_of(apps, owner.app).into(),
                parent_kind: ParentKind::Visitor,
                sign: 1,
                ..edge
            }));
            let at = usize::from(child.clock);
            let origin = Origin::Parent(parent, owner.time);
            if self.held[at].now_known(child.time, key, origin) {
                continue;
            }
            // Who has not come yet must not be taken for somebody who has.
            let came = known.is_some() || owner.time < child.time;
            // What is more likely his own was left to what else is known of him.
            let shared = child.passed_on > PASSED_ON_MIN;
            let followed = self.contents[at].peek_mut(child.content);
            let corrected = followed.filter(|_| came && shared).map(|followed| {
                let certain = Certain::Share {
                    key: parent,
                    time: owner.time,
                    sure: f64::from(child.passed_on),
                };
                let weights = site.learned.weights();
                let room = &mut self.room.plain;
                let late = followed
                    .spread
                    .correct(key, certain, weights, &site.laws, room);
                if matches!(late, Late::Pending | Late::Moved) {
                    followed.certain_shares = followed.certain_shares.saturating_add(1);
                    let children = u32::from(self.readers.bore(parent));
                    followed.largest = followed.largest.max(children);
                    let link = (child.content, followed.started, parent);
                    let broadcasts = &mut followed.broadcasts;
                    let links = &mut self.readers.links;
                    links.brought(link, child.public, child.time, broadcasts);
                    followed.touch(child.time);
                }
                late
            });
            if shared && !matches!(corrected, Some(Late::Pending | Late::Moved)) {
                self.not_followed.late_tokens += 1;
            }
        }
    }
}
