//! The package for Debian, as far as it can be seen without building it: tests/package does that.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The metadata of the package in Cargo.toml.
fn metadata() -> Value {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["metadata", "--format-version=1", "--no-deps", "--offline"];
    let output = Command::new(cargo).args(arguments).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"][0]["metadata"]["deb"].clone()
}

/// What the package is made of: where each file is in the tree, and where it goes.
fn assets() -> Vec<(PathBuf, String)> {
    let metadata = metadata();
    let assets = metadata["assets"].as_array().unwrap();
    assets
        .iter()
        .map(|asset| (asset[0].as_str().unwrap().into(), asset[1].as_str().unwrap().to_owned()))
        .collect()
}

#[test]
fn every_file_of_the_package_is_in_the_tree() {
    for (file, place) in assets() {
        let is_built = file.starts_with("target/release");
        assert!(is_built || root().join(&file).is_file(), "{} for {place}", file.display());
    }
}

#[test]
fn manuals_completions_and_units_are_all_in_the_package() {
    let packed: Vec<PathBuf> = assets().into_iter().map(|(file, _)| file).collect();
    for folder in
        ["man", "completions", "examples/systemd", "examples/systemd/user", "examples/systemd/system"]
    {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let file = path.strip_prefix(root()).unwrap().to_owned();
            let is_source = path.is_dir() || path.extension().is_some_and(|extension| extension == "in");
            assert!(is_source || packed.contains(&file), "{} is in no package", file.display());
        }
    }
}

#[test]
fn the_changelog_of_the_package_is_that_of_this_version() {
    let text = fs::read_to_string(root().join(metadata()["changelog"].as_str().unwrap())).unwrap();
    let expected = format!("popfetch ({}-1) ", env!("CARGO_PKG_VERSION"));
    assert!(text.starts_with(&expected), "{text}");
}
