//! Resolves origin names. What an answer means is for `answers.rs` to judge.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, Record, RecordType};
use tokio::sync::OnceCell;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::answers::Lookup;
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
        self.within_the_timeout(|resolver| addresses_of(resolver, host.to_owned())).await
    }

    async fn services(&self, service: &str) -> Lookup {
        self.within_the_timeout(|resolver| places_of(resolver, service.to_owned())).await
    }

    async fn within_the_timeout<F: Future<Output = Lookup>>(&self, ask: impl FnOnce(TokioResolver) -> F) -> Lookup {
        let resolver = match self.resolver.get_or_try_init(|| async { resolver(&self.config) }).await {
            Ok(resolver) => resolver.clone(),
            Err(error) => return Lookup::Failed(format!("no name servers (dns.servers can name some): {error}")),
        };
        let time = self.config.timeout;
        timeout(time, ask(resolver)).await.unwrap_or_else(|_| Lookup::Failed(format!("no answer within {time:?}")))
    }
}

impl Resolve for DnsResolve {
    fn resolve<'a>(&'a self, host: &'a str) -> Pin<Box<dyn Future<Output = Lookup> + Send + 'a>> {
        Box::pin(self.lookup(host))
    }

    fn locate<'a>(&'a self, service: &'a str) -> Pin<Box<dyn Future<Output = Lookup> + Send + 'a>> {
        Box::pin(self.services(service))
    }
}

async fn addresses_of(resolver: TokioResolver, host: String) -> Lookup {
    let (v4, v6) =
        tokio::join!(resolver.lookup(host.as_str(), RecordType::A), resolver.lookup(host.as_str(), RecordType::AAAA));
    join([v4, v6].map(|answer| outcome(answer, addresses)))
}

/// The addresses of all targets of a service; their lookups go on side by side.
async fn places_of(resolver: TokioResolver, service: String) -> Lookup {
    let services = match outcome(resolver.lookup(service.as_str(), RecordType::SRV).await, services) {
        Ok(services) => services,
        Err(fruitless) => return fruitless,
    };
    let mut lookups = JoinSet::new();
    for (index, record) in services.records.iter().enumerate() {
        let (resolver, target) = (resolver.clone(), record.target.to_ascii());
        lookups.spawn(async move { (index, addresses_of(resolver, target).await) });
    }
    let mut targets = vec![Lookup::Failed("its lookup panicked".to_owned()); services.records.len()];
    while let Some(done) = lookups.join_next().await {
        if let Ok((index, lookup)) = done {
            targets[index] = lookup;
        }
    }
    located(services, targets)
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

/// Turns what the resolver says to a question into its outcome.
fn outcome<T>(
    answer: Result<hickory_resolver::lookup::Lookup, NetError>,
    read: fn(&Name, &[Record]) -> Result<T, Lookup>,
) -> Result<T, Lookup> {
    match answer {
        Ok(lookup) => read(lookup.query().name(), lookup.answers()),
        Err(error) if error.is_nx_domain() => Err(Lookup::NoSuchName),
        Err(error) if error.is_no_records_found() => Err(Lookup::Empty),
        Err(error) => Err(Lookup::Failed(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_server_that_is_not_there_is_a_failure_within_the_timeout() {
        let servers = vec![std::net::SocketAddr::from(([127, 0, 0, 1], 1))];
        let second = Duration::from_secs(1);
        let dns = Dns { servers, timeout: second, ttl_min: second, ttl_max: second, allow: Vec::new() };
        let lookup = timeout(2 * second, DnsResolve::new(&dns).lookup("www.example.")).await;
        assert!(matches!(lookup, Ok(Lookup::Failed(_))), "{lookup:?}");
    }
}
