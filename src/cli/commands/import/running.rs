//! What still starts the old program: lines of crontabs, units of systemd, a process in the background.  All is named, and
//! nothing is touched.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::access;
use crate::cli::setup::Cli;
use crate::import::{ForeignProgram, LARGEST_CONFIGURATION, places, schedule};
use crate::text;

/// The files of one folder that are looked at, at most.
const MOST_FILES: usize = 10_000;
/// How long `crontab -l` may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Names what starts these programs, and what to do about it.
/// `again`: the command that writes what was only shown.
pub(super) fn report(programs: &[ForeignProgram], again: Option<&str>, cli: &Cli) {
    let crontab = crontab(cli);
    for program in programs {
        let name = program.name();
        let found = starters(*program, crontab.as_deref(), cli);
        let when = again.map_or_else(|| "now".to_owned(), |again| format!("{again} takes this over; then"));
        cli.printer.err(&if found.is_empty() {
            format!("{when} stop using {name}, or both fetch; no crontab and no unit of systemd starts it\n")
        } else {
            format!("{when} remove {name} from {}, or both fetch\n", found.join(" and from "))
        });
        if let Some(process) = daemon(*program, cli) {
            cli.printer
                .err(&format!("{name} runs in the background (process {process}): {name} --quit ends it\n"));
        }
    }
}

/// Everything that starts the program, in words.
fn starters(program: ForeignProgram, crontab: Option<&str>, cli: &Cli) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(text) = crontab {
        let lines = schedule::cron_lines(text, program);
        if !lines.is_empty() {
            found.push(format!("your crontab ({})", numbered(&lines)));
        }
    }
    let mut tables: Vec<PathBuf> = vec![PathBuf::from("/etc/crontab")];
    tables.extend(files_in(Path::new("/etc/cron.d")));
    for table in tables {
        let lines = read(&table).map(|text| schedule::cron_lines(&text, program)).unwrap_or_default();
        if !lines.is_empty() {
            found.push(format!("{} ({})", text::path(&table), numbered(&lines)));
        }
    }
    for folder in ["hourly", "daily", "weekly", "monthly"] {
        for script in files_in(&Path::new("/etc").join(format!("cron.{folder}"))) {
            if read(&script).is_some_and(|text| schedule::script_starts(&text, program)) {
                found.push(text::path(&script));
            }
        }
    }
    found.extend(units(program, cli));
    if program == ForeignProgram::Fetchmail
        && read(Path::new("/etc/default/fetchmail"))
            .is_some_and(|text| text.lines().any(|line| line.trim() == "START_DAEMON=yes"))
    {
        found.push("/etc/default/fetchmail (START_DAEMON=yes)".to_owned());
    }
    found
}

fn numbered(lines: &[usize]) -> String {
    let numbers: Vec<String> = lines.iter().map(ToString::to_string).collect();
    let noun = if lines.len() == 1 { "line" } else { "lines" };
    format!("{noun} {}", numbers.join(", "))
}

/// Units that start the program: those that an administrator or the user has written, and of those that packages bring
/// the ones that are switched on.
fn units(program: ForeignProgram, cli: &Cli) -> Vec<String> {
    let home = cli.environment.home.clone().unwrap_or_default();
    let config = cli.environment.config_home.clone().unwrap_or_else(|| home.join(".config"));
    let own = [
        config.join("systemd/user"),
        PathBuf::from("/etc/systemd/user"),
        PathBuf::from("/etc/systemd/system"),
    ];
    let packaged = [
        home.join(".local/share/systemd/user"),
        "/usr/lib/systemd/user".into(),
        "/usr/lib/systemd/system".into(),
    ];
    let on: Vec<String> = own.iter().flat_map(|folder| switched_on(folder)).collect();
    let (mut found, mut names) = (Vec::new(), Vec::new());
    for (folder, counts) in
        own.iter().map(|folder| (folder, true)).chain(packaged.iter().map(|folder| (folder, false)))
    {
        for unit in files_in(folder) {
            let Some(name) = unit.file_name().and_then(OsStr::to_str).map(str::to_owned) else { continue };
            let Some(stem) = name.strip_suffix(".service") else { continue };
            let is_on = counts || on.contains(&name) || on.contains(&format!("{stem}.timer"));
            if is_on
                && !names.contains(&name)
                && read(&unit).is_some_and(|text| schedule::unit_starts(&text, program))
            {
                let timer = format!("{stem}.timer");
                let is_user = folder.ends_with("user");
                let unit =
                    if on.contains(&timer) || unit.with_extension("timer").exists() { &timer } else { &name };
                let flag = if is_user { "--user " } else { "" };
                found.push(format!(
                    "systemd (systemctl {flag}disable --now {})",
                    text::printable(unit.as_bytes())
                ));
                names.push(name);
            }
        }
    }
    found
}

/// The units that links in `*.wants` folders switch on.
fn switched_on(folder: &Path) -> Vec<String> {
    let folders = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok).take(MOST_FILES);
    let wants =
        folders.map(|entry| entry.path()).filter(|path| path.extension() == Some(OsStr::new("wants")));
    let links = wants.flat_map(|wants| fs::read_dir(wants).into_iter().flatten().filter_map(Result::ok));
    links.take(MOST_FILES).filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok).take(MOST_FILES);
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    files
}

/// A file's text, if it can be read and is not too large to be what it should be.
fn read(path: &Path) -> Option<String> {
    let (content, _) = access::read(path, "file", LARGEST_CONFIGURATION).ok()?;
    Some(String::from_utf8_lossy(content.expose()).into_owned())
}

/// The user's own crontab, if there is one, and crontab(1).
fn crontab(cli: &Cli) -> Option<String> {
    let mut command = Command::new("crontab");
    command.arg("-l").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command.env_clear().envs(&cli.environment.variables);
    let mut child = command.spawn().ok()?;
    let output = child.stdout.take()?;
    let (sender, receiver) = std::sync::mpsc::channel();
    // Where the system gives no thread, nothing is sent, and the crontab isn't looked at.
    let _ = std::thread::Builder::new().spawn(move || {
        let mut text = Vec::new();
        let read =
            std::io::Read::read_to_end(&mut std::io::Read::take(output, LARGEST_CONFIGURATION), &mut text);
        // Nobody may be listening any more.
        let _ = sender.send(read.map(|_| text));
    });
    let begun = Instant::now();
    let text = receiver.recv_timeout(PATIENCE).ok().and_then(Result::ok);
    // It has closed its output; or it hangs, and is ended.
    if text.is_none() || begun.elapsed() >= PATIENCE {
        let _ = child.kill();
    }
    let _ = child.wait();
    text.map(|text| String::from_utf8_lossy(&text).into_owned())
}

/// The process of a fetchmail that runs in the background.
fn daemon(program: ForeignProgram, cli: &Cli) -> Option<u32> {
    if program != ForeignProgram::Fetchmail {
        return None;
    }
    let around = super::find::surroundings(cli.environment.home.as_ref(), None, &cli.environment.variables);
    let text = read(&places::pid_file(around))?;
    let process: u32 = text.split_whitespace().next()?.parse().ok()?;
    let name = read(&Path::new("/proc").join(process.to_string()).join("comm"))?;
    (name.trim() == program.name()).then_some(process)
}
