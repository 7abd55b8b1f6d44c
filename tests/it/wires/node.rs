//! The built binary as a node of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitStatus;
use std::sync::atomic::{AtomicU8, Ordering};

use serde_json::Value;
use socket2::{Domain, Socket, Type};
use tokio::process::Command;

use super::{Client, Folder, Process, poll};

/// One HTTPS and one plain listener, on ports that are free.
pub(crate) const LISTEN: &str = r#"
[listen]
https = ["127.0.0.1:0"]
http = ["127.0.0.1:0"]
"#;

/// A running node.
pub(crate) struct Node {
    process: Process,
    folder: Folder,
}

impl Node {
    /// Starts one with this configuration, to which an admin listener and log files are added, and waits until it is
    /// ready.
    pub(crate) async fn start(configuration: &str) -> Self {
        let folder = Folder::new();
        let path = folder.path();
        let (access, events) = (path.join("access"), path.join("events"));
        let text = format!(
            "[admin]\nlisten = [\"127.0.0.1:0\"]\n[log]\naccess = {access:?}\nevents = {events:?}\n{configuration}"
        );
        folder.write("holdover.toml", text);
        let mut node = Self { process: spawn(&folder), folder };
        node.becomes_ready().await;
        node
    }

    /// Stops it cleanly and starts it again with the configuration it has; its events begin anew.
    pub(crate) async fn restarts(&mut self) {
        self.signal("TERM").await;
        let status = self.ended().await;
        assert_eq!((status.code(), self.stderr().as_str()), (Some(0), ""));
        std::fs::remove_file(self.folder.path().join("events")).unwrap();
        self.process = spawn(&self.folder);
        self.becomes_ready().await;
    }

    async fn becomes_ready(&mut self) {
        let admin = poll("the admin listener", async || {
            assert!(!self.process.has_ended(), "{}", self.folder.read("stderr"));
            self.address("admin")
        })
        .await;
        poll("/readyz", async || {
            let reply = Client::plain(admin, "localhost").get("/readyz").await.ok()?;
            (reply.status == 200).then_some(())
        })
        .await;
    }

    /// Where it listens for `https`, `http` or `admin`: the first address.
    pub(crate) fn address(&self, protocol: &str) -> Option<SocketAddr> {
        self.addresses(protocol).into_iter().next()
    }

    /// Where it listens for a protocol.
    pub(crate) fn addresses(&self, protocol: &str) -> Vec<SocketAddr> {
        let events = self.events("listening");
        let of_protocol = events.iter().filter(|event| event["protocol"] == protocol);
        of_protocol.filter_map(|event| event["address"].as_str()?.parse().ok()).collect()
    }

    /// The events of one name until now.
    pub(crate) fn events(&self, name: &str) -> Vec<Value> {
        self.all_events().into_iter().filter(|event| event["event"] == name).collect()
    }

    /// All events until now.
    pub(crate) fn all_events(&self) -> Vec<Value> {
        let text = self.folder.read("events");
        let whole = text.rsplit_once('\n').map_or("", |(lines, _)| lines);
        whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Waits for an event for which `is` holds.
    pub(crate) async fn tells(&self, name: &str, is: impl Fn(&Value) -> bool) -> Value {
        poll(name, async || self.events(name).into_iter().find(&is)).await
    }

    /// Waits until the first site is in this outage mode.
    pub(crate) async fn mode_becomes(&self, mode: &str) {
        poll(&format!("the outage mode {mode}"), async || {
            (self.status().await["sites"][0]["mode"] == mode).then_some(())
        })
        .await;
    }

    /// `/status`.
    pub(crate) async fn status(&self) -> Value {
        serde_json::from_slice(&self.admin("/status").await.body).unwrap()
    }

    /// Any path of the admin listener.
    pub(crate) async fn admin(&self, path: &str) -> super::Reply {
        Client::plain(self.address("admin").unwrap(), "localhost").get(path).await.unwrap()
    }

    /// What it said on its way.
    pub(crate) fn stderr(&self) -> String {
        self.folder.read("stderr")
    }

    /// Sends it a signal.
    pub(crate) async fn signal(&self, signal: &str) {
        self.process.signal(signal).await;
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        self.process.ended().await
    }

    /// Asserts that it lives, that nothing panicked, and that it stops cleanly.
    pub(crate) async fn stops_whole(mut self) {
        assert!(!self.process.has_ended(), "the node is gone: {}", self.stderr());
        assert_eq!(self.events("request-panicked"), Vec::<Value>::new());
        self.signal("TERM").await;
        let status = self.ended().await;
        assert_eq!((status.code(), self.stderr().as_str()), (Some(0), ""));
    }
}

fn spawn(folder: &Folder) -> Process {
    let path = folder.path();
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdover"));
    command.arg("run").arg("--config").arg(path.join("holdover.toml"));
    command.env_remove("HOLDOVER_REGION").env_remove("STATE_DIRECTORY");
    let output = |name| std::fs::File::create(path.join(name)).unwrap();
    command.stdout(output("stdout")).stderr(output("stderr"));
    Process::start(command)
}

/// A loopback address of this process alone, with a port that is free there.
pub(crate) fn own_address() -> SocketAddr {
    let [.., high, low] = std::process::id().to_be_bytes();
    let ip = Ipv4Addr::new(127, 100 + high % 100, low, ADDRESSES.fetch_add(1, Ordering::Relaxed));
    // Bound and not listening: a process that is being forked meanwhile may hold it a moment longer than we do.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&SocketAddr::from((ip, 0)).into()).unwrap();
    socket.local_addr().unwrap().as_socket().unwrap()
}

static ADDRESSES: AtomicU8 = AtomicU8::new(1);
