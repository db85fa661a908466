//! What things cost, counted by an interceptor in the SDK, between the adapters and the network.

use anyhow::{Result, ensure};
use commerce::order::{Line, Order, OrderCancelled};
use deployed::Counter;
use serde::{Deserialize, Serialize};
use towpath::command::{CommandPorts, Reply, Request, Verdict, execute};
use towpath::ports::JournalRow;
use towpath::relay::relay;
use towpath::{Aggregate, AggregateId, Era, Event, EventId, Kind, Lanes, Producer, Seq, Storage, Tx, Visibility};
use towpath_aws::{LambdaHost, SnsTopics, TopicArns};

use crate::Test;
use crate::stack::{Stack, wait};

pub(crate) const TESTS: &[Test] = &[
    ("cost_an_event_sourced_commit_is_one_put", event_sourced),
    ("cost_a_state_stored_commit_is_one_transaction", state_stored),
    ("cost_the_relay_takes_a_tenth_of_a_request_per_event_and_writes_nothing", relayed),
];

fn operations(counter: &Counter) -> Vec<String> {
    counter.take().into_iter().map(|sent| sent.operation).collect()
}

fn host() -> LambdaHost {
    LambdaHost::ending_in(std::time::Duration::from_secs(30))
}

struct Ledger;

impl Aggregate for Ledger {
    const TYPE: &'static str = "ledger";
    const STORAGE: Storage = Storage::Events;
}

#[derive(Serialize, Deserialize)]
struct Booked {
    cents: u64,
}

impl Event for Booked {
    type Of = Ledger;
    const TYPE: &'static str = "ledger.booked";
    const VERSION: u32 = 1;
    const VISIBILITY: Visibility = Visibility::Private;
    fn aggregate_id(&self) -> AggregateId {
        AggregateId::parse("l-1").expect("a good id")
    }
}

fn request(tenant: &str) -> Result<Request> {
    Ok(Request {
        tenant: tenant.parse()?,
        key: None,
        hash: String::new(),
        correlation_id: "cost".parse()?,
        traceparent: None,
    })
}

fn event_sourced(stack: &Stack) -> Result<()> {
    wait(async {
        let (host, producer) = (host(), Producer::parse("test@1")?);
        let (store, counter) = stack.counted_store()?;
        let ports = CommandPorts { store: &store, host: &host, producer: &producer, era: Era::FIRST, limiter: None };
        for cents in [1, 2] {
            let verdict = async |_: &towpath::Context<'_>| {
                Ok(Verdict::Accept(Tx::new().record(Booked { cents }), Reply::new(201, &cents)))
            };
            execute(ports, &request("cost-es")?, verdict).await?;
        }
        // Finding the head is the author's read; the commit itself is one put.
        let sent = operations(&counter);
        ensure!(sent == ["Query", "PutItem", "Query", "PutItem"], "{sent:?}");
        let rows = stack.journal(&"cost-es#ledger#l-1".parse()?).await?;
        ensure!(rows.len() == 2 && rows[1].envelope.prior.latest_of(|_| true) == Seq(1), "{rows:?}");
        Ok(())
    })
}

fn state_stored(stack: &Stack) -> Result<()> {
    wait(async {
        let (host, producer) = (host(), Producer::parse("test@1")?);
        let (store, counter) = stack.counted_store()?;
        let ports = CommandPorts { store: &store, host: &host, producer: &producer, era: Era::FIRST, limiter: None };
        let keyed = Request { key: Some("k-1".parse()?), ..request("cost-st")? };
        let verdict = async |cx: &towpath::Context<'_>| {
            let line = Line { sku: "tea".parse()?, quantity: 1_u64.try_into()?, unit_price_cents: 1_u64.try_into()? };
            let (order, placed) = Order::place(cx.new_id(), "c-1".parse()?, vec![line].try_into()?);
            Ok(Verdict::Accept(Tx::new().create(order).record(placed), Reply::new(201, &1)))
        };
        execute(ports, &keyed, verdict).await?;
        let sent = operations(&counter);
        ensure!(sent == ["TransactWriteItems"], "{sent:?}");
        Ok(())
    })
}

fn rows(count: u64, tenants: u64, template: &JournalRow) -> Vec<JournalRow> {
    let row = |n: u64| {
        let mut row = template.clone();
        row.envelope.tenant_id = format!("cost-r{tenants}-{}", n % tenants).parse().expect("a good tenant");
        row.envelope.seq = Seq(n / tenants + 1);
        row.envelope.event_id = EventId::new(row.envelope.occurred_at, u128::from(tenants * 10_000 + n));
        row.envelope.event_type = "cost.counted".parse().expect("a good type");
        row
    };
    (0..count).map(row).collect()
}

fn relayed(stack: &Stack) -> Result<()> {
    wait(async {
        let order = stack.place("cost-relay", "k-1", "tea")?;
        let template = stack.journal(&order).await?.remove(0);
        ensure!(template.kind == Kind::Event && template.envelope.event_type.as_str() != OrderCancelled::TYPE);
        for (events, tenants, limit) in [(100, 1, 11), (1_000, 50, 150)] {
            let counter = Counter::default();
            let config = aws_sdk_sns::config::Builder::from(&stack.sdk()).interceptor(counter.clone()).build();
            let arns = TopicArns {
                events: stack.output("EventsTopicArn")?.to_owned(),
                commands: stack.output("CommandsTopicArn")?.to_owned(),
            };
            let topics = SnsTopics::new(aws_sdk_sns::Client::from_conf(config), arns);
            let report = relay(&topics, &host(), &Lanes::all(1), rows(events, tenants, &template)).await;
            let requests = counter.take().len();
            ensure!(report.failed.is_empty() && report.published == events, "{report:?}");
            ensure!(requests <= limit, "{requests} requests for {events} events of {tenants} tenants");
            ensure!(requests as u64 == report.requests, "the relay claims {} requests", report.requests);
        }
        Ok(())
    })
}
