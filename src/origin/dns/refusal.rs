//! Addresses that an origin is not connected to on the word of DNS: whoever can change an answer must not be able to turn
//! the node against its own machine, its link or itself.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use crate::config::model::Config;

/// Which addresses DNS may give.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RefusalPolicy {
    /// Networks from which every address may be used.
    pub allow: Vec<IpNet>,
    /// What this node listens on, as configured.
    pub listening: Vec<SocketAddr>,
}

impl RefusalPolicy {
    /// That of a node.
    pub fn of(config: &Config) -> Self {
        let listen = &config.listen;
        let listening = [&listen.https, &listen.http, &listen.admin].into_iter().flatten().copied().collect();
        Self { allow: config.dns.allow.clone(), listening }
    }

    /// Why an address that DNS gave for `name` is not used, if it is not. The loopback addresses of localhost names are
    /// what RFC 6761 §6.3 promises, whoever answers.
    pub fn refusal(&self, name: &str, address: SocketAddr) -> Option<Refusal> {
        let ip = address.ip().to_canonical();
        if self.allow.iter().any(|network| network.contains(&ip)) {
            return None;
        }
        let is_own = |own: &&SocketAddr| own.ip().to_canonical() == ip && own.port() == address.port();
        match Refusal::of(ip) {
            Some(Refusal::Loopback) if is_localhost(name) => None,
            None if self.listening.iter().any(|own| is_own(&own)) => Some(Refusal::OwnListener),
            refusal => refusal,
        }
    }
}

/// Why an address is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It stands for every machine of the link (RFC 919).
    Broadcast,
    /// It is of a link, where there are metadata services (RFC 3927, RFC 4291 §2.5.6).
    LinkLocal,
    /// It is this machine.
    Loopback,
    /// It stands for a group of machines.
    Multicast,
    /// This node listens there.
    OwnListener,
    /// It stands for no machine, and connects to this one (RFC 1122 §3.2.1.3).
    Unspecified,
}

impl Refusal {
    /// The word for events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Broadcast => "broadcast",
            Self::LinkLocal => "link-local",
            Self::Loopback => "loopback",
            Self::Multicast => "multicast",
            Self::OwnListener => "this node listens there",
            Self::Unspecified => "unspecified",
        }
    }

    /// What is wrong with an address by itself.
    fn of(ip: IpAddr) -> Option<Self> {
        let (is_this_network, is_broadcast, is_link_local) = match ip {
            IpAddr::V4(ip) => (ip.octets()[0] == 0, ip.is_broadcast(), ip.is_link_local()),
            IpAddr::V6(ip) => (ip.is_unspecified(), false, ip.is_unicast_link_local()),
        };
        let kinds = [
            (is_this_network, Self::Unspecified),
            (ip.is_loopback(), Self::Loopback),
            (is_link_local, Self::LinkLocal),
            (ip.is_multicast(), Self::Multicast),
            (is_broadcast, Self::Broadcast),
        ];
        kinds.into_iter().find_map(|(is_such, kind)| is_such.then_some(kind))
    }
}

fn is_localhost(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(policy: &RefusalPolicy, name: &str, cases: &[(&str, Option<Refusal>)]) {
        for (address, expected) in cases {
            let parsed = address.parse().expect(address);
            assert_eq!(policy.refusal(name, parsed), *expected, "{name} {address}");
        }
    }

    #[test]
    fn addresses_of_no_other_machine_are_refused() {
        let policy = RefusalPolicy::default();
        check(
            &policy,
            "origin.example",
            &[
                ("127.0.0.1:443", Some(Refusal::Loopback)),
                ("127.255.255.254:443", Some(Refusal::Loopback)),
                ("[::1]:443", Some(Refusal::Loopback)),
                ("[::ffff:127.0.0.1]:443", Some(Refusal::Loopback)),
                ("169.254.169.254:80", Some(Refusal::LinkLocal)),
                ("[fe80::1]:443", Some(Refusal::LinkLocal)),
                ("[febf::1]:443", Some(Refusal::LinkLocal)),
                ("[::ffff:169.254.169.254]:80", Some(Refusal::LinkLocal)),
                ("0.0.0.0:443", Some(Refusal::Unspecified)),
                ("0.1.2.3:443", Some(Refusal::Unspecified)),
                ("[::]:443", Some(Refusal::Unspecified)),
                ("[::ffff:0.0.0.0]:443", Some(Refusal::Unspecified)),
                ("224.0.0.1:443", Some(Refusal::Multicast)),
                ("239.255.255.255:443", Some(Refusal::Multicast)),
                ("[ff02::1]:443", Some(Refusal::Multicast)),
                ("255.255.255.255:443", Some(Refusal::Broadcast)),
            ],
        );
    }

    #[test]
    fn addresses_of_other_machines_are_used_private_ones_too() {
        let others = ["192.0.2.1:443", "10.0.0.1:443", "172.16.0.1:80", "192.168.1.1:80", "128.0.0.1:443"];
        let v6 = ["[2001:db8::1]:443", "[fd00::1]:443", "[::ffff:192.0.2.1]:443", "[fec0::1]:443"];
        let cases: Vec<_> = others.into_iter().chain(v6).map(|address| (address, None)).collect();
        check(&RefusalPolicy::default(), "origin.example", &cases);
    }

    #[test]
    fn what_is_allowed_is_used() {
        let allow = ["127.0.0.0/8", "fe80::/10"].map(|network| network.parse().expect("a network"));
        let policy = RefusalPolicy { allow: allow.into(), ..RefusalPolicy::default() };
        check(
            &policy,
            "origin.example",
            &[
                ("127.0.0.1:443", None),
                ("[::ffff:127.0.0.1]:443", None),
                ("[fe80::1]:443", None),
                ("[::1]:443", Some(Refusal::Loopback)),
                ("169.254.0.1:443", Some(Refusal::LinkLocal)),
            ],
        );
    }

    #[test]
    fn names_of_localhost_are_this_machine() {
        let policy = RefusalPolicy::default();
        for name in ["localhost", "a.localhost", "A.LocalHost", "localhost."] {
            check(&policy, name, &[("127.0.0.1:80", None), ("[::1]:80", None)]);
            check(&policy, name, &[("169.254.169.254:80", Some(Refusal::LinkLocal))]);
        }
        for name in ["notlocalhost", "localhost.example", "local"] {
            check(&policy, name, &[("127.0.0.1:80", Some(Refusal::Loopback))]);
        }
    }

    #[test]
    fn a_node_is_not_its_own_origin() {
        let listening = ["198.51.100.1:443", "[2001:db8::1]:443", "0.0.0.0:8080"];
        let listening = listening.map(|address| address.parse().expect("an address")).into();
        let policy = RefusalPolicy { listening, ..RefusalPolicy::default() };
        check(
            &policy,
            "origin.example",
            &[
                ("198.51.100.1:443", Some(Refusal::OwnListener)),
                ("[::ffff:198.51.100.1]:443", Some(Refusal::OwnListener)),
                ("[2001:db8::1]:443", Some(Refusal::OwnListener)),
                ("198.51.100.1:8443", None),
                ("198.51.100.2:443", None),
                ("127.0.0.1:8080", Some(Refusal::Loopback)),
            ],
        );
    }
}
