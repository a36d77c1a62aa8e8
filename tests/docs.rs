//! The documents in the tree are true of it: links and references lead somewhere, and the picture of the rooms is the
//! table of `tests/architecture.rs`.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::architecture::{FLOOR, ROOMS};

/// Where references to the documents may stand.
const SOURCES: [&str; 7] = ["src", "tests", "fuzz", "benches", "examples", "man", "Cargo.toml"];

const DOCUMENTS: [&str; 3] = ["design.md", "protocol.md", "rooms.md"];

#[test]
fn references_to_documents_lead_to_a_section() {
    let mut broken = Vec::new();
    for (path, text) in sources() {
        let inside = path.starts_with("docs");
        for (line, text) in numbered(&text) {
            for document in DOCUMENTS {
                for (at, _) in text.match_indices(document) {
                    let (before, after) = (&text[..at], &text[at + document.len()..]);
                    let known = before.ends_with("docs/") || inside || path == Path::new("tests/docs.rs");
                    let section = after.strip_prefix("` §").or(after.strip_prefix(" §")).map(number);
                    if !known || section.is_some_and(|section| !has_section(document, section)) {
                        broken.push(format!("{}:{line}: {document}{}", path.display(), up_to(after, 8)));
                    }
                }
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn references_inside_a_document_lead_to_a_section() {
    let mut broken = Vec::new();
    for document in DOCUMENTS {
        for (line, text) in numbered(&read(format!("docs/{document}"))) {
            for (at, sign) in text.match_indices('§') {
                let before = &text[..at];
                // Of an RFC (`[1939 §5]`, `RFC 2449 §4`), or of another document: see above.
                let elsewhere = before.trim_end().ends_with(|c: char| c.is_ascii_digit())
                    || before.ends_with(", ")
                    || DOCUMENTS.iter().any(|other| before.ends_with(&format!("{other} ")));
                let section = number(&text[at + sign.len()..]);
                if !elsewhere && !section.is_empty() && !has_section(document, section) {
                    broken.push(format!("docs/{document}:{line}: §{section}"));
                }
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

/// The table of what servers do, and of the tests that hold what popfetch makes of it.
#[test]
fn every_quirk_is_held_by_a_test_that_exists() {
    let table = read("src/protocol/mod.rs");
    let code: String = files("src/protocol").iter().map(read).collect();
    let rows = table
        .lines()
        .filter_map(|line| line.strip_prefix("//! | "))
        .filter(|row| row.matches(" | ").count() == 3);
    let mut names = 0;
    for row in rows {
        let held_by = row.rsplit(" | ").next().unwrap();
        for name in held_by.split('`').skip(1).step_by(2) {
            names += 1;
            let exists = match name {
                _ if name.starts_with("tests/") => root().join(name).exists(),
                _ if name.ends_with(".txt") => root().join("tests/sessions").join(name).exists(),
                _ => code.contains(&format!("fn {name}()")),
            };
            assert!(exists, "{name}, of {row}");
        }
    }
    assert!(names > 20, "the table was not read: {names}");
}

#[test]
fn links_between_documents_lead_to_files() {
    let mut broken = Vec::new();
    let mut links = 0;
    for path in files(".").into_iter().filter(|path| path.extension().is_some_and(|e| e == "md")) {
        let text = read(&path);
        for (_, rest) in text.match_indices("](").map(|(at, sign)| (at, &text[at + sign.len()..])) {
            let target = rest.split([')', '#']).next().unwrap();
            if target.contains(':') || target.is_empty() {
                continue;
            }
            links += 1;
            if !root().join(&path).parent().unwrap().join(target).exists() {
                broken.push(format!("{}: {target}", path.display()));
            }
        }
    }
    assert!(links > 5, "the documents were not read: {links}");
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn every_room_is_explained() {
    let page = read("docs/rooms.md");
    let explained: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `").and_then(|rest| rest.split_once('`')))
        .map(|(room, _)| room)
        .collect();
    let rooms: Vec<&str> = ROOMS.iter().map(|(room, _)| *room).collect();
    assert_eq!(explained, rooms, "docs/rooms.md on the left, ROOMS on the right");
}

#[test]
fn the_picture_of_the_rooms_is_their_table() {
    let page = read("docs/rooms.md");
    let mut current = page.clone();
    for (name, block) in [("picture", picture()), ("list", list())] {
        let start = format!("<!-- {name}: generated -->\n");
        let (before, rest) = current.split_once(&start).unwrap();
        let (_, after) = rest.split_once("<!-- end -->").unwrap();
        current = format!("{before}{start}{block}<!-- end -->{after}");
    }
    if std::env::var_os("POPFETCH_BLESS").is_some() {
        fs::write(root().join("docs/rooms.md"), &current).unwrap();
    } else {
        assert!(page == current, "docs/rooms.md is out of date: POPFETCH_BLESS=1 writes it");
    }
}

#[test]
fn references_are_read_as_they_are_meant() {
    assert_eq!(number("3.2](x)"), "3.2");
    assert_eq!(number("9. Next"), "9");
    assert!(has_section("protocol.md", "8.2") && !has_section("protocol.md", "8.9"));
}

/// The rooms as a flow chart, without the arrows that a longer way makes unnecessary.
fn picture() -> String {
    let mut out = "```mermaid\nflowchart TD\n".to_owned();
    for (room, imports) in ROOMS {
        if imports.is_empty() && !FLOOR.contains(room) && !ROOMS.iter().any(|(_, of)| of.contains(room)) {
            writeln!(out, "    {room}").unwrap();
        }
        for import in imports.iter().rev() {
            if !imports.iter().any(|other| other != import && reaches(other, import)) {
                writeln!(out, "    {room} --> {import}").unwrap();
            }
        }
    }
    out.push_str("```\n");
    out
}

fn reaches(from: &str, to: &str) -> bool {
    let imports = ROOMS.iter().find(|(room, _)| *room == from).map_or(&[][..], |(_, imports)| imports);
    imports.iter().any(|import| *import == to || reaches(import, to))
}

fn list() -> String {
    let named = |rooms: &[&str]| rooms.iter().map(|room| format!("`{room}`")).collect::<Vec<_>>().join(", ");
    let mut out = format!("- every room: {}\n", named(FLOOR));
    for (room, imports) in ROOMS.iter().rev().filter(|(_, imports)| !imports.is_empty()) {
        writeln!(out, "- `{room}`: {}", named(imports)).unwrap();
    }
    out
}

/// Whether a document has a heading with that number.
fn has_section(document: &str, section: &str) -> bool {
    read(format!("docs/{document}")).lines().filter_map(|line| line.strip_prefix('#')).any(|heading| {
        let heading = heading.trim_start_matches('#').trim_start();
        number(heading) == section
    })
}

/// The number of a section that a text begins with, without a final dot.
fn number(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    text[..end].trim_end_matches('.')
}

/// Every file that may refer to a document, with the documents themselves.
fn sources() -> Vec<(PathBuf, String)> {
    let mut paths: Vec<PathBuf> = SOURCES.iter().flat_map(|source| files(source)).collect();
    paths.extend(files(".").into_iter().filter(|path| path.extension().is_some_and(|e| e == "md")));
    let text = |path: PathBuf| fs::read_to_string(root().join(&path)).ok().map(|text| (path, text));
    paths.into_iter().filter_map(text).collect()
}

/// The files below a path, relative to the root; what builds and version control leave isn't looked at.
fn files(of: &str) -> Vec<PathBuf> {
    let path = root().join(of);
    if path.is_file() {
        return vec![PathBuf::from(of)];
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(path).unwrap() {
        let name = entry.unwrap().file_name();
        let name = name.to_str().unwrap();
        let inner = if of == "." { name.to_owned() } else { format!("{of}/{name}") };
        if !name.starts_with('.') && !["target", "corpus", "artifacts"].contains(&name) {
            found.extend(files(&inner));
        }
    }
    found
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(at, line)| (at + 1, line))
}

fn up_to(text: &str, characters: usize) -> String {
    text.chars().take(characters).collect()
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
