//! The command line as a whole: the commands, and what popfetch does without one.
//!
//! The arguments of a command are in its own file, those that several share in `setup.rs`; settings of accounts come
//! from the rows of `config::settings`.

use std::ffi::OsString;

use clap::builder::Resettable;
use clap::error::ErrorKind;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand as _};

use super::commands::Command;
use super::commands::fetch::FetchArgs;
use super::{flags, nearby};

/// A command line.
#[derive(Debug, Parser)]
#[command(
    name = "popfetch",
    version,
    about = "Retrieves mail from POP3 maildrops: nothing lost, nothing delivered twice",
    long_about = None,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    after_long_help = format!("{EXAMPLES}\n\n{ALL}\n\n{MORE}"),
    max_term_width = 100
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    fetch: Box<FetchArgs>,
}

const EXAMPLES: &str = "\
Examples:
  popfetch init me@example.com  Set an account up
  popfetch                      Fetch the mail of all accounts
  popfetch --dry-run home       Show what would be done for one account";

const ALL: &str = "--help has all options, \"popfetch help COMMAND\" those of a command.";

const MORE: &str = "\
Flags override the configuration.  With --server they describe an account of their own, and no configuration is read.

See popfetch(1) for exit codes, popfetch.toml(5) for all settings.";

/// Reads a command line, the program's name first.
///
/// # Errors
/// What cannot be understood; and the answers to `--help` and `--version`, which clap hands over as errors too.
pub(super) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, clap::Error> {
    let args: Vec<OsString> = args.into_iter().collect();
    let command = Arguments::command();
    // Where it is no request for help, it makes no difference.
    let command = if args.iter().any(|arg| arg == "-h") { in_short(command) } else { command };
    let mut matches = command.try_get_matches_from(args).map_err(nearby::answered)?;
    // What is only lent to it, clap copies whole.
    let Arguments { command, mut fetch } = Arguments::from_arg_matches_mut(&mut matches)?;
    fetch.is_bare = true;
    // No account has such a name.
    match fetch.accounts.iter().find(|account| Command::has_subcommand(account)) {
        Some(name) => Err(flags::error(
            ErrorKind::InvalidSubcommand,
            format!("\"{name}\" is a command, and a command stands first"),
            Some(format!("popfetch {name} [OPTIONS] …")),
        )),
        None => Ok(command.unwrap_or(Command::Fetch(fetch))),
    }
}

/// The commands that `-h` explains; it names the others, but for other names of a command, and `help`, which its last
/// line names.
const FIRST: [&str; 10] =
    ["init", "fetch", "check", "list", "show", "delete", "history", "status", "config", "state"];

/// The command as `-h` describes it: what a newcomer needs, on one screen.
fn in_short(mut command: clap::Command) -> clap::Command {
    let others: Vec<String> = command
        .get_subcommands()
        .filter(|command| !command.is_hide_set() && !FIRST.contains(&command.get_name()))
        .map(|command| command.get_name().to_owned())
        .collect();
    for name in &others {
        command = command.mut_subcommand(name, |command| command.hide(true));
    }
    let named: Vec<&str> = others.iter().map(String::as_str).filter(|name| *name != "help").collect();
    command
        .mut_args(|arg| {
            if arg.is_positional() { arg.hide_short_help(true) } else { arg.help_heading(Resettable::Reset) }
        })
        .after_help(format!("More commands: {}\n{ALL}\n\n{EXAMPLES}", named.join(", ")))
}

/// The names of all commands.
pub(super) fn names() -> Vec<String> {
    command().get_subcommands().map(|command| command.get_name().to_owned()).collect()
}

/// The clap command with all that is deferred, for the generators of manual and completions.
#[must_use]
pub fn command() -> clap::Command {
    let mut command = Arguments::command();
    command.build();
    command
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::CommandFactory as _;

    use super::{Arguments, Command, command, parse};
    use crate::account::{Deliver, PasswordSource, Pipe, PipeCommand};
    use crate::cli::commands::fetch::FetchArgs;
    use crate::cli::commands::state::StateCommand;
    use crate::cli::commands::state::release::ReleaseArgs;
    use crate::cli::flags::hint;
    use crate::cli::setup::Color;
    use crate::config::{RESERVED_NAMES, Request, for_run};
    use crate::environment::Environment;
    use crate::types::Wait;

    fn read(line: &str) -> Result<Command, clap::Error> {
        parse(["popfetch"].into_iter().chain(line.split(' ').filter(|word| !word.is_empty())).map(Into::into))
    }

    fn parsed(line: &str) -> Result<Box<FetchArgs>, clap::Error> {
        match read(line)? {
            Command::Fetch(args) => Ok(args),
            other => panic!("{line}: {other:?}"),
        }
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
            ("work", Wait::NO),
            ("--wait work", Wait::Forever),
            ("--wait=5m work", Wait::AtMost(Duration::from_secs(300))),
        ];
        for (line, wait) in cases {
            let arguments = parsed(line).unwrap();
            assert_eq!((arguments.wait, arguments.accounts), (wait, vec!["work".to_owned()]), "{line}");
        }
        assert_eq!(parsed("--netrc work").unwrap().accounts, ["work"]);
    }

    #[test]
    fn a_command_stands_first() {
        fn release(line: &str) -> ReleaseArgs {
            match read(line).unwrap() {
                Command::State(StateCommand::Release(args)) => args,
                other => panic!("{line}: {other:?}"),
            }
        }
        let found = release("state release work --destination ~/Mail -y --config c.toml");
        assert_eq!((found.account.as_str(), found.destination.as_deref()), ("work", Some("~/Mail")));
        assert!(found.yes && found.config.file.is_some());
        assert!(!release("state release work").yes);
        for line in ["state", "state release", "state forget work", "state move work", "state release a b"] {
            assert!(read(line).is_err(), "{line}");
        }
        for line in ["work state", "--all fetch work"] {
            let error = read(line).unwrap_err();
            assert!(error.to_string().contains("a command stands first"), "{error}");
            assert!(hint(&error).unwrap().starts_with("popfetch "), "{line}");
        }
    }

    #[test]
    fn fetch_is_what_popfetch_does_without_a_command() {
        for line in ["", "work --all --port 1", "--keep -vv --jobs 3 --maildir a --maildir b x y"] {
            let [with, mut without] =
                [format!("fetch {line}"), line.to_owned()].map(|line| parsed(&line).unwrap());
            without.is_bare = false;
            assert_eq!(format!("{with:?}"), format!("{without:?}"), "{line}");
        }
        assert!(parsed("fetch --keep --delete").is_err());
        assert!(parsed("fetch --port 1 --port 2").is_ok());
    }

    /// A command without its subcommands, and those.
    fn commands(command: &clap::Command) -> Vec<&clap::Command> {
        let below = command.get_subcommands().flat_map(commands);
        std::iter::once(command).chain(below).collect()
    }

    #[test]
    fn a_command_has_one_sentence_in_the_list_and_in_its_own_help() {
        let (listed, mut whole) = (command(), command());
        whole.build();
        let mut pairs = Vec::new();
        for of_listed in listed.get_subcommands() {
            pairs.push((of_listed, whole.find_subcommand(of_listed.get_name()).unwrap()));
        }
        while let Some((listed, own)) = pairs.pop() {
            let about = |command: &clap::Command| command.get_about().map(ToString::to_string);
            assert_eq!(about(listed), about(own), "{}", own.get_name());
            for of_listed in listed.get_subcommands() {
                pairs.push((of_listed, own.find_subcommand(of_listed.get_name()).unwrap()));
            }
        }
    }

    #[test]
    fn arguments_of_a_command_that_was_not_chosen_cost_nothing() {
        let command = Arguments::command();
        for command in commands(&command).split_first().unwrap().1 {
            assert_eq!(command.get_arguments().count(), 0, "{} is not deferred", command.get_name());
        }
    }

    #[test]
    fn no_account_has_the_name_of_a_command() {
        for command in command().get_subcommands() {
            assert!(RESERVED_NAMES.contains(&command.get_name()), "{}", command.get_name());
        }
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
        let output = &arguments.output;
        assert_eq!((output.verbose, output.quiet, output.color), (2, false, Color::Never));
        assert!(arguments.all && arguments.dry_run && arguments.keep && !arguments.delete);
        assert_eq!(arguments.jobs.map(std::num::NonZero::get), Some(3));
        assert_eq!(arguments.config.file.as_deref(), Some(std::path::Path::new("c.toml")));
    }
}
