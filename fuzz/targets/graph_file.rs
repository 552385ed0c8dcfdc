//! Any text as a graph file: read, planned, and its mistakes rendered.
#![no_main]

use libfuzzer_sys::fuzz_target;
use swath_core::plan::Plan;
use swath_core::spec::{Diagnostics, SourceMap, Spec};

fuzz_target!(|text: &[u8]| {
    let (mut sources, mut diagnostics) = (SourceMap::new(), Diagnostics::new());
    let file = match sources.add_bytes("fuzz.yaml", text.to_vec()) {
        Ok(file) => file,
        Err(refused) => {
            refused.render(&sources, false);
            return;
        }
    };
    let Some(source) = sources.get(file) else { return };
    let spec = Spec::read(source, &mut diagnostics);
    Plan::new(spec, &swath::registry(), &mut diagnostics);
    diagnostics.render(&sources, false);
    diagnostics.to_json(&sources);
});
