//! What several name servers say to one question, until enough have said it.
//!
//! Whoever has records wins, since records can be tried out: probes tell a lie soon enough. A server that has none may be
//! wrong, ill or cut off from the others, and nobody could tell; so it is believed when no other one knows better.

use super::answers::Lookup;
use super::records::graver;

/// One question put to several servers.
#[derive(Clone, Debug)]
pub(super) struct Ballot<T> {
    open: usize,
    found: Option<T>,
    /// The gravest of the fruitless answers.
    fruitless: Option<Lookup>,
    /// Whether one of them was a denial, or said that there are no records.
    denied: bool,
}

impl<T> Ballot<T> {
    /// A question that `servers` were asked.
    pub(super) fn new(servers: usize) -> Self {
        Self { open: servers, found: None, fruitless: None, denied: false }
    }

    /// A server has answered, or failed to.
    pub(super) fn cast(&mut self, answer: Result<T, Lookup>) {
        self.open = self.open.saturating_sub(1);
        match answer {
            Ok(found) => {
                self.found.get_or_insert(found);
            }
            Err(fruitless) => {
                self.denied |= !matches!(fruitless, Lookup::Failed(_));
                self.fruitless = Some(match self.fruitless.take() {
                    None => fruitless,
                    Some(known) => graver(known, fruitless),
                });
            }
        }
    }

    /// Whether records were found.
    pub(super) fn is_found(&self) -> bool {
        self.found.is_some()
    }

    /// Whether nothing that may yet come changes the outcome.
    pub(super) fn is_closed(&self) -> bool {
        self.open == 0 || self.is_found()
    }

    /// Whether it is closed, or there is an answer that will do once others were given a moment to contradict.
    pub(super) fn is_nearly_closed(&self) -> bool {
        self.is_closed() || self.denied
    }

    /// What came of it when no more is waited for, `late` being said of those who have not answered.
    pub(super) fn outcome(self, late: &str) -> Result<T, Lookup> {
        let unanswered = (self.open > 0).then(|| Lookup::Failed(late.to_owned()));
        match (self.found, self.fruitless, unanswered) {
            (Some(found), _, _) => Ok(found),
            (None, Some(known), Some(unanswered)) => Err(graver(known, unanswered)),
            (None, Some(fruitless), None) | (None, None, Some(fruitless)) => Err(fruitless),
            (None, None, None) => Err(Lookup::Failed("there is no name server".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers: `F` records, `E` no records, `N` no such name, `X` a failure. The state after them: `closed`, `nearly` or
    /// `open`; and what came of it when nothing more does.
    #[track_caller]
    fn check(servers: usize, answers: &str, state: &str, expected: Result<usize, &str>) {
        let mut ballot = Ballot::new(servers);
        for (place, answer) in answers.chars().enumerate() {
            ballot.cast(match answer {
                'F' => Ok(place),
                'E' => Err(Lookup::Empty),
                'N' => Err(Lookup::NoSuchName),
                _ => Err(Lookup::Failed("failed".to_owned())),
            });
        }
        let actual = match (ballot.is_closed(), ballot.is_nearly_closed()) {
            (true, _) => "closed",
            (false, true) => "nearly",
            (false, false) => "open",
        };
        assert_eq!(actual, state, "{answers} of {servers}");
        let outcome = ballot.outcome("late").map_err(|lookup| match lookup {
            Lookup::Failed(reason) => reason,
            other => format!("{other:?}"),
        });
        assert_eq!(outcome, expected.map_err(str::to_owned), "{answers} of {servers}");
    }

    #[test]
    fn the_first_records_win() {
        check(1, "F", "closed", Ok(0));
        check(3, "F", "closed", Ok(0));
        check(3, "FF", "closed", Ok(0));
        for before in ["X", "E", "N", "XX", "EN", "NX"] {
            check(4, &format!("{before}F"), "closed", Ok(before.len()));
        }
    }

    #[test]
    fn without_records_the_others_are_heard() {
        check(2, "", "open", Err("late"));
        check(2, "X", "open", Err("failed"));
        check(2, "N", "nearly", Err("late"));
        check(2, "E", "nearly", Err("late"));
    }

    #[test]
    fn a_denial_counts_when_nobody_failed() {
        check(2, "NN", "closed", Err("NoSuchName"));
        check(2, "EN", "closed", Err("NoSuchName"));
        check(2, "EE", "closed", Err("Empty"));
        check(2, "NX", "closed", Err("failed"));
        check(2, "XE", "closed", Err("failed"));
        check(0, "", "closed", Err("there is no name server"));
    }
}
