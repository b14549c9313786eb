//! What the command line asks for.

use lexopt::prelude::*;

use crate::columns::Column;
use crate::placement::Pin;

/// How the figures are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    /// A line for each figure.
    #[default]
    Text,
    /// The same, each as a JSON object.
    Json,
    /// What goes into the documentation: rows are kinds of work, columns are libraries.
    Markdown,
}

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) format: Format,
    pub(crate) quick: bool,
    pub(crate) pin: Option<Pin>,
    pub(crate) columns: Vec<Column>,
}

pub(crate) fn usage() -> String {
    let names: Vec<_> = Column::ALL.iter().map(|column| column.name()).collect();
    format!(
        "usage: peers [--json | --markdown] [--quick] [--only LIBRARY,..] [--pin same|split|none]\n\
         libraries, or the beginning of their names: {}",
        names.join(", ")
    )
}

impl Options {
    pub(crate) fn parse() -> Result<Self, lexopt::Error> {
        let mut options = Self {
            format: Format::default(),
            quick: false,
            pin: None,
            columns: Column::ALL.to_vec(),
        };
        let mut arguments = lexopt::Parser::from_env();
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("json") => options.format = Format::Json,
                Long("markdown") => options.format = Format::Markdown,
                Long("quick") => options.quick = true,
                Long("pin") => options.pin = Some(arguments.value()?.parse()?),
                Long("only") => options.columns = columns(&arguments.value()?.string()?)?,
                other => return Err(other.unexpected()),
            }
        }
        Ok(options)
    }
}

/// The columns whose names begin so.
fn columns(names: &str) -> Result<Vec<Column>, String> {
    let mut columns = Vec::new();
    for name in names.split(',') {
        let before = columns.len();
        columns.extend(Column::ALL.iter().filter(|column| column.name().starts_with(name)));
        if columns.len() == before {
            return Err(format!("no library {name}"));
        }
    }
    columns.sort_unstable();
    columns.dedup();
    Ok(columns)
}
