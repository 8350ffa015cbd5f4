//! The bytes of an input file: read whole, `.gz` unpacked, hashed.

use std::fs;
use std::io::{ErrorKind, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::report::hash_text;
use crate::diagnostic::InputError;

/// A file in memory.
pub(super) struct Input {
    /// The path as the user wrote it; the `path` of every `path:line:column`.
    pub name: String,
    /// The content, unpacked.
    pub bytes: Vec<u8>,
    /// Hash of the file as stored.
    pub hash: String,
}

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads `path`; gzip is recognised by its first bytes, not by the name.
pub(super) fn open(path: &Path) -> Result<Input, InputError> {
    let name = path.display().to_string();
    let stored = fs::read(path).map_err(|e| cannot_read(&name, &e))?;
    from_bytes(name, stored)
}

/// The same for bytes that are already in memory.
pub(super) fn from_bytes(name: String, stored: Vec<u8>) -> Result<Input, InputError> {
    let hash = hash_text(&stored);
    let mut bytes = if stored.starts_with(&GZIP_MAGIC) { unpack(&name, &stored)? } else { stored };
    if bytes.starts_with(&ZSTD_MAGIC) {
        return Err(InputError::named(
            name,
            "is packed with zstd, which this build cannot read",
            "unpack it first (`zstd -d`), or pack it with gzip",
        ));
    }
    if bytes.starts_with(BYTE_ORDER_MARK) {
        bytes.drain(..BYTE_ORDER_MARK.len());
    }
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(InputError::named(name, "the file is empty", "a trace needs at least one row"));
    }
    Ok(Input { name, bytes, hash })
}

fn unpack(name: &str, stored: &[u8]) -> Result<Vec<u8>, InputError> {
    let mut bytes = Vec::with_capacity(stored.len().saturating_mul(4));
    match MultiGzDecoder::new(stored).read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(e) if e.kind() == ErrorKind::UnexpectedEof => Err(InputError::named(
            name,
            format!("the gzip data end early, after {} bytes of text", bytes.len()),
            "the file was cut off: copy or download it again",
        )),
        Err(e) => Err(InputError::named(
            name,
            format!("the gzip data are damaged after {} bytes of text: {e}", bytes.len()),
            "copy or download the file again",
        )),
    }
}

fn cannot_read(name: &str, error: &std::io::Error) -> InputError {
    let help = match error.kind() {
        ErrorKind::NotFound => "correct the path; a relative path starts at the folder of the scenario",
        ErrorKind::IsADirectory => "name a file in this folder",
        _ => "make the file readable",
    };
    InputError::named(name, format!("the trace cannot be read: {error}"), help)
}
