//! A listener in front of a server that talks on its standard input and output, as inetd is; and a line that can be
//! cut.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Accepts connections on loopback until dropped.
struct Listener {
    address: SocketAddr,
    stopping: Arc<AtomicBool>,
    open: Arc<AtomicUsize>,
    acceptor: Option<JoinHandle<()>>,
}

impl Listener {
    fn start(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (stopping, open) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let acceptor = thread::spawn({
            let (stopping, open, serve) = (Arc::clone(&stopping), Arc::clone(&open), Arc::new(serve));
            move || {
                for stream in listener.incoming() {
                    if stopping.load(SeqCst) {
                        return;
                    }
                    let Ok(stream) = stream else { continue };
                    open.fetch_add(1, SeqCst);
                    let (open, serve) = (Arc::clone(&open), Arc::clone(&serve));
                    thread::spawn(move || {
                        serve(stream);
                        open.fetch_sub(1, SeqCst);
                    });
                }
            }
        });
        Self { address, stopping, open, acceptor: Some(acceptor) }
    }

    fn settle(&self) {
        let began = Instant::now();
        while self.open.load(SeqCst) > 0 {
            assert!(began.elapsed() < Duration::from_secs(20), "a session doesn't end");
            thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stopping.store(true, SeqCst);
        let _ = TcpStream::connect(self.address);
        let _ = self.acceptor.take().unwrap().join();
    }
}

/// Starts a program for each connection.
pub(super) struct Front {
    listener: Listener,
}

impl Front {
    /// `login` talks first, and returns whether the program is to follow.
    pub(super) fn start(login: impl Fn(&mut TcpStream) -> Option<Command> + Send + Sync + 'static) -> Self {
        let listener = Listener::start(move |mut stream| {
            stream.set_nodelay(true).unwrap();
            let Some(mut program) = login(&mut stream) else { return };
            let ends = [stream.try_clone().unwrap(), stream].map(|end| Stdio::from(OwnedFd::from(end)));
            let [input, output] = ends;
            let mut child = program.stdin(input).stdout(output).stderr(Stdio::null()).spawn().unwrap();
            // It holds the other copies of the socket.
            drop(program);
            child.wait().unwrap();
        });
        Self { listener }
    }

    pub(super) fn port(&self) -> u16 {
        self.listener.address.port()
    }

    /// Waits for the end of all sessions.
    pub(super) fn settle(&self) {
        self.listener.settle();
    }
}

/// A connection to a server that ends after a number of octets from the server.
pub(super) struct Cut {
    listener: Listener,
    after: Arc<AtomicU64>,
    /// Octets that the server sent in the last session.
    said: Arc<AtomicU64>,
}

impl Cut {
    pub(super) fn start(port: u16) -> Self {
        let after = Arc::new(AtomicU64::new(u64::MAX));
        let said = Arc::new(AtomicU64::new(0));
        let listener = Listener::start({
            let (after, said) = (Arc::clone(&after), Arc::clone(&said));
            move |client| {
                let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { return };
                let left = after.load(SeqCst);
                said.store(0, SeqCst);
                let up = {
                    let (client, server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                    thread::spawn(move || pass(client, server, u64::MAX, None))
                };
                pass(server, client, left, Some(&said));
                let _ = up.join();
            }
        });
        Self { listener, after, said }
    }

    pub(super) fn port(&self) -> u16 {
        self.listener.address.port()
    }

    /// From now on, sessions end after this many octets; `None`: they don't.
    pub(super) fn cut_after(&self, octets: Option<u64>) {
        self.after.store(octets.unwrap_or(u64::MAX), SeqCst);
    }

    /// How many octets the server sent in the last session.
    pub(super) fn said(&self) -> u64 {
        self.settle();
        self.said.load(SeqCst)
    }

    pub(super) fn settle(&self) {
        self.listener.settle();
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, mut left: u64, count: Option<&AtomicU64>) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        let taken = usize::try_from(left).unwrap_or(usize::MAX).min(read);
        if to.write_all(&buffer[..taken]).is_err() {
            break;
        }
        if let Some(count) = count {
            count.fetch_add(taken as u64, SeqCst);
        }
        left -= taken as u64;
        if left == 0 {
            let _ = from.shutdown(Shutdown::Both);
            break;
        }
    }
    let _ = to.shutdown(if left == 0 { Shutdown::Both } else { Shutdown::Write });
}
