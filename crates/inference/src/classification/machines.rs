//! Visits that are no person's.

use grapevine_event::{Channel, Method, Protocol};
use grapevine_signals::headers::asks_for_head_only;
use grapevine_signals::{AgentKind, ReferrerKind, RobotPurpose};

use super::facts::{NONE, doubt};
use super::{Classification, Landing};
use crate::evidence;

/// Robots, scanners, tools and preview fetchers, forged visits, and requests as no browser makes them.
pub(super) fn robot<'a>(landing: &Landing<'_, 'a>) -> Option<Classification<'a>> {
    let (name, detail): (&str, String) = match landing.agent.kind {
        // The name of one that is known by its form is a pattern, which says nothing to a reader.
        AgentKind::Robot(robot) if robot.purpose == RobotPurpose::Unnamed => (
            &robot.name,
            "user agent of a robot without a name, known by its form".to_owned(),
        ),
        AgentKind::Robot(robot) | AgentKind::LibraryOrTool(robot) => (
            &robot.name,
            format!("user agent of {} ({})", robot.name, robot.purpose.as_str()),
        ),
        AgentKind::MailScanner(robot) => (
            &robot.name,
            format!("{} tests the links of mails", robot.name),
        ),
        AgentKind::PreviewFetcher(fetcher) => {
            let detail = format!(
                "{} fetches previews{}",
                fetcher.name,
                doubt(fetcher.certainty)
            );
            let judged = Classification::certain(Channel::Bot, &fetcher.app, Method::Agent, NONE);
            let mut judged = judged.because(evidence::PREVIEW_FETCHER, detail);
            judged.robot = Some(&fetcher.name);
            return Some(judged);
        }
        // Servers that report hits of their own may know no user agent; browsers always send one.
        AgentKind::Empty if landing.hit.protocol != Protocol::Native => (
            "no user agent",
            "no user agent: browsers send one".to_owned(),
        ),
        AgentKind::Person | AgentKind::Empty => {
            if let ReferrerKind::Spam(origin) = landing.referrer.kind {
                let detail = format!("referrer of {}, which forges visits", origin.name);
                let judged = Classification::certain(Channel::Bot, "", Method::Referrer, NONE);
                let mut judged = judged.because(evidence::SPAM_REFERRER, detail);
                judged.robot = Some(&origin.name);
                return Some(judged);
            }
            let range = landing
                .hit
                .range
                .filter(|range| asks_for_head_only(range))?;
            let detail = format!("asks for the beginning of the page only ({range})");
            let judged = Classification::certain(Channel::Bot, "", Method::Agent, NONE);
            let mut judged = judged.because(evidence::RANGE, detail);
            judged.robot = Some("unnamed preview fetcher");
            return Some(judged);
        }
    };
    let judged = Classification::certain(Channel::Bot, "", Method::Agent, NONE);
    let mut judged = judged.because(evidence::ROBOT, detail);
    judged.robot = Some(name);
    Some(judged)
}
