//! An event as a line.

use std::fmt::{Debug, Write as _};
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::Format;
use super::limit::Limit;

/// What events are about, by which one place in the code may say more than another.
const ABOUT: [&str; 3] = ["interface", "node", "worker"];

/// The target of what tables tell for good.
const RECORDS: &str = "swath::records";

/// Writes each event as a line.
#[derive(Debug)]
pub struct Lines<W> {
    format: Format,
    output: W,
    limit: Mutex<Limit>,
}

impl<W> Lines<W> {
    pub fn new(format: Format, output: W) -> Lines<W> {
        Lines { format, output, limit: Mutex::default() }
    }
}

impl<S: Subscriber, O: Write, W: Fn() -> O + 'static> Layer<S> for Lines<W> {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let (metadata, mut said) = (event.metadata(), Said::default());
        event.record(&mut said);
        let level = metadata.level();
        metrics::counter!("swath_log_events_total", "level" => level.as_str().to_lowercase()).increment(1);
        let place = (metadata.callsite(), said.about());
        let admitted = match said.records(metadata.target()) {
            true => Some(0),
            false => self.limit.lock().unwrap_or_else(PoisonError::into_inner).admit(place, Instant::now()),
        };
        let Some(suppressed) = admitted else {
            metrics::counter!("swath_log_suppressed_events_total").increment(1);
            return;
        };
        if suppressed > 0 {
            said.fields.insert("suppressed".into(), suppressed.into());
        }
        let line = match self.format {
            Format::Json => json(&said, *level, metadata.target(), SystemTime::now()),
            Format::Text => format!("{} {}", humantime::format_rfc3339_millis(SystemTime::now()), text(&said, *level)),
            Format::Journal => format!("<{}>{}", priority(*level), said.text()),
        };
        // In one call, so that lines of several threads do not mix. Where nobody listens there is nobody to tell.
        let line = line.replace(['\n', '\r'], " ") + "\n";
        let _ = (self.output)().write_all(line.as_bytes());
    }
}

/// Message and fields of an event.
#[derive(Debug, Default)]
struct Said {
    message: String,
    fields: Map<String, Value>,
}

impl Said {
    fn about(&self) -> Option<String> {
        ABOUT.iter().find_map(|name| self.fields.get(*name)).map(plain)
    }

    /// Whether this is a record that somebody may need for years, of which none is left out. Its fields are then in the place of the one that
    /// has them all, for an event cannot have fields that are not known when it is compiled.
    fn records(&mut self, target: &str) -> bool {
        let record = self.fields.get("record").filter(|_| target == RECORDS).map(plain);
        let Some(Ok(Value::Object(record))) = record.map(|record| serde_json::from_str(&record)) else { return false };
        self.fields.shift_remove("record");
        let named = record.into_iter().filter(|(name, _)| name != "event");
        named.for_each(|(name, value)| _ = self.fields.insert(if name == "ts" { "at".into() } else { name }, value));
        true
    }

    fn text(&self) -> String {
        let mut text = self.message.clone();
        for (name, value) in &self.fields {
            let value = plain(value);
            let quote = value.is_empty() || value.contains([' ', '"', '=']);
            let _ = if quote { write!(text, " {name}={value:?}") } else { write!(text, " {name}={value}") };
        }
        text
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), Into::into)
}

fn text(said: &Said, level: Level) -> String {
    format!("{:<5} {}", level.as_str(), said.text())
}

fn json(said: &Said, level: Level, target: &str, time: SystemTime) -> String {
    let mut line = Map::new();
    line.insert("ts".into(), humantime::format_rfc3339_millis(time).to_string().into());
    line.insert("level".into(), level.as_str().to_lowercase().into());
    line.insert("target".into(), target.into());
    line.insert("msg".into(), said.message.clone().into());
    // A field cannot take the place of what every line has.
    said.fields.iter().for_each(|(name, value)| _ = line.entry(name).or_insert_with(|| value.clone()));
    Value::Object(line).to_string()
}

/// As syslog(3) has them.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.message = value.into(),
            name => _ = self.fields.insert(name.into(), value.into()),
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.fields.insert(field.name().into(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.fields.insert(field.name().into(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.fields.insert(field.name().into(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.fields.insert(field.name().into(), value.into());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use metrics_exporter_prometheus::PrometheusBuilder;
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::registry;

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            // Who writes a line in parts lets others write between them.
            assert!(bytes.ends_with(b"\n"), "{bytes:?}");
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn said(format: Format, say: impl FnOnce()) -> Vec<String> {
        let page = Page::default();
        let writer = page.clone();
        tracing::subscriber::with_default(registry().with(Lines::new(format, move || writer.clone())), say);
        let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        text.lines().map(Into::into).collect()
    }

    fn event() {
        tracing::warn!(target: "swath::interface", interface = "lan", count = 3, why = "no \"carrier\"", "the link\nis down");
    }

    #[test]
    fn text_is_time_level_message_and_fields() {
        let [line] = &said(Format::Text, event)[..] else { panic!() };
        let (time, rest) = line.split_once(' ').unwrap();
        assert!(humantime::parse_rfc3339(time).is_ok() && time.len() == "2026-11-23T01:02:03.456Z".len(), "{time}");
        assert_eq!(rest, r#"WARN  the link is down interface=lan count=3 why="no \"carrier\"""#);
    }

    #[test]
    fn the_journal_adds_the_time_itself() {
        assert_eq!(said(Format::Journal, event), [r#"<4>the link is down interface=lan count=3 why="no \"carrier\"""#]);
    }

    #[test]
    fn json_has_one_object_for_each_line() {
        let lines = said(Format::Json, || {
            event();
            tracing::info!(target: "swath", level = "mine", yes = true, "plain");
        });
        let values: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let keys: Vec<&String> = values[0].as_object().unwrap().keys().collect();
        assert_eq!(keys, ["ts", "level", "target", "msg", "interface", "count", "why"]);
        assert!(humantime::parse_rfc3339(values[0]["ts"].as_str().unwrap()).is_ok());
        let mut first = values[0].clone();
        first.as_object_mut().unwrap().remove("ts");
        let expected = serde_json::json!({
            "level": "warn", "target": "swath::interface", "msg": "the link\nis down", "interface": "lan", "count": 3,
            "why": "no \"carrier\"",
        });
        assert_eq!(first, expected);
        assert_eq!((&values[1]["level"], &values[1]["yes"]), (&"info".into(), &true.into()));
    }

    /// None is left out, and their fields are those of the event.
    #[test]
    fn records_of_tables_are_all_there() {
        let lines = said(Format::Journal, || {
            for number in 0..100 {
                let record = format!(r#"{{"ts":"2026-01-01T00:00:00Z","table":"nat","event":"given","port":{number}}}"#);
                tracing::info!(target: "swath::records", subject = "nat", record, "given");
            }
        });
        assert_eq!(lines.len(), 100);
        assert_eq!(lines[99], "<6>given subject=nat at=2026-01-01T00:00:00Z table=nat port=99");
    }

    #[test]
    fn who_says_too_much_is_counted() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let say = || {
            for number in 0..100 {
                tracing::info!(interface = "lan", number, "again");
                tracing::info!(interface = "wan", "other");
            }
        };
        let lines = metrics::with_local_recorder(&recorder, || said(Format::Journal, say));
        assert_eq!(lines.len(), 20);
        let counted = recorder.handle().render();
        for sample in ["swath_log_events_total{level=\"info\"} 200", "swath_log_suppressed_events_total 180"] {
            assert!(counted.lines().any(|line| line == sample), "{counted}");
        }
        assert_eq!(lines[18], "<6>again interface=lan number=9");
    }
}
