//! Every configuration that README and the manual show is one.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use popfetch::configuration::{ConfigError, Environment, Request, for_run};

#[test]
fn every_example_is_a_configuration() {
    let pages = [
        ("README.md", "```toml\n", "```"),
        ("man/popfetch.1", ".EX\n", ".EE"),
        ("man/popfetch.toml.5", ".EX\n", ".EE"),
    ];
    for (page, begin, end) in pages {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).unwrap();
        let mut examples = 0;
        for (number, after) in text.split(begin).skip(1).enumerate() {
            let example = after.split(end).next().unwrap();
            let example = if page.starts_with("man/") { unescaped(example) } else { example.to_owned() };
            if is_configuration(&example) {
                examples += 1;
                if let Err(e) = load(&example) {
                    panic!("{page}, example {}:\n{example}\n{e}", number + 1);
                }
            } else {
                assert!(
                    page.starts_with("man/"),
                    "{page}: without an account, it can't be tried:\n{example}"
                );
            }
        }
        assert!(examples > 0, "{page} has no example");
    }
}

#[test]
fn a_wrong_example_is_found() {
    let right = "[accounts.a]\nserver = \"h\"\nuser = \"u\"\ndeliver = { maildir = \"~/M\" }\n";
    assert!(is_configuration(right));
    load(right).unwrap();
    assert!(load(&right.replace("user", "usre")).is_err());
}

/// In the manual, examples are command lines too.
fn is_configuration(example: &str) -> bool {
    example.lines().any(|line| line.starts_with("[accounts."))
}

fn load(example: &str) -> Result<(), ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    fs::write(&path, example).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let environment = Environment {
        home: Some("/home/me".into()),
        variables: [("HOME".into(), "/home/me".into())].into(),
        ..Environment::default()
    };
    let request = Request { file: Some(path), ..Request::default() };
    for_run(&request, &environment).map(drop)
}

fn unescaped(roff: &str) -> String {
    roff.replace("\\-", "-").replace("\\(dq", "\"")
}
