//! What DNS records say of the name that was asked for. Records of other names are no part of the answer.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::proto::rr::rdata::SRV;
use hickory_resolver::proto::rr::{Name, RData, Record};

use super::answers::Lookup;
use super::place::{Place, WHOLE};

/// The SRV records of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Services {
    /// At most 16, those of the lowest priorities.
    pub(super) records: Vec<SRV>,
    /// The least over the chain of answers.
    pub(super) ttl: Duration,
}

/// The addresses of `owner` and of the names its CNAME chain leads to.
pub(super) fn addresses(owner: &Name, records: &[Record]) -> Result<Lookup, Lookup> {
    let (records, ttl) = end_of_chain(owner, records)?;
    let address = |record: &&Record| match &record.data {
        RData::A(address) => Some(IpAddr::from(address.0)),
        RData::AAAA(address) => Some(IpAddr::from(address.0)),
        _ => None,
    };
    let (addresses, ttl) = of_kind(&records, ttl, address);
    if addresses.is_empty() { Err(Lookup::Empty) } else { Ok(Lookup::Found { addresses, ttl, whole: true }) }
}

/// The SRV records of `owner` (RFC 2782).
pub(super) fn services(owner: &Name, records: &[Record]) -> Result<Services, Lookup> {
    let (records, ttl) = end_of_chain(owner, records)?;
    let service = |record: &&Record| if let RData::SRV(service) = &record.data { Some(service.clone()) } else { None };
    let (mut records, ttl) = of_kind(&records, ttl, service);
    if records.is_empty() {
        return Err(Lookup::Empty);
    }
    records.retain(|service| !service.target.is_root() && service.port != 0);
    if records.is_empty() {
        return Err(Lookup::NotOffered);
    }
    records.sort_by_key(|service| service.priority);
    records.truncate(TARGETS_MAX);
    Ok(Services { records, ttl })
}

/// One answer out of those for both address families: addresses win, then a failure, which may hide addresses.
pub(super) fn join([v4, v6]: [Result<Lookup, Lookup>; 2]) -> Lookup {
    match (v4, v6) {
        (Ok(Lookup::Found { mut addresses, ttl, .. }), Ok(Lookup::Found { addresses: more, ttl: other, .. })) => {
            addresses.extend(more);
            Lookup::Found { addresses, ttl: ttl.min(other), whole: true }
        }
        (Ok(Lookup::Found { addresses, ttl, .. }), Err(Lookup::Failed(_)))
        | (Err(Lookup::Failed(_)), Ok(Lookup::Found { addresses, ttl, .. })) => {
            Lookup::Found { addresses, ttl, whole: false }
        }
        (Ok(found), _) | (_, Ok(found)) => found,
        (Err(v4), Err(v6)) => graver(v4, v6),
    }
}

/// The one of two fruitless outcomes that leaves more open: a failure before a denial, and that before no addresses.
pub(super) fn graver(one: Lookup, other: Lookup) -> Lookup {
    let gravity = |lookup: &Lookup| match lookup {
        Lookup::Failed(_) => 3,
        Lookup::NoSuchName | Lookup::NotOffered => 2,
        Lookup::Empty => 1,
        Lookup::Found { .. } | Lookup::Located { .. } => 0,
    };
    if gravity(&one) >= gravity(&other) { one } else { other }
}

/// The places of a service, from the lookups of its targets, in the order of its records.
pub(super) fn located(services: Services, targets: Vec<Lookup>) -> Lookup {
    let (mut places, mut ttl, mut is_whole) = (Vec::new(), services.ttl, true);
    let mut fruitless = None;
    for (service, lookup) in services.records.iter().zip(targets) {
        let Lookup::Found { addresses, ttl: of_target, whole } = lookup else {
            is_whole &= !matches!(lookup, Lookup::Failed(_));
            fruitless = Some(match fruitless {
                None => lookup,
                Some(before) => graver(before, lookup),
            });
            continue;
        };
        ttl = ttl.min(of_target);
        is_whole &= whole;
        // A target with many addresses has no greater share than another.
        let count = u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
        let weight = match u32::from(service.weight) * WHOLE {
            0 => 0,
            whole => (whole / count).max(1),
        };
        let place = |ip| Place { address: SocketAddr::new(ip, service.port), priority: service.priority, weight };
        places.extend(addresses.into_iter().map(place));
    }
    match fruitless {
        Some(failure @ Lookup::Failed(_)) if places.is_empty() => failure,
        // The service is there; that none of its targets is resolvable denies it nothing.
        Some(_) if places.is_empty() => Lookup::Empty,
        _ => Lookup::Located { places, ttl, whole: is_whole },
    }
}

/// The records of the name that the CNAME chain of `owner` ends at, and the least TTL of the chain.
fn end_of_chain<'a>(owner: &Name, records: &'a [Record]) -> Result<(Vec<&'a Record>, u32), Lookup> {
    let mut owners = vec![owner];
    let mut ttl = u32::MAX;
    while let Some((record, target)) = records.iter().find_map(|record| match &record.data {
        RData::CNAME(target) if owners.last() == Some(&&record.name) => Some((record, &target.0)),
        _ => None,
    }) {
        ttl = ttl.min(record.ttl);
        if owners.contains(&target) {
            return Err(Lookup::Failed(format!("the CNAME chain of {owner} is a loop")));
        }
        if owners.len() > CHAIN_MAX {
            return Err(Lookup::Failed(format!("the CNAME chain of {owner} is longer than {CHAIN_MAX}")));
        }
        owners.push(target);
    }
    Ok((records.iter().filter(|record| owners.last() == Some(&&record.name)).collect(), ttl))
}

fn of_kind<T>(records: &[&Record], ttl: u32, kind: impl Fn(&&Record) -> Option<T>) -> (Vec<T>, Duration) {
    let (mut found, mut ttl) = (Vec::new(), ttl);
    for record in records {
        if let Some(data) = kind(record) {
            ttl = ttl.min(record.ttl);
            found.push(data);
        }
    }
    (found, Duration::from_secs(ttl.into()))
}

/// Resolvers follow about as many; each link costs a search of the whole answer.
const CHAIN_MAX: usize = 16;

/// More targets of one service than this only cost lookups: no more addresses than this are used.
const TARGETS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use hickory_resolver::proto::rr::rdata::{A, CNAME};

    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).expect("a valid name")
    }

    fn a(owner: &str, ttl: u32, last: u8) -> Record {
        Record::from_rdata(name(owner), ttl, RData::A(A::new(192, 0, 2, last)))
    }

    fn cname(owner: &str, ttl: u32, target: &str) -> Record {
        Record::from_rdata(name(owner), ttl, RData::CNAME(CNAME(name(target))))
    }

    fn srv((priority, weight, port): (u16, u16, u16), target: &str) -> Record {
        let data = RData::SRV(SRV::new(priority, weight, port, name(target)));
        Record::from_rdata(name("www.example."), 60, data)
    }

    #[track_caller]
    fn check(records: &[Record], expected: Option<(&[u8], u64)>) {
        match (addresses(&name("www.example."), records), expected) {
            (Ok(Lookup::Found { addresses, ttl, .. }), Some((last, seconds))) => {
                let expected: Vec<_> = last.iter().map(|&last| IpAddr::from([192, 0, 2, last])).collect();
                assert_eq!((addresses, ttl.as_secs()), (expected, seconds));
            }
            (Err(Lookup::Empty | Lookup::Failed(_)), None) => {}
            (other, expected) => panic!("{other:?} where {expected:?} was expected"),
        }
    }

    /// Targets of the services, with their priorities, in order.
    #[track_caller]
    fn check_services(records: &[Record], expected: Result<&[(&str, u16)], Lookup>) {
        let services = services(&name("www.example."), records);
        let targets = services.map(|services| {
            let target = |service: &SRV| (service.target.to_ascii(), service.priority);
            services.records.iter().map(target).collect::<Vec<_>>()
        });
        let expected = expected
            .map(|targets| targets.iter().map(|(target, priority)| ((*target).to_owned(), *priority)).collect());
        assert_eq!(targets, expected);
    }

    #[test]
    fn the_ttl_is_the_least_of_the_chain() {
        check(&[a("www.example.", 60, 1), a("www.example.", 30, 2)], Some((&[1, 2], 30)));
        check(&[cname("www.example.", 5, "b.example."), a("b.example.", 60, 1)], Some((&[1], 5)));
    }

    #[test]
    fn records_of_other_owners_are_ignored() {
        check(&[a("evil.example.", 60, 9)], None);
        check(&[a("www.example.", 60, 1), a("evil.example.", 1, 9)], Some((&[1], 60)));
        check(&[cname("www.example.", 5, "b.example."), a("www.example.", 60, 9)], None);
    }

    #[test]
    fn a_loop_is_a_failure_and_not_a_hang() {
        check(&[cname("www.example.", 5, "b.example."), cname("b.example.", 5, "www.example.")], None);
    }

    #[test]
    fn a_chain_without_end_is_not_followed_to_it() {
        let link = |place: usize| cname(&format!("{place}.example."), 5, &format!("{}.example.", place + 1));
        let chain = |links: usize| {
            let first = cname("www.example.", 5, "0.example.");
            let rest = (0..links - 1).map(link).chain([a(&format!("{}.example.", links - 1), 60, 1)]);
            [first].into_iter().chain(rest).collect::<Vec<_>>()
        };
        check(&chain(16), Some((&[1], 5)));
        check(&chain(17), None);
    }

    #[test]
    fn services_come_by_priority_and_those_not_offered_not_at_all() {
        let (b, c) = (srv((10, 1, 443), "b.example."), srv((0, 1, 443), "c.example."));
        let none = srv((0, 0, 443), ".");
        check_services(&[b.clone(), none.clone(), c.clone()], Ok(&[("c.example.", 0), ("b.example.", 10)]));
        check_services(&[b.clone(), srv((0, 1, 0), "d.example.")], Ok(&[("b.example.", 10)]));
        check_services(&[none], Err(Lookup::NotOffered));
        check_services(&[a("www.example.", 60, 1)], Err(Lookup::Empty));
        let other = Record::from_rdata(name("evil.example."), 60, b.data.clone());
        check_services(&[other], Err(Lookup::Empty));
        let many: Vec<_> = (0..60).map(|priority| srv((priority, 1, 443), "b.example.")).rev().collect();
        let first = (0..16).map(|priority| ("b.example.", priority)).collect::<Vec<_>>();
        check_services(&many, Ok(&first));
    }

    #[test]
    fn addresses_of_a_target_share_its_weight() {
        let places = place_list(&[(0, 3), (0, 3), (5, 0)], vec![found(&[1], 60), found(&[2, 3], 30), found(&[4], 60)]);
        let expected = [(1, 0, 48), (2, 0, 24), (3, 0, 24), (4, 5, 0)];
        assert_eq!(places, Ok((expected.to_vec(), 30, true)));
    }

    #[test]
    fn targets_that_fail_leave_the_others_and_the_answer_open() {
        let (one, failed) = (found(&[1], 60), Lookup::Failed("timeout".to_owned()));
        let both = |other: &Lookup| place_list(&[(0, 1), (0, 1)], vec![one.clone(), other.clone()]);
        assert_eq!(both(&failed), Ok((vec![(1, 0, 16)], 60, false)));
        assert_eq!(both(&Lookup::NoSuchName), Ok((vec![(1, 0, 16)], 60, true)));
        let half = join([Ok(found(&[2], 60)), Err(failed.clone())]);
        assert_eq!(both(&half), Ok((vec![(1, 0, 16), (2, 0, 16)], 60, false)));
        assert_eq!(place_list(&[(0, 1), (0, 1)], vec![Lookup::NoSuchName, failed.clone()]), Err(failed));
        assert_eq!(place_list(&[(0, 1)], vec![Lookup::NoSuchName]), Err(Lookup::Empty));
    }

    #[test]
    fn one_family_is_enough() {
        let failed = || Err(Lookup::Failed(String::new()));
        assert!(matches!(join([Ok(found(&[1], 9)), failed()]), Lookup::Found { whole: false, .. }));
        assert!(matches!(join([failed(), Ok(found(&[1], 9))]), Lookup::Found { whole: false, .. }));
        assert!(matches!(join([Err(Lookup::Empty), Ok(found(&[1], 9))]), Lookup::Found { whole: true, .. }));
        assert!(matches!(join([Ok(found(&[1], 9)), Ok(found(&[2], 9))]), Lookup::Found { whole: true, .. }));
        assert!(matches!(join([Err(Lookup::Empty), failed()]), Lookup::Failed(_)));
        assert!(matches!(join([Err(Lookup::Empty), Err(Lookup::NoSuchName)]), Lookup::NoSuchName));
    }

    /// Last octet, priority and weight of each place; the TTL; whether the answer is whole.
    type PlaceList = (Vec<(u8, u16, u32)>, u64, bool);

    fn place_list(services: &[(u16, u16)], targets: Vec<Lookup>) -> Result<PlaceList, Lookup> {
        let record = |(priority, weight): &(u16, u16)| SRV::new(*priority, *weight, 443, name("b.example."));
        let records = services.iter().map(record).collect();
        match located(Services { records, ttl: Duration::from_secs(99) }, targets) {
            Lookup::Located { places, ttl, whole } => {
                let octet = |place: &Place| match place.address.ip() {
                    IpAddr::V4(ip) => ip.octets()[3],
                    IpAddr::V6(_) => 0,
                };
                let list = places.iter().map(|place| (octet(place), place.priority, place.weight)).collect();
                Ok((list, ttl.as_secs(), whole))
            }
            other => Err(other),
        }
    }

    fn found(octets: &[u8], seconds: u64) -> Lookup {
        let addresses = octets.iter().map(|octet| IpAddr::from([192, 0, 2, *octet])).collect();
        Lookup::Found { addresses, ttl: Duration::from_secs(seconds), whole: true }
    }
}
