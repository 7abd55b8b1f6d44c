//! What load generators do to a server, and how much of it they got done.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::client::{ask_for_heads, shake_hands};
use super::full::PATH;
use super::peers::LOAD_CORE;
use super::plan::Work;

/// Puts `work` on the server at `address` for as long as it takes; how much of it was done, in units of one.
///
/// # Errors
/// A load generator is missing or says what is not understood, or a request failed.
pub(crate) async fn apply(work: Work, address: SocketAddr, scripts: &Path) -> io::Result<f64> {
    let seconds = work.seconds();
    let url = |path: &str| format!("https://localhost:{}{path}", address.port());
    match work {
        Work::Among(responses) => {
            let request = format!("return wrk.format(nil, '{PATH}' .. math.random(0, {}))", responses - 1);
            let script = format!("math.randomseed({})\nrequest = function() {request} end", fastrand::u32(..));
            wrk(&url("/"), &script, 50, seconds, scripts).await.map(|done| done.requests)
        }
        Work::Handshake(kind) => shake_hands(address, kind, 16, seconds).await.map(|made| made as f64),
        Work::Head { path, connections } => {
            ask_for_heads(address, path, connections, seconds).await.map(|answers| answers as f64)
        }
        Work::Hit { file, field, connections } => {
            let field = field.and_then(|field| field.split_once(": "));
            let field = field.map_or_else(String::new, |(name, value)| format!("wrk.headers['{name}'] = '{value}'"));
            let done = wrk(&url(&format!("/{file}")), &field, connections, seconds, scripts).await?;
            Ok(done.of(work))
        }
        Work::Hit2 { file, connections, streams } => {
            // Some connections have no session yet when the time of long bodies is up, and h2load never ends those.
            let much = if work.body_bytes() > LARGE_BYTES {
                format!("-n{}", connections * DOWNLOADS)
            } else {
                format!("-D{seconds}")
            };
            h2load(&url(&format!("/{file}")), connections, streams, much).await.map(|done| done.of(work))
        }
        Work::Idle(_) => Err(io::Error::other("idle connections are no load")),
        Work::Miss { file, .. } => {
            // A number that no run before had makes URLs that no run before asked for.
            let salt = fastrand::u64(..);
            let request = format!("n = n + 1 return wrk.format(nil, '/unique/{file}/{salt}-' .. n)");
            let script = format!("local n = 0\nrequest = function() {request} end");
            wrk(&url("/"), &script, 50, seconds, scripts).await.map(|done| done.requests)
        }
    }
}

/// What a load generator has received.
struct Done {
    requests: f64,
    bytes: f64,
}

impl Done {
    /// Responses of this work. Large ones that the end of the run cut off count by their bytes.
    fn of(&self, work: Work) -> f64 {
        let length = work.body_bytes();
        if length >= LARGE_BYTES { self.bytes / length as f64 } else { self.requests }
    }
}

async fn wrk(url: &str, script: &str, connections: u32, seconds: f64, scripts: &Path) -> io::Result<Done> {
    let file = scripts.join("load.lua");
    fs::write(&file, format!("{script}\n{REPORT}"))?;
    let seconds = format!("{seconds:.0}s");
    // Large bodies for many connections may take longer than wrk waits by itself.
    let options = ["wrk", "-t1", "-c", &connections.to_string(), "-d", &seconds, "--timeout", "20s", "-s"];
    let arguments = options.map(str::to_owned);
    let said = run(arguments.into_iter().chain([file.display().to_string(), url.to_owned()])).await?;
    let figures = said.lines().find_map(|line| line.strip_prefix("done ")).unwrap_or_default();
    match figures.split(' ').map(str::parse).collect::<Result<Vec<f64>, _>>().as_deref() {
        Ok(&[requests, bytes, failed]) if failed == 0.0 && bytes > 0.0 => Ok(Done { requests, bytes }),
        _ => Err(io::Error::other(format!("wrk {url}: {said}"))),
    }
}

/// `much` is how much of it, as h2load has it: a number of responses, or a time.
async fn h2load(url: &str, connections: u32, streams: u32, much: String) -> io::Result<Done> {
    let options = [format!("-c{connections}"), format!("-m{streams}"), much];
    let arguments = ["h2load".to_owned(), "-t1".to_owned()].into_iter().chain(options);
    let said = run(arguments.chain([url.to_owned()])).await?;
    let before = |word: &str| said.split(word).next()?.rsplit([' ', '(']).next()?.parse::<f64>().ok();
    match (before(" done,"), before(") total"), before(" failed,")) {
        (Some(requests), Some(bytes), Some(0.0)) if bytes > 0.0 => Ok(Done { requests, bytes }),
        _ => Err(io::Error::other(format!("h2load {url}: {said}"))),
    }
}

async fn run(words: impl Iterator<Item = String>) -> io::Result<String> {
    let mut command = Command::new("taskset");
    command.args(["-c", &LOAD_CORE.to_string()]).args(words).kill_on_drop(true);
    let output =
        timeout(PATIENCE, command.output()).await.map_err(|_| io::Error::other(format!("{command:?}: no end")))??;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() { Ok(said) } else { Err(io::Error::other(said)) }
}

/// From here on a response that was cut off is a large part of all of them.
const LARGE_BYTES: u64 = 1 << 20;

/// Of the longest bodies, on each HTTP/2 connection of a turn: some three seconds of them.
const DOWNLOADS: u32 = 10;

/// How long a load may take, however slow the server.
const PATIENCE: Duration = Duration::from_secs(120);

/// What wrk prints at the end.
const REPORT: &str = "done = function(summary)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format('done %d %d %d\\n', summary.requests, summary.bytes, failed))
end";
