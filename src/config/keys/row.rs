//! What rows are written with.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::fields::MediaType;
use crate::config::form::{Form, reads};
use crate::config::names::{HostPattern, Network};
use crate::config::section::{Absence, Key};

pub(super) const fn key(name: &'static str, form: Form, absence: Absence, sentence: &'static str) -> Key {
    Key { name, form, absence, sentence }
}

pub(super) const fn duration(least: Duration, most: Duration) -> Form {
    Form::Duration { least, most }
}

pub(super) const fn milliseconds(number: u64) -> Duration {
    Duration::from_millis(number)
}

pub(super) const fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

pub(super) const fn minutes(number: u64) -> Duration {
    seconds(60 * number)
}

pub(super) const fn hours(number: u64) -> Duration {
    minutes(60 * number)
}

pub(super) const fn days(number: u64) -> Duration {
    hours(24 * number)
}

pub(super) const FILE: Form = Form::Text { accepts: reads::<PathBuf>, expected: "the path of a file" };

pub(super) const HOST_PATTERN: Form = Form::Text {
    accepts: reads::<HostPattern>,
    expected: "a host name without port, such as \"www.example.org\" or \"*.example.org\", in Punycode where it is \
               not ASCII",
};

pub(super) const MEDIA_TYPE: Form = Form::Text {
    accepts: reads::<MediaType>,
    expected: "a media type without parameters, such as \"application/json\" or \"text/*\"",
};

pub(super) const NETWORK: Form = Form::Text {
    accepts: reads::<Network>,
    expected: "an IP address or network, such as \"192.0.2.7\" or \"10.0.0.0/8\"",
};

pub(super) const NAME: &str = "1 to 64 letters, digits, \"-\", \".\" or \"_\"";

pub(super) const TOKEN: &str = "16 to 1024 visible ASCII characters, or \"file:\" and the path of a readable file that holds \
                     them";
