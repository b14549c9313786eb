//! Values there and back, refused values, and garbage.

use std::collections::BTreeMap;
use std::fmt::Debug;

use serde::{Deserialize, Serialize};

use super::*;
use crate::{Handle, Node, OsHandle, Parcel, Portal};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Shape {
    Unit,
    One(Box<Shape>),
    Two(u8, String),
    Named { a: Option<i64>, b: Vec<u16> },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Everything {
    number: (i8, i16, i32, i64, i128, u128),
    float: (f32, f64),
    text: (char, String, bool),
    unit: (),
    map: BTreeMap<String, Vec<Shape>>,
    wrapped: Wrapped,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Wrapped(u32);

/// Portals that live as long as their node does, which is as long as they do.
fn pair() -> (Portal, Portal) {
    Node::broker().unwrap().open_portals()
}

fn everything() -> Everything {
    let shapes = vec![
        Shape::Unit,
        Shape::One(Box::new(Shape::Two(7, "seven".into()))),
        Shape::Named { a: Some(-1), b: vec![1, 300, 65535] },
    ];
    Everything {
        number: (-1, -300, i32::MIN, i64::MAX, i128::MIN, u128::MAX),
        float: (1.5, -0.0),
        text: ('ß', "größer".into(), true),
        unit: (),
        map: BTreeMap::from([("k".into(), shapes), (String::new(), vec![])]),
        wrapped: Wrapped(9),
    }
}

fn encode<S: EncodeAs<T>, T>(value: T) -> Result<Parcel, CodecError> {
    let mut encoder = Encoder::new(&[]);
    encoder.put::<S, T>("value", value)?;
    encoder.finish()
}

fn decode<T>(parcel: Parcel) -> Result<T, CodecError>
where
    Plain: for<'de> DecodeAs<'de, T>,
{
    let (bytes, handles) = parcel.into_parts();
    let mut decoder = Decoder::new(&bytes, handles);
    let value = decoder.take::<Plain, T>("value")?;
    decoder.finish("message")?;
    Ok(value)
}

fn text<T: Debug>(result: Result<T, CodecError>) -> String {
    result.expect_err("refused").to_string()
}

#[test]
fn values_come_back_and_are_postcards_bytes() {
    let value = everything();
    let parcel = encode::<Plain, _>(value.clone()).unwrap();
    assert_eq!(parcel.bytes(), postcard::to_allocvec(&value).unwrap());
    assert_eq!(decode::<Everything>(parcel).unwrap(), value);
}

#[test]
fn shapes_have_the_bytes_of_what_they_stand_for() {
    fn same<S: EncodeAs<T>, T: Serialize + Clone>(value: &T) {
        let parcel = encode::<S, T>(value.clone()).unwrap();
        assert_eq!(parcel.bytes(), postcard::to_allocvec(value).unwrap());
    }
    let bytes: Vec<u8> = (0..=255).cycle().take(1000).collect();
    same::<Bytes, _>(&bytes);
    same::<Bytes, _>(&bytes.as_slice());
    same::<Array, _>(&[1_u8, 2, 3]);
    same::<Optional<Bytes>, _>(&Some(bytes.clone()));
    same::<Optional<Bytes>, _>(&None::<Vec<u8>>);
    same::<Fallible<Bytes>, _>(&Ok::<_, String>(bytes.clone()));
    same::<Fallible<Bytes>, _>(&Err::<Vec<u8>, _>("no".to_string()));
}

#[test]
fn bytes_are_one_copy() {
    let bytes = vec![200_u8; 1 << 20];
    let mut encoder = Encoder::new(&[]);
    encoder.put::<Bytes, _>("bytes", &bytes).unwrap();
    encoder.put::<Array, _>("array", [1_u8; 4096]).unwrap();
    // A length and the bytes; the array.
    assert_eq!(encoder.pieces(), 3);
    let (message, _) = encoder.finish().unwrap().into_parts();
    let mut decoder = Decoder::new(&message, vec![]);
    let view: &[u8] = decoder.take::<Bytes, _>("bytes").unwrap();
    assert_eq!(view, bytes);
    // A borrow of the message itself: what makes it a vector is the only copy.
    assert!(message.as_ptr_range().contains(&view.as_ptr()));
}

#[test]
fn handles_travel_beside_the_bytes() {
    let (one, two) = pair();
    let file: OsHandle = std::fs::File::open("/dev/null").unwrap().into();
    let parcel = encode::<Plain, _>((5_u8, file, vec![Some(one), None])).unwrap();
    let (bytes, handles) = parcel.into_parts();
    assert_eq!(bytes, [5, 0, 2, 1, 1, 0]);
    assert!(matches!(handles[..], [Handle::Os(_), Handle::Portal(_)]));

    let parcel = Parcel::with_handles(bytes, handles);
    let (five, _file, portals): (u8, OsHandle, Vec<Option<Portal>>) = decode(parcel).unwrap();
    assert_eq!(five, 5);
    portals[0].as_ref().unwrap().put(Parcel::new(*b"hello")).unwrap();
    assert_eq!(two.recv_blocking().unwrap().bytes(), b"hello");
}

#[test]
fn a_handle_is_only_what_its_message_says() {
    let portals = || {
        let (one, two) = pair();
        vec![Handle::Portal(one), Handle::Portal(two)]
    };
    let twice = Parcel::with_handles([0, 0], portals());
    assert_eq!(text(decode::<(Portal, Portal)>(twice)), "value: handle 0 is named twice");
    let none = Parcel::with_handles([2], portals());
    assert_eq!(text(decode::<Portal>(none)), "value: handle 2 is named, but 2 came along");
    let other = Parcel::with_handles([1], portals());
    let said = text(decode::<OsHandle>(other));
    assert!(said.contains("a handle of another kind stands where an OS handle should"), "{said}");
}

#[test]
fn a_handle_is_refused_outside_and_not_lost() {
    let (one, two) = pair();
    let refused = postcard::to_allocvec(&one);
    assert!(refused.is_err());
    two.put(Parcel::new(*b"still here")).unwrap();
    assert_eq!(one.recv_blocking().unwrap().bytes(), b"still here");
    assert!(postcard::from_bytes::<Portal>(&[0]).is_err());

    // Another serializer inside of ours finds the gate closed.
    struct Inner<'a>(&'a Portal);
    impl Serialize for Inner<'_> {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_bool(postcard::to_allocvec(self.0).is_err())
        }
    }
    assert_eq!(encode::<Plain, _>(Inner(&one)).unwrap().bytes(), [1]);
    drop(one.take().expect("still here"));
    let said = text(encode::<Plain, _>(one));
    assert!(said.contains("was sent or closed before"), "{said}");
}

#[test]
fn unused_handles_are_dropped() {
    let (one, two) = pair();
    let parcel = Parcel::with_handles([7], vec![Handle::Portal(one)]);
    assert_eq!(decode::<u8>(parcel).unwrap(), 7);
    two.recv_blocking().expect_err("its peer was dropped");
}

/// As deep as wanted, by itself.
fn nested(levels: usize) -> Shape {
    (0..levels).fold(Shape::Unit, |inner, _| Shape::One(Box::new(inner)))
}

#[test]
fn depth_is_bounded_in_both_directions() {
    let parcel = encode::<Plain, _>(nested(128)).unwrap();
    assert_eq!(decode::<Shape>(parcel).unwrap(), nested(128));
    let said = text(encode::<Plain, _>(nested(129)));
    assert!(said.contains("more than 128 levels"), "{said}");
    let bytes = vec![1; 1_000_000];
    let said = text(decode::<Shape>(Parcel::new(bytes)));
    assert!(said.contains("more than 128 levels"), "{said}");
}

#[test]
fn counts_are_held_against_the_bytes_that_are_there() {
    let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    for said in [
        text(decode::<Vec<()>>(Parcel::new(huge))),
        text(decode::<Vec<u64>>(Parcel::new(huge))),
        text(decode::<BTreeMap<(), ()>>(Parcel::new(huge))),
    ] {
        assert!(said.contains("elements are announced"), "{said}");
    }
    let said = text(decode::<String>(Parcel::new(huge)));
    assert!(said.contains("ends too early"), "{said}");
    // Nothing, many times: a few are fine, and what one side accepts the other does.
    let parcel = encode::<Plain, _>(vec![(); 4000]).unwrap();
    assert_eq!(decode::<Vec<()>>(parcel).unwrap().len(), 4000);
    encode::<Plain, _>(vec![(); 5000]).unwrap_err();
    encode::<Plain, _>(vec![vec![(); 100]; 100]).unwrap_err();
}

#[test]
fn trailing_bytes_are_an_error() {
    let said = text(decode::<u8>(Parcel::new([1, 2, 3])));
    assert_eq!(said, "message: 2 bytes follow the last value");
}

#[test]
fn what_postcard_cannot_carry_is_refused_by_name() {
    #[derive(Serialize, Deserialize, Debug)]
    struct Skips {
        #[serde(skip_serializing_if = "Option::is_none")]
        maybe: Option<u8>,
    }
    let said = text(encode::<Plain, _>(Skips { maybe: None }));
    assert!(said.contains("field `maybe` is skipped"), "{said}");

    #[derive(Serialize, Deserialize, Debug)]
    #[serde(untagged)]
    enum Untagged {
        Number(u8),
    }
    let said = text(decode::<Untagged>(Parcel::new([1])));
    assert!(said.contains("self-describing"), "{said}");

    struct Liar(usize);
    impl Serialize for Liar {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            use serde::ser::SerializeSeq;
            let mut seq = serializer.serialize_seq(Some(self.0))?;
            seq.serialize_element(&1)?;
            seq.serialize_element(&2)?;
            seq.end()
        }
    }
    assert!(text(encode::<Plain, _>(Liar(1))).contains("more elements"));
    assert!(text(encode::<Plain, _>(Liar(3))).contains("fewer elements"));
}

/// A small generator of numbers that look random and are the same every time (xorshift64*).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next().to_le_bytes()[3]).collect()
    }
}

#[test]
fn garbage_gives_errors_or_values_and_nothing_else() {
    type Mixed = (Everything, Vec<Option<Portal>>, Option<OsHandle>);
    let mut random = Random(0x1234_5678_9abc_def1);
    let (good, _) = encode::<Plain, _>(everything()).unwrap().into_parts();
    for round in 0..20_000 {
        let bytes = if round % 2 == 0 {
            let len = random.below(64);
            random.bytes(len)
        } else {
            let mut bytes = good.clone();
            for _ in 0..=random.below(3) {
                let at = random.below(bytes.len());
                bytes[at] = random.next().to_le_bytes()[0];
            }
            bytes.truncate(random.below(bytes.len() + 1));
            bytes
        };
        let (one, _two) = pair();
        let _ = decode::<Mixed>(Parcel::with_handles(bytes.clone(), vec![Handle::Portal(one)]));
        let _ = decode::<Everything>(Parcel::new(bytes.clone()));
        let _ = decode::<Vec<Vec<Vec<Shape>>>>(Parcel::new(bytes));
    }
}
