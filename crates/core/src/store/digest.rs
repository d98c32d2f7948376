//! What a JSON text means, as a number: the same for every text that another program may make of it.
//!
//! A program that reads and writes `sessions.json` changes white space, escapes, the form of numbers, and perhaps the order
//! of members. None of that is a change of the record. The text is read once, in pieces of any size.

/// The digest of one JSON value, which is fed as text that is known to be JSON.
#[derive(Debug, Clone, Default)]
pub(super) struct Digest {
    open: Vec<Frame>,
    now: Reading,
    /// Of the string that is read, or of the value that was completed last.
    hash: u64,
    /// A number or a word.
    atom: String,
    /// A high surrogate whose other half may follow, and the digits of an escape.
    surrogate: Option<u32>,
    digits: u32,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Reading {
    #[default]
    Between,
    Text,
    Escape,
    /// So many digits of `\uXXXX` are missing.
    Unicode(u8),
    Atom,
}

/// A list or an object whose end has not come.
#[derive(Debug, Clone, Default)]
struct Frame {
    is_object: bool,
    name: Option<u64>,
    sum: u64,
}

/// The constants of FNV-1a.
const START: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0100_0000_01b3;

impl Digest {
    pub(super) fn of(json: &str) -> u64 {
        let mut digest = Self::default();
        digest.feed(json.as_bytes());
        digest.finish()
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match self.now {
                Reading::Text if !matches!(byte, b'"' | b'\\') => {
                    if self.surrogate.is_some() {
                        self.end_surrogate();
                    }
                    self.add(*byte);
                }
                Reading::Text => self.text_mark(*byte),
                Reading::Between => self.between(*byte),
                Reading::Atom => match byte {
                    b',' | b']' | b'}' | b' ' | b'\n' | b'\r' | b'\t' => {
                        self.end_atom();
                        self.between(*byte);
                    }
                    _ => self.atom.push(char::from(*byte)),
                },
                Reading::Escape => self.escape(*byte),
                Reading::Unicode(missing) => self.digit(*byte, missing),
            }
        }
    }

    /// Goes on with a list whose elements so far have this sum; the text that is fed has the next elements.
    pub(super) fn of_elements(sum: u64) -> Self {
        let list = Frame {
            is_object: false,
            name: None,
            sum,
        };
        Self {
            open: vec![list],
            ..Self::default()
        }
    }

    /// The sum of the elements of a list that has not ended.
    pub(super) fn elements(mut self) -> u64 {
        if self.now == Reading::Atom {
            self.end_atom();
        }
        self.open.pop().unwrap_or_default().sum
    }

    /// The value that comes next is a list, whose elements have this sum.
    pub(super) fn put_list(&mut self, sum: u64) {
        self.value(list(sum));
    }

    pub(super) fn finish(mut self) -> u64 {
        if self.now == Reading::Atom {
            self.end_atom();
        }
        self.hash
    }

    fn add(&mut self, byte: u8) {
        self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(PRIME);
    }

    fn between(&mut self, byte: u8) {
        match byte {
            b'"' => (self.now, self.hash) = (Reading::Text, START),
            b'{' | b'[' => self.open.push(Frame {
                is_object: byte == b'{',
                name: None,
                sum: 0,
            }),
            b'}' | b']' => {
                if let Some(Frame { is_object, sum, .. }) = self.open.pop() {
                    self.value(if is_object { mix(sum ^ 1) } else { list(sum) });
                }
            }
            b':' | b',' | b' ' | b'\n' | b'\r' | b'\t' => {}
            _ => {
                self.now = Reading::Atom;
                self.atom.clear();
                self.atom.push(char::from(byte));
            }
        }
    }

    /// A value is complete: it is a name, a member, an element, or all there is.
    fn value(&mut self, hash: u64) {
        self.hash = hash;
        let Some(frame) = self.open.last_mut() else { return };
        if !frame.is_object {
            frame.sum = mix(frame.sum.rotate_left(7) ^ hash);
        } else if let Some(name) = frame.name.take() {
            // The order of members does not count.
            frame.sum = frame.sum.wrapping_add(mix(name.rotate_left(17) ^ hash));
        } else {
            frame.name = Some(hash);
        }
    }

    fn text_mark(&mut self, byte: u8) {
        if byte == b'\\' {
            self.now = Reading::Escape;
            return;
        }
        self.end_surrogate();
        self.now = Reading::Between;
        self.value(mix(self.hash ^ 3));
    }

    fn escape(&mut self, byte: u8) {
        if byte == b'u' {
            (self.now, self.digits) = (Reading::Unicode(4), 0);
            return;
        }
        self.end_surrogate();
        self.now = Reading::Text;
        self.add(match byte {
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            other => other,
        });
    }

    fn digit(&mut self, byte: u8, missing: u8) {
        self.digits = self.digits * 16 + char::from(byte).to_digit(16).unwrap_or(0);
        self.now = Reading::Unicode(missing - 1);
        if missing > 1 {
            return;
        }
        self.now = Reading::Text;
        match (self.surrogate.take(), self.digits) {
            (Some(high), low @ 0xdc00..=0xdfff) => {
                self.code(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00));
            }
            (before, unit) => {
                if let Some(high) = before {
                    self.code(high);
                }
                if (0xd800..=0xdbff).contains(&unit) {
                    self.surrogate = Some(unit);
                } else {
                    self.code(unit);
                }
            }
        }
    }

    fn end_surrogate(&mut self) {
        if let Some(high) = self.surrogate.take() {
            self.code(high);
        }
    }

    /// Adds a code point as UTF-8 has it; a lone surrogate likewise.
    fn code(&mut self, code: u32) {
        let low = |shift: u32| u8::try_from(code >> shift & 0x3f).unwrap_or(0) | 0x80;
        let high = |shift: u32, mark: u8| u8::try_from(code >> shift).unwrap_or(0) | mark;
        let (bytes, from) = match code {
            0..=0x7f => ([0, 0, 0, high(0, 0)], 3),
            0x80..=0x7ff => ([0, 0, high(6, 0xc0), low(0)], 2),
            0x800..=0xffff => ([0, high(12, 0xe0), low(6), low(0)], 1),
            _ => ([high(18, 0xf0), low(12), low(6), low(0)], 0),
        };
        bytes[from..].iter().for_each(|byte| self.add(*byte));
    }

    fn end_atom(&mut self) {
        self.now = Reading::Between;
        let number = self.atom.parse::<f64>().ok().filter(|number| number.is_finite());
        let hash = match (&*self.atom, number) {
            ("true", _) => 5,
            ("false", _) => 6,
            // JavaScript writes -0 as 0, and null for what it cannot express.
            (_, Some(number)) => mix((number + 0.0).to_bits() ^ 7),
            _ => 4,
        };
        self.value(mix(hash));
    }
}

fn list(sum: u64) -> u64 {
    mix(sum ^ 2)
}

/// Spreads each bit over all others (the end of `SplitMix64`).
fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_makes_of_a_text_is_the_same_and_a_change_is_not() {
        let same = [
            [
                r#"{"a":1,"b":[2,"x"]}"#,
                "{ \"b\" : [ 2.0 ,\n\t\"\\u0078\" ],\r\"a\":1e0 }",
            ],
            [r#""😀é\n""#, r#""\ud83d\ude00\u00e9\u000a""#],
            [
                r#"["\ud83d","\ude00",-0,1e400]"#,
                r#"["\ud83d" , "\ude00",0,null]"#,
            ],
            ["0.10000000000000000000001", "0.1"],
        ];
        for [one, two] in same {
            assert_eq!(Digest::of(one), Digest::of(two), "{one} {two}");
        }
        let different = [
            "{}",
            "[]",
            "null",
            "0",
            "1",
            "true",
            "false",
            r#""""#,
            r#""1""#,
            "[1,2]",
            "[2,1]",
            "[[1],2]",
            "[1,[2]]",
            r#"{"a":1}"#,
            r#"{"a":2}"#,
            r#"{"b":1}"#,
            r#"{"a":"1"}"#,
            r#"{"a":{"b":1}}"#,
            r#"{"a":[],"b":1}"#,
            r#""\ud83d\ude00""#,
            r#""\ude00\ud83d""#,
            r#""\ud83d""#,
            r#"["\ud83d","\ude00"]"#,
        ];
        for (index, one) in different.iter().enumerate() {
            for two in &different[..index] {
                assert_ne!(Digest::of(one), Digest::of(two), "{one} {two}");
            }
        }
    }

    #[test]
    fn a_list_can_be_gone_on_with() {
        let whole = Digest::of(r#"{"a":0,"list":[1,{"b":"x"},[2],true],"c":1}"#);
        let mut sum = 0;
        for elements in ["1", r#"{"b":"x"},[2]"#, "true"] {
            let mut digest = Digest::of_elements(sum);
            digest.feed(elements.as_bytes());
            sum = digest.elements();
        }
        let mut digest = Digest::default();
        digest.feed(br#"{"a":0,"list":"#);
        digest.put_list(sum);
        digest.feed(br#","c":1}"#);
        assert_eq!(digest.finish(), whole);
        let mut empty = Digest::default();
        empty.put_list(0);
        assert_eq!(empty.finish(), Digest::of("[]"));
    }

    #[test]
    fn the_pieces_do_not_count() {
        let json = r#"{"a":[1.25,true,"\ud83d\ude00x\"é"],"b":{"c":null}}"#;
        for size in 1..9 {
            let mut digest = Digest::default();
            json.as_bytes().chunks(size).for_each(|piece| digest.feed(piece));
            assert_eq!(digest.finish(), Digest::of(json), "{size}");
        }
    }
}
