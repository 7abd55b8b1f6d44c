//! Names, addresses and connections, all in memory.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use holdover::origin::dns::answers::Lookup;
use holdover::origin::dns::discovery::Resolve;
use holdover::origin::request::connect::{Dial, Dialing};

use super::origin::ScriptedOrigin;

/// The origins by name and by address.
#[derive(Default)]
pub(super) struct Network {
    origins: Mutex<BTreeMap<String, Arc<ScriptedOrigin>>>,
}

impl Network {
    /// Adds the origin `name`, resolved as `name.test`, at an address of its own.
    pub(super) fn add(&self, name: &str, index: usize) {
        let address = IpAddr::from([192, 0, 2, u8::try_from(index + 1).unwrap()]);
        let origin = Arc::new(ScriptedOrigin::new(name, address));
        self.origins.lock().unwrap().insert(name.to_owned(), origin);
    }

    pub(super) fn origin(&self, name: &str) -> Arc<ScriptedOrigin> {
        Arc::clone(&self.origins.lock().unwrap()[name])
    }
}

impl Resolve for Network {
    fn resolve<'a>(&'a self, host: &'a str) -> Pin<Box<dyn Future<Output = Lookup> + Send + 'a>> {
        let origin = host.strip_suffix(".test").and_then(|name| self.origins.lock().unwrap().get(name).cloned());
        Box::pin(async move {
            match origin {
                Some(origin) => origin.lookup(),
                None => Lookup::NoSuchName,
            }
        })
    }

    /// A service is that of the origin it is named for: `_http._tcp.name.test`.
    fn locate<'a>(&'a self, service: &'a str) -> Pin<Box<dyn Future<Output = Lookup> + Send + 'a>> {
        self.resolve(service.trim_start_matches("_http._tcp."))
    }
}

impl Dial for Network {
    fn dial(&self, address: SocketAddr) -> Dialing {
        let origins = self.origins.lock().unwrap();
        let origin = origins.values().find(|origin| origin.is_at(address.ip())).cloned();
        Box::pin(async move {
            // As over a real network, nothing is there at once.
            tokio::time::sleep(ROUND_TRIP).await;
            match origin {
                Some(origin) => origin.accept().await,
                // There is no road for IPv6 here, and nobody to say so.
                None if address.is_ipv6() => std::future::pending().await,
                None => Err(io::ErrorKind::HostUnreachable.into()),
            }
        })
    }
}

const ROUND_TRIP: Duration = Duration::from_millis(1);
