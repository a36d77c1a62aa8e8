//! Which room may import which.  Rooms are modules of the library: data flows through them in one direction, and a room imports
//! only what [`ROOMS`] lists for it.  Each dependency has its owners, each proof its maker.
//!
//! This reads the source as text, without test modules, comments and strings: enough for code that rustfmt has laid
//! out, and a stranger's `use` can't slip by unseen.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A room, and the rooms that it may import (each with what is below it).  The longest name that fits a module counts;
/// a room imports from itself freely.
pub(crate) const ROOMS: &[(&str, &[&str])] = &[
    // The floor: no room below but one another, and every room above may know them.
    ("exit", &[]),
    ("problem", &[]),
    ("secret", &[]),
    ("text", &[]),
    ("types", &[]),
    // What an account is.
    ("access", &[]),
    ("account", &["access"]),
    // The doors: to the clock, to the environment, to signals, to the disk.
    ("clock", &[]),
    ("environment", &[]),
    ("signals", &[]),
    ("durable", &["clock"]),
    // The protocol knows no socket, file, clock, or thread.
    ("protocol", &["account"]),
    ("connection", &["access", "account", "signals"]),
    // One question to a web server.
    ("http", &["account", "connection", "protocol::redact", "signals"]),
    // Runs a program whose output, or input, is a secret.
    ("process", &["access", "signals"]),
    // Tokens, for whatever they are used.
    ("oauth", &["access", "account", "clock", "durable", "http", "process", "protocol::redact", "signals"]),
    ("config", &["access", "account", "environment"]),
    (
        "credentials",
        &["access", "account", "connection", "durable", "environment", "http", "oauth", "process", "signals"],
    ),
    // What other programs have set up and remember.
    ("import", &["access", "account", "config"]),
    // From a mail address to servers that may be right.
    ("discovery", &["account", "clock", "config", "connection", "http", "signals"]),
    ("client", &["access", "account", "clock", "connection", "proof", "protocol", "signals"]),
    // From a message to its proofs.
    ("message", &[]),
    ("place", &[]),
    ("proof", &["message", "place"]),
    ("ledger", &["account", "clock", "durable", "message", "place", "proof", "signals"]),
    ("delivery", &["access", "account", "clock", "durable", "message", "place", "proof", "signals"]),
    // Decides, and does nothing.
    ("plan", &["account", "ledger", "message", "proof"]),
    ("report", &[]),
    // Ties them together.
    (
        "retrieval",
        &[
            "access",
            "account",
            "client",
            "clock",
            "connection",
            "credentials",
            "delivery",
            "durable",
            "environment",
            "import",
            "ledger",
            "message",
            "oauth",
            "plan",
            "proof",
            "protocol",
            "report",
            "signals",
        ],
    ),
    // Looks at what runs have left, and takes care of it.
    ("state", &["access", "account", "clock", "durable", "ledger", "message", "oauth", "proof", "signals"]),
    (
        "cli",
        &[
            "access",
            "account",
            "clock",
            "config",
            "connection",
            "credentials",
            "delivery",
            "discovery",
            "durable",
            "environment",
            "import",
            "message",
            "oauth",
            "report",
            "retrieval",
            "signals",
            "state",
        ],
    ),
    ("main", &["cli"]),
];

/// What every room may import: words that all share.
pub(crate) const FLOOR: &[&str] = &["exit", "problem", "secret", "text", "types"];

/// What only the rooms named may import, though they lie inside of others.
const PRIVATE: &[(&str, &[&str])] = &[
    ("report::json", &["cli", "report", "retrieval::hooks"]),
    ("report::plain", &["cli", "report"]),
    ("report::progress", &["cli", "report"]),
];

/// Each dependency and where it may be used: to replace one edits its owners and nothing else.
const OWNERS: &[(&str, &[&str])] = &[
    ("anyhow", &["cli"]),
    ("base64", &["connection::proxy", "message", "oauth", "protocol"]),
    ("blake3", &["credentials::digest", "delivery", "message"]),
    ("clap", &["cli"]),
    ("close_fds", &["access"]),
    ("directories", &["environment"]),
    ("getrandom", &["clock"]),
    ("hashbrown", &["ledger", "plan"]),
    ("hmac", &["protocol::sasl"]),
    ("httparse", &["http::answer"]),
    ("idna", &["account::host"]),
    ("indicatif", &["report::progress"]),
    ("jiff", &["clock::local"]),
    ("mail-parser", &["message::date", "message::header", "message::reading", "message::summary"]),
    ("md-5", &["protocol::sasl"]),
    ("memchr", &["delivery", "ledger", "message", "protocol"]),
    ("native-tls", &["connection"]),
    ("nix", &["access", "signals"]),
    ("pbkdf2", &["protocol::sasl"]),
    (
        "rustix",
        &[
            "access",
            "cli::commands::shell",
            "clock",
            "connection",
            "credentials::prompt",
            "delivery",
            "discovery::resolver",
            "durable",
            "oauth::listener",
            "process",
            "report::log",
            "report::terminal",
            "retrieval::jobs",
            "signals",
        ],
    ),
    ("roxmltree", &["discovery::autoconfig"]),
    ("rpassword", &["credentials::prompt"]),
    ("rustyline", &["cli::commands::shell"]),
    (
        "serde",
        &[
            "cli::commands",
            "ledger::history",
            "ledger::memory",
            "oauth",
            "protocol::sasl::oauth",
            "report::json",
        ],
    ),
    ("serde_json", &["ledger::history", "ledger::memory", "oauth", "protocol::sasl::oauth", "report::json"]),
    ("sha1", &["protocol::sasl"]),
    ("sha2", &["connection::certificate", "oauth", "protocol::sasl"]),
    ("signal-hook", &["signals"]),
    ("simple-dns", &["discovery::dns"]),
    ("siphasher", &["ledger"]),
    ("stringprep", &["protocol::sasl"]),
    ("strsim", &["config::mistake"]),
    ("textwrap", &["report::prose"]),
    (
        "thiserror",
        &[
            "access",
            "account",
            "client",
            "config",
            "connection",
            "credentials",
            "delivery",
            "durable",
            "http",
            "import",
            "ledger",
            "oauth",
            "plan",
            "protocol",
            "retrieval",
            "state",
            "types",
        ],
    ),
    ("toml", &["config", "discovery::providers"]),
    ("toml_edit", &["config::addition", "import::document"]),
    ("unicode-properties", &["text"]),
    ("unicode-width", &["report::prose", "report::table"]),
    ("x509-parser", &["connection::certificate"]),
    ("twox-hash", &["ledger", "message::sum"]),
    ("zeroize", &["cli::commands::auth::token", "credentials::keep", "http", "oauth", "protocol", "secret"]),
];

/// Each proof and the only room that may make it.
const MAKERS: &[(&str, &str)] = &[
    ("Staged::attest", "delivery"),
    ("Published::attest", "delivery"),
    ("Noted::attest", "ledger"),
    ("Delivered::attest", "ledger"),
    ("Recognised::attest", "retrieval::fetch::confirm"),
    ("Dismissed::attest", "retrieval::visit"),
];

/// A module's source.
struct Module {
    /// `protocol::sasl::scram`; `main` for the binary.
    name: String,
    /// As it is.
    text: String,
    /// Without inline tests, comments, and the contents of strings.
    code: String,
}

#[test]
fn rooms_import_only_what_lies_below_them() {
    let modules = modules();
    let names: BTreeSet<&str> = modules.iter().map(|module| module.name.as_str()).collect();
    let mut faults = Vec::new();
    let mut used = BTreeSet::new();
    // lib.rs is no room: it lists what is public.
    for module in modules.iter().filter(|module| !module.name.is_empty()) {
        let Some((room, allowed)) = room(&module.name) else {
            faults.push(format!("{} is in no room: add it to ROOMS", module.name));
            continue;
        };
        for import in imports(&module.code) {
            let target = module_of(&import, &names);
            let own = is_within(&target, room) || target.is_empty();
            match allowed.iter().chain(FLOOR).find(|allowed| is_within(&target, allowed)) {
                Some(import) => _ = used.insert((room, *import)),
                None if own => {}
                None => faults.push(format!("{} imports {target}, which {room} may not know", module.name)),
            }
            let private = PRIVATE.iter().find(|(private, _)| is_within(&target, private));
            if private.is_some_and(|(_, users)| !users.iter().any(|user| is_within(&module.name, user))) {
                faults.push(format!("{} imports {target}, which is private", module.name));
            }
        }
    }
    for (room, allowed) in ROOMS {
        let unused = allowed.iter().filter(|import| !used.contains(&(*room, **import)));
        faults.extend(
            unused.map(|import| format!("{room} may import {import}, and does not: take it out of ROOMS")),
        );
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// Not counting a module and what lies inside of it: what two files need of each other belongs into a third, or into one.
#[test]
fn no_files_need_one_another_in_a_circle() {
    let modules = modules();
    let names: BTreeSet<&str> = modules.iter().map(|module| module.name.as_str()).collect();
    let of = |module: &Module| -> BTreeSet<String> {
        let paths = imports(&module.code).into_iter().chain(relative_imports(&module.name, &module.code));
        let needed = paths.map(|path| module_of(&path, &names));
        needed.filter(|needed| !is_within(needed, &module.name) && !is_within(&module.name, needed)).collect()
    };
    let mut left: BTreeMap<&str, BTreeSet<String>> =
        modules.iter().map(|module| (module.name.as_str(), of(module))).collect();
    left.remove(""); // lib.rs: it lists what is public.
    assert!(left.values().map(BTreeSet::len).sum::<usize>() > 1000, "the imports were not found");
    // What needs nothing that is left, or isn't needed by anything that is left, is in no circle.
    loop {
        let all: BTreeSet<String> = left.keys().map(|name| (*name).to_owned()).collect();
        let needed: BTreeSet<String> = left.values().flatten().cloned().collect();
        left.retain(|name, needs| {
            needs.retain(|need| all.contains(need));
            !needs.is_empty() && needed.contains(*name)
        });
        if left.len() == all.len() {
            break;
        }
    }
    assert!(left.is_empty(), "{left:#?}");
}

#[test]
fn every_dependency_has_its_owners() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let section = manifest.split("\n[dependencies]\n").nth(1).unwrap().split("\n[").next().unwrap();
    let dependencies: BTreeSet<&str> = section
        .lines()
        .filter_map(|line| line.split_once('=').map(|(name, _)| name.trim()))
        .filter(|name| !name.starts_with('#'))
        .collect();
    let owned: BTreeSet<&str> = OWNERS.iter().map(|(name, _)| *name).collect();
    assert_eq!(dependencies, owned, "Cargo.toml on the left, OWNERS on the right");

    let modules = modules();
    let mut faults = Vec::new();
    for (dependency, owners) in OWNERS {
        let krate = dependency_in_code(dependency);
        let users: Vec<&str> = modules
            .iter()
            .filter(|module| uses(&module.code, &krate))
            .map(|module| module.name.as_str())
            .collect();
        for user in &users {
            if !owners.iter().any(|owner| is_within(user, owner)) {
                faults.push(format!("{user} uses {dependency}, which belongs to {}", owners.join(", ")));
            }
        }
        for owner in *owners {
            if !users.iter().any(|user| is_within(user, owner)) {
                faults.push(format!("{owner} owns {dependency} and does not use it"));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_proof_has_one_maker() {
    let modules = modules();
    for (call, maker) in MAKERS {
        let makers: Vec<&str> = modules
            .iter()
            .filter(|module| module.code.contains(call))
            .map(|module| module.name.as_str())
            .collect();
        assert!(!makers.is_empty(), "nobody calls {call}");
        let strangers: Vec<&&str> = makers.iter().filter(|name| !is_within(name, maker)).collect();
        assert!(strangers.is_empty(), "{call} belongs to {maker}, and is called in {strangers:?}");
    }
}

#[test]
fn nothing_is_left_behind() {
    let words = ["todo!", "unimplemented!", "dbg!", "unsafe "];
    let notes = ["TODO", "FIXME", "XXX", "SKELETON"];
    let mut faults = Vec::new();
    for Module { name, text, code } in modules() {
        faults
            .extend(words.iter().filter(|word| code.contains(**word)).map(|word| format!("{name}: {word}")));
        faults
            .extend(notes.iter().filter(|note| text.contains(**note)).map(|note| format!("{name}: {note}")));
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn the_source_is_read_as_it_is_meant() {
    let code = stripped(
        "//! use crate::a;\nuse crate::b::{self, c::D, e::{F, g}};\nlet s = \"crate::h \\\" dbg!\"; // crate::i\n\
         crate::j::k(b'\"', '\"', r#\"crate::l\"#);\n#[cfg(test)]\nmod tests {\n use crate::m;\n}\n",
    );
    let found: Vec<String> = imports(&code).into_iter().collect();
    assert_eq!(found, ["b", "b::c::D", "b::e::F", "b::e::g", "j::k"]);
    let names = ["b", "b::c"].into();
    assert_eq!(module_of("b::c::D", &names), "b::c");
    assert_eq!(module_of("b::e::F", &names), "b");
    assert!(uses("use md5::Md5;", "md5") && uses("(md5::x)", "md5"));
    assert!(!uses("crate::md5::x, xmd5::y, md5_x::z", "md5"));
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every module but those that only tests have.
fn modules() -> Vec<Module> {
    let source = root().join("src");
    let mut files = Vec::new();
    collect(&source, &mut files);
    let mut modules: Vec<Module> = files
        .iter()
        .map(|file| {
            let text = fs::read_to_string(file).unwrap();
            Module { name: name_of(file.strip_prefix(&source).unwrap()), code: stripped(&text), text }
        })
        .collect();
    let for_tests: Vec<String> = modules
        .iter()
        .flat_map(|module| {
            test_modules(&module.text).map(|inner| format!("{}::{inner}", module.name)).collect::<Vec<_>>()
        })
        .collect();
    modules.retain(|module| !for_tests.iter().any(|name| is_within(&module.name, name)));
    assert!(modules.len() > 40, "the source was not found");
    modules
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// `protocol/sasl/mod.rs` is `protocol::sasl`, and `lib.rs` is nothing: the root.
fn name_of(path: &Path) -> String {
    let name = path.with_extension("").to_string_lossy().replace('/', "::");
    match name.strip_suffix("::mod").unwrap_or(&name) {
        "lib" => String::new(),
        name => name.to_owned(),
    }
}

/// The names of modules in files of their own that only tests have.
fn test_modules(text: &str) -> impl Iterator<Item = &str> {
    text.split("#[cfg(test)]\n").skip(1).filter_map(|after| {
        let line = after.lines().next()?.trim();
        line.split_once("mod ").and_then(|(_, name)| name.strip_suffix(';'))
    })
}

/// The code alone: inline tests stand at the end and are cut off; comments and what strings hold are left out.
fn stripped(text: &str) -> String {
    let end = text.match_indices("#[cfg(test)]\n").find(|(at, attribute)| {
        let next = text[at + attribute.len()..].lines().next().unwrap_or_default();
        next.contains("mod ") && next.ends_with('{')
    });
    let mut rest = end.map_or(text, |(at, _)| &text[..at]);
    let mut code = String::with_capacity(rest.len());
    while let Some(first) = rest.chars().next() {
        let is_raw = rest.starts_with("r\"") || rest.starts_with("r#");
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if is_raw && !code.ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            let hashes = rest[1..].chars().take_while(|c| *c == '#').count();
            let end = format!("\"{}", "#".repeat(hashes));
            let from = 2 + hashes;
            rest.get(from..).and_then(|r| r.find(&end)).map_or(1, |at| from + at + end.len())
        } else if first == '"' {
            code.push('"');
            closing_quote(rest)
        } else if rest.starts_with("'\"'") || rest.starts_with("'\\\"'") {
            rest[1..].find("'").map_or(1, |at| at + 2)
        } else {
            code.push(first);
            first.len_utf8()
        };
        rest = &rest[skipped..];
    }
    code
}

/// How long the string is that `text` begins with.
fn closing_quote(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '"' if !escaped => return at + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

/// Every path that begins with `crate::` (the library's own name in the binary), with groups written out.
fn imports(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for start in ["crate::", "popfetch::"] {
        for (at, _) in code.match_indices(start) {
            expand("", &code[at + start.len()..], &mut found);
        }
    }
    found
}

/// Every path that begins with `super::`, as seen from the root.
fn relative_imports(module: &str, code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("super::") {
        if code[..at].ends_with("super::") {
            continue;
        }
        let (mut base, mut rest) = (module, &code[at..]);
        while let Some(more) = rest.strip_prefix("super::") {
            (base, rest) = (base.rsplit_once("::").map_or("", |(before, _)| before), more);
        }
        let mut inner = BTreeSet::new();
        expand("", rest, &mut inner);
        found.extend(inner.into_iter().map(|path| format!("{base}::{path}").trim_matches(':').to_owned()));
    }
    found
}

/// Reads one use tree; gives what follows it.
fn expand<'a>(prefix: &str, tree: &'a str, found: &mut BTreeSet<String>) -> &'a str {
    let tree = tree.trim_start();
    if let Some(mut rest) = tree.strip_prefix('{') {
        loop {
            rest = expand(prefix, rest, found).trim_start();
            match rest.strip_prefix(',') {
                Some(more) if !more.trim_start().starts_with('}') => rest = more,
                more => return more.unwrap_or(rest).trim_start().strip_prefix('}').unwrap_or_default(),
            }
        }
    }
    let end = tree.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(tree.len());
    let (segment, rest) = tree.split_at(end);
    let path = match (prefix, segment) {
        (_, "self" | "") => prefix.to_owned(),
        ("", _) => segment.to_owned(),
        _ => format!("{prefix}::{segment}"),
    };
    match rest.strip_prefix("::") {
        Some(deeper) => expand(&path, deeper, found),
        None => {
            found.insert(path);
            rest.strip_prefix('*').unwrap_or(rest)
        }
    }
}

/// The module that a path leads into: its longest part that is one.
fn module_of(path: &str, names: &BTreeSet<&str>) -> String {
    let mut part = path;
    while !part.is_empty() && !names.contains(part) {
        part = part.rsplit_once("::").map_or("", |(before, _)| before);
    }
    part.to_owned()
}

fn is_within(module: &str, room: &str) -> bool {
    module.strip_prefix(room).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn room(module: &str) -> Option<(&'static str, &'static [&'static str])> {
    if module.is_empty() {
        return Some(("", &[]));
    }
    let rooms = ROOMS.iter().filter(|(room, _)| is_within(module, room));
    rooms.max_by_key(|(room, _)| room.len()).copied()
}

/// A dependency's name in code.
fn dependency_in_code(name: &str) -> String {
    match name {
        "md-5" => "md5".to_owned(),
        _ => name.replace('-', "_"),
    }
}

/// Whether code names a crate at the start of a path.
fn uses(code: &str, krate: &str) -> bool {
    code.match_indices(&format!("{krate}::")).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
    })
}
