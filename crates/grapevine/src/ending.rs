//! How a command ends on what a stage ended of, be its log a file or Kafka.

use grapevine_enrichment::{RunError, SavedStateError};
use grapevine_inference::StateError;
use grapevine_log::LogError;

use crate::exit::ExitKind;

/// The kind of failure that a stage ended of.
pub(crate) fn of_stage(error: &RunError) -> ExitKind {
    match error {
        RunError::Log { source, .. } => of_log(source),
        RunError::Saved { source, .. } => match source {
            SavedStateError::Store { .. } => ExitKind::Unavailable,
            SavedStateError::Log(source) => of_log(source),
            SavedStateError::State(StateError::Unwritable(_)) => ExitKind::Software,
            SavedStateError::State(StateError::Newer { .. } | StateError::Damaged(_))
            | SavedStateError::Damaged { .. } => ExitKind::Config,
        },
        RunError::Ahead { .. }
        | RunError::Trimmed { .. }
        | RunError::Behind { .. }
        | RunError::Forgotten { .. } => ExitKind::Config,
        RunError::Panicked { .. } => ExitKind::Software,
    }
}

/// The same of an error of the log. Input that is no longer kept ends a stage alike, be it found
/// gone while a state is made anew or while the stage works: no later start finds it again.
pub(crate) fn of_log(error: &LogError) -> ExitKind {
    match error {
        LogError::InUse(_) | LogError::Ousted { .. } | LogError::Fenced { .. } => ExitKind::InUse,
        LogError::Newer { .. }
        | LogError::Trimmed { .. }
        | LogError::Beyond { .. }
        | LogError::UnknownTopic(_)
        | LogError::TransactionTimeout { .. } => ExitKind::Config,
        LogError::DiskFull(_) | LogError::Store { .. } | LogError::Block { .. } => {
            ExitKind::InputOutput
        }
        LogError::Away(_)
        | LogError::Registry(_)
        | LogError::Aborted(_)
        | LogError::Revoked { .. }
        | LogError::Kafka { .. } => ExitKind::Unavailable,
        // Stages make no such records, and ask their log for what it can do.
        LogError::TooLarge(_) | LogError::Unsupported(_) => ExitKind::Software,
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use grapevine_enrichment::{ChainStage, Stage};
    use grapevine_event::topic;
    use grapevine_sink::SinkError;

    use super::*;

    const STAGE: &str = ChainStage::NAME;

    fn trimmed() -> LogError {
        LogError::Trimmed {
            topic: topic::HITS_CLASSIFIED.to_owned(),
            asked: 3,
            first: 7,
        }
    }

    fn stopped_by(source: LogError) -> RunError {
        RunError::Log {
            stage: STAGE,
            source,
        }
    }

    fn of_saved(source: SavedStateError) -> RunError {
        RunError::Saved {
            stage: STAGE,
            source,
        }
    }

    #[test]
    fn input_that_is_no_longer_kept_ends_with_one_code_wherever_it_is_missed() {
        let replayed = RunError::Trimmed {
            stage: STAGE,
            partition: 0,
            saved: 3,
            first: 7,
        };
        for error in [replayed, stopped_by(trimmed()), of_saved(trimmed().into())] {
            assert_eq!(of_stage(&error).code(), 78, "{error}");
        }
        let sink = crate::pipeline::sink_ends::<()>(Err(SinkError::Log(trimmed())));
        assert_eq!(sink.expect_err("an error").code(), 78);
    }

    #[test]
    fn what_may_pass_is_told_from_what_somebody_has_to_mend() {
        let fenced = LogError::Fenced {
            consumer: STAGE.to_owned(),
            topic: topic::HITS_CLASSIFIED.to_owned(),
            expected: 3,
            found: 7,
        };
        let ousted = LogError::Ousted {
            id: "grapevine-chain/a".to_owned(),
            reason: "another took over".to_owned(),
        };
        let damaged = StateError::Damaged("cut".to_owned());
        let newer = StateError::Newer { found: 9, known: 3 };
        let unwritable = StateError::Unwritable("too long".to_owned());
        for (error, code) in [
            (stopped_by(LogError::Away("no answer".to_owned())), 69),
            (of_saved(LogError::Away("no answer".to_owned()).into()), 69),
            (stopped_by(fenced), 75),
            (stopped_by(ousted), 75),
            (stopped_by(LogError::UnknownTopic("visits".to_owned())), 78),
            (of_saved(damaged.into()), 78),
            (of_saved(newer.into()), 78),
            (of_saved(unwritable.into()), 70),
            (RunError::Panicked { partition: 0 }, 70),
        ] {
            assert_eq!(of_stage(&error).code(), code, "{error}");
        }
    }

    #[test]
    fn a_log_in_a_file_is_told_from_its_disk() {
        let file = || PathBuf::from("log.redb");
        for (error, code) in [
            (LogError::InUse(file()), 75),
            (
                LogError::Newer {
                    path: file(),
                    found: 9,
                },
                78,
            ),
            (LogError::DiskFull(file()), 74),
            (trimmed(), 78),
            (LogError::TooLarge(1 << 30), 70),
        ] {
            assert_eq!(of_log(&error).code(), code, "{error}");
            assert_eq!(of_stage(&stopped_by(error)).code(), code);
        }
        let ahead = RunError::Ahead {
            stage: STAGE,
            snapshot: 7,
            committed: 3,
        };
        assert_eq!(of_stage(&ahead).code(), 78);
    }
}
