//! Other caches in the node's place, configured by somebody who knows them and wants what we promise.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use tokio::net::TcpStream;

use super::subject::Cache;
use crate::wires::{Folder, Process, find, poll};

/// A running nginx or varnishd.
pub(crate) struct Peer {
    process: Process,
}

impl Peer {
    /// Starts nginx in front of these origins, with a certificate chain and its key.
    pub(crate) async fn nginx(
        folder: &Folder,
        pair: &(PathBuf, PathBuf),
        origins: &[SocketAddr],
        http: SocketAddr,
        https: SocketAddr,
    ) -> Self {
        let path = folder.path();
        let (chain, key) = (pair.0.display(), pair.1.display());
        let (first, others) = origins.split_first().expect("a site has origins");
        let mut servers = format!("server {first} max_fails=3 fail_timeout=1s;");
        for other in others {
            write!(servers, " server {other} max_fails=3 fail_timeout=1s backup;").unwrap();
        }
        let server =
            format!("listen {http}; listen {https} ssl http2; ssl_certificate {chain}; ssl_certificate_key {key};");
        let text = NGINX.replace("{folder}", path.to_str().unwrap());
        let file = folder.write("nginx.conf", text.replace("{servers}", &servers).replace("{server}", &server));
        let mut command = command(Cache::Nginx);
        command.arg("-p").arg(path).arg("-c").arg(file).args(["-e", "stderr"]);
        Self::start(command, folder, http).await
    }

    /// Starts varnishd in front of these origins.
    pub(crate) async fn varnish(folder: &Folder, origins: &[SocketAddr], http: SocketAddr) -> Self {
        let mut text = VARNISH_PROBE.to_owned();
        for (number, origin) in origins.iter().enumerate() {
            let (host, port) = (origin.ip(), origin.port());
            writeln!(text, "backend rank{number} {{ .host = \"{host}\"; .port = \"{port}\"; {VARNISH_BACKEND} }}")
                .unwrap();
        }
        let file = folder.write("site.vcl", text + VARNISH);
        let mut command = command(Cache::Varnish);
        command.args(["-F", "-j", "none", "-s", "malloc,256m", "-p", "timeout_idle=30", "-a", &http.to_string()]);
        command.arg("-n").arg(folder.path().join("varnish")).arg("-f").arg(file);
        Self::start(command, folder, http).await
    }

    async fn start(mut command: Command, folder: &Folder, http: SocketAddr) -> Self {
        let output = |name| std::fs::File::create(folder.path().join(name)).unwrap();
        command.stdout(output("stdout")).stderr(output("stderr"));
        let mut process = Process::start(command.into());
        poll("the cache to listen", async || {
            assert!(!process.has_ended(), "{}", folder.read("stderr"));
            TcpStream::connect(http).await.ok()
        })
        .await;
        Self { process }
    }

    /// Ends it.
    pub(crate) async fn stops(mut self) {
        self.process.signal("TERM").await;
        self.process.ended().await;
    }
}

/// The version of what is installed; `None` where it is not.
pub(crate) fn version(cache: Cache) -> Option<String> {
    let (_, option, before) = program(cache);
    find(program(cache).0)?;
    let output = command(cache).arg(option).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let version =
        said.split_once(before).map(|(_, rest)| rest.split([' ', '\n']).next().unwrap_or_default().to_owned());
    Some(version.unwrap_or_else(|| panic!("{} does not say its version: {said}", cache.name())))
}

/// What it is started as, how it is asked for its version, and what stands before that in its answer.
pub(crate) fn program(cache: Cache) -> (&'static str, &'static str, &'static str) {
    match cache {
        Cache::Holdover => panic!("the node is no peer of its own"),
        Cache::Nginx => ("nginx", "-v", "nginx/"),
        Cache::Varnish => ("varnishd", "-V", "varnish-"),
    }
}

fn command(cache: Cache) -> Command {
    Command::new(find(program(cache).0).expect("whoever wants a peer has made sure that it is there"))
}

/// One process, so that its id is all there is to stop. It takes one origin and backups of it: it has no third rank, and
/// no probes. Addresses are written out: names are looked up once, at the start.
const NGINX: &str = r#"daemon off;
master_process off;
pid {folder}/pid;
error_log stderr crit;
events { worker_connections 4096; }
http {
    access_log off;
    keepalive_requests 1000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream site { zone site 256k; {servers} keepalive 32; }
    proxy_cache_path {folder}/cache keys_zone=pages:32m max_size=1g inactive=1d use_temp_path=off;
    server {
        {server}
        location / {
            proxy_pass http://site;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            proxy_connect_timeout 250ms;
            proxy_read_timeout 1800ms;
            proxy_next_upstream error timeout invalid_header http_500 http_502 http_503 http_504;
            proxy_next_upstream_tries 3;
            proxy_next_upstream_timeout 10s;
            proxy_cache pages;
            proxy_cache_key $scheme$host$request_uri;
            proxy_cache_lock on;
            proxy_cache_revalidate on;
            proxy_cache_background_update on;
            proxy_cache_use_stale error timeout updating invalid_header http_500 http_502 http_503 http_504;
        }
    }
}
"#;

/// The node's own probe, as far as there are words for it.
const VARNISH_PROBE: &str = r#"vcl 4.1;
import directors;
import std;
probe healthz { .url = "/healthz"; .interval = 500ms; .timeout = 400ms; .window = 3; .threshold = 2; .initial = 2; }
"#;

const VARNISH_BACKEND: &str =
    ".probe = healthz; .connect_timeout = 250ms; .first_byte_timeout = 1800ms; .between_bytes_timeout = 2s;";

/// Stale for ten seconds while an origin is well and for a day otherwise, failures to the next rank, and no error in the
/// place of what is stored.
const VARNISH: &str = r"
sub vcl_init {
    new ranked = directors.fallback();
    ranked.add_backend(rank0);
    ranked.add_backend(rank1);
    ranked.add_backend(rank2);
}
sub vcl_recv {
    set req.backend_hint = ranked.backend();
    if (std.healthy(req.backend_hint)) { set req.grace = 10s; }
}
sub vcl_backend_fetch {
    if (bereq.retries == 1) { set bereq.backend = rank1; }
    if (bereq.retries == 2) { set bereq.backend = rank2; }
}
sub vcl_backend_response {
    set beresp.grace = 24h;
    set beresp.keep = 1h;
    if (beresp.status == 500 || (beresp.status >= 502 && beresp.status <= 504)) {
        if (bereq.retries < 2) { return (retry); }
        if (bereq.is_bgfetch) { return (abandon); }
    }
}
sub vcl_backend_error {
    if (bereq.retries < 2) { return (retry); }
    if (bereq.is_bgfetch) { return (abandon); }
}
";
