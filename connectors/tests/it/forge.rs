//! Parquet files by hand, to write into them what no writer would.

/// Parquet's numbers for types, encodings and codecs.
pub const INT32: i64 = 1;
pub const BYTE_ARRAY: i64 = 6;
pub const FIXED: i64 = 7;
pub const PLAIN: i64 = 0;
pub const RLE: i64 = 3;
pub const DELTA_BINARY: i64 = 5;
pub const DELTA_LENGTH: i64 = 6;
pub const DELTA_PREFIX: i64 = 7;
pub const RLE_DICTIONARY: i64 = 8;
pub const UNCOMPRESSED: i64 = 0;
pub const ZSTD: i64 = 6;

pub fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 0x7f {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// A struct in Thrift's compact protocol, field by field in rising order.
#[derive(Default)]
pub struct Struct {
    bytes: Vec<u8>,
    last: u8,
}

impl Struct {
    fn field(mut self, id: u8, kind: u8, value: &[u8]) -> Self {
        self.bytes.push((id - self.last) << 4 | kind);
        self.bytes.extend_from_slice(value);
        self.last = id;
        self
    }

    pub fn i32(self, id: u8, value: i64) -> Self {
        self.field(id, 5, &varint((value << 1 ^ value >> 63) as u64))
    }

    pub fn i64(self, id: u8, value: i64) -> Self {
        self.field(id, 6, &varint((value << 1 ^ value >> 63) as u64))
    }

    pub fn binary(self, id: u8, value: &[u8]) -> Self {
        self.field(id, 8, &[varint(value.len() as u64), value.to_vec()].concat())
    }

    /// Of the header of a page of the second version.
    pub fn uncompressed(self) -> Self {
        self.field(7, 2, &[])
    }

    pub fn inner(self, id: u8, value: Struct) -> Self {
        self.field(id, 12, &value.end())
    }

    fn list(self, id: u8, kind: u8, values: &[Vec<u8>]) -> Self {
        assert!(values.len() < 15);
        let head = (values.len() as u8) << 4 | kind;
        self.field(id, 9, &[vec![head], values.concat()].concat())
    }

    pub fn end(mut self) -> Vec<u8> {
        self.bytes.push(0);
        self.bytes
    }
}

/// A file of one column `x` and one row group.
#[derive(Clone)]
pub struct Forged {
    pub physical: i64,
    /// Of a type of fixed width.
    pub type_length: i64,
    pub optional: bool,
    pub codec: i64,
    pub rows: i64,
    /// The pages, headers and all; the first is a dictionary or is not.
    pub pages: Vec<u8>,
    pub has_dictionary: bool,
}

impl Forged {
    pub fn of(physical: i64, rows: i64, pages: Vec<u8>) -> Self {
        Forged { physical, type_length: 0, optional: false, codec: UNCOMPRESSED, rows, pages, has_dictionary: false }
    }

    fn column(&self) -> Struct {
        let column = Struct::default().i32(1, self.physical).i32(2, self.type_length).i32(3, i64::from(self.optional)).binary(4, b"x");
        match self.physical {
            BYTE_ARRAY => column.i32(6, 0),
            FIXED => column.i32(6, 5).i32(7, 2).i32(8, 9),
            _ => column,
        }
    }

    pub fn bytes(&self) -> Vec<u8> {
        const MAGIC: &[u8] = b"PAR1";
        let (begin, length) = (MAGIC.len() as i64, self.pages.len() as i64);
        let chunk = Struct::default()
            .i32(1, self.physical)
            .list(2, 5, &[varint(0)])
            .list(3, 8, &[[varint(1), b"x".to_vec()].concat()])
            .i32(4, self.codec)
            .i64(5, self.rows)
            .i64(6, length)
            .i64(7, length)
            .i64(9, begin);
        let chunk = if self.has_dictionary { chunk.i64(11, begin) } else { chunk };
        let column = Struct::default().i64(2, begin).inner(3, chunk);
        let group = Struct::default().list(1, 12, &[column.end()]).i64(2, length).i64(3, self.rows);
        let root = Struct::default().binary(4, b"root").i32(5, 1);
        let footer =
            Struct::default().i32(1, 2).list(2, 12, &[root.end(), self.column().end()]).i64(3, self.rows).list(4, 12, &[group.end()]).end();
        let footer_bytes = u32::try_from(footer.len()).unwrap().to_le_bytes();
        [MAGIC, &self.pages, &footer, &footer_bytes, MAGIC].concat()
    }
}

/// A page's header: its type, what it claims to unfold to and to be stored in, and the header of its kind.
pub fn header(kind: i64, unfolded: i64, stored: i64, of_kind: (u8, Struct)) -> Vec<u8> {
    Struct::default().i32(1, kind).i32(2, unfolded).i32(3, stored).inner(of_kind.0, of_kind.1).end()
}

pub fn data_header(values: i64, encoding: i64) -> (u8, Struct) {
    (5, Struct::default().i32(1, values).i32(2, encoding).i32(3, RLE).i32(4, RLE))
}

pub fn data_v2_header(values: i64, nulls: i64, encoding: i64, definition_bytes: i64) -> (u8, Struct) {
    (8, Struct::default().i32(1, values).i32(2, nulls).i32(3, values).i32(4, encoding).i32(5, definition_bytes).i32(6, 0))
}

pub fn dictionary_header(values: i64) -> (u8, Struct) {
    (7, Struct::default().i32(1, values).i32(2, PLAIN))
}

/// An honest page of the first version, not compressed.
pub fn data(values: i64, encoding: i64, body: &[u8]) -> Vec<u8> {
    let length = body.len() as i64;
    [header(0, length, length, data_header(values, encoding)), body.to_vec()].concat()
}

/// An honest dictionary, compressed with zstd.
pub fn zstd_dictionary(values: i64, body: &[u8]) -> Vec<u8> {
    let packed = zstd::bulk::compress(body, 3).unwrap();
    [header(2, body.len() as i64, packed.len() as i64, dictionary_header(values)), packed].concat()
}

/// The head of a run of delta-encoded values, in blocks of 65,536.
pub fn delta_head(values: u64, first: u64) -> Vec<u8> {
    [1 << 16, 1, values, first << 1].into_iter().flat_map(varint).collect()
}

/// A run of delta-encoded values that are all the same: each block has two bytes.
pub fn delta_run(values: u64, first: u64) -> Vec<u8> {
    let mut bytes = delta_head(values, first);
    bytes.resize(bytes.len() + 2 * (values as usize).div_ceil(1 << 16), 0);
    bytes
}
