//! The last deliveries of a mailbox, for people who look for a mail: what came when, from whom, and where it went.
//!
//! A file of its own beside the ledger, of JSON, a line a delivery.  Nothing rests on it: it's never synced, a line that is
//! torn or damaged is passed over, and what can't be written is only missing here.  It keeps the last [`KEPT`] deliveries
//! at least, and is cut when it has grown to twice the room that they may take.
//!
//! It holds text from mail, as strangers wrote it: callers that show it decode it and make it printable.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::durable;
use crate::message::Headline;
use crate::proof::{Arrival, DestinationKind, DestinationName, Key};
use crate::text;
use crate::types::{Time, UniqueIdBuf};

/// Deliveries that are kept.
pub(crate) const KEPT: usize = 1000;
/// Octets of a header field that are kept.
const LONGEST: usize = 200;
/// Octets that are kept when the file is cut,
const KEPT_OCTETS: usize = 1024 * 1024;
/// and from which on it is cut.
const LARGEST: u64 = 2 * 1024 * 1024;
/// The file's name in the mailbox's directory.
const FILE: &str = "history";
/// Its name while it is cut.
const NEW_FILE: &str = "history.new";

/// A message that was delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Past {
    pub time: Time,
    /// Its unique-id, if it had one.
    pub unique_id: Option<UniqueIdBuf>,
    /// Its octets, with LF line ends.
    pub octets: u64,
    /// Its From and Subject, as they came, cut; nothing where a run that died had retrieved it.
    pub headline: Headline,
    /// Where it went.
    pub places: Vec<Spot>,
}

/// Where a message was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spot {
    pub destination: DestinationName,
    /// The name of its file in a Maildir.
    pub name: Option<String>,
}

impl Past {
    /// What is kept of a message that has arrived.
    #[must_use]
    pub(crate) fn new(message: &Arrival, time: Time, places: Vec<Spot>) -> Self {
        let Arrival { key, octets, headline, .. } = message;
        let Headline { from, subject, .. } = headline;
        let headline = Headline {
            from: Headline::shortened(from, LONGEST),
            subject: Headline::shortened(subject, LONGEST),
            ..Headline::default()
        };
        Self { headline, ..Self::settled(key, *octets, time, places) }
    }

    /// What is known of a message that a run had retrieved which died.
    #[must_use]
    pub(crate) fn settled(key: &Key, octets: u64, time: Time, places: Vec<Spot>) -> Self {
        Self { time, unique_id: key.clone().into_unique_id(), octets, headline: Headline::default(), places }
    }
}

/// A line of the file, as it is read.
#[derive(Deserialize)]
struct HistoryLine {
    time: i64,
    id: Option<String>,
    octets: u64,
    #[serde(default)]
    from: String,
    #[serde(default)]
    subject: String,
    #[serde(default)]
    to: Vec<To>,
}

/// The parts of a line that are the same for many.
#[derive(Serialize, Deserialize)]
struct To {
    kind: String,
    address: String,
    #[serde(default, skip_serializing)]
    name: Option<String>,
}

/// Writes lines.  There is one for each message that is delivered, so what many have in common is made once.
#[derive(Default)]
struct HistoryWriter<'a> {
    lines: Vec<u8>,
    destinations: Vec<(&'a DestinationName, Vec<u8>)>,
}

impl<'a> HistoryWriter<'a> {
    /// `{"time":1,"id":"uid","octets":288,"from":"…","subject":"…","to":[{"kind":"maildir","address":"/…","name":"1.a"}]}`.
    fn line(&mut self, past: &'a Past) -> serde_json::Result<()> {
        let id = past.unique_id.as_ref().map(UniqueIdBuf::to_field);
        self.value(b"{\"time\":", &past.time.0)?;
        self.value(b",\"id\":", &id)?;
        self.value(b",\"octets\":", &past.octets)?;
        self.value(b",\"from\":", &String::from_utf8_lossy(&past.headline.from))?;
        self.value(b",\"subject\":", &String::from_utf8_lossy(&past.headline.subject))?;
        self.lines.extend_from_slice(b",\"to\":[");
        for (at, Spot { destination, name }) in past.places.iter().enumerate() {
            if at > 0 {
                self.lines.push(b',');
            }
            self.destination(destination)?;
            self.value(b",\"name\":", &name.as_ref().map(|name| text::field(name.as_bytes())))?;
            self.lines.push(b'}');
        }
        self.lines.extend_from_slice(b"]}\n");
        Ok(())
    }

    fn value(&mut self, key: &[u8], value: &impl Serialize) -> serde_json::Result<()> {
        self.lines.extend_from_slice(key);
        serde_json::to_writer(&mut self.lines, value)
    }

    /// A destination without its closing brace.
    fn destination(&mut self, name: &'a DestinationName) -> serde_json::Result<()> {
        let known = self.destinations.iter().position(|(known, _)| *known == name);
        let at = match known {
            Some(at) => at,
            None => {
                let kind = name.kind.word().to_owned();
                let to = To { kind, address: text::field(&name.address), name: None };
                let mut object = serde_json::to_vec(&to)?;
                object.pop();
                self.destinations.push((name, object));
                self.destinations.len().saturating_sub(1)
            }
        };
        if let Some((_, object)) = self.destinations.get(at) {
            self.lines.extend_from_slice(object);
        }
        Ok(())
    }
}

impl HistoryLine {
    /// `None` where something in it can't be.
    fn read(self) -> Option<Past> {
        let spot = |to: To| {
            let kind = DestinationKind::ALL.into_iter().find(|kind| kind.word() == to.kind)?;
            let destination = DestinationName { kind, address: text::from_field(to.address.as_bytes())? };
            let name = match to.name {
                Some(name) => Some(String::from_utf8(text::from_field(name.as_bytes())?).ok()?),
                None => None,
            };
            Some(Spot { destination, name })
        };
        let unique_id = match self.id {
            Some(id) => Some(UniqueIdBuf::from_field(id.as_bytes())?),
            None => None,
        };
        Some(Past {
            time: Time(self.time),
            unique_id,
            octets: self.octets,
            headline: Headline {
                from: self.from.into_bytes(),
                subject: self.subject.into_bytes(),
                ..Headline::default()
            },
            places: self.to.into_iter().map(spot).collect::<Option<_>>()?,
        })
    }
}

/// Adds deliveries to the history in `directory`, and cuts it where it has become too long.  The caller holds the
/// mailbox's lock.
///
/// # Errors
/// The system's: then some of them are missing.
pub(crate) fn append(directory: &Path, deliveries: &[Past]) -> io::Result<()> {
    let path = directory.join(FILE);
    let mut file = durable::open_to_append(&path)?;
    let octets = file.metadata()?.len();
    let mut writer = HistoryWriter::default();
    let mut last = [b'\n'];
    if octets > 0 {
        durable::read_up_to(&file, &mut last, octets.saturating_sub(1))?;
    }
    if last != [b'\n'] {
        // A line that was torn is not to take the next one with it.
        writer.lines.push(b'\n');
    }
    for past in deliveries {
        writer.line(past)?;
    }
    file.write_all(&writer.lines)?;
    if octets > LARGEST { cut(directory, &file) } else { Ok(()) }
}

/// Leaves the last deliveries in the file.
fn cut(directory: &Path, file: &File) -> io::Result<()> {
    let text = end_of(file)?;
    let mut kept = Vec::new();
    let mut octets = 0_usize;
    for line in text.split_inclusive(|octet| *octet == b'\n').rev() {
        octets = octets.saturating_add(line.len());
        if kept.len() == KEPT || octets > KEPT_OCTETS {
            break;
        }
        kept.push(line);
    }
    kept.reverse();
    let new = directory.join(NEW_FILE);
    let _ = std::fs::remove_file(&new);
    durable::open_to_append(&new)?.write_all(&kept.concat())?;
    durable::replace(&new, &directory.join(FILE)).map_err(|e| e.source)
}

/// What the file ends with: whole lines.
fn end_of(mut file: &File) -> io::Result<Vec<u8>> {
    let octets = file.metadata()?.len();
    let begin = octets.saturating_sub(LARGEST);
    file.seek(SeekFrom::Start(begin))?;
    let mut text = Vec::new();
    file.take(LARGEST).read_to_end(&mut text)?;
    if begin > 0 {
        let first =
            text.iter().position(|octet| *octet == b'\n').map_or(text.len(), |at| at.saturating_add(1));
        text.drain(..first);
    }
    Ok(text)
}

/// The last deliveries, the oldest first; none where there is no history, or nothing that can be read.
#[must_use]
pub(crate) fn read(directory: &Path) -> Vec<Past> {
    let Ok(file) = durable::open_plain_file(&directory.join(FILE)) else { return Vec::new() };
    let text = end_of(&file).unwrap_or_default();
    let past = |line: &[u8]| serde_json::from_slice::<HistoryLine>(line).ok()?.read();
    let mut found: Vec<Past> =
        text.split(|octet| *octet == b'\n').rev().filter_map(past).take(KEPT).collect();
    found.reverse();
    found
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::{FILE, KEPT, LARGEST, NEW_FILE, Past, Spot, append, read};
    use crate::message::Headline;
    use crate::proof::{DestinationKind, DestinationName};
    use crate::types::{Time, UniqueId};

    fn past(n: i64) -> Past {
        let destination =
            DestinationName { kind: DestinationKind::Maildir, address: b"/home/me/Gr\xfc\xdfe".to_vec() };
        let pipe = DestinationName { kind: DestinationKind::Pipe, address: b"procmail\0-d".to_vec() };
        Past {
            time: Time(n),
            unique_id: Some(UniqueId::new(b"%a\"").unwrap().to_buf()),
            octets: 288,
            headline: Headline {
                from: b"Ann <ann@example.org>".to_vec(),
                subject: "=?utf-8?q?=1b[31m?= \u{202e}\"\n}".as_bytes().to_vec(),
                ..Headline::default()
            },
            places: vec![
                Spot { destination, name: Some("1.a b".to_owned()) },
                Spot { destination: pipe, name: None },
            ],
        }
    }

    #[test]
    fn what_was_written_reads_back_and_only_the_owner_may_read_it() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(read(home.path()), []);
        append(home.path(), &[past(1), Past { unique_id: None, places: Vec::new(), ..past(2) }]).unwrap();
        append(home.path(), &[past(3)]).unwrap();
        let found = read(home.path());
        assert_eq!(found.iter().map(|past| past.time.0).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(found[2], past(3));
        assert_eq!(fs::metadata(home.path().join(FILE)).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn torn_and_broken_lines_are_passed_over() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join(FILE);
        append(home.path(), &[past(1)]).unwrap();
        let whole = fs::read(&path).unwrap();
        for cut in 1..whole.len() {
            fs::write(&path, [whole.as_slice(), &whole[..cut]].concat()).unwrap();
            append(home.path(), &[past(2)]).unwrap();
            let times: Vec<i64> = read(home.path()).iter().map(|past| past.time.0).collect();
            // All but the line's end may be there.
            assert!(times == [1, 2] || (times == [1, 1, 2] && cut + 1 == whole.len()), "{cut}: {times:?}");
        }
        for broken in ["\0\n", "{}\n", "[1]\n", "{\"time\":1,\"id\":\"%zz\",\"octets\":1}\n", "\n\n"] {
            fs::write(&path, broken).unwrap();
            append(home.path(), &[past(2)]).unwrap();
            assert_eq!(read(home.path()).len(), 1, "{broken:?}");
        }
    }

    #[test]
    fn what_stands_in_its_place_is_left_alone() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join(FILE);
        fs::create_dir(&path).unwrap();
        assert!(append(home.path(), &[past(1)]).is_err());
        assert_eq!(read(home.path()), []);
        fs::remove_dir(&path).unwrap();
        let elsewhere = home.path().join("elsewhere");
        fs::write(&elsewhere, "x").unwrap();
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        assert!(append(home.path(), &[past(1)]).is_err());
        assert_eq!(fs::read(&elsewhere).unwrap(), b"x");
    }

    #[test]
    fn it_is_cut_to_the_last_deliveries_when_it_has_grown() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join(FILE);
        fs::write(home.path().join(NEW_FILE), "left by a crash\n").unwrap();
        let mut written = 0;
        let mut octets = 0;
        loop {
            let batch: Vec<Past> = (written..written + 500).map(past).collect();
            append(home.path(), &batch).unwrap();
            written += 500;
            let now = fs::metadata(&path).unwrap().len();
            if now < octets {
                break;
            }
            octets = now;
            assert!(octets < 2 * LARGEST, "{octets}");
        }
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.lines().count() == KEPT && !text.contains("left by a crash"));
        let found = read(home.path());
        assert_eq!(found.len(), KEPT);
        assert_eq!(found.last().map(|past| past.time.0), Some(written - 1));
        // And it goes on, without being cut at each batch.
        let cut = fs::metadata(&path).unwrap().len();
        append(home.path(), &[past(written)]).unwrap();
        assert!(fs::metadata(&path).unwrap().len() > cut);
    }
}
