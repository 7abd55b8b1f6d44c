//! The file in which a node keeps what it is to remember at its next start. It is never on a request's road, and
//! nothing that is wrong with it keeps a node from serving.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::config::model::Config;
use crate::origin::dns::memory::{Memory, TEXT_BYTES_MAX};
use crate::telemetry::{Event, Events};

/// What is remembered of the origins of `config`: nothing without a directory, and nothing that is doubtful.
pub(super) fn recall(config: &Config, events: &Events) -> Memory {
    let Some(directory) = &config.state_directory else { return Memory::default() };
    let path = directory.join(FILE);
    let mut memory = read(&path).unwrap_or_else(|reason| {
        events.emit(Event::StateIgnored { what: path.display().to_string(), reason });
        Memory::default()
    });
    memory.retain(|site, origin| {
        let site = config.sites.iter().find(|known| known.name == site);
        site.is_some_and(|site| site.origins.iter().any(|known| known.name == origin))
    });
    memory
}

/// Why nothing can be saved in `directory`, if nothing can. Leaves no trace there.
///
/// # Errors
/// What the system says.
pub fn writable(directory: &Path) -> io::Result<()> {
    let trial = directory.join(format!("{FILE}.{}", std::process::id()));
    File::create(&trial)?;
    fs::remove_file(&trial)
}

/// Saves what changes, until it is stopped.
pub(super) struct Keeper {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Keeper {
    /// Begins to save `memory` in `directory`.
    pub(super) fn start(directory: &Path, memory: &watch::Sender<Memory>, events: &Events) -> Self {
        let stop = CancellationToken::new();
        let keeping = Keeping {
            path: directory.join(FILE),
            changes: memory.subscribe(),
            _open: memory.clone(),
            events: events.clone(),
            stop: stop.clone(),
            failure: None,
        };
        Self { stop, task: tokio::spawn(keeping.run()) }
    }

    /// Saves what is not saved yet, for at most `patience`.
    pub(super) async fn finish(self, patience: Duration) {
        self.stop.cancel();
        let _late = timeout(patience, self.task).await;
    }
}

struct Keeping {
    path: PathBuf,
    changes: watch::Receiver<Memory>,
    /// While it is held, the other end of `changes` is not the last one's to close.
    _open: watch::Sender<Memory>,
    events: Events,
    stop: CancellationToken,
    /// Why the last attempt failed, if it did.
    failure: Option<String>,
}

impl Keeping {
    async fn run(mut self) {
        loop {
            if self.failure.is_none() {
                let _changed_or_over = self.stop.run_until_cancelled(self.changes.changed()).await;
            }
            let is_over = self.stop.is_cancelled();
            if self.failure.is_some() || !is_over || self.changes.has_changed().unwrap_or(false) {
                self.save().await;
            }
            if is_over {
                return;
            }
            let pause = if self.failure.is_some() { RETRY } else { PAUSE };
            let _rested_or_over = self.stop.run_until_cancelled(sleep(pause)).await;
        }
    }

    /// Tells of a failure once, however often it repeats.
    async fn save(&mut self) {
        let (path, text) = (self.path.clone(), self.changes.borrow_and_update().encode());
        let saved = spawn_blocking(move || write(&path, &text)).await;
        let failure = saved.map_err(io::Error::other).flatten().err().map(|error| error.to_string());
        let known = std::mem::replace(&mut self.failure, failure);
        if let Some(reason) = self.failure.clone().filter(|reason| known.as_ref() != Some(reason)) {
            self.events.emit(Event::StateNotSaved { path: self.path.clone(), reason });
        }
    }
}

/// An empty memory when there is no file.
fn read(path: &Path) -> Result<Memory, String> {
    let is_file = match fs::metadata(path) {
        Ok(metadata) => metadata.is_file(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Memory::default()),
        Err(error) => return Err(error.to_string()),
    };
    // Opening a pipe would wait for somebody to write.
    if !is_file {
        return Err("it is not a file".to_owned());
    }
    let mut text = Vec::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(TEXT_BYTES_MAX as u64 + 1).read_to_end(&mut text).map_err(|error| error.to_string())?;
    Memory::decode(&text).map_err(|foreign| foreign.to_string())
}

/// The old text or the new one, whole, is what a reader finds, whenever the machine stops.
fn write(path: &Path, text: &str) -> io::Result<()> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(io::Error::other(format!("{} bytes are more than {TEXT_BYTES_MAX}", text.len())));
    }
    let directory = path.parent().unwrap_or(Path::new("."));
    // Of its own, since a node that ends and the one that takes over may save at the same time.
    let draft = path.with_extension(format!("{:016x}.tmp", fastrand::u64(..)));
    let written = File::create_new(&draft).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, path)
    });
    if written.is_err() {
        // One that stays behind is in nobody's way.
        let _gone_or_not = fs::remove_file(&draft);
    }
    written.and_then(|()| File::open(directory)?.sync_all())
}

const FILE: &str = "origins.json";

/// Between two times of saving: addresses that change by the second are not worth more of a disk.
const PAUSE: Duration = Duration::from_secs(5);

/// After a time that failed.
const RETRY: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_leaves_nothing_else() {
        let folder = Folder::new("written");
        let path = folder.0.join(FILE);
        assert_eq!(read(&path), Ok(Memory::default()), "no file is no fault");
        for _ in 0..2 {
            write(&path, &Memory::default().encode()).unwrap();
            assert_eq!(read(&path), Ok(Memory::default()));
        }
        writable(&folder.0).unwrap();
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
    }

    #[test]
    fn two_nodes_that_save_at_once_leave_one_of_their_texts_whole() {
        let folder = Folder::new("twice");
        let path = &folder.0.join(FILE);
        let texts = ["{}".to_owned(), " ".repeat(TEXT_BYTES_MAX / 4)];
        std::thread::scope(|scope| {
            for text in &texts {
                scope.spawn(move || (0..100).for_each(|_| write(path, text).unwrap()));
            }
            for _ in 0..1_000 {
                let found = fs::read_to_string(path).unwrap_or_else(|_| texts[0].clone());
                assert!(texts.contains(&found), "{} bytes", found.len());
            }
        });
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
    }

    #[test]
    fn a_link_in_the_place_of_a_draft_is_not_followed() {
        let folder = Folder::new("link");
        let (path, other) = (folder.0.join(FILE), folder.0.join("other"));
        fs::write(&other, "precious").unwrap();
        std::os::unix::fs::symlink(&other, path.with_extension("tmp")).unwrap();
        write(&path, "{}").unwrap();
        assert_eq!(fs::read_to_string(&other).unwrap(), "precious");
    }

    #[test]
    fn what_is_no_memory_is_refused_with_a_reason() {
        let folder = Folder::new("refused");
        let path = folder.0.join(FILE);
        let long = " ".repeat(TEXT_BYTES_MAX + 1);
        for (text, reason) in [("", "EOF"), ("{}", "no version"), (long.as_str(), "longer")] {
            fs::write(&path, text).unwrap();
            assert!(read(&path).unwrap_err().contains(reason), "{reason}");
        }
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert_eq!(read(&path), Err("it is not a file".to_owned()));
        assert!(write(&path, "{}").is_err(), "it cannot take the place of a directory");
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
    }

    #[test]
    fn a_text_too_long_to_be_read_is_not_written_either() {
        let folder = Folder::new("long");
        let path = folder.0.join(FILE);
        assert!(write(&path, &" ".repeat(TEXT_BYTES_MAX + 1)).is_err());
        assert!(!path.exists());
    }

    #[test]
    fn a_directory_that_is_not_there_is_not_writable() {
        assert!(writable(Path::new("/nowhere/at/all")).is_err());
    }

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("holdover-state-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _gone_or_not = fs::remove_dir_all(&self.0);
        }
    }
}
