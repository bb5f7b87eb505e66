//! What a request says: parameters, credentials, formats.

use axum::http::{HeaderMap, Method, Uri, header};
use base64::Engine as _;

use super::form;
use crate::error::{QueryError, code};
use crate::wire::Encoding;

/// A query as it came over HTTP, the body apart.
#[derive(Debug, Clone)]
pub(crate) struct QueryRequest {
    pub(crate) query: Option<String>,
    pub(crate) user: String,
    pub(crate) password: String,
    /// Whether any credentials were given at all.
    pub(crate) has_credentials: bool,
    pub(crate) database: Option<String>,
    pub(crate) default_format: Option<String>,
    pub(crate) session: Option<SessionRequest>,
    pub(crate) query_id: String,
    /// Values for `{name:Type}`.
    pub(crate) params: Vec<(String, String)>,
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) compress: bool,
    pub(crate) decompress: bool,
    pub(crate) body_encoding: Encoding,
    pub(crate) reply_encoding: Encoding,
    pub(crate) wait_end_of_query: bool,
    pub(crate) buffer_size: Option<usize>,
    pub(crate) client_protocol_version: Option<u64>,
    /// GET and HEAD read only.
    pub(crate) read_only: bool,
    /// The boundary of a body that is a form.
    pub(crate) form: Option<String>,
}

/// What a request says of its session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SessionRequest {
    pub(crate) id: String,
    pub(crate) timeout_seconds: u64,
    pub(crate) check: bool,
    pub(crate) close: bool,
}

/// ClickHouse's default and greatest life of an unused session, in seconds.
const SESSION_SECONDS: u64 = 60;
const SESSION_SECONDS_MAX: u64 = 3600;

fn flag(value: &str) -> bool {
    matches!(value, "1" | "true")
}

impl QueryRequest {
    /// Reads parameters and headers.
    ///
    /// # Errors
    /// Bad credentials' form, an encoding that is not known, a bad session time-out.
    pub(crate) fn read(
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<Self, QueryError> {
        let text = |name: &str| {
            headers
                .get(name)
                .and_then(|v| v.to_str().ok())
                .filter(|v| !v.is_empty())
                .map(str::to_owned)
        };
        let body_encoding = match text(header::CONTENT_ENCODING.as_str()) {
            None => Encoding::Identity,
            Some(name) => Encoding::of(&name).ok_or_else(|| {
                let message = format!(
                    "Content-Encoding {name} is not supported; gzip, deflate, zstd and lz4 are"
                );
                QueryError::new(code::NOT_IMPLEMENTED, message)
            })?,
        };
        let mut request = QueryRequest {
            query: None,
            user: String::new(),
            password: String::new(),
            has_credentials: false,
            database: text("x-clickhouse-database"),
            default_format: text("x-clickhouse-format"),
            session: None,
            query_id: String::new(),
            params: Vec::new(),
            settings: Vec::new(),
            compress: false,
            decompress: false,
            body_encoding,
            reply_encoding: Encoding::Identity,
            wait_end_of_query: false,
            buffer_size: None,
            client_protocol_version: None,
            read_only: *method == Method::GET || *method == Method::HEAD,
            form: text(header::CONTENT_TYPE.as_str()).and_then(|kind| form::boundary(&kind)),
        };
        let mut user = None;
        let mut password = None;
        let mut session = SessionRequest {
            id: String::new(),
            timeout_seconds: SESSION_SECONDS,
            check: false,
            close: false,
        };
        let mut http_compression = false;
        for (name, value) in pairs(uri.query().unwrap_or_default()) {
            match name.as_str() {
                "query" => request.query = Some(value),
                "user" => user = Some(value),
                "password" => password = Some(value),
                "database" if !value.is_empty() => request.database = Some(value),
                "default_format" if !value.is_empty() => request.default_format = Some(value),
                "session_id" => session.id = value,
                "session_timeout" => {
                    session.timeout_seconds = value
                        .parse()
                        .ok()
                        .filter(|s| (1..=SESSION_SECONDS_MAX).contains(s))
                        .ok_or_else(|| bad_session_timeout(&value))?;
                }
                "session_check" => session.check = flag(&value),
                "close_session" => session.close = flag(&value),
                "query_id" => request.query_id = value,
                "compress" => request.compress = flag(&value),
                "decompress" => request.decompress = flag(&value),
                "enable_http_compression" => http_compression = flag(&value),
                "wait_end_of_query" => request.wait_end_of_query = flag(&value),
                "buffer_size" => request.buffer_size = value.parse().ok(),
                "client_protocol_version" => request.client_protocol_version = value.parse().ok(),
                // Known to ClickHouse's HTTP interface, without meaning here.
                "database"
                | "default_format"
                | "quota_key"
                | "stacktrace"
                | "role"
                | "http_response_headers"
                | "send_progress_in_http_headers"
                | "http_headers_progress_interval_ms" => {}
                _ => match name.strip_prefix("param_") {
                    Some(param) => request.params.push((param.to_owned(), value)),
                    None => request.settings.push((name, value)),
                },
            }
        }
        if !session.id.is_empty() {
            request.session = Some(session);
        }
        if request.query_id.is_empty() {
            request.query_id = uuid::Uuid::new_v4().to_string();
        }
        if http_compression && !request.compress {
            let accept = text(header::ACCEPT_ENCODING.as_str()).unwrap_or_default();
            request.reply_encoding = Encoding::accepted(&accept);
        }
        request.read_credentials(headers, user, password)?;
        Ok(request)
    }

    /// Takes the fields of a form: the statement and its parameters. Settings and credentials belong
    /// into the address and the headers.
    ///
    /// # Errors
    /// 36 for another field.
    pub(crate) fn add_fields(&mut self, fields: Vec<(String, String)>) -> Result<(), QueryError> {
        for (name, value) in fields {
            match name.strip_prefix("param_") {
                Some(param) => self.params.push((param.to_owned(), value)),
                None if name == "query" => self.query = Some(value),
                None => {
                    let message =
                        format!("The form has a field {name}; query and param_… are supported");
                    return Err(QueryError::new(code::BAD_ARGUMENTS, message));
                }
            }
        }
        Ok(())
    }

    /// Credentials as ClickHouse takes them: its own headers, else Basic, else parameters.
    fn read_credentials(
        &mut self,
        headers: &HeaderMap,
        user: Option<String>,
        password: Option<String>,
    ) -> Result<(), QueryError> {
        let bytes = |name: &str| {
            headers
                .get(name)
                .map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned())
        };
        let own = (bytes("x-clickhouse-user"), bytes("x-clickhouse-key"));
        let (user, password) = if own.0.is_some() || own.1.is_some() {
            own
        } else if let Some(value) = bytes(header::AUTHORIZATION.as_str()) {
            let (user, password) = basic(&value).ok_or_else(|| {
                let message = "the Authorization header is no Basic authorization, which is the only kind here";
                QueryError::new(code::AUTHENTICATION_FAILED, message)
            })?;
            (Some(user), Some(password))
        } else {
            (user, password)
        };
        self.has_credentials = user.is_some() || password.is_some();
        self.user = user
            .filter(|u| !u.is_empty())
            .unwrap_or_else(|| "default".to_owned());
        self.password = password.unwrap_or_default();
        Ok(())
    }
}

fn bad_session_timeout(value: &str) -> QueryError {
    let message = format!(
        "session_timeout {value} is not a number of seconds from 1 to {SESSION_SECONDS_MAX}"
    );
    QueryError::new((374, "INVALID_SESSION_TIMEOUT"), message)
}

fn basic(value: &str) -> Option<(String, String)> {
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = base64::engine::general_purpose::STANDARD
        .decode(encoded.trim())
        .ok()?;
    let decoded = String::from_utf8(decoded).ok()?;
    decoded
        .split_once(':')
        .map(|(user, password)| (user.to_owned(), password.to_owned()))
}

/// The pairs of a query string, decoded; bytes that are no UTF-8 become replacement characters.
fn pairs(query: &str) -> impl Iterator<Item = (String, String)> + '_ {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
}

fn decode(text: &str) -> String {
    let hex = |byte: Option<&u8>| byte.and_then(|b| char::from(*b).to_digit(16));
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match (byte, hex(bytes.get(at + 1)), hex(bytes.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high * 16 + low) as u8);
                at += 2;
            }
            (b'+', ..) => decoded.push(b' '),
            _ => decoded.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(uri: &str, headers: &[(&'static str, &str)]) -> Result<QueryRequest, QueryError> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().expect("header"));
        }
        QueryRequest::read(&Method::POST, &uri.parse().expect("uri"), &map)
    }

    #[test]
    fn parameters_are_told_apart() {
        let request = read(
            "/?query=SELECT+1%3B&user=u&password=p%26&database=d&param_x=%D1%8F&max_threads=2&session_id=s&session_timeout=5&compress=1&decompress=1&enable_http_compression=1&client_protocol_version=54470",
            &[("accept-encoding", "gzip")],
        )
        .expect("good");
        assert_eq!(request.query.as_deref(), Some("SELECT 1;"));
        assert_eq!(
            (request.user.as_str(), request.password.as_str()),
            ("u", "p&")
        );
        assert_eq!(request.database.as_deref(), Some("d"));
        assert_eq!(request.params, [("x".to_owned(), "я".to_owned())]);
        assert_eq!(
            request.settings,
            [("max_threads".to_owned(), "2".to_owned())]
        );
        assert_eq!(
            request.session.map(|s| (s.id, s.timeout_seconds)),
            Some(("s".to_owned(), 5))
        );
        assert!(request.compress && request.decompress);
        // Compressed blocks and a content encoding would be compressed twice.
        assert_eq!(request.reply_encoding, Encoding::Identity);
        assert_eq!(request.client_protocol_version, Some(54470));
    }

    #[test]
    fn credentials_have_an_order() {
        let request = read(
            "/?user=a&password=b",
            &[("authorization", "Basic dTpwOnE=")],
        )
        .expect("good");
        assert_eq!(
            (request.user.as_str(), request.password.as_str()),
            ("u", "p:q")
        );
        let headers = [
            ("x-clickhouse-user", "h"),
            ("x-clickhouse-key", "k"),
            ("authorization", "Basic dTpw"),
        ];
        let request = read("/?user=a", &headers).expect("good");
        assert_eq!(
            (request.user.as_str(), request.password.as_str()),
            ("h", "k")
        );
        let request = read("/", &[]).expect("good");
        assert!(!request.has_credentials);
        assert_eq!(request.user, "default");
        assert_eq!(
            read("/", &[("authorization", "Bearer x")])
                .expect_err("refused")
                .code,
            516
        );
    }

    #[test]
    fn bad_requests_are_named() {
        assert_eq!(
            read("/", &[("content-encoding", "br")])
                .expect_err("refused")
                .code,
            48
        );
        assert_eq!(
            read("/?session_id=s&session_timeout=9999", &[])
                .expect_err("refused")
                .code,
            374
        );
        assert_eq!(decode("100%+%zz%4"), "100% %zz%4");
    }
}
