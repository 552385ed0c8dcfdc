use swath_api::Desc;

fn main() {
    let _ = Desc(7);
    let _ = Desc::new(7, 256, 60);
    let _: Desc = Default::default();
}
