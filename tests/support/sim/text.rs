//! Steps as text that can be read back: a trace that is printed can be kept, and replayed.
//!
//! A value is its name and its fields, `Put{via=3 size=0 moved=[4 5]}`, whatever it is part of. Numbers
//! that are drawn at random, secrets among them, are hexadecimal; what there may be none of is `-` or the
//! value. A line is a step.

use ipcz_core::{
    Accept, Cause, CauseKind, Descriptor, EndKey, Hello, LinkId, MemoryId, Message, NetworkMessage,
    NodeName, Probe, Provided, Relay, RelayKey, RouteMessage, Secret, TransportId, TrapConditions,
};

use super::conn::ConnId;
use super::model::{Handle, Load, Tag};
use super::objects::Verdict;
use super::step::Step;
use super::trace::Start;

/// A value with a text form.
pub(super) trait Text: Sized {
    fn write(&self, out: &mut String);

    /// Takes the value off the front of the text. Nothing if something else is there.
    fn read(text: &mut &str) -> Option<Self>;
}

/// The whole of a text as a value.
pub(super) fn parse<T: Text>(mut text: &str) -> Option<T> {
    T::read(&mut text).filter(|_| text.trim().is_empty())
}

/// Takes a word off the front: what comes before a space, a brace, a bracket or an equals sign.
fn word<'a>(text: &mut &'a str) -> &'a str {
    let trimmed = text.trim_start();
    let ends = |c: char| c.is_whitespace() || "{}[]=".contains(c);
    let (word, rest) = trimmed.split_at(trimmed.find(ends).unwrap_or(trimmed.len()));
    *text = rest;
    word
}

/// Takes one sign off the front, if it is there.
fn sign(text: &mut &str, sign: char) -> Option<()> {
    *text = text.trim_start().strip_prefix(sign)?;
    Some(())
}

fn write_field<T: Text>(name: &str, field: &T, out: &mut String) {
    let first = out.ends_with('{');
    *out += if first { "" } else { " " };
    *out += name;
    out.push('=');
    field.write(out);
}

fn read_field<T: Text>(name: &str, text: &mut &str) -> Option<T> {
    (word(text) == name).then_some(())?;
    sign(text, '=')?;
    T::read(text)
}

/// Text forms of what is written as one word.
macro_rules! words {
    ($($type:ty: |$value:ident| $write:expr, |$word:ident| $read:expr;)*) => {
        $(impl Text for $type {
            fn write(&self, out: &mut String) {
                let $value = self;
                *out += &$write;
            }

            fn read(text: &mut &str) -> Option<Self> {
                let $word = word(text);
                $read
            }
        })*
    };
}

fn hex(word: &str) -> Option<u128> {
    u128::from_str_radix(word.strip_prefix("0x")?, 16).ok()
}

fn short_hex(word: &str) -> Option<u64> {
    hex(word)?.try_into().ok()
}

words! {
    u8: |it| it.to_string(), |word| word.parse().ok();
    u16: |it| it.to_string(), |word| word.parse().ok();
    u32: |it| it.to_string(), |word| word.parse().ok();
    u64: |it| it.to_string(), |word| word.parse().ok();
    usize: |it| it.to_string(), |word| word.parse().ok();
    bool: |it| it.to_string(), |word| word.parse().ok();
    NodeName: |it| format!("{:#x}", it.0), |word| hex(word).map(Self);
    Secret: |it| format!("{:#x}", it.0), |word| hex(word).map(Self);
    LinkId: |it| format!("{:#x}", it.0), |word| short_hex(word).map(Self);
    TransportId: |it| format!("{:#x}", it.0), |word| short_hex(word).map(Self);
    MemoryId: |it| format!("{:#x}", it.0), |word| short_hex(word).map(Self);
    ConnId: |it| it.to_string(), |word| conn(word);
}

fn conn(word: &str) -> Option<ConnId> {
    let (nodes, nth) = word.split_once('#').unwrap_or((word, "0"));
    let (a, b) = nodes.split_once('-')?;
    Some(ConnId { nodes: [a.parse().ok()?, b.parse().ok()?], nth: nth.parse().ok()? })
}

impl<T: Text> Text for Option<T> {
    fn write(&self, out: &mut String) {
        match self {
            Some(value) => value.write(out),
            None => out.push('-'),
        }
    }

    fn read(text: &mut &str) -> Option<Self> {
        match sign(text, '-') {
            Some(()) => Some(None),
            None => T::read(text).map(Some),
        }
    }
}

impl<T: Text> Text for Vec<T> {
    fn write(&self, out: &mut String) {
        out.push('[');
        for (index, value) in self.iter().enumerate() {
            *out += if index > 0 { " " } else { "" };
            value.write(out);
        }
        out.push(']');
    }

    fn read(text: &mut &str) -> Option<Self> {
        sign(text, '[')?;
        let mut all = Self::new();
        while sign(text, ']').is_none() {
            all.push(T::read(text)?);
        }
        Some(all)
    }
}

impl<T: Text + Copy, const N: usize> Text for [T; N] {
    fn write(&self, out: &mut String) {
        self.to_vec().write(out);
    }

    fn read(text: &mut &str) -> Option<Self> {
        Vec::read(text)?.try_into().ok()
    }
}

impl<T: Text> Text for Box<T> {
    fn write(&self, out: &mut String) {
        (**self).write(out);
    }

    fn read(text: &mut &str) -> Option<Self> {
        T::read(text).map(Self::new)
    }
}

/// Text forms of structs, each of whose fields is named.
macro_rules! structs {
    ($($type:ty as $name:ident { $($field:ident)* })*) => {
        $(impl Text for $type {
            fn write(&self, out: &mut String) {
                let Self { $($field),* } = self;
                *out += concat!(stringify!($name), "{");
                $(write_field(stringify!($field), $field, out);)*
                out.push('}');
            }

            fn read(text: &mut &str) -> Option<Self> {
                (word(text) == stringify!($name)).then_some(())?;
                sign(text, '{')?;
                $(let $field = read_field(stringify!($field), text)?;)*
                sign(text, '}')?;
                Some(Self { $($field),* })
            }
        })*
    };
}

/// Text forms of enums. What a variant holds without a name gets one here.
macro_rules! enums {
    ($($type:ty {
        $($variant:ident $({ $($field:ident)* })? $(( $($item:ident)* ))?,)*
    })*) => {
        $(impl Text for $type {
            fn write(&self, out: &mut String) {
                match self {
                    $(Self::$variant $({ $($field),* })? $(( $($item),* ))? => {
                        *out += stringify!($variant);
                        $(
                            out.push('{');
                            $(write_field(stringify!($field), $field, out);)*
                            out.push('}');
                        )?
                        $(
                            out.push('{');
                            $(write_field(stringify!($item), $item, out);)*
                            out.push('}');
                        )?
                    })*
                }
            }

            fn read(text: &mut &str) -> Option<Self> {
                match word(text) {
                    $(stringify!($variant) => {
                        $(
                            sign(text, '{')?;
                            $(let $field = read_field(stringify!($field), text)?;)*
                            sign(text, '}')?;
                        )?
                        $(
                            sign(text, '{')?;
                            $(let $item = read_field(stringify!($item), text)?;)*
                            sign(text, '}')?;
                        )?
                        Some(Self::$variant $({ $($field),* })? $(( $($item),* ))?)
                    })*
                    _ => None,
                }
            }
        })*
    };
}

structs! {
    Start as World {
        nodes brokers federal takes_referrals hostile salt delegating relaying
    }
    TrapConditions as Trap { peer_closed dead above_parcels above_bytes new_parcel }
    Tag as Tag { from number size load handle }
    Relay<Tag> as Relay { from to id handles }
    RelayKey as RelayKey { from to id }
    Hello as Hello {
        version features max_payload name is_broker wants_broker wants_memory relays_from num_portals
        secret
    }
    Probe as Probe { token hops }
    EndKey as EndKey { node via link secret }
    Accept as Accept { key link secret }
    Descriptor as Descriptor { link secret next_in next_out owner }
    Provided as Provided { memory size }
    Cause as Cause { kind node }
}

enums! {
    Step {
        Deliver { conn side },
        Open { node first },
        Put { via size moved },
        PutObject { via moved fixed },
        Serialize { node nth verdict },
        Get { at },
        GetWithin { at most },
        BeginGet { at },
        EndGet { at commit },
        Close { ep },
        Merge { a b },
        Trap { ep conditions },
        ClearTrap { trap },
        Garble { conn side },
        Connect { to node portals first },
        Crash { node keep },
        Drop { conn keep },
        Disconnect { conn side },
        Reject { conn side },
        ShutDown { node },
        Answer { node grant },
        Allocate { node size },
        Provide { node grant },
        Forge { conn side message },
        Withhold { conn side },
    }
    Verdict {
        Ready,
        WithPortal(first),
        Refused,
    }
    Load {
        Plain,
        Object,
        Fixed,
        Serialized,
    }
    Handle {
        None,
        Here,
        Away,
    }
    Message<Tag> {
        Hello(hello),
        Parcel { link sequence hops relayed payload portals },
        Route(link message),
        Accept(accept),
        Network(message),
        Relay(relay),
    }
    RouteMessage {
        Closed(length),
        Fin(count),
        Yield,
        Grant,
        BypassMe(key),
        Probe(probe),
        Answer(probe),
        HowMany(probe),
        SoMany(probe count),
        Disconnected(cause),
    }
    NetworkMessage {
        RequestIntroduction(node),
        Introduce { node transport },
        Introduced(node),
        IntroductionRefused(node),
        Refer { node transport },
        Referred { broker transport },
        ReferralRefused(node),
        Locate { node seeker },
        Located { node seeker found },
        PassIntroduction { to node transport },
        PassRefusal { to node },
        PassIntroduced { from node },
        RequestMemory { id size hops },
        ProvideMemory { id memory },
        RelayRefused(key),
        RelayPassed(key),
        Unrelayed { first last },
        RelaysLost,
        RelaysLostHeard,
        Seek { node seeker },
        Sought { node seeker found },
        Goodbye(cause),
    }
    CauseKind {
        NodeLost,
        Violation,
        RouteBroken,
        Shutdown,
        WrongVersion,
        WrongRole,
        AlreadyConnected,
        Unsendable,
        Rejected,
        NotRelayed,
    }
}
