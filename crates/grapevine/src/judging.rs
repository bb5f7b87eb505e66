//! What judges visits and their causes, as configured: entries of the user's own, weights of
//! classification, weights of causes.

use std::path::Path;
use std::sync::Arc;

use grapevine_enrichment::ChainStage;
use grapevine_inference::causes::Weights;
use grapevine_inference::{Classifier, Model};
use grapevine_signals::Signals;

use crate::exit::{Ends, ExitKind, Failure};
use crate::settings::Settings;

/// Everything that judges.
pub struct Judging {
    /// What is known of apps and links.
    pub signals: Arc<Signals>,
    /// Judges landings.
    pub classifier: Arc<Classifier>,
    /// Weights of causes, where others than those shipped are set.
    weights: Option<Arc<Weights>>,
}

impl Judging {
    /// Reads what the settings name.
    ///
    /// # Errors
    /// A file that cannot be read or used, by key.
    pub fn load(settings: &Settings) -> Result<Judging, Failure> {
        let signals = Arc::new(signals(settings)?);
        Ok(Judging {
            classifier: Arc::new(Classifier::new(Arc::clone(&signals), model(settings)?)),
            signals,
            weights: chain_model(settings)?.map(Arc::new),
        })
    }

    /// The chain stage with nothing remembered.
    pub fn chain_stage(&self) -> ChainStage {
        let stage = ChainStage::new(Arc::clone(&self.classifier));
        match &self.weights {
            Some(weights) => stage.with_weights(Arc::clone(weights)),
            None => stage,
        }
    }
}

/// What is known of apps and links, with entries of the user's own.
///
/// # Errors
/// A file of such entries that cannot be read or used, or whose own examples say otherwise.
pub fn signals(settings: &Settings) -> Result<Signals, Failure> {
    let Some(path) = &settings.signals else {
        return Ok(Signals::builtin());
    };
    let text = read("signals", path)?;
    Signals::with_overrides(&text, &path.display().to_string()).ends(ExitKind::Config)
}

/// The model that classifies.
///
/// # Errors
/// A file that cannot be read, that is no model, or whose version does not tell it from the one
/// shipped.
pub fn model(settings: &Settings) -> Result<Model, Failure> {
    let Some(path) = &settings.model else {
        return Ok(Model::builtin());
    };
    let text = read("model", path)?;
    let model = Model::parse(&text).map_err(|error| wrong("model", path, &error.to_string()))?;
    let shipped = Model::builtin();
    let other = text != Model::builtin_text();
    let versions = [model.version(), shipped.version()];
    a_version_of_its_own("model", path, versions, other)?;
    Ok(model)
}

/// Weights of causes, where a file of them is set.
///
/// # Errors
/// A file that cannot be read, that holds no weights, or whose version does not tell them from
/// those shipped.
pub fn chain_model(settings: &Settings) -> Result<Option<Weights>, Failure> {
    let Some(path) = &settings.chain_model else {
        return Ok(None);
    };
    let text = read("chain_model", path)?;
    let weights =
        Weights::parse(&text).map_err(|error| wrong("chain_model", path, &error.to_string()))?;
    let shipped = Weights::builtin();
    let versions = [weights.version(), shipped.version()];
    a_version_of_its_own("chain_model", path, versions, weights != shipped)?;
    Ok(Some(weights))
}

/// Visits and edges name the version that judged them: two that are not the same need two names.
fn a_version_of_its_own(
    key: &str,
    path: &Path,
    [version, shipped]: [&str; 2],
    other: bool,
) -> Result<(), Failure> {
    if version.trim().is_empty() {
        return Err(wrong(key, path, "`version` is empty; give it a name"));
    }
    if other && version == shipped {
        let problem =
            format!("`version` is {version:?}, which is what is shipped; give it another");
        return Err(wrong(key, path, &problem));
    }
    Ok(())
}

fn read(key: &str, path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| {
        let name = path.display();
        Failure::new(
            ExitKind::Config,
            format!("{key} {name}: {error}; check the key `{key}`"),
        )
    })
}

fn wrong(key: &str, path: &Path, problem: &str) -> Failure {
    let name = path.display();
    Failure::new(
        ExitKind::Config,
        format!("{key} {name}: {problem}; check the key `{key}`"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Settings that name a file of this text by this key.
    fn naming(key: &str, text: &str) -> (tempfile::TempDir, Settings) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("own.toml");
        std::fs::write(&path, text).expect("writes");
        let loaded = Settings::load(&crate::settings::Overrides::default());
        let mut settings = loaded.expect("settings").settings;
        match key {
            "signals" => settings.signals = Some(path),
            "model" => settings.model = Some(path),
            _ => settings.chain_model = Some(path),
        }
        (folder, settings)
    }

    fn version(key: &str, text: &str) -> String {
        let (_folder, settings) = naming(key, text);
        let judging = Judging::load(&settings).expect("loads");
        judging.classifier.version().to_owned()
    }

    fn refused(key: &str, text: &str) -> String {
        let (_folder, settings) = naming(key, text);
        let failure = Judging::load(&settings).err().expect("refused");
        assert_eq!(failure.code(), ExitKind::Config.code());
        let said = failure.to_string();
        assert!(said.contains("own.toml"), "{said}");
        said
    }

    #[test]
    fn the_version_of_visits_tells_of_own_entries_whatever_their_date() {
        let shipped = version("signals", "# nothing yet");
        let own = "[[unnamed]]\nid = \"optimize\"\nremove = true";
        assert_eq!(version("signals", own), format!("{shipped}+own.0701c24e"));
    }

    #[test]
    fn the_version_of_visits_is_that_of_the_model_that_is_set() {
        let line = format!("version = {:?}", Model::builtin().version());
        let text = Model::builtin_text().replace(&line, "version = \"ours-1\"");
        assert!(version("model", &text).starts_with("ours-1+"));
    }

    #[test]
    fn the_chain_stage_starts_from_the_weights_that_are_set() {
        let shipped = Weights::builtin();
        let line = format!("version = {:?}", shipped.version());
        let text = shipped.render().replace(&line, "version = \"ours-1\"");
        let (_folder, settings) = naming("chain_model", &text);
        let weights = chain_model(&settings).expect("loads").expect("weights");
        assert_eq!(weights.version(), "ours-1");
        assert!(Judging::load(&settings).expect("loads").weights.is_some());
    }

    #[test]
    fn what_cannot_be_used_is_named_with_its_key() {
        let model = Model::builtin_text();
        let weights = Weights::builtin().render();
        for (key, text, word) in [
            ("signals", "[[robots]]".to_owned(), "`robots`"),
            ("model", model.replace("[prior]", "[prio]"), "prio"),
            (
                "model",
                model.replace("post = 0.95", "post = 0.94"),
                "shipped",
            ),
            (
                "chain_model",
                weights.replace("rank = [", "rnk = ["),
                "rank",
            ),
            (
                "chain_model",
                weights.replace("halved_by = ", "halved_by = 1"),
                "shipped",
            ),
            ("chain_model", "version = 1".to_owned(), "version"),
        ] {
            let said = refused(key, &text);
            assert!(said.contains(word), "{word}: {said}");
            assert!(
                key == "signals" || said.contains(&format!("`{key}`")),
                "{said}"
            );
        }
        let line = format!("version = {:?}", Model::builtin().version());
        let unnamed = model.replace(&line, "version = \"\"");
        assert!(refused("model", &unnamed).contains("`version` is empty"));
    }

    #[test]
    fn a_file_that_is_not_there_is_named_with_its_key() {
        let (folder, settings) = naming("chain_model", "");
        drop(folder);
        let said = Judging::load(&settings).err().expect("refused").to_string();
        assert!(said.contains("check the key `chain_model`"), "{said}");
    }
}
