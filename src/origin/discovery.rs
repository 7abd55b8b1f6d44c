//! Resolves origin names. What an answer means is for `answers.rs` to judge.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::answers::Lookup;
use crate::config::model::Dns;

/// Turns a name into addresses. Implemented by DNS and, in tests, by a script.
pub trait Resolve: Send + Sync + 'static {
    /// Looks `host` up once, within a bounded time.
    fn resolve<'a>(&'a self, host: &'a str) -> Pin<Box<dyn Future<Output = Lookup> + Send + 'a>>;
}

/// DNS, without a cache of its own: the resolver's would ignore the short TTL of a CNAME whose target it knows.
pub struct DnsResolve {
    config: Dns,
    /// Made at the first lookup, and tried again until it can be: a system without name servers leaves origins without
    /// addresses, and is no reason not to serve what needs none.
    resolver: OnceCell<TokioResolver>,
}

impl DnsResolve {
    /// Asks the configured servers, or those of the system when none are.
    pub fn new(config: &Dns) -> Self {
        Self { config: config.clone(), resolver: OnceCell::new() }
    }

    async fn lookup(&self, host: &str) -> Lookup {
        let resolver = match self.resolver.get_or_try_init(|| async { resolver(&self.config) }).await {
            Ok(resolver) => resolver,
            Err(error) => return Lookup::Failed(format!("no name servers (dns.servers can name some): {error}")),
        };
        let both =
            async { tokio::join!(resolver.lookup(host, RecordType::A), resolver.lookup(host, RecordType::AAAA)) };
        let Ok((v4, v6)) = timeout(self.config.timeout, both).await else {
            return Lookup::Failed(format!("no answer within {:?}", self.config.timeout));
        };
        join([v4, v6].map(|answer| match answer {
            Ok(lookup) => found(lookup.query().name(), lookup.answers()),
            Err(error) if error.is_nx_domain() => Lookup::NoSuchName,
            Err(error) if error.is_no_records_found() => Lookup::Empty,
            Err(error) => Lookup::Failed(error.to_string()),
        }))
    }
}

impl Resolve for DnsResolve {
    fn resolve<'a>(&'a self, host: &'a str) -> Pin<Box<dyn Future<Output = Lookup> + Send + 'a>> {
        Box::pin(self.lookup(host))
    }
}

fn resolver(config: &Dns) -> Result<TokioResolver, NetError> {
    let provider = TokioRuntimeProvider::default();
    let mut builder = if config.servers.is_empty() {
        TokioResolver::builder(provider)?
    } else {
        let servers = config.servers.iter().map(|server| {
            let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                connection.port = server.port();
                connection
            });
            NameServerConfig::new(server.ip(), true, connections.into())
        });
        let servers = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
        TokioResolver::builder_with_config(servers, provider)
    };
    bound(builder.options_mut(), config.timeout);
    builder.build()
}

fn bound(options: &mut ResolverOpts, timeout: Duration) {
    options.cache_size = 0;
    // Two attempts fit into the whole wait, so that one lost datagram does not cost the lookup.
    options.timeout = timeout / 3;
    options.attempts = 2;
    options.case_randomization = true;
}

/// The addresses of `owner` and of the names its CNAME chain leads to; records of other owners are not an answer.
fn found(owner: &Name, records: &[Record]) -> Lookup {
    let mut owners = vec![owner];
    let mut ttl = u32::MAX;
    while let Some((record, target)) = records.iter().find_map(|record| match &record.data {
        RData::CNAME(target) if owners.last() == Some(&&record.name) => Some((record, &target.0)),
        _ => None,
    }) {
        ttl = ttl.min(record.ttl);
        if owners.contains(&target) {
            return Lookup::Failed(format!("the CNAME chain of {owner} is a loop"));
        }
        owners.push(target);
    }
    let mut addresses = Vec::new();
    for record in records.iter().filter(|record| owners.last() == Some(&&record.name)) {
        let address = match &record.data {
            RData::A(address) => IpAddr::from(address.0),
            RData::AAAA(address) => IpAddr::from(address.0),
            _ => continue,
        };
        ttl = ttl.min(record.ttl);
        addresses.push(address);
    }
    if addresses.is_empty() { Lookup::Empty } else { Lookup::Found { addresses, ttl: Duration::from_secs(ttl.into()) } }
}

/// One answer out of those for both address families: addresses win, then a failure, which may hide addresses.
fn join([v4, v6]: [Lookup; 2]) -> Lookup {
    match (v4, v6) {
        (Lookup::Found { mut addresses, ttl }, Lookup::Found { addresses: more, ttl: other }) => {
            addresses.extend(more);
            Lookup::Found { addresses, ttl: ttl.min(other) }
        }
        (found @ Lookup::Found { .. }, _) | (_, found @ Lookup::Found { .. }) => found,
        (failed @ Lookup::Failed(_), _) | (_, failed @ Lookup::Failed(_)) => failed,
        (Lookup::NoSuchName, _) | (_, Lookup::NoSuchName) => Lookup::NoSuchName,
        (Lookup::Empty, Lookup::Empty) => Lookup::Empty,
    }
}

#[cfg(test)]
mod tests {
    use hickory_resolver::proto::rr::rdata::{A, CNAME};

    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).expect("a valid name")
    }

    fn a(owner: &str, ttl: u32, last: u8) -> Record {
        Record::from_rdata(name(owner), ttl, RData::A(A::new(192, 0, 2, last)))
    }

    fn cname(owner: &str, ttl: u32, target: &str) -> Record {
        Record::from_rdata(name(owner), ttl, RData::CNAME(CNAME(name(target))))
    }

    #[track_caller]
    fn check(records: &[Record], expected: Option<(&[u8], u64)>) {
        match (found(&name("www.example."), records), expected) {
            (Lookup::Found { addresses, ttl }, Some((last, seconds))) => {
                let expected: Vec<_> = last.iter().map(|&last| IpAddr::from([192, 0, 2, last])).collect();
                assert_eq!((addresses, ttl.as_secs()), (expected, seconds));
            }
            (Lookup::Empty | Lookup::Failed(_), None) => {}
            (other, expected) => panic!("{other:?} where {expected:?} was expected"),
        }
    }

    #[test]
    fn the_ttl_is_the_least_of_the_chain() {
        check(&[a("www.example.", 60, 1), a("www.example.", 30, 2)], Some((&[1, 2], 30)));
        check(&[cname("www.example.", 5, "b.example."), a("b.example.", 60, 1)], Some((&[1], 5)));
    }

    #[test]
    fn records_of_other_owners_are_ignored() {
        check(&[a("evil.example.", 60, 9)], None);
        check(&[a("www.example.", 60, 1), a("evil.example.", 1, 9)], Some((&[1], 60)));
        check(&[cname("www.example.", 5, "b.example."), a("www.example.", 60, 9)], None);
    }

    #[test]
    fn a_loop_is_a_failure_and_not_a_hang() {
        check(&[cname("www.example.", 5, "b.example."), cname("b.example.", 5, "www.example.")], None);
    }

    #[test]
    fn one_family_is_enough() {
        let found = || Lookup::Found { addresses: vec![IpAddr::from([192, 0, 2, 1])], ttl: Duration::from_secs(9) };
        assert!(matches!(join([found(), Lookup::Failed(String::new())]), Lookup::Found { .. }));
        assert!(matches!(join([Lookup::Empty, found()]), Lookup::Found { .. }));
        assert!(matches!(join([Lookup::Empty, Lookup::Failed(String::new())]), Lookup::Failed(_)));
        assert!(matches!(join([Lookup::Empty, Lookup::NoSuchName]), Lookup::NoSuchName));
    }

    #[tokio::test]
    async fn a_name_server_that_is_not_there_is_a_failure_within_the_timeout() {
        let servers = vec![std::net::SocketAddr::from(([127, 0, 0, 1], 1))];
        let second = Duration::from_secs(1);
        let dns = Dns { servers, timeout: second, ttl_min: second, ttl_max: second, allow: Vec::new() };
        let lookup = timeout(2 * second, DnsResolve::new(&dns).lookup("www.example.")).await;
        assert!(matches!(lookup, Ok(Lookup::Failed(_))), "{lookup:?}");
    }
}
