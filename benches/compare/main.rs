//! Holdover beside nginx, hitch with Varnish, and TLS alone: what each costs for the same work. `run.sh` is the way in.

#![expect(clippy::print_stdout, reason = "it is a program for a terminal")]

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use self::client::Connection;
use self::peers::{Peer, Running, Stage};
use self::plan::{Cache, FILES, ROWS, Row, TABLES, Work};
use self::report::Measured;

mod client;
mod floor;
mod full;
mod load;
mod peers;
mod plan;
mod process;
mod report;

/// As in the binary that is compared: parts of it run in here.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[derive(Parser)]
struct Arguments {
    /// The binary to compare.
    #[arg(long, default_value = "target/release/holdover")]
    holdover: PathBuf,
    /// The page whose tables are written.
    #[arg(long, default_value = "docs/performance.md")]
    page: PathBuf,
    /// Leave the page as it is.
    #[arg(long)]
    no_write: bool,
    /// Only tables whose names contain one of these words.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// One short run of each row: for a look, not for a figure.
    #[arg(long)]
    quick: bool,
    /// Be the bare TLS server at this address.
    #[arg(long, requires = "directory", hide = true)]
    floor: Option<SocketAddr>,
    #[arg(long, hide = true)]
    directory: Option<PathBuf>,
    /// Be a node with so many stored responses.
    #[arg(long, requires = "config", hide = true)]
    full: Option<u64>,
    #[arg(long, hide = true)]
    config: Option<PathBuf>,
    /// What cargo hands to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments {
        Arguments { floor: Some(address), directory: Some(directory), .. } => {
            floor::serve(*address, directory).await.map(|()| Vec::new())
        }
        Arguments { full: Some(responses), config: Some(file), .. } => {
            full::serve(file, *responses).await.map(|()| Vec::new())
        }
        _ => compare(&arguments).await,
    };
    match done {
        Ok(missed) if missed.is_empty() => ExitCode::SUCCESS,
        Ok(missed) => {
            println!("missed:\n  {}", missed.join("\n  "));
            ExitCode::FAILURE
        }
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Measures all rows, writes the page, and returns what is out of bounds.
async fn compare(arguments: &Arguments) -> io::Result<Vec<String>> {
    let stage = Stage::set(&arguments.holdover)?;
    let mut servers = Servers { stage, running: BTreeMap::new() };
    let turns = if arguments.quick { 1 } else { TURNS };
    let mut measured = Vec::new();
    let is_wanted = |table: &str| arguments.only.is_empty() || arguments.only.iter().any(|word| table.contains(word));
    for row in ROWS.iter().filter(|row| is_wanted(row.table)) {
        let one = Measured { row, figures: servers.measure(row, turns).await? };
        println!("{}, {}: {:.2?}", row.table, row.name, one.figures);
        measured.push(one);
    }
    for table in TABLES.iter().filter_map(|(name, _)| report::table(name, &measured)) {
        println!("\n{table}");
    }
    if !arguments.no_write {
        let page = fs::read_to_string(&arguments.page)?;
        fs::write(&arguments.page, report::rewritten(&page, &measured))?;
    }
    Ok(report::missed(&measured))
}

/// The peers that were started, and the stage they are on.
struct Servers {
    /// Before the stage, so that they end before their files do.
    running: BTreeMap<Peer, Running>,
    stage: Stage,
}

impl Servers {
    /// The figures of so many turns, in each of which all peers run one after another.
    async fn measure(&mut self, row: &Row, turns: usize) -> io::Result<BTreeMap<Peer, Vec<f64>>> {
        let mut figures: BTreeMap<Peer, Vec<f64>> = BTreeMap::new();
        if let Work::Idle(connections) = row.work {
            for &peer in row.peers {
                figures.entry(peer).or_default().push(self.idle(peer, connections).await?);
            }
        } else {
            let are_its_own = self.start_its_own(row).await?;
            for _ in 0..turns {
                for &peer in row.peers {
                    let running = self.running(peer).await?;
                    let address = running.address;
                    let before = running.server.cpu();
                    let done = load::apply(row.work, address, self.stage.directory()).await?;
                    let spent = self.running[&peer].server.cpu().saturating_sub(before);
                    figures.entry(peer).or_default().push(spent.as_secs_f64() * 1e6 / done);
                }
            }
            if are_its_own {
                self.running.clear();
            }
        }
        Ok(figures)
    }

    /// Starts the servers that a row has for itself, with no others beside them, for they take much memory; whether it has any.
    async fn start_its_own(&mut self, row: &Row) -> io::Result<bool> {
        match row.work {
            Work::Among(responses) => {
                self.running.clear();
                self.running.insert(Peer::Holdover, self.full(responses).await?);
                Ok(true)
            }
            Work::Miss { cache: Cache::Full, .. } => {
                self.running.clear();
                for &peer in row.peers {
                    self.running.insert(peer, self.filled(peer, row.work).await?);
                }
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Resident KiB that a connection adds to a fresh process.
    async fn idle(&self, peer: Peer, connections: usize) -> io::Result<f64> {
        let running = self.start(peer, ROOMY_MEBIBYTES).await?;
        drop(client::idle(running.address, 64, "/1k").await?);
        let before = running.server.resident_kib();
        let open = client::idle(running.address, connections, "/1k").await?;
        tokio::time::sleep(SETTLED).await;
        let after = running.server.resident_kib();
        drop(open);
        Ok((after - before) as f64 / connections as f64)
    }

    async fn running(&mut self, peer: Peer) -> io::Result<&Running> {
        if !self.running.contains_key(&peer) {
            let running = self.start(peer, ROOMY_MEBIBYTES).await?;
            self.running.insert(peer, running);
        }
        Ok(&self.running[&peer])
    }

    /// Starts a node with so many stored responses.
    async fn full(&self, responses: u64) -> io::Result<Running> {
        let running = self.stage.start_full(responses)?;
        let full = self.stage.directory().join(full::FULL);
        let mut waited = Duration::ZERO;
        while !full.exists() {
            if waited > FILLED {
                let log = self.stage.log(Peer::Holdover);
                return Err(io::Error::other(format!("a node of {responses} responses is not full\n{log}")));
            }
            tokio::time::sleep(SETTLED / 10).await;
            waited += SETTLED / 10;
        }
        fs::remove_file(full)?;
        Ok(running)
    }

    /// Starts a peer with a small cache, and has it do `work` until that has been full for a while.
    async fn filled(&self, peer: Peer, work: Work) -> io::Result<Running> {
        let running = self.start(peer, SMALL_MEBIBYTES).await?;
        let mut body_bytes = 0.0;
        while body_bytes < 1.25 * (SMALL_MEBIBYTES << 20) as f64 {
            body_bytes += load::apply(work, running.address, self.stage.directory()).await? * work.body_bytes() as f64;
        }
        Ok(running)
    }

    /// Starts a peer and waits until it gives out every file as it is.
    async fn start(&self, peer: Peer, mebibytes: u64) -> io::Result<Running> {
        let running = self.stage.start(peer, mebibytes)?;
        for attempt in 1.. {
            match gives_out_every_file(running.address, self.stage.directory()).await {
                Ok(()) => break,
                Err(error) if attempt == ATTEMPTS => {
                    return Err(io::Error::other(format!("{}: {error}\n{}", peer.title(), self.stage.log(peer))));
                }
                Err(_) => tokio::time::sleep(SETTLED / 10).await,
            }
        }
        Ok(running)
    }
}

async fn gives_out_every_file(address: SocketAddr, directory: &Path) -> io::Result<()> {
    for (name, _) in FILES {
        let expected = fs::read(directory.join(name))?;
        // Twice, so that the second comes out of the cache.
        for _ in 0..2 {
            let mut connection = Connection::open(address).await?;
            if connection.get(&format!("/{name}")).await? != expected {
                return Err(io::Error::other(format!("/{name} is not what the origin has")));
            }
        }
    }
    Ok(())
}

/// Of each row.
const TURNS: usize = 7;

/// A cache for all that is asked for in a turn of every row.
const ROOMY_MEBIBYTES: u64 = 4 << 10;

/// One that is soon full.
const SMALL_MEBIBYTES: u64 = 256;

/// Until connections that were opened are at rest.
const SETTLED: Duration = Duration::from_secs(2);

/// Until a node has ten million stored responses, at most.
const FILLED: Duration = Duration::from_secs(120);

/// How often a peer is asked whether it answers.
const ATTEMPTS: usize = 50;
