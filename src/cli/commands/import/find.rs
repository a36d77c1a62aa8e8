//! Which files are read: those that are named, or the programs' usual ones.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::access;
use crate::cli::setup::Cli;
use crate::exit::ExitCode;
use crate::import::{
    self, ForeignFile, ForeignProgram, ForeignSource, ForeignSurroundings, LARGEST_CONFIGURATION, places,
};
use crate::text;

/// A configuration file that was read.
pub(super) struct FoundFile {
    pub(super) program: ForeignProgram,
    pub(super) path: PathBuf,
    pub(super) reading: ForeignFile,
}

/// A path for people, with `~` for the home directory.
pub(super) fn shown(path: &Path, home: Option<&Path>) -> String {
    let home = home.map(text::path);
    text::in_home(&text::path(path), home.as_deref()).into_owned()
}

/// Where the other programs run; without a home directory `/`, where nothing of theirs is.
pub(super) fn surroundings<'a>(
    home: Option<&'a PathBuf>,
    caller: Option<&'a str>,
    variables: &'a BTreeMap<OsString, OsString>,
) -> ForeignSurroundings<'a> {
    ForeignSurroundings { home: home.map_or(Path::new("/"), PathBuf::as_path), caller, variables }
}

/// Reads them all; the exit code where one cannot be read, or none is there, which has been reported.
pub(super) fn all(words: &[PathBuf], cli: &Cli) -> Result<Vec<FoundFile>, ExitCode> {
    let caller = access::caller();
    let around = surroundings(cli.environment.home.as_ref(), caller.as_deref(), &cli.environment.variables);
    let named = words.first().and_then(|word| word.to_str()).and_then(ForeignProgram::named);
    let files = if named.is_some() { words.get(1..).unwrap_or_default() } else { words };
    let mut wanted: Vec<(ForeignProgram, PathBuf)> = Vec::new();
    if files.is_empty() {
        for program in
            ForeignProgram::ALL.into_iter().filter(|program| named.is_none_or(|named| named == *program))
        {
            let usual = places::usual(program, around);
            let there = usual.iter().find(|path| path.exists());
            wanted.extend(there.map(|path| (program, path.clone())));
        }
        if wanted.is_empty() {
            return Err(nothing(named, around, cli));
        }
    }
    for file in files {
        let Some(program) = named.or_else(|| places::program_of(file)) else {
            let what = format!("whose file is {}?", text::path(file));
            let hint = "name the program before it: popfetch import fetchmail FILE";
            cli.printer.complain(&what, Some(hint));
            return Err(ExitCode::Usage);
        };
        wanted.push((program, cli.environment.current_directory.join(file)));
    }
    let mut found = Vec::new();
    for (program, path) in wanted {
        let files = if path.is_dir() { in_folder(program, &path) } else { vec![path.clone()] };
        if files.is_empty() {
            let what = format!("{}: there is no configuration in {}", program.name(), text::path(&path));
            cli.printer.complain(&what, None);
            return Err(ExitCode::Usage);
        }
        for path in files {
            found.push(read(program, path, around, cli)?);
        }
    }
    Ok(found)
}

fn nothing(named: Option<ForeignProgram>, around: ForeignSurroundings<'_>, cli: &Cli) -> ExitCode {
    let programs: Vec<ForeignProgram> =
        named.map_or_else(|| ForeignProgram::ALL.to_vec(), |program| vec![program]);
    let names: Vec<&str> = programs.iter().map(|program| program.name()).collect();
    let home = cli.environment.home.as_deref();
    let places = programs.iter().flat_map(|program| places::usual(*program, around));
    let places: Vec<String> = places.map(|path| shown(&path, home)).collect();
    let what = format!("there is no configuration of {} at its usual place", names.join(", "));
    let hint = format!(
        "name the file: popfetch import {} FILE; looked for: {}",
        names.first().unwrap_or(&"fetchmail"),
        places.join(", ")
    );
    cli.printer.complain(&what, Some(&hint));
    ExitCode::Usage
}

/// The configurations in a folder: getmail's are named on its command line, and `getmailrc` is the usual one.
fn in_folder(program: ForeignProgram, folder: &Path) -> Vec<PathBuf> {
    let names = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let names = names.filter(|entry| entry.path().is_file()).map(|entry| entry.file_name());
    let mut files: Vec<PathBuf> = match program {
        ForeignProgram::Getmail => {
            let is_rc = |name: &OsString| name.to_str().is_some_and(places::is_getmailrc);
            let retrieves = |path: &PathBuf| {
                let content = access::read(path, "configuration", LARGEST_CONFIGURATION);
                content.is_ok_and(|(content, _)| {
                    content.expose().windows(b"[retriever]".len()).any(|part| part == b"[retriever]")
                })
            };
            names.filter(is_rc).map(|name| folder.join(name)).filter(retrieves).collect()
        }
        ForeignProgram::Fetchmail | ForeignProgram::Mpop | ForeignProgram::Fdm => {
            let usual = [".fetchmailrc", "fetchmailrc", ".mpoprc", "config", ".fdm.conf", "fdm.conf"];
            let is_usual = |name: &OsString| {
                name.to_str().is_some_and(|name| {
                    usual.contains(&name)
                        && (name.contains(program.name()) || program == ForeignProgram::Mpop)
                })
            };
            names.filter(is_usual).map(|name| folder.join(name)).collect()
        }
    };
    files.sort();
    files
}

fn read(
    program: ForeignProgram,
    path: PathBuf,
    around: ForeignSurroundings<'_>,
    cli: &Cli,
) -> Result<FoundFile, ExitCode> {
    let what = format!("{} configuration", program.name());
    let content = access::read(&path, &what, LARGEST_CONFIGURATION);
    let (content, _) = content.map_err(|e| cli.complain("", &import::Error::from(e)))?;
    let mut include =
        |path: &Path| access::read(path, "included file", LARGEST_CONFIGURATION).map(|(content, _)| content);
    let source = ForeignSource { path: &path, octets: content.expose() };
    match import::read(program, source, around, &mut include) {
        Ok(reading) => Ok(FoundFile { program, path, reading }),
        Err(e) => Err(cli.complain(program.name(), &e)),
    }
}
