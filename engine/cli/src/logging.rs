//! Log events on standard error: which, and how they look.

use std::os::linux::fs::MetadataExt;

use clap::ValueEnum;
use swath_ctl::log::{self, Filter};

/// Options of commands that log.
#[derive(Debug, Clone, clap::Args)]
pub struct LogArgs {
    /// How log events look
    #[arg(long, value_enum, value_name = "FORMAT", env = "SWATH_LOG_FORMAT", hide_env = true, default_value = "text")]
    pub log_format: LogFormat,
    /// What to log: a level (off, error, warn, info, debug, trace), or such as `warn,swath::interface=debug`
    #[arg(long, value_name = "LEVELS", env = "SWATH_LOG", hide_env = true, default_value = "info", value_parser = Filter::parse)]
    pub log: Filter,
}

/// How log events look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people, among what else there is to say to them
    Text,
    /// An object for each line, and nothing else
    Json,
}

impl LogArgs {
    /// Logs from now on. Returns whether events are all that standard error is for: they then say what people are told otherwise.
    pub fn start(&self) -> bool {
        let format = match self.log_format {
            LogFormat::Json => log::Format::Json,
            LogFormat::Text if is_journal() => log::Format::Journal,
            LogFormat::Text => log::Format::Text,
        };
        log::to_stderr(format, self.log.clone());
        format != log::Format::Text
    }
}

/// Whether standard error goes to the journal of systemd, which says so by device and inode (systemd.exec(5), `$JOURNAL_STREAM`).
fn is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    std::fs::metadata("/proc/self/fd/2").is_ok_and(|stderr| stream == format!("{}:{}", stderr.st_dev(), stderr.st_ino()))
}
