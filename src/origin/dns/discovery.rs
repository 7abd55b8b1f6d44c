//! Resolves origin names. What an answer means is for `records.rs`, `ballot.rs` and `answers.rs` to judge.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, Record, RecordType};
use hickory_resolver::system_conf::read_system_conf;
use tokio::sync::OnceCell;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::answers::Lookup;
use super::ballot::Ballot;
use super::records::{addresses, join, located, services};
use crate::config::model::Dns;

/// Turns a name into addresses. Implemented by DNS and, in tests, by a script.
pub trait Resolve: Send + Sync + 'static {
    /// Looks `host` up once, within a bounded time.
    fn resolve<'a>(&'a self, host: &'a str) -> Pin<Box<dyn Future<Output = Lookup> + Send + 'a>>;

    /// Looks the SRV records of `service` and the addresses of their targets up, within the same time.
    fn locate<'a>(&'a self, service: &'a str) -> Pin<Box<dyn Future<Output = Lookup> + Send + 'a>>;
}

/// DNS, without a cache of its own: the resolver's would ignore the short TTL of a CNAME whose target it knows.
pub struct DnsResolve {
    config: Dns,
    /// Made at the first lookup, and tried again until they can be: a system without name servers leaves origins without
    /// addresses, and is no reason not to serve what needs none.
    servers: OnceCell<Arc<Servers>>,
}

impl DnsResolve {
    /// Asks the configured servers, or those of the system when none are.
    pub fn new(config: &Dns) -> Self {
        Self { config: config.clone(), servers: OnceCell::new() }
    }

    async fn addresses(&self, host: &str) -> Lookup {
        match self.servers().await {
            Ok(servers) => servers.addresses(host).await,
            Err(failure) => failure,
        }
    }

    /// The time is one for the records and their targets.
    async fn services(&self, service: &str) -> Lookup {
        let servers = match self.servers().await {
            Ok(servers) => servers,
            Err(failure) => return failure,
        };
        let located = timeout(servers.patience, Arc::clone(&servers).services(service)).await;
        located.unwrap_or_else(|_| Lookup::Failed(servers.late()))
    }

    async fn servers(&self) -> Result<Arc<Servers>, Lookup> {
        let servers = self.servers.get_or_try_init(|| async { Servers::new(&self.config).map(Arc::new) }).await;
        let failed = |error| Lookup::Failed(format!("no name servers (dns.servers can name some): {error}"));
        servers.map(Arc::clone).map_err(failed)
    }
}

impl Resolve for DnsResolve {
    fn resolve<'a>(&'a self, host: &'a str) -> Pin<Box<dyn Future<Output = Lookup> + Send + 'a>> {
        Box::pin(self.addresses(host))
    }

    fn locate<'a>(&'a self, service: &'a str) -> Pin<Box<dyn Future<Output = Lookup> + Send + 'a>> {
        Box::pin(self.services(service))
    }
}

/// Every name server has a resolver of its own, because one for all gives up at the first answer without records,
/// SERVFAIL and REFUSED included, whatever another server would have said.
struct Servers {
    resolvers: Vec<TokioResolver>,
    /// Longest time for one lookup.
    patience: Duration,
}

impl Servers {
    fn new(config: &Dns) -> Result<Self, NetError> {
        let (servers, mut options) = if config.servers.is_empty() {
            let (system, options) = read_system_conf()?;
            (system.name_servers().to_vec(), options)
        } else {
            (config.servers.iter().copied().map(name_server).collect(), ResolverOpts::default())
        };
        bound(&mut options, config.timeout);
        let resolver = |server: NameServerConfig| {
            let alone = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
            let mut builder = TokioResolver::builder_with_config(alone, TokioRuntimeProvider::default());
            *builder.options_mut() = options.clone();
            builder.build()
        };
        let resolvers = servers.into_iter().take(SERVERS_MAX).map(resolver).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { resolvers, patience: config.timeout })
    }

    async fn addresses(&self, host: &str) -> Lookup {
        let [v4, v6] = self.ask(host, [RecordType::A, RecordType::AAAA], addresses).await;
        join([v4, v6])
    }

    /// The addresses of all targets of a service; their lookups go on side by side.
    async fn services(self: Arc<Self>, service: &str) -> Lookup {
        let [answer] = self.ask(service, [RecordType::SRV], services).await;
        let services = match answer {
            Ok(services) => services,
            Err(fruitless) => return fruitless,
        };
        let mut lookups = JoinSet::new();
        for (index, record) in services.records.iter().enumerate() {
            let (servers, target) = (Arc::clone(&self), record.target.to_ascii());
            lookups.spawn(async move { (index, servers.addresses(&target).await) });
        }
        let mut targets = vec![Lookup::Failed("its lookup panicked".to_owned()); services.records.len()];
        while let Some(done) = lookups.join_next().await {
            if let Ok((index, lookup)) = done {
                targets[index] = lookup;
            }
        }
        located(services, targets)
    }

    /// Asks every server for every kind of record at once, and waits no longer than it takes to know.
    async fn ask<T: Send + 'static, const N: usize>(
        &self,
        name: &str,
        kinds: [RecordType; N],
        read: fn(&Name, &[Record]) -> Result<T, Lookup>,
    ) -> [Result<T, Lookup>; N] {
        let asked = match Name::from_utf8(name) {
            Ok(mut name) => {
                name.set_fqdn(true);
                name
            }
            Err(error) => return kinds.map(|_| Err(Lookup::Failed(error.to_string()))),
        };
        let mut queries = JoinSet::new();
        for resolver in &self.resolvers {
            for (place, kind) in kinds.into_iter().enumerate() {
                let (resolver, name) = (resolver.clone(), asked.clone());
                queries.spawn(async move {
                    let answer = resolver.lookup(name.clone(), kind).await;
                    (place, outcome(&name, answer, read))
                });
            }
        }
        let mut ballots = kinds.map(|_| Ballot::new(self.resolvers.len()));
        let (mut end, mut moment) = (pin!(sleep(self.patience)), pin!(sleep(self.patience)));
        let mut is_nearly_over = false;
        while !ballots.iter().all(Ballot::is_closed) {
            if !is_nearly_over && ballots.iter().any(Ballot::is_found) && ballots.iter().all(Ballot::is_nearly_closed) {
                is_nearly_over = true;
                moment.set(sleep(CONTRADICTION_MAX));
            }
            tokio::select! {
                answer = queries.join_next() => match answer {
                    Some(Ok((place, answer))) => ballots[place].cast(answer),
                    // A query that panicked has no answer, like one that is late.
                    Some(Err(_panic)) => {}
                    None => break,
                },
                () = &mut moment, if is_nearly_over => break,
                () = &mut end => break,
            }
        }
        ballots.map(|ballot| ballot.outcome(&self.late()))
    }

    fn late(&self) -> String {
        format!("no answer within {:?}", self.patience)
    }
}

fn name_server(address: SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.into())
}

fn bound(options: &mut ResolverOpts, timeout: Duration) {
    options.cache_size = 0;
    // Two attempts fit into the whole wait, so that one lost datagram does not cost the lookup.
    options.timeout = timeout / 3;
    options.attempts = 2;
    options.case_randomization = true;
}

/// What the answer of one server about `name` comes to. Where the resolver has followed a CNAME by itself, its lookup is
/// one of the target, and no longer of `name`.
fn outcome<T>(
    name: &Name,
    answer: Result<hickory_resolver::lookup::Lookup, NetError>,
    read: fn(&Name, &[Record]) -> Result<T, Lookup>,
) -> Result<T, Lookup> {
    match answer {
        Ok(lookup) => read(name, lookup.answers()),
        Err(error) if error.is_nx_domain() => Err(Lookup::NoSuchName),
        Err(error) if error.is_no_records_found() => Err(Lookup::Empty),
        Err(NetError::Dns(DnsError::ResponseCode(code))) => Err(Lookup::Failed(code_name(code))),
        Err(error) => Err(Lookup::Failed(error.to_string())),
    }
}

/// The word that people look for in the documentation of name servers, where there is one.
fn code_name(code: ResponseCode) -> String {
    match code {
        ResponseCode::ServFail => "SERVFAIL".to_owned(),
        ResponseCode::Refused => "REFUSED".to_owned(),
        other => other.to_string(),
    }
}

/// Once there are addresses of one family, how long a server may take to contradict another that has none of the other.
const CONTRADICTION_MAX: Duration = Duration::from_millis(200);

/// As many as a configuration may name.
const SERVERS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_server_that_is_not_there_is_a_failure_within_the_timeout() {
        let servers = vec![SocketAddr::from(([127, 0, 0, 1], 1))];
        let second = Duration::from_secs(1);
        let dns = Dns { servers, timeout: second, ttl_min: second, ttl_max: second, allow: Vec::new() };
        let lookup = timeout(2 * second, DnsResolve::new(&dns).addresses("www.example.")).await;
        assert!(matches!(lookup, Ok(Lookup::Failed(_))), "{lookup:?}");
    }
}
