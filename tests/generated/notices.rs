//! The notices that a package must carry for the crates in the binary: authors and licences.  In the format of
//! Debian's copyright files, which others can read as well.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The machines that packages are built for: some crates are for one of them.
const TARGETS: [&str; 2] = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"];

/// Licences whose text is on every Debian system.
const COMMON: [&str; 2] = ["Apache-2.0", "MPL-2.0"];

/// Licences whose text stands once, at the end: all crates have the same.
const ONCE: [&str; 2] = ["MIT", "Unicode-3.0"];

/// A crate that is part of the binary.
struct Crate {
    name: String,
    version: String,
    licence: String,
    authors: Vec<String>,
    repository: String,
    folder: PathBuf,
}

/// The file, or `None`, with a message, where cargo can't list the crates (it needs their sources).
pub(super) fn notices() -> Option<String> {
    let crates = crates()?;
    let mut text = HEAD.to_owned();
    let mut texts = BTreeSet::new();
    for each in &crates {
        let licences = licences(&each.licence);
        write!(text, "\nFiles: {}-{}/*\n", each.name, each.version).unwrap();
        writeln!(text, "Copyright: {}", each.holders().join("\n           ")).unwrap();
        if !each.repository.is_empty() {
            writeln!(text, "Comment: {}", each.repository).unwrap();
        }
        writeln!(
            text,
            "License: {}",
            each.licence.replace('/', " OR ").replace(" OR ", " or ").replace(" AND ", " and ")
        )
        .unwrap();
        // A licence that names its holders in the text is repeated as this crate has it.
        for licence in licences.iter().filter(|licence| !COMMON.contains(licence) && !ONCE.contains(licence))
        {
            let own = each.licence_text(licence);
            assert!(!own.is_empty(), "{} {}: no text of {licence}", each.name, each.version);
            text.push_str(&indented(&own));
        }
        texts.extend(licences);
    }
    for licence in texts {
        if COMMON.contains(&licence) {
            write!(text, "\nLicense: {licence}\n On Debian systems the text is in /usr/share/common-licenses/{licence}.\n").unwrap();
        } else if licence == "MIT" {
            let own = fs::read_to_string(root().join("LICENSE-MIT")).unwrap();
            let (_, terms) = own.split_once("Permission is hereby").unwrap();
            write!(text, "\nLicense: MIT\n{}", indented(&format!("Permission is hereby{terms}"))).unwrap();
        } else if ONCE.contains(&licence) {
            let first = crates.iter().find(|each| each.licence == licence).unwrap();
            write!(text, "\nLicense: {licence}\n{}", indented(&first.licence_text(licence))).unwrap();
        }
    }
    Some(text)
}

const HEAD: &str = "\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: popfetch
Comment: popfetch itself, and the crates that are part of the program.  Made by
 tests/generated.rs from Cargo.lock and the crates' own files.

Files: *
Copyright: 2026 the popfetch authors
License: MIT or Apache-2.0

Files: std/*
Copyright: The Rust Project contributors
Comment: https://github.com/rust-lang/rust
License: MIT or Apache-2.0
";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The licences that hold for us, of an expression as crates have it: of alternatives, one that we know.
fn licences(expression: &str) -> BTreeSet<&'static str> {
    const KNOWN: [&str; 5] = ["MIT", "Apache-2.0", "Unicode-3.0", "MPL-2.0", "BSD-3-Clause"];
    let expression = expression.replace('/', " OR ");
    expression
        .split(" AND ")
        .map(|part| {
            let part = part.trim_matches(['(', ')']);
            let alternatives: Vec<&str> = part.split(" OR ").map(str::trim).collect();
            let known = KNOWN.into_iter().find(|known| alternatives.contains(known));
            known.unwrap_or_else(|| panic!("a licence that notices.rs doesn't know: {expression}"))
        })
        .collect()
}

fn cargo(args: &[&str]) -> Option<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let targets = TARGETS
        .iter()
        .flat_map(|target| [if args[0] == "tree" { "--target" } else { "--filter-platform" }, target]);
    let output =
        Command::new(cargo).args(args).arg("--locked").args(targets).current_dir(root()).output().unwrap();
    if output.status.success() {
        return Some(String::from_utf8(output.stdout).unwrap());
    }
    // A machine without network has perhaps the crates of its own kind only.
    let complaint = String::from_utf8_lossy(&output.stderr);
    eprintln!("SKIPPED: {complaint}");
    None
}

fn crates() -> Option<Vec<Crate>> {
    let tree = cargo(&["tree", "-e", "normal,no-proc-macro", "--prefix", "none", "-f", "{p}"])?;
    let listed: BTreeSet<(&str, &str)> = tree
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            Some((words.next()?, words.next()?.strip_prefix('v')?))
        })
        .collect();
    let metadata: Value = serde_json::from_str(&cargo(&["metadata", "--format-version=1"])?).unwrap();
    let text = |package: &Value, key: &str| package[key].as_str().unwrap_or_default().to_owned();
    let mut crates: Vec<Crate> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|package| {
            listed.contains(&(package["name"].as_str().unwrap(), package["version"].as_str().unwrap()))
        })
        .filter(|package| package["name"] != "popfetch")
        .map(|package| Crate {
            name: text(package, "name"),
            version: text(package, "version"),
            licence: text(package, "license"),
            authors: package["authors"]
                .as_array()
                .unwrap()
                .iter()
                .map(|author| author.as_str().unwrap().to_owned())
                .collect(),
            repository: text(package, "repository"),
            folder: Path::new(package["manifest_path"].as_str().unwrap()).parent().unwrap().to_owned(),
        })
        .collect();
    crates.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    assert!(crates.len() > 50 && crates.len() + 1 == listed.len(), "{} of {}", crates.len(), listed.len());
    Some(crates)
}

impl Crate {
    /// Its files with authors and licence, in order.
    fn files(&self) -> Vec<(String, String)> {
        let mut files: Vec<(String, String)> = fs::read_dir(&self.folder)
            .unwrap()
            .filter_map(|entry| {
                let path = entry.unwrap().path();
                let name = path.file_name().and_then(OsStr::to_str)?.to_ascii_uppercase();
                let meant =
                    ["LICEN", "COPYING", "COPYRIGHT", "NOTICE"].iter().any(|start| name.starts_with(start));
                (meant && path.is_file()).then(|| (name, fs::read_to_string(&path).unwrap()))
            })
            .collect();
        files.sort();
        files
    }

    /// Its authors: the copyright lines of its files, else the authors of its manifest, else where it comes from.
    fn holders(&self) -> Vec<String> {
        let mut holders: Vec<String> = Vec::new();
        for line in self.files().iter().flat_map(|(_, text)| text.lines()) {
            let line = line.trim();
            let rest = line.strip_prefix("Copyright").map(str::trim).unwrap_or_default();
            let is_notice = rest.starts_with("(c)")
                || rest.starts_with("(C)")
                || rest.starts_with('©')
                || rest.starts_with(|c: char| c.is_ascii_digit());
            let rest =
                rest.trim_start_matches("(c)").trim_start_matches("(C)").trim_start_matches('©').trim();
            if is_notice && !holders.iter().any(|holder| holder == rest) {
                holders.push(rest.to_owned());
            }
        }
        if holders.is_empty() {
            holders.clone_from(&self.authors);
        }
        if holders.is_empty() {
            holders.push(format!("the authors of {}", self.name));
        }
        holders
    }

    /// The text of one of its licences.
    fn licence_text(&self, licence: &str) -> String {
        let sign = match licence {
            "BSD-3-Clause" => "Redistributions in binary form",
            "Unicode-3.0" => "UNICODE LICENSE V3",
            other => panic!("{}: which text is that of {other}?", self.name),
        };
        let texts = self.files().into_iter().map(|(_, text)| text);
        texts.filter(|text| text.contains(sign)).collect::<Vec<_>>().join("\n")
    }
}

/// As the body of a field: each line behind a space, an empty one as a dot.
fn indented(text: &str) -> String {
    text.trim().lines().fold(String::new(), |text, line| match line.trim_end() {
        "" => text + " .\n",
        line => text + " " + line + "\n",
    })
}
