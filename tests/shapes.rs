//! Every first line, line end, header and body that mail is known to have, through every destination: what is stored is
//! what the server sent, octet by octet, CRLF as LF.
//!
//! The kinds are those that turn up in public collections of test mail; the messages are made here.  With
//! `POPFETCH_SHAPES=FOLDER` the same is done with each file below FOLDER.

use std::path::{Path, PathBuf};

use crate::destinations::set_up;
use crate::support::mail::{Random, stored};
use crate::support::mailboxes::{
    Maildir, assert_same, mbox, python_maildir, python_mbox, split_mbox, unquote,
};
use crate::support::sandbox::Sandbox;
use crate::support::server::{Message, Options, Server, numbered};
use crate::support::show;

/// What an mbox makes of a message's first line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum First {
    /// A From_ line: it goes, so that there are never two.
    Goes,
    /// It's a line as any other; one that begins with `From ` is quoted.
    Stays,
    /// `>From `, which some servers make of a From_ line: it stays, with no further `>`.
    StaysUnquoted,
}

/// A message of some kind, as it is before dot-stuffing.
struct Shape {
    name: String,
    octets: Vec<u8>,
    first: First,
}

/// From_ lines, in all forms that programs write.
const FROM_LINES: [&str; 14] = [
    "From ada@example.org Thu Jan  1 00:00:00 1970",
    "From ada@example.org  Thu Jan 01 00:00:00 1970",
    "From ada@example.org Thu Jan 1 00:00:00 1970",
    "From ada@example.org Thu Jan  1 00:00 1970",
    "From ada@example.org Thu Jan  1 00:00:00 GMT 1970",
    "From ada@example.org Thu Jan  1 00:00:00 +0000 1970",
    "From ada@example.org Thu Jan  1 00:00:00 1970 +0000",
    "From ada@example.org Thu Jan  1 00:00:00 1970 -0730",
    "From ada@example.org Thu Jan  1 00:00 EST 1970",
    "From ada Thu Jan  1 00:00:00 1970 remote from relay",
    "From MAILER-DAEMON Fri Feb 29 23:59:59 2036",
    "From - Sat Dec 31 12:00:00 2005",
    "From  Thu Jan  1 00:00:00 1970",
    "From 1844347792267117879@xxx Mon Oct 06 00:24:13 +0000 2025",
];

/// First lines that only begin like one.
const NO_FROM_LINES: [&str; 17] = [
    "From  : Ada <ada@example.org>",
    "From : ada@example.org",
    "From \t: ada@example.org",
    "From here on, all is well.",
    "From ada@example.org",
    "From - ",
    "From ada@example.org yesterday",
    "From Monday Jan on we meet at 10:00",
    "From Mon to Fri, 10:00-12:00 in May 2026",
    "From ada@example.org Thu Jan  1 00:00:00 1970 we were all there",
    "From ",
    "From  ",
    "From \u{fc}",
    "FROM ada@example.org Thu Jan  1 00:00:00 1970",
    "from ada@example.org Thu Jan  1 00:00:00 1970",
    " From ada@example.org Thu Jan  1 00:00:00 1970",
    "From\tada@example.org Thu Jan  1 00:00:00 1970",
];

const HEADER: &str = "From: Ada <ada@example.org>\r\nTo: me@example.org\r\nSubject: shapes\r\n";

fn shapes() -> Vec<Shape> {
    let mut all = first_lines();
    let plain = |name: &str, octets: Vec<u8>| Shape { name: name.to_owned(), octets, first: First::Stays };
    all.extend(line_ends().into_iter().map(|(name, octets)| plain(name, octets)));
    all.extend(headers().into_iter().map(|(name, octets)| plain(name, octets)));
    all.extend(bodies().into_iter().map(|(name, octets)| plain(name, octets)));
    all
}

fn first_lines() -> Vec<Shape> {
    let with = |line: &str| format!("{line}\r\n{HEADER}\r\nhello\r\n").into_bytes();
    let mut all = Vec::new();
    let mut add = |name: String, octets, first| all.push(Shape { name, octets, first });
    for line in FROM_LINES {
        add(line.to_owned(), with(line), First::Goes);
    }
    for line in NO_FROM_LINES {
        add(line.to_owned(), with(line), First::Stays);
        add(format!("{line}, and nothing else"), format!("{line}\r\n").into_bytes(), First::Stays);
        add(format!("{line}, without an end"), line.as_bytes().to_vec(), First::Stays);
    }
    let true_one = FROM_LINES[0];
    add(
        "two From_ lines".into(),
        format!("{true_one}\r\n{true_one}\r\n{HEADER}\r\nx\r\n").into(),
        First::Goes,
    );
    add("a From_ line, and nothing else".into(), format!("{true_one}\r\n").into(), First::Goes);
    add(
        "a From_ line, and a folded line".into(),
        format!("{true_one}\r\n folded\r\n{HEADER}\r\n").into(),
        First::Goes,
    );
    add("a From_ line, and a body".into(), format!("{true_one}\r\n\r\nbody\r\n").into(), First::Goes);
    let quoted = format!(">{true_one}");
    add(quoted.clone(), with(&quoted), First::StaysUnquoted);
    add("a From_ line behind a blank line".into(), with(&format!("\r\n{true_one}")), First::Stays);
    add("a From_ line behind a BOM".into(), with(&format!("\u{feff}{true_one}")), First::Stays);
    all
}

fn line_ends() -> Vec<(&'static str, Vec<u8>)> {
    let message = format!("{HEADER}\r\none\r\ntwo\r\n\r\n..\r\nFrom three\r\n.\r\n");
    let ended_by = |end: &str| message.replace("\r\n", end).into_bytes();
    let mut mixed = message.clone().into_bytes();
    let ends: Vec<usize> =
        mixed.windows(2).enumerate().filter(|(_, pair)| *pair == b"\r\n").map(|(at, _)| at).collect();
    for (number, at) in ends.into_iter().enumerate() {
        match number % 3 {
            // Two of a kind in place of the pair, so that the places stay.
            0 => mixed[at] = b'\n',
            1 => mixed[at + 1] = b'\r',
            _ => {}
        }
    }
    let from = format!("{}\r\n{message}", FROM_LINES[0]);
    vec![
        ("CR alone ends all lines", ended_by("\r")),
        ("CR alone, and it begins like a From_ line", from.replace("\r\n", "\r").into_bytes()),
        (
            "CR alone, and it begins with From",
            message.replacen("From: ", "From : ", 1).replace("\r\n", "\r").into_bytes(),
        ),
        ("LF alone ends all lines", ended_by("\n")),
        ("CR CR LF ends all lines", ended_by("\r\r\n")),
        ("LF CR ends all lines", ended_by("\n\r")),
        ("mixed line ends", mixed),
        ("CR at the end", format!("{HEADER}\r\nbody\r").into_bytes()),
        ("only CR", b"\r".to_vec()),
        ("only CRs", b"\r\r\r".to_vec()),
        ("only LF", b"\n".to_vec()),
        ("form feeds and separators", format!("{HEADER}\r\na\x0bb\x0cc\u{85}d\u{2028}e\r\n").into_bytes()),
    ]
}

fn headers() -> Vec<(&'static str, Vec<u8>)> {
    let with = |more: &str| format!("{HEADER}{more}\r\nbody\r\n").into_bytes();
    let many = (0..100_000).map(|number| format!("X-{number}: {number}\r\n")).collect::<String>();
    let folded = format!("X-Folded: a\r\n{}", "\tand more of it\r\n".repeat(20_000));
    let dropped = format!("X-Keywords: a\r\n{}X-After: 1\r\n", " and more of it\r\n".repeat(20_000));
    vec![
        ("no header", b"\r\nbody\r\n".to_vec()),
        ("blank lines first", format!("\r\n\r\n\r\n{HEADER}\r\nbody\r\n").into_bytes()),
        ("header only, with its end", format!("{HEADER}\r\n").into_bytes()),
        ("header only, without its end", HEADER.as_bytes().to_vec()),
        ("header cut in a field", HEADER.as_bytes()[..HEADER.len() - 5].to_vec()),
        ("one line", b"hello\r\n".to_vec()),
        ("one line without an end", b"hello".to_vec()),
        ("one octet", b"h".to_vec()),
        ("empty", Vec::new()),
        ("one blank line", b"\r\n".to_vec()),
        ("a BOM", format!("\u{feff}{HEADER}\r\nbody\r\n").into_bytes()),
        ("a BOM of UTF-16", [b"\xff\xfe", HEADER.as_bytes(), b"\r\nbody\r\n"].concat()),
        ("UTF-8 in the header", with("Subject: Grüße, 你好\r\n")),
        ("Latin-1 in the header", [HEADER.as_bytes(), b"Subject: Gr\xfc\xdfe\r\n\r\nbody\r\n"].concat()),
        ("a Latin-1 field name", [HEADER.as_bytes(), b"\xdcber: x\r\n\r\nbody\r\n"].concat()),
        ("NUL in the header", [HEADER.as_bytes(), b"X-Nul: a\0b\r\n\0\r\n\r\nbody\r\n"].concat()),
        ("controls in the header", with("X-Control: \x01\x07\x08\x1b[2J\x7f\r\n")),
        ("folded with odd white space", with("X-A:\r\n \r\n\t\r\n  \t x\r\n\t y\r\nX-B: \r\n z\r\n")),
        ("a folded line first", format!(" folded\r\n{HEADER}\r\nbody\r\n").into_bytes()),
        ("blanks before the colon", with("X-A : x\r\nX-B\t: y\r\nX-C \t : z\r\n")),
        ("lines that are no fields", with("no field\r\n:\r\n: x\r\n-----\r\n====\r\nX-A\r\n")),
        ("a header of 100,000 fields", with(&many)),
        ("a field of 20,000 lines", with(&folded)),
        ("a field that goes, of 20,000 lines", with(&dropped)),
        ("a field of 1 MB", with(&format!("X-Long: {}\r\n", "x".repeat(1_000_000)))),
        ("a name of 1 MB", with(&format!("X-{}: x\r\n", "y".repeat(1_000_000)))),
        ("a field that goes, after blanks", with("Lines \t  \t: 5\r\nX-A: b\r\n")),
        (
            "fields of mailboxes",
            with("Status: RO\r\nX-Status: A\r\nX-UID: 7\r\nX-IMAP: 1 2\r\nX-IMAPbase: 1 2\r\nX-Keywords: a\r\n\
                  Content-Length: 5\r\nLines: 1\r\nX-After: 1\r\n"),
        ),
        (
            "fields of mailboxes, oddly written",
            with("status: RO\r\nX-STATUS : A\r\nx-uid\t: 7\r\nCONTENT-LENGTH:\r\n 5\r\nLINES:1\r\n\t2\r\n \r\nX-Status-2: k\r\n\
                  XStatus: k\r\nStatus-X: k\r\nStatus\r\nLines 5\r\n"),
        ),
        ("fields of mailboxes first", format!("Status: RO\r\nX-UID: 7\r\n{HEADER}\r\nStatus: body\r\n").into_bytes()),
        ("nothing but fields of mailboxes", b"Status: RO\r\n".to_vec()),
        ("a Content-Length that hides the next message", with("Content-Length: 100000\r\n")),
        ("a Content-Length that splits it", format!("{HEADER}Content-Length: 2\r\n\r\nx\r\n\r\n{}\r\n{HEADER}\r\ny\r\n", FROM_LINES[0]).into_bytes()),
        ("a subject like a mail folder's", b"From: MAILER-DAEMON@example.org\r\nSubject: Don't delete this message, please\r\nX-IMAP: 1 2\r\n\r\nIt is mail.\r\n".to_vec()),
    ]
}

fn bodies() -> Vec<(&'static str, Vec<u8>)> {
    let with = |body: &[u8]| [HEADER.as_bytes(), b"\r\n", body].concat();
    let mime = |encoding: &str, part: &[u8]| {
        let head = format!(
            "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b\"\r\n\r\nThis is MIME.\r\n--b\r\n\
             Content-Type: application/octet-stream; name=x\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
        );
        [HEADER.as_bytes(), head.as_bytes(), part, b"\r\n--b--\r\n"].concat()
    };
    let mut random = Random::new(3);
    let noise: Vec<u8> = (0..50_000).flat_map(|_| random.next().to_le_bytes()).collect();
    let every: Vec<u8> = (0..=255).collect();
    let base64 = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5\r\n".repeat(2_000);
    let mailbox = |quote: &str| {
        let one = format!(
            "{quote}{}\r\n{HEADER}Status: RO\r\nContent-Length: 7\r\n\r\nhello\r\n\r\n",
            FROM_LINES[0]
        );
        with(one.repeat(3).as_bytes())
    };
    vec![
        ("no body", with(b"")),
        ("blank lines", with(b"\r\n\r\n\r\n")),
        ("no last line end", with(b"the end")),
        ("lines of dots", with(b".\r\n..\r\n...\r\n....\r\n.....\r\n. \r\n .\r\n.x\r\n..x\r\n.\r\n")),
        ("a dot, without an end", with(b"the end\r\n.")),
        ("two dots, without an end", with(b"the end\r\n..")),
        ("a dot behind CR", with(b"a\r.\r\nb\r\r.\r\n\r.")),
        ("a dot behind LF", with(b"a\n.\nb\n\n.\n.\r\nc\n..\r\n\n.")),
        ("dots and status lines", with(b".\r\n+OK\r\n.\r\n-ERR\r\n+OK 1 2\r\n..\r\n")),
        ("dots first", b".\r\n..\r\n".to_vec()),
        ("a line of 1 MB of dots", with(&[&b".".repeat(1_000_000)[..], b"\r\n.\r\n"].concat())),
        ("a line of 1 MB", with(&[&b"x".repeat(1_000_000)[..], b"\r\nFrom x\r\n"].concat())),
        ("a line of 1 MB of `>`", with(&[&b">".repeat(1_000_000)[..], b"From x\r\n"].concat())),
        ("a line of 1 MB without an end", with(&b"From ".repeat(200_000))),
        ("1 MB of blank lines", with(&b"\r\n".repeat(500_000))),
        ("1 MB of From lines", with(&b"From x\r\n".repeat(125_000))),
        ("1 MB of CR", with(&b"\r".repeat(1_000_000))),
        ("1 MB of LF", with(&b"\n".repeat(1_000_000))),
        ("NULs", with(b"a\0b\r\n\0\r\n\0\0\0")),
        ("1 MB of NULs", with(&[0; 1_000_000])),
        ("control Z", with(b"a\x1ab\r\n\x1a\r\n")),
        ("every octet", with(&every)),
        (
            "From lines",
            with(b"From x\r\n>From x\r\n>>From x\r\n>>>>>>>>From x\r\n From x\r\nfrom x\r\nFrom\r\nFromx\r\n>Fro\r\n> From x\r\n\r\nFrom x\r\n\nFrom x\n>From x\rFrom x\r\n"),
        ),
        ("a From line last", with(b"x\r\n\r\nFrom ")),
        ("a mailbox inside", mailbox("")),
        ("a quoted mailbox inside", mailbox(">")),
        ("an attachment in base64", mime("base64", base64.as_bytes())),
        ("an attachment of raw octets", mime("binary", &noise)),
        ("an attachment of every octet", mime("8bit", &every)),
        ("mail inside mail", mime("7bit", &with(b"From the inside\r\n.\r\n"))),
        ("a boundary that never comes", format!("{HEADER}Content-Type: multipart/mixed; boundary=b\r\n\r\n--a\r\nx").into_bytes()),
        ("UTF-16", with(b"\xff\xfeh\0i\0\r\0\n\0.\0\r\0\n\0")),
        ("uuencoded", with(b"begin 644 x\r\n#0V%T\r\n`\r\nend\r\n")),
    ]
}

/// Files of a folder that isn't part of popfetch, if the environment names one.
fn collected() -> Vec<Shape> {
    let mut folders: Vec<PathBuf> = std::env::var_os("POPFETCH_SHAPES").into_iter().map(Into::into).collect();
    let mut all = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => all.push(shape_of(&path)),
            }
        }
    }
    all
}

fn shape_of(path: &Path) -> Shape {
    let octets = std::fs::read(path).unwrap();
    let line = octets.split(|octet| *octet == b'\n').next().unwrap();
    let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned();
    let words: Vec<&str> = line.split_whitespace().collect();
    let month =
        |word: &&str| "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(' ').any(|name| name == *word);
    let dated = words.len() >= 6 && words.iter().any(month) && words.iter().any(|word| word.contains(':'));
    let first = match line.starts_with("From ") && dated {
        true => First::Goes,
        false if line.starts_with(">From ") => First::StaysUnquoted,
        false => First::Stays,
    };
    Shape { name: path.display().to_string(), octets, first }
}

/// The fields that an mbox doesn't take from a message, because its readers believe them.
const DROPPED: [&str; 8] =
    ["status", "x-status", "x-keywords", "x-uid", "x-imap", "x-imapbase", "content-length", "lines"];

impl Shape {
    fn stored(&self) -> Vec<u8> {
        stored(&self.octets)
    }

    /// What stands in an mbox between the From_ line and the blank line: the message less what the rules name, quoted.
    fn entry(&self) -> Vec<u8> {
        let text = self.stored();
        let (mut entry, mut body, mut dropping) = (Vec::new(), false, false);
        for (number, line) in text.split_inclusive(|octet| *octet == b'\n').enumerate() {
            body |= line == b"\n";
            if number == 0 && self.first == First::Goes {
                continue;
            }
            if !body && !line.starts_with(b" ") && !line.starts_with(b"\t") {
                dropping = line.iter().position(|octet| *octet == b':').is_some_and(|colon| {
                    let name = line[..colon].to_ascii_lowercase();
                    DROPPED.iter().any(|dropped| name.trim_ascii_end() == dropped.as_bytes())
                });
            }
            if dropping && !body {
                continue;
            }
            let word = line.iter().position(|octet| *octet != b'>').unwrap_or(line.len());
            if line[word..].starts_with(b"From ") && (number, self.first) != (0, First::StaysUnquoted) {
                entry.push(b'>');
            }
            entry.extend(line);
        }
        entry
    }
}

/// Compares, and names the kinds that are wrong, and what came in their place.
#[track_caller]
fn compare(how: &str, mut found: Vec<Vec<u8>>, expected: Vec<(String, Vec<u8>)>) {
    let mut missing = Vec::new();
    for (name, octets) in expected {
        match found.iter().position(|other| *other == octets) {
            Some(at) => drop(found.remove(at)),
            None => missing.push((name, octets)),
        }
    }
    let shown =
        |octets: &[u8]| format!("{} octets: {:?}\n", octets.len(), show(&octets[..octets.len().min(300)]));
    let mut wrong = String::new();
    missing.iter().for_each(|(name, octets)| wrong += &format!("== {name}\nmissing, {}", shown(octets)));
    found.iter().for_each(|octets| wrong += &format!("found, {}", shown(octets)));
    assert!(wrong.is_empty(), "{how}:\n{wrong}");
}

fn all() -> Vec<Shape> {
    shapes().into_iter().chain(collected()).collect()
}

fn messages(shapes: &[Shape]) -> Vec<Message> {
    numbered(shapes.iter().map(|shape| &shape.octets))
}

fn as_stored(shapes: &[Shape]) -> Vec<(String, Vec<u8>)> {
    shapes.iter().map(|shape| (shape.name.clone(), shape.stored())).collect()
}

fn as_entries(shapes: &[Shape]) -> Vec<(String, Vec<u8>)> {
    shapes.iter().map(|shape| (shape.name.clone(), shape.entry())).collect()
}

fn only(expected: Vec<(String, Vec<u8>)>) -> Vec<Vec<u8>> {
    expected.into_iter().map(|(_, octets)| octets).collect()
}

/// Everything comes in the first run, is deleted, and nothing comes in the second.
fn delivered(shapes: &[Shape], deliver: &str) -> (Server, Sandbox) {
    let (server, sandbox) = set_up(messages(shapes), &format!("{deliver}\nleave-on-server = false"));
    twice(&server, &sandbox, shapes);
    (server, sandbox)
}

#[track_caller]
fn twice(server: &Server, sandbox: &Sandbox, shapes: &[Shape]) {
    let run = sandbox.run([""; 0]);
    run.succeeds();
    assert_eq!(server.unique_ids("me"), [""; 0]);
    sandbox.run(["-v"]).succeeds().complains("nothing new");
    assert_eq!(server.count("RETR"), shapes.len());
}

fn check_maildir(how: &str, path: &Path, shapes: &[Shape]) {
    let maildir = Maildir::read(path);
    assert!(maildir.tmp.is_empty());
    let expected = as_stored(shapes);
    compare(how, maildir.messages(), expected.clone());
    if let Some(read) = python_maildir(path) {
        assert_same(read, only(expected));
    }
}

/// The octets of an mbox's entries, quoted as they stand there.
fn quoted(octets: &[u8]) -> Vec<Vec<u8>> {
    // The reader undoes the quoting: one more is put where it looks.
    let mut more = Vec::with_capacity(octets.len());
    for line in octets.split_inclusive(|octet| *octet == b'\n') {
        let word = line.iter().position(|octet| *octet != b'>').unwrap_or(line.len());
        if word > 0 && line[word..].starts_with(b"From ") {
            more.push(b'>');
        }
        more.extend(line);
    }
    split_mbox(&more).into_iter().map(|message| message.octets).collect()
}

fn check_mbox(how: &str, path: &Path, shapes: &[Shape]) {
    let octets = std::fs::read(path).unwrap();
    let entries = as_entries(shapes);
    compare(how, quoted(&octets), entries.clone());
    let expected: Vec<Vec<u8>> = entries.iter().map(|(_, entry)| unquote(entry)).collect();
    let read = mbox(path);
    assert_same(read.into_iter().map(|message| message.octets).collect(), expected.clone());
    if let Some(read) = python_mbox(path) {
        assert_same(read, expected);
    }
}

#[test]
fn every_shape_arrives_in_a_maildir() {
    let shapes = all();
    let (_server, sandbox) = delivered(&shapes, "deliver = { maildir = \"~/Mail\" }");
    check_maildir("Maildir", &sandbox.path("Mail"), &shapes);
}

#[test]
fn every_shape_arrives_in_an_mbox() {
    let shapes = all();
    let (_server, sandbox) = delivered(&shapes, "deliver = { mbox = \"~/inbox\" }");
    check_mbox("mbox", &sandbox.path("inbox"), &shapes);
}

#[test]
fn every_shape_arrives_at_a_program() {
    let shapes = all();
    let pipe = "deliver = { pipe = \"n=$(cat ~/count); echo $((n+1)) > ~/count; exec cat > ~/$n.message\" }";
    let (server, sandbox) = set_up(messages(&shapes), &format!("{pipe}\nleave-on-server = false"));
    sandbox.write("count", "1");
    twice(&server, &sandbox, &shapes);
    let found: Vec<Vec<u8>> = (1..=shapes.len())
        .filter_map(|number| std::fs::read(sandbox.path(format!("{number}.message"))).ok())
        .collect();
    compare("pipe", found, as_stored(&shapes));
}

#[test]
fn every_shape_is_printed() {
    let shapes = all();
    let (_server, sandbox) = set_up(messages(&shapes), "deliver = { stdout = true }");
    let run = sandbox.run([""; 0]);
    run.succeeds();
    compare("stdout", quoted(&run.stdout), as_entries(&shapes));
    let again = sandbox.run([""; 0]);
    again.succeeds();
    assert!(again.stdout.is_empty());
}

#[test]
fn every_shape_arrives_in_two_places() {
    let shapes = all();
    let (_server, sandbox) =
        delivered(&shapes, "deliver = [{ mbox = \"~/inbox\" }, { maildir = \"~/Mail\" }]");
    check_mbox("mbox of two", &sandbox.path("inbox"), &shapes);
    check_maildir("Maildir of two", &sandbox.path("Mail"), &shapes);
}

/// Where the pieces in which they come would show, and without PIPELINING.
#[test]
fn every_small_shape_arrives_in_small_pieces() {
    let mut shapes = all();
    shapes.retain(|shape| shape.octets.len() < 2_000);
    for packet in [1, 3] {
        let options = Options::with("me", "secret", messages(&shapes)).without("PIPELINING");
        let server = Server::start(Options { packet: Some(packet), ..options });
        let sandbox = Sandbox::new();
        let deliver = "deliver = [{ mbox = \"~/inbox\" }, { maildir = \"~/Mail\" }]\nleave-on-server = false";
        sandbox.config(crate::destinations::account(&server, deliver));
        twice(&server, &sandbox, &shapes);
        check_mbox("mbox in pieces", &sandbox.path("inbox"), &shapes);
        check_maildir("Maildir in pieces", &sandbox.path("Mail"), &shapes);
    }
}

/// A message of bare CRs is one line: where that begins with a field that an mbox doesn't take, only the field may go.
#[test]
fn bare_cr_message_that_begins_with_a_status_is_kept() {
    let text = b"Status: RO\rFrom: Ada <ada@example.org>\rSubject: old\r\rall of it\r";
    for deliver in
        ["deliver = { mbox = \"~/inbox\" }", "deliver = [{ mbox = \"~/inbox\" }, { maildir = \"~/Mail\" }]"]
    {
        let (_server, sandbox) =
            set_up([Message::new("a", text)], &format!("{deliver}\nleave-on-server = false"));
        sandbox.run([""; 0]).succeeds();
        let found = mbox(&sandbox.path("inbox")).remove(0).octets;
        assert!(
            found.ends_with(b"From: Ada <ada@example.org>\rSubject: old\r\rall of it\r\n"),
            "{}",
            show(&found)
        );
    }
}
