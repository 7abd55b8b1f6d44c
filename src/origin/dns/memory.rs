//! What a node knows of its origins from one start to the next: a small JSON text, and how much of it to believe.
//!
//! The text may be torn, old, foreign or made up. Whatever is doubtful in it is left out, by itself where that is
//! possible, and the node starts as if it had never been there.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use super::place::Place;
use crate::origin::health::duty::Duty;

/// What is remembered of all origins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// By site and origin.
    sites: BTreeMap<String, BTreeMap<String, OriginMemory>>,
}

/// What is remembered of one origin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginMemory {
    /// The last good answer of DNS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Remembered>,
    /// What an operator wants of it, in the word of [`Duty`]; none for [`Duty::Auto`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    duty: Option<String>,
}

/// A good answer of DNS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// What was asked for.
    name: String,
    /// In seconds since 1970.
    answered_at: u64,
    places: Vec<Place>,
}

/// What there is to remember of an origin at start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recollection {
    /// Its addresses, and how old the answer is.
    Answer {
        /// At least one.
        places: Vec<Place>,
        /// Since DNS gave them.
        age: Duration,
    },
    /// Nothing.
    Nothing,
    /// Something, and why it is of no use.
    Unusable(String),
}

/// Why a text is not a memory.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Foreign {
    /// It is not of the form that this program writes.
    #[error("it is not what this program writes: {0}")]
    Form(String),
    /// It is longer than [`TEXT_BYTES_MAX`].
    #[error("it is longer than {TEXT_BYTES_MAX} bytes")]
    Length,
    /// Another program wrote it, older or newer than this one.
    #[error("it is of version {0}, and this program reads version {VERSION}")]
    Version(u64),
}

impl Memory {
    /// Reads what [`Memory::encode`] wrote. Of an origin whose part cannot be read nothing is remembered.
    ///
    /// # Errors
    /// Why nothing of the text can be believed.
    pub fn decode(text: &[u8]) -> Result<Self, Foreign> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(Foreign::Length);
        }
        let document: Value = serde_json::from_slice(text).map_err(|error| Foreign::Form(error.to_string()))?;
        match document.get("version").and_then(Value::as_u64) {
            Some(VERSION) => {}
            Some(other) => return Err(Foreign::Version(other)),
            None => return Err(Foreign::Form("it has no version".to_owned())),
        }
        let Some(Value::Object(sites)) = document.get("sites") else {
            return Err(Foreign::Form("it has no sites".to_owned()));
        };
        let site = |(name, origins): (&String, &Value)| Some((name.clone(), origin_memories(origins.as_object()?)));
        Ok(Self { sites: sites.iter().filter_map(site).collect() })
    }

    /// The text to be read at the next start.
    pub fn encode(&self) -> String {
        #[derive(Serialize)]
        struct Document<'a> {
            version: u64,
            sites: &'a BTreeMap<String, BTreeMap<String, OriginMemory>>,
        }
        let document = Document { version: VERSION, sites: &self.sites };
        serde_json::to_string(&document).expect("maps with text for keys are JSON")
    }

    /// What there is to remember of an origin whose addresses are those of `name`.
    pub fn recall(&self, site: &str, origin: &str, name: &str, now: SystemTime) -> Recollection {
        let Some(answer) = self.origin(site, origin).and_then(|known| known.answer.as_ref()) else {
            return Recollection::Nothing;
        };
        // The clock may have been set back a little, and may have been wrong altogether.
        let answered = UNIX_EPOCH + Duration::from_secs(answer.answered_at.min(u64::from(u32::MAX)));
        let age = now.duration_since(answered).unwrap_or_default();
        let early = answered.duration_since(now).unwrap_or_default();
        if answer.name != name {
            Recollection::Unusable(format!("they are those of {}, not of {name}", answer.name))
        } else if answer.places.is_empty() {
            Recollection::Unusable("there are none".to_owned())
        } else if age > AGE_MAX {
            let hours = |time: Duration| time.as_secs() / 3_600;
            Recollection::Unusable(format!("they are {} hours old, more than {}", hours(age), hours(AGE_MAX)))
        } else if early > EARLY_MAX {
            Recollection::Unusable("they are from the future, so their age is not known".to_owned())
        } else {
            Recollection::Answer { places: answer.places.clone(), age }
        }
    }

    /// Takes a good answer down. Whether that is worth saving: addresses changed, or what is known of them aged.
    pub fn note(&mut self, site: &str, origin: &str, answer: Remembered) -> bool {
        let known = self.sites.entry(site.to_owned()).or_default().entry(origin.to_owned()).or_default();
        let is_news = known.answer.as_ref().is_none_or(|known| {
            let (before, after) = (known.answered_at, answer.answered_at);
            known.name != answer.name || known.places != answer.places || before.abs_diff(after) >= REFRESH.as_secs()
        });
        if is_news {
            known.answer = Some(answer);
        }
        is_news
    }

    /// What an operator had ordered of an origin, however long ago and whatever it was named in DNS.
    ///
    /// # Errors
    /// Why what is there cannot be an order.
    pub fn duty(&self, site: &str, origin: &str) -> Result<Duty, String> {
        let Some(word) = self.origin(site, origin).and_then(|known| known.duty.as_deref()) else {
            return Ok(Duty::Auto);
        };
        let duty = Duty::ALL.into_iter().find(|duty| duty.as_str() == word);
        duty.ok_or_else(|| format!("it says {word:?}, which nobody can order"))
    }

    /// Takes down what an operator wants of an origin. Whether that is worth saving.
    pub fn note_duty(&mut self, site: &str, origin: &str, duty: Duty) -> bool {
        let wanted = (duty != Duty::Auto).then_some(duty.as_str());
        let is_news = self.origin(site, origin).and_then(|known| known.duty.as_deref()) != wanted;
        if is_news {
            let known = self.sites.entry(site.to_owned()).or_default().entry(origin.to_owned()).or_default();
            known.duty = wanted.map(str::to_owned);
        }
        is_news
    }

    /// Forgets the origins for which `is_known` does not hold.
    pub fn retain(&mut self, is_known: impl Fn(&str, &str) -> bool) {
        for (site, origins) in &mut self.sites {
            origins.retain(|origin, _| is_known(site, origin));
        }
        self.sites.retain(|_, origins| !origins.is_empty());
    }

    fn origin(&self, site: &str, origin: &str) -> Option<&OriginMemory> {
        self.sites.get(site)?.get(origin)
    }
}

impl Remembered {
    /// The answer to `name`.
    pub fn new(name: &str, places: &[Place], answered: SystemTime) -> Self {
        let answered_at = answered.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Self { name: name.to_owned(), answered_at, places: places.to_vec() }
    }

    /// In seconds since 1970.
    pub fn answered_at(&self) -> u64 {
        self.answered_at
    }
}

fn origin_memories(origins: &serde_json::Map<String, Value>) -> BTreeMap<String, OriginMemory> {
    let origin = |(name, value): (&String, &Value)| Some((name.clone(), OriginMemory::deserialize(value).ok()?));
    origins.iter().filter_map(origin).collect()
}

/// Longest text: more than a thousand sites with a few origins of a few addresses each.
pub const TEXT_BYTES_MAX: usize = 1 << 20;

const VERSION: u64 = 1;

/// Answers older than this are more likely somebody else's addresses than the origin's: the bound of RFC 8767 §5.
const AGE_MAX: Duration = Duration::from_secs(3 * 24 * 60 * 60);

/// A clock that was set back by more than this was no clock.
const EARLY_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// An answer that stays the same is saved again after this long: rarely, next to [`AGE_MAX`] often.
const REFRESH: Duration = Duration::from_secs(10 * 60);

#[cfg(test)]
mod tests;
