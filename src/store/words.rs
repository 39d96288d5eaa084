//! What of the database's words may be logged: its code always, its sentence only where it is about the server.
//!
//! A sentence about a value quotes the value, and a trigger of the operator's may say anything; both may hold what a user
//! wrote. `detail`, which shows whole rows, is never read. [`super::StoreError`] prints through this.

use std::fmt;

use sqlx::error::DatabaseError;
use sqlx::postgres::PgDatabaseError;

/// Classes of SQLSTATE whose sentences name roles, tables, settings and the state of the server, never a value: connection,
/// transaction state, authorization, catalogue, serialisation, access rules, resources, limits, object state,
/// intervention, system, internal.
const ABOUT_THE_SERVER: [&str; 13] = [
    "08", "25", "28", "3D", "3F", "40", "42", "53", "54", "55", "57", "58", "XX",
];

/// An error of the driver's, as a log may hold it.
pub(super) struct Words<'a>(pub(super) &'a sqlx::Error);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            sqlx::Error::Database(error) => of_database(&**error, f),
            // What stands in a row may be quoted by whoever fails to read it.
            sqlx::Error::ColumnDecode { index, .. } => write!(f, "column {index} cannot be read"),
            sqlx::Error::Decode(_) => f.write_str("a value cannot be read"),
            sqlx::Error::Encode(_) => f.write_str("a value cannot be written"),
            other => other.fmt(f),
        }
    }
}

fn of_database(error: &dyn DatabaseError, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let code = error.code().unwrap_or_default();
    write!(f, "SQLSTATE {code}")?;
    if ABOUT_THE_SERVER.iter().any(|class| code.starts_with(class)) {
        return write!(f, ": {}", error.message());
    }
    let column = error
        .try_downcast_ref::<PgDatabaseError>()
        .and_then(PgDatabaseError::column);
    for (what, name) in [
        ("table", error.table()),
        ("column", column),
        ("constraint", error.constraint()),
    ] {
        if let Some(name) = name {
            write!(f, ", {what} {name}")?;
        }
    }
    Ok(())
}
