//! Puts files that the binary carries where other programs look for them: `popfetch man --install`, `popfetch
//! completions --install`.  A package does that on its own; a user who builds popfetch needs a command for it.
//!
//! Only a file that an earlier popfetch has put there is replaced.  Files of a user go below that user's folders, those
//! of root below `/usr/local/share`, where packages leave everything alone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::setup::Cli;
use crate::exit::ExitCode;
use crate::{access, clock, durable, text};

/// A file, and where it goes.
#[derive(Debug)]
pub(super) struct InstalledFile {
    /// Where it goes.
    pub(super) path: PathBuf,
    /// What it holds.
    pub(super) content: &'static str,
    /// What every version of it has held, and no file of another program does.
    pub(super) mark: &'static str,
}

/// Why a file was not put in its place.
#[derive(Debug)]
enum NotInstalled {
    NotOurs,
    Link,
    System(io::Error),
}

impl From<io::Error> for NotInstalled {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

/// Larger than any version of this file will be: a larger file is not ours.
const LARGEST: u64 = 4 * 1024 * 1024;

/// Where root's files go, below which every system looks.
pub(super) const SHARED: &str = "/usr/local/share";

/// The folder for data of this user, or of all users.
pub(super) fn data_folder(cli: &Cli) -> Option<PathBuf> {
    if access::is_root() { Some(PathBuf::from(SHARED)) } else { cli.environment.data_home.clone() }
}

/// Reports that there is no place for such files.
pub(super) fn no_home(cli: &Cli) -> ExitCode {
    cli.printer.complain("there is no home directory", Some("set HOME"));
    ExitCode::Configuration
}

/// Puts the files in their places, and prints where.  What can't be put there is reported, and does not stop the others:
/// then the exit code is that of the last.
pub(super) fn install(pieces: &[InstalledFile], cli: &Cli) -> ExitCode {
    let mut code = ExitCode::Done;
    for piece in pieces {
        let path = text::path(&piece.path);
        match piece.put() {
            Ok(true) => cli.printer.out(&format!("wrote {path}\n")),
            Ok(false) => cli.printer.out(&format!("{path} is current\n")),
            Err(refusal) => {
                code = ExitCode::CannotCreate;
                match refusal {
                    NotInstalled::NotOurs => cli.printer.complain(
                        &format!("{path} is there already, and is not popfetch's"),
                        Some("move it away, and install again"),
                    ),
                    NotInstalled::Link => cli.printer.complain(
                        &format!("{path} is a symbolic link"),
                        Some("remove it, and install again; what it leads to is not touched"),
                    ),
                    NotInstalled::System(error) => {
                        cli.printer.complain(&format!("cannot write {path}: {error}"), None);
                    }
                }
            }
        }
    }
    code
}

impl InstalledFile {
    /// Writes the file; `false` where it is there already.
    fn put(&self) -> Result<bool, NotInstalled> {
        if self.is_current()? {
            return Ok(false);
        }
        let folder = durable::parent_of(&self.path);
        fs::create_dir_all(folder)?;
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{}", text::hex(&clock::random::<4>()?)));
        let new = PathBuf::from(name);
        let written = write(&new, self.content)
            .and_then(|()| durable::replace(&new, &self.path).map_err(|error| error.source));
        if written.is_err() {
            let _ = fs::remove_file(&new);
        }
        written?;
        Ok(true)
    }

    /// Whether this very file is there; what isn't ours is refused.
    fn is_current(&self) -> Result<bool, NotInstalled> {
        match self.path.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error.into()),
            Ok(status) if status.is_symlink() => return Err(NotInstalled::Link),
            Ok(status) if !status.is_file() => return Err(NotInstalled::NotOurs),
            Ok(_) => {}
        }
        let (file, metadata) = access::open_regular(&self.path)?;
        let found = access::contents(&file, &metadata, LARGEST)?.ok_or(NotInstalled::NotOurs)?;
        let found = found.expose();
        if found == self.content.as_bytes() {
            return Ok(true);
        }
        let is_ours = found.windows(self.mark.len()).any(|part| part == self.mark.as_bytes());
        if is_ours { Ok(false) } else { Err(NotInstalled::NotOurs) }
    }
}

/// A new file, on the disk, that everybody may read.
fn write(path: &Path, content: &str) -> io::Result<()> {
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(0o644).open(path)?;
    file.write_all(content.as_bytes())?;
    durable::sync(&file, path).map_err(|error| error.source)
}
