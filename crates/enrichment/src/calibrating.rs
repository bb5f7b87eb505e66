//! The chain stage's part in calibration: which visits count, what a site's own tokens change of
//! them, and when records are written.

use std::sync::Arc;

use grapevine_event::{
    AddressOf, Channel, Evidence, Heartbeat, Method, Share, ShareKind, Visit, VisitorBasis,
};
use grapevine_inference::calibration::{
    Calibrations, Learned, Marked, PrivateReaders, TokenLaw, TokenOwner, tell_token_of_nobody,
};
use grapevine_inference::{COLLECTOR, Classifier, evidence};
use grapevine_signals::Surface;
use serde::{Deserialize, Serialize};

use crate::outputs::Outputs;

/// Records are written when event time has gone on this far since something changed, or when an
/// import ends.
const CHANGED_MS: i64 = 60_000;
/// P(private link) from which an app that names itself counts as private.
const PRIVATE_MIN: f32 = 0.9;

/// What the chain stage remembers of calibration.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Calibrating {
    sites: Calibrations,
    /// Event time at which changed records are due.
    due: Option<i64>,
    /// Event time of the newest landing that counts.
    newest: i64,
}

/// What a visit's evidence does not say by itself.
pub(crate) struct Beside {
    /// Whether it is of a home page or a section's front.
    pub(crate) front: bool,
    /// What others who came to its content of late by known ways add to the log-odds of a private link.
    pub(crate) company: f64,
    /// How many of them came by private links; `None` where others are not looked at.
    pub(crate) private_readers: Option<PrivateReaders>,
    /// Whose its token is; says nothing where it has none.
    pub(crate) owner: TokenOwner,
}

impl Calibrating {
    /// Takes a visit, before [`visit`](Self::visit): whose its token is, and says so where nobody was seen to be given it.
    pub(crate) fn owner(&mut self, visit: &mut Visit<'_>, owner_seen: bool) -> TokenOwner {
        let given_token = visit.share_token.is_some();
        let owner = self.sites.owner(visit.site, given_token, owner_seen);
        if owner == TokenOwner::Nobody {
            tell_token_of_nobody(visit);
        }
        owner
    }

    /// Takes a visit whose evidence is whole but for what its site's tokens say, and adds that. Gives the
    /// version that it is then judged by; `None` where it stays as it was.
    pub(crate) fn visit(
        &mut self,
        classifier: &Classifier,
        visit: &mut Visit<'_>,
        Beside {
            front,
            company,
            private_readers,
            owner,
        }: Beside,
    ) -> Option<Arc<str>> {
        let has = |name: &str| visit.evidence.iter().any(|fact| fact.name == name);
        let marked = visit.incoming_token.is_some();
        let names_itself = has(evidence::REQUESTED_WITH)
            || has(evidence::IN_APP_BROWSER)
            || has(evidence::CLIENT)
            || has(evidence::PRIVATE_REFERRER);
        let named = names_itself && is_private(classifier, visit) && !has(evidence::TOKEN_AGAIN);
        self.sites.visit(visit.site, named);
        if named {
            self.sites.known(visit.site, marked.then_some(owner));
            return None;
        }
        if has(evidence::TOKEN_BROKEN) {
            return None;
        }
        let with_id = visit.visitor_basis == VisitorBasis::Client;
        if with_id && !front && has(evidence::TOKEN_AGAIN) {
            self.sites.again(visit.site);
        }
        let (log_odds, token) = match visit.method {
            Method::Prior => {
                let odds = visit.evidence.iter().map(|fact| f64::from(fact.log_odds));
                (odds.sum(), None)
            }
            Method::Token => {
                let rest = |fact: &&Evidence<'_>| fact.name == evidence::WITHOUT_TOKEN;
                let log_odds = visit.evidence.iter().find(rest)?.log_odds;
                (f64::from(log_odds), visit.incoming_token.as_deref())
            }
            _ => return None,
        };
        let (version, model) = (classifier.version(), classifier.model());
        let landing = Marked {
            log_odds,
            company,
            private_readers: private_readers.unwrap_or_default(),
            front,
            token,
            owner,
            with_id,
        };
        let alone = landing.alone();
        self.newest = self.newest.max(visit.time);
        self.due
            .get_or_insert(visit.time.saturating_add(CHANGED_MS));
        let learned = self.sites.landing(visit.site, version, landing, model);
        if visit.method == Method::Token {
            let usual = || TokenLaw::usual(visit.visitor_basis, model);
            let law = learned.and_then(Learned::token_law).unwrap_or_else(usual);
            let law = private_readers.map_or(law, |readers| law.beside(readers, model));
            let law = match front {
                true => law.on_fronts(model),
                false => law,
            };
            let adds = learned.map_or(0.0, |learned| learned.adds(alone));
            law.judge(visit, adds, owner, model);
        } else if let Some(learned) = learned {
            learned.apply(visit, alone, private_readers, model);
        }
        Some(learned?.version().clone())
    }

    /// Version of the weights that a site's visits are judged by.
    pub(crate) fn version<'v>(&'v self, classifier: &'v Classifier, site: &str) -> &'v str {
        let learned = self.sites.learned(site);
        learned.map_or(classifier.version(), |learned| learned.version())
    }

    /// Takes a share act: a preview that the sharer's own device fetched shows the link as it is
    /// passed on.
    pub(crate) fn share(&mut self, share: &Share<'_>) {
        if share.kind == ShareKind::Preview
            && share.address_of == AddressOf::Sender
            && share.private == Some(true)
        {
            // Whose its token is nobody is asked.
            let token = share.token.is_some().then_some(TokenOwner::Untold);
            self.sites.known(share.site, token);
        }
    }

    /// Event time goes on.
    pub(crate) fn pass(&mut self, time: i64, classifier: &Classifier, out: &mut Outputs) {
        if self.due.is_some_and(|due| time >= due) {
            self.write(classifier, out);
        }
    }

    /// A heartbeat: the end of an import writes what changed.
    pub(crate) fn heartbeat(
        &mut self,
        heartbeat: &Heartbeat<'_>,
        classifier: &Classifier,
        out: &mut Outputs,
    ) {
        if heartbeat.source != COLLECTOR && self.due.is_some() {
            self.write(classifier, out);
        } else {
            self.pass(heartbeat.event_time, classifier, out);
        }
    }

    pub(crate) fn entries(&self) -> usize {
        self.sites.entries()
    }

    fn write(&mut self, classifier: &Classifier, out: &mut Outputs) {
        self.due = None;
        self.sites.take_changed(
            self.newest,
            classifier.version(),
            classifier.model(),
            &mut |calibration| out.calibration(calibration),
        );
    }
}

/// True where the app that a visit names shows messages only, whether its link has a token or not: a token
/// makes an app with posts look private too, and counted as such it would be its own label.
fn is_private(classifier: &Classifier, visit: &Visit<'_>) -> bool {
    let app = classifier.signals().origin(&visit.app);
    visit.channel == Channel::DarkSocial
        && visit.dark_probability >= PRIVATE_MIN
        && app.is_some_and(|app| app.surface == Surface::Private)
}
