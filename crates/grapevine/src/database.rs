//! Where a question goes: to the ClickHouse that the settings name, else to the process that runs on
//! the data directory, or, where none does, to the stages and the engine started here for the while of
//! the question.

use clickhouse::Client;

use crate::data_directory::{self, Secrets};
use crate::engine::{self, OWNER, READER};
use crate::exit::{ExitKind, Failure};
use crate::pipeline::Pipeline;
use crate::settings::Settings;
use crate::warehouse::Warehouse;

/// ClickHouse with the tables, wherever it is.
pub struct Database {
    place: Place,
    own: Option<Pipeline>,
    /// What keeps rows of the log from going in, to be said when it is closed.
    behind: Option<Failure>,
}

/// Where it is, and who may ask.
enum Place {
    /// On this machine, with the two accounts of the data directory.
    DataDirectory { address: String, secrets: Secrets },
    /// At `clickhouse.url`.
    Warehouse(Box<Warehouse>),
}

impl Database {
    /// Opens the ClickHouse of `clickhouse.url` where that is set, else [the data
    /// directory's](Self::open).
    ///
    /// # Errors
    /// Those of [`Warehouse::open`] and of [`open`](Self::open).
    pub async fn open_configured(settings: &Settings) -> Result<Database, Failure> {
        if settings.clickhouse.url.is_none() {
            return Database::open(settings).await;
        }
        let warehouse = Warehouse::open(&settings.clickhouse).await?;
        Ok(Database {
            place: Place::Warehouse(Box::new(warehouse)),
            own: None,
            behind: None,
        })
    }

    /// Opens the data directory's, whatever `clickhouse.url` is. Started here, it first finishes what
    /// an interrupted import left on the log. Where tables were changed so that rows cannot go in, it
    /// opens all the same, since asking it is the way to mend them.
    ///
    /// # Errors
    /// The directory is in use by an import, there is no engine, or a stage fails.
    pub async fn open(settings: &Settings) -> Result<Database, Failure> {
        if let Some((endpoint, secrets)) = running(settings)? {
            let address = endpoint.clickhouse;
            return Ok(Database {
                place: Place::DataDirectory { address, secrets },
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
        let place = Place::DataDirectory {
            address: pipeline.clickhouse_address().to_string(),
            secrets: pipeline.secrets().clone(),
        };
        Ok(Database {
            place,
            own: Some(pipeline),
            behind,
        })
    }

    /// ClickHouse as its owner; at `clickhouse.url` as `clickhouse.user`.
    pub fn owner(&self) -> Client {
        match &self.place {
            Place::DataDirectory { address, secrets } => {
                engine::client(address, OWNER, &secrets.owner_password)
            }
            Place::Warehouse(warehouse) => warehouse.client(),
        }
    }

    /// ClickHouse as the reader, who may only read tables.
    ///
    /// # Errors
    /// At `clickhouse.url` there is one account only.
    pub fn reader(&self) -> Result<Client, Failure> {
        match &self.place {
            Place::DataDirectory { address, secrets } => {
                Ok(engine::client(address, READER, &secrets.reader_password))
            }
            Place::Warehouse(warehouse) => Err(warehouse.no_reader()),
        }
    }

    /// The ClickHouse of `clickhouse.url`, where this is it.
    pub fn warehouse(&self) -> Option<&Warehouse> {
        match &self.place {
            Place::DataDirectory { .. } => None,
            Place::Warehouse(warehouse) => Some(warehouse.as_ref()),
        }
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
            "there is nothing in {path} yet: import a log with `grapevine import --site NAME FILE`, name another directory with --data-dir, or give clickhouse.url where a ClickHouse of your own has the tables"
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
