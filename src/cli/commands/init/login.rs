//! The password, and a login with it: what was typed is right before it is kept anywhere.

use super::draft::{Choices, ChosenServer, Init, SOURCES, usage};
use crate::account::Account;
use crate::credentials;
use crate::discovery::CandidateSource;
use crate::exit::ExitCode;
use crate::report::ReportedError;
use crate::retrieval::{LoginInfo, Options, Passwords, try_login};
use crate::secret::Secret;
use crate::text::{count, printable, size};

/// A password may be typed this often.
const MOST: u32 = 3;

/// What the login has shown.
#[derive(Default)]
pub(super) struct Entered {
    /// The password, if it was typed.
    pub(super) typed: Option<Secret>,
    /// Messages, and their octets, as far as the server reports them.
    pub(super) mail: Option<(u32, u64)>,
    /// Whether there was a login.
    pub(super) tried: bool,
}

impl Init<'_> {
    /// Logs in with what the flags name, or with what is typed.
    ///
    /// # Errors
    /// The login is refused; no user can be asked.
    pub(super) fn log_in(&self, chosen: &mut ChosenServer) -> Result<Entered, ReportedError> {
        if self.args.no_login || self.by_oauth(&chosen.candidate).is_some() {
            return Ok(Entered::default());
        }
        if self.is_set(&SOURCES) || self.args.settings.text("auth") == Some("external") {
            let account = self.account(chosen, &Choices::default())?;
            let shown = try_login(&account, &Options { insist: true, ..Options::default() }, self.context)?;
            return Ok(self.entered(None, &shown));
        }
        if self.questions.is_none() {
            return Err(usage(
                "there is no terminal to ask for the password at",
                "--password-command, --password-file, --netrc or --credential says where it is; --no-login leaves it out",
            ));
        }
        self.typed(chosen)
    }

    /// Asks for the password until the server takes it.
    fn typed(&self, chosen: &mut ChosenServer) -> Result<Entered, ReportedError> {
        let mut times = 0;
        loop {
            let account = self.account(chosen, &Choices::default())?;
            let password = self.ask_for_password(&account)?;
            let refused = match self.attempt(&account, &password) {
                Ok(shown) => return Ok(self.entered(Some(password), &shown)),
                Err(failure) => failure,
            };
            times += 1;
            if refused.exit != ExitCode::Refused || times >= MOST {
                return Err(refused);
            }
            self.cli.printer.complain(&refused.message, refused.hint.as_deref());
            if let Some(shown) = self.as_local_user(chosen, &password)? {
                return Ok(self.entered(Some(password), &shown));
            }
        }
    }

    fn ask_for_password(&self, account: &Account) -> Result<Secret, ReportedError> {
        let [user, host] = [&account.user, &account.host].map(|text| printable(text.as_bytes()));
        let typed = credentials::typed(format!("Password for {user} at {host}: "), &self.context.stop);
        let password = typed.map_err(|e| ReportedError::of(&e))?;
        match crate::account::check_one_line(password.expose()) {
            Ok(()) => Ok(password),
            Err(why) => Err(usage(&format!("the password: {why}"), "type it again")),
        }
    }

    fn attempt(&self, account: &Account, password: &Secret) -> Result<LoginInfo, ReportedError> {
        let passwords = Passwords::typed(&account.name, password.clone());
        let options = Options { insist: true, passwords, ..Options::default() };
        try_login(account, &options, self.context)
    }

    /// Some servers call the user by what stands before the `@` (RFC 6186 §4).  One more login may lock a mailbox, so the
    /// user is asked.
    fn as_local_user(
        &self,
        chosen: &mut ChosenServer,
        password: &Secret,
    ) -> Result<Option<LoginInfo>, ReportedError> {
        let is_known =
            matches!(chosen.candidate.source, CandidateSource::Provider | CandidateSource::Autoconfig(_));
        let local = chosen.candidate.user.split_once('@').map(|(local, _)| local.to_owned());
        let (Some(local), Some(questions)) = (local, &self.questions) else { return Ok(None) };
        if is_known || self.is_set(&["user"]) {
            return Ok(None);
        }
        let shown = printable(local.as_bytes());
        if !questions.agrees(&format!("Try the same password as the user \"{shown}\"?"))? {
            return Ok(None);
        }
        let whole = std::mem::replace(&mut chosen.candidate.user, local);
        let account = self.account(chosen, &Choices::default())?;
        match self.attempt(&account, password) {
            Ok(shown) => Ok(Some(shown)),
            Err(refused) if refused.exit == ExitCode::Refused => {
                self.cli.printer.complain(&refused.message, refused.hint.as_deref());
                chosen.candidate.user = whole;
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    fn entered(&self, typed: Option<Secret>, shown: &LoginInfo) -> Entered {
        let mail = shown.drop_listing.map(|(messages, octets)| (messages, octets.0));
        let there = mail.map_or_else(String::new, |(messages, octets)| {
            let verb = if messages == 1 { "is" } else { "are" };
            format!(": {} ({}) {verb} there", count(messages.into(), "message"), size(octets))
        });
        self.say(&format!("the login works{there}"));
        Entered { typed, mail, tried: true }
    }
}
