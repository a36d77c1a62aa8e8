//! Questions to a name server, and its answers (RFC 1035 §4; RFC 2782), without sockets.
//!
//! An answer is believed no further than that a name server may have sent it: it names servers to try, no more.

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE};

/// Records of one answer that are read at most, in each section.
const MOST_RECORDS: u16 = 256;

/// Octets of a message's header.
const HEADER: usize = 12;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RecordKind {
    /// Where a service is (RFC 2782).
    Srv,
    /// Which servers take mail (RFC 1035 §3.3.9).
    Mx,
}

/// A server that a name server names.  Its name is as it came: lower case, without the final dot, and perhaps no host's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerRecord {
    /// Lower ones come first.
    pub(super) priority: u16,
    /// Among those of one priority, how large its share is.
    pub(super) weight: u16,
    /// TCP port; 0 with [`RecordKind::Mx`].
    pub(super) port: u16,
    /// Empty for the root, which means "not offered" (RFC 2782).
    pub(super) target: String,
}

/// What a message means for a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum DnsAnswer {
    /// These records; none where the name doesn't exist, or has none of the kind.
    Records(Vec<ServerRecord>),
    /// The answer doesn't fit into a datagram: it is to be asked for over TCP.
    Truncated,
    /// This server can't answer: another one may.
    Refused,
    /// Not an answer to this question: forged, late, or damaged.
    Foreign,
}

/// A question as it goes out; `None` for a name that has no such form.
pub(super) fn question(id: u16, name: &str, kind: RecordKind) -> Option<Vec<u8>> {
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let name = Name::new(name).ok()?;
    packet.questions.push(Question::new(name, QTYPE::TYPE(kind.number()), QCLASS::CLASS(CLASS::IN), false));
    packet.build_bytes_vec().ok()
}

/// Reads what came in answer to [`question`].
pub(super) fn answer(octets: &[u8], id: u16, name: &str, kind: RecordKind) -> DnsAnswer {
    let Some(packet) = read(octets) else { return DnsAnswer::Foreign };
    let is_answer = packet.has_flags(PacketFlag::RESPONSE) && packet.id() == id;
    let asked = match packet.questions.as_slice() {
        [question] => {
            same(&question.qname, name)
                && question.qtype == QTYPE::TYPE(kind.number())
                && question.qclass == QCLASS::CLASS(CLASS::IN)
        }
        _ => false,
    };
    if !is_answer || !asked {
        return DnsAnswer::Foreign;
    }
    match packet.rcode() {
        RCODE::NameError => return DnsAnswer::Records(Vec::new()),
        RCODE::NoError if packet.has_flags(PacketFlag::TRUNCATION) => return DnsAnswer::Truncated,
        RCODE::NoError => {}
        _ => return DnsAnswer::Refused,
    }
    // The records of the name itself, or of what it is an alias of: a server that resolves sends the whole way.
    let mut owners = vec![name.to_ascii_lowercase()];
    let mut records = Vec::new();
    for record in &packet.answers {
        let owner = text(&record.name);
        if record.class != CLASS::IN || !owners.contains(&owner) {
            continue;
        }
        match (&record.rdata, kind) {
            (RData::CNAME(alias), _) => owners.push(text(&alias.0)),
            (RData::SRV(srv), RecordKind::Srv) => records.push(ServerRecord {
                priority: srv.priority,
                weight: srv.weight,
                port: srv.port,
                target: text(&srv.target),
            }),
            (RData::MX(mx), RecordKind::Mx) => records.push(ServerRecord {
                priority: mx.preference,
                weight: 0,
                port: 0,
                target: text(&mx.exchange),
            }),
            _ => {}
        }
    }
    DnsAnswer::Records(records)
}

/// A message whose sections aren't larger than any answer that is of use.
fn read(octets: &[u8]) -> Option<Packet<'_>> {
    let counts = octets.get(4..HEADER)?.chunks_exact(2);
    let fits = |count: &[u8]| count.try_into().is_ok_and(|count| u16::from_be_bytes(count) <= MOST_RECORDS);
    if !counts.into_iter().all(fits) {
        return None;
    }
    Packet::parse(octets).ok()
}

fn text(name: &Name<'_>) -> String {
    name.to_string().to_ascii_lowercase()
}

fn same(name: &Name<'_>, other: &str) -> bool {
    text(name) == other.to_ascii_lowercase()
}

impl RecordKind {
    fn number(self) -> TYPE {
        match self {
            Self::Srv => TYPE::SRV,
            Self::Mx => TYPE::MX,
        }
    }
}

/// Records in the order in which they are to be tried: by priority, and among those of one by chance, in proportion to
/// their weights (RFC 2782).  `random` gives a number below its argument.
pub(super) fn in_order(
    mut records: Vec<ServerRecord>,
    mut random: impl FnMut(u32) -> u32,
) -> Vec<ServerRecord> {
    records.sort_by_key(|record| (record.priority, record.weight));
    let mut ordered = Vec::with_capacity(records.len());
    while let Some(priority) = records.first().map(|record| record.priority) {
        let group = records.iter().take_while(|record| record.priority == priority);
        let weights: Vec<u32> = group.map(|record| u32::from(record.weight)).collect();
        let sum = weights.iter().fold(0, |sum: u32, weight| sum.saturating_add(*weight));
        let mut left = random(sum.saturating_add(1));
        let chosen = weights.iter().position(|weight| match left.checked_sub(*weight) {
            Some(rest) if rest > 0 => {
                left = rest;
                false
            }
            _ => true,
        });
        ordered.push(records.remove(chosen.unwrap_or(0)));
    }
    ordered
}

/// The name servers that a resolv.conf(5) names, at most three, as the system's resolver takes them; this machine's own where
/// it names none.
pub(super) fn name_servers(resolv_conf: &str) -> Vec<std::net::IpAddr> {
    let named = resolv_conf.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let address = words.next().filter(|word| *word == "nameserver").and(words.next())?;
        // A zone after the address: link-local ones need it, and std can't parse it.
        address.split('%').next()?.parse().ok()
    });
    let named: Vec<_> = named.take(3).collect();
    if named.is_empty() { vec![std::net::Ipv4Addr::LOCALHOST.into()] } else { named }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use simple_dns::rdata::{CNAME, MX, RData, SRV};
    use simple_dns::{CLASS, Name, Packet, PacketFlag, RCODE, ResourceRecord};

    use super::{DnsAnswer, RecordKind, ServerRecord, answer, in_order, name_servers, question};

    const NAME: &str = "_pop3s._tcp.example.com";

    fn srv(owner: &'static str, target: &'static str, priority: u16, weight: u16) -> ResourceRecord<'static> {
        let target = Name::new(target).unwrap();
        let data = RData::SRV(SRV { priority, weight, port: 995, target });
        ResourceRecord::new(Name::new(owner).unwrap(), CLASS::IN, 60, data)
    }

    /// An answer to the question `(7, NAME, Srv)`, changed by `change`.
    fn reply(records: Vec<ResourceRecord<'static>>, change: impl FnOnce(&mut Packet<'_>)) -> Vec<u8> {
        let asked = question(7, NAME, RecordKind::Srv).unwrap();
        let mut packet = Packet::parse(&asked).unwrap().into_reply();
        packet.answers = records;
        change(&mut packet);
        packet.build_bytes_vec().unwrap()
    }

    fn record(target: &str, priority: u16, weight: u16) -> ServerRecord {
        ServerRecord { priority, weight, port: 995, target: target.to_owned() }
    }

    fn read(octets: &[u8]) -> DnsAnswer {
        answer(octets, 7, NAME, RecordKind::Srv)
    }

    #[test]
    fn answers_to_the_question_are_read() {
        let records = vec![srv(NAME, "Pop.Example.com", 10, 5), srv(NAME, "", 20, 0)];
        let expected = vec![record("pop.example.com", 10, 5), record("", 20, 0)];
        assert_eq!(read(&reply(records, |_| {})), DnsAnswer::Records(expected));
        assert_eq!(read(&reply(vec![], |_| {})), DnsAnswer::Records(vec![]));
        assert_eq!(read(&reply(vec![], |p| *p.rcode_mut() = RCODE::NameError)), DnsAnswer::Records(vec![]));
        assert_eq!(read(&reply(vec![], |p| *p.rcode_mut() = RCODE::ServerFailure)), DnsAnswer::Refused);
        assert_eq!(read(&reply(vec![], |p| *p.rcode_mut() = RCODE::Refused)), DnsAnswer::Refused);
        assert_eq!(read(&reply(vec![], |p| p.set_flags(PacketFlag::TRUNCATION))), DnsAnswer::Truncated);
    }

    #[test]
    fn an_alias_is_followed_and_records_of_other_names_are_not() {
        let alias = RData::CNAME(CNAME(Name::new("pop.hosting.example").unwrap()));
        let alias = ResourceRecord::new(Name::new(NAME).unwrap(), CLASS::IN, 60, alias);
        let records = vec![
            alias,
            srv("pop.hosting.example", "a.example.com", 1, 1),
            srv("x.example", "evil.example", 0, 9),
        ];
        assert_eq!(read(&reply(records, |_| {})), DnsAnswer::Records(vec![record("a.example.com", 1, 1)]));
    }

    #[test]
    fn what_answers_another_question_is_foreign() {
        let records = || vec![srv(NAME, "evil.example", 0, 0)];
        let wrong_id = reply(records(), |packet| packet.set_id(8));
        let no_answer = reply(records(), |packet| packet.remove_flags(PacketFlag::RESPONSE));
        let no_question = reply(records(), |packet| packet.questions.clear());
        let other = question(7, "_pop3s._tcp.example.org", RecordKind::Srv).unwrap();
        let other = Packet::parse(&other).unwrap().into_reply().build_bytes_vec().unwrap();
        let mx = question(7, NAME, RecordKind::Mx).unwrap();
        let mx = Packet::parse(&mx).unwrap().into_reply().build_bytes_vec().unwrap();
        let mut many = reply(records(), |_| {});
        many[6..8].copy_from_slice(&[0xff, 0xff]);
        for octets in [wrong_id, no_answer, no_question, other, mx, many, vec![], vec![0; 12]] {
            assert_eq!(read(&octets), DnsAnswer::Foreign, "{octets:?}");
        }
        let whole = reply(records(), |_| {});
        for length in 0..whole.len() {
            assert_eq!(read(&whole[..length]), DnsAnswer::Foreign, "{length}");
        }
    }

    #[test]
    fn mail_exchangers() {
        let asked = question(1, "example.com", RecordKind::Mx).unwrap();
        let mut packet = Packet::parse(&asked).unwrap().into_reply();
        let data = RData::MX(MX { preference: 5, exchange: Name::new("ASPMX.L.GOOGLE.com").unwrap() });
        packet.answers.push(ResourceRecord::new(Name::new("example.com").unwrap(), CLASS::IN, 60, data));
        let octets = packet.build_bytes_vec().unwrap();
        let expected =
            ServerRecord { priority: 5, weight: 0, port: 0, target: "aspmx.l.google.com".to_owned() };
        assert_eq!(answer(&octets, 1, "example.com", RecordKind::Mx), DnsAnswer::Records(vec![expected]));
    }

    #[test]
    fn names_that_cannot_be_asked_for() {
        assert_eq!(question(1, &"a".repeat(64), RecordKind::Srv), None);
        assert_eq!(question(1, &"a.".repeat(200), RecordKind::Srv), None);
    }

    #[test]
    fn name_servers_are_those_of_the_system() {
        let text = "# nameserver 9.9.9.9\nsearch example.com\nnameserver 192.0.2.1\nnameserver\tfe80::1%eth0\n\
                    nameserver nonsense\noptions edns0\nnameserver 2001:db8::1\nnameserver 192.0.2.4\n";
        let shown: Vec<String> = name_servers(text).iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["192.0.2.1", "fe80::1", "2001:db8::1"]);
        assert_eq!(name_servers("\u{0}\u{1}nameserver")[0].to_string(), "127.0.0.1");
    }

    #[test]
    fn the_lowest_priority_comes_first_and_weights_share_a_priority() {
        let records =
            || vec![record("c", 20, 100), record("a", 10, 1), record("b", 10, 99), record("z", 10, 0)];
        let names =
            |ordered: Vec<ServerRecord>| ordered.into_iter().map(|record| record.target).collect::<Vec<_>>();
        assert_eq!(names(in_order(records(), |_| 0)), ["z", "a", "b", "c"]);
        assert_eq!(names(in_order(records(), |below| below - 1)), ["b", "a", "z", "c"]);
        assert_eq!(names(in_order(vec![], |_| 0)), [""; 0]);
    }

    proptest! {
        #[test]
        fn octets_of_any_kind_are_read_to_an_end(octets in prop::collection::vec(any::<u8>(), 0..600)) {
            let _ = answer(&octets, 7, NAME, RecordKind::Srv);
            // With a header that fits, so that the rest is read.
            let mut whole = reply(vec![srv(NAME, "a.example", 1, 1)], |_| {});
            whole.extend(&octets);
            for (at, octet) in octets.iter().enumerate() {
                let at = 12 + at * 7 % (whole.len() - 12);
                whole[at] = *octet;
            }
            let _ = answer(&whole, 7, NAME, RecordKind::Srv);
        }

        #[test]
        fn no_record_is_lost_by_ordering(weights in prop::collection::vec((0_u16..3, any::<u16>()), 0..12), seed in any::<u32>()) {
            let records: Vec<ServerRecord> = weights.iter().map(|(priority, weight)| record("x", *priority, *weight)).collect();
            let ordered = in_order(records.clone(), |below| seed % below.max(1));
            prop_assert_eq!(ordered.len(), records.len());
            prop_assert!(ordered.is_sorted_by_key(|record| record.priority));
        }
    }
}
