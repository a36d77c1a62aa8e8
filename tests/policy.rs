//! What stays on the server, what is retrieved, and what a run that has nothing to do costs; through the real binary.
mod dry_run;
mod idle;
mod leave;
mod limits;

use serde_json::Value;

use crate::destinations::set_up;
use crate::mailbox::change_memory;
use crate::support::sandbox::Sandbox;
use crate::support::server::{Message, Server, numbered};

const INTO_MAILDIR: &str = "deliver = { maildir = \"~/Mail\" }\n";

/// A server with messages `uid-1` … of these sizes, and an account with this policy.
fn leaving(policy: &str, sizes: &[usize]) -> (Server, Sandbox) {
    set_up(numbered(messages(sizes)), &format!("{INTO_MAILDIR}leave-on-server = {policy}"))
}

fn messages(sizes: &[usize]) -> Vec<Vec<u8>> {
    (1..).zip(sizes).map(|(number, size)| crate::support::mail::message(number, *size)).collect()
}

/// A message of 400 octets of its own.
fn message(name: &str) -> Message {
    let number = name.bytes().fold(1000, |sum, octet| sum * 31 % 99_991 + u64::from(octet));
    Message::new(name, crate::support::mail::message(number, 400))
}

/// How many messages the Maildir holds.
fn delivered(sandbox: &Sandbox) -> usize {
    crate::support::mailboxes::Maildir::read(&sandbox.path("Mail")).messages().len()
}

/// Days, in seconds.
const DAY: i64 = 86_400;

/// Rewrites the only ledger of the sandbox line by line, with new checksums: the words of each line come and go.
fn rewrite_ledger(sandbox: &Sandbox, change: impl Fn(&mut Vec<String>)) {
    let path = ledger(sandbox);
    let text = std::fs::read_to_string(&path).unwrap();
    let mut out = String::new();
    for line in text.lines() {
        let (content, sum) = line.rsplit_once(' ').unwrap();
        assert_eq!(sum, checksum(content), "the checksum is the low half of XXH3-64");
        let mut words: Vec<String> = content.split(' ').map(str::to_owned).collect();
        change(&mut words);
        let content = words.join(" ");
        out.push_str(&format!("{content} {}\n", checksum(&content)));
    }
    std::fs::write(path, out).unwrap();
}

fn checksum(content: &str) -> String {
    format!("{:08x}", twox_hash::XxHash3_64::oneshot(content.as_bytes()) & 0xffff_ffff)
}

fn ledger(sandbox: &Sandbox) -> std::path::PathBuf {
    let found = sandbox.files().into_keys().find(|path| path.ends_with("ledger"));
    sandbox.path(found.expect("a ledger"))
}

/// Makes everything in the ledger, and in what is remembered beside it, have happened this many seconds earlier (or
/// later, if negative).
fn age(sandbox: &Sandbox, seconds: i64) {
    let shift = |word: &mut String| {
        // Only times are such numbers: sizes and offsets are far smaller here.
        let time: Option<i64> = word.parse().ok().filter(|n| (1_000_000_000..3_000_000_000).contains(n));
        if let Some(time) = time {
            *word = (time - seconds).to_string();
        }
    };
    rewrite_ledger(sandbox, |words| words.iter_mut().skip(1).for_each(shift));
    change_memory(sandbox, |memory| shift_times(memory, seconds));
}

fn shift_times(value: &mut Value, seconds: i64) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(|value| shift_times(value, seconds)),
        Value::Object(fields) => fields.values_mut().for_each(|value| shift_times(value, seconds)),
        _ => {
            if let Some(time) = value.as_i64().filter(|n| (1_000_000_000..3_000_000_000).contains(n)) {
                *value = (time - seconds).into();
            }
        }
    }
}
