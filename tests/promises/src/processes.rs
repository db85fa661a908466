//! The processes of a deployed function on this machine: made to creep until something shows, and killed right there.
//! Must not know: what the function does. Works on the embedded emulator on Linux.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::stack::Stack;

/// How a function creeps: at a time it runs for less than a call of its takes.
const SLICE: &str = "kill -CONT; sleep 0.001; kill -STOP";
const PATIENCE: Duration = Duration::from_secs(30);

/// What a look shows of the moment that is waited for.
pub(crate) enum Seen {
    NotYet,
    Now,
    /// It has passed.
    Over,
}

/// All execution environments of one function, those that are yet to come included.
pub(crate) struct Processes {
    /// How they name themselves, and the emulator that started them.
    marks: [String; 2],
}

impl Processes {
    pub(crate) fn of(stack: &Stack, function: &str) -> Self {
        let port = stack.endpoint.rsplit(':').next().unwrap_or_default();
        Self { marks: [format!("AWS_LAMBDA_FUNCTION_NAME={function}"), format!("GATEWAY_PORT={port}")] }
    }

    fn pids(&self) -> Result<Vec<String>> {
        let mut pids = Vec::new();
        for entry in std::fs::read_dir("/proc")? {
            let Ok(name) = entry?.file_name().into_string() else { continue };
            if name.bytes().all(|byte| byte.is_ascii_digit()) && self.is_one(&name) {
                pids.push(name);
            }
        }
        Ok(pids)
    }

    fn is_one(&self, pid: &str) -> bool {
        // Not there any more, or not ours to read: then it is none of them.
        let variables = std::fs::read(Path::new("/proc").join(pid).join("environ")).unwrap_or_default();
        self.marks.iter().all(|mark| variables.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes()))
    }

    /// Stops them; [`Self::kill_when`] lets them go on.
    pub(crate) fn stop(&self) -> Result<()> {
        send("kill -STOP", &self.pids()?)
    }

    /// Ends them where they stand: whoever comes next is a new one.
    pub(crate) fn kill(&self) -> Result<()> {
        send("kill -KILL", &self.pids()?)
    }

    /// Lets them run a millisecond at a time until something shows, and then kills them where they stand. `false`: it
    /// is over before anybody could see it, and they run on.
    pub(crate) async fn kill_when(&self, what: &str, shows: impl AsyncFn() -> Result<Seen>) -> Result<bool> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let pids = self.pids()?;
            send("kill -STOP", &pids)?;
            match shows().await {
                Ok(Seen::NotYet) => send(SLICE, &pids)?,
                Ok(Seen::Now) => return send("kill -KILL", &pids).map(|()| true),
                over => {
                    send("kill -CONT", &pids)?;
                    return over.map(|_| false);
                }
            }
        }
        send("kill -CONT", &self.pids()?)?;
        bail!("waited {} s in vain until {what}", PATIENCE.as_secs())
    }
}

/// The shell's own `kill` is quick; one that has just ended is no failure.
fn send(what: &str, pids: &[String]) -> Result<()> {
    if !pids.is_empty() {
        let script =
            what.split("; ").map(|step| if step.starts_with("kill") { format!("{step} $*") } else { step.into() });
        let script = script.collect::<Vec<_>>().join("; ");
        Command::new("sh").args(["-c", &script, "sh"]).args(pids).stderr(Stdio::null()).status()?;
    }
    Ok(())
}
