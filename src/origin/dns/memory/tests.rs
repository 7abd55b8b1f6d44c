//! What is remembered, and what is not believed.

use std::net::SocketAddr;

use super::*;

#[track_caller]
fn check(text: &str, expected: Recollection) {
    let memory = Memory::decode(text.as_bytes()).expect("a memory");
    assert_eq!(memory.recall("shop", "a", "a.example", now()), expected, "{text}");
}

#[track_caller]
fn check_foreign(text: &str, expected: &str) {
    let error = Memory::decode(text.as_bytes()).expect_err(text).to_string();
    assert!(error.contains(expected), "{text}: {error}");
}

#[test]
fn what_was_noted_is_recalled_with_its_age() {
    let mut memory = Memory::default();
    assert!(memory.note("shop", "a", answer("a.example", 1, HOUR)));
    let memory = Memory::decode(memory.encode().as_bytes()).expect("our own text");
    let places = vec![place(1)];
    assert_eq!(memory.recall("shop", "a", "a.example", now()), Recollection::Answer { places, age: HOUR });
    for (site, origin) in [("shop", "b"), ("blog", "a")] {
        assert_eq!(memory.recall(site, origin, "a.example", now()), Recollection::Nothing);
    }
}

#[test]
fn addresses_of_another_name_are_not_recalled() {
    let memory = noted(answer("b.example", 1, HOUR));
    let reason = "they are those of b.example, not of a.example".to_owned();
    assert_eq!(memory.recall("shop", "a", "a.example", now()), Recollection::Unusable(reason));
}

#[test]
fn addresses_are_recalled_for_three_days() {
    for (hours, is_recalled) in [(0, true), (71, true), (72, true), (73, false), (99_999, false)] {
        let recalled = noted(answer("a.example", 1, hours * HOUR)).recall("shop", "a", "a.example", now());
        assert_eq!(matches!(recalled, Recollection::Answer { .. }), is_recalled, "{hours} hours: {recalled:?}");
    }
}

#[test]
fn a_clock_set_back_a_little_does_no_harm() {
    for (hours, is_recalled) in [(1, true), (24, true), (25, false), (99_999, false)] {
        let mut remembered = answer("a.example", 1, Duration::ZERO);
        remembered.answered_at += hours * HOUR.as_secs();
        let recalled = noted(remembered).recall("shop", "a", "a.example", now());
        let is_new = matches!(recalled, Recollection::Answer { age: Duration::ZERO, .. });
        assert_eq!(is_new, is_recalled, "{hours} hours ahead: {recalled:?}");
    }
}

#[test]
fn changes_are_news_at_once_and_the_same_again_after_a_while() {
    let minute = Duration::from_secs(60);
    let mut memory = noted(answer("a.example", 1, HOUR));
    assert!(!memory.note("shop", "a", answer("a.example", 1, HOUR - minute)));
    assert!(memory.note("shop", "a", answer("a.example", 2, HOUR - minute)));
    assert!(memory.note("shop", "a", answer("b.example", 2, HOUR - minute)));
    assert!(!memory.note("shop", "a", answer("b.example", 2, HOUR - 10 * minute)));
    assert!(memory.note("shop", "a", answer("b.example", 2, HOUR - 11 * minute)));
}

#[test]
fn every_order_is_remembered_until_it_is_taken_back() {
    let mut memory = noted(answer("a.example", 1, HOUR));
    for duty in [Duty::Drained, Duty::Disabled, Duty::Forced, Duty::Auto] {
        assert!(memory.note_duty("shop", "a", duty), "{duty:?}");
        assert!(!memory.note_duty("shop", "a", duty), "{duty:?} again is no news");
        memory = Memory::decode(memory.encode().as_bytes()).expect("our own text");
        assert_eq!(memory.duty("shop", "a"), Ok(duty));
    }
    assert_eq!(memory, noted(answer("a.example", 1, HOUR)), "no trace is left");
    assert!(!memory.note_duty("shop", "b", Duty::Auto), "what is taken for granted is no news");
    for (site, origin) in [("shop", "b"), ("blog", "a")] {
        assert_eq!(memory.duty(site, origin), Ok(Duty::Auto));
    }
}

#[test]
fn an_order_is_kept_whatever_its_age_and_the_name_of_the_host() {
    let mut memory = noted(answer("a.example", 1, 99_999 * HOUR));
    memory.note_duty("shop", "a", Duty::Drained);
    assert!(matches!(memory.recall("shop", "a", "b.example", now()), Recollection::Unusable(_)));
    assert_eq!(memory.duty("shop", "a"), Ok(Duty::Drained));
}

#[test]
fn what_nobody_can_order_is_refused_with_a_reason_and_leaves_the_addresses() {
    for word in ["", "drain", "Drained", "\u{1f980}"] {
        let text = format!(
            r#"{{"version":1,"sites":{{"shop":{{"a":{{"duty":"{word}","answer":
                {{"name":"a.example","answered_at":1800000000,"places":[{{"address":"192.0.2.1:443"}}]}}}}}}}}}}"#
        );
        check(&text, Recollection::Answer { places: vec![place(1)], age: Duration::ZERO });
        let memory = Memory::decode(text.as_bytes()).expect("a memory");
        let reason = format!("it says {word:?}, which nobody can order");
        assert_eq!(memory.duty("shop", "a"), Err(reason));
    }
}

#[test]
fn origins_that_are_gone_are_forgotten() {
    let mut memory = noted(answer("a.example", 1, HOUR));
    memory.note_duty("shop", "a", Duty::Forced);
    memory.note("shop", "b", answer("b.example", 1, HOUR));
    memory.retain(|_, origin| origin == "b");
    assert_eq!(memory.recall("shop", "a", "a.example", now()), Recollection::Nothing);
    assert_eq!(memory.duty("shop", "a"), Ok(Duty::Auto));
    memory.retain(|_, _| false);
    assert_eq!(memory, Memory::default());
}

#[test]
fn what_is_left_out_has_a_default_and_what_is_not_known_is_passed_over() {
    let text = r#"{"later":1,"version":1,"sites":{"shop":{"a":{"more":[],"answer":
        {"name":"a.example","answered_at":1800000000,"places":[{"address":"192.0.2.1:443","rank":7}]}}}}}"#;
    check(text, Recollection::Answer { places: vec![place(1)], age: Duration::ZERO });
}

#[test]
fn what_cannot_be_read_of_one_origin_is_left_out_by_itself() {
    let good = r#""a":{"answer":{"name":"a.example","answered_at":1800000000,"places":[{"address":"192.0.2.1:443"}]}}"#;
    let good_answer = Recollection::Answer { places: vec![place(1)], age: Duration::ZERO };
    for bad in [
        "7",
        "[]",
        r#"{"answer":7}"#,
        r#"{"duty":7}"#,
        r#"{"answer":{"name":"b"}}"#,
        r#"{"answer":{"places":[{"address":""}]}}"#,
    ] {
        check(&format!(r#"{{"version":1,"sites":{{"blog":{bad},"shop":{{"b":{bad},{good}}}}}}}"#), good_answer.clone());
        check(&format!(r#"{{"version":1,"sites":{{"shop":{{"a":{bad}}}}}}}"#), Recollection::Nothing);
    }
}

#[test]
fn an_answer_without_addresses_is_none() {
    let none = answer("a.example", 1, HOUR);
    let memory = noted(Remembered { places: Vec::new(), ..none });
    let reason = "there are none".to_owned();
    assert_eq!(memory.recall("shop", "a", "a.example", now()), Recollection::Unusable(reason));
}

#[test]
fn a_foreign_text_is_refused_with_a_reason() {
    check_foreign("", "EOF");
    check_foreign("hello", "not what this program writes");
    check_foreign("[]", "no version");
    check_foreign("{}", "no version");
    check_foreign(r#"{"version":"1","sites":{}}"#, "no version");
    check_foreign(r#"{"version":2,"sites":{}}"#, "version 2");
    check_foreign(r#"{"version":1}"#, "no sites");
    check_foreign(r#"{"version":1,"sites":[]}"#, "no sites");
    check_foreign(&"[".repeat(100_000), "not what this program writes");
    check_foreign(&" ".repeat(TEXT_BYTES_MAX + 1), "longer than");
}

#[test]
fn a_torn_or_damaged_text_is_never_believed_beyond_what_it_says() {
    let mut memory = noted(answer("a.example", 1, HOUR));
    memory.note("shop", "b", answer("b.example", 2, HOUR));
    let text = memory.encode().into_bytes();
    for length in 0..text.len() {
        assert!(Memory::decode(&text[..length]).is_err(), "torn at {length}");
    }
    let mut random = fastrand::Rng::with_seed(4);
    for _ in 0..5_000 {
        let mut damaged = text.clone();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(0..damaged.len());
            damaged[at] = random.u8(..);
        }
        let Ok(memory) = Memory::decode(&damaged) else { continue };
        if let Recollection::Answer { places, age } = memory.recall("shop", "a", "a.example", now()) {
            assert!(!places.is_empty() && age <= AGE_MAX);
        }
    }
}

fn noted(answer: Remembered) -> Memory {
    let mut memory = Memory::default();
    memory.note("shop", "a", answer);
    memory
}

fn answer(name: &str, host: u8, age: Duration) -> Remembered {
    Remembered::new(name, &[place(host)], now() - age)
}

fn place(host: u8) -> Place {
    Place::plain(SocketAddr::from(([192, 0, 2, host], 443)))
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

const HOUR: Duration = Duration::from_secs(3_600);
