//! The records that the classify stage writes.

use std::borrow::Cow;

use grapevine_event::{
    AddressOf, Device, Hit, HitKind, Id, Property, Share, ShareKind, Visit, VisitEvent,
};
use grapevine_inference::shares::probability_on_page;
use grapevine_inference::{Classification, Classifier};
use grapevine_signals::{Agent, Link, Referrer, Surface};

use super::language;

/// Properties by which the classify stage tells the chain stage what a visit event has no field
/// for: the token that a later page view was given, and its reader. The chain stage takes them
/// off; a sender's own properties of these names are dropped.
pub const RESERVED_PROPERTIES: [&str; 2] = ["grapevine.share_token", "grapevine.visitor"];

pub(super) fn visit<'a>(
    hit: &Hit<'a>,
    agent: &Agent<'a>,
    referrer: &Referrer<'a>,
    link: Link<'a>,
    returning: bool,
    judged: Classification<'a>,
    version: &'a str,
) -> Visit<'a> {
    let known = |family: &'a str| match family {
        "other" => "",
        family => family,
    };
    let host = referrer.host.clone();
    Visit {
        visit_id: hit.hit_id,
        site: hit.site,
        time: hit.event_time,
        visitor: hit.visitor,
        visitor_basis: hit.visitor_basis,
        returning,
        network: hit.network,
        title: hit.title,
        referrer_host: match referrer.package {
            Some(package) => Some(Cow::Borrowed(package)),
            None => Some(host).filter(|host| !host.is_empty()),
        },
        campaign_source: link.campaign.source,
        campaign_medium: link.campaign.medium,
        campaign_name: link.campaign.name,
        device: match agent.device {
            grapevine_signals::Device::Desktop => Device::Desktop,
            grapevine_signals::Device::Mobile => Device::Mobile,
            grapevine_signals::Device::Tablet => Device::Tablet,
            grapevine_signals::Device::Other => Device::Other,
        },
        system: known(agent.os),
        browser: known(agent.browser),
        language: hit.language.and_then(language::first),
        conventional_channel: judged.conventional_channel,
        channel: judged.channel,
        app: Cow::Borrowed(judged.app),
        method: judged.method,
        dark_probability: judged.dark_probability,
        dark_probability_low: judged.dark_probability_low,
        dark_probability_high: judged.dark_probability_high,
        dark_search_probability: judged.dark_search_probability,
        evidence: judged.evidence,
        model_version: Cow::Borrowed(version),
        robot: judged.robot.map(Cow::Borrowed),
        incoming_token: link.share_token,
        share_token: hit.share_token,
        cascade_id: None,
        generation: None,
        content: link.canonical,
    }
}

pub(super) fn visit_event<'a>(
    hit: Hit<'a>,
    link: Link<'a>,
    visit_id: Option<Id>,
) -> VisitEvent<'a> {
    let mut props = hit.props;
    props.retain(|property| !RESERVED_PROPERTIES.contains(&property.name));
    if let Some(token) = hit.share_token
        && visit_id.is_some()
    {
        let [token_name, visitor_name] = RESERVED_PROPERTIES;
        props.push(Property {
            name: token_name,
            value: Cow::Borrowed(token),
        });
        if let Some(visitor) = hit.visitor {
            props.push(Property {
                name: visitor_name,
                value: Cow::Owned(visitor.to_string()),
            });
        }
    }
    VisitEvent {
        event_id: hit.hit_id,
        visit_id,
        site: hit.site,
        time: hit.event_time,
        kind: hit.kind,
        content: link.canonical,
        name: hit.name,
        value: hit.value,
        props,
    }
}

/// A copied address or a pressed share button.
pub(super) fn share_on_page<'a>(
    classifier: &'a Classifier,
    hit: &Hit<'a>,
    link: &Link<'a>,
    sharer_visit: Option<Id>,
) -> Share<'a> {
    let kind = match hit.kind {
        HitKind::Share => ShareKind::Button,
        _ => ShareKind::Copy,
    };
    let named = hit.app.filter(|app| !app.is_empty());
    let origin = named.and_then(|app| classifier.signals().origin(app));
    let app = match origin {
        Some(origin) => origin.id.as_str(),
        None => named.unwrap_or("unknown"),
    };
    let private = match origin.map(|origin| origin.surface) {
        Some(Surface::Private) => Some(true),
        Some(Surface::Public) => Some(false),
        Some(Surface::Unknown) | None => None,
    };
    Share {
        share_id: hit.hit_id,
        site: hit.site,
        time: hit.event_time,
        content: link.canonical.clone(),
        kind,
        app: Cow::Borrowed(app),
        private,
        probability: probability_on_page(kind, classifier.model()),
        address_of: AddressOf::Sender,
        network: hit.network,
        visitor: hit.visitor,
        sharer_visit,
        token: hit.share_token.map(Cow::Borrowed),
    }
}
