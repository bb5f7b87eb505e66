//! From one app to another: who came by a link in one app and passed it on in the next.

use grapevine_event::*;

use crate::world::{MINUTE, T0, World, read};

const GIVEN: &str = "story0000000000000001";
const PASSED_ON: &str =
    "https://example.org/politics/the-long-story-of-a-small-town?gv=story0000000000000001";
const IN_WHATSAPP: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1 [WAiOS/2.26.31]";
const IN_TELEGRAM: &str = "Mozilla/5.0 (Linux; Android 14; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.6668.100 Mobile Safari/537.36 Telegram-Android/11.3.3 (Samsung SM-S918B; Android 14; SDK 34; HIGH)";

/// How somebody came who names Telegram as far as it names itself.
const BY_TELEGRAM: [fn(&mut Hit<'static>); 3] = [
    |hit| hit.referrer = Some("https://web.telegram.org/"),
    |hit| hit.referrer = Some("android-app://org.telegram.messenger/"),
    |hit| hit.user_agent = IN_TELEGRAM,
];

/// Somebody who opens the passed-on link in WhatsApp's own browser.
fn in_whatsapp(hit: &mut Hit<'static>) {
    (hit.url, hit.user_agent) = (PASSED_ON, IN_WHATSAPP);
}

/// What the edge by a token says of a child: parent, its app, the child's, delay, probability; the row that the
/// table of transitions adds up.
type Crossing = (Option<Id>, String, String, Option<i64>, f32);

/// Edges by tokens that stand in the end: what was taken back is gone.
fn crossings(world: &World, child: Id) -> Vec<Crossing> {
    read!(world, topic::EDGES, Edge, bytes, edges);
    let mut standing: Vec<(Crossing, i32)> = Vec::new();
    for edge in edges {
        if edge.child_visit != child || edge.method != EdgeMethod::Token {
            continue;
        }
        let crossing = (
            edge.parent_visit,
            edge.parent_app.to_string(),
            edge.child_app.to_string(),
            edge.lag_ms,
            edge.probability,
        );
        match standing.iter_mut().find(|(known, _)| *known == crossing) {
            Some((_, times)) => *times += edge.sign,
            None => standing.push((crossing, edge.sign)),
        }
    }
    standing.retain(|(_, times)| *times != 0);
    standing.into_iter().map(|(crossing, _)| crossing).collect()
}

fn from_telegram_to_whatsapp(sharer: Id, lag: i64) -> [Crossing; 1] {
    let [from, to] = ["telegram", "whatsapp"].map(str::to_owned);
    [(Some(sharer), from, to, Some(lag), 1.0)]
}

#[test]
fn a_link_read_in_telegram_and_passed_on_in_whatsapp_crosses_from_one_to_the_other() {
    for came in BY_TELEGRAM {
        let mut world = World::new();
        let sharer = world.hit(1, T0, |hit| {
            came(hit);
            hit.share_token = Some(GIVEN);
        });
        let child = world.hit(2, T0 + 3 * MINUTE, in_whatsapp);
        world.drain();
        assert_eq!(
            crossings(&world, child),
            from_telegram_to_whatsapp(sharer, 3 * MINUTE)
        );
    }
}

/// A page may give no token of its own and each press of its buttons one.
#[test]
fn a_button_s_token_crosses_from_the_app_that_brought_the_sharer() {
    // Long after the landing, and while that is still held for what may come late.
    for pressed in [2 * MINUTE, 2_000] {
        for came in BY_TELEGRAM {
            let mut world = World::new();
            let sharer = world.hit(1, T0, came);
            world.hit(1, T0 + pressed, |hit| {
                (hit.kind, hit.share_token) = (HitKind::Share, Some(GIVEN));
            });
            let child = world.hit(2, T0 + pressed + MINUTE, in_whatsapp);
            world.drain();
            // The owner's time is that of the press.
            assert_eq!(
                crossings(&world, child),
                from_telegram_to_whatsapp(sharer, MINUTE),
                "{pressed}"
            );
        }
    }
}

/// The sharer's landing comes through a task that is behind by more than anybody waits.
#[test]
fn a_link_whose_sharer_becomes_known_late_crosses_all_the_same() {
    for came in BY_TELEGRAM {
        let mut world = World::new();
        let child = world.hit(2, T0 + 3 * MINUTE, |hit| {
            in_whatsapp(hit);
            hit.share_token = Some("child0000000000000001");
        });
        world.hit(3, T0 + 4 * MINUTE, |_| {});
        let sharer = world.hit(1, T0, |hit| {
            came(hit);
            hit.share_token = Some(GIVEN);
        });
        world.drain();
        assert_eq!(
            crossings(&world, child),
            from_telegram_to_whatsapp(sharer, 3 * MINUTE)
        );
    }
}
