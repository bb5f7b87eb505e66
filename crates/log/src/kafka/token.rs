//! A token for a client that nobody polls: it would never ask for one.
#![expect(
    unsafe_code,
    reason = "librdkafka's own function, which the bindings call for clients that are polled only"
)]

use std::ffi::CString;

use rdkafka::admin::AdminClient;
use rdkafka::bindings::rd_kafka_oauthbearer_set_token;
use rdkafka::types::RDKafkaRespErr;

use super::connection::{Connection, ConnectionError};
use super::context::{ClientCalls, Tokens};

/// Bytes for what the client says of a token that it does not take.
const WORDS: usize = 512;

/// Gives an admin client the token of `kafka.token_file`, where tokens come from there. It is not given
/// another: such a client is made for a few questions.
///
/// # Errors
/// A file that holds no token, a token that the client does not take.
pub(super) fn give(
    admin: &AdminClient<ClientCalls>,
    connection: &Connection,
) -> Result<(), ConnectionError> {
    if !connection.by_token_file() {
        return Ok(());
    }
    let wrong = |reason: &dyn std::fmt::Display| ConnectionError::Token(reason.to_string());
    let token = Tokens(connection.token_file()).token();
    let token = token.map_err(|error| wrong(&error))?;
    let text = CString::new(token.token).map_err(|error| wrong(&error))?;
    let owner = CString::new(token.principal_name).map_err(|error| wrong(&error))?;
    let mut words = [0_u8; WORDS];
    // SAFETY: the client lives as long as the admin client that is borrowed here; texts end with a zero and
    // are copied; there are no extensions; words are written within their length, and end with a zero.
    let code = unsafe {
        rd_kafka_oauthbearer_set_token(
            admin.inner().native_ptr(),
            text.as_ptr(),
            token.lifetime_ms,
            owner.as_ptr(),
            std::ptr::null_mut(),
            0,
            words.as_mut_ptr().cast(),
            words.len(),
        )
    };
    if code == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
        return Ok(());
    }
    let end = words.iter().position(|byte| *byte == 0);
    let said = String::from_utf8_lossy(&words[..end.unwrap_or(WORDS)]);
    Err(wrong(&format!("the token of kafka.token_file: {said}")))
}
