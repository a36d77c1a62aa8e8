//! A configuration that is changed: on a copy, which takes the file's place whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use crate::clock;
use crate::durable;
use crate::text;

/// A copy of the configuration beside it, so that relative paths mean the same.  It goes with this value.
pub(super) struct Copy {
    path: PathBuf,
    before: Option<Vec<u8>>,
}

impl Copy {
    /// A copy of the file at `path`; of `content` where there is no such file yet.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn of(path: &Path, content: &[u8]) -> io::Result<Self> {
        let before = match fs::read(path) {
            Ok(octets) => Some(octets),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(e),
        };
        let folder = path.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(folder)?;
        let random = text::hex(&clock::random::<4>()?);
        let copy = folder.join(format!("config-{random}.toml"));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&copy)?;
        // From here on it is removed, whatever happens.
        let copy = Self { path: copy, before };
        file.write_all(copy.before.as_deref().unwrap_or(content))?;
        Ok(copy)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes something else into it.  `before` is what the change is about.
    ///
    /// # Errors
    /// The system's; `AlreadyExists` where the file was changed in the meantime.
    pub(super) fn write(&self, before: &[u8], content: &[u8]) -> io::Result<()> {
        if self.before.as_deref().unwrap_or_default() != before {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "it was changed in the meantime"));
        }
        OpenOptions::new().write(true).truncate(true).open(&self.path)?.write_all(content)
    }

    /// Gives it the mode and the owner of `path`: editors write another file in the place of theirs, with a mode of its own.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn keep_mode(&self, path: &Path) -> io::Result<()> {
        let file = File::open(&self.path)?;
        let Ok(status) = fs::metadata(path) else {
            return file.set_permissions(fs::Permissions::from_mode(0o600));
        };
        file.set_permissions(fs::Permissions::from_mode(status.mode() & 0o7777))?;
        keep_owner(&file, &status)
    }

    /// Puts it in the place of `path`, on the disk; `false` where it is the same as before.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn replace(&self, path: &Path) -> io::Result<bool> {
        let after = fs::read(&self.path)?;
        if self.before.as_ref() == Some(&after) {
            return Ok(false);
        }
        let file = File::open(&self.path)?;
        durable::sync(&file, &self.path)
            .and_then(|()| durable::replace(&self.path, path))
            .and_then(|()| durable::sync_directory(durable::parent_of(path)))
            .map_err(|e| e.source)?;
        Ok(true)
    }
}

/// Puts a new file at `path`, readable by its owner only, and on the disk: whole, or not at all.
///
/// # Errors
/// The disk.
pub(super) fn put(path: &Path, octets: &[u8]) -> Result<(), durable::Error> {
    durable::make_directories(durable::parent_of(path))?;
    durable::put(&path.with_extension("new"), path, octets)
}

fn keep_owner(file: &File, status: &fs::Metadata) -> io::Result<()> {
    let now = file.metadata()?;
    if (now.uid(), now.gid()) == (status.uid(), status.gid()) {
        return Ok(());
    }
    fchown(file, Some(status.uid()), Some(status.gid()))
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}
