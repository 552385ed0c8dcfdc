//! Settings that are wrong say where and what.

mod common;

use common::Next;
use swath_api::NodeKind;
use swath_api::prelude::*;
use swath_api::testkit::TestKit;

/// Settings of some depth.
struct Settings;

#[derive(Deserialize, JsonSchema)]
#[schemars(crate = "swath_api::schemars")]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[allow(dead_code)]
struct SettingsConfig {
    /// Some limits.
    limits: Vec<Limit>,
    /// A choice.
    #[serde(default)]
    on_excess: Option<Excess>,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(crate = "swath_api::schemars")]
#[serde(rename_all = "kebab-case")]
enum Excess {
    Cut,
    Refuse,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(crate = "swath_api::schemars")]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
struct Limit {
    /// How much.
    bytes: u16,
    /// Of whom.
    names: Vec<String>,
}

const GOOD: &str = r#"{"limits": [{"bytes": 1, "names": []}]}"#;

impl Node for Settings {
    const INFO: Info = Info::new("settings", "Has settings of some depth.");
    type Config = SettingsConfig;
    type Next = Next;

    fn new(config: SettingsConfig, _: &mut Setup<'_>) -> Result<Settings, ConfigError> {
        let long = config.limits.iter().position(|limit| limit.bytes > 9000);
        long.map_or(Ok(Settings), |i| Err(ConfigError::at(format!("limits[{i}].bytes"), "no frame is longer than 9000 bytes")))
    }

    fn process(&mut self, frame: &mut Frame<'_, Next>, _: &mut Context<'_>) {
        frame.all(Next::A);
    }
}

#[test]
fn settings_that_are_wrong_say_where_and_what() {
    for (config, path, message) in [
        (r#"{"limits": [], "limit": 3}"#, "limit", "unknown field `limit`, expected `limits` or `on-excess`"),
        (r#"{}"#, "", "missing field `limits`"),
        (r#"{"limits": 3}"#, "limits", "invalid type: integer `3`, expected a sequence"),
        (r#"{"limits": [{"bytes": 1, "names": []}, {"bytes": 1}]}"#, "limits[1]", "missing field `names`"),
        (
            r#"{"limits": [{"bytes": 1, "names": [], "more": 1}]}"#,
            "limits[0].more",
            "unknown field `more`, expected `bytes` or `names`",
        ),
        (r#"{"limits": [{"bytes": "1", "names": []}]}"#, "limits[0].bytes", "invalid type: string \"1\", expected u16"),
        (r#"{"limits": [{"bytes": 70000, "names": []}]}"#, "limits[0].bytes", "invalid value: integer `70000`, expected u16"),
        (r#"{"limits": [{"bytes": 1, "names": ["a", 2]}]}"#, "limits[0].names[1]", "invalid type: integer `2`, expected a string"),
        (r#"{"limits": [], "on-excess": "shout"}"#, "on-excess", "unknown variant `shout`, expected `cut` or `refuse`"),
        (r#"{"limits": [{"bytes": 9001, "names": []}]}"#, "limits[0].bytes", "no frame is longer than 9000 bytes"),
        (r#"[]"#, "", "invalid length 0, expected struct SettingsConfig with 2 elements"),
        (r#"{"limits": ["#, "limits", "EOF while parsing a list"),
    ] {
        let error = TestKit::new().node::<Settings>(config).unwrap_err();
        assert_eq!((error.path(), error.message()), (path, message), "{config}");
        let whole = if path.is_empty() { message.to_string() } else { format!("{path}: {message}") };
        assert_eq!(error.to_string(), whole);
    }
    assert!(TestKit::new().node::<Settings>(GOOD).is_ok());
}

#[test]
fn the_schema_of_the_settings_is_theirs() {
    let schema: swath_api::serde_json::Value = swath_api::serde_json::from_str(&NodeKind::of::<Settings>().schema()).unwrap();
    assert_eq!(schema["properties"]["limits"]["description"], "Some limits.");
    assert_eq!(schema["required"], swath_api::serde_json::json!(["limits"]));
    assert_eq!(schema["additionalProperties"], false);
}
