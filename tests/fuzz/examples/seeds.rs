//! Writes the seeds of every target into the corpora: `make seeds`, after a format has changed.
//! Inputs that were found by fuzzing stay.

use std::path::Path;

fn main() -> std::io::Result<()> {
    for (target, name, input) in fuzz::seeds::seeds() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join(name), input)?;
    }
    Ok(())
}
