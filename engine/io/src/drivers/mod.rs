//! The drivers, one directory for each.

pub mod af_packet;
pub mod af_xdp;
pub mod doctor;
pub mod dpdk;
mod kernel;
pub mod memory;
pub mod pcap;
pub mod tap;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use swath_api::ConfigError;
use swath_core::driver::PortConfig;

/// Settings from JSON, with the path of what is wrong.
fn settings<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ConfigError> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        // serde_json adds a place in the JSON, which nobody has seen.
        let message = error.inner().to_string();
        let message = message.split(" at line ").next().unwrap_or_default();
        ConfigError::at(if path == "." { String::new() } else { path }, message)
    })
}

/// Checks settings that say by themselves whether they are right.
fn check<T: DeserializeOwned>(config: &PortConfig<'_>) -> Result<(), ConfigError> {
    settings::<T>(config.settings).map(drop)
}

fn schema<T: JsonSchema>() -> String {
    schemars::schema_for!(T).to_value().to_string()
}
