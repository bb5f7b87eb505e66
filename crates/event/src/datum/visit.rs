//! Reads a visit into a list of evidence that is there already: whoever reads one after the other
//! needs no list for each.

use std::borrow::Cow;

use super::DatumError;
use super::reader::Reader;
use crate::record::{Evidence, Visit};

/// Reads one visit from the start of `bytes`, its evidence into `evidence`, whatever was in that;
/// gives what is left over as well.
///
/// # Errors
/// Whatever does not fit the type.
pub(crate) fn read_visit<'de>(
    bytes: &'de [u8],
    evidence: Vec<Evidence<'de>>,
) -> Result<(Visit<'de>, &'de [u8]), DatumError> {
    let mut reader = Reader { rest: bytes };
    let visit = visit(&mut reader, evidence)?;
    Ok((visit, reader.rest))
}

/// The fields in the order of the schema, which is that of the type: what is written first is read
/// first.
fn visit<'de>(
    reader: &mut Reader<'de>,
    evidence: Vec<Evidence<'de>>,
) -> Result<Visit<'de>, DatumError> {
    Ok(Visit {
        visit_id: reader.value()?,
        site: reader.value()?,
        time: reader.value()?,
        visitor: reader.value()?,
        visitor_basis: reader.value()?,
        returning: reader.value()?,
        network: reader.value()?,
        content: text(reader)?,
        title: reader.value()?,
        referrer_host: optional_text(reader)?,
        campaign_source: optional_text(reader)?,
        campaign_medium: optional_text(reader)?,
        campaign_name: optional_text(reader)?,
        device: reader.value()?,
        system: reader.value()?,
        browser: reader.value()?,
        language: optional_text(reader)?,
        conventional_channel: reader.value()?,
        channel: reader.value()?,
        app: text(reader)?,
        method: reader.value()?,
        dark_probability: reader.value()?,
        dark_probability_low: reader.value()?,
        dark_probability_high: reader.value()?,
        dark_search_probability: reader.value()?,
        evidence: reader.items(evidence)?,
        model_version: text(reader)?,
        robot: optional_text(reader)?,
        incoming_token: optional_text(reader)?,
        share_token: reader.value()?,
        cascade_id: reader.value()?,
        generation: reader.value()?,
    })
}

fn text<'de>(reader: &mut Reader<'de>) -> Result<Cow<'de, str>, DatumError> {
    reader.value::<&str>().map(Cow::Borrowed)
}

fn optional_text<'de>(reader: &mut Reader<'de>) -> Result<Option<Cow<'de, str>>, DatumError> {
    let text: Option<&str> = reader.value()?;
    Ok(text.map(Cow::Borrowed))
}
