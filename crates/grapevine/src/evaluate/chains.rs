//! `grapevine evaluate chains`: how well share chains are inferred, beside the methods to beat.

mod writing;

use std::io;

use grapevine_evaluation::{
    Baselines, Cascade, CopiedMarks, Evaluation, Labelled, Setting, Tokens, baselines, evaluate,
    learn,
};
use grapevine_inference::causes::{Holding, MarkLaws, Weights};

use crate::cli::{EvaluateChainsArgs, EvaluateFormat};
use crate::exit::{Ends, ExitKind, Failure};
use crate::settings::Settings;
use writing::{write_json, write_text};

/// Shares of tokens that the table is printed for where none is asked for.
const TOKEN_RATES: [f64; 5] = [0.0, 0.01, 0.05, 0.2, 0.5];
/// The one that the JSON document is of where none is asked for.
const TOKEN_RATE: f64 = 0.05;

/// What came of one share of tokens.
struct Scored {
    token_rate: f64,
    weights: Weights,
    evaluation: Evaluation,
    baselines: Baselines,
}

/// Runs the command.
///
/// # Errors
/// A file that is not there or is no cascade file or no weights, nothing to score at a share of
/// tokens that was asked for, an output that cannot be written.
pub(super) fn evaluate_chains(
    arguments: &EvaluateChainsArgs,
    settings: &Settings,
) -> Result<(), Failure> {
    let cascades = super::cascades(&arguments.file)?;
    let known = match &arguments.fit {
        Some(path) => Some(super::cascades(path)?),
        None => None,
    };
    let start = super::weights(arguments.weights.as_deref(), settings)?;
    let rates = match (arguments.token_rate.as_slice(), arguments.format) {
        ([], EvaluateFormat::Text) => TOKEN_RATES.to_vec(),
        ([], EvaluateFormat::Json) => vec![TOKEN_RATE],
        (asked, _) => asked.to_vec(),
    };
    let mut all = Vec::new();
    let mut nothing_hidden = Vec::new();
    for rate in rates {
        match score(arguments, rate, &cascades, known.as_deref(), &start) {
            Some(scored) => all.push(scored),
            None => nothing_hidden.push(rate),
        }
    }
    let asked = !arguments.token_rate.is_empty();
    if let Some(rate) = nothing_hidden.first()
        && (asked || all.is_empty())
    {
        let problem = format!(
            "{}: at token rate {rate} no edge is hidden, so nothing can be scored; lower --token-rate",
            arguments.file.display()
        );
        return Err(Failure::new(ExitKind::Data, problem));
    }
    let mut out = io::stdout().lock();
    let written = match arguments.format {
        EvaluateFormat::Json => write_json(arguments, &all, &mut out),
        EvaluateFormat::Text => write_text(arguments, &all, &nothing_hidden, &mut out),
    };
    match written {
        // `| head` has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.ends(ExitKind::InputOutput),
    }
}

/// Scores at one share of tokens; none where it hides no edge.
fn score(
    arguments: &EvaluateChainsArgs,
    token_rate: f64,
    cascades: &[Cascade],
    known: Option<&[Cascade]>,
    start: &Weights,
) -> Option<Scored> {
    let setting = setting(arguments, token_rate, arguments.seed);
    // Another seed: cascades of the same number in both files must not draw the same.
    let learning = self::setting(arguments, token_rate, arguments.seed ^ 0x0066_6974);
    let (weights, laws) = match known {
        Some(known) => learn(known, learning, start, Holding::default()),
        None => (start.clone(), MarkLaws::default()),
    };
    let evaluation = evaluate(cascades, setting, &weights, &laws);
    if evaluation.settled.edges == 0 {
        return None;
    }
    let labelled = known.map(|cascades| Labelled {
        cascades,
        tokens: learning.tokens,
    });
    Some(Scored {
        token_rate,
        weights,
        evaluation,
        baselines: baselines(cascades, setting.tokens, labelled),
    })
}

fn setting(arguments: &EvaluateChainsArgs, rate: f64, seed: u64) -> Setting {
    Setting {
        tokens: Tokens { rate, seed },
        marks: arguments.marks.map(|[channel, network]| CopiedMarks {
            channel,
            network,
            seed,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::writing::document;
    use super::*;
    use crate::cli::{EvaluateArgs, EvaluateWhat};
    use clap::Parser;

    fn arguments(line: &[&str]) -> EvaluateChainsArgs {
        let cli = crate::cli::Cli::try_parse_from(line).expect("arguments");
        match cli.command {
            crate::cli::Command::Evaluate(EvaluateArgs {
                what: EvaluateWhat::Chains(arguments),
            }) => arguments,
            other => panic!("{other:?}"),
        }
    }

    fn settings() -> Settings {
        let loaded = Settings::load(&crate::settings::Overrides::default());
        loaded.expect("settings").settings
    }

    fn scored(arguments: &EvaluateChainsArgs) -> Vec<Scored> {
        let read = |path: &std::path::Path| crate::evaluate::cascades(path).expect("cascades");
        let cascades = read(&arguments.file);
        let known = arguments.fit.as_deref().map(read);
        let rates = arguments.token_rate.iter();
        let scored = rates.map(|rate| {
            let start = Weights::builtin();
            score(arguments, *rate, &cascades, known.as_deref(), &start).expect("hidden edges")
        });
        scored.collect()
    }

    #[test]
    fn the_document_has_the_measures_by_their_names() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("c.csv");
        let text = "cascade_id,node_id,parent_id,t_seconds\n1,0,,0\n1,1,0,5\n1,2,1,9\n1,3,0,12\n";
        std::fs::write(&path, text).expect("writes");
        let file = path.to_str().expect("a name");
        let arguments = arguments(&["grapevine", "evaluate", "chains", file, "--token-rate", "0"]);
        let all = scored(&arguments);
        let document = document(&arguments, &all[0]);
        let value = serde_json::to_value(&document).expect("a document");
        for key in [
            "top1",
            "mrr",
            "log_loss",
            "brier",
            "ece",
            "reproduction_mae",
            "reproduction_coverage",
            "virality_mae",
            "virality_coverage",
        ] {
            assert!(value[key].is_f64(), "{key}: {value}");
        }
        assert_eq!(value["edges"], 3);
        // Of three edges one is no child of the root, and this method takes none for such.
        let bias = &value["baselines"]["always root"]["reproduction_bias"];
        let off = bias.as_f64().map(|bias| (bias + 1.0 / 3.0).abs());
        assert!(off.is_some_and(|off| off < 1e-12), "{value}");
        let figure = |key: &str| value[key].as_f64().expect(key);
        let stated = figure("reproduction_pooled") - figure("reproduction_true");
        assert_eq!(figure("reproduction_bias"), stated);
        assert!(value["in_spreads"]["virality_coverage"].is_f64(), "{value}");
        assert!(value["baselines"]["uniform"]["log_loss"].is_f64());
        assert!(value["baselines"]["uniform"]["virality_coverage"].is_null());
        let mut text = Vec::new();
        write_text(&arguments, &all, &[], &mut text).expect("written");
        let text = String::from_utf8(text).expect("text");
        assert!(
            text.contains("3 hidden edges") && text.contains("most recent"),
            "{text}"
        );
        let root = text.lines().find(|line| line.contains("always root"));
        let root = root.expect("a row of it");
        assert!(text.contains("bias") && root.contains("-0.333"), "{text}");
        let left_out = text.lines().find(|line| line.starts_with("left out"));
        let left_out = left_out.expect("a line says what is left out");
        assert!(
            left_out.contains("--fit") && left_out.contains("two-type Hawkes"),
            "{left_out}"
        );
        let mut json = Vec::new();
        write_json(&arguments, &all, &mut json).expect("written");
        let found: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
        assert!(found.is_object() && found["edges"] == 3, "{found}");
    }

    #[test]
    fn what_nothing_counts_for_is_null_and_a_dash() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("c.csv");
        // One reader, from outside: too small a cascade to count, and nobody was sent by anybody.
        let text = "cascade_id,node_id,parent_id,t_seconds\n1,0,,0\n1,1,0,5\n";
        std::fs::write(&path, text).expect("writes");
        let file = path.to_str().expect("a name");
        let arguments = arguments(&["grapevine", "evaluate", "chains", file, "--token-rate", "0"]);
        let all = scored(&arguments);
        let mut json = Vec::new();
        write_json(&arguments, &all, &mut json).expect("written");
        let found: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
        assert_eq!(found["edges"], 1);
        assert_eq!(found["cascades"], 0);
        let methods = [&found, &found["baselines"]["uniform"]];
        for method in methods {
            for key in [
                "top1_chain",
                "log_loss_chain",
                "reproduction_mae",
                "reproduction_coverage",
                "reproduction_width",
                "virality_mae",
                "virality_coverage",
                "virality_width",
                "reproduction_pooled",
                "reproduction_true",
                "reproduction_bias",
            ] {
                let figure = method.get(key).expect("the key is there");
                assert!(figure.is_null(), "{key}: {method}");
            }
        }
        for method in methods.into_iter().chain([&found["on_arrival"]]) {
            for key in ["top1", "mrr", "log_loss", "brier", "ece"] {
                assert!(method[key].is_f64(), "{key}: {method}");
            }
        }
        let mut text = Vec::new();
        write_text(&arguments, &all, &[], &mut text).expect("written");
        let text = String::from_utf8(text).expect("text");
        assert!(text.contains("true R over all –,"), "{text}");
        let row = |name: &str| {
            let row = text.lines().find(|line| line.contains(name));
            row.unwrap_or_else(|| panic!("no {name}: {text}"))
        };
        // On chains, then R and what is said of ranges.
        for name in ["grapevine, on arrival", "always root"] {
            assert_eq!(row(name).matches('–').count(), 9, "{text}");
        }
        assert!(found["in_spreads"]["reproduction_mae"].is_null(), "{found}");
        // It has nothing of edges either.
        assert_eq!(
            row("grapevine, in spreads").matches('–').count(),
            14,
            "{text}"
        );
    }

    #[test]
    fn weights_are_those_that_were_named_then_those_of_the_configuration() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str| {
            let path = folder.path().join(name);
            let shipped = Weights::builtin();
            let text = shipped.render().replace(shipped.version(), name);
            std::fs::write(&path, text).expect("writes");
            path
        };
        let (named, configured) = (file("named"), file("configured"));
        let shipped = settings();
        let settings = Settings {
            chain_model: Some(configured),
            ..shipped.clone()
        };
        let version = |path: Option<&std::path::Path>, settings: &Settings| {
            let weights = crate::evaluate::weights(path, settings).expect("weights");
            weights.version().to_owned()
        };
        assert_eq!(version(Some(&named), &settings), "named");
        assert_eq!(version(None, &settings), "configured");
        assert_eq!(version(None, &shipped), Weights::builtin().version());
        // What a running pipeline would not take is not taken here.
        let settings = Settings {
            chain_model: Some(folder.path().join("nowhere")),
            ..settings
        };
        let failure = crate::evaluate::weights(None, &settings).expect_err("is not there");
        assert!(failure.to_string().contains("chain_model"), "{failure}");
        assert_eq!(version(Some(&named), &settings), "named");
    }

    #[test]
    fn several_shares_of_tokens_are_one_table_and_a_list() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("c.csv");
        let mut text = String::from("cascade_id,node_id,parent_id,t_seconds\n");
        for cascade in 0..4 {
            text += &format!("{cascade},0,,0\n");
            for node in 1..40 {
                text += &format!("{cascade},{node},{},{}\n", node / 3, node * 60);
            }
        }
        std::fs::write(&path, text).expect("writes");
        let file = path.to_str().expect("a name");
        let line = ["grapevine", "evaluate", "chains", file, "--fit", file];
        let arguments = arguments(&[&line[..], &["--token-rate", "0,0.2"]].concat());
        let all = scored(&arguments);
        let mut json = Vec::new();
        write_json(&arguments, &all, &mut json).expect("written");
        let found: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
        let rates = [&found[0]["token_rate"], &found[1]["token_rate"]];
        assert_eq!(rates.map(|rate| rate.as_f64()), [Some(0.0), Some(0.2)]);
        assert!(found[1]["baselines"]["conditional logit, fitted"]["log_loss"].is_f64());
        let mut text = Vec::new();
        write_text(&arguments, &all, &[0.5], &mut text).expect("written");
        let text = String::from_utf8(text).expect("text");
        assert_eq!(
            text.matches("conditional logit, fitted").count(),
            2,
            "{text}"
        );
        assert!(
            text.contains("50 % of edges known by token: no edge"),
            "{text}"
        );
        assert!(!text.contains("left out"), "{text}");
    }

    #[test]
    fn what_is_wrong_ends_with_its_own_code() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("c.csv");
        let code = |text: Option<&str>| {
            match text {
                Some(text) => std::fs::write(&path, text).expect("writes"),
                None => std::fs::remove_file(&path).expect("removes"),
            }
            let file = path.to_str().expect("a name");
            let arguments = arguments(&["grapevine", "evaluate", "chains", file]);
            let failure = evaluate_chains(&arguments, &settings());
            let failure = failure.expect_err("wrong");
            (failure.code(), failure.to_string())
        };
        let header = "cascade_id,node_id,parent_id,t_seconds\n";
        let (found, said) = code(Some(&format!("{header}1,0,,0\n1,1,5,2\n")));
        assert_eq!(found, 65);
        assert!(said.contains("line 3"), "{said}");
        let (found, said) = code(Some(&format!("{header}1,0,,0\n")));
        assert_eq!(found, 65);
        assert!(said.contains("no edge is hidden"), "{said}");
        assert_eq!(code(None).0, 66);
        for marks in ["0.5", "0.5,1", "-1,0", "a,b", "0.1,0.2,0.3"] {
            let line = ["grapevine", "evaluate", "chains", "f", "--marks", marks];
            assert!(crate::cli::Cli::try_parse_from(line).is_err(), "{marks}");
        }
        let line = ["grapevine", "evaluate", "chains", "f", "--marks", "0.5,0.3"];
        assert_eq!(arguments(&line).marks, Some([0.5, 0.3]));
        for rate in ["1", "-0.1", "nan", "x"] {
            let line = ["grapevine", "evaluate", "chains", "f", "--token-rate", rate];
            assert!(crate::cli::Cli::try_parse_from(line).is_err(), "{rate}");
        }
    }
}
