//! A real nginx as origin.

use std::net::SocketAddr;

use tokio::net::TcpStream;
use tokio::process::Command;

use super::process::find;
use super::{Folder, Process, own_address, poll};

/// One process of nginx and the files it serves.
pub(crate) struct Nginx {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Its document root.
    pub(crate) site: Folder,
    folder: Folder,
    process: Process,
}

impl Nginx {
    /// Starts one without files, on a loopback address of its own.
    pub(crate) async fn start() -> Self {
        let address = own_address();
        let (folder, site) = (Folder::new(), Folder::new());
        folder.write("nginx.conf", configuration(&folder, &site, address));
        let process = spawn(&folder);
        let nginx = Self { address, site, folder, process };
        nginx.listens().await;
        nginx
    }

    /// Signals it, such as `STOP`.
    pub(crate) async fn signal(&self, signal: &str) {
        self.process.signal(signal).await;
    }

    /// `kill -9`.
    pub(crate) async fn dies(&mut self) {
        self.signal("KILL").await;
        self.process.ended().await;
    }

    /// Starts it again on its address.
    pub(crate) async fn returns(&mut self) {
        self.process = spawn(&self.folder);
        self.listens().await;
    }

    /// How many requests it has had for a path.
    pub(crate) fn requests(&self, path: &str) -> usize {
        let asked = format!(" {path} HTTP/");
        self.folder.read("access.log").lines().filter(|line| line.contains(&asked)).count()
    }

    async fn listens(&self) {
        poll("nginx", async || TcpStream::connect(self.address).await.ok()).await;
    }
}

fn spawn(folder: &Folder) -> Process {
    let nginx = find("nginx").expect("whoever wants nginx has made sure that it is there");
    let mut command = Command::new(nginx);
    command.arg("-p").arg(folder.path()).arg("-c").arg(folder.path().join("nginx.conf")).args(["-e", "error.log"]);
    Process::start(command)
}

/// One process, so that its id is all there is to stop. Compresses for proxies too, which nginx does not by default.
fn configuration(folder: &Folder, site: &Folder, address: SocketAddr) -> String {
    let (folder, site) = (folder.path().display(), site.path().display());
    format!(
        r#"daemon off;
master_process off;
pid {folder}/pid;
events {{ worker_connections 512; }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    types {{ text/html html; text/css css; application/octet-stream bin; }}
    gzip on;
    gzip_vary on;
    gzip_proxied any;
    gzip_types text/css;
    gzip_min_length 100;
    server {{
        listen {address};
        root {site};
        location / {{ add_header cache-control "max-age=600"; }}
        location /brief/ {{ add_header cache-control "max-age=1, stale-while-revalidate=0"; }}
        location /always/ {{ add_header cache-control "no-cache"; }}
    }}
}}
"#
    )
}
