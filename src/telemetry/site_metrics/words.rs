//! What is found by one of a few words.

use std::sync::OnceLock;

/// Values by word, for a few words that are known when they first occur: found by comparing, without a lock. It takes little
/// until there is one.
#[derive(Debug)]
pub(super) struct Words<T> {
    slots: OnceLock<Box<Slots<T>>>,
    other: OnceLock<T>,
}

type Slots<T> = [OnceLock<(&'static str, T)>; WORDS_MAX];

impl<T> Words<T> {
    /// The value of `word`, made when it first occurs; words beyond [`WORDS_MAX`] share the value of `other`.
    pub(super) fn at(&self, word: &'static str, make: impl Fn(&'static str) -> T) -> &T {
        for slot in &**self.slots.get_or_init(Box::default) {
            let (held, value) = slot.get_or_init(|| (word, make(word)));
            if *held == word {
                return value;
            }
        }
        self.other.get_or_init(|| make("other"))
    }
}

impl<T> Default for Words<T> {
    fn default() -> Self {
        Self { slots: OnceLock::new(), other: OnceLock::new() }
    }
}

/// Twice what any of our vocabularies has.
const WORDS_MAX: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_beyond_the_bound_share_one_value() {
        let words = Words::default();
        let many: Vec<&'static str> = (0..WORDS_MAX + 3).map(|n| &*String::leak(format!("word-{n}"))).collect();
        for word in &many {
            assert_eq!(words.at(word, |made| made), if many[..WORDS_MAX].contains(word) { word } else { &"other" });
        }
        assert_eq!(words.at("word-0", |made| made), &"word-0");
    }
}
