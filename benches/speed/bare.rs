//! The bare client: the least that a durable POP3 client must do, and nothing else.  No ledger, no limits, no reports,
//! no recovery: the time is that of the connection and the disk, and popfetch is measured by it.
//!
//! It pipelines by octets, unstuffs, writes, brings a hundred messages to the disk at once on a second thread while the
//! next arrive, renames them, syncs the directory, and only then sends their `DELE`s.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use native_tls::{Certificate, TlsConnector};

/// Octets of unanswered commands, at most.
const WINDOW: usize = 8 << 10;
const BATCH: usize = 100;
const BUFFER: usize = 64 << 10;

/// What it does, by the first of its arguments: `MODE PORT CA-FILE|- USER PASSWORD PATH`.
pub fn main(mut args: impl Iterator<Item = String>) -> io::Result<()> {
    let mut next = || args.next().expect("MODE PORT CA-FILE USER PASSWORD PATH");
    let (mode, port, authority) = (next(), next().parse().unwrap(), next());
    let (user, password, path) = (next(), next(), PathBuf::from(next()));
    let mut line = Line::open(port, (authority != "-").then(|| Path::new(&authority)))?;
    line.status()?;
    let listing = if mode == "list" { "UIDL" } else { "STAT" };
    line.write(format!("USER {user}\r\nPASS {password}\r\n{listing}\r\n").as_bytes())?;
    line.status()?;
    line.status()?;
    let status = line.status()?;
    if mode == "list" {
        let mut octets = 0;
        line.body(|text| {
            octets += text.len();
            Ok(())
        })?;
        return line.write(b"QUIT\r\n");
    }
    let count: usize = status.split(' ').nth(1).and_then(|count| count.parse().ok()).unwrap();
    match mode.as_str() {
        "maildir" => maildir(&mut line, count, &path),
        "mbox" => mbox(&mut line, count, &path),
        _ => Err(io::Error::other("maildir, mbox or list")),
    }
}

fn maildir(line: &mut Line, count: usize, path: &Path) -> io::Result<()> {
    for directory in ["tmp", "new", "cur"] {
        std::fs::create_dir_all(path.join(directory))?;
    }
    let (work, batches) = channel::<Vec<usize>>();
    let (done, finished) = channel::<Vec<usize>>();
    let home = path.to_owned();
    let committer = thread::spawn(move || commit(&home, &batches, &done));
    let mut batch = Vec::with_capacity(BATCH);
    let mut out = Vec::with_capacity(2 * BUFFER);
    pipelined(line, count, &finished, |line, number| {
        let Some(number) = number else {
            work.send(std::mem::take(&mut batch)).unwrap();
            return Ok(());
        };
        let mut file = File::create_new(path.join(format!("tmp/{number}")))?;
        line.body(|text| append(&mut file, &mut out, text))?;
        file.write_all(&out)?;
        out.clear();
        batch.push(number);
        if batch.len() == BATCH {
            work.send(std::mem::take(&mut batch)).unwrap();
        }
        Ok(())
    })?;
    drop(work);
    committer.join().unwrap()
}

/// Brings whole batches to the disk, data and names.
fn commit(home: &Path, batches: &Receiver<Vec<usize>>, done: &Sender<Vec<usize>>) -> io::Result<()> {
    let new = File::open(home.join("new"))?;
    for batch in batches {
        rustix::fs::syncfs(&new)?;
        for number in &batch {
            std::fs::rename(home.join(format!("tmp/{number}")), home.join(format!("new/{number}")))?;
        }
        new.sync_all()?;
        let _ = done.send(batch);
    }
    Ok(())
}

fn mbox(line: &mut Line, count: usize, path: &Path) -> io::Result<()> {
    let mut file = File::options().append(true).create(true).open(path)?;
    let (done, finished) = channel();
    let mut out = Vec::with_capacity(2 * BUFFER);
    pipelined(line, count, &finished, |line, number| {
        let Some(number) = number else { return Ok(()) };
        out.extend(b"From MAILER-DAEMON Thu Jan  1 00:00:00 1970\n");
        line.body(|text| {
            if text.trim_ascii_start().starts_with(b"From ") {
                out.push(b'>');
            }
            append(&mut file, &mut out, text)
        })?;
        out.push(b'\n');
        file.write_all(&out)?;
        out.clear();
        done.send(vec![number]).unwrap();
        Ok(())
    })
}

fn append(file: &mut File, out: &mut Vec<u8>, text: &[u8]) -> io::Result<()> {
    out.extend_from_slice(text.strip_suffix(b"\r\n").unwrap_or(text));
    out.push(b'\n');
    if out.len() >= BUFFER {
        file.write_all(out)?;
        out.clear();
    }
    Ok(())
}

enum Sent {
    Retr(usize),
    Dele,
}

/// Retrieves all, and deletes what `finished` names.  `take` gets each message's number when its answer begins, and none
/// when the last one has come.
fn pipelined(
    line: &mut Line,
    count: usize,
    finished: &Receiver<Vec<usize>>,
    mut take: impl FnMut(&mut Line, Option<usize>) -> io::Result<()>,
) -> io::Result<()> {
    let mut waiting = (1..=count).peekable();
    let mut to_delete: VecDeque<usize> = VecDeque::new();
    let mut sent: VecDeque<(Sent, usize)> = VecDeque::new();
    let (mut window, mut deleted, mut arrived) = (0, 0, 0);
    let mut commands = Vec::new();
    while deleted < count {
        to_delete.extend(finished.try_iter().flatten());
        if window < WINDOW / 2 {
            while window < WINDOW {
                let before = commands.len();
                let command = if let Some(number) = to_delete.pop_front() {
                    write!(commands, "DELE {number}\r\n")?;
                    Sent::Dele
                } else if let Some(number) = waiting.next() {
                    write!(commands, "RETR {number}\r\n")?;
                    Sent::Retr(number)
                } else {
                    break;
                };
                let length = commands.len() - before;
                sent.push_back((command, length));
                window += length;
            }
            if !commands.is_empty() {
                line.write(&commands)?;
                commands.clear();
            }
        }
        let Some((command, length)) = sent.pop_front() else {
            to_delete.extend(finished.recv().map_err(|_| io::Error::other("the committer died"))?);
            continue;
        };
        line.status()?;
        match command {
            Sent::Dele => deleted += 1,
            Sent::Retr(number) => {
                take(line, Some(number))?;
                arrived += 1;
                if arrived == count {
                    take(line, None)?;
                }
            }
        }
        window -= length;
    }
    line.write(b"QUIT\r\n")?;
    line.status().map(drop)
}

trait Stream: Read + Write {}
impl<S: Read + Write> Stream for S {}

struct Line {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
    taken: usize,
    filled: usize,
}

impl Line {
    fn open(port: u16, authority: Option<&Path>) -> io::Result<Self> {
        let tcp = TcpStream::connect(("127.0.0.1", port))?;
        tcp.set_nodelay(true)?;
        let stream: Box<dyn Stream> = match authority {
            None => Box::new(tcp),
            Some(path) => {
                let pem = Certificate::from_pem(&std::fs::read(path)?).map_err(io::Error::other)?;
                let connector = TlsConnector::builder().add_root_certificate(pem).build();
                let connector = connector.map_err(io::Error::other)?;
                Box::new(connector.connect("localhost", tcp).map_err(io::Error::other)?)
            }
        };
        Ok(Self { stream, buffer: vec![0; BUFFER], taken: 0, filled: 0 })
    }

    fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        self.stream.write_all(octets)
    }

    /// The next line with its end, as a part of the buffer.
    fn line(&mut self) -> io::Result<(usize, usize)> {
        let mut searched = self.taken;
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.buffer[searched..self.filled]) {
                let line = (self.taken, searched + at + 1);
                self.taken = line.1;
                return Ok(line);
            }
            searched = self.filled - self.taken;
            self.buffer.copy_within(self.taken..self.filled, 0);
            (self.taken, self.filled) = (0, searched);
            if self.filled == self.buffer.len() {
                self.buffer.resize(2 * self.filled, 0);
            }
            match self.stream.read(&mut self.buffer[self.filled..])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                octets => self.filled += octets,
            }
        }
    }

    fn status(&mut self) -> io::Result<String> {
        let (start, end) = self.line()?;
        let line = String::from_utf8_lossy(&self.buffer[start..end]).trim_end().to_owned();
        if line.starts_with("+OK") { Ok(line) } else { Err(io::Error::other(line)) }
    }

    /// The lines of a multi-line answer, unstuffed, with their ends.
    fn body(&mut self, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        loop {
            let (start, end) = self.line()?;
            let line = &self.buffer[start..end];
            match line.strip_prefix(b".") {
                Some(b"\r\n") => return Ok(()),
                Some(line) => each(line)?,
                None => each(line)?,
            }
        }
    }
}
