//! What an operator wants of an origin, whatever its probes say.

/// What an origin is to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Duty {
    /// It is asked first, also where it seems to be down.
    Forced,
    /// What its rank and its health say.
    #[default]
    Auto,
    /// Nothing new while another origin is usable; it is probed still.
    Drained,
    /// Nothing, probes neither.
    Disabled,
}

impl Duty {
    /// Every duty.
    pub const ALL: [Self; 4] = [Self::Forced, Self::Auto, Self::Drained, Self::Disabled];

    /// The word for events, the status page and what is saved.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Forced => "forced",
            Self::Auto => "auto",
            Self::Drained => "drained",
            Self::Disabled => "disabled",
        }
    }
}

/// What an operator says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Ask it nothing, and do not probe it.
    Disable,
    /// Ask it only when nothing else is usable.
    Drain,
    /// Use it by rank and health; one that was taken out stands in as soon as it is usable.
    Enable,
    /// Let it stand in again without its hold-down.
    Failback,
    /// Ask it first; what another origin was forced to ends.
    Force,
}

impl Order {
    /// Every order.
    pub const ALL: [Self; 5] = [Self::Disable, Self::Drain, Self::Enable, Self::Failback, Self::Force];

    /// The word in requests and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Drain => "drain",
            Self::Enable => "enable",
            Self::Failback => "failback",
            Self::Force => "force",
        }
    }
}
