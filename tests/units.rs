//! The units for systemd in examples/systemd: systemd takes them, they are as hardened as they claim, popfetch can work
//! under them, and they are what `popfetch cron` prints.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::destinations::set_up;
use crate::mailbox::{good, serve};
use crate::support::installed;
use crate::support::sandbox::Sandbox;
use crate::support::server::numbered;

const SHIPPED: &str = "/usr/bin/popfetch";

fn unit(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/systemd").join(name)).unwrap()
}

/// The units of a manager (`user` or `system`), copied into the sandbox with the program that is tested; with the
/// drop-in for programs with rights of their own, if asked for.
fn copied(sandbox: &Sandbox, manager: &str, with_drop_in: bool) -> Vec<PathBuf> {
    let names = match manager {
        "user" => ["popfetch.service", "popfetch.timer"],
        _ => ["popfetch@.service", "popfetch@.timer"],
    };
    let folder = PathBuf::from("etc/systemd").join(manager);
    if with_drop_in {
        sandbox.write(folder.join(format!("{}.d/mda.conf", names[0])), unit("mda.conf"));
    }
    let program = env!("CARGO_BIN_EXE_popfetch");
    names
        .iter()
        .map(|name| {
            let text = unit(&format!("{manager}/{name}")).replace(SHIPPED, program);
            let path = sandbox.write(folder.join(name), text);
            PathBuf::from(path.to_str().unwrap().replace('@', "@anna"))
        })
        .collect()
}

#[test]
fn systemd_takes_the_shipped_units() {
    let Some(analyze) = installed("systemd-analyze") else { return };
    for manager in ["user", "system"] {
        for with_drop_in in [false, true] {
            let sandbox = Sandbox::new();
            let units = copied(&sandbox, manager, with_drop_in);
            let mut command = Command::new(&analyze);
            command.args(["verify", "--man=no", &format!("--{manager}")]).args(&units);
            let output = command.env("XDG_RUNTIME_DIR", sandbox.home()).output().unwrap();
            let complaint = String::from_utf8_lossy(&output.stderr);
            if complaint.contains("Failed to initialize manager") {
                eprintln!("SKIPPED: {complaint}");
                return;
            }
            assert!(output.status.success() && complaint.is_empty(), "{manager} {with_drop_in}: {complaint}");
        }
    }
}

/// The verdict of `systemd-analyze security` on a unit: from 0, which is as tight as can be, to 10.
fn exposure(analyze: &Path, sandbox: &Sandbox, manager: &str) -> f64 {
    let name = if manager == "user" { "popfetch.service" } else { "popfetch@anna.service" };
    let output = Command::new(analyze)
        .args(["security", "--offline=true", "--no-pager", &format!("--{manager}")])
        .arg(format!("--root={}", sandbox.home().display()))
        .arg(name)
        .env("LC_ALL", "C.UTF-8")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let verdict = text.split("Overall exposure level for ").nth(1).and_then(|rest| rest.split(": ").nth(1));
    let number = verdict.and_then(|rest| rest.split(' ').next()).and_then(|number| number.parse().ok());
    number.unwrap_or_else(|| panic!("{text}\n{}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn the_system_unit_is_as_tight_as_it_claims() {
    let Some(analyze) = installed("systemd-analyze") else { return };
    let sandbox = Sandbox::new();
    copied(&sandbox, "system", false);
    let alone = exposure(&analyze, &sandbox, "system");
    assert!(alone <= 2.0, "{alone}");
    let sandbox = Sandbox::new();
    copied(&sandbox, "system", true);
    let with_drop_in = exposure(&analyze, &sandbox, "system");
    // The drop-in is in force.
    assert!(with_drop_in > alone, "{with_drop_in}");
}

/// In a unit whose user is not root each of these implies `NoNewPrivileges=` (systemd.exec(5)), so that a filter like
/// procmail loses its rights.
#[test]
fn the_drop_in_takes_back_all_that_binds_a_filter() {
    const IMPLY: &[&str] = &[
        "NoNewPrivileges",
        "CapabilityBoundingSet",
        "LockPersonality",
        "MemoryDenyWriteExecute",
        "PrivateDevices",
        "ProtectClock",
        "ProtectHostname",
        "ProtectKernelLogs",
        "ProtectKernelModules",
        "ProtectKernelTunables",
        "RestrictAddressFamilies",
        "RestrictNamespaces",
        "RestrictRealtime",
        "RestrictSUIDSGID",
        "SystemCallArchitectures",
        "SystemCallFilter",
        "SystemCallLog",
        "DynamicUser",
    ];
    let keys = |text: &str| -> BTreeSet<String> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.filter_map(|line| line.split_once('=').map(|(key, _)| key.to_owned())).collect()
    };
    let taken_back = keys(&unit("mda.conf"));
    for name in ["user/popfetch.service", "system/popfetch@.service"] {
        for key in keys(&unit(name)).iter().filter(|key| IMPLY.contains(&key.as_str())) {
            assert!(taken_back.contains(key), "{name}: mda.conf does not take back {key}");
        }
    }
}

/// The system calls of a group of systemd's (systemd.exec(5)), with the groups in it.
fn system_calls(analyze: &Path, group: &str) -> BTreeSet<String> {
    let output = Command::new(analyze).args(["syscall-filter", "--no-pager", group]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut calls = BTreeSet::new();
    for word in text.lines().skip(1).map(str::trim).filter(|word| !word.is_empty() && !word.starts_with('#'))
    {
        if word.starts_with('@') {
            calls.extend(system_calls(analyze, word));
        } else {
            calls.insert(word.to_owned());
        }
    }
    assert!(!calls.is_empty(), "{group}: {text}");
    calls
}

#[test]
fn popfetch_makes_no_system_call_that_the_units_refuse() {
    let (Some(analyze), Some(strace)) = (installed("systemd-analyze"), installed("strace")) else { return };
    let service = unit("system/popfetch@.service");
    let mut allowed = BTreeSet::new();
    for line in service.lines().filter_map(|line| line.strip_prefix("SystemCallFilter=")) {
        match line.strip_prefix('~') {
            None => line.split(' ').for_each(|group| allowed.extend(system_calls(&analyze, group))),
            Some(groups) => {
                let refused = groups.split(' ').flat_map(|group| system_calls(&analyze, group));
                refused.for_each(|call| _ = allowed.remove(&call));
            }
        }
    }
    assert!(allowed.contains("read") && !allowed.contains("reboot"), "{allowed:?}");

    let destinations =
        "deliver = [{ maildir = \"~/in\" }, { mbox = \"~/box\" }, { pipe = \"cat > /dev/null\" }]";
    let (_server, sandbox) =
        set_up(numbered(["a", "b"].map(|text| format!("Subject: {text}\r\n\r\n"))), destinations);
    let trace = sandbox.path("trace");
    for _ in 0..2 {
        let run = sandbox.popfetch(["--quiet"]).under([
            strace.as_os_str(),
            "-f".as_ref(),
            "-o".as_ref(),
            trace.as_ref(),
        ]);
        run.run().succeeds();
        let trace = fs::read_to_string(&trace).unwrap();
        let calls = trace.lines().filter_map(|line| {
            let call = line.split_once(' ')?.1.trim_start().split_once('(')?.0;
            call.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_').then(|| call.to_owned())
        });
        let calls: BTreeSet<String> = calls.collect();
        assert!(calls.contains("connect"), "{calls:?}");
        let refused: Vec<&String> = calls.difference(&allowed).collect();
        assert!(refused.is_empty(), "{refused:?}");
    }
}

#[test]
fn a_filter_that_a_unit_has_bound_is_named_with_the_remedy() {
    let Some(setpriv) = installed("setpriv") else { return };
    let (_server, sandbox) =
        set_up(numbered(["Subject: a\r\n\r\n".to_owned()]), "deliver.pipe = [\"HOME/filter\"]");
    let path = sandbox.script("filter", "exit 75");
    let config = fs::read_to_string(sandbox.path(".config/popfetch/config.toml")).unwrap();
    sandbox.config(config.replace("HOME", sandbox.home().to_str().unwrap()));
    let bound = || sandbox.popfetch([""; 0]).under([setpriv.as_os_str(), "--no-new-privs".as_ref()]).run();
    bound().exits(75).complains("did not take it").never_says("NoNewPrivileges");
    fs::set_permissions(&path, Permissions::from_mode(0o2755)).unwrap();
    let retry = ["retry", "work"];
    let run = sandbox.popfetch(retry).under([setpriv.as_os_str(), "--no-new-privs".as_ref()]).run();
    run.exits(75).complains("NoNewPrivileges= keeps it from being setuid or setgid").complains("mda.conf");
    sandbox.run(retry).exits(75).never_says("NoNewPrivileges");
}

#[test]
fn cron_prints_the_shipped_units() {
    let served = serve(good([]), "");
    let program = env!("CARGO_BIN_EXE_popfetch");
    for (part, name) in [("service", "user/popfetch.service"), ("timer", "user/popfetch.timer")] {
        let run = served.sandbox.run(["cron", "--only", part]);
        run.succeeds();
        assert_eq!(run.out().replace(program, SHIPPED), unit(name), "{part}");
    }
    // Without what takes rights from a filter, where there is one.
    served
        .sandbox
        .config("[accounts.me]\nserver = \"h\"\nuser = \"u\"\ndeliver.pipe = [\"procmail\"]\nnetrc = true\n");
    let run = served.sandbox.run(["cron", "--only", "service"]);
    run.succeeds().says("SuccessExitStatus=75").says("KillMode=mixed").never_says("NoNewPrivileges");
    run.never_says("SystemCall");
}
