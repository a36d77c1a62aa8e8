//! What the settings of an account are resolved against: this machine, and where relative paths start.

use std::path::{Path, PathBuf};

use super::locate::Environment;
use super::mistake::{Fault, Place};
use super::settings::Setting;
use super::value::FileName;

/// What an account is resolved against.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    /// Home, variables, where the command line's relative paths start.
    pub(super) environment: &'a Environment,
    /// Where the file's relative paths start.
    pub(super) folder: &'a Path,
}

impl Context<'_> {
    pub(super) fn file(&self, setting: &Setting<FileName>) -> Result<PathBuf, Fault> {
        self.path(setting, &setting.value.0)
    }

    /// The path that a setting means.
    pub(super) fn path<T>(&self, setting: &Setting<T>, text: &str) -> Result<PathBuf, Fault> {
        let folder = match setting.place {
            Place::File(_) => self.folder,
            Place::Flag | Place::Url => &self.environment.current_directory,
        };
        self.environment.expand(text, folder).map_err(|mistake| setting.fault(mistake))
    }
}
