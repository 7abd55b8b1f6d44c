//! The servers that are compared: how each is started to do the same work.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use holdover::tls::self_signed::self_signed;

use super::plan::FILES;
use super::process::Server;

/// A server under comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Peer {
    /// This project's node, one worker.
    Holdover,
    /// nginx with `proxy_cache` in memory, one worker.
    Nginx,
    /// hitch, one worker, in front of Varnish.
    Varnish,
    /// TLS and canned bytes.
    Floor,
}

impl Peer {
    /// As tables call it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Holdover => "Holdover",
            Self::Nginx => "nginx",
            Self::Varnish => "hitch + Varnish",
            Self::Floor => "TLS alone",
        }
    }
}

/// A directory in memory with the files, the certificate and all configurations, and the origin that serves the files.
pub(crate) struct Stage {
    directory: PathBuf,
    holdover: PathBuf,
    origin: SocketAddr,
    _origin_server: Server,
}

/// A peer that answers at an address.
pub(crate) struct Running {
    /// Its processes.
    pub(crate) server: Server,
    /// Where it speaks HTTPS.
    pub(crate) address: SocketAddr,
}

impl Stage {
    /// Writes the files and starts the origin, on the core of the load.
    ///
    /// # Errors
    /// A file cannot be written, or nginx not be started.
    pub(crate) fn set(holdover: &Path) -> io::Result<Self> {
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_path_buf() } else { std::env::temp_dir() };
        let directory = parent.join(format!("holdover-compare-{}", std::process::id()));
        fs::create_dir_all(directory.join("varnish"))?;
        for (name, bytes) in FILES {
            let body: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(bytes as usize).collect();
            fs::write(directory.join(name), body)?;
        }
        let own = self_signed(&["localhost".to_owned()]).map_err(io::Error::other)?;
        fs::write(directory.join("chain.pem"), own.certificate_pem())?;
        fs::write(directory.join("key.pem"), own.key_pem())?;
        fs::write(directory.join("hitch.pem"), format!("{}{}", own.key_pem(), own.certificate_pem()))?;
        let origin = free_address()?;
        let configuration = directory.join("origin.conf");
        fs::write(&configuration, nginx(&directory, "origin", &origin_server(origin, &directory)))?;
        let commands = [words(&["nginx", "-p", text(&directory), "-c", text(&configuration)])];
        let origin_server = Server::start(&commands, LOAD_CORE, &directory.join("origin.log"))?;
        let holdover = fs::canonicalize(holdover)?;
        Ok(Self { directory, holdover, origin, _origin_server: origin_server })
    }

    /// Where the files are.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Starts a peer on the core of servers, with so much memory for its cache.
    ///
    /// # Errors
    /// Its program cannot be started.
    pub(crate) fn start(&self, peer: Peer, mebibytes: u64) -> io::Result<Running> {
        let address = free_address()?;
        let directory = text(&self.directory);
        let commands = match peer {
            Peer::Holdover => {
                let file = self.write("holdover.toml", &self.holdover_configuration(address, mebibytes)?)?;
                vec![words(&[text(&self.holdover), "run", "--config", text(&file)])]
            }
            Peer::Nginx => {
                let name = format!("edge-{}", address.port());
                let edge = edge_server(address, self.origin, &self.directory.join(format!("{name}-cache")), mebibytes);
                let http = nginx(&self.directory, &name, &edge);
                let file = self.write("edge.conf", &http)?;
                vec![words(&["nginx", "-p", directory, "-c", text(&file)])]
            }
            Peer::Varnish => {
                let plain = free_address()?;
                let vcl = self.write("origin.vcl", &vcl(self.origin))?;
                let hitch = self.write("hitch.conf", &hitch(address, plain, directory))?;
                let work = self.directory.join("varnish");
                let (at, storage) = (format!("{plain}"), format!("malloc,{mebibytes}m"));
                vec![
                    words(&["varnishd", "-F", "-n", text(&work), "-a", &at, "-f", text(&vcl), "-s", &storage]),
                    words(&["hitch", "--config", text(&hitch)]),
                ]
            }
            Peer::Floor => {
                let own = std::env::current_exe()?;
                vec![words(&[text(&own), "--floor", &address.to_string(), "--directory", directory])]
            }
        };
        let server = Server::start(&commands, SERVER_CORE, &self.directory.join(format!("{peer:?}.log")))?;
        Ok(Running { server, address })
    }

    /// Starts a node that fills its cache with so many responses by itself.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn start_full(&self, responses: u64) -> io::Result<Running> {
        let address = free_address()?;
        let file = self.write("holdover.toml", &self.holdover_configuration(address, TEN_MILLION_MEBIBYTES)?)?;
        let own = std::env::current_exe()?;
        let command = words(&[text(&own), "--full", &responses.to_string(), "--config", text(&file)]);
        let log = self.directory.join(format!("{:?}.log", Peer::Holdover));
        Ok(Running { server: Server::start(&[command], SERVER_CORE, &log)?, address })
    }

    /// What a peer has said, for when it does not answer.
    pub(crate) fn log(&self, peer: Peer) -> String {
        fs::read_to_string(self.directory.join(format!("{peer:?}.log"))).unwrap_or_default()
    }

    fn write(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        let path = self.directory.join(name);
        fs::write(&path, text)?;
        Ok(path)
    }

    fn holdover_configuration(&self, address: SocketAddr, mebibytes: u64) -> io::Result<String> {
        let (origin, admin, directory) = (self.origin, free_address()?, text(&self.directory));
        Ok(format!(
            r#"
[node]
workers = 1
[listen]
https = ["{address}"]
http = []
[admin]
listen = ["{admin}"]
[log]
access = "off"
events = "off"
[cache]
memory = "{mebibytes}MiB"
[[certificate]]
chain = "{directory}/chain.pem"
key = "{directory}/key.pem"
[[site]]
hosts = ["localhost"]
origin = [{{ url = "http://{origin}", rank = 1 }}]
"#
        ))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// An nginx of one worker with this server in it, and all its files below `directory`.
fn nginx(directory: &Path, name: &str, server: &str) -> String {
    let directory = text(directory);
    format!(
        "pid {directory}/{name}.pid; daemon off; worker_processes 1; worker_rlimit_nofile 65536; error_log stderr;\n\
         user root; events {{ worker_connections 32768; }}\n\
         http {{ access_log off; sendfile on; tcp_nodelay on; keepalive_requests 1000000000; keepalive_timeout 600s;\n\
         open_file_cache max=10000 inactive=1h; client_body_temp_path {directory}/{name}-body;\n\
         proxy_temp_path {directory}/{name}-proxy; fastcgi_temp_path {directory}/{name}-fastcgi;\n\
         uwsgi_temp_path {directory}/{name}-uwsgi; scgi_temp_path {directory}/{name}-scgi;\n\
         {server} }}\n"
    )
}

fn origin_server(address: SocketAddr, directory: &Path) -> String {
    let root = text(directory);
    let unique = |name| format!("location /unique/{name}/ {{ rewrite ^ /{name} break; }} ");
    let rewrites: String = FILES.iter().map(|(name, _)| unique(name)).collect();
    // The root is what probes ask for.
    format!(
        "server {{ listen {address}; root {root}; add_header Cache-Control \"public, max-age=86400\";\n\
         location = / {{ return 204; }} {rewrites} }}"
    )
}

/// nginx evicts a hundred files at a time, and then sleeps; here it may evict as many as come.
fn edge_server(address: SocketAddr, origin: SocketAddr, cache: &Path, mebibytes: u64) -> String {
    let (cache, directory) = (text(cache), text(cache.parent().expect("it is below the stage")));
    format!(
        "ssl_certificate {directory}/chain.pem; ssl_certificate_key {directory}/key.pem; ssl_protocols TLSv1.3;\n\
         ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;\n\
         proxy_cache_path {cache} levels=1:2 keys_zone=edge:256m max_size={mebibytes}m inactive=1d \
         use_temp_path=off manager_files=1000 manager_sleep=5ms;\n\
         upstream origin {{ server {origin}; keepalive 64; }}\n\
         server {{ listen {address} ssl http2; location / {{ proxy_pass http://origin; proxy_http_version 1.1;\n\
         proxy_set_header Connection \"\"; proxy_cache edge; add_header Cache-Status $upstream_cache_status; }} }}"
    )
}

fn vcl(origin: SocketAddr) -> String {
    let (host, port) = (origin.ip(), origin.port());
    format!("vcl 4.1;\nbackend origin {{ .host = \"{host}\"; .port = \"{port}\"; }}\n")
}

fn hitch(address: SocketAddr, plain: SocketAddr, directory: &str) -> String {
    let (host, port) = (address.ip(), address.port());
    format!(
        "frontend = {{ host = \"{host}\" port = \"{port}\" }}\nbackend = \"[{}]:{}\"\nworkers = 1\n\
         pem-file = \"{directory}/hitch.pem\"\ntls-protos = TLSv1.3\nciphersuites = \"TLS_AES_128_GCM_SHA256\"\n\
         user = \"nobody\"\ngroup = \"nogroup\"\nsyslog = off\nquiet = on\ndaemon = off\n",
        plain.ip(),
        plain.port()
    )
}

/// An address on loopback that was free a moment ago.
fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("the directory's name is ours")
}

/// More than ten million small responses take.
const TEN_MILLION_MEBIBYTES: u64 = 9 << 10;

/// Where servers run.
const SERVER_CORE: usize = 0;

/// Where load and origin run.
pub(crate) const LOAD_CORE: usize = 1;
