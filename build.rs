//! Embeds every data file of the repository (hardware, models, engines, presets, recipes, scenarios) into the
//! binary, so that a name added as one TOML file needs no code and the binary works alone in an empty folder. Names the
//! sources by a hash, so that results of another program are never taken for those of this one.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

const FOLDERS: [&str; 3] = ["hardware", "workloads", "scenarios"];

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or(io::ErrorKind::NotFound)?);
    let mut files = Vec::new();
    for folder in FOLDERS {
        println!("cargo::rerun-if-changed={folder}");
        collect(&root.join(folder), "toml", &mut files)?;
    }
    files.sort();
    println!("cargo::rerun-if-changed=src");
    let mut sources = files.clone();
    collect(&root.join("src"), "rs", &mut sources)?;
    collect(&root.join("src"), "toml", &mut sources)?;
    sources.push(root.join("Cargo.lock"));
    println!("cargo::rustc-env=WINDTUNNEL_SOURCE={}", name(&root, sources)?);
    let mut table = String::from("pub(crate) static FILES: &[(&str, &str)] = &[\n");
    for file in files {
        let name = file.strip_prefix(&root).map_err(io::Error::other)?;
        table.push_str(&format!("    ({:?}, include_str!({:?})),\n", name, file));
    }
    table.push_str("];\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?);
    fs::write(out.join("embedded.rs"), table)
}

fn collect(folder: &Path, ending: &str, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            println!("cargo::rerun-if-changed={}", path.display());
            collect(&path, ending, files)?;
        } else if path.extension().is_some_and(|e| e == ending) {
            files.push(path);
        }
    }
    Ok(())
}

/// The 64-bit FNV-1a hash of all these files with their paths: the same on every machine.
fn name(root: &Path, mut files: Vec<PathBuf>) -> io::Result<String> {
    files.sort();
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for file in files {
        let path = file.strip_prefix(root).map_err(io::Error::other)?.display().to_string();
        for byte in path.into_bytes().into_iter().chain(fs::read(&file)?) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    Ok(format!("{hash:016x}"))
}
