//! Settings: which names may be set at all.
//!
//! A number or a flag cannot name a file; a text can. So closed settings pass (but for a few that
//! undo what protects the server), and texts pass by name only.

use crate::accounts::Role;
use crate::bootstrap::CONSTANT_SETTINGS;
use crate::engine::{Facts, SettingKind};
use crate::error::{QueryError, code};
use crate::sql::{Kind, Token};

/// Free texts that are harmless whatever they say.
const TEXTS: &[&str] = &[
    "bool_false_representation",
    "bool_true_representation",
    "column_names_for_schema_inference",
    "compatibility",
    "count_distinct_implementation",
    "default_compression_codec",
    "errors_output_format",
    "force_data_skipping_indices",
    "force_optimize_projection_name",
    "format_csv_null_representation",
    "format_custom_field_delimiter",
    "format_custom_result_after_delimiter",
    "format_custom_result_before_delimiter",
    "format_custom_row_after_delimiter",
    "format_custom_row_before_delimiter",
    "format_custom_row_between_delimiter",
    "format_json_object_each_row_column_for_object_name",
    "format_regexp",
    "format_tsv_null_representation",
    "http_response_headers",
    "ignore_data_skipping_indices",
    "input_format_mysql_dump_table_name",
    "input_format_orc_reader_time_zone_name",
    "insert_deduplication_token",
    "log_comment",
    "marks_compression_codec",
    "network_compression_method",
    "output_format_avro_codec",
    "output_format_avro_string_column_pattern",
    "output_format_orc_writer_time_zone_name",
    "output_format_pretty_grid_charset",
    "output_format_sql_insert_table_name",
    "preferred_optimize_projection_name",
    "primary_key_compression_codec",
    "query_cache_tag",
    "schema_inference_hints",
    "temporary_files_codec",
    "workload",
    "auto_statistics_types",
    "exclude_materialize_skip_indexes_on_insert",
    "exclude_materialize_skip_indexes_on_merge",
];

/// Closed settings that would undo what protects the server.
const PROTECTIONS: &[&str] = &[
    "readonly",
    "allow_ddl",
    "allow_named_collection_override_by_default",
];

/// Bounds of a reader's own that it must not lift.
const READER_BOUNDS: &[&str] = &[
    "max_execution_time",
    "max_memory_usage",
    "max_memory_usage_for_user",
];

/// Whether `role` may set `name`. A name the engine does not know passes: the engine says so
/// itself, with code 115.
pub(crate) fn check_setting(facts: &Facts, role: Role, name: &str) -> Result<(), QueryError> {
    let refused = CONSTANT_SETTINGS.contains(&name)
        || PROTECTIONS.contains(&name)
        || name == "chdb_client_name"
        || (role == Role::Reader && READER_BOUNDS.contains(&name))
        || (facts.settings.get(name) == Some(&SettingKind::Text) && !TEXTS.contains(&name));
    if refused {
        let message = format!("Setting {name} should not be changed on this server");
        return Err(QueryError::new(code::SETTING_CONSTRAINT, message));
    }
    Ok(())
}

/// Checks every name in `SET …`, `… SETTINGS …` and `MODIFY SETTING …` of a canonical text.
pub(super) fn check_clauses(
    facts: &Facts,
    role: Role,
    text: &[u8],
    tokens: &[Token],
) -> Result<(), QueryError> {
    for (i, token) in tokens.iter().enumerate() {
        let opens = token.is(text, "SETTINGS")
            || token.is(text, "SETTING")
            || (i == 0 && token.is(text, "SET"));
        if opens {
            check_pairs(facts, role, text, &tokens[i + 1..])?;
        }
    }
    Ok(())
}

/// Reads `name = value, name = value …` as far as it goes.
fn check_pairs(
    facts: &Facts,
    role: Role,
    text: &[u8],
    mut tokens: &[Token],
) -> Result<(), QueryError> {
    while let [name, equals, rest @ ..] = tokens {
        let Some(name) = name.name(text) else {
            return Ok(());
        };
        // `RESET SETTING a, b` names without values.
        if equals.kind == Kind::Punct(b',') {
            check_setting(facts, role, &name)?;
            tokens = rest;
            continue;
        }
        if equals.kind != Kind::Punct(b'=') {
            return Ok(());
        }
        check_setting(facts, role, &name)?;
        let depth = equals.depth;
        // A value has no comma outside its brackets; whatever ends the clause comes before the
        // next comma at this depth or is not followed by `name =`.
        let Some(comma) = rest
            .iter()
            .position(|t| t.depth == depth && t.kind == Kind::Punct(b','))
        else {
            return Ok(());
        };
        tokens = &rest[comma + 1..];
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::lex;

    fn facts() -> Facts {
        let mut facts = Facts::default();
        for (name, kind) in [
            ("max_threads", SettingKind::Closed),
            ("format_schema", SettingKind::Text),
            ("log_comment", SettingKind::Text),
            ("disk", SettingKind::Text),
            ("max_execution_time", SettingKind::Closed),
        ] {
            facts.settings.insert(name.to_owned(), kind);
        }
        facts
    }

    fn clauses(role: Role, text: &str) -> bool {
        let tokens: Vec<Token> = lex(text.as_bytes()).collect();
        check_clauses(&facts(), role, text.as_bytes(), &tokens).is_ok()
    }

    #[test]
    fn clauses_are_read_to_their_end() {
        for text in [
            "SELECT 1 SETTINGS max_threads = 1, log_comment = 'a, format_schema = 1'",
            "SET max_threads = 2",
            "SELECT 1 AS settings, 2 AS disk",
            "SELECT settings = 1, disk FROM t",
        ] {
            assert!(clauses(Role::Reader, text), "{text}");
        }
        for text in [
            "SELECT 1 SETTINGS max_threads = 1, format_schema = 'x'",
            "SELECT * FROM (SELECT 1 SETTINGS readonly = 0)",
            "SET readonly = 0",
            "CREATE TABLE x (a Int8) SETTINGS index_granularity = 1, disk = disk(type = local, path = '/x')",
            "CREATE TABLE x (a Int8) SETTINGS disk = disk(a = 1, b = 2), max_threads = 1",
            "ALTER TABLE t (MODIFY SETTING disk = 'x')",
            "SET `dialect` = 'prql'",
            "SELECT 1 SETTINGS a = map(1, 2), additional_result_filter = 'x'",
        ] {
            assert!(!clauses(Role::Owner, text), "{text}");
        }
        assert!(!clauses(Role::Reader, "SET max_execution_time = 0"));
        assert!(clauses(Role::Owner, "SET max_execution_time = 0"));
    }
}
