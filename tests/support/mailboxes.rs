//! Maildir and mbox as delivered: read here, and by Python's `mailbox` as an independent reader.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use super::{installed, show};

/// The files of a Maildir by name; a folder that isn't there is empty.
pub struct Maildir {
    pub tmp: BTreeMap<String, Vec<u8>>,
    pub new: BTreeMap<String, Vec<u8>>,
    pub cur: BTreeMap<String, Vec<u8>>,
}

impl Maildir {
    pub fn read(path: &Path) -> Self {
        let folder = |name| read_folder(&path.join(name));
        Self { tmp: folder("tmp"), new: folder("new"), cur: folder("cur") }
    }

    /// What a reader sees: the contents of `new/` and `cur/`, sorted.
    pub fn messages(&self) -> Vec<Vec<u8>> {
        sorted(self.new.values().chain(self.cur.values()).cloned().collect())
    }
}

fn read_folder(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let Ok(entries) = std::fs::read_dir(folder) else { return BTreeMap::new() };
    entries
        // A file may be renamed while we look.
        .filter_map(|entry| {
            let entry = entry.unwrap();
            Some((entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).ok()?))
        })
        .collect()
}

/// Creates the three folders of a Maildir, for tests that need one there before.
pub fn create_maildir(path: &Path) {
    for folder in ["tmp", "new", "cur"] {
        std::fs::create_dir_all(path.join(folder)).unwrap();
    }
}

/// One message of an mbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MboxMessage {
    /// The line that begins with `From `, without its end.
    pub from: Vec<u8>,
    /// The message, mboxrd's quoting undone, without the blank line that separates it.
    pub octets: Vec<u8>,
}

/// The messages of an mbox, in order; none if the file isn't there.
///
/// # Panics
/// When the file isn't an mbox: it doesn't begin with `From `, or a message isn't followed by a blank line.
#[track_caller]
pub fn mbox(path: &Path) -> Vec<MboxMessage> {
    match std::fs::read(path) {
        Ok(octets) => split_mbox(&octets),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(e) => panic!("{}: {e}", path.display()),
    }
}

/// The contents of an mbox's messages, sorted.
#[track_caller]
pub fn mbox_messages(path: &Path) -> Vec<Vec<u8>> {
    sorted(mbox(path).into_iter().map(|message| message.octets).collect())
}

/// As [`mbox`], of octets: what popfetch wrote to standard output, say.
#[track_caller]
pub fn split_mbox(octets: &[u8]) -> Vec<MboxMessage> {
    let mut messages: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut after_blank = true;
    for line in octets.split_inclusive(|octet| *octet == b'\n') {
        match messages.last_mut() {
            _ if after_blank && line.starts_with(b"From ") => {
                messages.push((line.strip_suffix(b"\n").unwrap_or(line).to_vec(), Vec::new()));
            }
            Some((_, message)) => message.extend(line),
            None => panic!("not an mbox, it begins with: {}", show(octets)),
        }
        after_blank = line == b"\n";
    }
    messages
        .into_iter()
        .map(|(from, octets)| match octets.strip_suffix(b"\n") {
            Some(rest) if rest.is_empty() || rest.ends_with(b"\n") => {
                MboxMessage { from, octets: unquote(rest) }
            }
            _ => panic!("no blank line after the message from {:?}: {}", show(&from), show(&octets)),
        })
        .collect()
}

/// Undoes mboxrd's quoting: one `>` less before `>*From `, but for a From_ line that a gateway has quoted, on top of
/// the message.
pub fn unquote(octets: &[u8]) -> Vec<u8> {
    let quoted = |line: &[u8], first: bool| {
        let marks = line.iter().take_while(|octet| **octet == b'>').count();
        let dated = !line.contains(&b'\r') && line.windows(4).any(|four| four[0] == b':' && four[3] == b' ');
        marks > 0 && line[marks..].starts_with(b"From ") && !(first && marks == 1 && dated)
    };
    octets
        .split_inclusive(|octet| *octet == b'\n')
        .enumerate()
        .flat_map(|(number, line)| if quoted(line, number == 0) { &line[1..] } else { line })
        .copied()
        .collect()
}

/// The messages of a Maildir as Python reads them, sorted; `None` when Python isn't installed.
pub fn python_maildir(path: &Path) -> Option<Vec<Vec<u8>>> {
    python(
        "box = mailbox.Maildir(path, create=False); messages = [box.get_bytes(key) for key in box.keys()]",
        path,
    )
    .map(sorted)
}

/// The messages of an mbox as Python reads them, in order, mboxrd's quoting undone (which Python leaves); `None` when
/// Python isn't installed.
pub fn python_mbox(path: &Path) -> Option<Vec<Vec<u8>>> {
    let script =
        "box = mailbox.mbox(path, create=False); messages = [box.get_bytes(key) for key in box.keys()]";
    Some(python(script, path)?.iter().map(|octets| unquote(octets)).collect())
}

/// Runs a script that leaves a list of octets in `messages`, with `path` set.
fn python(script: &str, path: &Path) -> Option<Vec<Vec<u8>>> {
    let print = "\nfor m in messages: sys.stdout.buffer.write(b'%d\\n%b' % (len(m), m))";
    let script = format!("import mailbox, sys\npath = sys.argv[1]\n{script}{print}");
    let args = [OsStr::new("-c"), script.as_ref(), path.as_ref()];
    let output = Command::new(installed("python3")?).args(args).output().unwrap();
    assert!(output.status.success(), "python3: {}", show(&output.stderr));
    let mut rest = &output.stdout[..];
    let mut messages = Vec::new();
    while let Some(end) = rest.iter().position(|octet| *octet == b'\n') {
        let length: usize = std::str::from_utf8(&rest[..end]).unwrap().parse().unwrap();
        let (message, after) = rest[end + 1..].split_at(length);
        messages.push(message.to_vec());
        rest = after;
    }
    Some(messages)
}

/// Asserts that two mailboxes hold the same messages, in whatever order, and names those that they don't share.
#[track_caller]
pub fn assert_same(found: Vec<Vec<u8>>, expected: Vec<Vec<u8>>) {
    let (found, expected) = (sorted(found), sorted(expected));
    if found == expected {
        return;
    }
    let without = |these: &[Vec<u8>], those: &[Vec<u8>]| {
        let mut rest = those.to_vec();
        let mut text = String::new();
        for message in these {
            match rest.iter().position(|other| other == message) {
                Some(at) => drop(rest.remove(at)),
                None => text.push_str(&format!("---\n{}\n", show(&message[..message.len().min(600)]))),
            }
        }
        text
    };
    let (extra, missing) = (without(&found, &expected), without(&expected, &found));
    panic!("{} messages, expected {}\nmissing:\n{missing}\ntoo many:\n{extra}", found.len(), expected.len());
}

fn sorted(mut messages: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    messages.sort();
    messages
}

#[cfg(test)]
mod tests {
    use super::{MboxMessage, assert_same, create_maildir, mbox, python_maildir, python_mbox, split_mbox};

    #[test]
    fn both_readers_agree() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mbox");
        std::fs::write(&file, "From a x\nSubject: 1\n\n>From b\n>>From c\n>Frob\n\nFrom b y\nSubject: 2\n\n")
            .unwrap();
        let expected = [
            MboxMessage {
                from: b"From a x".to_vec(),
                octets: b"Subject: 1\n\nFrom b\n>From c\n>Frob\n".to_vec(),
            },
            MboxMessage { from: b"From b y".to_vec(), octets: b"Subject: 2\n".to_vec() },
        ];
        assert_eq!(mbox(&file), expected);
        let Some(read) = python_mbox(&file) else { return };
        assert_eq!(read, expected.map(|message| message.octets));

        let maildir = folder.path().join("maildir");
        create_maildir(&maildir);
        std::fs::write(maildir.join("new/1.a.b"), b"one\0\xff").unwrap();
        std::fs::write(maildir.join("cur/2.a.b:2,S"), b"two").unwrap();
        std::fs::write(maildir.join("tmp/3.a.b"), b"three").unwrap();
        assert_same(super::Maildir::read(&maildir).messages(), python_maildir(&maildir).unwrap());
    }

    #[test]
    #[should_panic(expected = "no blank line after")]
    fn a_torn_mbox_is_seen() {
        split_mbox(b"From a x\nSubject: 1\n\nFrom b y\nSubject: 2\n");
    }
}
