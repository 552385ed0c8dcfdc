//! A kind whose graph may not name edges has no such edge to send on.
use swath_api::prelude::*;

edges! {
    /// Where packets go.
    enum Next {
        /// On.
        Out = edge("out", layer::SAME),
    }
}

fn id() -> u16 {
    Branch::<Next>::Named(0).id()
}

fn main() {}
