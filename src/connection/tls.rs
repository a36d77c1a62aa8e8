//! TLS: the handshake, the session, and what is wrong when it fails (RFC 8314 §5: TLS 1.2 at least; RFC 9325).
//!
//! OpenSSL (through native-tls) checks chain, dates and purpose; `certificate.rs` checks the name.  A pinned fingerprint
//! replaces all of that.  Nothing of a server that was not verified leaves this file but an error.

use std::error::Error as _;
use std::io::{self, Read as _, Write as _};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use native_tls::{HandshakeError, TlsConnector, TlsStream};
use rustix::event::{PollFd, PollFlags};

use super::certificate::CertificateProblem;
use super::certificate::{CertificateSummary, check_name, fingerprint};
use super::error::{ConnectStep, Error, plain, reason};
use super::patience::after;
use super::poll::poll;
use super::socket::Socket;
use super::target::{Target, server};
use super::trust::Connectors;
use super::wire::{Direction, PeerRecord, Wire};
use crate::access;
use crate::account::{Proxy, ProxyAddress, ProxyKind, Route, Tls};
use crate::signals::Stop;

/// A TLS session with a server that is the one that was meant.
pub(super) struct Secured {
    stream: TlsStream<Wire>,
    memory: Arc<PeerRecord>,
    /// The server's leaf, in DER.
    certificate: Vec<u8>,
    binding: Option<Vec<u8>>,
    // Whether the last read may have left something in the buffers above the socket, where poll(2) does not see it.
    more: bool,
    read_blocked: Direction,
    write_blocked: Direction,
    // OpenSSL must not be asked again after an end or a fault: what is to be reported of it waits here.
    over: bool,
    fault: Option<io::Error>,
}

impl Secured {
    /// Makes TLS of a non-blocking socket and verifies the server.
    pub(super) fn begin(
        socket: Socket,
        target: &Target<'_>,
        connectors: &Connectors,
        stop: &Stop,
    ) -> Result<Self, Error> {
        let connector = connectors.get(target.trust)?;
        let wire = Wire::new(socket, target.trust.client_certificate.is_some());
        let memory = wire.memory();
        let until = after(Instant::now(), target.timeout);
        let mut stream = handshake(&connector, wire, target, until, stop)?;
        let leaf = stream.peer_certificate().ok().flatten().and_then(|leaf| leaf.to_der().ok());
        let certificate = judge(leaf, target)?;
        stream.get_mut().release();
        // None where RFC 5929 defines none (Ed25519: no digest goes with the signature).
        let binding = stream.tls_server_end_point().ok().flatten();
        Ok(Self {
            stream,
            memory,
            certificate,
            binding,
            more: true,
            read_blocked: Direction::In,
            write_blocked: Direction::Out,
            over: false,
            fault: None,
        })
    }

    /// The server's leaf, in DER.
    pub(super) fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// The version of TLS, in words.
    pub(super) fn version(&self) -> Option<&'static str> {
        self.memory.version()
    }

    /// The socket below, to wait for.
    pub(super) fn socket(&self) -> &Socket {
        self.stream.get_ref().socket()
    }

    /// `tls-server-end-point`.
    pub(super) fn binding(&self) -> Option<&[u8]> {
        self.binding.as_deref()
    }

    /// Reads records until the buffer is half full or nothing is there: a record holds 16 KiB at most, and what follows
    /// a read costs more than the read.
    pub(super) fn read(&mut self, into: &mut [u8]) -> io::Result<Option<usize>> {
        let mut filled = 0;
        let enough = into.len().div_ceil(2);
        while filled < enough && !self.over {
            let Some(rest) = into.get_mut(filled..) else { break };
            match self.stream.read(rest) {
                Ok(0) => self.over = true,
                Ok(octets) => filled += octets,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.read_blocked = self.stream.get_ref().blocked();
                    self.more = false;
                    return Ok((filled > 0).then_some(filled));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.over = true;
                    // TCP ended without close_notify: whether anything is missing, the layer above knows.
                    self.fault = Some(error).filter(|_| !self.memory.ended());
                }
            }
        }
        self.more = true;
        // What came before a failure is good, and reported first.
        match self.fault.take() {
            Some(fault) if filled == 0 => Err(fault),
            fault => {
                self.fault = fault;
                Ok(Some(filled))
            }
        }
    }

    /// Writes one record, of 16 KiB at most, if the socket takes it.
    pub(super) fn write(&mut self, octets: &[u8]) -> io::Result<Option<usize>> {
        loop {
            match self.stream.write(octets) {
                Ok(written) => {
                    self.write_blocked = Direction::Out;
                    return Ok(Some(written));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.write_blocked = self.stream.get_ref().blocked();
                    return Ok(None);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether a read may find something that poll(2) does not announce.
    pub(super) fn more(&self) -> bool {
        self.more
    }

    /// What to wait for in order to read, and to write if `write`: TLS may have to write in order to read, and to read
    /// in order to write (renegotiation).
    pub(super) fn interest(&self, write: bool) -> PollFlags {
        let mut interest = flags(self.read_blocked);
        if write {
            interest |= flags(self.write_blocked);
        }
        interest | PollFlags::IN
    }

    /// Says that nothing more comes (close_notify), if the socket takes it.
    pub(super) fn close(mut self) {
        let _ = self.stream.shutdown();
    }

    /// Why a read or a write failed.
    pub(super) fn failure(server: &str, error: &io::Error) -> Error {
        let server = server.to_owned();
        if error.raw_os_error().is_some() {
            return Error::Broken { server, reason: plain(error) };
        }
        // With TLS 1.3 a server's verdict on our certificate comes after the handshake.
        let reason = reason(&error.to_string());
        if about_our_certificate(&reason) {
            Error::ClientCertificate { server, reason }
        } else {
            Error::Broken { server, reason }
        }
    }
}

fn flags(direction: Direction) -> PollFlags {
    match direction {
        Direction::In => PollFlags::IN,
        Direction::Out => PollFlags::OUT,
    }
}

/// The handshake, to its end or until `until`.  Where a client certificate is kept back (`wire.rs`), the server is judged on the way.
pub(super) fn handshake(
    connector: &TlsConnector,
    wire: Wire,
    target: &Target<'_>,
    until: Instant,
    stop: &Stop,
) -> Result<TlsStream<Wire>, Error> {
    let memory = wire.memory();
    let mut outcome = connector.connect(target.host, wire);
    loop {
        match outcome {
            Ok(stream) => return Ok(stream),
            Err(HandshakeError::Failure(error)) => return Err(explain(target, &memory, &error)),
            Err(HandshakeError::WouldBlock(mut unfinished)) => {
                if let Some(leaf) = unfinished.get_ref().held_back() {
                    judge(leaf, target)?;
                    unfinished.get_mut().release();
                } else {
                    await_wire(unfinished.get_ref(), target, until, stop)?;
                }
                outcome = unfinished.handshake();
            }
        }
    }
}

fn await_wire(wire: &Wire, target: &Target<'_>, until: Instant, stop: &Stop) -> Result<(), Error> {
    let mut descriptors = [
        PollFd::new(wire, flags(wire.blocked())),
        PollFd::from_borrowed_fd(stop.descriptor(), PollFlags::IN),
    ];
    let ready = poll(&mut descriptors, until)
        .map_err(|source| Error::Local { action: "wait for the TLS handshake", source })?;
    if stop.raised() {
        return Err(Error::Stopped { server: server(target) });
    }
    if !ready {
        let step = ConnectStep::Handshake;
        return Err(Error::TimedOut { server: server(target), step, limit: target.timeout });
    }
    Ok(())
}

/// Checks that this is the leaf (in DER) of the server that was meant, and gives it back.
fn judge(leaf: Option<Vec<u8>>, target: &Target<'_>) -> Result<Vec<u8>, Error> {
    let Some(leaf) = leaf else { return Err(refused(target, CertificateProblem::Unreadable, None)) };
    let verdict = if target.trust.fingerprints.is_empty() {
        check_name(&leaf, target.host)
    } else {
        let seen = fingerprint(&leaf);
        let pinned = target.trust.fingerprints.contains(&seen);
        if pinned { Ok(()) } else { Err(CertificateProblem::Fingerprint { seen }) }
    };
    match verdict {
        Ok(()) => Ok(leaf),
        Err(problem) => Err(refused(target, problem, Some(&leaf))),
    }
}

fn refused(target: &Target<'_>, problem: CertificateProblem, leaf: Option<&[u8]>) -> Error {
    let (server, look) = (server(target), look(target));
    Error::Certificate { server, problem, look, seen: leaf.map(CertificateSummary::of).map(Box::new) }
}

/// A command that shows the certificate, by the same way; there is no such command for SOCKS, or for a program of the user's.
fn look(target: &Target<'_>) -> Option<String> {
    let server = server(target);
    let named = if target.host.parse::<IpAddr>().is_ok() {
        String::new()
    } else {
        format!(" -servername {}", target.host)
    };
    let to = match &target.way.route {
        Route::Direct => format!("-connect {server}"),
        Route::ConnectTo(place) => format!("-connect {place}{named}"),
        Route::Proxy(Proxy { kind: ProxyKind::Http, address: ProxyAddress::Tcp(place), .. }) => {
            format!("-proxy {place} -connect {server}{named}")
        }
        Route::Socket(path) => format!("-unix {}{named}", access::shell_word(path)),
        Route::Proxy(_) | Route::Command(_) => return None,
    };
    let starttls = if target.tls == Tls::StartTls { " -starttls pop3" } else { "" };
    Some(format!(
        "openssl s_client {to}{starttls} </dev/null | openssl x509 -noout -issuer -dates -ext subjectAltName -fingerprint -sha256"
    ))
}

/// Why the handshake failed.
fn explain(target: &Target<'_>, memory: &PeerRecord, error: &native_tls::Error) -> Error {
    let server = server(target);
    if let Some(error) = error.source().and_then(|source| source.downcast_ref::<io::Error>()) {
        return Error::Broken { server, reason: plain(error) };
    }
    // Records of a handshake begin with 20 to 23 (RFC 8446 §5.1); no text does.
    if let Some(first) = memory.began().first()
        && !(20..=23).contains(first)
    {
        // What follows are answers to the octets of our handshake.
        let said = memory.began().split(|octet| *octet == b'\n').next().unwrap_or_default().to_vec();
        return Error::NotTls { server, tls: target.tls, said };
    }
    let text = error.to_string();
    if text.contains("certificate verify failed") {
        return refused(target, chain_problem(&text), None);
    }
    let reason = reason(&text);
    if about_our_certificate(&reason) {
        Error::ClientCertificate { server, reason }
    } else if ["unsupported protocol", "protocol version", "version too low"]
        .iter()
        .any(|w| reason.contains(w))
    {
        Error::Version { server, reason }
    } else if memory.ended() {
        Error::Closed { server }
    } else {
        Error::Handshake { server, reason }
    }
}

/// What OpenSSL found wrong with the chain: native-tls gives its words only, in parentheses at the end
/// (X509_verify_cert_error_string(3); older versions write "self signed").
fn chain_problem(text: &str) -> CertificateProblem {
    let words = text
        .trim_end()
        .strip_suffix(')')
        .and_then(|text| text.rsplit_once('('))
        .map_or("", |(_, words)| words);
    match words {
        "self-signed certificate"
        | "self signed certificate"
        | "self-signed certificate in certificate chain"
        | "self signed certificate in certificate chain" => CertificateProblem::SelfSigned,
        "unable to get local issuer certificate"
        | "unable to get issuer certificate"
        | "unable to verify the first certificate" => CertificateProblem::UnknownIssuer,
        "certificate has expired" => CertificateProblem::Expired,
        "certificate is not yet valid" => CertificateProblem::NotYetValid,
        "" => CertificateProblem::Other("it could not be verified".to_owned()),
        words => CertificateProblem::Other(words.to_owned()),
    }
}

/// Alerts by which a server refuses a client's certificate, or the lack of one (RFC 8446 §6.2).
fn about_our_certificate(reason: &str) -> bool {
    const ALERTS: [&str; 8] = [
        "alert certificate required",
        "alert bad certificate",
        "alert unsupported certificate",
        "alert certificate revoked",
        "alert certificate expired",
        "alert certificate unknown",
        "alert unknown ca",
        "alert access denied",
    ];
    ALERTS.iter().any(|alert| reason.contains(alert))
}

#[cfg(test)]
mod tests {
    use super::{CertificateProblem, about_our_certificate, chain_problem, reason};

    #[test]
    fn openssl_in_plain_words() {
        let failed = |words| {
            format!(
                "error:0A000086:SSL routines:tls_post_process_server_certificate:certificate verify \
                 failed:../ssl/statem/statem_clnt.c:1889: ({words})"
            )
        };
        let cases = [
            ("self-signed certificate", CertificateProblem::SelfSigned),
            ("self signed certificate", CertificateProblem::SelfSigned),
            ("self-signed certificate in certificate chain", CertificateProblem::SelfSigned),
            ("unable to get local issuer certificate", CertificateProblem::UnknownIssuer),
            ("certificate has expired", CertificateProblem::Expired),
            ("certificate is not yet valid", CertificateProblem::NotYetValid),
            (
                "EE certificate key too weak",
                CertificateProblem::Other("EE certificate key too weak".to_owned()),
            ),
        ];
        for (words, problem) in cases {
            assert_eq!(chain_problem(&failed(words)), problem);
        }
        let unsaid = CertificateProblem::Other("it could not be verified".to_owned());
        assert_eq!(chain_problem("certificate verify failed"), unsaid);

        assert_eq!(reason(&failed("x")), "certificate verify failed");
        let alert = "error:0A00045C:SSL routines:ssl3_read_bytes:tlsv13 alert certificate required:a.c:1:SSL alert \
                     number 116, error:1:x:y:z:b.c:2:";
        assert_eq!(reason(alert), "tlsv13 alert certificate required");
        assert!(about_our_certificate(&reason(alert)));
        for text in ["", "unexpected EOF", "error:", "error:1:2", "error:1:2:3::5:6"] {
            assert_eq!(reason(text), text, "what is not understood is shown whole");
        }
    }
}
