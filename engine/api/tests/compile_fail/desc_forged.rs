use swath_api::Desc;

fn main() {
    let _: Desc = Desc(7);
    let _: Desc = Default::default();
}
