//! Where events go: the event log, the metrics, and whoever listens in this process.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::broadcast;

use super::event::{Event, Severity};
use super::json_line;
use super::line_writer::LineWriter;
use super::metrics::Metrics;
use super::timestamp::Timestamp;
use crate::clock::Clock;
use crate::config::model::LogTarget;

/// Takes events from anywhere, without waiting; clones are the same.
#[derive(Clone, Debug)]
pub struct Events {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    clock: Clock,
    metrics: Metrics,
    writer: Option<LineWriter<Happened>>,
    subscribers: broadcast::Sender<Arc<Event>>,
}

impl Events {
    /// Opens the event log.
    ///
    /// # Errors
    /// The file cannot be opened for appending, or the writer's thread cannot be started.
    pub fn new(target: &LogTarget, clock: Clock, metrics: Metrics) -> io::Result<Self> {
        let dropped = metrics.event_log_dropped.clone();
        let writer = LineWriter::spawn("event-log", target, QUEUE, dropped, Happened::write_line)?;
        let (subscribers, _) = broadcast::channel(SUBSCRIBER_QUEUE);
        Ok(Self { shared: Arc::new(Shared { clock, metrics, writer, subscribers }) })
    }

    /// Stamps the event, counts it, hands it to all subscribers and to the log. Never waits.
    pub fn emit(&self, event: Event) {
        let event = Arc::new(event);
        self.shared.metrics.observe(&event);
        // An error means only that nobody listens.
        let _ = self.shared.subscribers.send(event.clone());
        if let Some(writer) = &self.shared.writer {
            writer.write(Happened { at: self.shared.clock.now().wall, event });
        }
    }

    /// Events from here on; a subscriber that lags behind by more than 1024 misses the oldest.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Event>> {
        self.shared.subscribers.subscribe()
    }

    /// Writes what was emitted and ends the writer's thread, within `timeout`; blocks. Later events are not logged.
    pub fn close(&self, timeout: Duration) {
        if let Some(writer) = &self.shared.writer {
            writer.close(timeout);
        }
    }
}

#[derive(Debug)]
struct Happened {
    at: SystemTime,
    event: Arc<Event>,
}

impl Happened {
    fn write_line(&self, line: &mut Vec<u8>) {
        let sentence = self.event.sentence();
        let event = Line {
            time: Timestamp(self.at),
            severity: self.event.severity(),
            event: self.event.name(),
            message: json_line::capped(&sentence),
            fields: self.event.fields(),
        };
        json_line::append(line, &event);
    }
}

#[derive(Serialize)]
struct Line<'a> {
    time: Timestamp,
    severity: Severity,
    event: &'static str,
    message: &'a str,
    #[serde(flatten)]
    fields: Map<String, Value>,
}

/// Events waiting for the log. They are rare; a thousand at once is an origin fleet changing as a whole.
const QUEUE: usize = 1024;

/// Events a subscriber may lag behind.
const SUBSCRIBER_QUEUE: usize = 1024;

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn an_event_is_one_json_line() {
        let event = Event::FailedOver {
            site: "shop".to_owned(),
            from: Some("a".to_owned()),
            to: Some("b".to_owned()),
            reason: "refused\n\u{9b}2J".to_owned(),
        };
        let mut line = Vec::new();
        let at = UNIX_EPOCH + Duration::from_millis(784_111_777_123);
        Happened { at, event: Arc::new(event) }.write_line(&mut line);
        let expected = concat!(
            r#"{"time":"1994-11-06T08:49:37.123Z","severity":"notice","event":"failed-over","#,
            r#""message":"shop: origin b takes over from a: refused\n\u009b2J","#,
            r#""from":"a","reason":"refused\n\u009b2J","site":"shop","to":"b"}"#,
            "\n",
        );
        assert_eq!(String::from_utf8(line).unwrap(), expected);
    }

    #[tokio::test]
    async fn an_event_reaches_the_log_the_metrics_and_the_subscribers() {
        let path = std::env::temp_dir().join(format!("holdover-events-{}.log", std::process::id()));
        let metrics = Metrics::new();
        let events = Events::new(&LogTarget::File(path.clone()), Clock::new(), metrics.clone()).unwrap();
        let mut receiver = events.subscribe();
        events.emit(Event::DrainStarted { reason: "SIGTERM".to_owned() });
        assert_eq!(receiver.recv().await.unwrap().name(), "drain-started");
        assert!(metrics.encode().contains("holdover_events_total{event=\"drain-started\"} 1"));
        events.close(Duration::from_secs(10));
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["message"], "draining: SIGTERM");
    }

    #[tokio::test]
    async fn an_event_log_that_is_off_still_has_subscribers() {
        let events = Events::new(&LogTarget::Off, Clock::new(), Metrics::new()).unwrap();
        let mut receiver = events.subscribe();
        events.emit(Event::NodeStopped);
        events.close(Duration::ZERO);
        assert_eq!(*receiver.recv().await.unwrap(), Event::NodeStopped);
    }
}
