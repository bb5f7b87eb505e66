//! What is told to surges: landings and acts in the order of event time, and R of what rises.

use super::Spreading;
use super::finding::app_of;
use super::told::{Reading, Sharing};
use crate::causes::Range;
use crate::chains::content_key;
use crate::clock::{Clock, key};
use crate::surges::{Act, Landing};

/// R of contents as it is known at the moment of a [`Finding`](super::Finding).
#[derive(Clone, Copy, Debug)]
pub struct Reproductions<'a>(pub(super) &'a Spreading);

impl Reproductions<'_> {
    /// Readers that one reader of a content in a rise brings now, 80 % range, as known by `time`
    /// (event time, milliseconds since 1970 UTC): of the newest 96 readers and the time since. Wider
    /// than R now of its spread, since a rise may come from people who never read it here. None where
    /// fewer than two are known.
    pub fn in_rise(&self, clock: Clock, site: &str, content: &str, time: i64) -> Option<Range> {
        let Reproductions(spreading) = self;
        let content = content_key(site, content);
        let followed = spreading.contents[clock.index()].peek(content)?;
        let site = spreading.sites.peek(key("site", &[site.as_bytes()]))?;
        followed.reproduction_in_rise(site.weights(), site.token_survival(), time)
    }
}

impl<'a> Reading<'a> {
    pub(super) fn to_surges(self, clock: Clock, apps: &'a [String]) -> Landing<'a> {
        Landing {
            clock,
            site: self.site,
            content: self.content,
            visit: self.visit,
            time: self.time,
            dark: self.rise.dark,
            decided: self.rise.decided,
            app: match self.rise.private {
                true => app_of(apps, self.app),
                false => "",
            },
            network: self.rise.network,
            chained: self.rise.chained,
        }
    }
}

impl<'a> Sharing<'a> {
    pub(super) fn to_surges(self, clock: Clock, apps: &'a [String]) -> Act<'a> {
        Act {
            clock,
            site: self.site,
            content: self.content,
            share: self.id,
            time: self.time,
            app: app_of(apps, self.app),
            probability: self.probability,
            may_be_private: self.may_be_private,
        }
    }
}
