//! What starts a program again and again: lines of a crontab, units of systemd.  They are found and named, and stay as they
//! are.

use super::ForeignProgram;

/// The lines of a crontab that start the program, from 1.  What `is_system` has a user before the command.
#[must_use]
pub(crate) fn cron_lines(text: &str, program: ForeignProgram) -> Vec<usize> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        let is_assignment = line.split_once('=').is_some_and(|(name, _)| {
            !name.trim().is_empty() && name.trim().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        });
        if !(line.is_empty() || line.starts_with('#') || is_assignment) && names(line, program) {
            found.push(index.saturating_add(1));
        }
    }
    found
}

/// Whether a unit starts the program.
#[must_use]
pub(crate) fn unit_starts(text: &str, program: ForeignProgram) -> bool {
    let joined = text.replace("\\\n", " ");
    joined.lines().any(|line| {
        let line = line.trim();
        line.strip_prefix("Exec").is_some_and(|line| names(line, program))
    })
}

/// Whether a script of a few lines starts the program.
#[must_use]
pub(crate) fn script_starts(text: &str, program: ForeignProgram) -> bool {
    !cron_lines(text, program).is_empty()
}

/// Whether one of the words is the program, by whatever path.
fn names(line: &str, program: ForeignProgram) -> bool {
    let separators = |c: char| c.is_whitespace() || ";|&()`'\"=<>{}".contains(c);
    line.split(separators).any(|word| {
        let name = word.rsplit('/').next().unwrap_or(word);
        let name = name.trim_start_matches(['@', '-', '+', '!', ':']);
        name == program.name()
            || (program == ForeignProgram::Getmail && matches!(name, "getmails" | "getmail6"))
    })
}

#[cfg(test)]
mod tests {
    use super::{cron_lines, unit_starts};
    use crate::import::ForeignProgram;

    #[test]
    fn what_starts_a_program_is_found() {
        let crontab = "# getmail\nMAILTO=getmail\n*/5 * * * * getmail -q\n0 * * * * me test -x /usr/bin/getmail && /usr/bin/getmail\n\
                       @hourly flock -n x sh -c 'getmail --quiet'\n1 1 * * * cat getmail.log\n";
        assert_eq!(cron_lines(crontab, ForeignProgram::Getmail), [3, 4, 5]);
        assert!(cron_lines(crontab, ForeignProgram::Fdm).is_empty());
        let unit =
            "[Service]\n# ExecStart=/usr/bin/mpop\nExecStart=-/usr/bin/fetchmail --nodetach \\\n  -f x\n";
        assert!(unit_starts(unit, ForeignProgram::Fetchmail) && !unit_starts(unit, ForeignProgram::Mpop));
    }
}
