//! Read-only view of a header.

/// The envelope sender: the topmost `Return-Path`; empty for `<>`, none, or one that isn't an address.
#[must_use]
pub fn sender(header: &[u8]) -> String {
    let text = String::from_utf8_lossy(header);
    let line = text.lines().find_map(|line| line.strip_prefix("Return-Path:"));
    line.map(|l| l.trim().trim_start_matches('<').trim_end_matches('>').to_owned()).unwrap_or_default()
}
