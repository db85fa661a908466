//! The folder `schemas/` as values: what the types say now, and under `released/` what was promised. Reads and writes files.
//! Must not know: what any of it means.
//!
//! ```text
//! schemas/catalogue.json                                      who owns, writes and reads each event
//! schemas/order.placed/v1.json                                what the types say now
//! schemas/order.placed/v1.samples/orders-api.served.json      as a producer writes it
//! schemas/released/order.placed/…                             the same, as it was released: never changed by hand
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::listing::Listing;

/// The file of the [`Listing`].
pub(crate) const LISTING: &str = "catalogue.json";
/// What was released lies here.
pub(crate) const RELEASED: &str = "released";

/// An event and its version.
pub type Version = (String, u32);

/// Schemas, and samples by the name of the producer and of the story in which it wrote them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Shelf {
    /// One for each version.
    pub schemas: BTreeMap<Version, Value>,
    /// By name.
    pub samples: BTreeMap<Version, BTreeMap<String, Value>>,
}

/// All of `schemas/`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Folder {
    /// What is said of each event.
    pub listing: Listing,
    /// As the types are now.
    pub current: Shelf,
    /// As it was promised.
    pub released: Shelf,
}

/// A folder that cannot be read, with the file and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", place.display())]
pub struct Unreadable {
    place: PathBuf,
    why: String,
}

impl Folder {
    /// Reads it.
    pub fn read(root: &Path) -> Result<Self, Unreadable> {
        let listing = root.join(LISTING);
        let text = fs::read_to_string(&listing).map_err(|error| unreadable(&listing, error))?;
        let listing = serde_json::from_str(&text).map_err(|error| unreadable(&listing, error))?;
        Ok(Self { listing, current: Shelf::read(root)?, released: Shelf::read(&root.join(RELEASED))? })
    }

    /// What was released; a product that has not released anything has no such folder.
    pub fn read_released(root: &Path) -> Result<Shelf, Unreadable> {
        Shelf::read(&root.join(RELEASED))
    }
}

impl Shelf {
    /// The samples of a version.
    pub fn samples_of(&self, version: &Version) -> impl Iterator<Item = (&String, &Value)> {
        self.samples.get(version).into_iter().flatten()
    }

    /// The files of it, by path.
    pub(crate) fn files(&self) -> BTreeMap<String, String> {
        let schemas =
            self.schemas.iter().map(|((event, version), schema)| (format!("{event}/v{version}.json"), schema));
        let samples = self.samples.iter().flat_map(|((event, version), samples)| {
            samples.iter().map(move |(name, sample)| (format!("{event}/v{version}.samples/{name}.json"), sample))
        });
        schemas.chain(samples).map(|(path, value)| (path, text_of(value))).collect()
    }

    fn read(root: &Path) -> Result<Self, Unreadable> {
        let mut shelf = Self::default();
        for event in names(root)? {
            let folder = root.join(&event);
            if !folder.is_dir() || event == RELEASED {
                continue;
            }
            for name in names(&folder)? {
                let place = folder.join(&name);
                let strange = || unreadable(&place, "no v1.json, v2.json … or v1.samples: rename or remove it");
                if let Some(version) = numbered(&name, ".json") {
                    shelf.schemas.insert((event.clone(), version), json(&place)?);
                } else if let Some(version) = numbered(&name, ".samples") {
                    let mut samples = BTreeMap::new();
                    for sample in names(&place)? {
                        let stem = sample.strip_suffix(".json").ok_or_else(strange)?;
                        samples.insert(stem.to_owned(), json(&place.join(&sample))?);
                    }
                    shelf.samples.insert((event.clone(), version), samples);
                } else {
                    return Err(strange());
                }
            }
        }
        Ok(shelf)
    }
}

/// `v2.json` is 2; `v02.json` is none, or there could be two files of one version.
fn numbered(name: &str, end: &str) -> Option<u32> {
    let number = name.strip_prefix('v')?.strip_suffix(end)?;
    number.parse().ok().filter(|version: &u32| *version > 0 && version.to_string() == number)
}

fn names(folder: &Path) -> Result<BTreeSet<String>, Unreadable> {
    let entries = match folder.read_dir() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        other => other.map_err(|error| unreadable(folder, error))?,
    };
    let name = |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
    entries.map(name).collect::<io::Result<_>>().map_err(|error| unreadable(folder, error))
}

fn json(file: &Path) -> Result<Value, Unreadable> {
    let text = fs::read_to_string(file).map_err(|error| unreadable(file, error))?;
    serde_json::from_str(&text).map_err(|error| unreadable(file, error))
}

fn unreadable(place: &Path, why: impl std::fmt::Display) -> Unreadable {
    Unreadable { place: place.to_path_buf(), why: why.to_string() }
}

/// JSON as it lies in a file.
pub(crate) fn text_of(value: &impl serde::Serialize) -> String {
    let text = serde_json::to_string_pretty(value).expect("its keys are texts, so it is JSON");
    text + "\n"
}

/// Makes the files below `root` be these. `spared` is a folder that is left alone. Returns what was, or would be, changed.
pub fn lay_out(
    root: &Path,
    files: &BTreeMap<String, String>,
    spared: Option<&str>,
    write: bool,
) -> io::Result<Vec<String>> {
    let mut changed = Vec::new();
    for old in files_below(root, Path::new(""))? {
        let is_spared = spared.is_some_and(|folder| old.starts_with(&format!("{folder}/")));
        if !files.contains_key(&old) && !is_spared {
            changed.push(format!("{}: it is of nothing", root.join(&old).display()));
            if write {
                fs::remove_file(root.join(&old))?;
            }
        }
    }
    for (path, text) in files {
        let file = root.join(path);
        if fs::read_to_string(&file).is_ok_and(|there| there == *text) {
            continue;
        }
        changed.push(format!("{}: it is not what the code says", file.display()));
        if write {
            file.parent().map_or(Ok(()), fs::create_dir_all)?;
            fs::write(&file, text)?;
        }
    }
    Ok(changed)
}

fn files_below(root: &Path, below: &Path) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    let entries = match root.join(below).read_dir() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        other => other?,
    };
    for entry in entries {
        let path = below.join(entry?.file_name());
        if root.join(&path).is_dir() {
            found.extend(files_below(root, &path)?);
        } else {
            found.push(path.to_string_lossy().replace('\\', "/"));
        }
    }
    found.sort();
    Ok(found)
}
