//! What the process takes beyond what the ledger counts, and beyond what is granted for that.
//!
//! The ledger knows what is stored and what arrives. Nobody counts connections, buffers of TLS and HTTP, and memory that the
//! allocator cannot use again because a little of it is in use. So the whole is measured, and the part of it that goes
//! beyond the grant is taken from the bound: stored responses make way.

use crate::telemetry::confinement::Usage;

/// What the ledger counted at the latest measurements. What it has let go of since then is in RAM still, as long as the
/// allocator keeps it: whoever took that for excess would evict more for it, and then more for that.
#[derive(Debug, Default)]
pub(super) struct Counted([u64; MEASUREMENTS]);

impl Counted {
    /// Takes note of one measurement; gives what may be counted of all that is in RAM.
    pub(super) fn most(&mut self, counted_bytes: u64) -> u64 {
        self.0.rotate_right(1);
        self.0[0] = counted_bytes;
        self.0.into_iter().max().unwrap_or(0)
    }
}

/// How near a limit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pressure {
    /// Whose limit it is.
    pub limit: Limit,
    /// What is used of it.
    pub usage: Usage,
}

/// Whose limit it is that is nearest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// That of a cgroup, which counts more than the process has in RAM.
    Cgroup,
    /// What operators are told to give the process.
    Process,
}

impl Pressure {
    /// The nearest limit of a process that has `resident_bytes` in RAM, and lives in a cgroup of which so much is used.
    pub(super) fn of(resident_bytes: u64, cgroup: Option<Usage>, bound_bytes: u64) -> Self {
        let usage = Usage { used_bytes: resident_bytes, limit_bytes: given(bound_bytes) };
        let own = Self { limit: Limit::Process, usage };
        match cgroup.map(|usage| Self { limit: Limit::Cgroup, usage }) {
            Some(cgroup) if cgroup.bytes(bound_bytes) > own.bytes(bound_bytes) => cgroup,
            _ => own,
        }
    }

    /// What the process would have in RAM if it were as near to its own limit.
    pub(super) fn bytes(self, bound_bytes: u64) -> u64 {
        let Usage { used_bytes, limit_bytes } = self.usage;
        used_bytes.saturating_add(given(bound_bytes)).saturating_sub(limit_bytes)
    }
}

/// Bytes of the bound that are not to be used, and what is beyond all of it: `resident_bytes` are all that the process has in
/// RAM, `counted_bytes` those of them that the ledger counts.
pub(super) fn excess(resident_bytes: u64, counted_bytes: u64, bound_bytes: u64) -> u64 {
    let uncounted = resident_bytes.saturating_sub(counted_bytes);
    uncounted.saturating_sub(grant(bound_bytes))
}

/// What may be uncounted: what operators are told to give the process beyond the bound, less what may come between two
/// measurements.
pub(super) fn grant(bound_bytes: u64) -> u64 {
    given(bound_bytes) - bound_bytes - SPARE_BYTES - bound_bytes / 32
}

/// What operators are told to give the process.
fn given(bound_bytes: u64) -> u64 {
    bound_bytes + bound_bytes / 100 * 15 + (64 << 20)
}

/// They take 200 ms, which is twice as long as the allocator keeps what is freed.
const MEASUREMENTS: usize = 4;

/// A thousand connections that come and ask, or begin anew, before the next measurement; on a machine with too few cores for
/// what runs beside the node it may be late.
pub(super) const SPARE_BYTES: u64 = 24 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[track_caller]
    fn check(case: &str, resident: u64, counted: u64, bound: u64, expected: u64) {
        assert_eq!(excess(resident * MIB, counted * MIB, bound * MIB) / MIB, expected, "{case}");
    }

    #[test]
    fn what_goes_beyond_the_grant_is_taken_from_the_bound() {
        check("nothing is stored", 15, 0, 256, 0);
        check("what is counted is no excess", 250, 240, 256, 0);
        check("less is in RAM than is counted", 100, 240, 256, 0);
        check("the grant is used up", 240 + 70, 240, 256, 0);
        check("a hundred more", 240 + 70 + 101, 240, 256, 100);
        check("a larger bound grants more", 2000 + 282, 2000, 2048, 0);
        check("more than the bound", 2000, 0, 256, 2000 - 71);
    }

    #[test]
    fn the_nearest_limit_presses_by_what_it_counts() {
        let check = |why: &str, [resident, used, limit]: [u64; 3], expected: (Limit, u64)| {
            // Under a bound of 100 MiB the process is given 179.
            let cgroup = Usage { used_bytes: used * MIB, limit_bytes: limit * MIB };
            let pressure = Pressure::of(resident * MIB, Some(cgroup), 100 * MIB);
            assert_eq!((pressure.limit, pressure.bytes(100 * MIB) / MIB), expected, "{why}");
        };
        check("nothing but the process, and as much as it is given", [120, 120, 179], (Limit::Process, 120));
        check("what the kernel holds for it", [120, 150, 179], (Limit::Cgroup, 150));
        check("a limit with room to spare", [120, 150, 300], (Limit::Process, 120));
        check("a limit with room to spare that is met by others", [120, 290, 300], (Limit::Cgroup, 169));
        check("less than it should be given", [120, 125, 150], (Limit::Cgroup, 154));
        check("more than it is given in a limit that is as near", [200, 221, 200], (Limit::Process, 200));

        let alone = Pressure::of(200 * MIB, None, 100 * MIB);
        let usage = Usage { used_bytes: 200 * MIB, limit_bytes: 179 * MIB };
        assert_eq!(alone, Pressure { limit: Limit::Process, usage }, "no other limit");
    }

    #[test]
    fn what_was_let_go_of_a_moment_ago_is_no_excess() {
        let mut counted = Counted::default();
        let most = [100, 240, 180, 200, 60, 50, 40, 30, 20, 10].map(|bytes| counted.most(bytes));
        assert_eq!(most, [100, 240, 240, 240, 240, 200, 200, 60, 50, 40]);
    }

    #[test]
    fn with_all_of_the_excess_taken_the_process_is_within_what_it_was_given() {
        for bound in [1, 64, 256, 4096, 1 << 20].map(|bound| bound * MIB) {
            let given = bound + bound / 100 * 15 + 64 * MIB;
            for resident in [given, given + bound / 2] {
                let counted = bound.saturating_sub(excess(resident, bound, bound));
                let after = resident - (bound - counted);
                assert!(after <= given, "{bound}: {after} of {given}");
            }
        }
    }
}
