//! `popfetch cron`: what makes cron(8) or systemd run popfetch again and again, with the full path of this binary, since
//! neither has the user's `PATH`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use crate::access;
use crate::account::{Account, Auth, Deliver, PasswordSource};
use crate::cli::setup::{Cli, ConfigArgs, duration};
use crate::config::{ConfigError, Flags};
use crate::exit::ExitCode;

/// Print what cron or systemd needs to run popfetch again and again.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct CronArgs {
    /// Accounts by name; without any, all accounts of the configuration.
    #[arg(value_name = "ACCOUNT", value_hint = clap::ValueHint::Other)]
    accounts: Vec<String>,

    /// Fetch this often.
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = every)]
    #[arg(value_hint = clap::ValueHint::Other)]
    every: Every,

    /// Print this part alone, for a file.
    #[arg(long, value_name = "PART")]
    only: Option<Printed>,

    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Printed {
    Crontab,
    Service,
    Timer,
}

/// The user's units as packages ship them; what differs here is replaced.
const SERVICE: &str = include_str!("../../../examples/systemd/user/popfetch.service");
const TIMER: &str = include_str!("../../../examples/systemd/user/popfetch.timer");

/// Their lines that differ, and the one above what takes rights from programs.
const STARTS: &str = "ExecStart=/usr/bin/popfetch --quiet\n";
const INTERVAL: &str = "OnUnitInactiveSec=10min\n";
const LIMITS: &str = "\n# A program that has rights of its own";

/// A time after which cron and systemd can both begin again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Every {
    Minutes(u64),
    Hours(u64),
}

fn every(text: &str) -> Result<Every, String> {
    let seconds = duration(text)?;
    Every::of(seconds).ok_or_else(|| {
        "cron can do it every 1, 2, 3, 4, 5, 6, 10, 12, 15, 20 or 30 minutes, or every 1, 2, 3, 4, 6, 8, 12 or 24 hours"
            .to_owned()
    })
}

impl Every {
    fn of(time: Duration) -> Option<Self> {
        let (minutes, rest) = (time.as_secs() / 60, time.as_secs() % 60);
        let divides = |whole: u64, part: u64| whole.checked_rem(part) == Some(0);
        match (minutes / 60, minutes % 60) {
            _ if rest != 0 => None,
            (0, minutes) => divides(60, minutes).then_some(Self::Minutes(minutes)),
            (hours, 0) => divides(24, hours).then_some(Self::Hours(hours)),
            _ => None,
        }
    }

    /// The first five fields of a line of crontab(5).
    fn crontab(self) -> String {
        match self {
            Self::Minutes(1) => "* * * * *".to_owned(),
            Self::Minutes(minutes) => format!("*/{minutes} * * * *"),
            Self::Hours(1) => "0 * * * *".to_owned(),
            Self::Hours(24) => "0 0 * * *".to_owned(),
            Self::Hours(hours) => format!("0 */{hours} * * *"),
        }
    }

    /// As systemd.time(7) has it.
    fn systemd(self) -> String {
        match self {
            Self::Minutes(minutes) => format!("{minutes}min"),
            Self::Hours(hours) => format!("{hours}h"),
        }
    }
}

/// What is run: its words, the program's path first, and variables that it needs.
struct CronJob {
    words: Vec<String>,
    variables: Vec<(&'static str, String)>,
    is_root: bool,
    /// Whether it hands mail to programs, which may have rights of their own.
    has_programs: bool,
}

/// Prints the line and the units.  Warns of a configuration that would not work there.
///
/// # Errors
/// An account that is not in the configuration; a path that cannot be written in a crontab or a unit.
pub(super) fn run(args: &CronArgs, cli: &Cli) -> anyhow::Result<ExitCode> {
    let mut has_programs = false;
    match cli.configuration(&args.config, &args.accounts, &Flags::default()) {
        Ok(configuration) => {
            has_programs = configuration.accounts.iter().any(hands_to_programs);
            for account in configuration.accounts.iter().filter(|account| asks(account)) {
                cli.printer.warn(&format!(
                    "account \"{}\" asks for its password, and nobody will be there to answer: set password-command, \
                     password-file or another source",
                    account.name
                ));
            }
        }
        Err(error) if args.accounts.is_empty() => cli.printer.warn(&format!("{error:#}")),
        Err(error) => return Err(error),
    }
    let job = CronJob { has_programs, ..CronJob::of(args, cli)? };
    cli.printer.out(&match args.only {
        None => job.everything(args.every),
        Some(Printed::Crontab) => job.crontab(args.every),
        Some(Printed::Service) => job.service(),
        Some(Printed::Timer) => timer(args.every),
    });
    Ok(ExitCode::Done)
}

/// The line of crontab(5) that fetches all accounts this often, or every ten minutes where cron can't do that.
///
/// # Errors
/// A path that cannot be written in a crontab or a unit.
pub(super) fn crontab_line(cli: &Cli, config: &ConfigArgs, every: Duration) -> anyhow::Result<String> {
    let every = Every::of(every).unwrap_or(Every::Minutes(10));
    let args = CronArgs { accounts: Vec::new(), every, only: None, config: config.clone() };
    Ok(CronJob::of(&args, cli)?.crontab(every))
}

fn asks(account: &Account) -> bool {
    matches!(account.password, PasswordSource::Prompt) && account.auth != Auth::External
}

fn hands_to_programs(account: &Account) -> bool {
    account.deliver.iter().any(|deliver| matches!(deliver, Deliver::Pipe(_)))
}

impl CronJob {
    fn of(args: &CronArgs, cli: &Cli) -> anyhow::Result<Self> {
        let environment = &cli.environment;
        let program = environment.program().context("cannot find out where this program is")?;
        let mut words = vec![writable(&program)?, "--quiet".to_owned()];
        // cron and systemd start it in another environment: what was found here by a variable is named.
        let usual = |folder: &str| environment.home.as_ref().map(|home| home.join(folder));
        let configuration: Option<PathBuf> = match &args.config.file {
            Some(file) => Some(std::path::absolute(environment.current_directory.join(file))?),
            None if environment.config_home != usual(".config") => {
                Some(environment.configuration_file().map_err(anyhow::Error::from)?)
            }
            None => None,
        };
        if let Some(file) = configuration {
            words.extend(["--config".to_owned(), writable(&file)?]);
        }
        let mut variables = Vec::new();
        if let Some(state) =
            environment.state_home.as_ref().filter(|_| environment.state_home != usual(".local/state"))
        {
            variables.push(("XDG_STATE_HOME", writable(state)?));
        }
        words.extend(args.accounts.iter().cloned());
        Ok(Self { words, variables, is_root: access::is_root(), has_programs: false })
    }

    fn everything(&self, every: Every) -> String {
        let (crontab, service, timer) = (self.crontab(every), self.service(), timer(every));
        let (folder, user) =
            if self.is_root { ("/etc/systemd/system", "") } else { ("~/.config/systemd/user", " --user") };
        let linger = if self.is_root {
            ""
        } else {
            "# Your timers run only while you are logged in, unless you let them linger:  loginctl enable-linger\n"
        };
        format!(
            "# For cron, a line to add with crontab -e.  It prints nothing, and so sends no mail, unless something needs\n\
             # your attention.\n\
             {crontab}\n\
             # Or for systemd, two files.  Then:  systemctl{user} daemon-reload\n\
             #                                    systemctl{user} enable --now popfetch.timer\n\
             {linger}\n\
             # {folder}/popfetch.service\n{service}\n\
             # {folder}/popfetch.timer\n{timer}"
        )
    }

    /// A line for crontab(5): sh(1) reads it, and before that cron takes a `%` for a line end.
    fn crontab(&self, every: Every) -> String {
        let variables = self.variables.iter().map(|(name, value)| format!("{name}={}", shell_word(value)));
        let words = variables.chain(self.words.iter().map(|word| shell_word(word)));
        let command = words.collect::<Vec<_>>().join(" ").replace('%', "\\%");
        format!("{}  {command}\n", every.crontab())
    }

    fn service(&self) -> String {
        let variables = self.variables.iter().fold(String::new(), |text, (name, value)| {
            text + &format!("Environment={}\n", unit_word(&format!("{name}={value}")))
        });
        let mut words = self.words.iter();
        // systemd.service(5): in the program's path a $ is one; in arguments it begins a variable's name.
        let program = words.next().map(|path| unit_word(path)).unwrap_or_default();
        let arguments: String =
            words.map(|word| format!(" {}", unit_word(word).replace('$', "$$"))).collect();
        let unit = SERVICE.replace(STARTS, &format!("{variables}ExecStart={program}{arguments}\n"));
        match unit.split_once(LIMITS) {
            Some((unit, _)) if self.has_programs => unit.to_owned(),
            _ => unit,
        }
    }
}

fn timer(every: Every) -> String {
    TIMER.replace(INTERVAL, &format!("OnUnitInactiveSec={}\n", every.systemd()))
}

/// A path as text.
///
/// # Errors
/// One that is not UTF-8, or has invisible characters: lines end at some of them.
fn writable(path: &Path) -> Result<String, ConfigError> {
    let text = path.to_str().filter(|text| !text.chars().any(char::is_control));
    text.map(str::to_owned).ok_or_else(|| {
        ConfigError::unusable_path(
            path,
            "a crontab or a unit cannot name it: give it, or a link to it, another name",
        )
    })
}

/// A word for sh(1).
fn shell_word(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-+,:@%=".contains(&b);
    match !text.is_empty() && text.bytes().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

/// A word of a unit, where `%` begins a specifier (systemd.unit(5)).
fn unit_word(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-+,:@%=$".contains(&b) || !b.is_ascii();
    let escaped = text.replace('%', "%%");
    match !text.is_empty() && text.bytes().all(plain) {
        true => escaped,
        false => format!("\"{}\"", escaped.replace('\\', "\\\\").replace('"', "\\\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::{CronJob, Every, INTERVAL, LIMITS, SERVICE, STARTS, TIMER, every};

    #[test]
    fn the_units_have_the_lines_that_are_replaced() {
        assert!([STARTS, LIMITS].iter().all(|line| SERVICE.matches(line).count() == 1), "{SERVICE}");
        assert_eq!(TIMER.matches(INTERVAL).count(), 1, "{TIMER}");
    }

    #[test]
    fn times_that_cron_cannot_do_are_refused() {
        let cases = [
            ("1m", Some((Every::Minutes(1), "* * * * *", "1min"))),
            ("10m", Some((Every::Minutes(10), "*/10 * * * *", "10min"))),
            ("60m", Some((Every::Hours(1), "0 * * * *", "1h"))),
            ("8h", Some((Every::Hours(8), "0 */8 * * *", "8h"))),
            ("1d", Some((Every::Hours(24), "0 0 * * *", "24h"))),
            ("90s", None),
            ("7m", None),
            ("45m", None),
            ("90m", None),
            ("5h", None),
            ("2d", None),
            ("soon", None),
        ];
        for (text, expected) in cases {
            let found = every(text).ok();
            assert_eq!(found, expected.map(|(every, ..)| every), "{text}");
            if let Some((every, crontab, systemd)) = expected {
                assert_eq!((every.crontab().as_str(), every.systemd().as_str()), (crontab, systemd));
            }
        }
    }

    #[test]
    fn every_word_arrives_as_it_is() {
        let job = CronJob {
            words: ["/opt/my 50%/pop\"fetch$", "--quiet", "it's", "a$b", "ü"].map(str::to_owned).to_vec(),
            variables: vec![("XDG_STATE_HOME", "/var/a b".to_owned())],
            is_root: false,
            has_programs: false,
        };
        assert_eq!(
            job.crontab(Every::Minutes(5)),
            "*/5 * * * *  XDG_STATE_HOME='/var/a b' '/opt/my 50\\%/pop\"fetch$' --quiet 'it'\\''s' 'a$b' 'ü'\n"
        );
        let service = job.service();
        assert!(
            service.contains(
                "\nEnvironment=\"XDG_STATE_HOME=/var/a b\"\n\
                 ExecStart=\"/opt/my 50%%/pop\\\"fetch$\" --quiet \"it's\" a$$b ü\n"
            ),
            "{service}"
        );
    }
}
