//! What ordinary analytics would book: the rules that GA4 and Matomo share, so that a report can
//! say how much of their "direct" is something else.
//!
//! Sources: GA4's default channel group (support.google.com/analytics/answer/9756891) and
//! Matomo's referrer types; neither has a channel for messengers, and neither looks at apps.

use grapevine_event::Channel;
use grapevine_signals::{CampaignCategory, ReferrerKind};

use super::{Classifier, Landing};

impl Classifier {
    pub(super) fn conventional(&self, landing: &Landing<'_, '_>) -> Channel {
        let link = landing.link;
        if link.is_paid_click() {
            return Channel::Paid;
        }
        let campaign = &link.campaign;
        if campaign.source.is_some() || campaign.medium.is_some() {
            let source = campaign.source.as_deref().unwrap_or_default();
            let medium = campaign.medium.as_deref().unwrap_or_default();
            return match self.signals().campaign(source, medium).category {
                CampaignCategory::Mail => Channel::Mail,
                CampaignCategory::Paid => Channel::Paid,
                CampaignCategory::Social => Channel::Social,
                CampaignCategory::Search => Channel::Search,
                CampaignCategory::Referral => Channel::Referral,
                _ => Channel::Campaign,
            };
        }
        if landing.internal {
            return Channel::Internal;
        }
        match landing.referrer.kind {
            ReferrerKind::None | ReferrerKind::Malformed | ReferrerKind::Browser(_) => {
                Channel::Direct
            }
            ReferrerKind::Search(_) => Channel::Search,
            ReferrerKind::Social(_) | ReferrerKind::Video(_) => Channel::Social,
            _ => Channel::Referral,
        }
    }
}
