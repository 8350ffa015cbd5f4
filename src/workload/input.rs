//! Where the bytes of a trace come from: a file, standard input or memory; `.gz` and `.zst` unpacked while they are
//! read, recognised by their first bytes and not by the name.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, ErrorKind, Read};
use std::path::Path;
use std::rc::Rc;

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::lines::Lines;
use crate::diagnostic::InputError;
use crate::rng::ContentHash;

/// A file in memory.
pub(super) struct Input {
    /// The path as the user wrote it; the `path` of every `path:line:column`.
    pub name: String,
    /// The content, unpacked.
    pub bytes: Vec<u8>,
    /// Hash of the file as stored; empty if it was not asked for.
    pub hash: String,
}

/// A file that is being read.
pub(super) struct Stream {
    /// The path as the user wrote it; the `path` of every `path:line:column`.
    pub name: String,
    /// The text, unpacked.
    pub lines: Lines,
    packing: Packing,
    hash: Option<Rc<RefCell<ContentHash>>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Packing {
    None,
    Gzip,
    Zstd,
}

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Bytes read from a file at a time.
const CHUNK: usize = 1 << 17;

/// Opens `path`; `-` is standard input.
pub(super) fn stream(path: &Path, hashed: bool) -> Result<Stream, InputError> {
    if path.as_os_str() == "-" {
        return start("standard input".to_owned(), Box::new(io::stdin()), hashed);
    }
    let name = path.display().to_string();
    let file = File::open(path).and_then(|f| if f.metadata()?.is_dir() { Err(is_folder()) } else { Ok(f) });
    match file {
        Ok(file) => start(name, Box::new(file), hashed),
        Err(e) => Err(cannot_read(&name, &e)),
    }
}

fn is_folder() -> io::Error {
    io::Error::new(ErrorKind::IsADirectory, "it is a folder")
}

/// The same for bytes that are already in memory.
pub(super) fn from_bytes(name: String, stored: Vec<u8>) -> Result<Stream, InputError> {
    start(name, Box::new(Cursor::new(stored)), true)
}

fn start(name: String, source: Box<dyn Read>, hashed: bool) -> Result<Stream, InputError> {
    let hash = hashed.then(|| Rc::new(RefCell::new(ContentHash::default())));
    let source: Box<dyn Read> = match &hash {
        Some(hash) => Box::new(Hashing { source, hash: Rc::clone(hash) }),
        None => source,
    };
    let mut stored = BufReader::with_capacity(CHUNK, source);
    let head = stored.fill_buf().map_err(|e| cannot_read(&name, &e))?;
    let packing = if head.starts_with(&GZIP_MAGIC) {
        Packing::Gzip
    } else if head.starts_with(&ZSTD_MAGIC) {
        Packing::Zstd
    } else {
        Packing::None
    };
    let text: Box<dyn Read> = match packing {
        Packing::None => Box::new(stored),
        Packing::Gzip => Box::new(MultiGzDecoder::new(stored)),
        Packing::Zstd => Box::new(Zstd { source: stored, frame: FrameDecoder::new(), started: false }),
    };
    Ok(Stream { name, lines: Lines::new(text), packing, hash })
}

impl Stream {
    /// [`ContentHash`] of the file as stored, once all of it is read; none if it was not asked for.
    pub fn hash(&self) -> Option<String> {
        self.hash.as_ref().map(|h| h.borrow().text())
    }

    /// All that is left, in memory.
    pub fn whole(&mut self) -> Result<Input, InputError> {
        let bytes = self.lines.rest().map_err(|e| self.broken(&e))?;
        Ok(Input { name: self.name.clone(), bytes, hash: self.hash().unwrap_or_default() })
    }

    /// What a failed read means to the user.
    pub fn broken(&self, error: &io::Error) -> InputError {
        let (kind, after) = (error.kind(), self.lines.bytes_read());
        match self.packing {
            Packing::None => cannot_read(&self.name, error),
            _ if kind == ErrorKind::UnexpectedEof => InputError::named(
                &*self.name,
                format!("the {} data end early, after {after} bytes of text", self.packed_with()),
                "the file was cut off: copy or download it again",
            ),
            _ => InputError::named(
                &*self.name,
                format!("the {} data are damaged after {after} bytes of text: {error}", self.packed_with()),
                "copy or download the file again",
            ),
        }
    }

    fn packed_with(&self) -> &'static str {
        if self.packing == Packing::Zstd { "zstd" } else { "gzip" }
    }
}

fn cannot_read(name: &str, error: &io::Error) -> InputError {
    let help = match error.kind() {
        ErrorKind::NotFound => "correct the path; a relative path starts at the folder of the scenario",
        ErrorKind::IsADirectory => "name a file in this folder",
        ErrorKind::InvalidData => "correct the file; is it a trace?",
        _ => "make the file readable",
    };
    InputError::named(name, format!("the trace cannot be read: {error}"), help)
}

/// Hashes what passes.
struct Hashing {
    source: Box<dyn Read>,
    hash: Rc<RefCell<ContentHash>>,
}

impl Read for Hashing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.hash.borrow_mut().update(&buffer[..count]);
        Ok(count)
    }
}

/// All frames of a zstd file, one after the other; checksums are compared.
struct Zstd<R> {
    source: R,
    frame: FrameDecoder,
    started: bool,
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.started {
                let count = self.frame.read(buffer)?;
                if count > 0 || buffer.is_empty() {
                    return Ok(count);
                }
                if !self.frame.is_finished() {
                    let one = BlockDecodingStrategy::UptoBlocks(1);
                    self.frame.decode_blocks(&mut self.source, one).map_err(as_io)?;
                    continue;
                }
                if self.frame.can_collect() > 0 {
                    continue;
                }
                self.compare_checksums()?;
            }
            if self.source.fill_buf()?.is_empty() {
                return Ok(0);
            }
            self.next_frame()?;
        }
    }
}

impl<R: BufRead> Zstd<R> {
    /// Starts the next frame; skippable ones are skipped.
    fn next_frame(&mut self) -> io::Result<()> {
        self.started = false;
        match self.frame.init(&mut self.source) {
            Ok(()) => self.started = true,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length, ..
            })) => {
                let skipped = io::copy(&mut (&mut self.source).take(u64::from(length)), &mut io::sink())?;
                if skipped < u64::from(length) {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
            }
            Err(error) => return Err(as_io(error)),
        }
        Ok(())
    }

    fn compare_checksums(&self) -> io::Result<()> {
        let (stored, found) = (self.frame.get_checksum_from_data(), self.frame.get_calculated_checksum());
        if stored.is_some() && stored != found {
            return Err(io::Error::other("the checksum is wrong"));
        }
        Ok(())
    }
}

/// The decoder's error; one that an early end of the data caused is an early end.
fn as_io(error: FrameDecoderError) -> io::Error {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(inner) = cause {
        let early = inner.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == ErrorKind::UnexpectedEof);
        if early || inner.to_string().contains("failed to fill whole buffer") {
            return io::Error::new(ErrorKind::UnexpectedEof, "early end");
        }
        cause = inner.source();
    }
    io::Error::other(error.to_string())
}
