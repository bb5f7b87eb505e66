//! A server on the real engine, shared by the tests of a binary and closed by the last of them:
//! the engine must be closed before the process exits.

#![allow(dead_code, unused_imports, reason = "each test binary uses a part")]

mod server;

use std::sync::{Arc, Mutex, PoisonError, Weak};

use grapevine_embedded::Limits;

pub(crate) use server::{OWNER, READER, Server, library};

pub(crate) fn limits() -> Limits {
    // Small enough that a test reaches them.
    Limits {
        insert_block_bytes_max: 4 << 20,
        ..Limits::default()
    }
}

impl Server {
    /// The server of this test binary.
    pub(crate) fn shared() -> Arc<Server> {
        static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = shared.upgrade() {
            return server;
        }
        let server = Arc::new(Server::start(limits()));
        *shared = Arc::downgrade(&server);
        server
    }

    pub(crate) fn url(&self, query: &str) -> String {
        format!("http://{}/?{query}", self.address)
    }
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) async fn of(response: reqwest::Response) -> Answer {
        Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response
                .bytes()
                .await
                .map(|b| b.to_vec())
                .unwrap_or_default(),
        }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map(|v| v.to_str().expect("text"))
            .unwrap_or_default()
    }

    pub(crate) fn code(&self) -> u32 {
        self.header("x-clickhouse-exception-code")
            .parse()
            .unwrap_or(0)
    }
}

/// Percent-encodes a value of a query string.
pub(crate) fn encode(text: &str) -> String {
    text.bytes().map(|b| format!("%{b:02X}")).collect()
}

impl Server {
    /// Posts `sql` with `parameters` (a query string) as `account`.
    pub(crate) async fn post(&self, account: (&str, &str), parameters: &str, sql: &str) -> Answer {
        let request = reqwest::Client::new()
            .post(self.url(parameters))
            .header("x-clickhouse-user", account.0)
            .header("x-clickhouse-key", account.1)
            .body(sql.to_owned());
        Answer::of(request.send().await.expect("an answer")).await
    }

    /// Runs `sql` as the owner and returns its result.
    pub(crate) async fn owner(&self, sql: &str) -> String {
        let answer = self.post(OWNER, "", sql).await;
        assert_eq!(answer.status, 200, "{sql}: {}", answer.text());
        answer.text()
    }
}
