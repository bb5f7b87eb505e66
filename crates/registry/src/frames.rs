//! From single-object encoding to a registry's framing and back.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use grapevine_event::RecordType;
use serde_json::Value;

use crate::client::{Client, RegistryError};

/// First byte of a framed message.
const MAGIC: u8 = 0;
/// That and the id.
const FRAME_BYTES: usize = 5;
/// First bytes of single-object encoding; the fingerprint follows.
const MARKER: [u8; 2] = [0xC3, 0x01];
/// Those and the fingerprint.
const HEADER_BYTES: usize = 10;

type Fingerprint = [u8; 8];

/// Turns records into framed messages and back. For many threads.
#[derive(Debug)]
pub struct Frames {
    client: Client,
    /// Ids of our own schemas.
    own: BTreeMap<Fingerprint, u32>,
    /// Fingerprints of ids met so far; `None` where the schema is none of ours.
    met: RwLock<BTreeMap<u32, Option<Fingerprint>>>,
}

impl Frames {
    /// Finds the id of every schema of ours, registering those that are not there.
    ///
    /// # Errors
    /// Those of the registry; where [`is_away`](RegistryError::is_away), try again.
    pub fn of(client: Client) -> Result<Frames, RegistryError> {
        let mut own = BTreeMap::new();
        let mut met = BTreeMap::new();
        for kind in RecordType::ALL {
            let text = kind.text();
            let id = client.id_of(&subject(text.json, text.name), text.json)?;
            own.insert(kind.fingerprint(), id);
            met.insert(id, Some(kind.fingerprint()));
        }
        Ok(Frames {
            client,
            own,
            met: RwLock::new(met),
        })
    }

    /// A record as it goes on a topic. `out` is room to write in. What is no record of ours goes as it is.
    pub fn frame<'a>(&self, record: &'a [u8], out: &'a mut Vec<u8>) -> &'a [u8] {
        let Some((header, datum)) = record.split_first_chunk::<HEADER_BYTES>() else {
            return record;
        };
        let [m0, m1, fingerprint @ ..] = *header;
        let id = self.own.get(&fingerprint).filter(|_| [m0, m1] == MARKER);
        let Some(id) = id else {
            return record;
        };
        out.clear();
        out.push(MAGIC);
        out.extend_from_slice(&id.to_be_bytes());
        out.extend_from_slice(datum);
        out
    }

    /// A message as it is in the process. `out` is room to write in. What is not framed, and what has an
    /// id that is none of our schemas', stays as it is: decoding it says why it is no record.
    ///
    /// # Errors
    /// The registry is away or does not let us, and the id was not met before.
    pub fn unframe<'a>(
        &self,
        message: &'a [u8],
        out: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], RegistryError> {
        let Some((frame, datum)) = message.split_first_chunk::<FRAME_BYTES>() else {
            return Ok(message);
        };
        let [magic, id @ ..] = *frame;
        if magic != MAGIC {
            return Ok(message);
        }
        let Some(fingerprint) = self.fingerprint(u32::from_be_bytes(id))? else {
            return Ok(message);
        };
        out.clear();
        out.extend_from_slice(&MARKER);
        out.extend_from_slice(&fingerprint);
        out.extend_from_slice(datum);
        Ok(out)
    }

    fn fingerprint(&self, id: u32) -> Result<Option<Fingerprint>, RegistryError> {
        let met = self.met.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(fingerprint) = met.get(&id) {
            return Ok(*fingerprint);
        }
        drop(met);
        let fingerprint = match self.client.schema(id)? {
            // Not remembered: it may be registered the moment after.
            None => return Ok(None),
            Some(text) => fingerprint_of(&text),
        };
        if fingerprint.is_none() {
            tracing::warn!(id, "the schema with this id is none of grapevine's");
        }
        let mut met = self.met.write().unwrap_or_else(PoisonError::into_inner);
        met.insert(id, fingerprint);
        Ok(fingerprint)
    }
}

/// The fingerprint of a schema of ours, however its text is spaced; `None` of any other.
fn fingerprint_of(schema: &str) -> Option<Fingerprint> {
    let schema: Value = serde_json::from_str(schema).ok()?;
    let is_it = |kind: &&RecordType| {
        serde_json::from_str::<Value>(kind.text().json).is_ok_and(|own| own == schema)
    };
    let kind = RecordType::ALL.iter().find(is_it)?;
    Some(kind.fingerprint())
}

/// A schema's full name, which is its subject (the strategy that others call RecordName).
fn subject(json: &str, name: &str) -> String {
    let schema: Value = serde_json::from_str(json).unwrap_or_default();
    match (schema["namespace"].as_str(), schema["name"].as_str()) {
        (Some(namespace), Some(name)) => format!("{namespace}.{name}"),
        (None, Some(name)) => name.to_owned(),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_schemas_are_known_however_they_are_spaced() {
        for kind in RecordType::ALL {
            let text = kind.text();
            let spaced: Value = serde_json::from_str(text.json).expect("JSON");
            for json in [text.json.to_owned(), spaced.to_string()] {
                assert_eq!(fingerprint_of(&json), Some(kind.fingerprint()));
            }
            assert!(subject(text.json, "none").starts_with("grapevine."));
        }
        for other in [
            "{}",
            "",
            "{\"type\":\"record\",\"name\":\"Hit\",\"fields\":[]}",
        ] {
            assert_eq!(fingerprint_of(other), None);
        }
    }
}
