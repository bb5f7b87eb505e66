//! One content in many ways: again, longer, wrapped, cut, killed, beside another.

use proptest::prelude::*;

use super::super::*;
use super::home::*;

#[test]
fn the_same_content_again_changes_nothing_in_any_wrapping() {
    let home = Home::new(SMALL);
    let content = pages(0..23);
    home.import(content.as_bytes()).unwrap();
    let before = home.hits();
    assert_eq!(before.len(), 23);
    for again in [
        content.clone().into_bytes(),
        gzip(content.as_bytes(), 1),
        gzip(content.as_bytes(), 4),
        zstd(content.as_bytes()),
        [
            zstd(&content.as_bytes()[..500]),
            zstd(&content.as_bytes()[500..]),
        ]
        .concat(),
        content.as_bytes()[..content.len() / 2].to_vec(),
    ] {
        let summary = home.import(&again).unwrap();
        assert_eq!(summary.hits(), 0);
        assert_eq!(summary.known, summary.lines);
    }
    assert_eq!(home.hits(), before);
    assert_eq!(home.heartbeats().len(), 1);
    let other = ImportOptions {
        site: Site::parse("other.example").unwrap(),
        ..options()
    };
    let log = home.log();
    let summary = home
        .importer(&log)
        .import(source(content.as_bytes()), &other, &mut |_| Next::GoOn)
        .unwrap();
    assert_eq!(summary.hits(), 23, "another site's log is another log");
}

#[test]
fn a_last_line_without_its_end_waits_until_it_is_whole() {
    let home = Home::new(SMALL);
    let content = pages(0..7);
    let cut = content.len() - 40;
    let summary = home.import(&content.as_bytes()[..cut]).unwrap();
    assert_eq!((summary.lines, summary.hits()), (6, 6));
    assert!(summary.held_back.is_some());
    let whole = &content.as_bytes()[..content.len() - 1];
    let summary = home.import(whole).unwrap();
    assert_eq!(
        (summary.known, summary.hits(), summary.held_back),
        (6, 1, None)
    );
    let summary = home.import(whole).unwrap();
    assert_eq!((summary.known, summary.hits()), (7, 0));
    // The server wrote more fields after the user agent, then went on.
    let grown = format!("{} 0.005\n{}", content.trim_end(), pages(7..9));
    let summary = home.import(grown.as_bytes()).unwrap();
    assert_eq!((summary.known, summary.hits()), (7, 2));
    assert_eq!(home.import(grown.as_bytes()).unwrap().hits(), 0);
    assert_eq!(home.hits().len(), 9);
}

#[test]
fn a_cut_archive_keeps_its_whole_lines_and_says_so() {
    for pack in [|content: &[u8]| gzip(content, 1), zstd] {
        let home = Home::new(LIMITS);
        // Larger than one block of either format.
        let content = pages(0..6000);
        let packed = pack(content.as_bytes());
        let error = home.import(&packed[..packed.len() * 2 / 3]).unwrap_err();
        let ImportError::Damaged { summary, .. } = &error else {
            panic!("{error}")
        };
        assert!(
            summary.lines > 0 && summary.lines < 6000,
            "{}",
            summary.lines
        );
        assert_eq!(home.hits().len() as u64, summary.lines);
        assert!(error.to_string().contains("whole copy"), "{error}");
        let rest = home.import(&packed).unwrap();
        assert_eq!(rest.known, summary.lines);
        assert_eq!(without_ids(home.hits()), {
            let undisturbed = Home::new(LIMITS);
            undisturbed.import(content.as_bytes()).unwrap();
            without_ids(undisturbed.hits())
        });
    }
}

#[test]
fn two_imports_into_one_site_do_not_mix() {
    let home = Home::new(SMALL);
    let log = home.log();
    let importer = home.importer(&log);
    let content = pages(0..50);
    let mut inner = None;
    let outer = importer.import(source(content.as_bytes()), &options(), &mut |_| {
        if inner.is_none() {
            inner =
                Some(importer.import(source(content.as_bytes()), &options(), &mut |_| Next::GoOn));
        }
        Next::GoOn
    });
    let outcomes = [outer, inner.unwrap()];
    assert!(
        outcomes
            .iter()
            .any(|outcome| matches!(outcome, Err(ImportError::Busy { .. })))
    );
    drop(importer);
    wait_until_alone(log);
    home.import(content.as_bytes()).unwrap();
    assert_eq!(home.hits().len(), 50);
}

/// One thing done with a content.
#[derive(Clone, Debug)]
enum Act {
    /// Import the content up to a share of its length, in a wrapping.
    Import { share: f64, wrapping: u8 },
    /// Import, killed after so many commits: only what the disk has remains.
    Killed { share: f64, commits: u64 },
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        (0.0..=1.0, 0_u8..4).prop_map(|(share, wrapping)| Act::Import { share, wrapping }),
        (0.0..=1.0, 1_u64..5).prop_map(|(share, commits)| Act::Killed { share, commits }),
    ]
}

fn content_line() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => (0_usize..100, 0_usize..9).prop_map(|(number, page)| line(number, &format!("/p/{page}"))),
        1 => Just("\n".to_owned()),
        1 => "[ -~]{0,60}\n",
        1 => (0_usize..100).prop_map(|number| line(number, "/style.css").replace('\n', "\r\n")),
    ]
}

fn without_ids(hits: Vec<Seen>) -> Vec<(String, i64, Option<i64>, String)> {
    hits.into_iter()
        .map(|hit| (hit.url, hit.time, hit.visitor, hit.user_agent))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_way_to_import_a_content_gives_the_hits_of_one_undisturbed_import(
        lines in proptest::collection::vec(content_line(), 1..40),
        acts in proptest::collection::vec(act(), 0..6),
    ) {
        let content = lines.concat().into_bytes();
        let undisturbed = Home::new(SMALL);
        let whole = undisturbed.import(&content).unwrap();
        let home = Home::new(SMALL);
        for act in &acts {
            let (share, wrapping, commits) = match act {
                Act::Import { share, wrapping } => (*share, *wrapping, u64::MAX),
                Act::Killed { share, commits } => (*share, 0, *commits),
            };
            let part = &content[..(content.len() as f64 * share) as usize];
            let wrapped = match wrapping {
                0 => part.to_vec(),
                1 => gzip(part, 1),
                2 => gzip(part, 3),
                _ => zstd(part),
            };
            match home.import_until(&wrapped, commits) {
                Ok(_) | Err(ImportError::Empty(_)) => {}
                Err(error) => return Err(TestCaseError::fail(error.to_string())),
            }
        }
        let last = home.import(&content).unwrap();
        prop_assert_eq!(last.lines, whole.lines);
        prop_assert_eq!(last.held_back, whole.held_back);
        let hits = home.hits();
        let mut ids: Vec<_> = hits.iter().map(|hit| hit.id).collect();
        ids.sort();
        ids.dedup();
        prop_assert_eq!(ids.len(), hits.len(), "ids are unique");
        prop_assert_eq!(without_ids(hits), without_ids(undisturbed.hits()), "{:?}", acts);
        prop_assert_eq!(home.letters(|_| ()), undisturbed.letters(|_| ()));
    }

    #[test]
    fn a_kill_between_commits_leaves_the_same_records_and_ids(
        count in 1_usize..40, kills in proptest::collection::vec(1_u64..4, 0..5),
    ) {
        let content = pages(0..count).into_bytes();
        let undisturbed = Home::new(SMALL);
        undisturbed.import(&content).unwrap();
        let home = Home::new(SMALL);
        for commits in kills {
            home.import_until(&content, commits).unwrap();
        }
        home.import(&content).unwrap();
        prop_assert_eq!(home.hits(), undisturbed.hits());
        prop_assert_eq!(home.heartbeats(), undisturbed.heartbeats());
    }
}
