//! The fuzz targets: each is built here as well, takes what no fuzzer need find, and is listed where a contributor looks.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// What a target calls, with its name.
macro_rules! called {
    ($($path:path,)*) => { [$((stringify!($path), $path as fn(&[u8]))),*] };
}

const CALLED: [(&str, fn(&[u8])); 22] = called![
    popfetch::fuzz::capability,
    popfetch::fuzz::client,
    popfetch::fuzz::config,
    popfetch::fuzz::discovery,
    popfetch::fuzz::examiner,
    popfetch::fuzz::framing,
    popfetch::fuzz::greeting,
    popfetch::fuzz::http,
    popfetch::fuzz::import,
    popfetch::fuzz::ledger,
    popfetch::fuzz::listing,
    popfetch::fuzz::memory,
    popfetch::fuzz::netrc,
    popfetch::fuzz::oauth,
    popfetch::fuzz::pipeline,
    popfetch::fuzz::printable,
    popfetch::fuzz::proxy,
    popfetch::fuzz::quoting,
    popfetch::fuzz::redactor,
    popfetch::fuzz::response,
    popfetch::fuzz::sasl,
    popfetch::fuzz::session,
];

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The names of the files in fuzz/fuzz_targets, with what they hold.
fn targets() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files
        .map(|path| {
            (path.file_stem().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&path).unwrap())
        })
        .collect()
}

#[test]
fn every_target_calls_what_there_is_and_is_listed() {
    let (manifest, contributing) = (read("fuzz/Cargo.toml"), read("CONTRIBUTING.md"));
    let mut left: BTreeSet<&str> = CALLED.iter().map(|(path, _)| *path).collect();
    for (name, text) in targets() {
        let called = left.iter().find(|path| text.contains(&format!("| {path}(octets)"))).copied();
        let called = called.unwrap_or_else(|| panic!("{name} calls something else:\n{text}"));
        left.remove(called);
        let section = format!("name = \"{name}\"\npath = \"fuzz_targets/{name}.rs\"\n");
        assert!(manifest.contains(&section), "fuzz/Cargo.toml lacks {name}");
        assert!(contributing.contains(&format!("| `{name}` | ")), "CONTRIBUTING.md lacks {name}");
    }
    assert_eq!(left, BTreeSet::new(), "no target calls these");
}

#[test]
fn what_servers_and_mails_begin_with_breaks_none_of_them() {
    let mut inputs: Vec<Vec<u8>> =
        crate::support::mail::samples().into_iter().map(|sample| sample.octets).collect();
    inputs.extend(
        [&b""[..], b"\n", b"\r\n.\r\n", b"+OK\r\n", b"-ERR [SYS/TEMP]\r\n", b"\0", b"{", b"\xff\xfe"]
            .map(<[u8]>::to_vec),
    );
    inputs.retain(|octets| octets.len() < 10_000);
    assert!(inputs.len() > 10);
    for (_, call) in CALLED {
        inputs.iter().for_each(|octets| call(octets));
    }
}
