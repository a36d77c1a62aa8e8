//! A long line on loopback: passes octets between a client and a server, each direction with its delay and rate.
//!
//! What is delayed are the octets in flight, not the commands: pipelining pays here as it does on a real line.  (The
//! kernel's netem would need root.)

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A line's properties, the same in each direction.
#[derive(Debug, Clone, Copy, Default)]
pub struct Line {
    /// The time that an octet takes: half a round trip.
    pub delay: Duration,
    /// Octets per second.
    pub rate: Option<u64>,
}

impl Line {
    pub fn round_trip(time: Duration) -> Self {
        Self { delay: time / 2, rate: None }
    }
}

/// Listens on `127.0.0.1` until dropped.
pub struct Relay {
    address: SocketAddr,
    counts: Arc<Counts>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Counts {
    stopping: AtomicBool,
    /// Connections not yet ended, two directions each.
    open: AtomicI64,
    in_flight: AtomicI64,
    waits: AtomicU64,
    to_server: AtomicU64,
    to_client: AtomicU64,
    sockets: Mutex<Vec<TcpStream>>,
}

impl Relay {
    pub fn start(target: SocketAddr, line: Line) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let counts = Arc::new(Counts::default());
        let acceptor = thread::spawn({
            let counts = Arc::clone(&counts);
            move || {
                for client in listener.incoming() {
                    if counts.stopping.load(SeqCst) {
                        return;
                    }
                    // A server that is gone: the client sees its connection end.
                    if let (Ok(client), Ok(server)) = (client, TcpStream::connect(target)) {
                        counts
                            .sockets
                            .lock()
                            .unwrap()
                            .extend([client.try_clone().unwrap(), server.try_clone().unwrap()]);
                        counts.open.fetch_add(2, SeqCst);
                        pass(client.try_clone().unwrap(), server.try_clone().unwrap(), line, &counts, true);
                        pass(server, client, line, &counts, false);
                    }
                }
            }
        });
        Self { address, counts, acceptor: Some(acceptor) }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// How often the client waited: it sent something when nothing was in flight either way.  The first answer of a
    /// connection (a greeting) that no octet of the client preceded counts as one.
    pub fn waits(&self) -> u64 {
        self.counts.waits.load(SeqCst)
    }

    /// Octets passed to the server and to the client.
    pub fn octets(&self) -> (u64, u64) {
        (self.counts.to_server.load(SeqCst), self.counts.to_client.load(SeqCst))
    }

    /// Waits until every connection so far has ended, at most 10 s.
    pub fn settle(&self) {
        let began = Instant::now();
        while self.counts.open.load(SeqCst) > 0 && began.elapsed() < Duration::from_secs(10) {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.counts.stopping.store(true, SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        for socket in self.counts.sockets.lock().unwrap().drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

/// Octets and when they arrive; none at the end of the stream.
type Packet = (Instant, Vec<u8>);

fn pass(mut from: TcpStream, to: TcpStream, line: Line, counts: &Arc<Counts>, upward: bool) {
    // Deep enough for any bandwidth-delay product here, and bounded.
    let (sender, receiver) = sync_channel::<Packet>(1024);
    let _ = to.set_nodelay(true);
    thread::spawn({
        let counts = Arc::clone(counts);
        move || arrive(&receiver, to, &counts, upward)
    });
    let counts = Arc::clone(counts);
    thread::spawn(move || {
        let mut free_at = Instant::now();
        let mut buffer = vec![0; 64 * 1024];
        let mut first = true;
        loop {
            let length = from.read(&mut buffer).unwrap_or(0);
            let now = Instant::now();
            if length > 0 {
                let idle = counts.in_flight.fetch_add(length as i64, SeqCst) == 0;
                let greeting = first && !upward && counts.to_server.load(SeqCst) == 0;
                if idle && (upward || greeting) {
                    counts.waits.fetch_add(1, SeqCst);
                }
                first = false;
            }
            let time =
                line.rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(length as f64 / rate as f64));
            free_at = free_at.max(now) + time;
            if !depart(&sender, (free_at + line.delay, buffer[..length].to_vec())) || length == 0 {
                return;
            }
        }
    });
}

fn depart(sender: &SyncSender<Packet>, packet: Packet) -> bool {
    sender.send(packet).is_ok()
}

fn arrive(packets: &Receiver<Packet>, mut to: TcpStream, counts: &Counts, upward: bool) {
    let counter = if upward { &counts.to_server } else { &counts.to_client };
    for (due, octets) in packets {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        counts.in_flight.fetch_sub(octets.len() as i64, SeqCst);
        counter.fetch_add(octets.len() as u64, SeqCst);
        if octets.is_empty() || to.write_all(&octets).is_err() {
            break;
        }
    }
    // Octets that nobody takes any more are in flight no more.
    while let Ok((_, octets)) = packets.try_recv() {
        counts.in_flight.fetch_sub(octets.len() as i64, SeqCst);
    }
    let _ = to.shutdown(Shutdown::Write);
    counts.open.fetch_sub(1, SeqCst);
}
