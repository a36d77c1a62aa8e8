//! Where the four programs keep their files.

use std::path::{Path, PathBuf};

use super::{ForeignProgram, ForeignSurroundings};

/// mpop's state file where it names none.
pub(super) const UIDLS_FILE: &str = "~/.mpop_uidls/%U_at_%H";

/// Where a program's configuration is looked for: the first of these that exists counts.  getmail's are folders.
#[must_use]
pub(crate) fn usual(program: ForeignProgram, around: ForeignSurroundings<'_>) -> Vec<PathBuf> {
    let home = |name: &str| around.home.join(name);
    let fetchmail = match around.variable("FETCHMAILHOME") {
        Some(folder) => Path::new(folder).join("fetchmailrc"),
        None => home(".fetchmailrc"),
    };
    match program {
        ForeignProgram::Fetchmail => vec![fetchmail, PathBuf::from("/etc/fetchmailrc")],
        ForeignProgram::Getmail => getmail_homes(around),
        ForeignProgram::Mpop => vec![home(".mpoprc"), config_home(around).join("mpop/config")],
        ForeignProgram::Fdm => vec![home(".fdm.conf"), PathBuf::from("/etc/fdm.conf")],
    }
}

/// The program that a file of this name belongs to, if the name shows it.
#[must_use]
pub(crate) fn program_of(path: &Path) -> Option<ForeignProgram> {
    let text = path.to_string_lossy();
    ForeignProgram::ALL.into_iter().find(|program| text.contains(program.name()))
}

/// Whether a file in getmail's folder is a configuration, where there is no `getmailrc`.
#[must_use]
pub(crate) fn is_getmailrc(name: &str) -> bool {
    !(name.starts_with("oldmail-") || name.ends_with(".json") || name.starts_with('.') || name.ends_with('~'))
}

/// A file that holds the number of fetchmail's process while it runs in the background.
#[must_use]
pub(crate) fn pid_file(around: ForeignSurroundings<'_>) -> PathBuf {
    around
        .variable("FETCHMAILHOME")
        .map_or_else(|| around.home.to_owned(), PathBuf::from)
        .join(".fetchmail.pid")
}

/// fetchmail's state files, where its configuration names none.  Debian's service has one of its own.
pub(super) fn fetchids(around: ForeignSurroundings<'_>, rc: &Path) -> Vec<PathBuf> {
    if rc.starts_with("/etc") {
        let kept = Path::new("/var/lib/fetchmail");
        return vec![
            kept.join(".fetchmail-UIDL-cache"),
            kept.join(".fetchids"),
            around.home.join(".fetchids"),
        ];
    }
    let folder = around.variable("FETCHMAILHOME").map_or_else(|| around.home.to_owned(), PathBuf::from);
    vec![folder.join(".fetchids")]
}

/// The name of getmail's state file: runs of characters that some systems refuse become `-`.
pub(super) fn oldmail(server: &str, port: u16, user: &str) -> String {
    let mut name = String::new();
    for letter in format!("oldmail-{server}-{port}-{user}").chars() {
        if !matches!(letter, '/' | ':' | ';' | '<' | '>' | '|') {
            name.push(letter);
        } else if !name.ends_with('\u{0}') {
            name.push('\u{0}');
        }
    }
    name.replace('\u{0}', "-")
}

/// Where getmail's state files may be: beside the configuration first.
pub(super) fn getmail_folders(around: ForeignSurroundings<'_>, rc: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = rc.parent().map(Path::to_owned).into_iter().collect();
    for folder in getmail_homes(around) {
        if !folders.contains(&folder) {
            folders.push(folder);
        }
    }
    folders
}

fn getmail_homes(around: ForeignSurroundings<'_>) -> Vec<PathBuf> {
    let named = around.variable("GETMAILDIR").map(PathBuf::from);
    named.into_iter().chain([config_home(around).join("getmail"), around.home.join(".getmail")]).collect()
}

fn config_home(around: ForeignSurroundings<'_>) -> PathBuf {
    around.variable("XDG_CONFIG_HOME").map_or_else(|| around.home.join(".config"), PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::oldmail;

    #[test]
    fn getmail_names_its_state_by_server_port_and_user() {
        // As getmail 6.18.11 does: re.sub(r'[/\:;<>|]+', '-', …), in which the backslash only quotes the colon.
        assert_eq!(oldmail("pop.example.com", 995, "me@x"), "oldmail-pop.example.com-995-me@x");
        assert_eq!(oldmail("::1", 110, r"a/\b:;c\d"), r"oldmail--1-110-a-\b-c\d");
    }
}
