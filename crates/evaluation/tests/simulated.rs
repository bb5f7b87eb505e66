//! Evaluation of cascades that are made here, with a truth that the shipped weights never saw.

use grapevine_evaluation::{
    CopiedMarks, Labelled, Setting, Tokens, baselines, evaluate, learn, read,
};
use grapevine_inference::causes::{Holding, MarkLaws, Weights};

mod made;

use made::cascades;

fn counted(figure: Option<f64>) -> f64 {
    figure.expect("something counts for it")
}

#[test]
fn the_inference_beats_every_baseline_and_learns_from_tokens() {
    let scored = cascades(1, 60);
    let known = cascades(2, 60);
    let weights = Weights::builtin();
    let tokens = Tokens { rate: 0.1, seed: 1 };
    let setting = Setting {
        tokens,
        marks: None,
    };
    let laws = MarkLaws::default();
    let shipped = evaluate(&scored, setting, &weights, &laws).settled;
    for baseline in baselines(&scored, tokens, None).methods {
        let name = baseline.name;
        let theirs = baseline.measures;
        assert!(
            counted(shipped.log_loss) < counted(theirs.log_loss),
            "{name}: {theirs:?} {shipped:?}"
        );
        let [ours, theirs] = [shipped, theirs].map(|found| counted(found.reproduction_mae));
        assert!(ours < theirs, "{name}");
    }
    let (learned, laws) = learn(&known, setting, &weights, Holding::default());
    let learned = evaluate(&scored, setting, &learned, &laws).settled;
    assert!(
        counted(learned.log_loss) < counted(shipped.log_loss) - 0.02,
        "{learned:?} {shipped:?}"
    );
    let labelled = Labelled {
        cascades: &known,
        tokens,
    };
    for baseline in baselines(&scored, tokens, Some(labelled)).methods {
        let (name, theirs) = (baseline.name, baseline.measures);
        assert!(
            counted(learned.log_loss) < counted(theirs.log_loss),
            "{name}: {theirs:?} {learned:?}"
        );
    }
    assert!(counted(learned.ece) < 0.05, "{learned:?}");
    let bias = counted(learned.reproduction_pooled) - counted(learned.reproduction_true);
    assert!(bias.abs() < 0.03, "{learned:?}");
    assert!(
        (0.6..=1.0).contains(&counted(learned.reproduction_coverage)),
        "{learned:?}"
    );
}

#[test]
fn more_tokens_tell_more_and_the_same_run_says_the_same() {
    let scored = cascades(3, 40);
    let weights = Weights::builtin();
    let at = |rate: f64| {
        let setting = Setting {
            tokens: Tokens { rate, seed: 1 },
            marks: None,
        };
        evaluate(&scored, setting, &weights, &MarkLaws::default()).settled
    };
    let losses = [0.0, 0.05, 0.3].map(|rate| counted(at(rate).log_loss));
    assert!(losses.is_sorted_by(|a, b| a > b), "{losses:?}");
    assert_eq!(at(0.05), at(0.05));
    let edges: usize = scored.iter().map(|cascade| cascade.parents.len() - 1).sum();
    assert_eq!(at(0.0).edges, edges, "every hidden edge is scored");
}

#[test]
fn marks_that_children_copy_name_their_parents() {
    let scored = cascades(4, 60);
    let weights = Weights::builtin();
    let with = |marks| {
        let setting = Setting {
            tokens: Tokens {
                rate: 0.05,
                seed: 1,
            },
            marks,
        };
        evaluate(&scored, setting, &weights, &MarkLaws::default()).settled
    };
    let (without, with) = (
        with(None),
        with(Some(CopiedMarks {
            channel: 0.5,
            network: 0.3,
            seed: 1,
        })),
    );
    let both = [with, without];
    let [ours, theirs] = both.map(|found| counted(found.log_loss));
    assert!(ours < theirs - 0.1, "{with:?}");
    let [ours, theirs] = both.map(|found| counted(found.top1_chain));
    assert!(ours > theirs + 0.03, "{with:?}");
    let [ours, theirs] = both.map(|found| counted(found.reproduction_mae));
    assert!(ours < theirs, "{with:?}");
}

#[test]
fn a_file_reads_the_same_plain_and_packed() {
    let text = "cascade_id,node_id,parent_id,t_seconds\n7,0,,0\n7,1,0,12\n7,2,1,30.5\n";
    let folder = tempfile::tempdir().expect("a folder");
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, text.as_bytes()).expect("packs");
    let files = [
        ("plain.csv", text.as_bytes().to_vec()),
        ("packed.csv.gz", packed.finish().expect("packs")),
        (
            "packed.csv.zst",
            zstd::encode_all(text.as_bytes(), 1).expect("packs"),
        ),
    ];
    for (name, bytes) in files {
        let path = folder.path().join(name);
        std::fs::write(&path, &bytes).expect("writes");
        let cascades = read(&path).expect(name);
        assert_eq!(cascades[0].parents, [0, 0, 1], "{name}");
        assert_eq!(cascades[0].times, [0, 12_000, 30_500], "{name}");
        // Cut off in the middle: a message, not a shorter cascade, where the packing tells.
        if name != "plain.csv" {
            std::fs::write(&path, &bytes[..bytes.len() - 9]).expect("writes");
            assert!(read(&path).is_err(), "{name}");
        }
    }
}
