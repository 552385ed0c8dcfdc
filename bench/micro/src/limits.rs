//! How many instructions each case may take, in a file that lies beside the code.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// More than what the file says by so much is too many.
pub const TOLERANCE: f64 = 0.02;

/// What has become of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As before.
    Kept,
    /// More than before.
    Worse,
    /// Less, so that the limit says too much.
    Better,
    /// The file does not know it.
    New,
}

/// Instructions per packet by case.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Limits(BTreeMap<String, f64>);

impl Limits {
    /// A case and a number in each line; `#` begins a comment.
    ///
    /// # Errors
    /// A line is something else.
    pub fn parse(text: &str) -> Result<Limits, String> {
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim()).filter(|line| !line.is_empty());
        let one = |line: &str| {
            let (name, count) = line.split_once(char::is_whitespace)?;
            Some((name.to_string(), count.trim().parse().ok()?))
        };
        lines
            .map(|line| one(line).ok_or_else(|| format!("expected a case and a number: {line}")))
            .collect::<Result<_, _>>()
            .map(Limits)
    }

    /// The file of these counts.
    pub fn write(counts: &[(&str, f64)]) -> String {
        let mut text = format!(
            "# Instructions per packet with AVX2, by callgrind: `make check` fails if a case takes more than {:.0} % above. Who has a reason for it\n\
             # writes the file anew by `make count-update`, and says in the commit why.\n",
            TOLERANCE * 100.0
        );
        for (name, count) in counts {
            let _ = writeln!(text, "{name:<20} {count:.1}");
        }
        text
    }

    /// What the file says of a case.
    pub fn of(&self, case: &str) -> Option<f64> {
        self.0.get(case).copied()
    }

    /// How a count stands to that.
    pub fn judge(&self, case: &str, count: f64) -> Verdict {
        match self.of(case) {
            None => Verdict::New,
            Some(limit) if count > limit * (1.0 + TOLERANCE) => Verdict::Worse,
            Some(limit) if count < limit * (1.0 - TOLERANCE) => Verdict::Better,
            Some(_) => Verdict::Kept,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let text = Limits::write(&[("ip4-1", 66.74), ("nat-10k", 640.0)]);
        let limits = Limits::parse(&text).unwrap();
        assert_eq!((limits.of("ip4-1"), limits.of("nat-10k"), limits.of("acl")), (Some(66.7), Some(640.0), None));
        assert!(Limits::parse("ip4-1").is_err() && Limits::parse("ip4-1 many").is_err());
    }

    #[test]
    fn two_percent_are_too_many() {
        let limits = Limits::parse("a 100").unwrap();
        let judged = [101.9, 102.1, 98.1, 97.9].map(|count| limits.judge("a", count));
        assert_eq!(judged, [Verdict::Kept, Verdict::Worse, Verdict::Kept, Verdict::Better]);
        assert_eq!(limits.judge("b", 1.0), Verdict::New);
    }
}
