#[derive(ipcz::Message)]
union Bits {
    float: f32,
    word: u32,
}

fn main() {}
