//! Reads what a writer wrote, as if an enemy had: no length is believed before it fits what is there.

use crate::error::{StateError, StateResult};

/// Bytes that are being read, and what they are called in errors.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
    what: &'a str,
}

impl<'a> Reader<'a> {
    pub const fn new(bytes: &'a [u8], what: &'a str) -> Self {
        Reader { rest: bytes, what }
    }

    pub const fn what(&self) -> &'a str {
        self.what
    }

    pub const fn remaining(&self) -> usize {
        self.rest.len()
    }

    pub fn damaged(&self, how: impl Into<String>) -> StateError {
        StateError::damaged(self.what, how)
    }

    pub fn take(&mut self, count: usize) -> StateResult<&'a [u8]> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            return Err(self.damaged(format!("{count} bytes are missing {} before its end", self.rest.len())));
        };
        self.rest = rest;
        Ok(taken)
    }

    /// So many values of `N` bytes each, which stand end to end: read at once, they cost a tenth of what they cost one by one.
    pub fn arrays<const N: usize>(&mut self, count: usize) -> StateResult<&'a [[u8; N]]> {
        Ok(self.take(count.saturating_mul(N))?.as_chunks().0)
    }

    fn array<const N: usize>(&mut self) -> StateResult<[u8; N]> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| self.damaged("a number is cut"))
    }

    pub fn u8(&mut self) -> StateResult<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub fn flag(&mut self) -> StateResult<bool> {
        let byte = self.u8()?;
        self.as_flag(byte)
    }

    /// What a flag's byte says.
    #[inline]
    pub fn as_flag(&self, byte: u8) -> StateResult<bool> {
        match byte {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(self.damaged(format!("{other} is neither yes nor no"))),
        }
    }

    pub fn u16(&mut self) -> StateResult<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub fn u32(&mut self) -> StateResult<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub fn u64(&mut self) -> StateResult<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub fn i64(&mut self) -> StateResult<i64> {
        self.array().map(i64::from_le_bytes)
    }

    pub fn f64(&mut self) -> StateResult<f64> {
        self.u64().map(f64::from_bits)
    }

    pub fn optional_i64(&mut self) -> StateResult<Option<i64>> {
        let is_there = self.flag()?;
        let value = self.i64()?;
        Ok(is_there.then_some(value))
    }

    /// A count of things of which each takes at least `least_bytes`: what does not fit the rest is damage.
    pub fn count(&mut self, least_bytes: usize) -> StateResult<usize> {
        let count = self.u64()?;
        let most = (self.rest.len() / least_bytes.max(1)) as u64;
        if count > most {
            return Err(self.damaged(format!("it says {count} entries, and has room for {most}")));
        }
        Ok(count as usize)
    }

    pub fn sized(&mut self) -> StateResult<&'a [u8]> {
        let length = self.count(1)?;
        self.take(length)
    }

    pub fn text(&mut self) -> StateResult<&'a str> {
        let bytes = self.sized()?;
        std::str::from_utf8(bytes).map_err(|_| self.damaged("a text is not UTF-8"))
    }

    /// A reader of the bytes that were written within.
    pub fn within(&mut self) -> StateResult<Reader<'a>> {
        Ok(Reader { rest: self.sized()?, what: self.what })
    }

    /// Everything was read.
    pub fn finish(&self) -> StateResult<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.damaged(format!("{} bytes are left over", self.rest.len()))) }
    }
}
