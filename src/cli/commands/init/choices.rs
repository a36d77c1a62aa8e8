//! What the user chooses: what is retrieved, what stays on the server, where mail goes, where the password is kept.

use std::path::Path;

use super::draft::{Choices, ChosenServer, DestinationChoice, Init, Leave, PasswordChoice, SOURCES, usage};
use super::login::Entered;
use crate::account::{Deliver, FirstRun};
use crate::credentials::{Keeper, keepers};
use crate::durable;
use crate::report::ReportedError;
use crate::retrieval::check;

/// Answers that are tried before the question is given up.
const MOST: u32 = 5;

impl Init<'_> {
    /// Asks for what flags leave open; without a terminal the defaults hold.
    ///
    /// # Errors
    /// A signal, answers that mean nothing, a destination that can't be used.
    pub(super) fn choose(&self, chosen: &ChosenServer, entered: &Entered) -> Result<Choices, ReportedError> {
        let mut choices = Choices::default();
        let messages = entered.mail.map_or(0, |(messages, _)| messages);
        if let Some(questions) = &self.questions {
            if (messages > 0 || !entered.tried) && !self.is_set(&["first-run"]) {
                let them = if entered.tried { "all of them" } else { "all mail that is there" };
                let question = &format!("Retrieve {them}, or only what is new from now on?");
                let answer = questions.choose(question, &["all", "new"])?;
                choices.first_run = Some(if answer == "new" { FirstRun::NewOnly } else { FirstRun::All });
            }
            if !self.is_set(&["leave-on-server"]) {
                choices.leave = self.leave()?;
            }
        }
        choices.deliver = self.place(chosen, &choices)?;
        if entered.typed.is_some() && !self.args.print {
            choices.kept = self.keeper()?.map(PasswordChoice::By);
        }
        Ok(choices)
    }

    /// What stays on the server.
    fn leave(&self) -> Result<Option<Leave>, ReportedError> {
        let Some(questions) = &self.questions else { return Ok(None) };
        for _ in 0..MOST {
            let answer =
                questions.ask("Leave mail on the server? yes, no, or for how many days [YES/no/14]")?;
            match answer.to_lowercase().as_str() {
                "" | "y" | "yes" => return Ok(Some(Leave::All)),
                "n" | "no" => return Ok(Some(Leave::Nothing)),
                days => {
                    let number = days.trim_end_matches(|c: char| !c.is_ascii_digit()).parse::<u32>();
                    if let Ok(days) = number
                        && (1..=crate::config::settings::MOST_DAYS).contains(&days)
                    {
                        return Ok(Some(Leave::Days(days)));
                    }
                }
            }
        }
        Err(usage("what is to stay on the server?", "--leave-on-server true, false, or days=14"))
    }

    /// Where mail goes; `None` where a flag or `[defaults]` sets it.
    fn place(
        &self,
        chosen: &ChosenServer,
        choices: &Choices,
    ) -> Result<Option<DestinationChoice>, ReportedError> {
        let usual = format!("~/Mail/{}", chosen.name.replace('/', "-"));
        let is_given = self.existing.delivers || self.is_set(&["maildir", "mbox", "pipe", "stdout"]);
        let mut place = (!is_given).then(|| self.meant(&usual));
        let mut times = 0;
        loop {
            if let Some(questions) = self.questions.as_ref().filter(|_| !is_given) {
                let question =
                    format!("Where does mail go? a Maildir, an mbox file, or | and a command [{usual}]");
                let answer = questions.ask(&question)?;
                let answer = if answer.is_empty() { usual.as_str() } else { answer.as_str() };
                place = Some(self.meant(answer));
            }
            let tried = self.try_place(chosen, choices, place.as_ref());
            times += 1;
            match tried {
                Ok(()) => return Ok(place),
                Err(failure) if self.questions.is_some() && !is_given && times < MOST => {
                    self.cli.printer.complain(&failure.message, failure.hint.as_deref());
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    /// What an answer means: what is there decides between a Maildir and an mbox.
    fn meant(&self, answer: &str) -> DestinationChoice {
        if let Some(command) = answer.strip_prefix('|') {
            return DestinationChoice::Pipe(command.trim().to_owned());
        }
        let home = self.cli.environment.home.as_deref().unwrap_or(Path::new("/"));
        let (whole, text) = match answer.strip_prefix("~/") {
            Some(below) => (home.join(below), answer.to_owned()),
            None => {
                let whole = self.cli.environment.current_directory.join(answer);
                let text = whole.to_string_lossy().into_owned();
                (whole, text)
            }
        };
        let text = text.replace('$', "$$");
        if whole.is_file() || answer.ends_with(".mbox") {
            DestinationChoice::Mbox(text)
        } else {
            DestinationChoice::Maildir(text)
        }
    }

    /// Whether mail could go there; nothing is made.
    fn try_place(
        &self,
        chosen: &ChosenServer,
        choices: &Choices,
        place: Option<&DestinationChoice>,
    ) -> Result<(), ReportedError> {
        let trial = Choices {
            kept: None,
            first_run: choices.first_run,
            leave: choices.leave,
            deliver: place.cloned(),
        };
        let mut account = self.account(chosen, &trial)?;
        for missing in Self::missing_folders(&account.deliver) {
            let above = missing.ancestors().find(|above| above.is_dir()).unwrap_or(Path::new("/"));
            durable::may_write(above).map_err(|e| {
                ReportedError::of(&durable::Error::new(durable::Step::MakeDirectory, missing, e))
            })?;
        }
        // What will be made with its directory is right.
        account.deliver.retain(|place| match place {
            Deliver::Mbox(path) | Deliver::Maildir(path) => path.parent().is_some_and(Path::is_dir),
            Deliver::Pipe(_) | Deliver::Stdout => true,
        });
        let wrong =
            check::destinations(&account, self.context).into_iter().find_map(|checked| checked.failure);
        wrong.map_or(Ok(()), Err)
    }

    /// Where a typed password is kept; `None` for nowhere.
    fn keeper(&self) -> Result<Option<Keeper>, ReportedError> {
        let Some(questions) = &self.questions else { return Ok(None) };
        let offered = keepers(&self.cli.environment);
        let mut words = vec!["file"];
        self.say("Where shall the password be kept?");
        self.say("  file     in a file beside the configuration that only you can read");
        if offered.contains(&Keeper::Pass) {
            self.say("  pass     in your password store");
            words.push("pass");
        }
        if offered.contains(&Keeper::SystemdCreds) {
            self.say("  systemd  in a file that systemd-creds encrypts with this machine's key");
            words.push("systemd");
        }
        self.say("  nowhere  you are asked for it at each run, which cron can't answer");
        words.push("nowhere");
        Ok(match questions.choose("Keep it in", &words)? {
            "file" => Some(Keeper::File),
            "pass" => Some(Keeper::Pass),
            "systemd" => Some(Keeper::SystemdCreds),
            _ => None,
        })
    }

    /// The directories that the destinations need, and that aren't there: a Maildir's own is made by the first run.
    pub(super) fn missing_folders(deliver: &[Deliver]) -> Vec<&Path> {
        let parents = deliver.iter().filter_map(Deliver::path).filter_map(Path::parent);
        parents.filter(|parent| !parent.is_dir()).collect()
    }

    /// Whether an account asks for its password in each run.
    pub(super) fn asks_each_time(&self, chosen: &ChosenServer, choices: &Choices, entered: &Entered) -> bool {
        let named = self.is_set(&SOURCES)
            || self.args.settings.text("auth") == Some("external")
            || self.by_oauth(&chosen.candidate).is_some();
        choices.kept.is_none() && (entered.typed.is_some() || !entered.tried) && !named
    }

    /// Sums up the choices for people.
    pub(super) fn stays(&self, choices: &Choices) -> String {
        match choices.leave {
            Some(Leave::Nothing) => "what is delivered is deleted on the server".to_owned(),
            Some(Leave::Days(days)) => {
                let days = if days == 1 { "a day".to_owned() } else { format!("{days} days") };
                format!("what is delivered stays on the server for {days}")
            }
            None if self.is_set(&["leave-on-server"]) => {
                "what stays on the server is as the flag says".to_owned()
            }
            Some(Leave::All) | None => "all of it stays on the server".to_owned(),
        }
    }
}
