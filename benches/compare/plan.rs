//! What is measured, of whom, and what it may cost.

use super::client::Handshake;
use super::peers::Peer::{self, Floor, Holdover, Nginx, Varnish};

/// The bodies that are asked for: names and lengths in bytes.
pub(crate) const FILES: [(&str, u64); 5] =
    [("1k", 1 << 10), ("16k", 16 << 10), ("64k", 64 << 10), ("1m", 1 << 20), ("10m", 10 << 20)];

/// One line of a table.
pub(crate) struct Row {
    /// The table it is in.
    pub(crate) table: &'static str,
    /// What it says.
    pub(crate) name: &'static str,
    /// What is done.
    pub(crate) work: Work,
    /// With whom.
    pub(crate) peers: &'static [Peer],
    /// What Holdover's figure may be.
    pub(crate) limits: &'static [Limit],
}

/// What is done to a server; its figure is CPU time for each, in µs, unless said otherwise.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Random ones of so many small stored responses.
    Among(u64),
    /// A handshake.
    Handshake(Handshake),
    /// The head of a stored file, which load generators do not ask for, on so many connections.
    Head { path: &'static str, connections: u32 },
    /// A stored file, asked for with this field, on so many connections.
    Hit { file: &'static str, field: Option<&'static str>, connections: u32 },
    /// The same over HTTP/2, with so many streams on each connection.
    Hit2 { file: &'static str, connections: u32, streams: u32 },
    /// Connections that were answered once and stay open; the figure is resident KiB for each.
    Idle(usize),
    /// A URL that was never asked for and is stored then, in a cache that has room for it or has to make some.
    Miss { file: &'static str, cache: Cache },
}

/// How much is in a cache.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cache {
    /// It has room for more.
    Filling,
    /// It has not.
    Full,
}

impl Work {
    /// How long each peer does it in a turn: many short turns tell more than a few long ones, for the machine is not the
    /// same from one minute to the next, but most of the responses should be whole.
    pub(crate) fn seconds(self) -> f64 {
        match self {
            Self::Hit { file: "10m", .. } => 3.0,
            _ => 1.0,
        }
    }

    /// Bytes of the body that is asked for, if it is one of the files.
    pub(crate) fn body_bytes(self) -> u64 {
        match self {
            Self::Hit { file, .. } | Self::Hit2 { file, .. } | Self::Miss { file, .. } => length(file),
            Self::Among(_) | Self::Handshake(_) | Self::Head { .. } | Self::Idle(_) => 0,
        }
    }
}

/// Bytes of this file.
fn length(file: &str) -> u64 {
    FILES.iter().find(|(name, _)| *name == file).map_or(0, |&(_, length)| length)
}

/// A bound on Holdover's figure.
#[derive(Clone, Copy)]
pub(crate) enum Limit {
    /// So many times that of a peer.
    Peer(Peer, f64),
    /// So many times that of another row, named by its table and itself.
    Row(&'static str, &'static str, f64),
    /// So much.
    Value(f64),
}

/// Everything that is measured, in order.
pub(crate) const ROWS: &[Row] = &[
    hit("1 KiB", "1k", 50, &[Limit::Peer(Nginx, 0.66), Limit::Peer(Varnish, 0.40), Limit::Peer(Floor, 1.25)]),
    hit("16 KiB", "16k", 50, &[Limit::Peer(Nginx, 0.66), Limit::Peer(Varnish, 0.40), Limit::Peer(Floor, 1.25)]),
    hit("64 KiB", "64k", 50, &[Limit::Peer(Nginx, 0.52), Limit::Peer(Varnish, 0.40), Limit::Peer(Floor, 1.25)]),
    hit("1 MiB", "1m", 50, &[Limit::Peer(Nginx, 0.66), Limit::Peer(Varnish, 0.40), Limit::Peer(Floor, 1.25)]),
    hit("10 MiB", "10m", 64, &[Limit::Peer(Nginx, 0.55), Limit::Peer(Varnish, 0.40), Limit::Peer(Floor, 1.25)]),
    hit2("1 KiB", "1k", 50, 10, &[Limit::Peer(Nginx, 0.85)]),
    hit2("16 KiB", "16k", 50, 10, &[Limit::Peer(Nginx, 0.50)]),
    hit2("64 KiB", "64k", 50, 10, &[Limit::Peer(Nginx, 0.55)]),
    hit2("1 MiB", "1m", 50, 1, &[Limit::Peer(Nginx, 0.66)]),
    hit2("10 MiB", "10m", 64, 1, &[Limit::Peer(Nginx, 0.80)]),
    small("304 of 1 KiB", asked_with("If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT")),
    small("range of 100 bytes", asked_with("Range: bytes=100-199")),
    small("HEAD", Work::Head { path: "/1k", connections: 50 }),
    miss("1 KiB", "1k", Cache::Filling),
    miss("64 KiB", "64k", Cache::Filling),
    miss("1 KiB, cache full", "1k", Cache::Full),
    miss("64 KiB, cache full", "64k", Cache::Full),
    Row {
        table: CONNECTIONS,
        name: "full handshake, µs",
        work: Work::Handshake(Handshake::Full),
        peers: &[Holdover, Nginx, Varnish],
        limits: &[Limit::Peer(Nginx, 1.0)],
    },
    Row {
        table: CONNECTIONS,
        name: "resumed handshake, µs",
        work: Work::Handshake(Handshake::Resumed),
        peers: &[Holdover, Nginx, Varnish],
        limits: &[Limit::Peer(Nginx, 1.0)],
    },
    Row {
        table: CONNECTIONS,
        name: "idle connection, KiB",
        work: Work::Idle(9_500),
        peers: &[Holdover, Nginx],
        limits: &[Limit::Value(14.0)],
    },
    among("1,000", 1_000, &[]),
    among("10,000", 10_000, &[Limit::Row(AMONG, "1,000", 1.3)]),
    among("100,000", 100_000, &[Limit::Row(AMONG, "1,000", 1.3)]),
    among("1,000,000", 1_000_000, &[Limit::Row(AMONG, "1,000", 1.3)]),
    among("10,000,000", 10_000_000, &[Limit::Row(AMONG, "1,000", 1.3)]),
];

const fn hit(name: &'static str, file: &'static str, connections: u32, limits: &'static [Limit]) -> Row {
    let work = Work::Hit { file, field: None, connections };
    Row { table: HITS, name, work, peers: &[Holdover, Nginx, Varnish, Floor], limits }
}

const fn hit2(name: &'static str, file: &'static str, connections: u32, streams: u32, limits: &'static [Limit]) -> Row {
    Row { table: HITS_2, name, work: Work::Hit2 { file, connections, streams }, peers: &[Holdover, Nginx], limits }
}

const fn small(name: &'static str, work: Work) -> Row {
    Row { table: SMALL, name, work, peers: &[Holdover, Nginx, Varnish], limits: &[Limit::Row(HITS, "1 KiB", 1.0)] }
}

const fn asked_with(field: &'static str) -> Work {
    Work::Hit { file: "1k", field: Some(field), connections: 50 }
}

const fn miss(name: &'static str, file: &'static str, cache: Cache) -> Row {
    let (work, limits) = (Work::Miss { file, cache }, &[Limit::Peer(Nginx, 0.8)]);
    Row { table: MISSES, name, work, peers: &[Holdover, Nginx], limits }
}

const fn among(name: &'static str, responses: u64, limits: &'static [Limit]) -> Row {
    Row { table: AMONG, name, work: Work::Among(responses), peers: &[Holdover], limits }
}

/// The tables, as their markers in the page call them.
pub(crate) const HITS: &str = "hits over HTTP/1.1";
pub(crate) const HITS_2: &str = "hits over HTTP/2";
pub(crate) const SMALL: &str = "small answers";
pub(crate) const MISSES: &str = "misses";
pub(crate) const CONNECTIONS: &str = "connections";
pub(crate) const AMONG: &str = "stored responses";

/// The headings of their first columns.
pub(crate) const TABLES: [(&str, &str); 6] = [
    (HITS, "Body"),
    (HITS_2, "Body"),
    (SMALL, "Answer"),
    (MISSES, "Body"),
    (CONNECTIONS, "Connection"),
    (AMONG, "Stored responses"),
];
