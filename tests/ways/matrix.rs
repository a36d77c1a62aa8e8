//! The matrices of the core, once each by a proxy and by a program: killed at any step, or cut at any octet, the next run
//! repairs everything.

use super::{Kind, Proxy};
use crate::crash::case::Kind::{Maildir, Mbox};
#[cfg(feature = "crash-points")]
use crate::crash::case::killed_at_every_step;
use crate::crash::case::{Case, Plan};
use crate::mailbox::{DELETE, Served, serve, small, stored, whole_or_later};
use crate::retrieving::cut_once;
use crate::support::installed;
use crate::support::server::{Cut, Ending, Options};

/// Ways that are not the direct one; the proxy lasts as long as this.
struct By {
    _proxy: Option<Proxy>,
    keys: String,
}

impl By {
    fn proxy(kind: Kind, port: u16) -> Self {
        let proxy = Proxy::start(kind, port);
        let keys = format!("auth = \"user-pass\"\nproxy = \"{}\"", proxy.url());
        Self { _proxy: Some(proxy), keys }
    }

    fn program() -> Option<Self> {
        let socat = installed("socat")?;
        let command = format!("[{:?}, \"STDIO\", \"TCP:{{host}}:{{port}}\"]", socat.to_str().unwrap());
        Some(Self { _proxy: None, keys: format!("auth = \"user-pass\"\nconnect-command = {command}") })
    }
}

/// A case whose account goes another way from the first run on.
fn case(plan: &Plan, by: impl Fn(u16) -> By) -> (Case, By) {
    let case = Case::new(plan.clone());
    let by = by(case.server.port());
    case.reconfigure(&by.keys);
    (case, by)
}

#[cfg(feature = "crash-points")]
fn killed(plan: &Plan, by: impl Fn(u16) -> By) {
    killed_at_every_step(|| case(plan, &by));
}

#[test]
#[cfg(feature = "crash-points")]
fn killed_at_every_step_by_a_proxy() {
    killed(&Plan::new(&[Maildir], true), |port| By::proxy(Kind::Socks, port));
    killed(&Plan::new(&[Mbox], false), |port| By::proxy(Kind::Http, port));
}

#[test]
#[cfg(feature = "crash-points")]
fn killed_at_every_step_by_a_program() {
    if By::program().is_some() {
        killed(&Plan::new(&[Maildir], true), |_| By::program().unwrap());
    }
}

/// `kill -9` at each call by which the network is read or written.
fn killed_at_the_network(by: impl Fn(u16) -> By) {
    if installed("strace").is_none() {
        return;
    }
    let plan = Plan::new(&[Maildir], true);
    for call in ["sendto", "recvfrom", "connect", "poll"] {
        for number in (1..).step_by(if call == "poll" { 3 } else { 1 }) {
            let (case, _by) = case(&plan, &by);
            let (trace, inject) =
                (format!("trace={call}"), format!("inject={call}:signal=KILL:when={number}"));
            let strace = ["strace", "-qq", "-f", "-o", "/dev/null", "-e", &trace, "-e", &inject];
            let run = case.popfetch().under(strace).run();
            // By a program, its calls are counted as well, and it may be the one that is killed.
            let quit = case.server.log().iter().any(|entry| entry.command == "QUIT");
            let whole = run.code() == Some(0) && quit;
            if !whole {
                case.nothing_partial_is_visible();
                case.deletions_were_safe();
                case.run().succeeds();
            }
            case.is_complete(0);
            if whole {
                assert!(number > 1, "{call} is never called");
                break;
            }
        }
    }
}

#[test]
fn killed_at_the_network_by_a_proxy() {
    killed_at_the_network(|port| By::proxy(Kind::Socks, port));
}

#[test]
fn killed_at_the_network_by_a_program() {
    if By::program().is_some() {
        killed_at_the_network(|_| By::program().unwrap());
    }
}

/// The server closes the connection after each number of octets, the way is another one than usual.
fn cut_everywhere(ending: Ending, by: impl Fn(u16) -> By + Sync) {
    let options = || cut_once(ending, small(3));
    let set_up = |options: Options| -> (Served, By) {
        let served = serve(options, "");
        let by = by(served.server.port());
        served.configure(served.server.port(), &format!("{DELETE}\n{}", by.keys));
        (served, by)
    };
    let (whole, _by) = set_up(options());
    whole.fetch().succeeds();
    let all = whole.server.octets_sent(1);
    let cuts: Vec<u64> = (1..=all).step_by(11).collect();
    whole_or_later(&cuts, &stored(1..=3), 0, |cut| {
        set_up(Options { cut: Some(Cut::After(cut)), ..options() })
    });
}

#[test]
fn cut_everywhere_by_a_proxy() {
    cut_everywhere(Ending::Close, |port| By::proxy(Kind::Socks, port));
    cut_everywhere(Ending::Reset, |port| By::proxy(Kind::Http, port));
}

#[test]
fn cut_everywhere_by_a_program() {
    if By::program().is_some() {
        cut_everywhere(Ending::Close, |_| By::program().unwrap());
    }
}
