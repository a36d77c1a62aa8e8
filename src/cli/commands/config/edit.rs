//! `popfetch config edit`: an editor on a copy, which takes the file's place only when it has been checked.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;

use super::file;
use crate::cli::question::answer;
use crate::cli::setup::{Cli, ConfigArgs};
use crate::clock;
use crate::config;
use crate::durable;
use crate::exit::ExitCode;
use crate::problem::Problem as _;
use crate::signals::Stop;
use crate::text;

/// Change the configuration in an editor; it is checked before it counts.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct EditArgs {
    #[command(flatten)]
    pub(in crate::cli) config: ConfigArgs,
}

/// What a new configuration begins with.
const EXAMPLE: &str = "\
# The configuration of popfetch; popfetch.toml(5) has every key.  popfetch config check tries what is written here.

[defaults]
# leave-on-server = true        # what is retrieved stays on the server; false deletes it, { days = 14 } after two weeks

[accounts.home]                 # any name: popfetch home
server = \"pop.example.com\"
user = \"me@example.com\"
password-command = \"pass show mail/home\"    # or password-file = \"FILE\", netrc = true, password = \"...\"
deliver = { maildir = \"~/Mail\" }            # or { mbox = \"FILE\" }, { pipe = [\"procmail\"] }
";

/// Runs the editor, checks what it has left, and puts it in the file's place.
///
/// # Errors
/// There is no home directory.
pub(super) fn run(args: &EditArgs, cli: &Cli) -> anyhow::Result<ExitCode> {
    let named = file(&args.config, cli)?;
    // What a link leads to is changed, and the link stays.
    let path = fs::canonicalize(&named).unwrap_or(named);
    let fail = |what: &str, e: &io::Error| {
        cli.printer.complain(&format!("cannot {what}: {e}"), None);
        ExitCode::CannotCreate
    };
    let copy = match Copy::of(&path) {
        Ok(copy) => copy,
        Err(e) => return Ok(fail(&format!("make a copy of {}", text::path(&path)), &e)),
    };
    loop {
        // Ctrl-C is the editor's: many use it there.
        let _meanwhile = Stop::beside_a_program()?;
        if let Err(e) = edit(&copy.path, cli) {
            return Ok(fail("run the editor", &e));
        }
        if let Err(e) = copy.keep_mode(&path) {
            return Ok(fail("keep the file's mode and owner", &e));
        }
        let review = config::review(&copy.path, &cli.environment);
        if review.problems.is_empty() {
            break;
        }
        for problem in &review.problems {
            // The copy goes; the file is what the user knows.
            let named = |text: &str| text.replace(&text::path(&copy.path), &text::path(&path));
            let hint = problem.hint().map(|hint| named(&hint));
            cli.printer.complain(&named(&problem.to_string()), hint.as_deref());
        }
        let stop = Stop::beside_a_program()?;
        if !wants_to_edit_again(&stop) {
            cli.printer.err("the configuration is as it was\n");
            drop(copy);
            stop.die();
            return Ok(ExitCode::Configuration);
        }
    }
    match copy.replace(&path) {
        Ok(true) => cli.printer.err(&format!("{} is changed\n", text::path(&path))),
        Ok(false) => cli.printer.err("nothing was changed\n"),
        Err(e) => return Ok(fail(&format!("replace {}", text::path(&path)), &e)),
    }
    Ok(ExitCode::Done)
}

/// The copy that is edited, beside the file, so that relative paths mean the same.  It goes with this value.
struct Copy {
    path: PathBuf,
    before: Option<Vec<u8>>,
}

impl Copy {
    fn of(path: &Path) -> io::Result<Self> {
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
        file.write_all(copy.before.as_deref().unwrap_or(EXAMPLE.as_bytes()))?;
        Ok(copy)
    }

    /// Gives it the mode and the owner of `path`: editors write another file in the place of theirs, with a mode of its own.
    fn keep_mode(&self, path: &Path) -> io::Result<()> {
        let file = File::open(&self.path)?;
        let Ok(status) = fs::metadata(path) else {
            return file.set_permissions(fs::Permissions::from_mode(0o600));
        };
        file.set_permissions(fs::Permissions::from_mode(status.mode() & 0o7777))?;
        keep_owner(&file, &status)
    }

    /// Puts it in the place of `path`, on the disk; `false` where it is the same as before.
    fn replace(&self, path: &Path) -> io::Result<bool> {
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

/// Runs `$VISUAL`, `$EDITOR`, or vi, which may be a command with arguments.
fn edit(path: &Path, cli: &Cli) -> io::Result<()> {
    let variable = |name: &str| {
        cli.environment.variables.get(OsStr::new(name)).filter(|value| !value.is_empty()).cloned()
    };
    // Ctrl-C goes to the shell as well, and must not end it before the editor has ended.
    let mut line = OsString::from("trap : INT; ");
    line.push(variable("VISUAL").or_else(|| variable("EDITOR")).unwrap_or_else(|| "vi".into()));
    line.push(" \"$@\"");
    let status = Command::new("/bin/sh").arg("-c").arg(line).arg("sh").arg(path).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("it ended with {status}"))) }
}

/// Asks what is to be done with a copy that is wrong.  Without an answer it is given up.
fn wants_to_edit_again(stop: &Stop) -> bool {
    loop {
        let answer =
            answer("What now? e: edit again, q: quit without change ", &mut |input| stop.wait_for(input));
        match answer.as_deref() {
            Some("e" | "E") => return true,
            Some("q" | "Q") | None => return false,
            Some(_) => {}
        }
    }
}
