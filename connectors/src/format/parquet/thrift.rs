//! As much of Thrift's compact protocol as it takes to look at Parquet's headers before anyone believes them.
//!
//! Every length is held against the bytes that are there, and nesting against a limit; nothing is allocated.

/// Deepest nesting of structs and lists.
const MAX_DEPTH: usize = 32;

/// What is wrong with the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThriftError {
    /// They end too soon: more of them may help.
    Short,
    /// They lie.
    Broken(&'static str),
}

type ThriftResult<T> = Result<T, ThriftError>;

/// A field's or element's type on the wire.
pub const BOOL_TRUE: u8 = 1;
pub const BOOL_FALSE: u8 = 2;
pub const I32: u8 = 5;
pub const LIST: u8 = 9;
pub const STRUCT: u8 = 12;

pub struct Thrift<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Thrift<'a> {
    pub const fn new(bytes: &'a [u8]) -> Self {
        Thrift { bytes, at: 0 }
    }

    /// Bytes that were read.
    pub const fn at(&self) -> usize {
        self.at
    }

    fn byte(&mut self) -> ThriftResult<u8> {
        let byte = *self.bytes.get(self.at).ok_or(ThriftError::Short)?;
        self.at += 1;
        Ok(byte)
    }

    fn varint(&mut self) -> ThriftResult<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(ThriftError::Broken("a number of more than 10 bytes"))
    }

    /// An i16, i32 or i64.
    pub fn integer(&mut self) -> ThriftResult<i64> {
        let zigzag = self.varint()?;
        Ok((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64))
    }

    fn pass(&mut self, bytes: u64) -> ThriftResult<()> {
        let left = (self.bytes.len() - self.at) as u64;
        if bytes > left {
            return Err(ThriftError::Short);
        }
        self.at += bytes as usize;
        Ok(())
    }

    /// The next field of a struct, as id and type; `None` at its end. `last` is the id before, 0 at first.
    pub fn field(&mut self, last: i16) -> ThriftResult<Option<(i16, u8)>> {
        let header = self.byte()?;
        let (delta, kind) = (header >> 4, header & 0x0f);
        if kind == 0 {
            return Ok(None);
        }
        let id = if delta == 0 { self.integer()? } else { i64::from(last) + i64::from(delta) };
        let id = i16::try_from(id).map_err(|_| ThriftError::Broken("a field's number"))?;
        Ok(Some((id, kind)))
    }

    /// A list's length and its elements' type. An element has a byte at least, so that a longer list than there are bytes is a lie.
    pub fn list(&mut self) -> ThriftResult<(u64, u8)> {
        let header = self.byte()?;
        let short = u64::from(header >> 4);
        let length = if short == 15 { self.varint()? } else { short };
        if length > (self.bytes.len() - self.at) as u64 {
            return Err(ThriftError::Short);
        }
        Ok((length, header & 0x0f))
    }

    /// Passes over a value.
    pub fn skip(&mut self, kind: u8, depth: usize) -> ThriftResult<()> {
        if depth > MAX_DEPTH {
            return Err(ThriftError::Broken("nested too deep"));
        }
        match kind {
            BOOL_TRUE | BOOL_FALSE => Ok(()),
            3 => self.pass(1),
            4..=6 => self.varint().map(|_| ()),
            7 => self.pass(8),
            8 => {
                let length = self.varint()?;
                self.pass(length)
            }
            LIST | 10 => {
                let (length, element) = self.list()?;
                for _ in 0..length {
                    self.skip_element(element, depth + 1)?;
                }
                Ok(())
            }
            11 => self.skip_map(depth),
            STRUCT => {
                let mut last = 0;
                while let Some((id, kind)) = self.field(last)? {
                    last = id;
                    self.skip(kind, depth + 1)?;
                }
                Ok(())
            }
            13 => self.pass(16),
            _ => Err(ThriftError::Broken("an unknown type")),
        }
    }

    /// A boolean has a byte of its own in a list; in a field its type says it all.
    fn skip_element(&mut self, kind: u8, depth: usize) -> ThriftResult<()> {
        if matches!(kind, BOOL_TRUE | BOOL_FALSE) { self.pass(1) } else { self.skip(kind, depth) }
    }

    fn skip_map(&mut self, depth: usize) -> ThriftResult<()> {
        let length = self.varint()?;
        if length == 0 {
            return Ok(());
        }
        if length > (self.bytes.len() - self.at) as u64 {
            return Err(ThriftError::Short);
        }
        let kinds = self.byte()?;
        for _ in 0..length {
            self.skip_element(kinds >> 4, depth + 1)?;
            self.skip_element(kinds & 0x0f, depth + 1)?;
        }
        Ok(())
    }
}
