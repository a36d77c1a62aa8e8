//! What other programs have set up and remember: fetchmail, getmail, mpop and fdm, read from their own files.
//!
//! ```text
//! fetchmail.rs  getmail.rs  mpop.rs  fdm/  their configuration ──► foreign.rs: accounts, remarks
//!                                                                     │
//!                                          document.rs: sections of a configuration, passwords elsewhere
//! seen.rs       their state files ──► unique-ids, with dates where they have any
//! matching.rs   these and a listing ──► what the ledger is to record
//! ```
//!
//! Everything here is a function of octets.  Files are opened only through a function of the caller (for fdm's `include`),
//! nothing that a file names is run, and no message contains a password.  What a program accepts is read as that program
//! reads it.  What it would refuse is an error with file and line, or is left out with a remark.

pub(crate) mod document;
mod error;
mod fdm;
mod fetchmail;
mod foreign;
mod getmail;
pub(crate) mod matching;
mod mpop;
mod names;
pub(crate) mod places;
mod python;
pub(crate) mod schedule;
pub(crate) mod seen;
mod shell;
mod source;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

pub(crate) use error::{Error, SourceLine};
pub(crate) use foreign::{Foreign, ForeignFile, Password, Remark, StateFile};
pub(crate) use source::{ForeignProgram, ForeignSource, ForeignSurroundings, Include, LARGEST_CONFIGURATION};

use crate::secret::Secret;

/// Reads a configuration file of `program`.
///
/// # Errors
/// [`Error::Syntax`] for what the program itself would refuse; [`Error::File`] for a file that is included and cannot be
/// read.
pub(crate) fn read(
    program: ForeignProgram,
    source: ForeignSource<'_>,
    around: ForeignSurroundings<'_>,
    include: &mut Include<'_>,
) -> Result<ForeignFile, Error> {
    match program {
        ForeignProgram::Fetchmail => fetchmail::read(source, around),
        ForeignProgram::Getmail => getmail::read(source, around),
        ForeignProgram::Mpop => mpop::read(source, around),
        ForeignProgram::Fdm => fdm::read(source, around, include),
    }
}

/// For fuzzing: any octets as a configuration, and as a state file, of each program.  None may panic.
#[doc(hidden)]
pub fn fuzz_import(octets: &[u8]) {
    let variables = BTreeMap::new();
    let around = ForeignSurroundings { home: Path::new("/home/me"), caller: None, variables: &variables };
    let source = ForeignSource { path: Path::new("rc"), octets };
    // A file that includes itself must end as well.
    let mut include = |_: &Path| Ok(Secret::new(octets));
    for program in ForeignProgram::ALL {
        match read(program, source, around, &mut include) {
            Ok(reading) => {
                for account in &reading.accounts {
                    let _ = document::addition("name", account, "name.password").section();
                    account.state.iter().for_each(|state| drop(seen::read(state, octets)));
                }
            }
            Err(e) => _ = e.to_string(),
        }
    }
}
