//! A thread that formats and writes lines, so that nobody else waits for a disk or a pipe.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use prometheus_client::metrics::counter::Counter;

use crate::config::model::LogTarget;

/// Takes items at once or not at all; a thread turns them into lines.
#[derive(Debug)]
pub(super) struct LineWriter<T> {
    sender: ArcSwapOption<SyncSender<T>>,
    thread: Thread,
    /// Disconnects when the thread has ended.
    ended: Mutex<Receiver<()>>,
    dropped: Counter,
}

impl<T: Send + 'static> LineWriter<T> {
    /// Starts the thread; `None` when `target` is off.
    ///
    /// At most `queue` items wait. `format` appends one item as one line, line feed included. `dropped` counts items
    /// that found the queue full or could not be written.
    ///
    /// # Errors
    /// The file cannot be opened for appending, or the thread cannot be started.
    pub(super) fn spawn(
        name: &str,
        target: &LogTarget,
        queue: usize,
        dropped: Counter,
        format: fn(&T, &mut Vec<u8>),
    ) -> io::Result<Option<Self>> {
        let Some(output) = open(target)? else { return Ok(None) };
        let (sender, receiver) = sync_channel(queue);
        let (ending, ended) = sync_channel(0);
        let lines = Lines { receiver, output, format, dropped: dropped.clone(), _ending: ending };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(|| lines.write_all())?.thread().clone();
        Ok(Some(Self { sender: ArcSwapOption::from_pointee(sender), thread, ended: Mutex::new(ended), dropped }))
    }

    /// Hands `item` to the thread; counts it as dropped when the queue is full or closed. Never waits.
    pub(super) fn write(&self, item: T) {
        let sent = self.sender.load().as_ref().is_some_and(|sender| sender.try_send(item).is_ok());
        if !sent {
            self.dropped.inc();
        }
    }

    /// Takes no more items and waits, `timeout` at most, until those taken are written; blocks the caller.
    pub(super) fn close(&self, timeout: Duration) {
        self.sender.store(None);
        self.thread.unpark();
        // Either outcome ends the wait: the thread has ended, or its output is stuck and patience with it.
        let _ = self.ended.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(timeout);
    }

    /// Items that found the queue full or could not be written.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.get()
    }
}

fn open(target: &LogTarget) -> io::Result<Option<Box<dyn Write + Send>>> {
    Ok(match target {
        LogTarget::File(path) => {
            let file = OpenOptions::new().append(true).create(true).open(path).map_err(|error| {
                io::Error::new(error.kind(), format!("cannot open log file {}: {error}", path.display()))
            })?;
            Some(Box::new(file))
        }
        LogTarget::Off => None,
        LogTarget::Stderr => Some(Box::new(io::stderr())),
        LogTarget::Stdout => Some(Box::new(io::stdout())),
    })
}

/// What the thread owns.
struct Lines<T> {
    receiver: Receiver<T>,
    output: Box<dyn Write + Send>,
    format: fn(&T, &mut Vec<u8>),
    dropped: Counter,
    _ending: SyncSender<()>,
}

impl<T> Lines<T> {
    fn write_all(mut self) {
        let mut lines = Vec::with_capacity(BATCH_BYTES);
        while let Ok(first) = self.receiver.recv() {
            let items = self.take_batch(first, &mut lines);
            let whole = lines.len() < BATCH_BYTES;
            match self.output.write_all(&lines).and_then(|()| self.output.flush()) {
                Ok(()) => lines.clear(),
                Err(_) => {
                    self.dropped.inc_by(items);
                    lines.clear();
                    // The output may have taken half a line; the next one begins on its own.
                    lines.push(b'\n');
                }
            }
            if whole {
                thread::park_timeout(GATHERING);
            }
        }
    }

    /// Appends `first` and what else is waiting, up to about [`BATCH_BYTES`]; the number of items taken.
    fn take_batch(&self, first: T, lines: &mut Vec<u8>) -> u64 {
        (self.format)(&first, lines);
        let mut items = 1;
        while lines.len() < BATCH_BYTES
            && let Ok(item) = self.receiver.try_recv()
        {
            (self.format)(&item, lines);
            items += 1;
        }
        items
    }
}

/// Most bytes handed to one write, but for the last line.
const BATCH_BYTES: usize = 64 * 1024;

/// Between batches: waking a waiting thread costs the sender a system call, so under load nobody waits on the queue.
const GATHERING: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn closing_writes_everything_taken_before() {
        let path = std::env::temp_dir().join(format!("holdover-line-writer-{}.log", std::process::id()));
        let writer = LineWriter::spawn("lines", &LogTarget::File(path.clone()), 10_000, Counter::default(), number)
            .unwrap()
            .unwrap();
        for item in 0..5_000 {
            writer.write(item);
        }
        writer.close(Duration::from_secs(10));
        writer.write(5_000);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let read: Vec<u32> = text.lines().map(|line| line.parse().unwrap()).collect();
        assert_eq!(read, (0..5_000).collect::<Vec<_>>());
        assert_eq!(writer.dropped(), 1, "what comes after the close is counted, not written");
    }

    #[test]
    fn a_full_queue_drops_and_counts_and_never_waits() {
        let (sender, receiver) = sync_channel(2);
        let (_ending, ended) = sync_channel(0);
        let writer = LineWriter {
            sender: ArcSwapOption::from_pointee(sender),
            thread: thread::current(),
            ended: Mutex::new(ended),
            dropped: Counter::default(),
        };
        for item in 0..5 {
            writer.write(item);
        }
        assert_eq!(writer.dropped(), 3);
        assert_eq!(receiver.try_iter().collect::<Vec<u32>>(), [0, 1]);
    }

    #[test]
    fn a_failed_write_is_counted_and_the_next_line_begins_on_its_own() {
        let written = Arc::new(Mutex::new(Vec::new()));
        let (sender, receiver) = sync_channel(4);
        let (ending, _ended) = sync_channel(0);
        let output = Box::new(FailsOnce { failed: false, written: written.clone() });
        let dropped = Counter::default();
        let lines = Lines { receiver, output, format: number, dropped: dropped.clone(), _ending: ending };
        let thread = thread::spawn(|| lines.write_all());
        sender.send(1).unwrap();
        while dropped.get() == 0 {
            thread::yield_now();
        }
        sender.send(2).unwrap();
        drop(sender);
        thread.join().unwrap();
        assert_eq!(*written.lock().unwrap(), b"\n2\n");
        assert_eq!(dropped.get(), 1);
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_named() {
        let target = LogTarget::File("/nonexistent/access.log".into());
        let error = LineWriter::spawn("lines", &target, 1, Counter::default(), number).unwrap_err();
        assert!(error.to_string().starts_with("cannot open log file /nonexistent/access.log: "), "{error}");
    }

    fn number(item: &u32, line: &mut Vec<u8>) {
        writeln!(line, "{item}").unwrap();
    }

    struct FailsOnce {
        failed: bool,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for FailsOnce {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if !std::mem::replace(&mut self.failed, true) {
                return Err(io::Error::other("no space"));
            }
            self.written.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}
