use swath_api::{Handle, Table};

fn forge<T: Table>() -> Handle<T> {
    Handle { index: 0, table: std::marker::PhantomData }
}

fn main() {}
