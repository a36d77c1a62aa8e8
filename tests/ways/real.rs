//! Ways by programs that others have written: microsocks, Dante, tinyproxy and squid; socat, nc and ssh.  They look the
//! name up, and popfetch asks for none.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{account, holds};
use crate::mailbox::{good, small};
use crate::servers::real::packaged;
use crate::support::certificates::{Authority, Leaf};
use crate::support::installed;
use crate::support::sandbox::{Run, Sandbox};
use crate::support::server::{Options, Server, Tls};

/// Something that listens, with all that it has started, until this is dropped.
struct Daemon {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = self.child.wait();
    }
}

impl Daemon {
    /// Starts what `command` makes of a folder and a free port, and waits until it listens there.
    fn start(command: impl FnOnce(&Path, u16) -> Command) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let errors = fs::File::create(folder.path().join("errors")).unwrap();
        let mut command = command(folder.path(), port);
        command.stdin(Stdio::null()).stdout(errors.try_clone().unwrap()).stderr(errors).process_group(0);
        let mut daemon = Self { child: command.spawn().unwrap(), port, folder };
        let begun = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            let ended = daemon.child.try_wait().unwrap();
            let errors = || fs::read_to_string(daemon.folder.path().join("errors")).unwrap();
            assert!(ended.is_none() && begun.elapsed() < Duration::from_secs(20), "{ended:?} {}", errors());
            std::thread::sleep(Duration::from_millis(10));
        }
        daemon
    }
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

fn microsocks(login: Option<(&str, &str)>) -> Option<Daemon> {
    let program = installed("microsocks")?;
    Some(Daemon::start(|_, port| {
        let mut command = Command::new(program);
        command.args(["-i", "127.0.0.1", "-p", &port.to_string()]);
        if let Some((user, password)) = login {
            command.args(["-u", user, "-P", password]);
        }
        command
    }))
}

fn dante() -> Option<Daemon> {
    let program = packaged("dante-server", "usr/sbin/danted")?;
    Some(Daemon::start(|folder, port| {
        let pass = "pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }";
        let text = format!(
            "logoutput: stderr\ninternal: 127.0.0.1 port = {port}\nexternal: lo\nclientmethod: none\n\
             socksmethod: none\nclient {pass}\nsocks {pass}\n"
        );
        fs::write(folder.join("conf"), text).unwrap();
        let mut command = Command::new(program);
        command.arg("-f").arg(folder.join("conf")).arg("-p").arg(folder.join("pid"));
        command
    }))
}

fn tinyproxy(more: &str) -> Option<Daemon> {
    let program = installed("tinyproxy")?;
    Some(Daemon::start(|folder, port| {
        let text =
            format!("Port {port}\nListen 127.0.0.1\nTimeout 60\nMaxClients 10\nAllow 127.0.0.1\n{more}\n");
        fs::write(folder.join("conf"), text).unwrap();
        let mut command = Command::new(program);
        command.arg("-d").arg("-c").arg(folder.join("conf"));
        command
    }))
}

/// Squid is large: it is tried where it is.
fn squid(more: &str) -> Option<Daemon> {
    let program = Path::new("/usr/sbin/squid");
    if !program.exists() {
        eprintln!("SKIPPED: squid isn't installed");
        return None;
    }
    Some(Daemon::start(|folder, port| {
        let here = folder.display();
        let text = format!(
            "http_port 127.0.0.1:{port}\nacl SSL_ports port 443\nacl CONNECT method CONNECT\n{more}\n\
             http_access deny CONNECT !SSL_ports\nhttp_access allow localhost\nhttp_access deny all\n\
             cache deny all\naccess_log none\ncache_log {here}/log\npid_filename {here}/pid\ncoredump_dir {here}\n\
             shutdown_lifetime 0 seconds\nnetdb_filename none\npinger_enable off\n"
        );
        fs::write(folder.join("conf"), text).unwrap();
        // It gives root's rights up.
        let all = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        fs::set_permissions(folder, all).unwrap();
        let mut command = Command::new(program);
        command.args(["--foreground", "-N", "-f"]).arg(folder.join("conf"));
        command
    }))
}

/// A server with three messages, whose certificate is for `localhost`, and a sandbox whose account goes there by `keys`.
struct Scene {
    server: Server,
    authority: Authority,
}

impl Scene {
    fn new() -> Self {
        let authority = Authority::new();
        let tls = Tls::Implicit(authority.issue(&Leaf::named(&["localhost"])));
        Self { server: Server::start(Options { tls, ..good(small(3)) }), authority }
    }

    fn sandbox(&self, keys: &str) -> Sandbox {
        let sandbox = Sandbox::new();
        self.authority.write(&sandbox.path("ca.pem"));
        let keys = format!("tls = \"implicit\"\nca-file = \"~/ca.pem\"\ntimeout = \"20s\"\n{keys}");
        sandbox.config(account(self.server.port(), &keys).replace(super::NAME, "localhost"));
        sandbox
    }

    /// All mail comes.
    #[track_caller]
    fn fetches(&self, keys: &str) {
        let sandbox = self.sandbox(keys);
        sandbox.run([""; 0]).succeeds();
        holds(&sandbox, 3);
    }

    #[track_caller]
    fn fails(&self, keys: &str) -> Run {
        self.sandbox(keys).run([""; 0])
    }
}

/// By `proxy` to a port that nobody listens at, and to a name that nobody has.
#[track_caller]
fn cannot_reach(proxy: &str) {
    for (host, port) in [("localhost", free_port()), (super::NAME, 995)] {
        let sandbox = Sandbox::new();
        let keys = format!("tls = \"implicit\"\ntimeout = \"20s\"\nproxy = \"{proxy}\"");
        sandbox.config(account(port, &keys).replace(super::NAME, host));
        let run = sandbox.run([""; 0]);
        // Words and codes differ from proxy to proxy; that it passes doesn't.
        run.exits(75).complains("the proxy 127.0.0.1:").complains(&format!("{host}:{port}"));
    }
}

#[test]
fn by_microsocks() {
    let (Some(open), Some(closed)) = (microsocks(None), microsocks(Some(("anna", "hunter2")))) else {
        return;
    };
    let scene = Scene::new();
    scene.fetches(&format!("proxy = \"socks5://127.0.0.1:{}\"", open.port));
    cannot_reach(&format!("socks5://127.0.0.1:{}", open.port));
    scene.fetches(&format!("proxy = \"socks5://anna:hunter2@127.0.0.1:{}\"", closed.port));
    let without = format!("proxy = \"socks5://127.0.0.1:{}\"", closed.port);
    scene.fails(&without).exits(77).complains("wants a user and a password");
    let wrong = format!("proxy = \"socks5://anna:hunter3@127.0.0.1:{}\"", closed.port);
    scene.fails(&wrong).exits(77).complains("refuses the user and the password").never_says("hunter3");
}

#[test]
fn by_dante() {
    let Some(dante) = dante() else { return };
    Scene::new().fetches(&format!("proxy = \"socks5h://127.0.0.1:{}\"", dante.port));
    cannot_reach(&format!("socks5://127.0.0.1:{}", dante.port));
}

#[test]
fn by_tinyproxy() {
    let (Some(open), Some(closed)) = (tinyproxy(""), tinyproxy("BasicAuth anna hunter2")) else { return };
    let scene = Scene::new();
    scene.fetches(&format!("proxy = \"http://127.0.0.1:{}\"", open.port));
    cannot_reach(&format!("http://127.0.0.1:{}", open.port));
    scene.fetches(&format!("proxy = \"http://anna:hunter2@127.0.0.1:{}\"", closed.port));
    let without = format!("proxy = \"http://127.0.0.1:{}\"", closed.port);
    scene.fails(&without).exits(77).complains("wants a user and a password");
    let wrong = format!("proxy = \"http://anna:hunter3@127.0.0.1:{}\"", closed.port);
    scene.fails(&wrong).exits(77).complains("refuses the user and the password").never_says("hunter3");
    let Some(strict) = tinyproxy("ConnectPort 443") else { return };
    let run = scene.fails(&format!("proxy = \"http://127.0.0.1:{}\"", strict.port));
    run.exits(78).complains("403 ").complains("ConnectPort of tinyproxy");
}

#[test]
fn by_squid() {
    let scene = Scene::new();
    let more = format!("acl SSL_ports port {}\nacl SSL_ports port 995", scene.server.port());
    let (Some(open), Some(usual)) = (squid(&more), squid("")) else { return };
    scene.fetches(&format!("proxy = \"http://127.0.0.1:{}\"", open.port));
    let run = scene.fails(&format!("proxy = \"http://127.0.0.1:{}\"", usual.port));
    run.exits(78).complains("403 Forbidden").complains("SSL_ports of squid");
}

#[test]
fn no_name_is_looked_up_but_the_proxys() {
    let Some(strace) = installed("strace") else { return };
    let Some(proxy) = microsocks(None) else { return };
    let scene = Scene::new();
    for (keys, looks_up) in [
        (format!("proxy = \"socks5://127.0.0.1:{}\"", proxy.port), false),
        ("connect-command = \"exit 1\"".to_owned(), false),
        (format!("connect-to = \"127.0.0.1:{}\"", scene.server.port()), false),
        // So that what is looked for can be found.
        (format!("proxy = \"socks5://localhost:{}\"", proxy.port), true),
    ] {
        let sandbox = scene.sandbox(&keys);
        let trace = sandbox.path("trace");
        let words = ["-f", "-e", "trace=openat,connect,sendto,sendmsg,sendmmsg", "-o"];
        let under = [strace.to_str().unwrap()].into_iter().chain(words).chain([trace.to_str().unwrap()]);
        let run = sandbox.popfetch([""; 0]).under(under).run();
        assert_eq!(
            run.code(),
            Some(if keys.starts_with("connect-command") { 75 } else { 0 }),
            "{}",
            run.shown()
        );
        let trace = fs::read_to_string(trace).unwrap();
        let asks = |line: &&str| {
            ["/etc/hosts\"", "resolv.conf\"", "htons(53)", "nscd", "systemd/resolve"]
                .iter()
                .any(|part| line.contains(part))
        };
        let asked: Vec<&str> = trace.lines().filter(asks).collect();
        assert_eq!(!asked.is_empty(), looks_up, "{keys}: {asked:#?}");
    }
}

#[test]
fn by_socat_and_nc() {
    let (Some(socat), Some(nc)) = (installed("socat"), installed("nc")) else { return };
    let scene = Scene::new();
    let (socat, nc) = (socat.display(), nc.display());
    scene.fetches(&format!("connect-command = [\"{socat}\", \"STDIO\", \"TCP:{{host}}:{{port}}\"]"));
    scene.fetches(&format!("connect-command = \"{socat} STDIO TCP:$POPFETCH_HOST:$POPFETCH_PORT\""));
    scene.fetches(&format!("connect-command = [\"{nc}\", \"{{host}}\", \"{{port}}\"]"));
    let run =
        scene.fails(&format!("connect-command = [\"{socat}\", \"STDIO\", \"TCP:{{host}}:{}\"]", free_port()));
    run.exits(75)
        .complains("connect-command ended the connection to localhost:")
        .complains("Connection refused");
    // A Unix socket that socat leads to the server.
    let sandbox = scene.sandbox("socket = \"~/pop3\"");
    let path = sandbox.path("pop3");
    let mut command = Command::new(socat.to_string());
    command.arg(format!("UNIX-LISTEN:{},fork", path.display()));
    let mut child =
        command.arg(format!("TCP:127.0.0.1:{}", scene.server.port())).process_group(0).spawn().unwrap();
    while !path.exists() {
        std::thread::sleep(Duration::from_millis(10));
    }
    let run = sandbox.run([""; 0]);
    let _ = rustix::process::kill_process_group(
        rustix::process::Pid::from_child(&child),
        rustix::process::Signal::KILL,
    );
    let _ = child.wait();
    run.succeeds();
    holds(&sandbox, 3);
}

/// An sshd of ours, which lets one key in.
fn sshd() -> Option<Daemon> {
    let (program, keygen) = (packaged("openssh-server", "usr/sbin/sshd")?, installed("ssh-keygen")?);
    Some(Daemon::start(|folder, port| {
        for name in ["host", "id"] {
            let mut command = Command::new(&keygen);
            let made = command.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(folder.join(name)).status();
            assert!(made.unwrap().success());
        }
        let here = folder.display();
        let text = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {here}/host\nAuthorizedKeysFile {here}/id.pub\n\
             StrictModes no\nUsePAM no\nPasswordAuthentication no\nPidFile none\nLogLevel ERROR\n"
        );
        fs::write(folder.join("conf"), text).unwrap();
        // As root it wants a directory in /run, and a user of its own, which are made where only it sees them.
        let (mut command, script) = if rustix::process::geteuid().is_root() {
            let mut command = Command::new("unshare");
            command.args(["-m", "sh", "-c"]);
            (
                command,
                "mount -t tmpfs tmpfs /run && mkdir /run/sshd || exit
                 user=sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin
                 grep -q ^sshd: /etc/passwd || { { cat /etc/passwd; echo $user; } > /run/passwd
                 mount --bind /run/passwd /etc/passwd; }
                 exec \"$@\"",
            )
        } else {
            let mut command = Command::new("sh");
            command.arg("-c");
            (command, "exec \"$@\"")
        };
        command.args([script, "sh"]).arg(program).args(["-D", "-e", "-f"]).arg(folder.join("conf"));
        command
    }))
}

#[test]
fn by_ssh() {
    let Some(ssh) = installed("ssh") else { return };
    let Some(sshd) = sshd() else { return };
    let scene = Scene::new();
    let here = sshd.folder.path().display();
    let options = format!(
        "-F none -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile={here}/known -o LogLevel=ERROR -p {}",
        sshd.port
    );
    let words = |key: &str| {
        let words = format!("{} {options} -i {here}/{key} 127.0.0.1 -W {{host}}:{{port}}", ssh.display());
        let words: Vec<String> = words.split(' ').map(|word| format!("\"{word}\"")).collect();
        format!("connect-command = [{}]", words.join(", "))
    };
    scene.fetches(&words("id"));
    let run = scene.fails(&words("no-such-key"));
    run.exits(75).complains("connect-command ended the connection").complains("Permission denied");
}
