//! What happens rarely, and not to packets: counted where it happens, by the macros of `metrics`.

use std::sync::OnceLock;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

/// The recorder of this process. Until somebody serves it, the macros do nothing.
pub fn handle() -> &'static PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(|| {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        // Refused where the program that this crate is linked into has a recorder of its own: then that has the events.
        let _ = metrics::set_global_recorder(recorder);
        metrics::describe_counter!("swath_log_events_total", "Events that were logged, by level, those left out included.");
        metrics::describe_counter!(
            "swath_log_suppressed_events_total",
            "Log events left out because one place said too many at once."
        );
        // There from the start, so that a rate over the first is right.
        for level in ["error", "warn", "info"] {
            metrics::counter!("swath_log_events_total", "level" => level).increment(0);
        }
        metrics::counter!("swath_log_suppressed_events_total").increment(0);
        handle
    })
}
