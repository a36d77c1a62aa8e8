//! The grammar of the command line, as a clap command; public for the generators of man page and completions.
//!
//! What a setting of an account means is the configuration's business: its flags are carried there as text, and
//! `config::keys` says which words they may be.  Here they only get a place in the help and one sentence.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{
    Arg, ArgAction, ArgMatches, Args, Command, CommandFactory as _, FromArgMatches, Parser, Subcommand,
    ValueEnum,
};

use crate::config::ConfigError;
use crate::config::url::Flags;

/// What was said on the command line.
#[derive(Debug, Parser)]
#[command(
    name = "popfetch",
    version,
    about = "Retrieves mail from POP3 maildrops: nothing lost, nothing delivered twice",
    override_usage = "popfetch [OPTIONS] [ACCOUNT|URL]...\n       popfetch state release [OPTIONS] ACCOUNT",
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    after_help = AFTER_HELP,
    max_term_width = 100,
    args_override_self = true
)]
pub struct Arguments {
    /// Accounts by name or as POP URLs; without any, all accounts of the configuration.
    #[arg(value_name = "ACCOUNT|URL", value_hint = clap::ValueHint::Other)]
    pub accounts: Vec<String>,

    /// Read this configuration instead of ~/.config/popfetch/config.toml.
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub config: Option<PathBuf>,

    /// Serve so many accounts at once.
    #[arg(long, value_name = "NUMBER", value_parser = jobs, value_hint = clap::ValueHint::Other)]
    pub jobs: Option<NonZeroUsize>,

    /// Wait for another popfetch to leave the mailbox, at most for the duration if one is given.
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, value_parser = duration)]
    #[arg(value_hint = clap::ValueHint::Other)]
    pub wait: Option<Option<Duration>>,

    /// Say nothing unless something needs a person.
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Say what is done and why; twice, show the dialogue with the server as well.
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,

    /// Print one JSON object per line, for programs.
    #[arg(long)]
    pub json: bool,

    /// Use colours: auto does on a terminal unless NO_COLOR is set.
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = Color::Auto)]
    pub color: Color,

    /// Leave everything on the server in this run.
    #[arg(long, help_heading = POLICY, conflicts_with_all = ["delete", "leave-on-server"])]
    pub keep: bool,

    /// Delete from the server in this run whatever is durably delivered.
    #[arg(long, help_heading = POLICY, conflicts_with = "leave-on-server")]
    pub delete: bool,

    /// Retrieve again what was retrieved before.
    #[arg(long, help_heading = POLICY)]
    pub all: bool,

    /// Show what would be done with each message and why, and change nothing.
    #[arg(long, help_heading = POLICY)]
    pub dry_run: bool,

    /// Settings of accounts.
    #[command(flatten)]
    pub settings: Settings,

    /// What is done in place of fetching.
    #[command(subcommand)]
    pub command: Option<Verb>,
}

/// What is done in place of fetching.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// See to what is remembered of an account.
    State {
        /// Which.
        #[command(subcommand)]
        command: StateVerb,
    },
}

/// What can be done with the state.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum StateVerb {
    /// Give up unfinished deliveries to what isn't configured any more, or is gone.
    Release(Release),
}

/// `popfetch state release`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Release {
    /// Whose deliveries.
    #[arg(value_name = "ACCOUNT", value_hint = clap::ValueHint::Other)]
    pub account: String,

    /// Give up a configured destination too, of this name or a part of it, whose folder is gone.
    #[arg(long, value_name = "TEXT", value_hint = clap::ValueHint::AnyPath)]
    pub destination: Option<String>,

    /// Don't ask.
    #[arg(short, long)]
    pub yes: bool,

    /// Read this configuration instead of ~/.config/popfetch/config.toml.
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub config: Option<PathBuf>,
}

const POLICY: &str = "What is done in this run";

const AFTER_HELP: &str = "\
Settings given as flags stand above those of the configuration.  With --server they describe an account of their own, \
and no configuration is read.

popfetch(1) tells the exit codes, popfetch.toml(5) all settings.";

/// When there are colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    /// On a terminal that knows colours, unless NO_COLOR is set.
    Auto,
    /// Everywhere.
    Always,
    /// Nowhere.
    Never,
}

// By hand, because the derived one makes help of the variants' documentation, and `--help` longer than `-h`.
impl ValueEnum for Color {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Auto, Self::Always, Self::Never]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            Self::Auto => "auto",
            Self::Always => "always",
            Self::Never => "never",
        }))
    }
}

/// Reads a command line, the program's name first.
///
/// # Errors
/// What cannot be understood; and the answers to `--help` and `--version`, which clap hands over as errors too.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Arguments, clap::Error> {
    Arguments::try_parse_from(args)
}

/// The clap command, for the generators.
#[must_use]
pub fn command() -> Command {
    Arguments::command()
}

/// As many as the configuration's `connections` may be.
fn jobs(text: &str) -> Result<NonZeroUsize, String> {
    let number = text.parse().ok().filter(|number: &NonZeroUsize| number.get() <= 1000);
    number.ok_or_else(|| "a number from 1 to 1000 is needed".to_owned())
}

fn duration(text: &str) -> Result<Duration, String> {
    crate::config::duration(text).map_err(|mistake| mistake.hint.unwrap_or(mistake.what))
}

/// Settings of accounts, as flags: each by its key, with the text given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings(Vec<(&'static str, String)>);

impl Settings {
    /// Whether they describe an account of their own.
    #[must_use]
    pub fn name_server(&self) -> bool {
        self.0.iter().any(|(key, _)| *key == "server")
    }

    /// The same for the configuration.
    ///
    /// # Errors
    /// A usage error: a value that hasn't the shape of its setting.
    pub fn flags(&self) -> Result<Flags, ConfigError> {
        let mut flags = Flags::default();
        for (key, value) in &self.0 {
            flags.give(key, value)?;
        }
        Ok(flags)
    }
}

/// A flag that makes a setting.
struct Setting {
    key: &'static str,
    takes: Takes,
    help: &'static str,
}

/// What stands behind a flag.
enum Takes {
    /// One of the words that the configuration knows.
    Word,
    /// A value of this kind.
    Value(&'static str),
    /// A value of this kind, behind an equals sign; `true` without one.
    Perhaps(&'static str),
    /// Nothing: the flag says `true`.
    Nothing,
}

const fn setting(key: &'static str, takes: Takes, help: &'static str) -> Setting {
    Setting { key, takes, help }
}

use Takes::{Nothing, Perhaps, Value, Word};

/// Every setting that is a flag, by heading, in the order of the help.
const SETTINGS: &[(&str, &[Setting])] = &[
    (
        "Server",
        &[
            setting("server", Value("HOST"), "The server's name or address"),
            setting("port", Value("NUMBER"), "Its TCP port, if not 995 with implicit TLS, else 110"),
            setting("tls", Word, "How the line is protected: by TLS from the start, by STLS, or not at all"),
            setting("ca-file", Value("FILE"), "Trust these certificate authorities besides the system's"),
            setting(
                "tls-fingerprint",
                Value("FINGERPRINT"),
                "Trust the certificate with this SHA-256 fingerprint, and no other",
            ),
            setting("tls-client-certificate", Value("FILE"), "Show this certificate chain to the server"),
            setting("tls-client-key", Value("FILE"), "The key that belongs to it"),
        ],
    ),
    (
        "Login",
        &[
            setting("user", Value("NAME"), "The user's name at the server"),
            setting(
                "auth",
                Word,
                "How to log in: auto is the strongest way offered that keeps a password safe",
            ),
            setting(
                "password-command",
                Value("COMMAND"),
                "The first line that this command prints is the password",
            ),
            setting("password-file", Value("FILE"), "The first line of this file is the password"),
            setting("netrc", Perhaps("FILE"), "Look the password up in this file, or in ~/.netrc"),
            setting("credential", Value("NAME"), "The password is in this systemd credential"),
        ],
    ),
    (
        "Delivery",
        &[
            setting("maildir", Value("DIRECTORY"), "Deliver to this Maildir"),
            setting("mbox", Value("FILE"), "Deliver to this mbox file"),
            setting("pipe", Value("COMMAND"), "Hand each message to this command, which runs in a shell"),
            setting("time-limit", Value("DURATION"), "Stop the command when it takes longer than this"),
            setting("parallel", Value("NUMBER"), "Run so many of these commands at once"),
            setting("stdout", Nothing, "Write messages to standard output, as an mbox stream"),
            setting("owner", Value("USER"), "Deliver as this user, when run as root"),
            setting("received-header", Perhaps("true|false"), "Put a Received line on top of each message"),
        ],
    ),
    (
        "What stays on the server",
        &[
            setting(
                "leave-on-server",
                Value("true|false|LIMITS"),
                "Leave everything, or nothing, or what limits such as days=14,newest=100 don't name",
            ),
            setting("max-message-size", Value("SIZE"), "Leave messages that are larger than this"),
            setting("max-messages", Value("NUMBER"), "Retrieve so many messages at most"),
            setting("max-bytes", Value("SIZE"), "Retrieve so much at most"),
        ],
    ),
    (
        "Fine tuning",
        &[
            setting("timeout", Value("DURATION"), "Give up when the server is silent for so long"),
            setting(
                "alert-after",
                Value("DURATION"),
                "With --quiet, report a failure once it has lasted this long [default: 1h]",
            ),
            setting(
                "remind-after",
                Value("DURATION"),
                "With --quiet, report it again if it still lasts after this long [default: 7d]",
            ),
            setting("pipelining", Word, "Send commands without waiting for the answers before"),
            setting("utf8", Word, "Whether messages may come with UTF-8 in their headers"),
            setting("listing", Word, "Whether every poll takes a full listing"),
            setting("full-listing-every", Value("DURATION"), "Take a full listing at least so often"),
            setting("sync", Word, "How messages are brought to the disk"),
        ],
    ),
];

impl Args for Settings {
    fn augment_args(command: Command) -> Command {
        SETTINGS.iter().fold(command, |command, (heading, settings)| {
            command.args(settings.iter().map(|setting| setting.arg().help_heading(*heading)))
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Settings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut settings = Self::default();
        settings.update_from_arg_matches(matches)?;
        Ok(settings)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for Setting { key, .. } in SETTINGS.iter().flat_map(|(_, settings)| *settings) {
            let values = matches.get_many::<String>(key).into_iter().flatten();
            self.0.extend(values.map(|value| (*key, value.clone())));
        }
        Ok(())
    }
}

impl Setting {
    fn arg(&self) -> Arg {
        let arg = Arg::new(self.key).long(self.key).help(self.help);
        // There may be several destinations; of anything else the last one counts.
        let arg = match self.key {
            "maildir" | "mbox" | "pipe" => arg.action(ArgAction::Append),
            _ => arg.action(ArgAction::Set),
        };
        let arg = match self.takes {
            Word => {
                let words = Flags::keys().find(|key| key.name == self.key).map_or("", |key| key.values);
                arg.value_name("MODE").value_parser(PossibleValuesParser::new(words.split('|')))
            }
            Value(kind) => arg.value_name(kind),
            Perhaps(kind) => {
                arg.value_name(kind).num_args(0..=1).require_equals(true).default_missing_value("true")
            }
            Nothing => arg.num_args(0).default_missing_value("true"),
        };
        match self.takes {
            Value("FILE") | Perhaps("FILE") => arg.value_hint(clap::ValueHint::FilePath),
            Value("DIRECTORY") => arg.value_hint(clap::ValueHint::DirPath),
            Value("COMMAND") => arg.value_hint(clap::ValueHint::CommandString),
            Value("HOST") => arg.value_hint(clap::ValueHint::Hostname),
            // No files: shells offer those where nothing is said.
            Value(_) | Perhaps(_) => arg.value_hint(clap::ValueHint::Other),
            Word | Nothing => arg,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Arguments, Color, SETTINGS, Settings, StateVerb, Verb, command, parse};
    use crate::config::url::Flags;

    fn parsed(line: &str) -> Result<Arguments, clap::Error> {
        parse(["popfetch"].into_iter().chain(line.split(' ').filter(|word| !word.is_empty())).map(Into::into))
    }

    #[test]
    fn the_command_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn every_setting_that_is_a_flag_is_one() {
        let mut here: Vec<&str> =
            SETTINGS.iter().flat_map(|(_, settings)| *settings).map(|s| s.key).collect();
        let mut there: Vec<&str> = Flags::keys().map(|key| key.name).collect();
        here.sort_unstable();
        there.sort_unstable();
        assert_eq!(here, there);
        assert!(!here.contains(&"password"), "a password on the command line can be seen by every user");
    }

    #[test]
    fn every_flag_is_explained_in_one_sentence() {
        for arg in command().get_arguments() {
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            let is_ours = !matches!(arg.get_id().as_str(), "help" | "version");
            assert!(!is_ours || !help.is_empty(), "--{}", arg.get_id());
            assert!(!help.contains(". ") && !help.ends_with('.'), "--{}: {help}", arg.get_id());
        }
    }

    #[test]
    fn settings_reach_the_configuration_as_they_are() {
        let line =
            "--server h --netrc --stdout --maildir a --maildir b --received-header=false --port 1 --port 2 x";
        let arguments = parsed(line).unwrap();
        let expected = [
            ("server", "h"),
            ("port", "2"),
            ("netrc", "true"),
            ("maildir", "a"),
            ("maildir", "b"),
            ("stdout", "true"),
            ("received-header", "false"),
        ];
        assert_eq!(arguments.settings, Settings(expected.map(|(k, v)| (k, v.to_owned())).to_vec()));
        assert_eq!(arguments.accounts, ["x"]);
        let flags = arguments.settings.flags().unwrap();
        assert!(flags.name_server() && !flags.is_empty());
        assert!(parsed("").unwrap().settings.flags().unwrap().is_empty());
        assert!(parsed("--port x").unwrap().settings.flags().is_err());
    }

    #[test]
    fn flags_with_an_optional_value_leave_the_account_alone() {
        let cases = [
            ("work", None),
            ("--wait work", Some(None)),
            ("--wait=5m work", Some(Some(Duration::from_secs(300)))),
        ];
        for (line, wait) in cases {
            let arguments = parsed(line).unwrap();
            assert_eq!((arguments.wait, arguments.accounts), (wait, vec!["work".to_owned()]), "{line}");
        }
        assert_eq!(parsed("--netrc work").unwrap().accounts, ["work"]);
    }

    #[test]
    fn a_command_stands_first() {
        let release = |line: &str| match parsed(line).unwrap().command {
            Some(Verb::State { command: StateVerb::Release(release) }) => release,
            None => panic!("{line}"),
        };
        let found = release("state release work --destination ~/Mail -y --config c.toml");
        assert_eq!((found.account.as_str(), found.destination.as_deref()), ("work", Some("~/Mail")));
        assert!(found.yes && found.config.is_some());
        assert!(!release("state release work").yes);
        for line in ["state", "state release", "state forget work", "state release a b", "help"] {
            let parsed = parsed(line);
            assert!(parsed.is_err() || parsed.unwrap().accounts == ["help"], "{line}");
        }
        // Behind an account it isn't one.
        let arguments = parsed("work state").unwrap();
        assert!(arguments.command.is_none());
        assert_eq!(arguments.accounts, ["work", "state"]);
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for line in [
            "--keep --delete",
            "--keep --leave-on-server false",
            "--delete --leave-on-server days=3",
            "-q -v",
            "--jobs 0",
            "--jobs 1001",
            "--wait=soon",
            "--tls maybe",
            "--color sometimes",
            "--password hunter2",
            "--nonsense",
        ] {
            assert!(parsed(line).unwrap_err().use_stderr(), "{line}");
        }
        assert!(!parsed("--help").unwrap_err().use_stderr());
        assert!(!parsed("--version").unwrap_err().use_stderr());
    }

    #[test]
    fn a_password_where_none_belongs_is_not_repeated() {
        for line in ["--password=hunter2", "--pasword-file --password=hunter2"] {
            let error = parsed(line).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn the_rest_is_where_it_is_looked_for() {
        let arguments = parsed("-vv --all --dry-run --keep --jobs 3 --color never --config c.toml").unwrap();
        assert_eq!((arguments.verbose, arguments.quiet, arguments.color), (2, false, Color::Never));
        assert!(arguments.all && arguments.dry_run && arguments.keep && !arguments.delete);
        assert_eq!(arguments.jobs.map(std::num::NonZero::get), Some(3));
        assert_eq!(arguments.config.as_deref(), Some(std::path::Path::new("c.toml")));
    }
}
