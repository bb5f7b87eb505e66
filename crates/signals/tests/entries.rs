//! Every row of the data: where it is from, and that each of its hosts, packages, names and words finds it.
//! What their examples say is in `examples.rs`.

use grapevine_signals::{
    AgentKind, Decoration, Form, Link, OriginCategory, Place, ReferrerKind, RobotPurpose, Says,
    Signals,
};

fn checked_provenance(table: &str, id: &str, source: &str, date: &str) {
    assert!(source.len() > 9, "{table} {id}: no source");
    let mut numbers = date.split('-').map(|part| part.parse::<u32>());
    let year = numbers.next().and_then(Result::ok).unwrap_or(0);
    assert!(
        (2010..2100).contains(&year) && matches!(date.len(), 4 | 10),
        "{table} {id}: date {date:?}"
    );
    assert!(
        numbers.all(|n| matches!(n, Ok(1..=31))),
        "{table} {id}: date {date:?}"
    );
}

#[test]
fn every_row_has_source_and_date() {
    let s = Signals::builtin();
    s.fetchers()
        .iter()
        .for_each(|r| checked_provenance("fetcher", &r.id, &r.source, &r.date));
    s.robots()
        .iter()
        .for_each(|r| checked_provenance("robot", &r.id, &r.source, &r.date));
    s.in_app_browsers()
        .iter()
        .for_each(|r| checked_provenance("in_app", &r.id, &r.source, &r.date));
    s.origins()
        .iter()
        .for_each(|r| checked_provenance("origin", &r.id, &r.source, &r.date));
    s.shims()
        .iter()
        .for_each(|r| checked_provenance("shim", &r.id, &r.source, &r.date));
    s.decorations()
        .iter()
        .for_each(|r| checked_provenance("decoration", &r.id, &r.source, &r.date));
    assert_eq!(s.data_date().len(), 10);
}

#[test]
fn every_fetcher_is_found_by_its_examples_and_is_no_person() {
    let signals = Signals::builtin();
    for row in signals.fetchers() {
        assert!(!row.examples.is_empty(), "{}", row.id);
        for example in &row.examples {
            let agent = signals.agent(example);
            match agent.kind {
                AgentKind::PreviewFetcher(found) => assert_eq!(found.id, row.id, "{example}"),
                other => panic!("{} is {other:?}: {example}", row.id),
            }
            assert_eq!(agent.share().is_some(), row.share, "{example}");
            assert!(agent.in_app.is_none(), "{} in {:?}", row.id, agent.in_app);
        }
    }
}

#[test]
fn every_robot_is_found_by_its_examples() {
    let signals = Signals::builtin();
    for row in signals.robots() {
        assert!(!row.examples.is_empty(), "{}", row.id);
        for example in &row.examples {
            let agent = signals.agent(example);
            assert_eq!(
                agent.robot().map(|r| r.id.as_str()),
                Some(row.id.as_str()),
                "{example}"
            );
            assert!(!agent.is_person() && agent.share().is_none() && agent.in_app.is_none());
            match row.purpose {
                RobotPurpose::MailScanner => {
                    assert!(matches!(agent.kind, AgentKind::MailScanner(_)))
                }
                RobotPurpose::Tool => assert!(matches!(agent.kind, AgentKind::LibraryOrTool(_))),
                _ => assert!(matches!(agent.kind, AgentKind::Robot(_))),
            }
        }
    }
}

#[test]
fn every_in_app_browser_is_found_by_its_examples_and_is_a_person() {
    let signals = Signals::builtin();
    for row in signals.in_app_browsers() {
        assert!(!row.examples.is_empty(), "{}", row.id);
        for example in &row.examples {
            let agent = signals.agent(example);
            assert!(
                agent.is_person(),
                "{} is {:?}: {example}",
                row.id,
                agent.kind
            );
            assert_eq!(
                agent.in_app.map(|r| r.id.as_str()),
                Some(row.id.as_str()),
                "{example}"
            );
        }
    }
}

/// A host that a name as data files write it stands for.
fn a_host(name: &str) -> String {
    let plain = name.trim_start_matches('=');
    plain.replace(".*", ".co.uk").replace('*', "eu")
}

#[test]
fn every_host_and_package_leads_to_its_origin() {
    let signals = Signals::builtin();
    for origin in signals.origins() {
        for host in &origin.hosts {
            let url = format!("https://{}/", a_host(host));
            let referrer = signals.referrer(&url);
            assert_eq!(
                referrer.origin().map(|o| o.id.as_str()),
                Some(origin.id.as_str()),
                "{url}"
            );
            let fits = match referrer.kind {
                ReferrerKind::Search(_) => origin.category == OriginCategory::Search,
                ReferrerKind::Social(_) => origin.category == OriginCategory::Social,
                ReferrerKind::PrivateApp(_) => origin.category == OriginCategory::Messenger,
                ReferrerKind::WebMail(_) => origin.category == OriginCategory::Mail,
                ReferrerKind::MailProtection(_) => {
                    origin.category == OriginCategory::MailProtection
                }
                ReferrerKind::Assistant(_) => origin.category == OriginCategory::Assistant,
                ReferrerKind::Video(_) => origin.category == OriginCategory::Video,
                ReferrerKind::Aggregator(_) => origin.category == OriginCategory::Aggregator,
                ReferrerKind::Document(_) => origin.category == OriginCategory::Document,
                ReferrerKind::Browser(_) => origin.category == OriginCategory::Browser,
                ReferrerKind::Spam(_) => origin.category == OriginCategory::Spam,
                ReferrerKind::None | ReferrerKind::Malformed | ReferrerKind::Referral => false,
            };
            assert!(fits, "{url} is {:?}", referrer.kind);
        }
        for package in &origin.packages {
            assert_eq!(
                signals.package(package).map(|o| &o.id),
                Some(&origin.id),
                "{package}"
            );
            let url = format!("android-app://{package}/");
            assert_eq!(
                signals.referrer(&url).origin().map(|o| &o.id),
                Some(&origin.id),
                "{url}"
            );
        }
        for alias in origin.aliases.iter().chain([&origin.id]) {
            let class = signals.campaign(alias, "");
            assert_eq!(
                class.origin.map(|o| &o.id),
                Some(&origin.id),
                "alias {alias}"
            );
        }
    }
}

#[test]
fn every_shim_unwraps_its_examples() {
    let signals = Signals::builtin();
    for shim in signals.shims() {
        assert!(!shim.examples.is_empty(), "{}", shim.id);
        for example in &shim.examples {
            let target = signals.unwrap_shim(example);
            assert_eq!(
                target.as_deref(),
                Some("https://example.com/a?b=1"),
                "{example}"
            );
        }
    }
}

#[test]
fn a_host_means_all_below_it_unless_it_says_only_itself() {
    let signals = Signals::builtin();
    for origin in signals.origins() {
        let first_label_free = |host: &&String| host.trim_end_matches(".*").contains('*');
        for host in origin.hosts.iter().filter(|host| !first_label_free(host)) {
            let only = host.starts_with('=');
            let below = format!("https://nosuchname.{}/", a_host(host));
            let found = signals.referrer(&below).origin().map(|found| &found.id);
            assert_eq!(found == Some(&origin.id), !only, "{below} is {found:?}");
        }
    }
}

#[test]
fn every_shim_is_found_on_each_host_by_each_parameter() {
    let signals = Signals::builtin();
    for shim in signals.shims() {
        for host in &shim.hosts {
            for parameter in &shim.parameters {
                let (host, path) = (a_host(host), &shim.path);
                let url = format!("https://{host}{path}?{parameter}=https%3A%2F%2Fexample.com%2F");
                let target = signals.unwrap_shim(&url);
                assert_eq!(target.as_deref(), Some("https://example.com/"), "{url}");
            }
        }
    }
}

#[test]
fn every_decoration_is_taken_out_where_it_belongs_and_only_there() {
    let signals = Signals::builtin();
    for row in signals.decorations() {
        let any_value = match row.form {
            Some(Form::Host) => "example.org",
            None => "v",
        };
        let hosts = all_or_one(&row.hosts, "site.example");
        for host in &hosts {
            for value in all_or_one(&row.values, any_value) {
                taken_out(&signals, row, host, value);
            }
        }
        only_there(&signals, row, hosts[0]);
    }
}

fn all_or_one<'a>(texts: &'a [String], one: &'a str) -> Vec<&'a str> {
    match texts {
        [] => vec![one],
        texts => texts.iter().map(String::as_str).collect(),
    }
}

fn taken_out(signals: &Signals, row: &Decoration, host: &str, value: &str) {
    let name = row.name.replace('*', "x");
    let signs: &[char] = match row.place {
        Place::Query => &['?'],
        Place::Fragment => &['#'],
        Place::Both => &['?', '#'],
    };
    for sign in signs {
        let bare = format!("https://{host}/a");
        let url = format!("{bare}{sign}{name}={value}");
        let link = signals.link(&url).unwrap();
        assert_eq!(link.canonical, bare, "{url}");
        assert!(says(&link, row, value), "{url} does not say {:?}", row.says);
        let below = url.replacen("://", "://nosuchname.", 1);
        let link = signals.link(&below).unwrap();
        assert!(
            says(&link, row, value),
            "{below} does not say {:?}",
            row.says
        );
    }
}

fn says(link: &Link<'_>, row: &Decoration, value: &str) -> bool {
    match row.says {
        Says::ShareToken => link.share_token.as_deref() == Some(value),
        Says::ClickId => link.click_ids.iter().any(|d| d.id == row.id),
        Says::ShareMark => link.share_marks.iter().any(|m| m.decoration.id == row.id),
        Says::CampaignSource => link.campaign.source.as_deref() == Some(value),
        Says::CampaignMedium => link.campaign.medium.as_deref() == Some(value),
        Says::CampaignName => link.campaign.name.as_deref() == Some(value),
        Says::CampaignContent => link.campaign.content.as_deref() == Some(value),
        Says::CampaignTerm => link.campaign.term.as_deref() == Some(value),
        Says::CampaignId => link.campaign.id.as_deref() == Some(value),
        Says::MailId => {
            link.campaign.id.as_deref() == Some(value)
                && link.mailed_by().is_some_and(|d| d.id == row.id)
        }
        Says::Recipient => link
            .recipient
            .as_ref()
            .is_some_and(|m| m.decoration.id == row.id),
        Says::Tracking | Says::Session => link.campaign.is_empty(),
        Says::Content => false,
    }
}

/// Another row may take the name on every host, or with any value, and then says less.
fn only_there(signals: &Signals, row: &Decoration, host: &str) {
    let name = row.name.replace('*', "x");
    let value = row.values.first().map_or("v", String::as_str);
    let twin = |is_it: &dyn Fn(&Decoration) -> bool| {
        let mut rows = signals.decorations().iter();
        rows.any(|other| other.name == row.name && is_it(other))
    };
    if !row.hosts.is_empty() {
        let elsewhere = format!("https://site.example/a?{name}={value}");
        let link = signals.link(&elsewhere).unwrap();
        if twin(&|other| other.hosts.is_empty()) {
            assert!(link.share_marks.is_empty(), "{elsewhere} is no mark");
            assert!(link.click_ids.is_empty() && link.campaign.is_empty());
        } else {
            assert_eq!(link.canonical, elsewhere);
        }
    }
    let any_value = |one: &Decoration| one.values.is_empty() && one.form.is_none();
    if !any_value(row) && !twin(&any_value) {
        let other = format!("https://{host}/a?{name}=other-value");
        assert_eq!(signals.link(&other).unwrap().canonical, other);
    }
}
