//! A message as people read it: who wrote to whom, the text, and what is attached; decoded, and not yet fit for a terminal:
//! the caller that shows it makes it so.
//!
//! Messages are written by strangers.  What can't be read is left out; everything is bounded by the message itself.

use mail_parser::{Address, HeaderName, Message, MessageParser, MessagePart, MimeHeaders, PartType};

use super::summary::HeaderSummary;

use crate::types::wide;

/// Addresses of a field that are shown at most.
const MOST_ADDRESSES: usize = 50;
/// Links of a text that are shown at most.
const MOST_LINKS: usize = 100;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct DecodedMessage {
    /// The fields that people look at, in order, with their names.
    pub fields: Vec<(&'static str, String)>,
    /// Its text; from HTML where there is no other.  Lines end in LF.
    pub text: String,
    /// What it consists of, but for what only holds parts together.
    pub parts: Vec<DecodedPart>,
}

/// A part of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DecodedPart {
    /// Its number, from 1, in the order of the message.
    pub number: u32,
    /// Its type and subtype, in lower case.
    pub media_type: String,
    /// What its author called the file.
    pub name: Option<String>,
    /// Its octets, decoded; text in UTF-8.
    pub octets: u64,
    /// Whether it is in [`DecodedMessage::text`].
    pub is_text: bool,
}

impl DecodedPart {
    /// Whether a terminal may show it.
    #[must_use]
    pub(crate) fn is_for_people(&self) -> bool {
        self.media_type.starts_with("text/") || self.media_type.starts_with("message/")
    }
}

/// Reads a message; nothing where it has no header that could be read.
#[must_use]
pub(crate) fn read(message: &[u8]) -> DecodedMessage {
    let Some(parsed) = MessageParser::new().parse(message) else { return DecodedMessage::default() };
    let mut text = String::new();
    let mut shown = parsed.text_body.clone();
    if shown.is_empty() {
        // It is torn, or nothing but attachments.
        shown.extend(leaves(&parsed).map(|(_, id, _)| id));
    }
    for id in &shown {
        let part = parsed.part(*id).map(|part| &part.body);
        let more = match part {
            Some(PartType::Text(plain)) => plain.replace("\r\n", "\n"),
            Some(PartType::Html(html)) => html_to_text(html),
            _ => continue,
        };
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(more.trim_end());
        text.push('\n');
    }
    let in_text = |id: u32| shown.contains(&id) && is_text(parsed.part(id));
    let parts = leaves(&parsed).map(|(number, id, part)| described(number, part, in_text(id))).collect();
    DecodedMessage { fields: fields(&parsed), text, parts }
}

/// A part by its number, and its octets, decoded.
#[must_use]
pub(crate) fn part(message: &[u8], number: u32) -> Option<(DecodedPart, Vec<u8>)> {
    let parsed = MessageParser::new().parse(message)?;
    let (_, _, part) = leaves(&parsed).find(|(found, _, _)| *found == number)?;
    Some((described(number, part, false), contents(part).to_vec()))
}

/// All fields of a header, in order, unfolded and decoded (RFC 2047).
#[must_use]
pub(crate) fn header(header: &[u8]) -> Vec<(String, String)> {
    let parser = MessageParser::new().default_header_raw();
    let Some(parsed) = parser.parse_headers(header) else { return Vec::new() };
    let fields = parsed.headers().iter().map(|field| {
        let place = |offset: u32| usize::try_from(offset).unwrap_or(usize::MAX);
        let value = header.get(place(field.offset_start)..place(field.offset_end)).unwrap_or_default();
        (field.name.as_str().to_owned(), decoded(&String::from_utf8_lossy(value)))
    });
    fields.collect()
}

fn is_text(part: Option<&MessagePart<'_>>) -> bool {
    part.is_some_and(|part| matches!(part.body, PartType::Text(_) | PartType::Html(_)))
}

/// The parts that hold something, with their numbers and places.
fn leaves<'m, 'x>(message: &'m Message<'x>) -> impl Iterator<Item = (u32, u32, &'m MessagePart<'x>)> {
    let holds = |part: &&'m MessagePart<'x>| !matches!(part.body, PartType::Multipart(_));
    let parts = (0..).zip(&message.parts).filter(move |(_, part)| holds(part));
    (1..).zip(parts).map(|(number, (id, part))| (number, id, part))
}

fn described(number: u32, part: &MessagePart<'_>, is_text: bool) -> DecodedPart {
    let media_type = part.content_type().map(|kind| {
        let subtype = kind.subtype().map_or_else(String::new, |subtype| format!("/{subtype}"));
        format!("{}{subtype}", kind.ctype()).to_ascii_lowercase()
    });
    let default = if matches!(part.body, PartType::Text(_) | PartType::Html(_)) {
        "text/plain"
    } else {
        "application/octet-stream"
    };
    DecodedPart {
        number,
        media_type: media_type.unwrap_or_else(|| default.to_owned()),
        name: part.attachment_name().map(decoded).filter(|name| !name.is_empty()),
        octets: wide(contents(part).len()),
        is_text,
    }
}

fn contents<'p>(part: &'p MessagePart<'_>) -> &'p [u8] {
    match &part.body {
        PartType::Text(text) | PartType::Html(text) => text.as_bytes(),
        PartType::Binary(octets) | PartType::InlineBinary(octets) => octets,
        PartType::Message(message) => message.raw_message(),
        PartType::Multipart(_) => &[],
    }
}

fn fields(message: &Message<'_>) -> Vec<(&'static str, String)> {
    let mut fields = Vec::new();
    let mut put = |name, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            fields.push((name, value));
        }
    };
    put("From", message.from().map(addresses));
    put("Reply-To", message.reply_to().map(addresses));
    put("To", message.to().map(addresses));
    put("Cc", message.cc().map(addresses));
    put("Date", message.header_raw(HeaderName::Date).map(decoded));
    put("Subject", message.subject().map(one_line));
    fields
}

fn addresses(addresses: &Address<'_>) -> String {
    let one = |address: &mail_parser::Addr<'_>| match (address.name(), address.address()) {
        (Some(name), Some(address)) => format!("{} <{}>", one_line(name), one_line(address)),
        (Some(one), None) | (None, Some(one)) => one_line(one),
        (None, None) => String::new(),
    };
    let mut all: Vec<String> = addresses.iter().map(one).filter(|one| !one.is_empty()).collect();
    let more = all.len().saturating_sub(MOST_ADDRESSES);
    if more > 0 {
        all.truncate(MOST_ADDRESSES);
        all.push(format!("and {more} more"));
    }
    all.join(", ")
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A value as people read it: its encoded words decoded, as those of a subject are.
fn decoded(value: &str) -> String {
    let line = one_line(value);
    if !line.contains("=?") {
        return line;
    }
    let header = [b"Subject: ", line.as_bytes(), b"\n\n"].concat();
    HeaderSummary::of(&header).subject.unwrap_or(line)
}

/// Elements that stand in lines of their own.
const BLOCKS: [&str; 20] = [
    "address",
    "article",
    "blockquote",
    "center",
    "dd",
    "div",
    "dt",
    "footer",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "li",
    "section",
    "table",
    "tr",
    "ul",
];

/// HTML as text: elements that stand in lines of their own do, items have a dash, and links are numbered and listed below.
fn html_to_text(html: &str) -> String {
    let (mut out, mut links, mut rest) = (String::with_capacity(html.len()), Links::default(), html);
    while let Some(at) = rest.find('<') {
        let (text, tagged) = rest.split_at(at);
        out.push_str(text);
        let end = if tagged.starts_with("<!--") { "-->" } else { ">" };
        let length = tagged.find(end).map_or(tagged.len(), |at| at.saturating_add(end.len()));
        let (tag, after) = tagged.split_at(length);
        rest = after;
        out.push_str(tag);
        let closes = tag.starts_with("</");
        let name = name(tag);
        match (name.as_str(), closes) {
            ("li", false) => out.push_str("<br>- "),
            ("a", false) => links.open(tag),
            ("a", true) => links.close(&mut out),
            ("td" | "th", true) => out.push(' '),
            ("hr", _) => out.push_str("<br>"),
            (name, true) if BLOCKS.contains(&name) => out.push_str("<br>"),
            _ => {}
        }
    }
    out.push_str(rest);
    let mut text = squeezed(&mail_parser::decoders::html::html_to_text(&out));
    if !links.found.is_empty() {
        text.push('\n');
    }
    for (number, link) in (1..).zip(&links.found) {
        text.push_str(&format!("[{number}] {link}\n"));
    }
    text
}

/// The name of a tag, in lower case.
fn name(tag: &str) -> String {
    let name = tag.trim_start_matches(['<', '/']);
    name.chars().take_while(char::is_ascii_alphanumeric).take(12).collect::<String>().to_ascii_lowercase()
}

/// The links of a text.
#[derive(Debug, Default)]
struct Links {
    open: Option<String>,
    found: Vec<String>,
}

impl Links {
    fn open(&mut self, tag: &str) {
        self.open = target(tag).filter(|_| self.found.len() < MOST_LINKS);
    }

    /// Writes the link's number behind its text, unless that shows where it leads.
    fn close(&mut self, out: &mut String) {
        let Some(link) = self.open.take() else { return };
        let shown = out.rfind("<a").or_else(|| out.rfind("<A")).and_then(|at| out.get(at..));
        let plain = link.trim_start_matches("mailto:");
        let text = shown.and_then(|shown| shown.split_once('>')).map_or("", |(_, text)| text);
        if text.contains(plain) {
            return;
        }
        self.found.push(link);
        out.push_str(&format!("[{}]", self.found.len()));
    }
}

/// Where a tag leads: only what people can open.
fn target(tag: &str) -> Option<String> {
    let at = tag.to_ascii_lowercase().find("href")?;
    let value = tag.get(at..)?.split_once('=')?.1.trim_start();
    let link = match value.chars().next()? {
        quote @ ('"' | '\'') => value.get(1..)?.split(quote).next()?,
        _ => value.split([' ', '>', '\t', '\n', '\r']).next()?,
    };
    let link = link.trim().replace("&amp;", "&");
    let opens = ["http://", "https://", "mailto:"].iter().any(|scheme| link.starts_with(scheme));
    (opens && !link.contains(char::is_whitespace)).then_some(link)
}

/// Without blanks at the ends of lines, and without more than one empty line in a row.
fn squeezed(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut empty = 0_u32;
    for line in text.lines().map(str::trim) {
        empty = if line.is_empty() { empty.saturating_add(1) } else { 0 };
        if empty <= 1 && !(out.is_empty() && line.is_empty()) {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, proptest};

    use super::{DecodedPart, header, html_to_text, part, read};

    const MIXED: &[u8] = b"From: =?utf-8?Q?J=C3=BCrgen?= <j@example.org>\nTo: a@x, B <b@x>\nSubject: Two\n\
        Date: Fri, 27 Nov 2026 09:12:00 +0100\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=o\n\n\
        preamble\n--o\nContent-Type: multipart/alternative; boundary=i\n\n\
        --i\nContent-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\nGr=FC=DFe=\n, you\n\
        --i\nContent-Type: text/html\n\n<p>Gr&uuml;&szlig;e</p>\n--i--\n\
        --o\nContent-Type: image/png; name=\"x.png\"\nContent-Transfer-Encoding: base64\n\
        Content-Disposition: attachment; filename*=utf-8''b%C3%BCro.png\n\niVBORw0KGgo=\n\
        --o\nContent-Type: message/rfc822\n\nSubject: inner\n\ninside\n--o--\n";

    #[test]
    fn a_message_with_attachments() {
        let reading = read(MIXED);
        let fields: Vec<String> =
            reading.fields.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        assert_eq!(
            fields,
            [
                "From: J\u{fc}rgen <j@example.org>",
                "To: a@x, B <b@x>",
                "Date: Fri, 27 Nov 2026 09:12:00 +0100",
                "Subject: Two"
            ]
        );
        assert_eq!(reading.text, "Gr\u{fc}\u{df}e, you\n");
        let shown: Vec<_> = reading
            .parts
            .iter()
            .map(|part| {
                (part.number, part.media_type.as_str(), part.name.as_deref(), part.octets, part.is_text)
            })
            .collect();
        assert_eq!(
            shown,
            [
                (1, "text/plain", None, 12, true),
                (2, "text/html", None, 23, false),
                (3, "image/png", Some("b\u{fc}ro.png"), 8, false),
                (4, "message/rfc822", None, 22, false),
            ]
        );
        let (DecodedPart { media_type, .. }, octets) = part(MIXED, 3).unwrap();
        assert_eq!((media_type.as_str(), octets.as_slice()), ("image/png", &b"\x89PNG\r\n\x1a\n"[..]));
        assert_eq!(part(MIXED, 4).unwrap().1, b"Subject: inner\n\ninside");
        assert_eq!((part(MIXED, 0), part(MIXED, 5)), (None, None));
    }

    #[test]
    fn a_message_of_html_alone() {
        let html = "Content-Type: text/html; charset=utf-8\n\n<head><title>no</title></head><body><h1>Hi</h1>\
                    <div>one</div><div>two &amp; <b>three</b></div><ul><li>x</li><li>y</li></ul>\
                    <a href=\"https://example.org/a?b=1&amp;c=2\">here</a> or \
                    <a href='https://example.org/'>https://example.org/</a><!-- > <b>hidden</b> --></body>";
        let expected = "Hi\none\ntwo & three\n\n- x\n\n- y\n\nhere[1] or https://example.org/\n\n\
                        [1] https://example.org/a?b=1&c=2\n";
        assert_eq!(read(html.as_bytes()).text, expected);
    }

    #[test]
    fn broken_messages_are_read_as_far_as_they_go() {
        assert_eq!(read(b"").text, "");
        assert_eq!(read(b"Subject: x\n\nbody").text, "body\n");
        assert_eq!(read(b"\nbody only\n").text, "body only\n");
        let torn =
            read(b"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\ntorn");
        assert_eq!((torn.text.as_str(), torn.parts.len()), ("torn\n", 1));
        for html in [
            "<",
            "<a",
            "<a href",
            "<a href=",
            "<a href=\"",
            "</",
            "<!--",
            "&",
            "&#x;",
            "a<b",
            "<a href=http://x>",
        ] {
            let _ = html_to_text(html);
        }
    }

    #[test]
    fn a_header_with_its_fields_in_order() {
        let found = header(b"Received: by x\r\n\tfor y\r\nSubject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\r\nX-Odd:\r\n\r\nbody: no\r\n");
        let found: Vec<String> = found.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        assert_eq!(found, ["Received: by x for y", "Subject: Gr\u{fc}\u{df}e", "X-Odd: "]);
    }

    proptest! {
        #[test]
        fn any_octets_can_be_read(octets in prop::collection::vec(any::<u8>(), 0..400), at in 0..20_usize) {
            let mut message = MIXED.to_vec();
            let at = message.len() * at / 20;
            message.splice(at..at, octets.iter().copied());
            for message in [&message[..], &octets, &[b"Content-Type: text/html\n\n", octets.as_slice()].concat()] {
                let reading = read(message);
                let _ = header(message);
                for number in 0..=reading.parts.len() {
                    let _ = part(message, u32::try_from(number).unwrap());
                }
            }
        }

        #[test]
        fn any_html_can_be_read(html in "(<|>|/|a|href=|\"|'|!--|-->|&|amp;|#x41;|script|li|\\PC){0,60}") {
            let _ = html_to_text(&html);
        }
    }
}
