//! A proxy that works: it notes what it was asked for, and connects to one server, whatever the name.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;

/// What it speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Socks,
    Http,
}

/// Listens on 127.0.0.1 until dropped.
pub struct Proxy {
    kind: Kind,
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    target: SocketAddr,
    requests: Mutex<Vec<String>>,
    stopping: AtomicBool,
}

impl Proxy {
    pub fn start(kind: Kind, port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let target = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let shared =
            Arc::new(Shared { target, requests: Mutex::default(), stopping: AtomicBool::new(false) });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming() {
                if accepting.stopping.load(SeqCst) {
                    return;
                }
                let (client, shared) = (client.unwrap(), Arc::clone(&accepting));
                // A client that goes away ends it.
                thread::spawn(move || drop(serve(kind, client, &shared)));
            }
        });
        Self { kind, address, shared }
    }

    /// As `proxy` has it.
    pub fn url(&self) -> String {
        let scheme = if self.kind == Kind::Socks { "socks5" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// What it was asked for, as `HOST:PORT`, with `USER:PASSWORD@` before it if there was one.
    pub fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().unwrap().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stopping.store(true, SeqCst);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(kind: Kind, mut client: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let request = match kind {
        Kind::Socks => socks(&mut client)?,
        Kind::Http => http(&mut client)?,
    };
    shared.requests.lock().unwrap().push(request);
    let server = TcpStream::connect(shared.target)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    client.write_all(match kind {
        Kind::Socks => b"\x05\x00\x00\x03\x09somewhere\x00\x6e",
        Kind::Http => b"HTTP/1.1 200 Connection established\r\nVia: tests\r\n\r\n",
    })?;
    let (to, from) = (server.try_clone()?, client.try_clone()?);
    let up = thread::spawn(move || pass(from, to));
    pass(server, client);
    up.join().unwrap();
    Ok(())
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    let ended = std::io::copy(&mut from, &mut to);
    let how = if ended.is_ok() { Shutdown::Write } else { Shutdown::Both };
    let _ = to.shutdown(how);
    if ended.is_err() {
        let _ = from.shutdown(Shutdown::Both);
    }
}

fn octets<const N: usize>(client: &mut TcpStream) -> std::io::Result<[u8; N]> {
    let mut octets = [0; N];
    client.read_exact(&mut octets).map(|()| octets)
}

fn text(client: &mut TcpStream) -> std::io::Result<String> {
    let [length] = octets(client)?;
    let mut text = vec![0; usize::from(length)];
    client.read_exact(&mut text)?;
    Ok(String::from_utf8(text).unwrap())
}

fn socks(client: &mut TcpStream) -> std::io::Result<String> {
    let [version, methods] = octets(client)?;
    assert_eq!(version, 5);
    let mut offered = vec![0; usize::from(methods)];
    client.read_exact(&mut offered)?;
    let mut login = String::new();
    if offered.contains(&2) {
        client.write_all(&[5, 2])?;
        let [1] = octets(client)? else { panic!("not RFC 1929") };
        login = format!("{}:{}@", text(client)?, text(client)?);
        client.write_all(&[1, 0])?;
    } else {
        client.write_all(&[5, 0])?;
    }
    let [5, 1, 0, kind] = octets(client)? else { panic!("not CONNECT") };
    let host = match kind {
        1 => Ipv4Addr::from(octets::<4>(client)?).to_string(),
        3 => text(client)?,
        4 => format!("[{}]", std::net::Ipv6Addr::from(octets::<16>(client)?)),
        kind => panic!("kind {kind}"),
    };
    Ok(format!("{login}{host}:{}", u16::from_be_bytes(octets(client)?)))
}

fn http(client: &mut TcpStream) -> std::io::Result<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        head.push(char::from(octets::<1>(client)?[0]));
    }
    let place = head.strip_prefix("CONNECT ").unwrap().split(' ').next().unwrap();
    assert!(head.contains(&format!("\r\nHost: {place}\r\n")), "{head}");
    let login = head.lines().find_map(|line| line.strip_prefix("Proxy-Authorization: Basic "));
    Ok(login.map_or_else(|| place.to_owned(), |login| format!("{login}@{place}")))
}
