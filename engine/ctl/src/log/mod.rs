//! Log events: a line each on standard error, for people or as JSON.
//!
//! Whoever logs uses the macros of `tracing`, with a target `swath::PART` and what it is about as fields (`interface`, `node`, `worker`).
//! Workers do not log: what happens to packets is counted.

mod limit;
mod lines;

use std::io;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, registry};

use lines::Lines;

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Time, level, message, fields.
    Text,
    /// The same without the time, and with the priority in front that the journal of systemd takes from there (sd-daemon(3)).
    Journal,
    /// An object with `ts`, `level`, `target`, `msg` and the fields.
    Json,
}

/// Which events are logged: levels (`off`, `error`, `warn`, `info`, `debug`, `trace`), for all targets or for those that begin with a
/// name: `info`, `warn,swath::interface=debug`.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter(Targets);

impl Filter {
    /// Reads directives.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn parse(text: &str) -> Result<Filter, String> {
        let wrong = || {
            format!(
                "`{text}` does not say what to log: a level (`off`, `error`, `warn`, `info`, `debug`, `trace`), or such as \
                 `warn,swath::interface=debug`"
            )
        };
        let part_is_right = |part: &str| {
            let (target, level) = part.split_once('=').map_or((None, part), |(target, level)| (Some(target), level));
            target != Some("") && !level.is_empty() && level.parse::<LevelFilter>().is_ok()
        };
        if !text.split(',').all(|part| part_is_right(part.trim())) {
            return Err(wrong());
        }
        text.replace(' ', "").parse().map(Filter).map_err(|_| wrong())
    }
}

impl Default for Filter {
    /// From `info`.
    fn default() -> Filter {
        Filter(Targets::new().with_default(LevelFilter::INFO))
    }
}

/// Writes the events of this process to standard error from now on. Once for each process.
pub fn to_stderr(format: Format, filter: Filter) {
    let lines = Lines::new(format, io::stderr).with_filter(filter.0);
    // Refused where the program that this crate is linked into has a subscriber of its own: then that has the events.
    let _ = tracing::subscriber::set_global_default(registry().with(lines));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_levels_and_targets() {
        for text in ["info", "off", "WARN", "warn,swath::interface=debug", "warn, swath=trace", "swath::http=off"] {
            assert!(Filter::parse(text).is_ok(), "{text}");
        }
        for text in ["", "loud", "swath::interface=loud", "=info", "info,,warn", "swath=info=warn"] {
            assert!(Filter::parse(text).unwrap_err().starts_with(&format!("`{text}` does not say what to log")), "{text}");
        }
    }
}
