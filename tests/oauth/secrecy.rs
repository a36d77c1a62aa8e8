//! No secret is anywhere but in the store: not in what is printed, however much is asked for; in no file; in no command line.

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Scene, mail, visit};
use crate::support::authorization::{Answer, CLIENT_SECRET, http};

const SECRETS: [&str; 6] =
    ["Quux-access", "Grue-refresh", "Frobozz", "Zork-device", CLIENT_SECRET, "Wumpus-registered"];

/// Asserts that neither output nor a file but the store and what the test wrote holds a secret.
#[track_caller]
fn nowhere(scene: &Scene, outputs: &[String], more: &[&str]) {
    for secret in SECRETS.iter().chain(more) {
        for output in outputs {
            assert!(!output.contains(secret), "{secret} in {output}");
        }
        let files = scene.sandbox.files_with(secret);
        let strange: Vec<_> = files
            .iter()
            .filter(|path| !path.starts_with(".config") && !path.starts_with("address"))
            .filter(|path| {
                !(path.starts_with(".local/state/popfetch/oauth")
                    && path.extension().is_some_and(|end| end == "json"))
            })
            .collect();
        assert!(strange.is_empty(), "{secret} in {strange:?}");
    }
}

#[test]
fn however_much_is_shown() {
    let scene = Scene::with(mail("XOAUTH2"), &format!(", client-secret = \"{CLIENT_SECRET}\""));
    let mut outputs = Vec::new();
    scene.authorization.state().expires_in = 10;
    // By the browser, with every command line looked at while the flow is under way.
    let lines = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&lines);
    scene.authorization.state().hook = Some(Arc::new(move || {
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            seen.lock().unwrap().push(String::from_utf8_lossy(&line).into_owned());
        }
    }));
    let running = scene.start(&["auth", "login", "-vv", "--flow", "browser"]);
    let right = scene.authorization.agree(&scene.address());
    let state = right.split("state=").nth(1).unwrap().to_owned();
    visit(&right);
    let run = running.finish();
    run.succeeds()
        .complains("grant_type=authorization_code")
        .complains("code_verifier=***")
        .complains("access_token=***");
    outputs.push(run.shown());
    let verifier = scene.authorization.asked("/token")[0].get("code_verifier").to_owned();
    assert!(verifier.len() >= 43);
    // The code is in the address that the browser comes back to, which is nobody's command line.
    let echo = "{\"error\":\"slow_down\",\"error_description\":\"Zork-device and Xyzzy-Plugh-secret\"}";
    scene.authorization.state().answers = vec![Answer::Raw(http("400 X", "application/json", echo))];
    let run = scene.run(&["login", "-vv", "--flow", "device"]);
    run.succeeds().complains("error_description=*** and ***");
    outputs.push(run.shown());
    // A renewal, and a server that quotes what it was sent.
    let run = scene.run(&["-vv", "--json"]);
    run.succeeds();
    outputs.push(run.shown());
    // In the place of the error's name too.
    let echo = format!("{{\"error\":\"{CLIENT_SECRET}\",\"error_description\":\"no\"}}");
    scene.authorization.state().answers = vec![Answer::Raw(http("400 X", "application/json", &echo))];
    let run = scene.run(&["-vv", "work"]);
    assert!(run.shown().contains("***: no"), "{}", run.shown());
    outputs.push(run.shown());
    let refresh = scene.authorization.state().refresh.clone().unwrap();
    let echo = format!(
        "{{\"error\":\"invalid_grant\",\"error_description\":\"{refresh} is {}\"}}",
        STANDARD.encode(&refresh)
    );
    scene.authorization.state().answers = vec![Answer::Raw(http("400 X", "application/json", &echo))];
    let run = scene.run(&["-vv", "work"]);
    run.exits(77);
    outputs.push(run.shown());
    for args in [
        &["auth", "status", "--json"][..],
        &["status", "-v"],
        &["config", "show"],
        &["logout", "work", "-vv"],
    ] {
        outputs.push(scene.run(args).shown());
    }
    nowhere(&scene, &outputs, &[&verifier]);
    let lines = lines.lock().unwrap().join("\n");
    assert!(!lines.is_empty());
    for secret in SECRETS.iter().chain([&verifier.as_str()]) {
        assert!(!lines.contains(secret), "{secret} in a command line");
    }
    assert!(state.len() >= 43);
}

#[test]
fn while_two_commands_keep_it() {
    let scene = Scene::new();
    scene.sandbox.script("bin/load", "cat ~/vault 2>/dev/null || exit 0");
    scene.sandbox.script("bin/save", "cat > ~/vault.new; tr '\\0' ' ' < /proc/$PPID/cmdline >> ~/lines; env >> ~/lines; mv ~/vault.new ~/vault");
    scene.configure(", load-command = [\"bin/load\"], save-command = [\"bin/save\"]");
    scene.authorization.state().expires_in = 10;
    scene.log_in().succeeds();
    scene.run(&["-vv"]).succeeds();
    let lines = std::fs::read_to_string(scene.sandbox.path("lines")).unwrap();
    for secret in SECRETS {
        assert!(!lines.contains(secret), "{secret}");
    }
}
