//! What a landing allocates that a fact decides: by each way of deciding, and by what may be said beside it.

use super::*;

/// A landing that a fact decides, and what is said of it.
#[derive(Debug)]
struct Decided {
    /// The facts in the order that they are told.
    facts: &'static [&'static str],
    /// A part of what is said of the first.
    says: &'static str,
    /// Parameters of the link; `{at}` is the number of the hit, `{reader}` that of its reader.
    query: &'static str,
    referrer: &'static str,
    user_agent: &'static str,
    /// What else the hit has.
    with: fn(&mut Hit<'_>),
}

const LANDING: Decided = Decided {
    facts: &[],
    says: "",
    query: "",
    referrer: "",
    user_agent: IPHONE,
    with: |_| (),
};

const BY_PLACE: &[Decided] = &[
    Decided {
        facts: &["private_referrer"],
        says: "posts of its public channels open alike",
        referrer: "https://web.whatsapp.com/",
        ..LANDING
    },
    Decided {
        facts: &["private_referrer"],
        says: "which has public places too",
        referrer: "https://discord.com/",
        ..LANDING
    },
    Decided {
        facts: &["mail_referrer"],
        says: "an untagged newsletter looks the same",
        referrer: "https://mail.google.com/",
        ..LANDING
    },
    Decided {
        facts: &["public_referrer"],
        says: "referrer of Google",
        referrer: "https://www.google.com/",
        ..LANDING
    },
    Decided {
        facts: &["public_referrer"],
        says: "messages or posts, it does not say",
        referrer: "https://t.co/abc",
        ..LANDING
    },
    Decided {
        facts: &["public_referrer"],
        says: "referrer www.other.example",
        referrer: "https://www.other.example/page",
        ..LANDING
    },
    Decided {
        facts: &["public_referrer"],
        says: "for members only or for anybody",
        referrer: "https://docs.google.com/",
        ..LANDING
    },
    Decided {
        facts: &["public_referrer"],
        says: "referrer of ChatGPT",
        referrer: "https://chatgpt.com/",
        ..LANDING
    },
    Decided {
        facts: &["public_referrer"],
        says: "referrer of Hacker News",
        referrer: "https://news.ycombinator.com/",
        ..LANDING
    },
    Decided {
        facts: &["public_referrer"],
        says: "opened from the app com.Other.app",
        referrer: "android-app://com.Other.app/",
        ..LANDING
    },
    Decided {
        facts: &["internal_referrer"],
        referrer: "https://example.org/politics",
        ..LANDING
    },
];

const BY_APP: &[Decided] = &[
    Decided {
        facts: &["requested_with"],
        says: "WhatsApp named itself",
        with: |hit| hit.requested_with = Some("com.whatsapp"),
        ..LANDING
    },
    Decided {
        facts: &["requested_with"],
        says: "Slack named itself",
        with: |hit| hit.requested_with = Some("com.Slack"),
        ..LANDING
    },
    Decided {
        facts: &["requested_with"],
        says: "messages or posts, it does not say",
        with: |hit| hit.requested_with = Some("com.facebook.katana"),
        ..LANDING
    },
    Decided {
        facts: &["requested_with"],
        says: "posts would have kept their referrer more often",
        with: |hit| hit.requested_with = Some("com.instagram.android"),
        ..LANDING
    },
    Decided {
        facts: &["requested_with"],
        says: "Gmail named itself",
        with: |hit| hit.requested_with = Some("com.google.android.gm"),
        ..LANDING
    },
    Decided {
        facts: &["in_app_browser"],
        says: "opened in the browser of WhatsApp",
        user_agent: "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1 [WAiOS/2.26.31]",
        ..LANDING
    },
    Decided {
        facts: &["client"],
        says: "the page's script saw the browser of Telegram",
        with: |hit| hit.app = Some("telegram"),
        ..LANDING
    },
];

const BY_LINK: &[Decided] = &[
    Decided {
        facts: &["share_mark"],
        says: "from=singlemessage into the link: shared in a private message",
        query: "from=singlemessage&isappinstalled=0",
        ..LANDING
    },
    Decided {
        facts: &["share_mark"],
        says: "in private or in public it does not say",
        query: "share_depth=2",
        ..LANDING
    },
    Decided {
        facts: &["public_referrer", "share_mark"],
        query: "isappinstalled=0&share_from=self",
        referrer: "https://t.co/abc",
        ..LANDING
    },
    Decided {
        facts: &["click_id"],
        says: "marks a paid click",
        query: "gad_source=1&gad_campaignid=2&gbraid=a&gclid=b",
        referrer: "https://www.google.com/",
        ..LANDING
    },
    Decided {
        facts: &["click_id"],
        says: "marks a paid click; a copied link keeps it",
        query: "gclid=b",
        ..LANDING
    },
    Decided {
        facts: &["click_id"],
        says: "without referrer: organic or paid, post or message",
        query: "fbclid=a",
        ..LANDING
    },
    Decided {
        facts: &["click_id"],
        says: "marks a result of",
        query: "ysclid=a",
        ..LANDING
    },
    Decided {
        facts: &["campaign"],
        says: "tagged Newsletter / E-Mail / spring sale, now; a copied link keeps its tags",
        query: "utm_source=Newsletter&utm_medium=E-Mail&utm_campaign=spring%20sale,+now",
        ..LANDING
    },
    Decided {
        facts: &["campaign"],
        says: "tagged as made for a messenger",
        query: "utm_source=WhatsApp&utm_medium=social",
        ..LANDING
    },
    Decided {
        facts: &["campaign"],
        says: "tagged as posted in a public channel",
        query: "utm_source=telegram&utm_medium=channel",
        ..LANDING
    },
    Decided {
        facts: &["campaign"],
        says: "tagged id 4 / content top right / term a & b",
        query: "utm_term=a+%26+b&utm_content=top+right&utm_id=4",
        ..LANDING
    },
    Decided {
        facts: &["campaign"],
        says: "is put on by a system that sends mails; a copied link keeps it",
        query: "mc_eid=a",
        ..LANDING
    },
    Decided {
        facts: &["campaign"],
        says: "tagged list, and mc_eid",
        query: "mc_eid=a&utm_source=list",
        ..LANDING
    },
    Decided {
        facts: &["campaign"],
        says: "opened in a mail: sent out by a site, or passed on",
        query: "utm_source=blog",
        referrer: "https://mail.google.com/",
        ..LANDING
    },
    Decided {
        facts: &["private_referrer", "share_mark", "campaign", "click_id"],
        query: "utm_source=blog&fbclid=a&share_depth=1",
        referrer: "https://web.whatsapp.com/",
        ..LANDING
    },
];

/// Landings by a token that nobody was given. In the chain stage they wait for its owner, and are kept meanwhile.
const BY_TOKEN: &[Decided] = &[
    Decided {
        facts: &["token", "without_token"],
        query: "gv=t{at}",
        ..LANDING
    },
    Decided {
        facts: &["token", "requested_with", "share_mark"],
        query: "gv=t{at}&from=timeline",
        with: |hit| hit.requested_with = Some("com.whatsapp"),
        ..LANDING
    },
    Decided {
        facts: &["token", "share_mark"],
        query: "gv=t{at}&from=singlemessage",
        with: |hit| hit.requested_with = Some("com.tencent.mm"),
        ..LANDING
    },
    Decided {
        facts: &["token", "public_referrer"],
        query: "gv=t{at}",
        referrer: "https://t.co/abc",
        ..LANDING
    },
    Decided {
        facts: &["token_again"],
        query: "gv=r{reader}",
        ..LANDING
    },
];

const BY_MACHINE: &[Decided] = &[
    Decided {
        facts: &["robot"],
        says: "user agent of Googlebot (search)",
        user_agent: "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        ..LANDING
    },
    Decided {
        facts: &["robot"],
        says: "a robot without a name",
        user_agent: "some-unnamed-bot/1.0",
        ..LANDING
    },
    Decided {
        facts: &["robot"],
        says: "(tool)",
        user_agent: "curl/8.5.0",
        ..LANDING
    },
    Decided {
        facts: &["robot"],
        says: "no user agent",
        user_agent: "",
        with: |hit| hit.protocol = Protocol::Pixel,
        ..LANDING
    },
    Decided {
        facts: &["robot"],
        says: "tests the links of mails",
        user_agent: "Mimecast-Link-Protect/1.0",
        ..LANDING
    },
    Decided {
        facts: &["preview_fetcher"],
        says: "fetches previews",
        user_agent: "Slack-ImgProxy 1.138 (+https://api.slack.com/robots)",
        ..LANDING
    },
    Decided {
        facts: &["range"],
        says: "(bytes=0-65535)",
        with: |hit| hit.range = Some("bytes=0-65535"),
        ..LANDING
    },
    Decided {
        facts: &["spam_referrer"],
        says: "which forges visits",
        referrer: "https://semalt.com/",
        ..LANDING
    },
];

impl Decided {
    /// Hit number `at` of it.
    fn hit(&self, at: i64) -> Vec<u8> {
        let query = self.query.replace("{at}", &at.to_string());
        let query = query.replace("{reader}", &(at % READERS).to_string());
        changed(at, &format!("{}?{query}", url(at)), |hit| {
            hit.user_agent = self.user_agent;
            hit.referrer = Some(self.referrer);
            (self.with)(hit);
        })
    }
}

/// Hits of each row: the first bring what is not remembered yet, the others are counted.
const BEFORE: usize = 1_000;
const COUNTED: usize = 1_000;

#[test]
fn a_landing_that_a_fact_decides_allocates_nothing_in_the_classify_stage() {
    let mut classify = ClassifyStage::new(classifier());
    let mut numbers = 0..;
    let rows = [BY_PLACE, BY_APP, BY_LINK, BY_TOKEN, BY_MACHINE];
    for row in rows.into_iter().flatten() {
        let mut hits = |count| -> Vec<Vec<u8>> {
            let numbers = numbers.by_ref().take(count);
            numbers.map(|at| row.hit(at)).collect()
        };
        let (before, hits) = (hits(BEFORE), hits(COUNTED));
        let (allocations, out) = counted(&mut classify, &before, &hits);
        assert!(allocations <= 0.01, "{allocations} allocations of {row:?}");
        let records = passed_on(&out);
        assert_eq!(visits(&records).count(), COUNTED, "{row:?}");
        for visit in visits(&records) {
            let names: Vec<&str> = visit.evidence.iter().map(|fact| fact.name).collect();
            assert_eq!(names, row.facts, "{row:?}");
            let said = &visit.evidence[0].detail;
            assert!(said.contains(row.says), "{said} of {row:?}");
        }
    }
}

/// All ways in turn: one that allocates for each hit brings the mean above what is allowed.
#[test]
fn nor_in_the_chain_stage() {
    let rows = [BY_PLACE, BY_APP, BY_LINK, BY_MACHINE];
    let rows: Vec<&Decided> = rows.into_iter().flatten().collect();
    assert!(1.0 / rows.len() as f64 > 2.0 * 0.01);
    let hits: Vec<Vec<u8>> = (0..24_000)
        .zip(rows.into_iter().cycle())
        .map(|(at, row)| row.hit(at))
        .collect();
    let (_, out) = counted(&mut ClassifyStage::new(classifier()), &[], &hits);
    let records = passed_on(&out);
    assert_eq!(records.len(), hits.len());
    let (before, records) = records.split_at(16_000);
    let mut chain = ChainStage::new(classifier());
    let (allocations, _) = counted(&mut chain, before, records);
    assert!(allocations <= 0.01, "{allocations} allocations a landing");
}

#[test]
fn a_scan_of_links_allocates_nothing() {
    // Eight pages within a second, each scan by a visitor of its own, who has no id.
    let hits = |from: i64, to: i64| -> Vec<Vec<u8>> {
        let hit = |at: i64| {
            changed(at, &url(at), |hit| {
                hit.event_time += (at % 8) * (100 - 10_000);
                hit.received_time = hit.event_time;
                hit.visitor = Some(at / 8 % READERS);
                hit.visitor_basis = VisitorBasis::Address;
            })
        };
        (from..to).map(hit).collect()
    };
    let mut classify = ClassifyStage::new(classifier());
    let (allocations, out) = counted(&mut classify, &hits(0, 8_000), &hits(8_000, 12_000));
    assert!(allocations <= 0.01, "{allocations} allocations of a scan");
    let records = passed_on(&out);
    let scans = visits(&records).filter(|visit| visit.evidence[0].name == "burst");
    // The first two pages are not known for what they are.
    assert_eq!(scans.count(), 4_000 / 8 * 6);
}
