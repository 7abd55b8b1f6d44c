//! A name server that answers what the test says, true or not, over UDP and TCP.

use std::net::{self, IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use hickory_resolver::proto::op::{Message, OpCode, Query, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

use super::{Namespace, own_address};

/// What a name server does with a question.
#[derive(Clone, Debug)]
pub(crate) enum Saying {
    /// Answers with these records; none is an empty answer.
    Records(Vec<Record>),
    /// Answers with a code, such as SERVFAIL.
    Code(ResponseCode),
    /// Answers with bytes that are no DNS message.
    Garbage,
    /// Says over UDP that the answer is too long for it, and gives it over TCP.
    TooLong(Vec<Record>),
    /// Answers under another id than that of the question, and to another question; then like this.
    AfterForgeries(Box<Saying>),
    /// Nothing.
    Silence,
}

/// A running name server.
pub(crate) struct NameServer {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<(&'static str, RecordType)>>>,
    _tasks: JoinSet<()>,
}

impl NameServer {
    /// Starts one, at an address of this process alone.
    pub(crate) async fn start(answer: impl Fn(&str, RecordType) -> Saying + Send + Sync + 'static) -> Self {
        let address = own_address();
        Self::listen(address, [sockets(address)], answer)
    }

    /// Starts one at port 53 of all addresses of this namespace.
    pub(crate) async fn inside(
        namespace: &Namespace,
        answer: impl Fn(&str, RecordType) -> Saying + Send + Sync + 'static,
    ) -> Self {
        let addresses = namespace.addresses.map(|ip| SocketAddr::from((ip, 53)));
        Self::listen(addresses[0], namespace.within(move || addresses.map(sockets)).await, answer)
    }

    fn listen(
        address: SocketAddr,
        sockets: impl IntoIterator<Item = (net::UdpSocket, net::TcpListener)>,
        answer: impl Fn(&str, RecordType) -> Saying + Send + Sync + 'static,
    ) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let desk = Arc::new(Desk { answer: Box::new(answer), asked: Arc::clone(&asked) });
        let mut tasks = JoinSet::new();
        for (udp, tcp) in sockets {
            let (udp, tcp) = (UdpSocket::from_std(udp).unwrap(), TcpListener::from_std(tcp).unwrap());
            tasks.spawn(Arc::clone(&desk).datagrams(udp));
            tasks.spawn(Arc::clone(&desk).connections(tcp));
        }
        Self { address, asked, _tasks: tasks }
    }

    /// One that answers every question for an address with this one.
    pub(crate) async fn of(address: IpAddr) -> Self {
        Self::start(move |name, wanted| Saying::Records(addresses(name, wanted, &[address]))).await
    }

    /// What was asked until now: `udp` or `tcp`, and the type of record.
    pub(crate) fn asked(&self) -> Vec<(&'static str, RecordType)> {
        self.asked.lock().unwrap().clone()
    }
}

/// Sockets belong to the network of the thread that makes them, whoever uses them then.
fn sockets(address: SocketAddr) -> (net::UdpSocket, net::TcpListener) {
    let (udp, tcp) = (net::UdpSocket::bind(address).unwrap(), net::TcpListener::bind(address).unwrap());
    udp.set_nonblocking(true).unwrap();
    tcp.set_nonblocking(true).unwrap();
    (udp, tcp)
}

type Answer = dyn Fn(&str, RecordType) -> Saying + Send + Sync;

struct Desk {
    answer: Box<Answer>,
    asked: Arc<Mutex<Vec<(&'static str, RecordType)>>>,
}

impl Desk {
    async fn datagrams(self: Arc<Self>, socket: UdpSocket) {
        let mut buffer = [0; 4096];
        loop {
            // An error is about an asker that has left.
            let Ok((length, client)) = socket.recv_from(&mut buffer).await else { continue };
            for reply in self.replies(&buffer[..length], "udp") {
                let _left = socket.send_to(&reply, client).await;
            }
        }
    }

    async fn connections(self: Arc<Self>, listener: TcpListener) {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(Arc::clone(&self).connection(stream));
        }
    }

    async fn connection(self: Arc<Self>, mut stream: TcpStream) {
        while let Ok(length) = stream.read_u16().await {
            let mut question = vec![0; length.into()];
            if stream.read_exact(&mut question).await.is_err() {
                return;
            }
            for reply in self.replies(&question, "tcp") {
                let framed = [&u16::try_from(reply.len()).unwrap().to_be_bytes()[..], &reply].concat();
                if stream.write_all(&framed).await.is_err() {
                    return;
                }
            }
        }
    }

    fn replies(&self, question: &[u8], protocol: &'static str) -> Vec<Vec<u8>> {
        let question = Message::from_vec(question).unwrap();
        let query = question.queries[0].clone();
        self.asked.lock().unwrap().push((protocol, query.query_type()));
        let name = query.name().to_ascii().to_ascii_lowercase();
        say((self.answer)(name.trim_end_matches('.'), query.query_type()), question.id, &query, protocol)
    }
}

fn say(saying: Saying, id: u16, query: &Query, protocol: &str) -> Vec<Vec<u8>> {
    let mut reply = Message::response(id, OpCode::Query);
    reply.add_query(query.clone());
    reply.metadata.recursion_available = true;
    match saying {
        Saying::Silence => return Vec::new(),
        Saying::Garbage => return vec![b"\x00\x01garbage".to_vec()],
        Saying::Code(code) => reply.metadata.response_code = code,
        Saying::TooLong(_) if protocol == "udp" => reply.metadata.truncation = true,
        Saying::Records(records) | Saying::TooLong(records) => reply.insert_answers(records),
        Saying::AfterForgeries(saying) => {
            let forged = |id, name: &str| {
                let records = addresses(name, query.query_type(), &[IpAddr::from([192, 0, 2, 66])]);
                let query = Query::query(Name::from_ascii(name).unwrap(), query.query_type());
                say(Saying::Records(records), id, &query, protocol)
            };
            let asked = query.name().to_ascii();
            return [forged(id.wrapping_add(1), &asked), forged(id, "other.test."), say(*saying, id, query, protocol)]
                .concat();
        }
    }
    vec![reply.to_vec().unwrap()]
}

/// The records of `name` for those of these addresses that are of the wanted family; they hold for a second.
pub(crate) fn addresses(name: &str, wanted: RecordType, addresses: &[IpAddr]) -> Vec<Record> {
    let record = |address: &IpAddr| {
        let data = match address {
            IpAddr::V4(address) if wanted == RecordType::A => RData::A(A(*address)),
            IpAddr::V6(address) if wanted == RecordType::AAAA => RData::AAAA(AAAA(*address)),
            _ => return None,
        };
        Some(Record::from_rdata(fqdn(name), 1, data))
    };
    addresses.iter().filter_map(record).collect()
}

/// A CNAME record of `name`, which holds for some seconds.
pub(crate) fn alias(name: &str, seconds: u32, target: &str) -> Record {
    Record::from_rdata(fqdn(name), seconds, RData::CNAME(CNAME(fqdn(target))))
}

/// The same records, which hold for some seconds.
pub(crate) fn lasting(seconds: u32, mut records: Vec<Record>) -> Vec<Record> {
    records.iter_mut().for_each(|record| record.ttl = seconds);
    records
}

/// An SRV record of `name`, which holds for a second.
pub(crate) fn service(name: &str, (priority, weight, port): (u16, u16, u16), target: &str) -> Record {
    Record::from_rdata(fqdn(name), 1, RData::SRV(SRV::new(priority, weight, port, fqdn(target))))
}

fn fqdn(name: &str) -> Name {
    Name::from_ascii(format!("{}.", name.trim_end_matches('.'))).unwrap()
}
