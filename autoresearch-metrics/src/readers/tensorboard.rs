//! Scalars in TensorBoard's event files: records with checksums, each a message of protocol buffers.

use super::entry::Entry;

/// The complaint about bytes that are no records of events.
const BROKEN: &str = "is no event file of TensorBoard, or is cut off";

/// Reads the scalars of a file, in the order of their steps.
pub(super) fn scalars(bytes: &[u8], path: &str) -> Result<Vec<Entry>, String> {
    let mut found = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (record, after) = match record(rest) {
            Ok(read) => read,
            // A process that was killed leaves half a record at the end.
            Err(_) if !found.is_empty() => break,
            Err(why) => return Err(why),
        };
        event(record, &mut found)?;
        rest = after;
    }
    found.sort_by_key(|(step, _, _)| *step);
    let entry = |(step, tag, value): (i64, String, f64)| {
        let source = format!("{tag} in {path}, step {step}");
        Entry::new(tag, value, "", source)
    };
    Ok(found.into_iter().map(entry).collect())
}

/// A record: its length, a checksum of it, its content, and a checksum of that.
fn record(bytes: &[u8]) -> Result<(&[u8], &[u8]), String> {
    let (length, rest) = bytes.split_first_chunk::<8>().ok_or(BROKEN)?;
    let (check, rest) = rest.split_first_chunk::<4>().ok_or(BROKEN)?;
    if masked(length) != u32::from_le_bytes(*check) {
        return Err(BROKEN.into());
    }
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| BROKEN)?;
    let (content, rest) = rest.split_at_checked(length).ok_or(BROKEN)?;
    let (check, rest) = rest.split_first_chunk::<4>().ok_or(BROKEN)?;
    match masked(content) == u32::from_le_bytes(*check) {
        true => Ok((content, rest)),
        false => Err(BROKEN.into()),
    }
}

/// The checksum of TFRecord: CRC-32C, rotated and moved.
fn masked(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// A field of a message.
enum Field<'a> {
    Number(u64),
    Fixed(&'a [u8]),
    Bytes(&'a [u8]),
}

/// Splits a message into its fields.
fn fields(mut bytes: &[u8]) -> Result<Vec<(u64, Field<'_>)>, String> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = number(&mut bytes)?;
        let mut take = |count: usize| {
            let (taken, rest) = bytes.split_at_checked(count).ok_or(BROKEN)?;
            bytes = rest;
            Ok::<_, String>(taken)
        };
        let field = match key & 7 {
            1 => Field::Fixed(take(8)?),
            5 => Field::Fixed(take(4)?),
            0 => Field::Number(number(&mut bytes)?),
            2 => {
                let length = usize::try_from(number(&mut bytes)?).map_err(|_| BROKEN)?;
                let (taken, rest) = bytes.split_at_checked(length).ok_or(BROKEN)?;
                bytes = rest;
                Field::Bytes(taken)
            }
            _ => return Err(BROKEN.into()),
        };
        found.push((key >> 3, field));
    }
    Ok(found)
}

/// Reads a number of seven bits in each byte.
fn number(bytes: &mut &[u8]) -> Result<u64, String> {
    let mut value = 0;
    for place in 0..10 {
        let (first, rest) = bytes.split_first().ok_or(BROKEN)?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << (7 * place);
        if first & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(BROKEN.into())
}

/// An event: its step is field 2, its summary field 5, whose field 1 are values.
fn event(bytes: &[u8], found: &mut Vec<(i64, String, f64)>) -> Result<(), String> {
    let mut step = 0;
    let mut values = Vec::new();
    for (key, field) in fields(bytes)? {
        match (key, field) {
            (2, Field::Number(number)) => step = number.cast_signed(),
            (5, Field::Bytes(summary)) => {
                let of_summary = fields(summary)?.into_iter();
                values.extend(of_summary.filter_map(|(key, field)| match (key, field) {
                    (1, Field::Bytes(value)) => Some(value),
                    _ => None,
                }));
            }
            _ => {}
        }
    }
    for value in values {
        if let Some((tag, number)) = scalar(value)? {
            found.push((step, tag, number));
        }
    }
    Ok(())
}

/// A value: its tag is field 1, a plain number field 2, a tensor field 8.
fn scalar(bytes: &[u8]) -> Result<Option<(String, f64)>, String> {
    let (mut tag, mut number) = (String::new(), None);
    for (key, field) in fields(bytes)? {
        match (key, field) {
            (1, Field::Bytes(text)) => tag = String::from_utf8_lossy(text).into_owned(),
            (2, Field::Fixed(bytes)) => number = single(bytes),
            (8, Field::Bytes(tensor)) => number = tensor_of_one(tensor)?.or(number),
            _ => {}
        }
    }
    Ok(number.map(|number| (tag, number)))
}

/// A tensor with one number: its type is field 1, raw content field 4, floats field 5, doubles field 6.
fn tensor_of_one(bytes: &[u8]) -> Result<Option<f64>, String> {
    let (mut kind, mut content) = (0, None);
    for (key, field) in fields(bytes)? {
        match (key, field) {
            (1, Field::Number(number)) => kind = number,
            (4..=6, Field::Bytes(bytes) | Field::Fixed(bytes)) => content = Some(bytes),
            _ => {}
        }
    }
    // Types 1 and 2 are floats and doubles.
    Ok(match (kind, content) {
        (1, Some(bytes)) if bytes.len() == 4 => single(bytes),
        (2, Some(bytes)) if bytes.len() == 8 => bytes.try_into().ok().map(f64::from_le_bytes),
        _ => None,
    })
}

/// A number of single precision, as the shortest text that means it: 0.42 is not to become 0.41999998688697815.
fn single(bytes: &[u8]) -> Option<f64> {
    let value = f32::from_le_bytes(bytes.try_into().ok()?);
    if value.is_finite() { value.to_string().parse().ok() } else { Some(f64::from(value)) }
}
