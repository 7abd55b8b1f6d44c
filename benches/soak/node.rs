//! The node under test: the real binary, in a process of its own, and what is known of its memory.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use holdover::tls::client::client_config;
use holdover::tls::self_signed::self_signed;
use rustls::ClientConfig;

use crate::cgroup::Cgroup;

/// A running node; it ends with this value.
pub(crate) struct Node {
    process: Child,
    folder: PathBuf,
    /// Plain HTTP.
    pub(crate) http: SocketAddr,
    /// HTTP/1.1 and HTTP/2 over TLS.
    pub(crate) https: SocketAddr,
    admin: SocketAddr,
    /// What trusts its certificate.
    pub(crate) trust: Arc<ClientConfig>,
}

/// Its memory at one moment, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    /// What it says is reserved, of stored responses, fills and connections.
    pub(crate) live: u64,
    /// The bound of that.
    pub(crate) bound: u64,
    /// What the system says it has in RAM.
    pub(crate) resident: u64,
    /// The most of that since [`Node::forget_peak`].
    pub(crate) resident_peak: u64,
}

impl Node {
    /// Starts `binary` with `bound` for its cache, inside `cgroup` if there is one, and waits until it answers.
    pub(crate) fn start(
        binary: &Path,
        bound: u64,
        origin: SocketAddr,
        cgroup: Option<&Cgroup>,
    ) -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("holdover-soak-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let certificate = self_signed(&["localhost".to_owned()])?;
        let (chain, key) = (folder.join("chain.pem"), folder.join("key.pem"));
        fs::write(&chain, certificate.certificate_pem())?;
        fs::write(&key, certificate.key_pem())?;
        let [http, https, admin] = free_addresses()?;
        let config = folder.join("holdover.toml");
        fs::write(
            &config,
            format!(
                r#"
[listen]
https = ["{https}"]
http = ["{http}"]
[admin]
listen = ["{admin}"]
[log]
access = "off"
events = "off"
[cache]
memory = "{}KiB"
[[certificate]]
chain = {chain:?}
key = {key:?}
[[site]]
hosts = ["localhost"]
plain_http = "serve"
origin = [{{ url = "http://{origin}", rank = 1, requests_max = 4096 }}]
"#,
                bound / 1024
            ),
        )?;
        let mut command = cgroup.map_or_else(|| Command::new(binary), |cgroup| cgroup.command(binary));
        command.arg("run").arg("--config").arg(&config).stdout(Stdio::null());
        let process = command.spawn().with_context(|| format!("cannot start {}", binary.display()))?;
        let trust = client_config(Some(&chain))?;
        let mut node = Self { process, folder, http, https, admin, trust };
        node.wait_until_ready()?;
        Ok(node)
    }

    fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        // Looked at now and then, because a process that starts has no other way to say that it is ready.
        let (_never, ticks) = std::sync::mpsc::channel::<()>();
        for _ in 0..100 {
            if self.ask("GET", "/readyz", "").is_ok_and(|reply| reply.starts_with("HTTP/1.1 200")) {
                return Ok(());
            }
            self.is_alive()?;
            let _pause = ticks.recv_timeout(Duration::from_millis(100));
        }
        bail!("the node does not become ready")
    }

    /// # Errors
    /// The process has ended, and how.
    pub(crate) fn is_alive(&mut self) -> anyhow::Result<()> {
        match self.process.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("the node has ended: {status}"),
        }
    }

    /// Purges what the JSON document names.
    pub(crate) fn purge(&self, document: &str) -> anyhow::Result<()> {
        let reply = self.ask("POST", "/v1/purge", document)?;
        if reply.starts_with("HTTP/1.1 200") { Ok(()) } else { bail!("a purge was refused: {reply}") }
    }

    /// Its memory now.
    pub(crate) fn memory(&self) -> anyhow::Result<Memory> {
        let metrics = self.ask("GET", "/metrics", "")?;
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let gauge = |name| number(&metrics, name).with_context(|| format!("no metric {name}"));
        let kibibytes = |name| number(&status, name).with_context(|| format!("no {name}"));
        Ok(Memory {
            live: gauge("holdover_cache_bytes ")?,
            bound: gauge("holdover_cache_capacity_bytes ")?,
            resident: kibibytes("VmRSS:")? * 1024,
            resident_peak: kibibytes("VmHWM:")? * 1024,
        })
    }

    /// Begins anew to note the most that is resident.
    pub(crate) fn forget_peak(&self) -> anyhow::Result<()> {
        Ok(fs::write(format!("/proc/{}/clear_refs", self.process.id()), "5")?)
    }

    fn ask(&self, method: &str, path: &str, document: &str) -> anyhow::Result<String> {
        let mut stream = TcpStream::connect(self.admin)?;
        stream.set_read_timeout(Some(ADMIN_PATIENCE))?;
        let (host, bytes) = (self.admin, document.len());
        let fields =
            format!("Host: {host}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {bytes}");
        stream.write_all(format!("{method} {path} HTTP/1.1\r\n{fields}\r\n\r\n{document}").as_bytes())?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply)?;
        Ok(reply)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may be gone already; what matters is that it is gone after this.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The number after `label` at the beginning of a line.
fn number(text: &str, label: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(label)?.split_ascii_whitespace().next()?.parse().ok())
}

fn free_addresses() -> anyhow::Result<[SocketAddr; 3]> {
    let held = [0; 3].map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)));
    let [first, second, third] = held;
    Ok([first?.local_addr()?, second?.local_addr()?, third?.local_addr()?])
}

/// Longest wait for the admin listener, which shares two cores with all the load.
const ADMIN_PATIENCE: Duration = Duration::from_secs(20);
