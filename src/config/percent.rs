//! Parts of URLs: octets written as `%HH`, a host with a port.

use super::mistake::Mistake;

/// A host, in brackets if it has colons, and the port behind it, if there is one.
pub(super) fn split_port(text: &str) -> Result<(&str, Option<u16>), Mistake> {
    // In an address literal the colons before the bracket belong to the address.
    let from = text.rfind(']').unwrap_or(if text.starts_with('[') { text.len() } else { 0 });
    let colon = text.get(from..).and_then(|rest| rest.rfind(':')).and_then(|at| from.checked_add(at));
    let parts = colon.and_then(|at| Some((text.get(..at)?, text.get(at.checked_add(1)?..)?)));
    let Some((host, digits)) = parts else { return Ok((text, None)) };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Mistake::new("the port is not a number"));
    }
    match digits.parse() {
        Ok(0) | Err(_) => Err(Mistake::new("the port is not a number from 1 to 65535")),
        Ok(port) => Ok((host, Some(port))),
    }
}

/// Takes `%HH` for an octet.
pub(super) fn decoded(text: &str) -> Result<Vec<u8>, Mistake> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&octet, after)) = rest.split_first() {
        rest = after;
        if octet != b'%' {
            out.push(octet);
            continue;
        }
        let hex = after.split_at_checked(2).filter(|(hex, _)| hex.iter().all(u8::is_ascii_hexdigit));
        let value = hex.and_then(|(hex, after)| {
            rest = after;
            u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()
        });
        out.push(
            value.ok_or_else(|| Mistake::new("a % without two hexadecimal digits").hint("write % as %25"))?,
        );
    }
    Ok(out)
}
