//! What a statement may do, decided before it runs.
//!
//! The engine's own parser takes the statement apart, twice: as a syntax tree (`EXPLAIN AST`), in
//! which every nested call and table shows by name, and as canonical text (`formatQuery`), in
//! which shows what the tree leaves out (settings, `APPLY(f)`, window definitions, the conditions
//! of `SHOW`). Both are read against lists of what is allowed; what the engine knows and no list has
//! is refused, so that a function the lists' author never heard of is refused, too.
//!
//! The tree alone cannot be fooled by comments, quoting, subqueries, common table expressions or
//! parameters carrying identifiers: the engine has resolved those when it prints it.

mod lists;
mod settings;

use crate::accounts::Role;
use crate::engine::{Connection, Facts, Params};
use crate::error::{QueryError, code};
use crate::sql::{self, Kind};

pub(crate) use settings::check_setting;

/// What kind of statement it is, as far as running it differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statement {
    /// A SELECT.
    Select,
    /// Another statement with a result: SHOW, DESCRIBE, EXISTS, EXPLAIN, CHECK.
    Describe,
    /// `SET` or `USE`: changes the connection only.
    Session,
    /// Changes data or definitions.
    Change,
}

/// Parses one statement with the engine and decides whether `role` may run it.
///
/// `text` is the statement without data of an INSERT; `params` are bound as they will be when it
/// runs. Nothing is executed.
///
/// # Errors
/// The engine's own errors where it does not parse (62 and others); 62 for several statements in
/// one text; 497 `ACCESS_DENIED` or 452 `SETTING_CONSTRAINT_VIOLATION` with the reason where it
/// may not run.
pub(crate) fn check(
    connection: &mut Connection,
    facts: &Facts,
    role: Role,
    text: &[u8],
    params: &Params,
) -> Result<Statement, QueryError> {
    // Before EXPLAIN AST, which would run a second statement in the text.
    let canonical = canonical_text(connection, text)?;
    let tree = syntax_tree(connection, text, params)?;
    let statement = check_tree(facts, role, &tree)?;
    check_text(facts, role, &canonical)?;
    Ok(statement)
}

/// The statement as the engine would write it. Refuses several statements; runs nothing.
fn canonical_text(connection: &mut Connection, text: &[u8]) -> Result<Vec<u8>, QueryError> {
    let text = std::str::from_utf8(text).map_err(|_| {
        QueryError::new(
            code::SYNTAX_ERROR,
            "Syntax error: the statement is not valid UTF-8",
        )
    })?;
    if text.contains('\0') {
        let message = "Syntax error: the statement holds a zero byte";
        return Err(QueryError::new(code::SYNTAX_ERROR, message));
    }
    let escaped = text
        .replace('\\', "\\\\")
        .replace('\t', "\\t")
        .replace('\n', "\\n")
        .replace('\r', "\\r");
    let params = [("text".to_owned(), escaped)];
    let sql = b"SELECT formatQuerySingleLine({text:String})";
    let result = connection
        .query(sql, &params, "RawBLOB")
        .map_err(|mut error| {
            // The engine appends where *its* call stood; the caller did not write that.
            if let Some(at) = error.message.find(": In scope SELECT formatQuery") {
                error.message.truncate(at);
            }
            error
        })?;
    Ok(result.bytes.to_vec())
}

fn syntax_tree(
    connection: &mut Connection,
    text: &[u8],
    params: &Params,
) -> Result<String, QueryError> {
    let sql = [b"EXPLAIN AST ", text].concat();
    // A second opinion on the number of statements, from the parser that will run them: a stream
    // takes one statement only, and then says that it cannot stream an EXPLAIN.
    match connection.stream(&sql, params, "TSVRaw") {
        Err(error) if error.code == code::BAD_ARGUMENTS.0 => {}
        Err(error) => return Err(error),
        Ok(_) => {
            let message = "the engine took the statement for another than it is";
            return Err(QueryError::new(code::ACCESS_DENIED, message));
        }
    }
    let result = connection.query(&sql, params, "TSVRaw")?;
    Ok(String::from_utf8_lossy(&result.bytes).into_owned())
}

fn denied(message: impl Into<String>) -> QueryError {
    QueryError::new(code::ACCESS_DENIED, message)
}

/// The first word of a node's line, and the rest.
fn node(line: &str) -> (&str, &str) {
    let line = line.trim_start();
    line.split_once(' ').unwrap_or((line, ""))
}

/// A name in a node's line, without what the engine notes behind it.
fn node_name(rest: &str) -> &str {
    let end = [" (children ", " (alias "]
        .iter()
        .filter_map(|mark| rest.find(mark))
        .min();
    rest[..end.unwrap_or(rest.len())].trim()
}

fn check_tree(facts: &Facts, role: Role, tree: &str) -> Result<Statement, QueryError> {
    let mut lines = tree.lines();
    let root = lines.next().unwrap_or_default();
    let statement = lists::statement(role, root)?;
    for line in tree.lines() {
        let (kind, rest) = node(line);
        let name = node_name(rest);
        match kind {
            "Function" => check_function(facts, role, name)?,
            "FunctionWithKeyValueArguments" => {
                return Err(denied(
                    "Not enough privileges: this server has no dictionaries",
                ));
            }
            "TableIdentifier" | "Identifier" => check_table(role, name)?,
            _ if line.starts_with(' ') && kind.ends_with("Query") => {
                lists::nested_statement(kind)?;
            }
            _ => {}
        }
    }
    Ok(statement)
}

fn check_function(facts: &Facts, role: Role, name: &str) -> Result<(), QueryError> {
    // What the engine does not know (a misspelt function, a codec, an index type) is its to refuse.
    let lower = name.to_lowercase();
    let known = facts.engines.contains(&lower) || lists::known(&facts.callables, &lower);
    if !known || lists::callable(role, &lower) {
        return Ok(());
    }
    let who = match role {
        Role::Owner => "this server",
        Role::Reader => "a reader",
    };
    Err(denied(format!(
        "Not enough privileges: {name} is not among the functions, table functions and engines \
         that {who} may use (nothing that reads files, reaches hosts or looks into the server is)"
    )))
}

fn check_table(role: Role, name: &str) -> Result<(), QueryError> {
    if role == Role::Owner || lists::readable(name) {
        return Ok(());
    }
    Err(denied(format!(
        "Not enough privileges: a reader may not read {name}"
    )))
}

/// Checks what only the canonical text shows.
fn check_text(facts: &Facts, role: Role, text: &[u8]) -> Result<(), QueryError> {
    let tokens: Vec<sql::Token> = sql::lex(text).collect();
    for (i, token) in tokens.iter().enumerate() {
        let next = tokens.get(i + 1);
        if token.kind == Kind::Text {
            continue;
        }
        let follows = |word: &str| next.is_some_and(|n| n.is(text, word));
        if token.is(text, "INTO") && follows("OUTFILE") {
            return Err(denied(
                "Not enough privileges: INTO OUTFILE would write a file of the server",
            ));
        }
        if token.is(text, "FROM") && follows("INFILE") {
            return Err(denied(
                "Not enough privileges: FROM INFILE would read a file of the server",
            ));
        }
        if tokens[0].is(text, "ATTACH") && token.is(text, "FROM") {
            return Err(denied(
                "Not enough privileges: ATTACH … FROM would read a path of the server",
            ));
        }
        let called = next.is_some_and(|n| n.kind == Kind::Punct(b'('));
        // `APPLY f` and `APPLY(f)` name a function without calling it.
        let applied = i > 0
            && (tokens[i - 1].is(text, "APPLY")
                || (i > 1
                    && tokens[i - 1].kind == Kind::Punct(b'(')
                    && tokens[i - 2].is(text, "APPLY")));
        if (called || applied)
            && let Some(name) = token.name(text)
            && facts.callables.contains(&name.to_lowercase())
        {
            check_function(facts, role, &name)?;
        }
    }
    settings::check_clauses(facts, role, text, &tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_read() {
        assert_eq!(
            node("   Function file (children 1)"),
            ("Function", "file (children 1)")
        );
        assert_eq!(node_name("a.b (alias x)"), "a.b");
        assert_eq!(node_name("count (alias n) (children 1)"), "count");
        assert_eq!(node_name("t"), "t");
    }

    #[test]
    fn a_tree_is_refused_for_its_innermost_node() {
        let tree = "SelectWithUnionQuery (children 1)\n ExpressionList (children 1)\n  SelectQuery (children 1)\n   Function sum (children 1)\n    Function FILE (children 1)";
        let mut facts = Facts::default();
        facts
            .callables
            .extend(["file", "sum", "plus"].map(str::to_owned));
        assert!(check_tree(&facts, Role::Reader, tree).is_err());
        assert!(check_tree(&facts, Role::Owner, tree).is_err());
        let harmless = tree.replace("FILE", "plus");
        assert_eq!(
            check_tree(&facts, Role::Reader, &harmless),
            Ok(Statement::Select)
        );
    }
}
