//! A report of every size at every width.

use super::*;
use crate::report::figures::*;

fn report(visits: f64) -> Report {
    let estimate = Estimate {
        expected: visits * 0.3,
        low: visits * 0.1,
        high: visits * 0.5,
    };
    Report {
        site: "news.example.org".into(),
        from: "2026-01-01".into(),
        to: "2026-01-14".into(),
        visits,
        robots: visits / 10.0,
        channels: vec![
            ChannelFigures {
                channel: "dark_social".into(),
                conventional: 0.0,
                found: estimate,
            },
            ChannelFigures {
                channel: "direct".into(),
                conventional: visits,
                found: Estimate::default(),
            },
        ],
        direct: DirectFigures {
            visits,
            dark_social: estimate,
            others: estimate.rest_of(visits),
            dark_search: visits * 0.2,
            certain: visits * 0.1,
        },
        apps: vec![AppFigures {
            app: "whatsapp".into(),
            visits: estimate,
            certain: 3.0,
            shares: 4.0,
        }],
        contents: vec![ContentFigures {
            content: format!(
                "https://news.example.org/{}/日本語",
                "very-long-path/".repeat(20)
            ),
            visits,
            dark_social: estimate,
            shares: 2.0,
        }],
        hours: (0..24)
            .map(|hour| HourFigures {
                hour,
                visits: f64::from(hour),
                dark_social: estimate,
            })
            .collect(),
        evidence: vec![EvidenceFigures {
            name: "path_length".into(),
            visits,
            decided: 0.0,
            log_odds: 0.71,
            search_log_odds: Some(1.7),
            example: "84-character path \u{1b}[31m".into(),
        }],
        surges: Vec::new(),
        chains: chains(visits),
        dead_letters: 1.0,
        models: vec!["1".into()],
    }
}

fn chains(visits: f64) -> ChainFigures {
    let estimate = Estimate {
        expected: visits * 0.2,
        low: visits * 0.1,
        high: visits * 0.3,
    };
    let ratio = Estimate {
        expected: 0.2,
        low: 0.1,
        high: 0.3,
    };
    ChainFigures {
        token_visits: visits / 10.0,
        cascades: visits / 20.0,
        largest: 12.0,
        deepest: 3.0,
        readers: visits,
        from_readers: estimate,
        from_strangers: estimate.times(0.2),
        reproduction: (visits > 0.0).then_some(ratio),
        reproduction_without_strangers: (visits > 0.0).then_some(ratio.times(0.8)),
        transitions: vec![TransitionFigures {
            from: "whatsapp".into(),
            to: "an-app-with-a-name-of-the-greatest-length-that-hits-may-bring".into(),
            visits,
            certain: visits / 4.0,
        }],
        spreading: vec![SpreadingFigures {
            content: format!("https://news.example.org/{}", "very-long-path/".repeat(20)),
            readers: visits,
            from_readers: estimate,
            reproduction: ratio,
            virality: Some(ratio),
            depth: ratio,
            generation_time_seconds: Some(86_400.0 * 400.0),
            reproduction_now: Some(ratio),
            amplification: Some(estimate),
            doubling_seconds: Some(estimate),
            half_life_seconds: Some(estimate),
            k_factor: Some(ratio),
            broadcast: true,
            broadcast_probability: Some(0.9),
            broadcast_readers: Some(estimate),
        }],
        calibration: Some(ChainCalibration {
            version: "2026.11-cascades.1+12.00000000".into(),
            scored: visits,
            log_loss: 1.5,
            calibration_error: 0.06,
            likeliest_right: 0.5,
            alarm: true,
            token_survival: 0.7,
        }),
    }
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    for width in [40u16, 60, 80, 132, 200] {
        for visits in [0.0, 1.0, 12_345_678.0] {
            let mut out = Vec::new();
            write_text(&report(visits), width, &mut out).expect("writes");
            let text = String::from_utf8(out).expect("utf-8");
            for line in text.lines() {
                assert!(line.width() <= usize::from(width), "{width}: {line}");
            }
            assert!(
                !text.contains('\u{1b}'),
                "no escape sequence of a stranger reaches the terminal"
            );
            let mut words = text.split(|c: char| !c.is_alphabetic());
            assert!(!words.any(|word| ["NaN", "inf"].contains(&word)), "{text}");
        }
    }
}

#[test]
fn a_long_text_keeps_both_ends() {
    assert_eq!(shortened("abcdefghijkl", 7), "ab…ijkl");
}

#[test]
fn a_fact_says_what_it_adds_to_each_rival() {
    let fact = |decided, log_odds, search_log_odds| EvidenceFigures {
        name: "mobile".into(),
        visits: 1.0,
        decided,
        log_odds,
        search_log_odds,
        example: "phone".into(),
    };
    for (fact, [private, search]) in [
        (fact(0.0, 0.71, Some(-0.32)), ["+0.7", "-0.3"]),
        (fact(0.0, 0.0, Some(-0.34)), ["+0.0", "-0.3"]),
        (fact(0.0, 0.71, None), ["+0.7", "unknown"]),
        (fact(1.0, 0.0, Some(0.0)), ["decides", ""]),
        (fact(1.0, 0.0, None), ["decides", ""]),
        // A broken token: noted where nothing decided.
        (fact(0.0, 0.0, Some(0.0)), ["+0.0", "+0.0"]),
    ] {
        assert_eq!(weights(&fact), [private, search], "{fact:?}");
    }
    let told = |width| {
        let mut out = Vec::new();
        write_text(&report(1_000.0), width, &mut out).expect("writes");
        let text = String::from_utf8(out).expect("utf-8");
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    for words in [
        "path length 1 000 +0.7 +1.7 84-character path",
        "for a private link: mean log-odds of dark social",
        "for dark search: the same of a search that left no referrer",
    ] {
        assert!(told(132).contains(words), "{words}: {}", told(132));
    }
    assert!(told(60).contains("private: mean log-odds") && told(60).contains("search: the same"));
}

#[test]
fn what_is_guessed_is_told_from_what_is_certain() {
    let mut out = Vec::new();
    write_text(&report(1_000.0), 200, &mut out).expect("writes");
    let text = String::from_utf8(out).expect("utf-8");
    // As one line, narrow spaces as ordinary ones.
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in [
        "The other 500 to 900 (50 % to 90 %) were typed or bookmarked",
        "about 200 (20 %) by search is a guess that has no range",
        "in the hour with the most of them 300, the range is 100 to 500.",
        "each reader brings 0.20 more (0.10 to 0.30), those still to come included",
        "About 40 of them have a sender who was never seen",
        "if no reader stands behind these, each reader brings 0.16 (0.08 to 0.24)",
        "the largest has at least 12 visits",
        "the link went at least 3 times from hand to hand",
        "reader came by visits by a token",
    ] {
        assert!(line.contains(words), "{words}: {text}");
    }
}
