//! Sentences with names and numbers in them, which constants can write: they cannot use `core::fmt`.

#![deny(clippy::arithmetic_side_effects)]

use core::fmt;

/// No error of this crate says more, whatever its numbers. Longer names are cut.
const MOST_BYTES: usize = 256;

/// A sentence, and what stands in the places of its `{}`, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sentence {
    text: &'static str,
    values: [Value; 3],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Name(&'static str),
    Number(usize),
}

impl Sentence {
    /// A sentence with at most three `{}`.
    pub(super) const fn new<const N: usize>(text: &'static str, given: [Value; N]) -> Self {
        const { assert!(N <= 3, "a sentence has three values at most") };
        let mut values = [Value::Name(""); 3];
        let mut index = 0;
        while index < N {
            values[index] = given[index];
            index = index.wrapping_add(1);
        }
        Self { text, values }
    }
}

/// What an error says, as text that a constant can hold: see [`ShapeError::message`](crate::ShapeError::message).
#[derive(Clone, Copy)]
pub struct ErrorMessage {
    bytes: [u8; MOST_BYTES],
    len: usize,
}

impl ErrorMessage {
    pub(super) const EMPTY: Self = Self { bytes: [0; MOST_BYTES], len: 0 };

    /// The text.
    #[must_use]
    pub const fn as_str(&self) -> &str {
        match self.bytes.split_at_checked(self.len) {
            Some((text, _)) => match str::from_utf8(text) {
                Ok(text) => text,
                // Never: text is cut between characters.
                Err(_) => "",
            },
            None => "",
        }
    }

    pub(super) const fn push(&mut self, sentence: &Sentence) {
        let (mut rest, mut next) = (sentence.text.as_bytes(), 0);
        while let [byte, after @ ..] = rest {
            rest = after;
            match (*byte, after) {
                (b'{', [b'}', after @ ..]) if next < sentence.values.len() => {
                    rest = after;
                    match sentence.values[next] {
                        Value::Name(name) => self.push_text(name),
                        Value::Number(number) => self.push_number(number),
                    }
                    next = next.wrapping_add(1);
                }
                (byte, _) => self.push_byte(byte),
            }
        }
    }

    const fn push_text(&mut self, text: &str) {
        let mut end = MOST_BYTES.saturating_sub(self.len);
        while !text.is_char_boundary(end) {
            end = end.saturating_sub(1);
        }
        let mut rest = text.as_bytes();
        while let [byte, after @ ..] = rest
            && end > 0
        {
            self.push_byte(*byte);
            (rest, end) = (after, end.wrapping_sub(1));
        }
    }

    const fn push_number(&mut self, number: usize) {
        if number > 9 {
            self.push_number(number / 10);
        }
        self.push_byte(b'0'.wrapping_add((number % 10) as u8));
    }

    const fn push_byte(&mut self, byte: u8) {
        if self.len < MOST_BYTES {
            self.bytes[self.len] = byte;
            self.len = self.len.wrapping_add(1);
        }
    }
}

impl fmt::Debug for ErrorMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for ErrorMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
