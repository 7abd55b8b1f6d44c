//! Network namespaces: a network of the test's own, with wires that can be cut.

use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::sync::oneshot;

use super::process::find;
use super::{cannot_run, lacks};

/// A namespace in the middle and others around it, each joined to it by a pair of virtual interfaces.
pub(crate) struct Network {
    /// Where the node under test and its clients live.
    pub(crate) center: Namespace,
    /// The others, which reach the center alone.
    pub(crate) peers: Vec<Namespace>,
}

impl Network {
    /// `None`, having said so, where the kernel or the rights for it are missing.
    pub(crate) fn new(peers: u8) -> Option<Self> {
        if lacks("ip") || lacks("nft") {
            return None;
        }
        // The first of all namespaces makes a place for names, which is not for two to do.
        let _one_at_a_time = SETTING_UP.lock().unwrap();
        let names = Names::new(peers);
        match names.network() {
            Ok(network) => Some(network),
            Err(reason) => {
                cannot_run(&format!("there are no network namespaces: {reason}"));
                None
            }
        }
    }
}

/// A network namespace without a name: the kernel removes it with the last file, thread and socket that belong to it,
/// however the test ends.
#[derive(Clone)]
pub(crate) struct Namespace {
    file: Arc<File>,
    /// Its addresses; of the center, none.
    pub(crate) addresses: [Ipv4Addr; ADDRESSES],
}

impl Namespace {
    /// Does `work` on a thread inside: a socket made there belongs to the namespace, whoever uses it then, and so does a
    /// program started there.
    pub(crate) async fn within<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, result) = oneshot::channel();
        let inside = self.clone();
        thread::spawn(move || {
            inside.enter();
            drop(done.send(work()));
        });
        result.await.expect("the work inside a namespace does not panic")
    }

    /// Runs `work` to its end on a thread inside, with a runtime of its own; panics as it does.
    pub(crate) fn block_on<T: Send>(&self, work: impl AsyncFnOnce() -> T + Send) -> T {
        let run = || {
            self.enter();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(work())
        };
        let ended = thread::scope(|scope| scope.spawn(run).join());
        ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// From here on packets to and from this address are dropped.
    pub(crate) async fn swallows(&self, address: Ipv4Addr) {
        self.nft(format!(
            "add table ip lab; \
             add chain ip lab in {{ type filter hook input priority 0; }}; \
             add chain ip lab out {{ type filter hook output priority 0; }}; \
             add rule ip lab in ip daddr {address} drop; \
             add rule ip lab out ip saddr {address} drop"
        ))
        .await;
    }

    /// Takes back what [`Namespace::swallows`] did.
    pub(crate) async fn heals(&self) {
        self.nft("delete table ip lab".to_owned()).await;
    }

    async fn nft(&self, rules: String) {
        let nft = find("nft").expect("the network was made where there is nft");
        let output = self.within(move || Command::new(nft).arg(rules).output()).await.unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    /// Moves this thread inside, for good.
    fn enter(&self) {
        move_into_link_name_space(self.file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
    }
}

/// The names that namespaces need while they are being set up: of this process alone, and gone when that is done.
struct Names(Vec<String>);

impl Names {
    fn new(peers: u8) -> Self {
        let (process, network) = (std::process::id(), NETWORKS.fetch_add(1, Ordering::Relaxed));
        Self((0..=peers).map(|number| format!("holdover-{process}-{network}-{number}")).collect())
    }

    fn network(&self) -> Result<Network, String> {
        let center = &self.0[0];
        for name in &self.0 {
            // Of a process with the same id that was killed while it set this up.
            let _seldom_there = ip(&format!("netns delete {name}"));
            ip(&format!("netns add {name}"))?;
            ip(&format!("-n {name} link set dev lo up"))?;
        }
        let mut peers = Vec::new();
        for (number, name) in (0..).zip(&self.0).skip(1) {
            let [gateway, addresses @ ..] = [1, 2, 3].map(|last| Ipv4Addr::new(10, 77, number, last));
            ip(&format!("link add peer{number} netns {center} type veth peer name up netns {name}"))?;
            ip(&format!("-n {center} address add {gateway}/24 dev peer{number}"))?;
            ip(&format!("-n {center} link set dev peer{number} up"))?;
            for address in addresses {
                ip(&format!("-n {name} address add {address}/24 dev up"))?;
            }
            ip(&format!("-n {name} link set dev up up"))?;
            peers.push(open(name, addresses)?);
        }
        Ok(Network { center: open(center, [Ipv4Addr::LOCALHOST; ADDRESSES])?, peers })
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        for name in &self.0 {
            let _never_made = ip(&format!("netns delete {name}"));
        }
    }
}

fn open(name: &str, addresses: [Ipv4Addr; ADDRESSES]) -> Result<Namespace, String> {
    let file = File::open(format!("/run/netns/{name}")).map_err(|error| error.to_string())?;
    Ok(Namespace { file: Arc::new(file), addresses })
}

fn ip(arguments: &str) -> Result<(), String> {
    let program = find("ip").expect("networks are made where there is ip");
    let output = Command::new(program).args(arguments.split(' ')).output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stderr);
    output.status.success().then_some(()).ok_or_else(|| format!("ip {arguments}: {}", said.trim()))
}

/// Addresses of each peer: one to have, one to move to.
const ADDRESSES: usize = 2;

static SETTING_UP: Mutex<()> = Mutex::new(());
static NETWORKS: AtomicUsize = AtomicUsize::new(0);
