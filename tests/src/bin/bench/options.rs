//! What the command line asks for.

use crate::groups::GROUPS;
use crate::placement::Pin;

#[derive(Debug, Default)]
pub(crate) struct Options {
    pub(crate) json: bool,
    pub(crate) quick: bool,
    pub(crate) only: Option<String>,
    pub(crate) pin: Option<Pin>,
}

pub(crate) fn usage() -> String {
    let groups: Vec<_> = GROUPS.iter().map(|(name, _)| *name).collect();
    let groups = groups.join(", ");
    format!(
        "usage: bench [--json] [--quick] [--only GROUP] [--pin same|split|none]\ngroups: {groups}"
    )
}

impl Options {
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self::default();
        let mut arguments = arguments.iter().map(String::as_str);
        while let Some(argument) = arguments.next() {
            match argument {
                "--json" => options.json = true,
                "--quick" => options.quick = true,
                "--only" => {
                    let group = arguments.next().ok_or("--only what?")?;
                    if !GROUPS.iter().any(|(name, _)| *name == group) {
                        return Err(format!("no group {group}"));
                    }
                    options.only = Some(group.to_owned());
                }
                "--pin" => options.pin = Some(arguments.next().ok_or("--pin how?")?.parse()?),
                _ => return Err(format!("{argument}?")),
            }
        }
        Ok(options)
    }
}
