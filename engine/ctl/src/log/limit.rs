//! No more events from one place than somebody can read.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;

/// Events of one place within a [`WINDOW`].
const BURST: u32 = 10;
const WINDOW: Duration = Duration::from_secs(10);
/// Places that are remembered: what events are about is part of a place, and must not fill the memory.
const PLACES: usize = 1024;

/// Where an event comes from: the place in the code, and what it is about.
pub type Place = (Identifier, Option<String>);

/// What each place has said.
#[derive(Debug, Default)]
pub struct Limit(HashMap<Place, Window>);

#[derive(Debug)]
struct Window {
    start: Instant,
    said: u32,
    suppressed: u64,
}

impl Limit {
    /// Whether an event of this place is to be logged; if so, how many were left out before it since the last that was.
    pub fn admit(&mut self, place: Place, now: Instant) -> Option<u64> {
        if self.0.len() >= PLACES && !self.0.contains_key(&place) {
            self.0.retain(|_, window| now.saturating_duration_since(window.start) < WINDOW);
            if self.0.len() >= PLACES {
                return None;
            }
        }
        let window = self.0.entry(place).or_insert(Window { start: now, said: 0, suppressed: 0 });
        if now.saturating_duration_since(window.start) >= WINDOW {
            (window.start, window.said) = (now, 0);
        }
        if window.said == BURST {
            window.suppressed += 1;
            return None;
        }
        window.said += 1;
        Some(std::mem::take(&mut window.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use tracing::Callsite;
    use tracing::callsite::DefaultCallsite;

    use super::*;

    #[test]
    fn a_place_says_ten_things_in_ten_seconds() {
        let callsite = {
            static META: tracing::Metadata<'static> = tracing::metadata! {
                name: "here", target: "here", level: tracing::Level::INFO, fields: &[], callsite: &CALLSITE,
                kind: tracing::metadata::Kind::EVENT,
            };
            static CALLSITE: DefaultCallsite = DefaultCallsite::new(&META);
            CALLSITE.metadata().callsite()
        };
        let place = |about: &str| (callsite.clone(), Some(about.to_string()));
        let (mut limit, start) = (Limit::default(), Instant::now());
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        for second in 0..10 {
            assert_eq!(limit.admit(place("lan"), at(second)), Some(0));
        }
        assert_eq!([limit.admit(place("lan"), at(9)), limit.admit(place("lan"), at(9))], [None, None]);
        // Another interface is not made silent by the first.
        assert_eq!(limit.admit(place("wan"), at(9)), Some(0));
        assert_eq!(limit.admit(place("lan"), at(10)), Some(2));
        assert_eq!(limit.admit(place("lan"), at(10)), Some(0));
        // However much it is about.
        for number in 0..5000 {
            limit.admit(place(&number.to_string()), at(11));
        }
        assert_eq!(limit.0.len(), PLACES);
        assert_eq!(limit.admit(place("new"), at(60)), Some(0));
        assert_eq!(limit.0.len(), 1);
    }
}
