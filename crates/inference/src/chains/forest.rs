//! The trees of certain edges, over all contents.
//!
//! Nodes are kept by last use, and whoever gets a descendant is used together with all its
//! ancestors, the root last. So a node is always used later than everything below it, and what is
//! forgotten is always a leaf: the sums of a tree stay exact for as long as the tree is kept.

use grapevine_event::{Cascade, EdgeMethod, Id};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Arrival, Gift, PASSED_ON_MIN};
use crate::clock::{key, short};
use crate::recent::Recent;

/// Tokens whose owner is known: 30 bytes each.
const TOKENS_MAX: u32 = 458_752;
/// Visits that may still get children: 90 bytes each.
const NODES_MAX: u32 = 458_752;
/// Readers of a content, to recognise their returns: 30 bytes each.
const READERS_MAX: u32 = 458_752;
/// Trees of two visits or more: 250 bytes each with a usual address.
const TREES_MAX: u32 = 65_536;
/// Apps with a number of their own; later ones are nameless.
const APPS_MAX: usize = 4_096;
/// Certain edges from a root to a leaf at most: adding a leaf costs as many steps. An arrival
/// beyond it starts a tree of its own.
const GENERATIONS_MAX: u16 = 1_000;

/// Why a visit came, as far as it is certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// No token.
    Unknown,
    /// The same person came back, with the own token or another.
    Return,
    /// A token: somebody passed the link on, but who was never seen, or is forgotten.
    SomeShare,
    /// A token where visits have none of their own, as in an access log: somebody passed the link on,
    /// and nobody's token is known, so that it may have been any reader.
    AnyShare,
    /// The visit that passed the link on, if anybody did.
    Parent {
        /// The sharer's visit.
        visit: Id,
        /// From its landing to this one, milliseconds; negative where clocks disagree.
        lag_ms: i64,
        /// App of the sharer's own arrival, by number.
        app: u16,
    },
}

/// A visit's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Why it came.
    pub cause: Cause,
    /// Cascade that it belongs to: the root's visit.
    pub cascade: Id,
    /// Certain edges between it and the root.
    pub generation: u16,
}

/// Stands where saved states have the pseudonym of a node's reader, which nothing asks for.
#[derive(Clone, Copy, Debug, Default)]
struct Unnamed;

impl Serialize for Unnamed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        None::<i64>.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Unnamed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::<i64>::deserialize(deserializer).map(|_| Unnamed)
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Node {
    visit: Id,
    cascade: Id,
    content: u64,
    named: Unnamed,
    time: i64,
    /// Key of the parent's node; 0 for a root.
    parent: u64,
    /// Visits in its subtree, itself included.
    size: u32,
    generation: u16,
    app: u16,
}

/// Sums of one tree (chains: W = n·P − Q, Goel et al. 2016 by subtree sizes).
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Tree {
    cascade: Id,
    site: String,
    content: String,
    started: i64,
    updated: i64,
    /// Visits by generation.
    breadth: Vec<u32>,
    /// n: visits.
    size: u64,
    /// P: sum of all depths.
    depths: u64,
    /// Q: sum of the squares of all subtree sizes but the root's.
    squares: u128,
    changed: bool,
}

impl Tree {
    fn cascade(&self) -> Cascade<'_> {
        let size = self.size;
        let pairs = size as f64 * (size.saturating_sub(1)) as f64 / 2.0;
        // n·P ≥ Q, since a subtree is no larger than the tree.
        let distances = (u128::from(size) * u128::from(self.depths)).saturating_sub(self.squares);
        Cascade {
            cascade_id: self.cascade,
            site: &self.site,
            content: self.content.as_str().into(),
            started: self.started,
            updated: self.updated,
            method: EdgeMethod::Token,
            size: i64::try_from(size).unwrap_or(i64::MAX),
            depth: i32::try_from(self.breadth.len().saturating_sub(1)).unwrap_or(i32::MAX),
            breadth: self
                .breadth
                .iter()
                .map(|&visits| i64::from(visits))
                .collect(),
            structural_virality: (size > 1).then(|| distances as f64 / pairs),
            reproduction_number: (size > 0).then(|| (size - 1) as f64 / size as f64),
        }
    }
}

/// Nodes and trees of every content.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Forest {
    /// Token of a site to key of its owner's node.
    tokens: Recent<u64>,
    nodes: Recent<Node>,
    /// Reader of a content to key of the reader's node.
    readers: Recent<u64>,
    trees: Recent<Tree>,
    /// Keys of trees that changed, in order.
    changed: Vec<u64>,
    /// Changed trees that had to be forgotten before they were taken.
    forgotten: Vec<Tree>,
    apps: Vec<String>,
}

impl Default for Forest {
    fn default() -> Self {
        Forest::new(TOKENS_MAX, NODES_MAX, READERS_MAX, TREES_MAX)
    }
}

impl Forest {
    pub(super) fn new(tokens: u32, nodes: u32, readers: u32, trees: u32) -> Forest {
        Forest {
            tokens: Recent::new(tokens),
            nodes: Recent::new(nodes),
            readers: Recent::new(readers),
            trees: Recent::new(trees),
            changed: Vec::new(),
            forgotten: Vec::new(),
            // Number 0 is no app, and every app beyond the last number.
            apps: vec![String::new()],
        }
    }

    pub(super) fn app(&mut self, name: &str) -> u16 {
        let known = self.apps.iter().position(|app| app == name);
        let number = known.unwrap_or_else(|| {
            if self.apps.len() >= APPS_MAX {
                return 0;
            }
            self.apps.push(name.to_owned());
            self.apps.len() - 1
        });
        // Below APPS_MAX.
        number as u16
    }

    pub(super) fn app_name(&self, number: u16) -> &str {
        self.apps
            .get(usize::from(number))
            .map_or("", String::as_str)
    }

    /// Names of apps by number.
    pub(super) fn apps(&self) -> &[String] {
        &self.apps
    }

    pub(super) fn entries(&self) -> usize {
        self.tokens.len() + self.nodes.len() + self.readers.len() + self.trees.len()
    }

    pub(super) fn changed(&self) -> usize {
        self.changed.len()
    }

    /// The visit that a token of this content was given to.
    pub(super) fn owner(&self, site: &str, content: &str, token: &str) -> Option<Id> {
        let owner = self.owner_at(site, content, token);
        owner.map(|(visit, ..)| visit)
    }

    /// The same, with the time of that visit and the number of its app.
    pub(super) fn owner_at(
        &self,
        site: &str,
        content: &str,
        token: &str,
    ) -> Option<(Id, i64, u16)> {
        let node = self.tokens.peek(token_key(site, token))?;
        let node = self.nodes.peek(*node)?;
        let here = node.content == super::content_key(site, content);
        here.then_some((node.visit, node.time, node.app))
    }

    /// True where the owner of a token is known, whatever content it is of.
    pub(super) fn is_owned(&self, token: u64) -> bool {
        let owner = self.tokens.peek(token);
        owner.is_some_and(|owner| self.nodes.peek(*owner).is_some())
    }

    /// When a visitor first read a content, event time, of the visits that were told first, or was given a token there;
    /// `None` where he was given none, nor came by one.
    pub(super) fn first_read(&self, content: u64, visitor: i64) -> Option<i64> {
        let own = self.readers.peek(reader_key(content, visitor))?;
        self.nodes.peek(*own).map(|node| node.time)
    }

    /// `passed_on`: P(its token was passed on). Who more likely came by an own one starts a tree.
    pub(super) fn arrive(&mut self, content: u64, arrival: &Arrival<'_>, passed_on: f32) -> Place {
        let alone = Place {
            cause: Cause::Unknown,
            cascade: arrival.visit,
            generation: 0,
        };
        let reader = arrival.visitor.map(|visitor| reader_key(content, visitor));
        if let Some(own) = reader.and_then(|reader| self.readers.get(reader).copied())
            && self.nodes.peek(own).is_some()
        {
            self.own(arrival.site, arrival.share_token, own);
            let cause = match arrival.incoming_token {
                Some(_) => Cause::Return,
                None => Cause::Unknown,
            };
            return Place { cause, ..alone };
        }
        let node_key = short(arrival.visit);
        let parent = match arrival.incoming_token {
            None => None,
            Some(token) => match self.parent(content, arrival.site, token) {
                Some(parent) => Some(parent),
                None => {
                    let cause = match arrival.share_token {
                        Some(_) => Cause::SomeShare,
                        None => Cause::AnyShare,
                    };
                    self.root(node_key, content, arrival, reader);
                    return Place { cause, ..alone };
                }
            },
        };
        let Some(parent) = parent else {
            self.root(node_key, content, arrival, reader);
            return alone;
        };
        // The same visit told again, of a reader without a name: nobody comes from himself.
        if self.is_above(node_key, parent) {
            let cause = Cause::Return;
            return Place { cause, ..alone };
        }
        let Some(above) = self.nodes.get(parent).cloned() else {
            return alone;
        };
        let cause = Cause::Parent {
            visit: above.visit,
            lag_ms: arrival.time.saturating_sub(above.time),
            app: above.app,
        };
        if passed_on <= PASSED_ON_MIN {
            self.plant(node_key, content, arrival, reader);
            return Place { cause, ..alone };
        }
        let place = Place {
            cause,
            cascade: above.cascade,
            generation: above.generation + 1,
        };
        let app = self.app(arrival.app);
        let node = Node {
            visit: arrival.visit,
            cascade: above.cascade,
            content,
            named: Unnamed,
            time: arrival.time,
            parent,
            size: 1,
            generation: place.generation,
            app,
        };
        self.nodes.set(node_key, node);
        if let Some(reader) = reader {
            self.readers.set(reader, node_key);
        }
        self.own(arrival.site, arrival.share_token, node_key);
        self.grow(parent, &above, arrival);
        place
    }

    /// True where a node is another one, or above it.
    fn is_above(&self, node: u64, other: u64) -> bool {
        if self.nodes.peek(node).is_none() {
            return false;
        }
        let mut at = other;
        for _ in 0..=GENERATIONS_MAX {
            if at == node {
                return true;
            }
            match self.nodes.peek(at) {
                Some(known) if known.parent != 0 => at = known.parent,
                _ => return false,
            }
        }
        false
    }

    /// Adds a leaf below `parent` to the sums: each ancestor but the root adds 2s + 1 to Q.
    fn grow(&mut self, parent: u64, above: &Node, arrival: &Arrival<'_>) {
        let mut squares = 1;
        let mut root = above.clone();
        let mut at = parent;
        // A state that an earlier version wrote may hold a circle.
        for _ in 0..=GENERATIONS_MAX {
            let Some(node) = self.nodes.get(at) else {
                break;
            };
            if node.parent == 0 {
                root = node.clone();
                node.size = node.size.saturating_add(1);
                break;
            }
            squares += 2 * u128::from(node.size) + 1;
            node.size = node.size.saturating_add(1);
            at = node.parent;
        }
        let generation = usize::from(above.generation) + 1;
        let tree_key = short(above.cascade);
        if self.trees.peek(tree_key).is_none() {
            if root.size > 1 || root.generation > 0 {
                // The tree had to be forgotten: its sums would start anew, and a smaller record
                // replace a larger one. Edges and generations stay right.
                return;
            }
            let gone = self.trees.set(
                tree_key,
                Tree {
                    cascade: above.cascade,
                    site: arrival.site.to_owned(),
                    content: arrival.content.to_owned(),
                    started: root.time,
                    updated: root.time,
                    breadth: vec![1],
                    size: 1,
                    depths: 0,
                    squares: 0,
                    changed: false,
                },
            );
            if let Some((_, gone)) = gone
                && gone.changed
            {
                self.forgotten.push(gone);
            }
        }
        let Some(tree) = self.trees.get(tree_key) else {
            return;
        };
        if tree.breadth.len() <= generation {
            tree.breadth.resize(generation + 1, 0);
        }
        tree.breadth[generation] = tree.breadth[generation].saturating_add(1);
        tree.size += 1;
        tree.depths += generation as u64;
        tree.squares += squares;
        tree.updated = tree.updated.max(arrival.time);
        if !tree.changed {
            tree.changed = true;
            self.changed.push(tree_key);
        }
    }

    /// Key of the node that a token of this content leads to, where it may get a child.
    fn parent(&mut self, content: u64, site: &str, token: &str) -> Option<u64> {
        let key = *self.tokens.get(token_key(site, token))?;
        let node = self.nodes.peek(key)?;
        (node.content == content && node.generation < GENERATIONS_MAX).then_some(key)
    }

    /// A visit without parent is kept only where it may get children or must be known again.
    fn root(&mut self, node_key: u64, content: u64, arrival: &Arrival<'_>, reader: Option<u64>) {
        if arrival.share_token.is_some() {
            self.plant(node_key, content, arrival, reader);
        }
    }

    /// A visit begins a tree.
    fn plant(&mut self, node_key: u64, content: u64, arrival: &Arrival<'_>, reader: Option<u64>) {
        let app = self.app(arrival.app);
        let node = Node {
            visit: arrival.visit,
            cascade: arrival.visit,
            content,
            named: Unnamed,
            time: arrival.time,
            parent: 0,
            size: 1,
            generation: 0,
            app,
        };
        self.nodes.set(node_key, node);
        if let Some(reader) = reader {
            self.readers.set(reader, node_key);
        }
        self.own(arrival.site, arrival.share_token, node_key);
    }

    /// `app`: number of the app that brought the sharer's visit to that content; 0 where it is not known.
    pub(super) fn give(&mut self, content: u64, gift: &Gift<'_>, app: impl FnOnce() -> u16) {
        let reader = gift.visitor.map(|visitor| reader_key(content, visitor));
        let known = reader.and_then(|reader| self.readers.get(reader).copied());
        let landing = short(gift.visit);
        let own = match known.filter(|known| self.nodes.peek(*known).is_some()) {
            Some(own) => own,
            None => match self.nodes.peek(landing).map(|node| node.content) {
                Some(landed) if landed == content => landing,
                // The visit landed elsewhere: what it shares here is a cascade of its own.
                Some(_) => {
                    let id = elsewhere(gift.visit, content);
                    let key = short(id);
                    if self.nodes.peek(key).is_none() {
                        self.sharer((key, id), content, gift, reader, 0);
                    }
                    key
                }
                None => {
                    self.sharer((landing, gift.visit), content, gift, reader, app());
                    landing
                }
            },
        };
        self.own(gift.site, Some(gift.token), own);
    }

    fn sharer(
        &mut self,
        (node_key, cascade): (u64, Id),
        content: u64,
        gift: &Gift<'_>,
        reader: Option<u64>,
        app: u16,
    ) {
        let node = Node {
            visit: gift.visit,
            cascade,
            content,
            named: Unnamed,
            time: gift.time,
            parent: 0,
            size: 1,
            generation: 0,
            app,
        };
        self.nodes.set(node_key, node);
        if let Some(reader) = reader {
            self.readers.set(reader, node_key);
        }
    }

    /// Remembers whose token it is. The first owner keeps it: a token that comes back from
    /// elsewhere is forged.
    fn own(&mut self, site: &str, token: Option<&str>, node: u64) {
        let Some(token) = token else { return };
        let key = token_key(site, token);
        let owner = self.tokens.get(key).copied();
        if owner.is_none_or(|owner| self.nodes.peek(owner).is_none()) {
            self.tokens.set(key, node);
        }
    }

    pub(super) fn take_changed(&mut self, emit: &mut dyn FnMut(&Cascade<'_>)) {
        for tree in self.forgotten.drain(..) {
            emit(&tree.cascade());
        }
        for key in self.changed.drain(..) {
            // Taking is no use: what is written is not what is alive.
            if let Some(tree) = self.trees.peek_mut(key)
                && std::mem::take(&mut tree.changed)
            {
                emit(&tree.cascade());
            }
        }
    }
}

pub(super) fn token_key(site: &str, token: &str) -> u64 {
    key("token", &[site.as_bytes(), token.as_bytes()])
}

fn reader_key(content: u64, visitor: i64) -> u64 {
    key("reader", &[&content.to_le_bytes(), &visitor.to_le_bytes()])
}

/// Identity of the cascade that a visit starts on a content which is not its landing's.
fn elsewhere(visit: Id, content: u64) -> Id {
    Id::builder("cascade")
        .bytes(&visit.0)
        .number(content)
        .finish()
}
