//! The configuration with the new account, and what to type next.

use std::fs;
use std::io;
use std::path::Path;

use super::draft::{Choices, ChosenServer, Init, PasswordChoice};
use super::login::Entered;
use crate::cli::commands::cron;
use crate::cli::rewrite::Copy;
use crate::config;
use crate::credentials::Keep;
use crate::durable;
use crate::exit::ExitCode;
use crate::problem::Problem as _;
use crate::report::ReportedError;
use crate::secret::Secret;
use crate::text::{self, printable};

/// How often an account is fetched whose provider isn't known.
const USUAL: std::time::Duration = std::time::Duration::from_secs(600);

impl Init<'_> {
    /// Keeps the password, makes the directories that are missing, and puts the new configuration in the place of the old.
    /// What fails leaves nothing behind.
    ///
    /// # Errors
    /// The disk, or a program that was to keep the password.
    pub(super) fn write(
        &self,
        chosen: &ChosenServer,
        mut choices: Choices,
        entered: Entered,
    ) -> Result<(), ReportedError> {
        if self.args.print {
            let (addition, ..) = self.added(chosen, &choices)?;
            self.cli.printer.out(&addition.section());
            return Ok(());
        }
        let folder = self.path.parent().unwrap_or(Path::new("/")).to_owned();
        let failed = |e: durable::Error| ReportedError::of(&e);
        durable::make_directories(&folder).map_err(failed)?;
        let asks = self.asks_each_time(chosen, &choices, &entered);
        if let (Some(PasswordChoice::By(keeper)), Some(password)) = (&choices.kept, &entered.typed) {
            let (environment, stop) = (&self.cli.environment, &self.context.stop);
            let kept = keeper.keep(&chosen.name, &folder, password, environment, stop);
            choices.kept = Some(PasswordChoice::There(kept.map_err(|e| ReportedError::of(&e))?));
        }
        let replaced = self.added(chosen, &choices).and_then(|(_, whole, account)| {
            for missing in Self::missing_folders(&account.deliver) {
                durable::make_directories(missing).map_err(failed)?;
            }
            self.replace(&whole)
        });
        if let Err(failure) = replaced {
            if let Some(PasswordChoice::There(kept)) = &choices.kept {
                kept.undo(&folder);
            }
            return Err(failure);
        }
        self.report(chosen, &choices, asks);
        Ok(())
    }

    /// Writes a copy, reads it back as every run will, and gives it the file's name.
    fn replace(&self, whole: &Secret) -> Result<(), ReportedError> {
        // What a link leads to is changed, and the link stays.
        let path = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let failed = |e: io::Error| ReportedError {
            exit: ExitCode::CannotCreate,
            message: format!("cannot change {}: {e}", text::path(&path)),
            hint: Some("popfetch init --print shows what would be added".to_owned()),
            news: true,
        };
        let copy = Copy::of(&path, b"").map_err(failed)?;
        copy.write(self.existing.text.expose(), whole.expose()).map_err(failed)?;
        copy.keep_mode(&path).map_err(failed)?;
        if let Some(problem) = config::review(copy.path(), &self.cli.environment).problems.first() {
            return Err(ReportedError {
                exit: problem.exit_code(),
                message: format!("{} would be wrong afterwards: {problem}", text::path(&path)),
                hint: problem.hint().map(Into::into),
                news: true,
            });
        }
        copy.replace(&path).map_err(failed).map(drop)
    }

    /// What is done, and what to type next.
    fn report(&self, chosen: &ChosenServer, choices: &Choices, asks: bool) {
        let name = &chosen.name;
        let home = self.cli.environment.home.as_deref().and_then(Path::to_str);
        let shown = |path: &Path| text::in_home(&text::path(path), home).into_owned();
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        let mut said =
            format!("the account \"{}\" stands in {}\n", printable(name.as_bytes()), shown(&self.path));
        match &choices.kept {
            Some(PasswordChoice::There(Keep::File(file))) => {
                said.push_str(&format!(
                    "its password is in {}, which only you can read\n",
                    shown(&folder.join(file))
                ));
            }
            Some(PasswordChoice::There(Keep::Line(line))) => {
                said.push_str(&format!("its password is printed by {}\n", printable(line.as_bytes())));
            }
            Some(PasswordChoice::There(Keep::List(_, path))) => {
                said.push_str(&format!("its password is in {}, encrypted\n", shown(path)));
            }
            Some(PasswordChoice::By(_)) | None => {}
        }
        self.cli.printer.err(&said);
        self.cli.printer.out(&self.next(chosen, choices, asks));
    }

    fn next(&self, chosen: &ChosenServer, choices: &Choices, asks: bool) -> String {
        let word = crate::access::shell_word(Path::new(&chosen.name));
        let config = match &self.args.config.file {
            Some(file) => format!(" --config {}", crate::access::shell_word(file)),
            None => String::new(),
        };
        let login = match self.by_oauth(&chosen.candidate) {
            Some(_) => format!(
                "  popfetch auth login{config} {word}\n      logs in at the provider, or shows what that needs\n"
            ),
            None => String::new(),
        };
        let mut next = format!(
            "Next:\n{login}  popfetch{config} --dry-run {word}\n      shows what the first run would do\n  \
             popfetch{config} {word}\n      fetches the mail; {}\n",
            self.stays(choices)
        );
        let poll = chosen.candidate.provider.map_or(USUAL, |provider| provider.poll);
        match cron::crontab_line(self.cli, &self.args.config, poll) {
            Ok(_) if asks => next.push_str(
                "\ncron can't answer the question for the password: set password-command or password-file first.\n",
            ),
            Ok(line) if self.existing.names.is_empty() => next.push_str(&format!(
                "\nTo have it fetched every {} minutes, add this line with crontab -e; popfetch cron has it for systemd, too:\n  {line}",
                poll.as_secs() / 60
            )),
            Ok(_) => next.push_str("\nA line of crontab that names no account fetches this one, too; popfetch cron prints it.\n"),
            Err(_) => {}
        }
        next
    }
}
