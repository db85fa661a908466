//! What a stage costs in a month in which nothing happens: counted in the template, multiplied by list prices.
//! Must not know: what the functions do, besides how often they run.

use std::cell::Cell;
use std::path::Path;

use anyhow::{Context, Result};
use comfy_table::{CellAlignment, Table, presets};
use deployed::Deployed;
use towpath::audit::{AuditOptions, AuditPorts, tick as audit};
use towpath::ports::{Answer, Wakes};
use towpath::{ConsumerName, Wake};
use towpath_aws::LambdaHost;

use crate::wire::Request;

const SECONDS_A_MONTH: f64 = 30.4 * 86_400.0;
/// Lambda keeps this many pollers at an SQS queue, each waiting up to 20 s for a message.
const POLLERS: f64 = 5.0;
const POLL_SECONDS: f64 = 20.0;
/// Longer than an idle tick takes: its time is a hundredth of its price.
const AUDIT_SECONDS: f64 = 0.2;

const FIFO_REQUEST: f64 = 0.50e-6;
const STANDARD_REQUEST: f64 = 0.40e-6;
const INVOCATION: f64 = 0.20e-6;
const GIGABYTE_SECOND_ARM: f64 = 13.333_4e-6;
const WRITE_UNIT: f64 = 0.625e-6;
const READ_UNIT: f64 = 0.125e-6;
const ALARM: f64 = 0.10;
const COMPOSITE: f64 = 0.50;
const METRIC: f64 = 0.30;
/// What the auditor says each minute, whatever there is: ticks, five sums, whether usage was folded, the sweep's age. Of a consumer it says something
/// only when there is something to say.
const METRICS: f64 = 8.0;
const KEY: f64 = 1.00;
const KEY_REQUEST: f64 = 3.00e-6;
/// A queue's data key is asked for anew each hour, by who sends and by who takes.
const KEY_REQUESTS_AN_HOUR: f64 = 2.0;

struct Line {
    what: String,
    how_many: f64,
    price: f64,
}

/// The table, and its sum in dollars.
pub(crate) async fn measure(template: &Path, stack: &Deployed) -> Result<(String, f64)> {
    let tick = tick(stack).await?;
    let text = std::fs::read_to_string(template).with_context(|| format!("{} cannot be read", template.display()))?;
    let count = |word: &str| text.lines().filter(|line| line.contains(word)).count();
    let consumers = count("Location: infra/consumer.yaml");
    #[allow(clippy::cast_precision_loss, reason = "a template has few consumers")]
    let consumers = consumers as f64;
    let (alarms, composites) = alarms(template, &text)?;
    let polls = consumers * POLLERS * SECONDS_A_MONTH / POLL_SECONDS;
    let ticks = SECONDS_A_MONTH / 60.0;
    let lines = [
        Line { what: format!("empty receives of {consumers} FIFO queues"), how_many: polls, price: FIFO_REQUEST },
        Line { what: format!("empty receives of {consumers} wake queues"), how_many: polls, price: STANDARD_REQUEST },
        Line { what: "auditor: invocations".into(), how_many: ticks, price: INVOCATION },
        Line { what: "auditor: GB-seconds".into(), how_many: ticks * AUDIT_SECONDS * 0.25, price: GIGABYTE_SECOND_ARM },
        Line { what: "auditor: read units".into(), how_many: ticks * tick.reads, price: READ_UNIT },
        Line { what: "auditor: write units".into(), how_many: ticks * tick.writes, price: WRITE_UNIT },
        Line { what: "auditor: looks at queues".into(), how_many: ticks * tick.backlogs, price: FIFO_REQUEST },
        Line { what: "auditor: metrics".into(), how_many: METRICS, price: METRIC },
        Line { what: "alarms (Alarms=none: none)".into(), how_many: alarms, price: ALARM },
        Line { what: "composite alarms (Alarms=none: none)".into(), how_many: composites, price: COMPOSITE },
        Line { what: "dashboard: one of three that are free".into(), how_many: 1.0, price: 0.0 },
        Line { what: "prod's own key".into(), how_many: 1.0, price: KEY },
        Line {
            what: "data keys of its queues, used each hour".into(),
            how_many: consumers * 2.0 * KEY_REQUESTS_AN_HOUR * SECONDS_A_MONTH / 3_600.0,
            price: KEY_REQUEST,
        },
        Line { what: "stream, topics, tables, API, logs".into(), how_many: 0.0, price: 0.0 },
    ];
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header(["what", "a month", "$"]);
    for line in &lines {
        let dollars = line.how_many * line.price;
        table.add_row([line.what.clone(), format!("{:.0}", line.how_many), format!("{dollars:.2}")]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    Ok((table.to_string(), lines.iter().map(|line| line.how_many * line.price).sum()))
}

/// How many alarms the stack has, and how many composite ones: those of each piece of infra/, as often as it is used.
#[allow(clippy::cast_precision_loss, reason = "a template has few alarms")]
fn alarms(template: &Path, text: &str) -> Result<(f64, f64)> {
    let (mut alarms, mut composites) = (0, 0);
    for line in text.lines().filter_map(|line| line.trim().strip_prefix("Location: ")) {
        let piece =
            std::fs::read_to_string(template.with_file_name(line)).with_context(|| format!("{line} cannot be read"))?;
        alarms += piece.matches("Type: AWS::CloudWatch::Alarm").count();
        composites += piece.matches("Type: AWS::CloudWatch::CompositeAlarm").count();
    }
    Ok((alarms as f64, composites as f64))
}

/// What one tick of the auditor asks for while nothing happens.
struct Tick {
    /// Each read of nothing or of little counts as one unit, from above.
    reads: f64,
    writes: f64,
    backlogs: f64,
}

/// Counts how often it is asked, and says that nothing waits.
#[derive(Default)]
struct Quiet(Cell<u32>);

impl Wakes for Quiet {
    fn wake<'a>(&'a self, _: &'a ConsumerName, _: &'a Wake) -> Answer<'a, ()> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn backlog<'a>(&'a self, _: &'a ConsumerName) -> Answer<'a, u64> {
        self.0.set(self.0.get() + 1);
        Box::pin(std::future::ready(Ok(0)))
    }
}

/// The second tick is counted: the first one has more to do.
async fn tick(stack: &Deployed) -> Result<Tick> {
    let (store, counter) = stack.counted_store()?;
    let quiet = Quiet::default();
    let host = LambdaHost::ending_in(std::time::Duration::from_secs(30));
    let ports = AuditPorts { ledger: &store, store: &store, wakes: &quiet, host: &host, meters: Some(&store) };
    audit(ports, AuditOptions::default()).await?;
    quiet.0.set(0);
    counter.take();
    audit(ports, AuditOptions::default()).await?;
    store.parked(1_000).await?;
    let requests = counter.take().into_iter().map(Request::of).collect::<Result<Vec<_>, _>>()?;
    let writes = requests.iter().map(|request| request.write_units).sum::<usize>();
    let reads = requests.iter().filter(|request| request.write_units == 0).count();
    #[allow(clippy::cast_precision_loss, reason = "a tick makes few requests")]
    Ok(Tick { reads: reads as f64, writes: writes as f64, backlogs: f64::from(quiet.0.get()) })
}
