//! The fates of many requests, added up.

use std::collections::BTreeMap;
use std::time::Instant;

use super::fate::{Fate, Fates, HORIZONS};
use super::minutes::Weights;

/// How much of the last hour's requests could be answered if every origin were down from `at` on.
#[derive(Clone, Debug, PartialEq)]
pub struct Survey {
    /// When it was made.
    pub at: Instant,
    /// Requests that were looked at.
    pub samples: usize,
    /// Shares of the requests, from 0 to 1, at each of the [`HORIZONS`].
    pub requests: Shares,
    /// Shares of the bytes that they were answered with.
    pub bytes: Shares,
    /// What could not be answered, the largest share of the requests first.
    pub losses: Vec<Lost>,
}

/// A share of all for each of the [`HORIZONS`], from 0 to 1.
pub type Shares = [f64; HORIZONS.len()];

/// Requests that are lost for one reason.
#[derive(Clone, Debug, PartialEq)]
pub struct Lost {
    /// The reason, as [`Loss::as_str`](super::fate::Loss::as_str) words it: several kinds of loss may share a word.
    pub reason: &'static str,
    /// Of all requests.
    pub requests: Shares,
    /// Of all bytes.
    pub bytes: Shares,
    /// Where most of them are, the largest share first; at most [`EXAMPLES_MAX`].
    pub examples: Vec<Example>,
}

/// A URL without its query or, ending in `/*`, everything below a directory.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// Which.
    pub url: String,
    /// Its share of all requests at the last of the [`HORIZONS`].
    pub requests: f64,
}

/// Adds up.
#[derive(Debug, Default)]
pub(super) struct Tally<'a> {
    samples: usize,
    total: Weights,
    losses: BTreeMap<&'static str, Losses<'a>>,
}

#[derive(Debug, Default)]
struct Losses<'a> {
    at: [Weights; HORIZONS.len()],
    /// Requests by URL.
    urls: BTreeMap<&'a str, f64>,
}

impl<'a> Tally<'a> {
    /// A request for `url` stands for `weights`.
    pub(super) fn add(&mut self, url: &'a str, weights: Weights, fates: Fates) {
        self.samples += 1;
        self.total.add(weights);
        for (horizon, fate) in fates.into_iter().enumerate() {
            let Fate::Lost(loss) = fate else { continue };
            let losses = self.losses.entry(loss.as_str()).or_default();
            losses.at[horizon].add(weights);
            if horizon == HORIZONS.len() - 1 {
                *losses.urls.entry(url).or_default() += weights.requests;
            }
        }
    }

    /// What it comes to; nothing if there were no requests.
    pub(super) fn survey(self, at: Instant) -> Option<Survey> {
        let total = self.total;
        if total.requests == 0.0 {
            return None;
        }
        let mut losses: Vec<_> = self.losses.into_iter().map(|(reason, losses)| losses.of(reason, total)).collect();
        losses.sort_by(|one, other| sum(&other.requests).total_cmp(&sum(&one.requests)));
        let rest = |share: fn(&Lost, usize) -> f64| {
            std::array::from_fn(|horizon| {
                (1.0 - losses.iter().map(|lost| share(lost, horizon)).sum::<f64>()).clamp(0.0, 1.0)
            })
        };
        let (requests, bytes) =
            (rest(|lost, horizon| lost.requests[horizon]), rest(|lost, horizon| lost.bytes[horizon]));
        Some(Survey { at, samples: self.samples, requests, bytes, losses })
    }
}

impl Losses<'_> {
    fn of(self, reason: &'static str, total: Weights) -> Lost {
        let bytes = |weights: Weights| if total.bytes == 0.0 { 0.0 } else { weights.bytes / total.bytes };
        Lost {
            reason,
            requests: self.at.map(|weights| weights.requests / total.requests),
            bytes: self.at.map(bytes),
            examples: examples(&self.urls, total.requests),
        }
    }
}

impl Weights {
    fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.bytes += other.bytes;
    }
}

/// The URLs with most requests or, where they are many and none of them stands out, the directories that they are in.
fn examples(urls: &BTreeMap<&str, f64>, total: f64) -> Vec<Example> {
    let all: f64 = urls.values().sum();
    let top = urls.values().copied().fold(0.0, f64::max);
    if urls.len() <= EXAMPLES_MAX || top >= all * OUTSTANDING {
        return largest(urls, total);
    }
    let mut directories = BTreeMap::new();
    for (url, requests) in urls {
        *directories.entry(directory(url)).or_default() += requests;
    }
    largest(&directories, total)
}

fn largest<K: AsRef<str>>(weighed: &BTreeMap<K, f64>, total: f64) -> Vec<Example> {
    let weighed = weighed.iter().filter(|(_, requests)| **requests > 0.0);
    let mut examples: Vec<_> =
        weighed.map(|(url, requests)| Example { url: url.as_ref().to_owned(), requests: requests / total }).collect();
    examples.sort_by(|one, other| other.requests.total_cmp(&one.requests));
    examples.truncate(EXAMPLES_MAX);
    examples
}

/// The first directory of a URL's path.
fn directory(url: &str) -> String {
    let path = url.find("://").and_then(|scheme| Some(url[scheme + 3..].find('/')? + scheme + 3));
    let root = path.map_or(url.len(), |path| path + 1);
    let first = url[root..].find('/').map_or(root, |end| root + end + 1);
    format!("{}*", &url[..first])
}

fn sum(shares: &Shares) -> f64 {
    shares.iter().sum()
}

/// Most examples of one reason: enough to see which part of a site it is.
pub const EXAMPLES_MAX: usize = 3;

/// The share of a reason's requests that makes a URL an example by itself.
const OUTSTANDING: f64 = 0.1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::serve::survival::fate::Loss;

    const ANSWERED: Fates = [Fate::Answered; 5];

    fn lost(loss: Loss) -> Fates {
        [Fate::Lost(loss); 5]
    }

    fn weights(requests: f64, bytes: f64) -> Weights {
        Weights { requests, bytes }
    }

    fn survey(tally: Tally<'_>) -> Option<Survey> {
        tally.survey(Clock::new().now().monotonic)
    }

    #[test]
    fn shares_and_losses_add_up_to_all() {
        let mut tally = Tally::default();
        let later = [
            Fate::Answered,
            Fate::Answered,
            Fate::Lost(Loss::Expired),
            Fate::Lost(Loss::Expired),
            lost(Loss::Expired)[0],
        ];
        tally.add("https://www.test/a", weights(6.0, 0.0), ANSWERED);
        tally.add("https://www.test/a", weights(0.0, 100.0), ANSWERED);
        tally.add("https://www.test/b", weights(3.0, 700.0), later);
        tally.add("https://www.test/c", weights(0.5, 50.0), lost(Loss::NotStored("no-store")));
        tally.add("https://www.test/c", weights(0.5, 150.0), lost(Loss::Bypass("no-store")));
        let survey = survey(tally).expect("there were requests");
        let close = |shares: Shares, expected: Shares| {
            let is_close = shares.iter().zip(expected).all(|(share, expected)| (share - expected).abs() < 1e-9);
            assert!(is_close, "{shares:?} instead of {expected:?}");
        };
        close(survey.requests, [0.9, 0.9, 0.6, 0.6, 0.6]);
        close(survey.bytes, [0.8, 0.8, 0.1, 0.1, 0.1]);
        let [expired, no_store] = &survey.losses[..] else { panic!("{survey:?}") };
        assert_eq!((expired.reason, no_store.reason), ("expired", "no-store"));
        close(expired.requests, [0.0, 0.0, 0.3, 0.3, 0.3]);
        close(no_store.bytes, [0.2; 5]);
        assert_eq!(no_store.examples, [Example { url: "https://www.test/c".into(), requests: 0.1 }]);
    }

    #[test]
    fn without_requests_there_is_nothing_to_say() {
        assert_eq!(survey(Tally::default()), None);
        let mut silent = Tally::default();
        silent.add("https://www.test/", weights(1.0, 0.0), ANSWERED);
        assert_eq!(survey(silent).map(|survey| survey.bytes), Some([1.0; 5]));
    }

    #[track_caller]
    fn check(case: &str, urls: &[(&str, f64)], expected: &[&str]) {
        let urls = urls.iter().copied().collect();
        let told: Vec<_> = examples(&urls, 1.0).into_iter().map(|example| example.url).collect();
        assert_eq!(told, expected, "{case}");
    }

    #[test]
    fn examples_are_urls_or_directories() {
        check(
            "few",
            &[("https://a.test/x/1", 1.0), ("https://a.test/x/2", 2.0)],
            &["https://a.test/x/2", "https://a.test/x/1"],
        );
        let many: Vec<_> =
            (0..50).map(|number| format!("https://a.test/{}/{number}", ["x", "y"][number % 2])).collect();
        let mut urls: Vec<_> = many.iter().map(|url| (url.as_str(), 1.0)).collect();
        urls.push(("https://a.test/y/z/1", 1.0));
        urls.push(("https://a.test/index", 1.0));
        urls.push(("https://a.test", 1.0));
        check("many alike", &urls, &["https://a.test/y/*", "https://a.test/x/*", "https://a.test*"]);
        urls.push(("https://a.test/cart", 20.0));
        check("one that stands out", &urls, &["https://a.test/cart", "https://a.test", "https://a.test/index"]);
    }
}
