//! A name server with one answer.

use std::net::{IpAddr, SocketAddr};

use hickory_resolver::proto::op::{Message, OpCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA};
use hickory_resolver::proto::rr::{RData, Record, RecordType};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

use super::own_address;

/// A running name server, for which every name has the same address.
pub(crate) struct NameServer {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl NameServer {
    /// Starts one, at an address of this process alone.
    pub(crate) async fn of(address: IpAddr) -> Self {
        let socket = UdpSocket::bind(own_address()).await.unwrap();
        let own = socket.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut buffer = [0; 4096];
            while let Ok((length, client)) = socket.recv_from(&mut buffer).await {
                let reply = reply(&Message::from_vec(&buffer[..length]).unwrap(), address);
                socket.send_to(&reply.to_vec().unwrap(), client).await.unwrap();
            }
        });
        Self { address: own, _tasks: tasks }
    }
}

fn reply(question: &Message, address: IpAddr) -> Message {
    let query = &question.queries[0];
    let mut reply = Message::response(question.id, OpCode::Query);
    reply.add_query(query.clone());
    let data = match address {
        IpAddr::V4(address) if query.query_type() == RecordType::A => RData::A(A(address)),
        IpAddr::V6(address) if query.query_type() == RecordType::AAAA => RData::AAAA(AAAA(address)),
        _ => return reply,
    };
    reply.add_answer(Record::from_rdata(query.name().clone(), 1, data));
    reply
}
