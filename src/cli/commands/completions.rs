//! `popfetch completions`: the script that completes command lines in a shell.  tests/generated.rs makes it.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::access;
use crate::cli::install::{self, InstalledFile};
use crate::cli::setup::Cli;
use crate::exit::ExitCode;

/// Print or install the script that completes command lines in a shell.
#[derive(Debug, Clone, Args)]
#[command(after_help = AFTER_HELP)]
pub(in crate::cli) struct CompletionsArgs {
    /// The shell.
    #[arg(value_name = "SHELL", required_unless_present = "install")]
    shell: Option<Shell>,

    /// Put it where the shell looks for it; without SHELL, for each of the three that is on this machine.
    #[arg(long)]
    install: bool,
}

const AFTER_HELP: &str = "\
Where --install puts the script:
  bash  ~/.local/share/bash-completion/completions/popfetch
  zsh   ~/.local/share/zsh/site-functions/_popfetch
  fish  ~/.config/fish/completions/popfetch.fish
As root, for all users:
  bash  /usr/local/share/bash-completion/completions/popfetch
  zsh   /usr/local/share/zsh/site-functions/_popfetch
  fish  /etc/fish/completions/popfetch.fish";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Shell {
    fn name(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Zsh => "zsh",
            Self::Fish => "fish",
        }
    }

    fn script(self) -> &'static str {
        match self {
            Self::Bash => include_str!("../../../completions/popfetch.bash"),
            Self::Zsh => include_str!("../../../completions/_popfetch"),
            Self::Fish => include_str!("../../../completions/popfetch.fish"),
        }
    }

    /// The script, and the file in which the shell looks for it; `None` without a home.
    fn piece(self, cli: &Cli) -> Option<InstalledFile> {
        let data = install::data_folder(cli)?;
        let (path, mark) = match self {
            Self::Bash => (data.join("bash-completion/completions/popfetch"), "\n_popfetch() {\n"),
            Self::Zsh => (data.join("zsh/site-functions/_popfetch"), "#compdef popfetch\n"),
            // Not /usr/local/share, where fish doesn't look.
            Self::Fish if access::is_root() => {
                (PathBuf::from("/etc/fish/completions/popfetch.fish"), "\ncomplete -c popfetch ")
            }
            Self::Fish => {
                let folder = cli.environment.config_home.as_deref()?;
                (folder.join("fish/completions/popfetch.fish"), "\ncomplete -c popfetch ")
            }
        };
        Some(InstalledFile { path, content: self.script(), mark })
    }

    /// What is to be done before it is used.
    fn next(self, piece: &InstalledFile) -> String {
        match self {
            Self::Bash => {
                "bash: the next shell completes popfetch, if the package bash-completion is there\n"
                    .to_owned()
            }
            Self::Zsh if access::is_root() => {
                "zsh: the next shell completes popfetch, after compinit\n".to_owned()
            }
            Self::Zsh => {
                let folder = piece.path.parent().map(access::shell_word).unwrap_or_default();
                format!(
                    "zsh: the next shell completes popfetch, if this line stands in ~/.zshrc before compinit is called:\n  \
                     fpath=({folder} $fpath)\n"
                )
            }
            Self::Fish => "fish: the next shell completes popfetch\n".to_owned(),
        }
    }
}

/// Prints the script, or puts it in its place.
pub(super) fn run(args: &CompletionsArgs, cli: &Cli) -> ExitCode {
    match args.shell {
        Some(shell) if !args.install => {
            cli.printer.out(shell.script());
            ExitCode::Done
        }
        shell => install(shell, cli),
    }
}

fn install(only: Option<Shell>, cli: &Cli) -> ExitCode {
    let is_meant = |shell: &Shell| {
        only.map_or_else(|| cli.environment.on_path(shell.name()).is_some(), |only| only == *shell)
    };
    let shells: Vec<Shell> = Shell::value_variants().iter().copied().filter(is_meant).collect();
    if shells.is_empty() {
        cli.printer.complain("neither bash nor zsh nor fish is on this machine", None);
        return ExitCode::Configuration;
    }
    let Some(pieces) = shells.iter().map(|shell| shell.piece(cli)).collect::<Option<Vec<_>>>() else {
        return install::no_home(cli);
    };
    let code = install::install(&pieces, cli);
    for (shell, piece) in shells.iter().zip(&pieces).filter(|(_, piece)| piece.path.is_file()) {
        cli.printer.out(&shell.next(piece));
    }
    code
}
