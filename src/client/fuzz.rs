//! What a fuzzer calls.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener};
use std::time::Duration;

use super::{Call, Client, Flight, Login, Next, Pipelining};
use crate::account::{Auth, Tls, Trust};
use crate::connection::Connectors;
use crate::protocol::sasl::Credentials;
use crate::protocol::session::{Event, Sent};
use crate::secret::Secret;
use crate::stop::Stop;
use crate::types::MessageNumber;

/// What comes before the script: a greeting, capabilities, and a login.
const LOGIN: &[u8] = b"+OK\r\n+OK\r\nUIDL\r\nTOP\r\nPIPELINING\r\n.\r\n+OK\r\n+OK\r\n";

/// So many messages are asked for in one flight, each with a question about it.
const MESSAGES: u32 = 4;

/// For fuzzing: a server that says `script`, whatever it is asked, and closes; capabilities, listings, headers, messages
/// and questions are in flight together.  Nothing panics, nothing is waited for when the server has gone, a message ends
/// once at most and only if it was asked for, and no text comes behind its end.
#[doc(hidden)]
pub fn fuzz_client(script: &[u8]) {
    // No sockets to be had says nothing of the client.
    let _ = played(script);
}

fn played(script: &[u8]) -> Option<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).ok()?;
    let port = listener.local_addr().ok()?.port();
    std::thread::scope(|scope| {
        scope.spawn(move || -> std::io::Result<()> {
            let (mut socket, _) = listener.accept()?;
            socket.write_all(LOGIN)?;
            socket.write_all(script)?;
            socket.shutdown(Shutdown::Write)?;
            let mut heard = [0; 4096];
            while socket.read(&mut heard)? > 0 {}
            Ok(())
        });
        let _ = session(port);
        // If it never came: the listener waits for somebody.
        let _ = std::net::TcpStream::connect(("127.0.0.1", port));
    });
    Some(())
}

fn session(port: u16) -> Option<()> {
    let secret = Secret::new("pencil");
    let (trust, connectors, stop) = (Trust::default(), Connectors::default(), Stop::new().ok()?);
    let credentials = Credentials { user: "user", secret: &secret, host: "127.0.0.1", port };
    let call = Call {
        credentials,
        tls: Tls::None,
        trust: &trust,
        timeout: Duration::from_secs(5),
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
        flight: Flight::Two,
    };
    let mut client = Client::open(&call).ok()?.login(&login).ok()?;
    client.set_pipelining(Pipelining::On);
    let _ = client.unique_ids(|_, _| Ok::<(), super::Error>(())).ok()?;
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
            Event::Text { number, text } => {
                assert!(numbers.contains(&number) && !text.is_empty() && !ended.contains(&number));
            }
            Event::End { to: Sent::Retr(number), .. } => {
                assert!(numbers.contains(&number) && !ended.contains(&number));
                ended.push(number);
            }
            Event::Farewell(reply) => {
                let _ = client.farewell(reply.text).to_string();
                return None;
            }
            _ => {}
        }
    }
    let _ = client.quit();
    Some(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_server_that_says_anything() {
        let good = "+OK\r\nUIDL\r\n.\r\n+OK\r\n1 a\r\n2 b\r\n.\r\n+OK\r\n1 5\r\n2 5\r\n.\r\n\
                    +OK\r\nA: b\r\n\r\n..\r\n.\r\n+OK 1 a\r\n+OK\r\nx\r\n.\r\n+OK 2 b\r\n-ERR\r\n-ERR\r\n-ERR\r\n-ERR\r\n+OK\r\n";
        for cut in (0..=good.len()).step_by(5) {
            super::fuzz_client(&good.as_bytes()[..cut]);
        }
        for (from, to) in [
            ("+OK", "-ERR"),
            ("\r\n.\r\n", "\r\n.\r\n+OK\r\n"),
            ("1 a", "2 b"),
            ("\r\n", "\n"),
            ("+OK 1", "\0"),
        ] {
            super::fuzz_client(good.replace(from, to).as_bytes());
        }
    }
}
