//! One JSON line per request, formatted and written on a thread of its own.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};

use super::json_line;
use super::line_writer::LineWriter;
use super::metrics::Metrics;
use super::timestamp::Timestamp;
use crate::config::model::LogTarget;

/// Takes records of finished requests, without waiting; clones are the same log.
#[derive(Clone, Debug)]
pub struct AccessLog {
    writer: Option<Arc<LineWriter<AccessRecord>>>,
}

impl AccessLog {
    /// Opens the log. Lost lines are counted in `holdover_access_log_dropped_total`.
    ///
    /// # Errors
    /// The file cannot be opened for appending, or the writer's thread cannot be started.
    pub fn open(target: &LogTarget, metrics: &Metrics) -> io::Result<Self> {
        let dropped = metrics.access_log_dropped.clone();
        let writer = LineWriter::spawn("access-log", target, QUEUE, dropped, AccessRecord::write_line)?;
        Ok(Self { writer: writer.map(Arc::new) })
    }

    /// Whether anybody reads the records; when not, none need be made.
    pub fn is_on(&self) -> bool {
        self.writer.is_some()
    }

    /// Hands over one record; drops and counts it when 4096 are waiting already. Never waits.
    pub fn write(&self, record: AccessRecord) {
        if let Some(writer) = &self.writer {
            writer.write(record.capped());
        }
    }

    /// Lines lost since the start, because the output was too slow or failed.
    pub fn dropped(&self) -> u64 {
        self.writer.as_ref().map_or(0, |writer| writer.dropped())
    }

    /// Writes the records taken and ends the writer's thread, within `timeout`; blocks. Later records are dropped.
    pub fn close(&self, timeout: Duration) {
        if let Some(writer) = &self.writer {
            writer.close(timeout);
        }
    }
}

/// One finished request; the fields of the log line in their order.
#[derive(Clone, Debug)]
pub struct AccessRecord {
    /// When its head had arrived.
    pub time: SystemTime,
    /// The client's address.
    pub client: IpAddr,
    /// `h1` or `h2`.
    pub protocol: &'static str,
    /// Whether the client's connection was encrypted.
    pub tls: bool,
    /// The site's name.
    pub site: Arc<str>,
    /// The request method.
    pub method: http::Method,
    /// `https` or `http`.
    pub scheme: &'static str,
    /// The requested host.
    pub host: Box<str>,
    /// The requested path and query; the log calls it `path`.
    pub path_and_query: Box<str>,
    /// The response status.
    pub status: u16,
    /// Body bytes handed to the client's connection.
    pub body_bytes: u64,
    /// Whether the whole response was handed to the client's connection.
    pub complete: bool,
    /// From `time` to the end of the response.
    pub duration: Duration,
    /// From `time` to the response head.
    pub first_byte: Duration,
    /// The first word of our `Cache-Status` member (RFC 9211): `hit` or why the request was forwarded.
    pub cache: &'static str,
    /// The `detail` of our `Cache-Status` member.
    pub detail: Option<&'static str>,
    /// Remaining freshness in seconds, negative when stale.
    pub ttl: Option<i64>,
    /// Whether the response was stored.
    pub stored: bool,
    /// Whether it shared another request's fill.
    pub collapsed: bool,
    /// The `Age` of the response, in seconds.
    pub age: Option<u64>,
    /// The origin that answered.
    pub origin: Option<Arc<str>>,
    /// The address that answered.
    pub address: Option<SocketAddr>,
    /// Endpoints tried.
    pub attempts: u32,
    /// The status the origin sent.
    pub origin_status: Option<u16>,
    /// From the first attempt to the origin's response head.
    pub origin_time: Option<Duration>,
    /// The `User-Agent` field.
    pub user_agent: Option<Box<str>>,
    /// The `Referer` field.
    pub referer: Option<Box<str>>,
}

impl AccessRecord {
    /// Cuts texts before they wait, so that the queue is bounded in bytes too.
    fn capped(mut self) -> Self {
        cap(&mut self.host);
        cap(&mut self.path_and_query);
        self.user_agent.as_mut().map(cap);
        self.referer.as_mut().map(cap);
        self
    }

    fn write_line(&self, line: &mut Vec<u8>) {
        let record = Line {
            time: Timestamp(self.time),
            client: self.client,
            protocol: self.protocol,
            tls: self.tls,
            site: &self.site,
            method: json_line::capped(self.method.as_str()),
            scheme: self.scheme,
            host: &self.host,
            path: &self.path_and_query,
            status: self.status,
            body_bytes: self.body_bytes,
            complete: self.complete,
            duration_seconds: Seconds(self.duration),
            first_byte_seconds: Seconds(self.first_byte),
            cache: self.cache,
            detail: self.detail,
            ttl_seconds: self.ttl,
            stored: self.stored,
            collapsed: self.collapsed,
            age_seconds: self.age,
            origin: self.origin.as_deref(),
            address: self.address,
            attempts: self.attempts,
            origin_status: self.origin_status,
            origin_seconds: self.origin_time.map(Seconds),
            user_agent: self.user_agent.as_deref(),
            referer: self.referer.as_deref(),
        };
        json_line::append(line, &record);
    }
}

fn cap(text: &mut Box<str>) {
    let kept = json_line::capped(text);
    if kept.len() < text.len() {
        *text = kept.into();
    }
}

/// Every field is always there, absent values as `null`, so that each line has the same columns.
#[derive(Serialize)]
struct Line<'a> {
    time: Timestamp,
    client: IpAddr,
    protocol: &'static str,
    tls: bool,
    site: &'a str,
    method: &'a str,
    scheme: &'static str,
    host: &'a str,
    path: &'a str,
    status: u16,
    body_bytes: u64,
    complete: bool,
    duration_seconds: Seconds,
    first_byte_seconds: Seconds,
    cache: &'static str,
    detail: Option<&'static str>,
    ttl_seconds: Option<i64>,
    stored: bool,
    collapsed: bool,
    age_seconds: Option<u64>,
    origin: Option<&'a str>,
    address: Option<SocketAddr>,
    attempts: u32,
    origin_status: Option<u16>,
    origin_seconds: Option<Seconds>,
    user_agent: Option<&'a str>,
    referer: Option<&'a str>,
}

/// Seconds with a fraction of whole microseconds.
struct Seconds(Duration);

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0.as_micros() as f64 / 1e6)
    }
}

/// Records waiting for the writer; with texts capped at 2 KiB each, at most some 25 MiB and usually 2 MiB.
const QUEUE: usize = 4096;

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn a_request_is_one_json_line() {
        let mut line = Vec::new();
        record().write_line(&mut line);
        let expected = concat!(
            r#"{"time":"1994-11-06T08:49:37.123Z","client":"192.0.2.7","protocol":"h2","tls":true,"site":"shop","#,
            r#""method":"GET","scheme":"https","host":"www.example.org","path":"/a?b=c","status":200,"#,
            r#""body_bytes":1024,"complete":true,"duration_seconds":0.000123,"first_byte_seconds":1.5,"#,
            r#""cache":"stale","detail":"stale-if-error","ttl_seconds":-3,"stored":false,"collapsed":false,"#,
            r#""age_seconds":63,"origin":"a","address":"203.0.113.7:443","attempts":2,"origin_status":503,"#,
            r#""origin_seconds":0.25,"user_agent":"curl\u001b[2J\u009b\"","referer":null}"#,
            "\n",
        );
        assert_eq!(String::from_utf8(line).unwrap(), expected);
    }

    #[test]
    fn long_texts_are_cut() {
        let long: Box<str> = "x".repeat(5000).into();
        let record = AccessRecord {
            host: long.clone(),
            path_and_query: long.clone(),
            user_agent: Some(long.clone()),
            referer: Some(long),
            ..record()
        };
        let mut line = Vec::new();
        record.capped().write_line(&mut line);
        let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
        for field in ["host", "path", "user_agent", "referer"] {
            assert_eq!(value[field].as_str().map(str::len), Some(2048), "{field}");
        }
    }

    #[test]
    fn records_reach_the_file_in_order() {
        let path = std::env::temp_dir().join(format!("holdover-access-{}.log", std::process::id()));
        let log = AccessLog::open(&LogTarget::File(path.clone()), &Metrics::new()).unwrap();
        for status in 200..300 {
            log.write(AccessRecord { status, ..record() });
        }
        log.close(Duration::from_secs(10));
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        for (line, status) in text.lines().zip(200..300) {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(value["status"], status);
        }
        assert_eq!(text.lines().count(), 100);
        assert_eq!(log.dropped(), 0);
    }

    #[test]
    fn a_log_that_is_off_takes_records_and_loses_none() {
        let log = AccessLog::open(&LogTarget::Off, &Metrics::new()).unwrap();
        assert!(!log.is_on());
        log.write(record());
        log.close(Duration::ZERO);
        assert_eq!(log.dropped(), 0);
    }

    fn record() -> AccessRecord {
        AccessRecord {
            time: UNIX_EPOCH + Duration::from_millis(784_111_777_123),
            client: IpAddr::from([192, 0, 2, 7]),
            protocol: "h2",
            tls: true,
            site: "shop".into(),
            method: http::Method::GET,
            scheme: "https",
            host: "www.example.org".into(),
            path_and_query: "/a?b=c".into(),
            status: 200,
            body_bytes: 1024,
            complete: true,
            duration: Duration::from_nanos(123_999),
            first_byte: Duration::from_millis(1500),
            cache: "stale",
            detail: Some("stale-if-error"),
            ttl: Some(-3),
            stored: false,
            collapsed: false,
            age: Some(63),
            origin: Some("a".into()),
            address: Some(SocketAddr::from(([203, 0, 113, 7], 443))),
            attempts: 2,
            origin_status: Some(503),
            origin_time: Some(Duration::from_millis(250)),
            user_agent: Some("curl\x1b[2J\u{9b}\"".into()),
            referer: None,
        }
    }
}
