//! What the operating system knows about this process.

use std::fs;

/// Figures of this process; zero where the system does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct ProcessFacts {
    /// User and system time, in seconds.
    pub(super) cpu_seconds: f64,
    /// Open file descriptors, sockets included.
    pub(super) open_descriptors: u64,
    /// Memory in RAM, in bytes.
    pub(super) resident_bytes: u64,
    /// When it was started, in seconds since 1970.
    pub(super) start_seconds: f64,
}

/// Reads `/proc`; blocks for some microseconds.
pub(super) fn read() -> ProcessFacts {
    let text = |path| fs::read_to_string(path).unwrap_or_default();
    let (cpu_seconds, start_seconds_after_boot) = times(&text("/proc/self/stat")).unwrap_or_default();
    ProcessFacts {
        cpu_seconds,
        // The directory is read through one descriptor of its own.
        open_descriptors: fs::read_dir("/proc/self/fd").map_or(0, |entries| (entries.count() as u64).saturating_sub(1)),
        resident_bytes: resident_bytes(),
        start_seconds: labeled(&text("/proc/stat"), "btime").unwrap_or(0) as f64 + start_seconds_after_boot,
    }
}

/// Memory in RAM, in bytes; zero where the system does not tell. Reads `/proc`, as [`read`] does.
pub fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    labeled(&status, "VmRSS:").unwrap_or(0) * 1024
}

/// CPU time, and start time after boot, both in seconds, of a `/proc/PID/stat` line.
fn times(stat: &str) -> Option<(f64, f64)> {
    // The second field is the program's name in parentheses and may hold anything; the third follows the last one.
    let (_, from_third_field) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = from_third_field.split_ascii_whitespace().collect();
    let seconds = |field: usize| Some(fields.get(field - 3)?.parse::<u64>().ok()? as f64 / TICKS_PER_SECOND);
    Some((seconds(14)? + seconds(15)?, seconds(22)?))
}

/// The number after `label` at the beginning of a line.
pub(super) fn labeled(text: &str, label: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(label)?.split_ascii_whitespace().next()?.parse().ok())
}

/// `USER_HZ`: what Linux shows to programs on every architecture we build for, whatever the kernel's own tick.
const TICKS_PER_SECOND: f64 = 100.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_past_a_hostile_program_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 9 0 0 0 150 25 0 0 20 0 3 0 4200 1000 50 18446744073709551615";
        assert_eq!(times(stat), Some((1.75, 42.0)));
        assert_eq!(times("7 (a) S 1"), None);
        assert_eq!(times(""), None);
    }

    #[test]
    fn a_label_is_found_at_the_beginning_of_its_line() {
        let status = "Name:\tVmRSS: 1\nVmRSS:\t    5120 kB\n";
        assert_eq!(labeled(status, "VmRSS:"), Some(5120));
        assert_eq!(labeled(status, "VmHWM:"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_memory_descriptors_and_a_start() {
        let facts = read();
        assert!(facts.resident_bytes > 1024 * 1024, "{facts:?}");
        assert!(facts.open_descriptors >= 3, "{facts:?}");
        assert!(facts.start_seconds > 1e9, "{facts:?}");
    }
}
