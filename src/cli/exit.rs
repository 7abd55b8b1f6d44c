//! Exit codes other than 0; usage errors (2) are clap's.

/// The command could not do its work.
pub(super) const FAILED: u8 = 1;

/// The configuration is at fault; systemd's `RestartPreventExitStatus=78` keeps a unit from trying again.
pub(super) const CONFIGURATION: u8 = 78;
