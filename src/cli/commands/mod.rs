//! The commands of popfetch, a file for each.  A command has the arguments, the environment and the printer, and
//! gives an exit code; errors that concern all accounts go to the caller, who prints them.

pub(super) mod fetch;
pub(super) mod state;
