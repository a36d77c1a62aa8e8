//! The answer to one request (RFC 9112): octets in, an [`HttpAnswer`] out; no socket, no clock.
//!
//! Answers are short here (a token, a page of settings), so one is kept whole, and every part of it has a bound.  Octets
//! are wiped when they have been read: the body may be a token.

use zeroize::Zeroizing;

use crate::secret::Secret;
use crate::text::shown_by;

/// Octets of an answer's body at most.
pub(crate) const LARGEST_BODY: usize = 64 * 1024;

/// Octets of the head at most, those of interim answers counted.
const LARGEST_HEAD: usize = 16 * 1024;

/// Header fields of one head at most; the busiest providers send thirty.
const MOST_FIELDS: usize = 100;

/// What a head begins with.
const START: &[u8] = b"HTTP/";

const NOT_HTTP: AnswerFault = AnswerFault::Malformed("it does not speak HTTP");

/// Octets of the line that begins a chunk.
const LONGEST_CHUNK_LINE: usize = 1024;

pub(crate) struct HttpAnswer {
    pub status: u16,
    fields: Vec<(String, String)>,
    /// The body; never more than [`LARGEST_BODY`].
    pub body: Secret,
}

impl HttpAnswer {
    /// Whether the status is one of success (2xx).
    #[must_use]
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The first header field of that name, as it came.
    #[must_use]
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        field(&self.fields, name).next()
    }

    /// Whether the body is a web page, by its type or its first octets: what captive portals and proxies put in place of an
    /// answer.
    #[must_use]
    pub(crate) fn is_html(&self) -> bool {
        let declared = self.field("content-type").unwrap_or_default().trim_start().to_ascii_lowercase();
        let (start, _) = split(self.body.expose().trim_ascii_start(), 14);
        declared.starts_with("text/html")
            || start.eq_ignore_ascii_case(b"<!doctype html")
            || start.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"<html"))
    }
}

// Without fields and body: either may hold a token.
shown_by!(HttpAnswer, status);

/// Why octets are no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AnswerFault {
    /// No head of HTTP/1.0 or 1.1, fields that contradict each other, a coding that wasn't asked for, a broken chunk.
    #[error("{0}")]
    Malformed(&'static str),
    /// The head or the body is over its bound.
    #[error("its answer is larger than {} KiB", LARGEST_BODY / 1024)]
    TooLarge,
    /// The stream ended before the answer did.
    #[error("it ended the connection in the middle of its answer")]
    Cut,
}

pub(super) struct AnswerReader {
    /// What has come and isn't understood yet.
    raw: Zeroizing<Vec<u8>>,
    stage: AnswerStage,
    /// Octets of heads so far.
    heads: usize,
    status: u16,
    fields: Vec<(String, String)>,
    body: Zeroizing<Vec<u8>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AnswerStage {
    Head,
    /// So much more of a body whose length is known.
    Length(usize),
    /// A body that ends with the stream.
    ToTheEnd,
    ChunkLine,
    /// So much more of a chunk.
    Chunk(usize),
    /// The line end behind a chunk.
    ChunkEnd,
    Done,
}

impl AnswerReader {
    pub(super) fn new() -> Self {
        Self {
            raw: Zeroizing::new(Vec::with_capacity(LARGEST_HEAD)),
            stage: AnswerStage::Head,
            heads: 0,
            status: 0,
            fields: Vec::new(),
            // With room for all of it: a buffer that grows leaves copies behind.
            body: Zeroizing::new(Vec::with_capacity(LARGEST_BODY)),
        }
    }

    /// Takes octets in; whether the answer is whole.  What follows it is ignored: there is one request to a
    /// connection.
    ///
    /// # Errors
    /// [`AnswerFault::Malformed`] and [`AnswerFault::TooLarge`]; the reader is then of no further use.
    pub(super) fn feed(&mut self, octets: &[u8]) -> Result<bool, AnswerFault> {
        let mut rest = octets;
        // Each step takes at least one octet.
        while !rest.is_empty() && self.stage != AnswerStage::Done {
            rest = match self.stage {
                AnswerStage::Head => self.head(rest)?,
                AnswerStage::Length(left) => {
                    let (body, after) = split(rest, left);
                    self.take(body)?;
                    self.stage = after_length(left.saturating_sub(body.len()));
                    after
                }
                AnswerStage::ToTheEnd => {
                    self.take(rest)?;
                    &[]
                }
                AnswerStage::ChunkLine => self.chunk_line(rest)?,
                AnswerStage::Chunk(left) => {
                    let (body, after) = split(rest, left);
                    self.take(body)?;
                    let left = left.saturating_sub(body.len());
                    self.stage = if left == 0 { AnswerStage::ChunkEnd } else { AnswerStage::Chunk(left) };
                    after
                }
                AnswerStage::ChunkEnd => self.chunk_end(rest)?,
                AnswerStage::Done => rest,
            };
        }
        Ok(self.stage == AnswerStage::Done)
    }

    /// The stream has ended.
    ///
    /// # Errors
    /// [`AnswerFault::Cut`] where the answer isn't whole.
    pub(super) fn end(self) -> Result<HttpAnswer, AnswerFault> {
        match self.stage {
            AnswerStage::ToTheEnd | AnswerStage::Done => Ok(HttpAnswer {
                status: self.status,
                fields: self.fields,
                body: Secret::new(self.body.as_slice()),
            }),
            _ => Err(AnswerFault::Cut),
        }
    }

    /// Whether anything has come.
    pub(super) fn has_begun(&self) -> bool {
        self.heads > 0 || !self.raw.is_empty()
    }

    fn take(&mut self, octets: &[u8]) -> Result<(), AnswerFault> {
        if octets.len() > LARGEST_BODY.saturating_sub(self.body.len()) {
            return Err(AnswerFault::TooLarge);
        }
        self.body.extend_from_slice(octets);
        Ok(())
    }

    /// Moves octets to those that aren't understood yet, to the end of a line that ends a head if there is one; gives what
    /// follows.
    fn head<'a>(&mut self, octets: &'a [u8]) -> Result<&'a [u8], AnswerFault> {
        for (at, &octet) in octets.iter().enumerate() {
            self.raw.push(octet);
            // What is no HTTP at all is seen at once, and not only at its time-out.
            if self.raw.len() <= START.len() && !START.starts_with(&self.raw) {
                return Err(NOT_HTTP);
            }
            if self.heads.saturating_add(self.raw.len()) > LARGEST_HEAD {
                return Err(AnswerFault::TooLarge);
            }
            if octet == b'\n' && (self.raw.ends_with(b"\n\r\n") || self.raw.ends_with(b"\n\n")) {
                self.whole_head()?;
                return Ok(octets.get(at.saturating_add(1)..).unwrap_or_default());
            }
        }
        Ok(&[])
    }

    fn whole_head(&mut self) -> Result<(), AnswerFault> {
        let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
        let mut parsed = httparse::Response::new(&mut fields);
        match parsed.parse(&self.raw) {
            Ok(httparse::Status::Complete(_)) => {}
            Err(httparse::Error::TooManyHeaders) => return Err(AnswerFault::TooLarge),
            Ok(httparse::Status::Partial) | Err(_) => {
                return Err(NOT_HTTP);
            }
        }
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        let status = parsed.code.unwrap_or_default();
        let fields: Vec<_> =
            parsed.headers.iter().map(|field| (field.name.to_owned(), text(field.value))).collect();
        self.heads = self.heads.saturating_add(self.raw.len());
        self.raw.clear();
        if (100..200).contains(&status) {
            // An interim answer: the answer follows.  Nothing asks for another protocol (101).
            return if status == 101 {
                Err(AnswerFault::Malformed("it changed the protocol"))
            } else {
                Ok(())
            };
        }
        self.stage = framing(status, &fields)?;
        (self.status, self.fields) = (status, fields);
        Ok(())
    }

    /// A line of its own, to its end; `None` while it isn't whole.
    fn line<'a>(&mut self, octets: &'a [u8]) -> Result<(bool, &'a [u8]), AnswerFault> {
        let end = octets.iter().position(|octet| *octet == b'\n').map(|at| at.saturating_add(1));
        let (line, after) = split(octets, end.unwrap_or(octets.len()));
        if line.len() > LONGEST_CHUNK_LINE.saturating_sub(self.raw.len()) {
            return Err(AnswerFault::Malformed("it sent a broken chunk"));
        }
        self.raw.extend_from_slice(line);
        Ok((end.is_some(), after))
    }

    fn chunk_line<'a>(&mut self, octets: &'a [u8]) -> Result<&'a [u8], AnswerFault> {
        const BROKEN: AnswerFault = AnswerFault::Malformed("it sent a broken chunk");
        let (whole, after) = self.line(octets)?;
        if whole {
            let size = match httparse::parse_chunk_size(&self.raw) {
                Ok(httparse::Status::Complete((_, size))) => size,
                Ok(httparse::Status::Partial) | Err(_) => return Err(BROKEN),
            };
            let size = usize::try_from(size).map_err(|_| AnswerFault::TooLarge)?;
            if size > LARGEST_BODY.saturating_sub(self.body.len()) {
                return Err(AnswerFault::TooLarge);
            }
            self.raw.clear();
            // The fields that may follow the last chunk are ignored.
            self.stage = if size == 0 { AnswerStage::Done } else { AnswerStage::Chunk(size) };
        }
        Ok(after)
    }

    fn chunk_end<'a>(&mut self, octets: &'a [u8]) -> Result<&'a [u8], AnswerFault> {
        let (whole, after) = self.line(octets)?;
        if !b"\r\n".starts_with(&self.raw) {
            return Err(AnswerFault::Malformed("it sent a broken chunk"));
        }
        if whole {
            self.raw.clear();
            self.stage = AnswerStage::ChunkLine;
        }
        Ok(after)
    }
}

/// How the body's end is known (RFC 9112 §6.3).
fn framing(status: u16, fields: &[(String, String)]) -> Result<AnswerStage, AnswerFault> {
    let coded = |value: &str| !value.trim().eq_ignore_ascii_case("identity");
    if field(fields, "content-encoding").any(coded) {
        return Err(AnswerFault::Malformed("it compressed its answer, which was not asked for"));
    }
    if matches!(status, 204 | 304) {
        return Ok(AnswerStage::Done);
    }
    let mut lengths = field(fields, "content-length").flat_map(|value| value.split(',')).map(str::trim);
    let mut codings = field(fields, "transfer-encoding").filter(|value| coded(value));
    if let Some(coding) = codings.next() {
        if !coding.trim().eq_ignore_ascii_case("chunked")
            || codings.next().is_some()
            || lengths.next().is_some()
        {
            return Err(AnswerFault::Malformed("it gave no clear length of its answer"));
        }
        return Ok(AnswerStage::ChunkLine);
    }
    let Some(length) = lengths.next() else { return Ok(AnswerStage::ToTheEnd) };
    if length.is_empty()
        || !length.bytes().all(|b| b.is_ascii_digit())
        || lengths.any(|other| other != length)
    {
        return Err(AnswerFault::Malformed("it gave no clear length of its answer"));
    }
    match length.parse() {
        Ok(length) if length <= LARGEST_BODY => Ok(after_length(length)),
        _ => Err(AnswerFault::TooLarge),
    }
}

fn after_length(left: usize) -> AnswerStage {
    if left == 0 { AnswerStage::Done } else { AnswerStage::Length(left) }
}

fn field<'a>(fields: &'a [(String, String)], name: &str) -> impl Iterator<Item = &'a str> {
    let named = move |field: &&'a (String, String)| field.0.eq_ignore_ascii_case(name);
    fields.iter().filter(named).map(|(_, value)| value.as_str())
}

/// At most `most` octets, and the rest.
fn split(octets: &[u8], most: usize) -> (&[u8], &[u8]) {
    octets.split_at_checked(most).unwrap_or((octets, &[]))
}

/// For fuzzing: whatever comes, in whatever pieces, the answer is the same and within its bounds.
#[doc(hidden)]
pub fn fuzz_answer(octets: &[u8]) {
    let read = |size: usize| -> Result<(u16, Vec<u8>), AnswerFault> {
        let mut reader = AnswerReader::new();
        for piece in octets.chunks(size) {
            if reader.feed(piece)? {
                break;
            }
        }
        let answer = reader.end()?;
        assert!(answer.body.expose().len() <= LARGEST_BODY);
        let _ = answer.is_html();
        Ok((answer.status, answer.body.expose().to_vec()))
    };
    let whole = read(octets.len().max(1));
    assert_eq!(whole, read(1));
    assert_eq!(whole, read(7));
}

#[cfg(test)]
mod tests {
    use super::{AnswerFault, AnswerReader, HttpAnswer, LARGEST_BODY, fuzz_answer};

    fn read(octets: &[u8], size: usize) -> Result<HttpAnswer, AnswerFault> {
        let mut reader = AnswerReader::new();
        for piece in octets.chunks(size) {
            if reader.feed(piece)? {
                break;
            }
        }
        reader.end()
    }

    #[test]
    fn an_answer_is_the_same_in_whatever_pieces_it_comes() {
        let cases: [(&str, u16, &str); 13] = [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", 200, "{}"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}and more", 200, "{}"),
            ("HTTP/1.1 200 OK\nContent-Length: 2\n\n{}", 200, "{}"),
            ("HTTP/1.1 200\r\ncontent-length:2\r\n\r\n{}", 200, "{}"),
            ("HTTP/1.0 400 Bad Request\r\n\r\nto the end", 400, "to the end"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\nContent-Length: 2\r\n\r\n{}", 200, "{}"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, ""),
            ("HTTP/1.1 204 No Content\r\n\r\n", 204, ""),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1;x=\"y\"\r\n}\r\n0\r\n\r\n",
                200,
                "{}",
            ),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n2\r\n{}\r\n0\r\nX: y\r\n\r\n", 200, "{}"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", 200, ""),
            (
                "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
                200,
                "{}",
            ),
            ("HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}", 200, "{}"),
        ];
        for (octets, status, body) in cases {
            for size in 1..=octets.len() {
                let answer =
                    read(octets.as_bytes(), size).unwrap_or_else(|e| panic!("{octets:?} by {size}: {e}"));
                assert_eq!(
                    (answer.status, answer.body.expose()),
                    (status, body.as_bytes()),
                    "{octets:?} by {size}"
                );
            }
            fuzz_answer(octets.as_bytes());
        }
    }

    #[test]
    fn half_an_answer_is_none() {
        for whole in [
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n",
        ] {
            for end in 0..whole.len() {
                assert_eq!(
                    read(&whole.as_bytes()[..end], 1).map(drop),
                    Err(AnswerFault::Cut),
                    "{whole:?} cut at {end}"
                );
            }
            assert!(read(whole.as_bytes(), 1).is_ok());
        }
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        let not_http = super::NOT_HTTP;
        let length = AnswerFault::Malformed("it gave no clear length of its answer");
        let chunk = AnswerFault::Malformed("it sent a broken chunk");
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(101));
        let long = format!("HTTP/1.1 200 OK\r\nX: {}", "y".repeat(17_000));
        let hints = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(1000);
        let cases: [(&str, AnswerFault); 22] = [
            ("+OK POP3 ready\r\n", not_http),
            ("<html>", not_http),
            ("HTTP/2 200\r\n\r\n", not_http),
            ("\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", not_http),
            ("HTTP/1.1 abc\r\n\r\n", not_http),
            ("HTTP/1.1 200 OK\r\nno field\r\n\r\n", not_http),
            (&many, AnswerFault::TooLarge),
            (&long, AnswerFault::TooLarge),
            (&hints, AnswerFault::TooLarge),
            ("HTTP/1.1 200 OK\r\nContent-Length: 65537\r\n\r\n", AnswerFault::TooLarge),
            ("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n", AnswerFault::TooLarge),
            ("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", length),
            ("HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n", length),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\n", length),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", length),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", length),
            (
                "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n",
                AnswerFault::Malformed("it compressed its answer, which was not asked for"),
            ),
            ("HTTP/1.1 101 Switching Protocols\r\n\r\n", AnswerFault::Malformed("it changed the protocol")),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", chunk),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n", chunk),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10001\r\n", AnswerFault::TooLarge),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
                AnswerFault::TooLarge,
            ),
        ];
        for (octets, fault) in cases {
            for size in [1, 2, 3, octets.len()] {
                assert_eq!(read(octets.as_bytes(), size).map(drop), Err(fault), "{octets:.80}");
            }
        }
    }

    #[test]
    fn only_a_status_of_success_is_one() {
        for (status, is_success) in
            [(200, true), (299, true), (300, false), (302, false), (400, false), (500, false)]
        {
            let answer = read(format!("HTTP/1.1 {status} x\r\n\r\n").as_bytes(), 99).unwrap();
            assert_eq!(answer.is_success(), is_success, "{status}");
        }
    }

    /// Two readers that take its length differently would take it for different answers.
    #[test]
    fn an_answer_whose_length_is_in_doubt_is_refused() {
        let length = AnswerFault::Malformed("it gave no clear length of its answer");
        let chunk = AnswerFault::Malformed("it sent a broken chunk");
        let extension =
            |octets: usize| format!("Transfer-Encoding: chunked\r\n\r\n0;{}\r\n\r\n", "x".repeat(octets));
        let (fits, long) = (extension(1000), extension(1100));
        let whole = format!("Content-Length: {LARGEST_BODY}\r\n\r\n{}", "x".repeat(LARGEST_BODY));
        let cases: [(&str, Result<usize, AnswerFault>); 7] = [
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", Err(length)),
            ("Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}", Ok(2)),
            ("Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x", Err(length)),
            ("Content-Length: +2\r\n\r\n{}", Err(length)),
            (&fits, Ok(0)),
            (&long, Err(chunk)),
            (&whole, Ok(LARGEST_BODY)),
        ];
        for (rest, expected) in cases {
            let answer = read(format!("HTTP/1.1 200 OK\r\n{rest}").as_bytes(), 700);
            assert_eq!(answer.map(|answer| answer.body.expose().len()), expected, "{rest:.80}");
        }
    }

    #[test]
    fn a_body_has_64_kib_at_most_however_it_ends() {
        for (head, tail, chunked) in [
            ("HTTP/1.1 200 OK\r\n\r\n", "", false),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "0\r\n\r\n", true),
        ] {
            for (length, fits) in [(LARGEST_BODY, true), (LARGEST_BODY + 1, false)] {
                let body = if chunked {
                    format!(
                        "8000\r\n{}\r\n{:x}\r\n{}\r\n",
                        "x".repeat(0x8000),
                        length - 0x8000,
                        "x".repeat(length - 0x8000)
                    )
                } else {
                    "x".repeat(length)
                };
                let read = read(format!("{head}{body}{tail}").as_bytes(), 1000);
                assert_eq!(
                    read.map(|answer| answer.body.expose().len()),
                    if fits { Ok(length) } else { Err(AnswerFault::TooLarge) }
                );
            }
        }
    }

    #[test]
    fn a_web_page_is_seen() {
        for (fields, body, html) in [
            ("Content-Type: text/html; charset=utf-8\r\n", "x", true),
            ("", "  <!DOCTYPE html><html>", true),
            ("", "<HTML><body>", true),
            ("Content-Type: application/json\r\n", "{}", false),
            ("", "<?xml version=\"1.0\"?><clientConfig/>", false),
        ] {
            let answer = read(format!("HTTP/1.1 200 OK\r\n{fields}\r\n{body}").as_bytes(), 9).unwrap();
            assert_eq!(answer.is_html(), html, "{fields}{body}");
        }
    }

    #[test]
    fn nothing_of_an_answer_is_shown_by_accident() {
        let answer = read(b"HTTP/1.1 200 OK\r\nX: tanstaaf\r\n\r\ntanstaaf", 9).unwrap();
        assert_eq!(answer.field("x"), Some("tanstaaf"));
        assert_eq!(format!("{answer:?}"), "HttpAnswer { status: 200, .. }");
    }
}
