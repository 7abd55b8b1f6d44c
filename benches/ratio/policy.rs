//! What every policy does with a request, and how one is proven on a sequence made by hand.

/// One request for an object.
#[derive(Clone, Copy)]
pub(crate) struct Request {
    /// Numbers begin at 0 and leave no gaps.
    pub(crate) id: u32,
    /// What the object takes in the cache, head and bookkeeping included; always the same for one object.
    pub(crate) bytes: u32,
}

/// A cache under a byte bound.
pub(crate) trait Policy {
    /// Whether the object is there; if not, it is fetched and offered to the cache.
    fn request(&mut self, request: Request) -> bool;
}

/// Plays `sequence`, a letter for each request, to `policy`; a capital letter is one that must be a hit. Objects take one
/// byte, those named in `large` two.
#[track_caller]
pub(crate) fn check(mut policy: impl Policy, sequence: &str, large: &str) {
    for (place, letter) in sequence.chars().filter(char::is_ascii_alphabetic).enumerate() {
        let name = letter.to_ascii_lowercase();
        let bytes = if large.contains(name) { 2 } else { 1 };
        let is_hit = policy.request(Request { id: u32::from(name) - u32::from('a'), bytes });
        assert_eq!(is_hit, letter.is_ascii_uppercase(), "request {place} of {sequence}: {letter}");
    }
}

/// What is stored, by object.
#[derive(Default)]
pub(crate) struct Shelf<T> {
    places: Vec<Option<T>>,
}

impl<T> Shelf<T> {
    pub(crate) fn get_mut(&mut self, id: u32) -> Option<&mut T> {
        self.places.get_mut(id as usize)?.as_mut()
    }

    pub(crate) fn put(&mut self, id: u32, stored: T) {
        let needed = id as usize + 1;
        if self.places.len() < needed {
            self.places.resize_with(needed, || None);
        }
        self.places[id as usize] = Some(stored);
    }

    pub(crate) fn take(&mut self, id: u32) -> Option<T> {
        self.places.get_mut(id as usize)?.take()
    }
}
