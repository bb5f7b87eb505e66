//! `POST /v1/import?site=NAME&name=FILE`: an access log sent to a running `grapevine local`.
//!
//! Only with the server key. The body is the file as it lies there, compressed or not; the answer
//! comes when every hit of it is in ClickHouse.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use axum::Json;
use axum::Router;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures::TryStreamExt;
use grapevine_log::Log;
use grapevine_producer::Site;
use grapevine_producer::import::{Importer, Source};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use tokio_util::io::{StreamReader, SyncIoBridge};

use super::{failed, import_one, options};
use crate::exit::Failure;
use crate::pipeline;
use crate::settings::Settings;

/// What the endpoint needs.
#[derive(Clone)]
pub struct ImportEndpoint {
    /// Puts hits on the log.
    pub importer: Importer,
    /// That log.
    pub log: Arc<Log>,
    /// Configuration.
    pub settings: Arc<Settings>,
    /// The key that senders show.
    pub server_key: String,
    /// Set where the process is to stop.
    pub stopped: Arc<AtomicBool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Target {
    site: String,
    name: String,
}

/// A failure as the command on the other side takes it up.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Refusal {
    /// In words.
    pub(super) error: String,
    /// Exit code that the command ends with.
    pub(super) exit: u8,
}

/// The route.
pub fn router(endpoint: ImportEndpoint) -> Router {
    Router::new()
        .route("/v1/import", post(take))
        .with_state(endpoint)
}

async fn take(
    State(endpoint): State<ImportEndpoint>,
    Query(target): Query<Target>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    if !shows_key(&headers, &endpoint.server_key) {
        let error = "importing needs the server key: send `Authorization: Bearer KEY` with the key in accounts.toml of the data directory";
        return refuse(StatusCode::UNAUTHORIZED, error.to_owned(), 78);
    }
    let site = match Site::parse(&target.site) {
        Ok(site) => site,
        Err(error) => {
            return refuse(
                StatusCode::UNPROCESSABLE_ENTITY,
                format!("site: {error}"),
                64,
            );
        }
    };
    let options = match options(site, &endpoint.settings) {
        Ok(options) => options,
        Err(failure) => return refuse_with(&failure),
    };
    let stream = body.into_data_stream().map_err(io::Error::other);
    let reader = SyncIoBridge::new(StreamReader::new(stream));
    let source = Source::new(&target.name, reader);
    let imported = tokio::task::spawn_blocking({
        let endpoint = endpoint.clone();
        move || {
            import_one(
                &endpoint.importer,
                source,
                &options,
                &endpoint.log,
                &endpoint.stopped,
                &|_| {},
            )
        }
    })
    .await;
    match imported {
        Ok(Ok(summary)) => match pipeline::settled(&endpoint.log).await {
            Ok(()) => Json(summary).into_response(),
            Err(failure) => refuse_with(&failure),
        },
        Ok(Err(error)) => refuse_with(&failed(error)),
        Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, error.to_string(), 70),
    }
}

fn shows_key(headers: &HeaderMap, key: &str) -> bool {
    let shown = headers
        .get(header::AUTHORIZATION)
        .map(|value| value.as_bytes())
        .unwrap_or_default();
    let shown = shown.strip_prefix(b"Bearer ").unwrap_or_default();
    bool::from(shown.ct_eq(key.as_bytes()))
}

fn refuse_with(failure: &Failure) -> Response {
    refuse(
        StatusCode::UNPROCESSABLE_ENTITY,
        failure.to_string(),
        failure.code(),
    )
}

fn refuse(status: StatusCode, error: String, exit: u8) -> Response {
    (status, Json(Refusal { error, exit })).into_response()
}
