//! What readers see in the destinations: read without any of popfetch's own code.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::mail::lines;

/// A destination of a life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Store {
    Maildir,
    Mbox,
    /// A program that puts each message into a file of its own, or refuses it.
    Pipe,
}

impl Store {
    pub const ALL: [Self; 3] = [Self::Maildir, Self::Mbox, Self::Pipe];

    /// Where it is, below the home folder.
    pub fn path(self, home: &Path) -> PathBuf {
        home.join(match self {
            Self::Maildir => "maildir",
            Self::Mbox => "mbox",
            Self::Pipe => "piped",
        })
    }

    /// As it stands in the configuration.
    pub fn configured(self, home: &Path) -> String {
        let path = self.path(home);
        match self {
            Self::Maildir => format!("{{ maildir = {path:?} }}"),
            Self::Mbox => format!("{{ mbox = {path:?} }}"),
            Self::Pipe => format!("{{ pipe = [{:?}] }}", home.join("take-in")),
        }
    }
}

/// The messages of each store.
pub type Contents = BTreeMap<Store, Vec<Vec<u8>>>;

/// Reads every store.  One that a popfetch has locked when it died isn't in the result: no reader looks at it.
///
/// # Errors
/// When an mbox isn't one.
pub fn read(home: &Path) -> Result<Contents, String> {
    let mut contents = Contents::new();
    let maildir = Store::Maildir.path(home);
    let files = [read_folder(&maildir.join("new")), read_folder(&maildir.join("cur"))].concat();
    contents.insert(Store::Maildir, files);
    contents.insert(Store::Pipe, read_folder(&Store::Pipe.path(home)));
    if !home.join("mbox.lock").exists() {
        let octets = std::fs::read(Store::Mbox.path(home)).unwrap_or_default();
        contents.insert(Store::Mbox, split_mbox(&octets)?);
    }
    Ok(contents)
}

fn read_folder(folder: &Path) -> Vec<Vec<u8>> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries.map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect()
}

/// The messages of an mbox, mboxrd's quoting undone.
fn split_mbox(octets: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let mut messages: Vec<Vec<u8>> = Vec::new();
    let mut after_blank = true;
    for line in lines(octets) {
        let quoted = line.iter().take_while(|octet| **octet == b'>').count();
        if after_blank && line.starts_with(b"From ") {
            messages.push(Vec::new());
        } else {
            let message = messages.last_mut().ok_or("the mbox doesn't begin with a From_ line")?;
            let unquote = quoted > 0 && line[quoted..].starts_with(b"From ");
            message.extend(if unquote { &line[1..] } else { line });
        }
        after_blank = line == b"\n";
    }
    if !octets.is_empty() && !after_blank {
        return Err("the mbox doesn't end in a blank line".to_owned());
    }
    Ok(messages)
}

/// The program behind [`Store::Pipe`]: its exit code for a message stands in the file `refused`, as `marker=000007 75`,
/// else it keeps the message.  The file appears in one step: what a reader finds is whole.
pub const TAKE_IN: &str = r#"#!/bin/sh
file=$(mktemp incoming.XXXXXXXX) && cat > "$file" || exit 75
marker=$(grep -o -m 1 'marker=[0-9]*' "$file" | head -n 1)
while read -r refused code; do
    if [ "$refused" = "$marker" ]; then rm "$file"; exit "$code"; fi
done < refused
mv "$file" "piped/$file"
"#;
