//! Lines: reading, writing, waiting, ending.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use native_tls::TlsStream;

use super::{
    CONNECTORS, LONG, SHORT, by_authority, give, good, open, open_clear, says_hello, serve, serve_tls, take,
    target,
};
use crate::account::{Tls, Trust};
use crate::connection::{Connection, Wake};
use crate::exit::ExitCode;
use crate::problem::Problem as _;
use crate::signals::Stop;
use crate::types::Channel;

#[test]
fn a_connection_may_move_to_another_thread() {
    fn moves<T: Send>() {}
    moves::<Connection>();
}

/// A password in clear is for this machine only, and the user must have named it as such: another name's address is
/// whoever's who answers for it.
#[test]
fn a_name_that_leads_to_loopback_is_not_loopback() {
    // The same address, by another name: what the hosts file calls it, for example.
    let mut connection = open_clear_line();
    connection.stays_here = false;
    assert_eq!(connection.channel(), Channel::Clear);
}

fn open_clear_line() -> Connection {
    let (port, server) = serve(drop);
    let connection = open_clear(port);
    server.join().unwrap();
    assert_eq!(connection.channel(), Channel::Loopback);
    connection
}

#[test]
fn a_refused_connection_says_so() {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let error = open("localhost", port, &Trust::default()).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with(&format!("cannot connect to localhost:{port}: ")), "{text}");
    assert!(text.contains(&format!("127.0.0.1:{port}: Connection refused")), "{text}");
    assert_eq!(error.exit_code(), ExitCode::Later);
}

#[test]
fn large_transfers_both_ways_at_once() {
    let data: Vec<u8> = (0..4_000_000_u32).flat_map(|n| n.to_le_bytes().into_iter().take(1)).collect();
    let echo = |mut stream: TlsStream<TcpStream>| {
        let mut buffer = vec![0; 50_000];
        loop {
            let read = stream.read(&mut buffer).unwrap();
            if read == 0 {
                break;
            }
            stream.write_all(&buffer[..read]).unwrap();
        }
    };
    let (port, server) = serve_tls(&good(), echo);
    let mut connection = open("localhost", port, &by_authority()).unwrap();
    let (mut sent, mut received, mut buffer) = (0, Vec::new(), vec![0; 100_000]);
    let until = Instant::now() + LONG;
    while received.len() < data.len() {
        let mut moved = false;
        while let Some(read) = connection.read(&mut buffer).unwrap() {
            assert_ne!(read, 0);
            received.extend_from_slice(&buffer[..read]);
            moved = true;
        }
        if sent < data.len()
            && let Some(written) = connection.write(&data[sent..]).unwrap()
        {
            sent += written;
            moved = true;
        }
        if !moved {
            assert_eq!(connection.wait(sent < data.len(), until, true, None).unwrap(), Wake::Ready);
        }
    }
    assert!(received == data);
    connection.close();
    server.join().unwrap();
}

#[test]
fn end_with_and_without_close_notify() {
    for notify in [true, false] {
        let (port, server) = serve_tls(&good(), move |mut stream| {
            stream.write_all(b"+OK bye\r\n").unwrap();
            if notify {
                stream.shutdown().unwrap();
            }
        });
        let mut connection = open("localhost", port, &by_authority()).unwrap();
        assert_eq!(take(&mut connection, 100), b"+OK bye\r\n", "notify: {notify}");
        let mut buffer = [0; 10];
        assert_eq!(connection.read(&mut buffer).unwrap(), Some(0), "the end stays the end");
        server.join().unwrap();
    }
}

#[test]
fn a_close_notify_ends_the_stream_while_tcp_stays() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (port, server) = serve_tls(&good(), move |mut stream| {
        stream.write_all(b"x").unwrap();
        let _ = stream.shutdown();
        // TCP is held open until the client has seen the end.
        let _ = (&theirs).read(&mut [0]);
    });
    let mut connection = open("localhost", port, &by_authority()).unwrap();
    assert_eq!(take(&mut connection, 100), b"x");
    drop(ours);
    server.join().unwrap();
}

#[test]
fn damaged_records_break_the_line() {
    let (port, server) = serve_tls(&good(), |mut stream| {
        stream.write_all(b"+OK\r\n").unwrap();
        // An application-data record that nobody encrypted.
        stream.get_mut().write_all(b"\x17\x03\x03\x00\x20abcdefghijklmnopqrstuvwxyz012345").unwrap();
        let _ = stream.get_mut().read_to_end(&mut Vec::new());
    });
    let mut connection = open("localhost", port, &by_authority()).unwrap();
    assert_eq!(take(&mut connection, 5), b"+OK\r\n");
    let mut buffer = [0; 100];
    let error = loop {
        match connection.read(&mut buffer) {
            Ok(None) => connection.wait(false, Instant::now() + LONG, false, None).unwrap(),
            Ok(Some(octets)) => panic!("{octets} octets"),
            Err(error) => break error,
        };
    };
    assert_eq!((error.exit_code(), error.is_transient()), (ExitCode::Later, true), "{error}");
    assert_eq!(connection.read(&mut buffer).unwrap(), Some(0), "a fault is reported once");
    drop(connection);
    server.join().unwrap();
}

#[test]
fn a_clear_line_reads_writes_and_ends() {
    let (port, server) = serve(says_hello);
    let mut connection = open_clear(port);
    assert_eq!(connection.channel(), Channel::Loopback);
    assert_eq!(connection.peer(), Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port))));
    assert_eq!(connection.server(), format!("127.0.0.1:{port}"));
    assert_eq!(take(&mut connection, 11), b"+OK hello\r\n");
    assert_eq!(connection.read(&mut [0; 10]).unwrap(), None);
    assert_eq!(connection.read(&mut []).unwrap(), None);
    give(&mut connection, b"QUIT\r\n");
    assert_eq!(take(&mut connection, 1), b"");
    server.join().unwrap();
}

#[test]
fn a_reset_breaks_a_clear_line() {
    let (port, server) = serve(|mut socket| {
        // Not before the client has connected.
        socket.read_exact(&mut [0]).unwrap();
        rustix::net::sockopt::set_socket_linger(&socket, Some(Duration::ZERO)).unwrap();
    });
    let mut connection = open_clear(port);
    give(&mut connection, b"x");
    server.join().unwrap();
    assert_eq!(connection.wait(false, Instant::now() + LONG, false, None).unwrap(), Wake::Ready);
    let error = connection.read(&mut [0; 10]).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("the connection to 127.0.0.1:{port} broke: Connection reset by peer")
    );
    assert_eq!(error.exit_code(), ExitCode::Later);
}

#[test]
fn what_ends_a_wait() {
    let (port, server) = serve(|mut socket| {
        socket.write_all(b"x").unwrap();
        let _ = socket.read_to_end(&mut Vec::new());
    });
    let trust = Trust::default();
    let stop = Stop::new().unwrap();
    let target = target("127.0.0.1", port, Tls::None, &trust);
    let mut connection = Connection::open(&target, &CONNECTORS, &stop).unwrap();
    let (other, mut waker) = UnixStream::pair().unwrap();
    let other = Some(other.as_fd());
    let (past, later) = (Instant::now(), Instant::now() + LONG);

    assert_eq!(connection.wait(false, later, true, other).unwrap(), Wake::Ready);
    assert_eq!(take(&mut connection, 1), b"x");
    assert_eq!(connection.wait(false, past, true, other).unwrap(), Wake::TimedOut);
    assert_eq!(connection.wait(false, Instant::now() + SHORT / 10, true, other).unwrap(), Wake::TimedOut);
    assert_eq!(connection.wait(true, later, true, other).unwrap(), Wake::Ready, "there is room to write");
    waker.write_all(b"!").unwrap();
    assert_eq!(connection.wait(true, later, true, other).unwrap(), Wake::Woken);
    assert_eq!(connection.wait(true, later, true, None).unwrap(), Wake::Ready);
    stop.raise();
    assert_eq!(connection.wait(true, later, true, other).unwrap(), Wake::Stopped);
    assert_eq!(
        connection.wait(false, past, false, None).unwrap(),
        Wake::TimedOut,
        "the signal was not asked for"
    );
    drop(waker);
    assert_eq!(connection.wait(false, later, false, other).unwrap(), Wake::Woken);
    drop(connection);
    server.join().unwrap();
}
