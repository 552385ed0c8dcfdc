//! Any text as a graph file: read, planned, its settings checked, and its mistakes rendered.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use swath_core::plan::Draft;
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
    // A directory that there is not: settings name files.
    let directory = Path::new("/nonexistent");
    match Draft::new(spec, &swath::registry(), &mut diagnostics).plan() {
        Ok(plan) => plan.check(directory, &mut diagnostics),
        Err(draft) => {
            draft.check(directory, &mut diagnostics);
            assert!(diagnostics.errors() > 0);
        }
    }
    diagnostics.render(&sources, false);
    diagnostics.to_json(&sources);
});
