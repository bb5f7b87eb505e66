//! Where a question goes: to the process that runs on the data directory, or, where none does, to
//! the stages and the engine started here for the while of the question.

use clickhouse::Client;

use crate::data_directory::{self, Secrets};
use crate::engine::{self, OWNER, READER};
use crate::exit::{ExitKind, Failure};
use crate::pipeline::Pipeline;
use crate::settings::Settings;

/// ClickHouse, somewhere on this machine.
pub struct Database {
    address: String,
    secrets: Secrets,
    own: Option<Pipeline>,
    /// What keeps rows of the log from going in, to be said when it is closed.
    behind: Option<Failure>,
}

impl Database {
    /// Opens it. Started here, it first finishes what an interrupted import left on the log. Where
    /// tables were changed so that rows cannot go in, it opens all the same, since asking it is the
    /// way to mend them.
    ///
    /// # Errors
    /// The directory is in use by an import, there is no engine, or a stage fails.
    pub async fn open(settings: &Settings) -> Result<Database, Failure> {
        if let Some((endpoint, secrets)) = running(settings)? {
            return Ok(Database {
                address: endpoint.clickhouse,
                secrets,
                own: None,
                behind: None,
            });
        }
        must_exist(settings)?;
        let mut pipeline = Pipeline::start(settings, None).await?;
        let behind = match pipeline.settle().await {
            Err(failure) if failure.kind() != ExitKind::Config => return Err(failure),
            settled => settled.err(),
        };
        Ok(Database {
            address: pipeline.clickhouse_address().to_string(),
            secrets: pipeline.secrets().clone(),
            own: Some(pipeline),
            behind,
        })
    }

    /// ClickHouse as its owner.
    pub fn owner(&self) -> Client {
        engine::client(&self.address, OWNER, &self.secrets.owner_password)
    }

    /// ClickHouse as the reader, who may only read tables.
    pub fn reader(&self) -> Client {
        engine::client(&self.address, READER, &self.secrets.reader_password)
    }

    /// Closes what was started here.
    ///
    /// # Errors
    /// A stage or the engine failed, or rows of the log could not go in.
    pub async fn close(self) -> Result<(), Failure> {
        if let Some(pipeline) = self.own {
            pipeline.stop().await?;
        }
        self.behind.map_or(Ok(()), Err)
    }
}

/// Refuses a data directory that is not there.
///
/// # Errors
/// [`ExitKind::NoInput`] with what to do.
pub fn must_exist(settings: &Settings) -> Result<(), Failure> {
    if settings.data_dir.exists() {
        return Ok(());
    }
    let path = settings.data_dir.display();
    Err(Failure::new(
        ExitKind::NoInput,
        format!(
            "there is nothing in {path} yet: import a log with `grapevine import --site NAME FILE`, or name another directory with --data-dir"
        ),
    ))
}

/// The process that runs on the data directory of the settings, if any.
///
/// # Errors
/// The directory is held by a process that cannot be gone through.
pub fn running(
    settings: &Settings,
) -> Result<Option<(data_directory::Endpoint, Secrets)>, Failure> {
    data_directory::running(&settings.data_dir).map_err(|error| {
        let kind = match &error {
            data_directory::DataDirectoryError::InUse(_) => ExitKind::InUse,
            _ => ExitKind::InputOutput,
        };
        Failure::of(kind, error)
    })
}
