//! Visits that are no person's.

use std::borrow::Cow;

use grapevine_event::{Channel, Method, Protocol};
use grapevine_signals::headers::asks_for_head_only;
use grapevine_signals::{AgentKind, ReferrerKind, RobotPurpose};

use super::Landing;
use super::decision::{Decision, Verdict};
use super::facts::{NONE, doubt};
use crate::evidence;
use crate::model::Range;

/// The verdict on a machine.
pub(super) fn bot<'a>(robot: &'a str, app: &'a str, method: Method, dark: Range) -> Verdict<'a> {
    Verdict {
        robot: Some(robot),
        ..Verdict::new(Channel::Bot, app, method, dark)
    }
}

/// Robots, scanners, tools and preview fetchers, forged visits, and requests as no browser makes them.
pub(super) fn robot<'a>(landing: &Landing<'_, 'a>) -> Option<Decision<'a>> {
    let (name, detail): (&str, Cow<'a, str>) = match landing.agent.kind {
        // The name of one that is known by its form is a pattern, which says nothing to a reader.
        AgentKind::Robot(robot) if robot.purpose == RobotPurpose::Unnamed => (
            &robot.name,
            "user agent of a robot without a name, known by its form".into(),
        ),
        AgentKind::Robot(robot) | AgentKind::LibraryOrTool(robot) => (
            &robot.name,
            landing.say(format_args!(
                "user agent of {} ({})",
                robot.name,
                robot.purpose.as_str()
            )),
        ),
        AgentKind::MailScanner(robot) => (
            &robot.name,
            landing.say(format_args!("{} tests the links of mails", robot.name)),
        ),
        AgentKind::PreviewFetcher(fetcher) => {
            let detail = landing.say(format_args!(
                "{} fetches previews{}",
                fetcher.name,
                doubt(fetcher.certainty)
            ));
            let verdict = bot(&fetcher.name, &fetcher.app, Method::Agent, NONE);
            return Some(verdict.because(evidence::PREVIEW_FETCHER, detail));
        }
        // Servers that report hits of their own may know no user agent; browsers always send one.
        AgentKind::Empty if landing.hit.protocol != Protocol::Native => {
            ("no user agent", "no user agent: browsers send one".into())
        }
        AgentKind::Person | AgentKind::Empty => {
            if let ReferrerKind::Spam(origin) = landing.referrer.kind {
                let name = &origin.name;
                let detail = landing.say(format_args!("referrer of {name}, which forges visits"));
                let verdict = bot(name, "", Method::Referrer, NONE);
                return Some(verdict.because(evidence::SPAM_REFERRER, detail));
            }
            let range = landing
                .hit
                .range
                .filter(|range| asks_for_head_only(range))?;
            let detail = landing.say(format_args!(
                "asks for the beginning of the page only ({range})"
            ));
            let verdict = bot("unnamed preview fetcher", "", Method::Agent, NONE);
            return Some(verdict.because(evidence::RANGE, detail));
        }
    };
    Some(bot(name, "", Method::Agent, NONE).because(evidence::ROBOT, detail))
}
