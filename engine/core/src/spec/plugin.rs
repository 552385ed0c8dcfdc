//! The section `plugins`: libraries whose kinds the graph uses.

use std::ops::RangeInclusive;
use std::time::Duration;

use swath_api::units;

use super::code::Code;
use super::diagnostic::{Diagnostic, Diagnostics};
use super::entry::{Declared, word};
use super::source::{Span, Spanned};
use super::typed::deserialize;
use super::value::{Entry, Node};

/// A plugin as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginSpec {
    /// Its name in this file.
    pub name: Spanned<String>,
    /// The file of the library, without its directory.
    pub file: Spanned<String>,
    /// What the file has to be: its SHA-256, in hexadecimal digits.
    pub sha256: Option<Spanned<String>>,
    /// How long a node of it that is out of service stays so before it is made anew; for good if nothing is said.
    pub restart: Option<Duration>,
}

const KEYS: [&str; 3] = ["file", "sha256", "restart"];
const RESTART: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(3600);

impl PluginSpec {
    pub(super) fn read(entry: Entry, diagnostics: &mut Diagnostics) -> Option<Self> {
        if let Node::Str(_) = entry.value.node {
            let file = diagnostics.ok(word(&entry.value))?;
            let name = Declared::name(&entry, "a plugin", diagnostics);
            return Some(Self { name, file, sha256: None, restart: None });
        }
        let mut declared = Declared::read(entry, "a plugin", &KEYS, diagnostics)?;
        if let Node::Map(others) = &declared.settings.node {
            others.iter().for_each(|other| diagnostics.push(Diagnostic::unknown_key(&other.key, other.key_span, &KEYS)));
        }
        let sha256 = match declared.take("sha256") {
            Some(value) => Some(diagnostics.ok(word(&value))?),
            None => None,
        };
        let restart = match declared.take("restart") {
            Some(value) => {
                let restart: Duration = diagnostics.ok(deserialize::<units::Duration>(&value))?.into();
                if !RESTART.contains(&restart) {
                    diagnostics.push(value.mismatch(Code::BadValue, "a duration from 100ms to 1h"));
                    return None;
                }
                Some(restart)
            }
            None => None,
        };
        Some(Self { file: declared.word("file", diagnostics)?, name: declared.name, sha256, restart })
    }

    /// Where a setting of it stands.
    #[must_use]
    pub fn span(&self, setting: &str) -> Span {
        match &self.sha256 {
            Some(sha256) if setting == "sha256" => sha256.span,
            _ => self.file.span,
        }
    }
}
