//! SQLite databases: opened for reading alone, and told apart by their tables.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

/// The bytes that every such file begins with.
pub const MAGIC: &[u8] = b"SQLite format 3\0";

/// Opens a database. Nothing is written, and no journal of it is touched.
pub fn open(path: &Path) -> Result<Connection, String> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags).map_err(|error| error.to_string())
}

/// The names of the tables.
pub fn tables(database: &Connection) -> Result<Vec<String>, String> {
    rows(database, "SELECT name FROM sqlite_master WHERE type = 'table'", [], |row| row.get(0))
}

/// The names of a table's columns.
pub fn columns(database: &Connection, table: &str) -> Result<Vec<String>, String> {
    rows(database, "SELECT name FROM pragma_table_info(?1)", [table], |row| row.get(0))
}

/// The rows of a query.
pub fn rows<T>(
    database: &Connection,
    query: &str,
    parameters: impl rusqlite::Params,
    read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, String> {
    let mut statement = database.prepare(query).map_err(|error| error.to_string())?;
    let rows = statement.query_map(parameters, read).map_err(|error| error.to_string())?;
    rows.collect::<Result<Vec<T>, _>>().map_err(|error| error.to_string())
}

/// Chooses the one of several that is called `name`, or the only one.
pub fn choose<T>(what: &str, all: Vec<(String, T)>, name: Option<&str>) -> Result<T, String> {
    let names: Vec<String> = all.iter().map(|(name, _)| name.clone()).collect();
    let known = names.join(", ");
    let mut fitting = all.into_iter().filter(|(own, _)| name.is_none_or(|name| own == name));
    match (fitting.next(), fitting.next()) {
        (Some((_, one)), None) => Ok(one),
        (None, _) if names.is_empty() => Err(format!("it has no {what}")),
        (None, _) => Err(format!("it has no {what} {}; there are {known}", name.unwrap_or_default())),
        (Some(_), Some(_)) => Err(format!("it has several: give --name with one {what} of {known}")),
    }
}
