//! Processor time of the deployed relay and consumers: what they cost, however busy the machine is with other things.
//! Must not know: what the functions do.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The auditor works by the minute, and not by the event.
fn is_auditor(environment: &HashMap<OsString, OsString>) -> bool {
    let name = environment.get(OsStr::new("AWS_LAMBDA_FUNCTION_NAME"));
    name.is_some_and(|name| name.to_string_lossy().contains("Auditor"))
}

/// Every process whose program lies in one folder.
pub(crate) struct Functions {
    folder: PathBuf,
    /// Ticks by process and when it began; what has ended stays counted as it was seen last.
    ticks: BTreeMap<(i32, u64), u64>,
}

impl Functions {
    /// The functions of the stack whose stack.json this is: the emulator unpacks them beside it.
    pub(crate) fn of(stack_file: &Path) -> Result<Self> {
        let folder = stack_file.canonicalize()?.parent().context("a file is in a folder")?.join("tmp");
        Ok(Self { folder, ticks: BTreeMap::new() })
    }

    /// Looks at them. To be done often, so that little is missed of one that ends.
    pub(crate) fn look(&mut self) -> Result<()> {
        for process in procfs::process::all_processes()? {
            // One that ends while it is looked at is none any more.
            let Ok(process) = process else { continue };
            if process.exe().is_ok_and(|program| program.starts_with(&self.folder))
                && process.environ().is_ok_and(|environment| !is_auditor(&environment))
                && let Ok(stat) = process.stat()
            {
                self.ticks.insert((stat.pid, stat.starttime), stat.utime + stat.stime);
            }
        }
        Ok(())
    }

    /// Seconds, since the processes began.
    #[allow(clippy::cast_precision_loss, reason = "ticks are far below 2^52")]
    pub(crate) fn seconds(&self) -> f64 {
        self.ticks.values().sum::<u64>() as f64 / procfs::ticks_per_second() as f64
    }
}
