//! `popfetch man`: the manual, which the binary carries with it.

use std::ffi::OsStr;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use clap::{Args, ValueEnum};

use crate::cli::install::{self, InstalledFile};
use crate::cli::setup::{Cli, is_dumb};
use crate::exit::ExitCode;
use crate::text;

/// Show or install the manual.
#[derive(Debug, Clone, Args)]
#[command(after_help = AFTER_HELP)]
pub(in crate::cli) struct ManArgs {
    /// The page.
    #[arg(value_name = "PAGE", default_value = "popfetch")]
    page: Page,

    /// Put all pages where man(1) finds them: ~/.local/share/man, or as root /usr/local/share/man.
    #[arg(long, conflicts_with = "page")]
    install: bool,
}

const AFTER_HELP: &str = "\
On a terminal man(1) shows it.  Elsewhere it is printed as it is, for man(1) or mandoc(1) to read:
  popfetch man popfetch.toml | mandoc";

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Page {
    #[value(name = "popfetch", alias = "popfetch.1")]
    Popfetch,
    #[value(name = "popfetch.toml", aliases = ["toml", "popfetch.toml.5"])]
    Toml,
    #[value(name = "popfetch-json", aliases = ["json", "popfetch-json.5"])]
    Json,
}

impl Page {
    fn source(self) -> &'static str {
        match self {
            Self::Popfetch => include_str!("../../../man/popfetch.1"),
            Self::Toml => include_str!("../../../man/popfetch.toml.5"),
            Self::Json => include_str!("../../../man/popfetch-json.5"),
        }
    }

    /// Where it stands below a folder of manuals, and its heading.
    fn place(self) -> (&'static str, &'static str) {
        match self {
            Self::Popfetch => ("man1/popfetch.1", ".TH POPFETCH 1 "),
            Self::Toml => ("man5/popfetch.toml.5", ".TH POPFETCH.TOML 5 "),
            Self::Json => ("man5/popfetch-json.5", ".TH POPFETCH\\-JSON 5 "),
        }
    }
}

/// Shows a page on a terminal; prints it as roff elsewhere, and where there is no man(1).
pub(super) fn run(args: &ManArgs, cli: &Cli) -> ExitCode {
    if args.install {
        return install(cli);
    }
    let page = args.page.source();
    let is_terminal = io::stdout().is_terminal();
    if !is_terminal || is_dumb(&cli.environment) || !is_shown(page) {
        cli.printer.out(page);
    }
    ExitCode::Done
}

/// Whether man(1) has shown the page.
fn is_shown(page: &str) -> bool {
    let Ok(mut child) = Command::new("man").args(["-l", "-"]).stdin(Stdio::piped()).spawn() else {
        return false;
    };
    if let Some(mut input) = child.stdin.take() {
        // It may be left before it has read everything.
        let _ = input.write_all(page.as_bytes());
    }
    child.wait().is_ok_and(|status| status.success())
}

fn install(cli: &Cli) -> ExitCode {
    let Some(folder) = install::data_folder(cli).map(|folder| folder.join("man")) else {
        return install::no_home(cli);
    };
    let pieces = Page::value_variants().iter().map(|page| {
        let (place, mark) = page.place();
        InstalledFile { path: folder.join(place), content: page.source(), mark }
    });
    let code = install::install(&pieces.collect::<Vec<_>>(), cli);
    cli.printer.out(&match looked_at() {
        None => "There is no man(1) here; popfetch man shows the pages.\n".to_owned(),
        Some(folders) if folders.split(|octet| *octet == b':').any(|other| is_same(other, &folder)) => {
            "Read them with:  man popfetch, man popfetch.toml, man popfetch-json\n".to_owned()
        }
        Some(_) => format!(
            "man(1) does not look there yet.  Add this line to ~/.profile (or ~/.zprofile), and log in again:\n  \
             export MANPATH=\"{}:$MANPATH\"\n",
            text::path(&folder)
        ),
    });
    code
}

/// The folders in which man(1) looks for pages, with colons between them; `None` without man(1).
fn looked_at() -> Option<Vec<u8>> {
    let mut command = Command::new("man");
    let output = command.arg("-w").stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    Some(output.stdout.trim_ascii_end().to_owned())
}

fn is_same(listed: &[u8], folder: &Path) -> bool {
    let listed = Path::new(OsStr::from_bytes(listed));
    listed == folder || folder.canonicalize().is_ok_and(|folder| listed == folder)
}
