//! The memory limits of the cgroups that this process lives in, its own and those above it, and what counts against them:
//! beside the process's own memory the kernel's for its sockets and files, and whatever else runs there.

use std::fs;
use std::path::{Path, PathBuf};

use super::process::labeled;

/// The cgroups of this process, from its own up to the root, as far as they are to be seen from here.
#[derive(Debug)]
pub struct Confinement {
    cgroups: Vec<Cgroup>,
}

/// A cgroup that this process lives in.
#[derive(Debug)]
pub struct Cgroup {
    folder: PathBuf,
    layout: &'static Layout,
}

/// What counts against a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// What the kernel cannot take back by itself, in bytes.
    pub used_bytes: u64,
    /// Beyond it, a process is killed or slowed down.
    pub limit_bytes: u64,
}

/// The limit that is nearest to what is used of it.
#[derive(Clone, Copy, Debug)]
pub struct Nearest<'a> {
    /// Whose limit it is.
    pub cgroup: &'a Cgroup,
    /// The file of the cgroup that has it, such as `memory.max`.
    pub file: &'static str,
    /// What is used of it.
    pub usage: Usage,
}

impl Confinement {
    /// The cgroups that this process is in; none where the system has none.
    pub fn find() -> Self {
        let [mounts, own] = ["/proc/self/mountinfo", "/proc/self/cgroup"].map(fs::read_to_string);
        Self::of(&mounts.unwrap_or_default(), &own.unwrap_or_default())
    }

    /// Those of a process by its `mountinfo` and `cgroup` (proc(5)).
    fn of(mounts: &str, own: &str) -> Self {
        Self { cgroups: LAYOUTS.iter().find_map(|layout| layout.cgroups(mounts, own)).unwrap_or_default() }
    }

    /// All of them, the innermost first.
    pub fn cgroups(&self) -> &[Cgroup] {
        &self.cgroups
    }

    /// The limit that is nearest; reads as [`Cgroup::usage`] does.
    pub fn nearest(&self) -> Option<Nearest<'_>> {
        let limited = self.cgroups.iter().filter_map(|cgroup| {
            let (file, usage) = cgroup.limited()?;
            Some(Nearest { cgroup, file, usage })
        });
        limited.min_by_key(|nearest| nearest.usage.limit_bytes.saturating_sub(nearest.usage.used_bytes))
    }
}

impl Cgroup {
    /// Where the system shows it.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Reads its limit, and what is used of it; blocks for some microseconds. `None` while it has no limit.
    pub fn usage(&self) -> Option<Usage> {
        self.limited().map(|(_, usage)| usage)
    }

    /// The file that has its lowest limit, and what is used of that.
    fn limited(&self) -> Option<(&'static str, Usage)> {
        let limits = self.layout.limits.iter().filter_map(|&file| Some((file, number(&self.folder.join(file))?)));
        let (file, limit_bytes) = limits.filter(|&(_, bytes)| bytes < NO_LIMIT).min_by_key(|&(_, bytes)| bytes)?;
        let used = number(&self.folder.join(self.layout.usage))?;
        let stat = fs::read_to_string(self.folder.join("memory.stat")).unwrap_or_default();
        let files = self.layout.files.iter().filter_map(|label| labeled(&stat, label)).sum();
        Some((file, Usage { used_bytes: used.saturating_sub(files), limit_bytes }))
    }
}

/// Where a version of cgroups has its files.
#[derive(Debug)]
struct Layout {
    file_system: &'static str,
    /// Among the options of its mount, and the middle field of its line in `/proc/PID/cgroup`; empty for all controllers.
    controller: &'static str,
    usage: &'static str,
    limits: &'static [&'static str],
    /// Cached pages of files, which the kernel takes back when it needs memory.
    files: [&'static str; 2],
    /// Whether what is below a cgroup counts in it, if that can be otherwise.
    hierarchy: Option<&'static str>,
}

impl Layout {
    /// The process's cgroup and those above it in which its memory counts, as far as they are mounted.
    fn cgroups(&'static self, mounts: &str, own: &str) -> Option<Vec<Cgroup>> {
        let (root, mounted) = self.mount(mounts)?;
        let path = Path::new(self.path(own)?).strip_prefix(root).ok();
        // A container may have its own cgroup for a root, and yet be told what the host calls it.
        let path = path.filter(|path| mounted.join(path).is_dir()).unwrap_or(Path::new(""));
        let folder: PathBuf = mounted.join(path).components().collect();
        let folders = folder.ancestors().take(1 + path.components().count()).take(DEPTH_MAX);
        let counting = folders.enumerate().take_while(|(height, folder)| *height == 0 || self.counts_children(folder));
        Some(counting.map(|(_, folder)| Cgroup { folder: folder.to_owned(), layout: self }).collect())
    }

    fn counts_children(&self, folder: &Path) -> bool {
        self.hierarchy.is_none_or(|file| number(&folder.join(file)) == Some(1))
    }

    /// Which cgroup is to be seen as the root, and where.
    fn mount<'a>(&self, mounts: &'a str) -> Option<(&'a str, &'a Path)> {
        mounts.lines().find_map(|line| {
            let (place, kind) = line.split_once(" - ")?;
            let mut kind = kind.split(' ');
            let is_version = kind.next() == Some(self.file_system);
            let mut options = kind.nth(1)?.split(',');
            let is_meant = is_version && (self.controller.is_empty() || options.any(|it| it == self.controller));
            let mut place = place.split(' ').skip(3);
            let (root, mounted) = (place.next()?, place.next()?);
            is_meant.then_some((root, Path::new(mounted)))
        })
    }

    fn path<'a>(&self, own: &'a str) -> Option<&'a str> {
        own.lines().find_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            let is_meant = controllers.split(',').any(|controller| controller == self.controller);
            // Who is outside of the cgroup that it sees as the root cannot see its own.
            (is_meant && path.starts_with('/') && !path.contains("/..")).then_some(path)
        })
    }
}

fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// Version 1 first: where there are both, it is the one that has memory.
const LAYOUTS: [Layout; 2] = [
    Layout {
        file_system: "cgroup",
        controller: "memory",
        usage: "memory.usage_in_bytes",
        limits: &["memory.limit_in_bytes"],
        files: ["total_inactive_file ", "total_active_file "],
        hierarchy: Some("memory.use_hierarchy"),
    },
    Layout {
        file_system: "cgroup2",
        controller: "",
        usage: "memory.current",
        // Beyond the second nobody is killed, but everybody is slowed down until the kernel has taken memory back, of which
        // a node that swaps nothing has hardly any.
        limits: &["memory.max", "memory.high"],
        files: ["inactive_file ", "active_file "],
        hierarchy: None,
    },
];

/// Version 1 writes no limit as a number larger than any memory; version 2 as a word.
const NO_LIMIT: u64 = 1 << 60;

/// Twice as deep as systemd and Kubernetes nest cgroups; each of them is read with every measurement.
const DEPTH_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn the_cgroup_that_has_the_memory_is_found_in_what_the_kernel_says() {
        let [first, second] = &LAYOUTS;
        for (own, in_first, in_second) in [
            ("0::/\n", None, Some("/")),
            ("0::/system.slice/holdover.service\n", None, Some("/system.slice/holdover.service")),
            ("14:memory:/a\n12:cpu,cpuacct:/b\n0::/c\n", Some("/a"), Some("/c")),
            ("3:cpu,memory:/docker/1:2\n", Some("/docker/1:2"), None),
            ("3:memory:relative\n", None, None),
            ("0::/../neighbor\n", None, None),
            ("", None, None),
        ] {
            assert_eq!((first.path(own), second.path(own)), (in_first, in_second), "{own:?}");
        }
    }

    #[test]
    fn the_hierarchy_that_has_the_memory_is_found_where_it_is_mounted() {
        let [first, second] = &LAYOUTS;
        let tmpfs = "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755";
        let cpu = "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct";
        let memory = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:15 - cgroup cgroup rw,memory";
        let docker = "35 31 0:32 /docker/1 /sys/fs/cgroup/memory ro master:15 - cgroup cgroup rw,memory";
        let unified = "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate";
        let alone = "30 23 0:26 /../.. /sys/fs/cgroup rw shared:4 master:2 - cgroup2 cgroup rw,memory_recursiveprot";
        for (mounts, in_first, in_second) in [
            (
                vec![tmpfs, cpu, memory, unified],
                Some(("/", "/sys/fs/cgroup/memory")),
                Some(("/", "/sys/fs/cgroup/unified")),
            ),
            (vec![tmpfs, docker], Some(("/docker/1", "/sys/fs/cgroup/memory")), None),
            (vec![tmpfs, cpu, unified], None, Some(("/", "/sys/fs/cgroup/unified"))),
            (vec![alone], None, Some(("/../..", "/sys/fs/cgroup"))),
            (vec![tmpfs, cpu], None, None),
            (vec!["", " - ", "1 2 3 - cgroup2 - rw", "1 2 3 / /sys - cgroup2"], None, None),
        ] {
            let mounts = mounts.join("\n");
            let found = [first, second].map(|layout| layout.mount(&mounts));
            assert_eq!(found, [in_first, in_second].map(|at| at.map(|(root, at)| (root, Path::new(at)))), "{mounts}");
        }
    }

    /// Files below a mount that shows `root`, the process's `/proc/self/cgroup`, and the file that has the nearest limit with
    /// what is used of it.
    #[track_caller]
    fn check_below(
        why: &str,
        (file_system, root): (&str, &str),
        files: &str,
        own: &str,
        expected: Option<(&str, u64, u64)>,
    ) {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let mounted = std::env::temp_dir().join(format!("holdover-confinement-{}-{number}", std::process::id()));
        for file in files.split(',') {
            let (path, text) = file.trim().split_once(" = ").expect("a path and its content");
            let path = mounted.join(path);
            fs::create_dir_all(path.parent().expect("it is below the mount")).expect("there is room for it");
            fs::write(path, text.replace(';', "\n")).expect("there is room for it");
        }
        let mounts = format!("32 31 0:29 {root} {} rw - {file_system} cgroup rw,memory\n", mounted.display());
        let confinement = Confinement::of(&mounts, own);
        let nearest = confinement.nearest().map(|Nearest { cgroup, file, usage }| {
            let folder = cgroup.folder().strip_prefix(&mounted).expect("it is below the mount");
            (folder.join(file).display().to_string(), usage.used_bytes, usage.limit_bytes)
        });
        assert_eq!(nearest, expected.map(|(file, used, limit)| (file.to_owned(), used, limit)), "{why}");
        fs::remove_dir_all(&mounted).expect("it was ours");
    }

    #[track_caller]
    fn check(why: &str, layout: &Layout, files: &str, own: &str, expected: Option<(&str, u64, u64)>) {
        check_below(why, (layout.file_system, "/"), files, own, expected);
    }

    #[test]
    fn the_nearest_limit_of_all_around_counts() {
        let second = &LAYOUTS[1];
        let own = "0::/pod/node\n";
        check("no limit", second, "pod/node/memory.max = max;, pod/node/memory.current = 7", own, None);
        let node = "pod/node/memory.max = 1000;, pod/node/memory.current = 700;";
        check("one's own", second, node, own, Some(("pod/node/memory.max", 700, 1000)));
        let stat = format!("{node}, pod/node/memory.stat = anon 400;inactive_file 200;active_file 50;file 260;");
        check("cached files do not count", second, &stat, own, Some(("pod/node/memory.max", 450, 1000)));
        let wide = format!("{node}, pod/memory.max = 2000, pod/memory.current = 1600");
        check("one above that is further away", second, &wide, own, Some(("pod/node/memory.max", 700, 1000)));
        let narrow = format!("{node}, pod/memory.max = 2000, pod/memory.current = 1800");
        check("one above, filled by others", second, &narrow, own, Some(("pod/memory.max", 1800, 2000)));
        let files = format!("{narrow}, pod/memory.stat = inactive_file 150;");
        check("cached files above", second, &files, own, Some(("pod/node/memory.max", 700, 1000)));
        let equal = format!("{node}, pod/memory.max = 2000, pod/memory.current = 1700");
        check("of two that are as near the inner one", second, &equal, own, Some(("pod/node/memory.max", 700, 1000)));
        let slice = "pod/memory.max = 900, pod/memory.current = 800, pod/node/cgroup.procs = 1";
        check("memory that is only counted above", second, slice, own, Some(("pod/memory.max", 800, 900)));
        let root = "memory.max = 900, memory.current = 800";
        check("a root of one's own", second, root, "0::/\n", Some(("memory.max", 800, 900)));
        check("a root that the host calls otherwise", second, root, own, Some(("memory.max", 800, 900)));
        check("nothing is known of one's own", second, root, "0::/../neighbor\n", None);
    }

    #[test]
    fn the_lower_of_two_limits_counts() {
        let second = &LAYOUTS[1];
        let own = "0::/node\n";
        let used = "node/memory.current = 700";
        for (max, high, expected) in [
            ("max", "max", None),
            ("1000", "max", Some(("node/memory.max", 700, 1000))),
            ("1000", "900", Some(("node/memory.high", 700, 900))),
            ("1000", "1000", Some(("node/memory.max", 700, 1000))),
            ("900", "1000", Some(("node/memory.max", 700, 900))),
            ("max", "900", Some(("node/memory.high", 700, 900))),
        ] {
            let files = format!("{used}, node/memory.max = {max};, node/memory.high = {high};");
            check(&files, second, &files, own, expected);
        }
    }

    #[test]
    fn a_mount_may_show_a_part_of_the_hierarchy() {
        let files = "node/memory.max = 1000, node/memory.current = 700, memory.max = 900, memory.current = 700";
        for (root, own, expected) in [
            ("/", "0::/node\n", Some(("memory.max", 700, 900))),
            ("/pod", "0::/pod/node\n", Some(("memory.max", 700, 900))),
            ("/pod/node", "0::/pod/node\n", Some(("memory.max", 700, 900))),
            ("/../..", "0::/node\n", Some(("memory.max", 700, 900))),
        ] {
            check_below(root, ("cgroup2", root), files, own, expected);
        }
        let files = "node/memory.max = 1000, node/memory.current = 700, cgroup.procs = 1";
        check_below(
            "below the part",
            ("cgroup2", "/pod"),
            files,
            "0::/pod/node\n",
            Some(("node/memory.max", 700, 1000)),
        );
        check_below("beside it", ("cgroup2", "/pod"), files, "0::/podium/node\n", None);
    }

    #[test]
    fn in_the_first_version_a_cgroup_counts_what_is_below_it_if_it_says_so() {
        let first = &LAYOUTS[0];
        let own = "4:memory:/pod/node\n";
        let node = "pod/node/memory.limit_in_bytes = 9223372036854771712, pod/node/memory.usage_in_bytes = 700";
        check("no limit", first, node, own, None);
        let pod = format!("{node}, pod/memory.limit_in_bytes = 900, pod/memory.usage_in_bytes = 850");
        check("not below", first, &format!("{pod}, pod/memory.use_hierarchy = 0;"), own, None);
        let pod = format!("{pod}, pod/memory.use_hierarchy = 1;");
        check("below as well", first, &pod, own, Some(("pod/memory.limit_in_bytes", 850, 900)));
        let stat = "total_inactive_file 30;total_active_file 20;inactive_file 7;";
        check(
            "with its files",
            first,
            &format!("{pod}, pod/memory.stat = {stat}"),
            own,
            Some(("pod/memory.limit_in_bytes", 800, 900)),
        );
        let root = "memory.limit_in_bytes = 900, memory.usage_in_bytes = 800";
        check("a root that the host calls otherwise", first, root, own, Some(("memory.limit_in_bytes", 800, 900)));
    }
}
