//! The save of a renewed token, cut by `kill -9` and by a full disk at every step.  The store holds the old login or
//! the new one, whole; and nothing is asked for that there is no room for.

use super::{Scene, mail};

/// The steps of a run that renews, which are about the store: their numbers and what they do.
fn steps(scene: &Scene) -> Vec<(u64, String)> {
    let run = scene.invocation(&["work"]).record_steps().run();
    run.succeeds();
    let all = run.steps.iter().filter(|line| line.contains("/oauth"));
    all.map(|line| {
        let (number, what) = line.split_once(' ').unwrap();
        (number.parse().unwrap(), what.to_owned())
    })
    .collect()
}

/// A login whose token has to be renewed.
fn before_the_renewal(rotates: bool) -> Scene {
    let scene = Scene::with(mail("XOAUTH2"), "");
    scene.authorization.state().rotates = rotates;
    scene.log_in_for_a_moment();
    scene
}

#[test]
fn a_kill_at_any_step_of_the_save_leaves_a_whole_login() {
    let steps = steps(&before_the_renewal(true));
    let shown: Vec<&str> = steps.iter().map(|(_, what)| what.as_str()).collect();
    assert!(shown.len() >= 9, "{shown:?}");
    let mut lost = Vec::new();
    for (number, what) in &steps {
        for rotates in [true, false] {
            let scene = before_the_renewal(rotates);
            let run = scene.invocation(&["work"]).crash_at(*number).run();
            assert!(run.crashed(), "{what}: {}", run.shown());
            // Whole, whichever it is.
            assert!(scene.stored()["refresh_token"].as_str().unwrap().starts_with("Grue-refresh-"));
            let run = scene.run(&["work"]);
            if run.code() == Some(77) && rotates {
                lost.push(what.clone());
                run.complains("popfetch auth login work");
                continue;
            }
            run.succeeds();
            scene.holds_mail("work");
            assert_eq!(scene.authorization.state().families_ended, 0);
        }
    }
    // A server that takes the old token back at once: what it has answered can't be had twice, until it is written.
    let write_of_the_answer =
        |what: &String| what.starts_with("Write ") || what.to_lowercase().contains("write");
    assert!(lost.len() <= 2 && lost.iter().all(write_of_the_answer), "{lost:?} of {shown:?}");
}

#[test]
fn a_full_disk_is_met_before_the_server_is_asked() {
    let steps = steps(&before_the_renewal(true));
    for (number, what) in &steps {
        let scene = before_the_renewal(true);
        let before = scene.stored();
        let run = scene.invocation(&["work"]).fail_from(*number, "ENOSPC").run();
        let asked = scene.authorization.refreshes();
        if run.code() == Some(0) {
            panic!("{what}: {}", run.shown());
        }
        assert!(matches!(run.code(), Some(73 | 74)), "{what}: {}", run.shown());
        if asked == 0 {
            assert_eq!(scene.stored(), before, "{what}");
            scene.run(&["work"]).succeeds();
            scene.holds_mail("work");
        }
    }
    // That is so up to the sync of the room.
    let scene = before_the_renewal(true);
    let (first, _) = &steps[0];
    scene.invocation(&["work"]).fail_from(*first, "ENOSPC").run().complains("make room on that disk");
    assert_eq!(scene.authorization.refreshes(), 0);
}

#[test]
fn two_commands_can_keep_a_login() {
    let scene = Scene::new();
    scene.sandbox.script("bin/load", "test -f ~/vault || exit 0; tr a-z b-za < ~/vault");
    scene.sandbox.script("bin/save", "test ! -f ~/full || { echo 'no key' >&2; exit 2; }; tr b-za a-z > ~/vault.new && mv ~/vault.new ~/vault");
    let commands = ", load-command = [\"bin/load\"], save-command = \"bin/save\"";
    scene.configure(commands);
    scene.run(&[]).exits(77).complains("work isn't logged in");
    scene.authorization.state().expires_in = 10;
    scene.log_in().succeeds();
    let before = scene.authorization.refreshes();
    assert!(scene.stores().is_empty());
    let vault = std::fs::read_to_string(scene.sandbox.path("vault")).unwrap();
    assert!(!vault.contains("Grue-refresh"), "{vault}");
    // A command that doesn't work is met before the server is asked.
    scene.sandbox.write("full", "");
    let run = scene.run(&["work"]);
    run.exits(77).complains("save-command failed with exit status 2: no key");
    assert_eq!(scene.authorization.refreshes(), before);
    scene.authorization.state().expires_in = 3600;
    std::fs::remove_file(scene.sandbox.path("full")).unwrap();
    for _ in 0..2 {
        scene.run(&["work"]).succeeds();
        assert_eq!(scene.authorization.refreshes(), before + 1);
    }
    scene.holds_mail("work");
    // A login ends a pause here as well, though nothing but the commands knows what is stored.
    scene.authorization.state().refresh = None;
    scene.sandbox.write("vault", "");
    scene.run(&["-q"]).exits(77);
    scene.log_in().succeeds();
    scene.run(&["-q"]).succeeds();
    scene.run(&["logout", "work"]).succeeds();
    scene.run(&["work"]).exits(77).complains("work isn't logged in");
}
