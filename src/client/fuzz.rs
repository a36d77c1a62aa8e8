//! What a fuzzer calls.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener};
use std::time::Duration;

use super::{Call, Client, Login, Next, PrefetchFlight, Sending};
use crate::account::{Auth, Tls, Trust, Way};
use crate::connection::Connectors;
use crate::protocol::sasl::Credentials;
use crate::protocol::session::{Sent, ServerEvent};
use crate::secret::Secret;
use crate::signals::Stop;
use crate::types::MessageNumber;

/// What comes before the script: a greeting, and the answers to CAPA, USER and PASS.
const LOGIN: [&[u8]; 4] = [b"+OK\r\n", b"+OK\r\nUIDL\r\nTOP\r\nPIPELINING\r\n.\r\n", b"+OK\r\n", b"+OK\r\n"];

/// This many messages are asked for in one flight, each with a question about it.
const MESSAGES: u32 = 4;

/// How long the client waits for an answer.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the server waits for a command before it sends the next piece all the same: the client may be waiting for the rest
/// of an answer.
const PATIENCE: Duration = Duration::from_millis(5);

/// For fuzzing: a server that answers each command with the next piece of `script`, whatever was asked, and closes; NUL
/// separates the pieces.  Capabilities, listings, headers, messages and questions follow a login.  Nothing panics, nothing
/// is waited for when the server has gone, a message ends once at most and only if it was asked for, and no text comes behind
/// its end.
#[doc(hidden)]
pub fn fuzz_client(script: &[u8]) {
    // Without a socket there is nothing to test.
    let _ = played(script, PATIENCE);
}

/// How many messages came whole, where the login succeeded.
fn played(script: &[u8], patience: Duration) -> Option<usize> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).ok()?;
    let port = listener.local_addr().ok()?.port();
    std::thread::scope(|scope| {
        scope.spawn(move || serve(&listener, script, patience));
        let ended = session(port);
        // If it never came: the listener waits for a connection.
        let _ = std::net::TcpStream::connect(("127.0.0.1", port));
        ended
    })
}

fn serve(listener: &TcpListener, script: &[u8], patience: Duration) -> std::io::Result<()> {
    let (mut socket, _) = listener.accept()?;
    let [greeting, login @ ..] = LOGIN;
    socket.write_all(greeting)?;
    let mut heard = [0; 4096];
    let mut unanswered = 0_usize;
    let mut answers = login.into_iter().map(|piece| (piece, CLIENT_TIMEOUT));
    let mut script = script.split(|octet| *octet == 0).map(|piece| (piece, patience));
    while let Some((piece, patience)) = answers.next().or_else(|| script.next()) {
        if unanswered == 0 {
            socket.set_read_timeout(Some(patience))?;
            unanswered = match socket.read(&mut heard) {
                Ok(0) => return Ok(()),
                Ok(octets) => heard.iter().take(octets).filter(|octet| **octet == b'\n').count(),
                Err(_) => 1,
            };
        }
        unanswered = unanswered.saturating_sub(1);
        socket.write_all(piece)?;
    }
    socket.shutdown(Shutdown::Write)?;
    socket.set_read_timeout(Some(CLIENT_TIMEOUT))?;
    while socket.read(&mut heard)? > 0 {}
    Ok(())
}

fn session(port: u16) -> Option<usize> {
    let secret = Secret::new("pencil");
    let (trust, way, connectors, stop) =
        (Trust::default(), Way::default(), Connectors::default(), Stop::new().ok()?);
    let credentials = Credentials { user: "user", secret: &secret, host: "127.0.0.1", port };
    let call = Call {
        credentials,
        tls: Tls::None,
        trust: &trust,
        way: &way,
        owner: None,
        timeout: CLIENT_TIMEOUT,
        connectors: &connectors,
        stop: &stop,
        remembered: None,
        utf8: false,
        dialogue: None,
    };
    let login = Login {
        credentials,
        auth: Auth::UserPass,
        strongest_ever: None,
        pipelining: true,
        prefetch: None,
        flight: PrefetchFlight::Two,
    };
    let mut client = Client::open(&call).ok()?.login(&login).ok()?;
    client.set_pipelining(Sending::On);
    let _ = client.unique_ids::<(), super::Error>(|_| None, |_, _, _| Ok(())).ok()?;
    let _ = client.sizes(|_, _| {}).ok()?;
    let numbers: Vec<MessageNumber> = (1..=MESSAGES).filter_map(MessageNumber::new).collect();
    for number in &numbers {
        client.retrieve(*number).ok()?;
        client.unique_id_of(*number).ok()?;
    }
    let mut ended: Vec<MessageNumber> = Vec::new();
    while client.outstanding() > 0 {
        match client.next(None, None).ok()? {
            Next::Event => {}
            Next::Woken | Next::Quiet | Next::Stopped => return None,
        }
        match client.event() {
            ServerEvent::Text { number, text } => {
                assert!(numbers.contains(&number) && !text.is_empty() && !ended.contains(&number));
            }
            ServerEvent::End { to: Sent::Retr(number), .. } => {
                assert!(numbers.contains(&number) && !ended.contains(&number));
                ended.push(number);
            }
            ServerEvent::Farewell(reply) => {
                let _ = client.farewell(reply.text).to_string();
                return None;
            }
            _ => {}
        }
    }
    let _ = client.quit();
    Some(ended.len())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::played;

    /// The answers to CAPA, UIDL, LIST, and to RETR and UIDL of four messages; the last two are not there.
    const GOOD: &str = "+OK\r\nUIDL\r\n.\r\n\0+OK\r\n1 a\r\n2 b\r\n.\r\n\0+OK\r\n1 5\r\n2 5\r\n.\r\n\0\
                        +OK\r\nA: b\r\n\r\n..\r\n.\r\n\0+OK 1 a\r\n\0+OK\r\nx\r\n.\r\n\0+OK 2 b\r\n\0\
                        -ERR\r\n\0-ERR\r\n\0-ERR\r\n\0-ERR\r\n\0+OK\r\n";

    #[test]
    fn a_server_in_step_is_read_to_the_end() {
        assert_eq!(played(GOOD.as_bytes(), Duration::from_secs(5)), Some(2));
    }

    #[test]
    fn a_server_that_sends_anything_does_no_harm() {
        for cut in (0..=GOOD.len()).step_by(5) {
            super::fuzz_client(&GOOD.as_bytes()[..cut]);
        }
        for (from, to) in [
            ("+OK", "-ERR"),
            ("\r\n.\r\n", "\r\n.\r\n+OK\r\n"),
            ("1 a", "2 b"),
            ("\r\n", "\n"),
            ("+OK 1", "\u{1}"),
            ("\0", ""),
        ] {
            super::fuzz_client(GOOD.replace(from, to).as_bytes());
        }
    }
}
