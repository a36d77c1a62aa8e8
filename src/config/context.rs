//! What the settings of an account are resolved against: this machine, and where relative paths start.

use std::path::{Path, PathBuf};

use super::mistake::{LocatedMistake, SettingPlace};
use super::settings::Located;
use super::value::FileName;
use crate::environment::Environment;

/// What an account is resolved against.
#[derive(Debug, Clone, Copy)]
pub(super) struct ResolveContext<'a> {
    /// Home, variables, where the command line's relative paths start.
    pub(super) environment: &'a Environment,
    /// Where the file's relative paths start.
    pub(super) folder: &'a Path,
}

impl ResolveContext<'_> {
    pub(super) fn file(&self, setting: &Located<FileName>) -> Result<PathBuf, LocatedMistake> {
        self.path(setting, &setting.value.0)
    }

    /// The path that a setting means.
    pub(super) fn path<T>(&self, setting: &Located<T>, text: &str) -> Result<PathBuf, LocatedMistake> {
        let folder = match setting.place {
            SettingPlace::File(_) => self.folder,
            SettingPlace::Flag | SettingPlace::Url => &self.environment.current_directory,
        };
        self.environment.expand(text, folder).map_err(|mistake| setting.fault(mistake))
    }
}
