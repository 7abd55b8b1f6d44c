//! What the demo prints: one line per event, with the time since it began.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{Receiver, error::TryRecvError};

use super::assets::{LARGE_FILE, PULSE};
use super::stage::Stage;
use crate::clock::Clock;
use crate::telemetry::Event;

/// Prints to standard output, with a clock of its own.
pub(super) struct Timeline {
    clock: Clock,
    began: Instant,
}

impl Timeline {
    pub(super) fn new() -> Self {
        let clock = Clock::new();
        let began = clock.now().monotonic;
        Self { clock, began }
    }

    pub(super) fn now(&self) -> Instant {
        self.clock.now().monotonic
    }

    /// One line of narration.
    pub(super) fn tell(&self, sentence: &str) {
        let at = self.now().saturating_duration_since(self.began).as_secs_f64();
        print_line(&format!("{at:7.2} s  {sentence}"));
    }

    /// What listens, and what to try.
    pub(super) fn invite(&self, stage: &Stage) {
        let (edge, admin, certificate) = (stage.edge_port(), stage.admin_port(), stage.certificate());
        let certificate = certificate.display();
        for (name, origin) in stage.origins() {
            self.tell(&format!("origin {name} serves its copy of the site on http://{}", origin.address()));
        }
        self.tell(&format!(
            "the edge serves it on https://localhost:{edge}, its admin listener is http://127.0.0.1:{admin}"
        ));
        print_line(&format!(
            "
  In a browser: https://localhost:{edge}/   (the certificate is self-signed, so it will ask)
  With curl, again and again, watching Cache-Status, Age and X-Origin:

    curl -i  --cacert {certificate} https://localhost:{edge}/
    curl -si --cacert {certificate} https://localhost:{edge}{PULSE} | head -20
    curl -o big --cacert {certificate} https://localhost:{edge}{LARGE_FILE}
    curl http://127.0.0.1:{admin}/status
    curl http://127.0.0.1:{admin}/metrics

  An outage that plays by itself: holdover demo --drill
  Ctrl-C ends the demo.
"
        ));
    }

    /// Prints events as they come, until `end`.
    pub(super) async fn follow(&self, stage: &Stage, end: impl Future<Output = &'static str>) {
        let mut events = stage.events();
        let mut end = std::pin::pin!(end);
        loop {
            tokio::select! {
                signal = &mut end => return self.tell(signal),
                event = events.recv() => match event {
                    Ok(event) => self.event(&event),
                    Err(RecvError::Lagged(missed)) => self.tell(&format!("… {missed} more events …")),
                    Err(RecvError::Closed) => return,
                },
            }
        }
    }

    /// Prints the events that have come meanwhile.
    pub(super) fn catch_up(&self, events: &mut Receiver<Arc<Event>>) {
        loop {
            match events.try_recv() {
                Ok(event) => self.event(&event),
                Err(TryRecvError::Lagged(missed)) => self.tell(&format!("… {missed} more events …")),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    fn event(&self, event: &Event) {
        self.tell(&format!("· {}", event.sentence()));
    }
}

#[expect(clippy::print_stdout, reason = "a command speaks to its user")]
fn print_line(line: &str) {
    println!("{line}");
}
