//! The grammar of the command line, as a clap command; public for the generators of man page and completions.
//!
//! The flags of settings come from the rows of `config::settings`, which also read their values.

use std::ffi::{OsStr, OsString};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{
    Arg, ArgAction, ArgMatches, Args, Command, CommandFactory as _, FromArgMatches, Parser, Subcommand,
    ValueEnum,
};

use crate::config::Flags;
use crate::config::settings::{self, Flag, Heading, Key, MOST_CONNECTIONS, Preset};

/// The command line.
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

    /// Poll up to NUMBER accounts at a time [default: 16].
    #[arg(long, value_name = "NUMBER", value_parser = jobs, value_hint = clap::ValueHint::Other)]
    pub jobs: Option<NonZeroUsize>,

    /// Wait for another popfetch to leave the mailbox, at most for the duration if one is given.
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, value_parser = duration)]
    #[arg(value_hint = clap::ValueHint::Other)]
    pub wait: Option<Option<Duration>>,

    /// Print nothing unless something needs your attention.
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
    pub settings: Flags,

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
Flags override the configuration.  With --server they describe an account of their own, and no configuration is read.

See popfetch(1) for exit codes, popfetch.toml(5) for all settings.";

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
    let most = usize::try_from(MOST_CONNECTIONS).unwrap_or(usize::MAX);
    let number = text.parse().ok().filter(|number: &NonZeroUsize| number.get() <= most);
    number.ok_or_else(|| format!("a number from 1 to {MOST_CONNECTIONS} is needed"))
}

fn duration(text: &str) -> Result<Duration, String> {
    crate::config::duration(text).map_err(|mistake| mistake.hint.unwrap_or(mistake.what))
}

// The flags of settings: each row of `config::settings` that has one.
impl Args for Flags {
    fn augment_args(command: Command) -> Command {
        Heading::ALL.iter().fold(command, |command, heading| {
            command.next_help_heading(heading.title()).args(settings::flags().filter_map(|key| {
                key.flag.filter(|flag| flag.heading == *heading).map(|flag| argument(key, flag))
            }))
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = settings::flags().filter_map(|key| matches.get_many::<Self>(key.name)).flatten();
        Ok(given.cloned().fold(Self::default(), Self::and))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = std::mem::take(self).and(Self::from_arg_matches(matches)?);
        Ok(())
    }
}

fn argument(key: &'static Key, flag: Flag) -> Arg {
    let help = match key.default {
        Preset::Value(value) if key.values != "true|false" => format!("{} [default: {value}]", flag.help),
        Preset::Value(_) | Preset::Depends(_) | Preset::None => flag.help.to_owned(),
    };
    let action = if flag.repeats { ArgAction::Append } else { ArgAction::Set };
    let arg = Arg::new(key.name).long(key.name).help(help).action(action).value_parser(SettingParser(key));
    let kind = match key.values {
        "true" => return arg.num_args(0).default_missing_value("true"),
        "true|false" => return optional(arg, key.values),
        values if words(values).is_some() => return arg.value_name("MODE"),
        // Tables have a short form on the command line; lists exist in files only.
        "true|false|TABLE" => "true|false|LIMITS",
        values => values.strip_suffix("|LIST").unwrap_or(values),
    };
    let (arg, kind) = match kind.strip_prefix("true|") {
        Some(kind) if !kind.contains('|') => (optional(arg, kind), kind),
        _ => (arg.value_name(kind), kind),
    };
    arg.value_hint(match kind {
        "FILE" => clap::ValueHint::FilePath,
        "DIRECTORY" => clap::ValueHint::DirPath,
        "COMMAND" => clap::ValueHint::CommandString,
        "HOST" => clap::ValueHint::Hostname,
        // No files: shells offer those by default.
        _ => clap::ValueHint::Other,
    })
}

/// A value of this kind, behind an equals sign; `true` without one.
fn optional(arg: Arg, kind: &'static str) -> Arg {
    let arg = arg.value_name(kind).value_hint(clap::ValueHint::Other);
    arg.num_args(0..=1).require_equals(true).default_missing_value("true")
}

/// The words that a setting takes, where it takes nothing else.
fn words(values: &'static str) -> Option<impl Iterator<Item = &'static str>> {
    let is_word = values.chars().all(|c| !c.is_ascii_uppercase()) && !values.starts_with("true");
    is_word.then(|| values.split('|'))
}

/// Reads the value of a setting's flag as the configuration reads it.
#[derive(Clone, Copy)]
struct SettingParser(&'static Key);

impl TypedValueParser for SettingParser {
    type Value = Flags;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<Flags, clap::Error> {
        if let Some(words) = words(self.0.values) {
            // For clap's list of the words, and its near misses.
            PossibleValuesParser::new(words).parse_ref(command, arg, value)?;
        }
        let text =
            value.to_str().ok_or_else(|| clap::Error::new(ErrorKind::InvalidUtf8).with_cmd(command))?;
        Flags::one(self.0, text).map_err(|mistake| {
            // Not clap's own message: that quotes the value, which may be a URL with a password.
            let mut error = clap::Error::raw(ErrorKind::ValueValidation, mistake.what);
            if let Some(hint) = mistake.hint {
                error.insert(HINT, ContextValue::String(hint));
            }
            error
        })
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(words(self.0.values)?.map(PossibleValue::new)))
    }
}

/// Where an error of ours keeps its hint.
const HINT: ContextKind = ContextKind::Custom;

/// The hint of an error that [`parse`] gave.
#[must_use]
pub fn hint(error: &clap::Error) -> Option<&str> {
    match error.get(HINT) {
        Some(ContextValue::String(hint)) => Some(hint),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Arguments, Color, StateVerb, Verb, command, hint, parse};
    use crate::account::{Deliver, PasswordSource, Pipe, PipeCommand};
    use crate::config::locate::Environment;
    use crate::config::{Request, for_run};

    fn parsed(line: &str) -> Result<Arguments, clap::Error> {
        parse(["popfetch"].into_iter().chain(line.split(' ').filter(|word| !word.is_empty())).map(Into::into))
    }

    #[test]
    fn the_command_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn no_flag_takes_a_password() {
        let command = command();
        let flags: Vec<&str> = command.get_arguments().filter_map(clap::Arg::get_long).collect();
        assert!(flags.contains(&"password-file"));
        assert!(!flags.contains(&"password"), "a password on the command line can be seen by every user");
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
    fn of_settings_the_last_one_counts_but_of_destinations_all() {
        let line = "--server h --user u --netrc --stdout --mbox c --maildir a --maildir b --port 1 --port 2 \
                    --received-header=false --received-header --time-limit 1m --pipe x";
        let arguments = parsed(line).unwrap();
        assert!(arguments.settings.name_server() && !arguments.settings.is_empty());
        let request = Request { flags: arguments.settings, ..Request::default() };
        let environment = Environment { home: Some("/home/me".into()), ..Environment::default() };
        let account = for_run(&request, &environment).unwrap().accounts.remove(0);
        assert_eq!((account.host.as_str(), account.port, account.received_header), ("h", 2, true));
        assert!(matches!(account.password, PasswordSource::Netrc(_)));
        let pipe = Pipe {
            command: PipeCommand::Shell("x".to_owned()),
            time_limit: Duration::from_secs(60),
            parallel: 1,
        };
        let maildirs = ["a", "b"].map(|name| Deliver::Maildir(name.into()));
        let [a, b] = maildirs;
        let rest = [Deliver::Mbox("c".into()), Deliver::Pipe(pipe), Deliver::Stdout];
        assert_eq!(account.deliver, [vec![a, b], rest.to_vec()].concat());
        assert!(parsed("").unwrap().settings.is_empty());
    }

    #[test]
    fn a_wrong_value_is_refused_with_the_hint_of_the_configuration() {
        let cases = [
            ("--port x", "error: --port: expected a whole number, found \"x\"", None),
            ("--port 0", "error: --port: 0 is not a number from 1 to 65535", None),
            ("--max-bytes 25Q", "error: --max-bytes: \"25Q\" is not a size", Some("a number with K, M or G")),
            ("--leave-on-server days=x", "error: --days: expected a whole number", None),
            ("--leave-on-server day=1", "error: --leave-on-server: expected true, false or limits", None),
            ("--server pop://u:hunter2@h", "error: --server: this is a URL", Some("the host alone")),
        ];
        for (line, what, remedy) in cases {
            let error = parsed(line).unwrap_err();
            let shown = error.to_string();
            assert!(shown.starts_with(what) && !shown.contains("hunter2"), "{line}: {shown}");
            let found = hint(&error).unwrap_or_default();
            assert!(found.contains(remedy.unwrap_or_default()), "{line}: {found}");
            assert_eq!(hint(&error).is_some(), remedy.is_some(), "{line}");
        }
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
