//! `popfetch config edit`: an editor on a copy, which takes the file's place only when it has been checked.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use clap::Args;

use crate::cli::questions::Questions;
use crate::cli::rewrite::Copy;
use crate::cli::setup::{Cli, ConfigArgs};
use crate::config;
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
    let named = cli.configuration_file(&args.config)?;
    // What a link leads to is changed, and the link stays.
    let path = fs::canonicalize(&named).unwrap_or(named);
    let fail = |what: &str, e: &io::Error| {
        cli.printer.complain(&format!("cannot {what}: {e}"), None);
        ExitCode::CannotCreate
    };
    let copy = match Copy::of(&path, EXAMPLE.as_bytes()) {
        Ok(copy) => copy,
        Err(e) => return Ok(fail(&format!("make a copy of {}", text::path(&path)), &e)),
    };
    loop {
        // Ctrl-C is the editor's: many use it there.
        let _meanwhile = Stop::beside_a_program()?;
        if let Err(e) = edit(copy.path(), cli) {
            return Ok(fail("run the editor", &e));
        }
        if let Err(e) = copy.keep_mode(&path) {
            return Ok(fail("keep the file's mode and owner", &e));
        }
        let review = config::review(copy.path(), &cli.environment);
        if review.problems.is_empty() {
            break;
        }
        for problem in &review.problems {
            // The copy goes; the file is what the user knows.
            let named = |text: &str| text.replace(&text::path(copy.path()), &text::path(&path));
            let hint = problem.hint().map(|hint| named(&hint));
            cli.printer.complain(&named(&problem.to_string()), hint.as_deref());
        }
        let stop = Stop::beside_a_program()?;
        if !wants_to_edit_again(cli, &stop) {
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

/// Runs `$VISUAL`, `$EDITOR`, or vi, which may be a command with arguments.
fn edit(path: &Path, cli: &Cli) -> io::Result<()> {
    let (visual, editor) = (cli.environment.variable("VISUAL"), cli.environment.variable("EDITOR"));
    // Ctrl-C goes to the shell as well, and must not end it before the editor has ended.
    let mut line = OsString::from("trap : INT; ");
    line.push(visual.or(editor).unwrap_or(OsStr::new("vi")));
    line.push(" \"$@\"");
    let status = Command::new("/bin/sh").arg("-c").arg(line).arg("sh").arg(path).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("it ended with {status}"))) }
}

/// Asks what is to be done with a copy that is wrong.  Without an answer it is given up.
fn wants_to_edit_again(cli: &Cli, stop: &Stop) -> bool {
    let Some(questions) = Questions::open(&cli.environment, stop) else { return false };
    loop {
        match questions.ask("What now? e: edit again, q: quit without change").as_deref() {
            Ok("e" | "E") => return true,
            Ok("q" | "Q") | Err(_) => return false,
            Ok(_) => {}
        }
    }
}
