//! The core's `Bus` port on an EventBridge bus: public events as CloudEvents, and facts about the pipeline for who watches it.
//! Must not know: which events leave, and when to try again.

use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::primitives::DateTime;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use serde_json::{Value, json};
use towpath::ports::{Answer, Bus, Unavailable};
use towpath::{CloudEvent, TenantId, Ticket, Timestamp};

use crate::store::unavailable;

/// Type of the fact that a row was parked. Three parts, so that no event of a product is called so.
const PARKED: &str = "towpath.event.parked.v1";
/// Type of the fact that a tenant's commands are refused because it sends too many.
const THROTTLED: &str = "towpath.tenant.throttled.v1";

/// The bus of a stack.
#[derive(Debug, Clone)]
pub struct EventBus {
    events: Client,
    name: String,
    /// What rules see as the source: `towpath.prod`.
    source: String,
}

impl EventBus {
    /// Puts events on the bus of this name, as coming from `towpath.<stage>`.
    pub fn new(events: Client, name: String, stage: &str) -> Self {
        Self { events, name, source: format!("towpath.{stage}") }
    }

    /// Opens the connection before the first event comes.
    pub async fn warm(&self) -> Result<(), Unavailable> {
        let asked = self.events.describe_event_bus().name(&self.name).send().await;
        asked.map(|_| ()).map_err(unavailable("DescribeEventBus"))
    }

    /// Says that a row was parked. A hint: the row is the truth, and the ticket is sent again until somebody sees to it.
    pub(crate) async fn tell_parked(&self, ticket: &Ticket) -> Result<(), Unavailable> {
        self.tell(PARKED, ticket.parked_at, &parked(ticket)).await
    }

    /// Says that a tenant's commands are refused; `by` is the function that does so. A hint, told once a minute at most.
    pub(crate) async fn tell_throttled(&self, by: &str, tenant: &TenantId, at: Timestamp) -> Result<(), Unavailable> {
        self.tell(THROTTLED, at, &throttled(by, tenant, at)).await
    }

    async fn tell(&self, kind: &str, at: Timestamp, fact: &Value) -> Result<(), Unavailable> {
        match self.send(vec![self.entry(kind, at, fact.to_string())]).await?.pop() {
            Some(Err(why)) => Err(Unavailable { call: "PutEvents", why }),
            _ => Ok(()),
        }
    }

    async fn put_events(&self, events: &[CloudEvent]) -> Result<Vec<Result<(), String>>, Unavailable> {
        let entry = |event: &CloudEvent| self.entry(&event.kind, event.time, event.to_body());
        self.send(events.iter().map(entry).collect()).await
    }

    /// One request. A 200 can carry failed entries; what is not answered for was not taken.
    async fn send(&self, entries: Vec<PutEventsRequestEntry>) -> Result<Vec<Result<(), String>>, Unavailable> {
        let mut results = vec![Err("the answer does not name this entry".to_owned()); entries.len()];
        let sent = self.events.put_events().set_entries(Some(entries)).send().await;
        for (result, entry) in results.iter_mut().zip(sent.map_err(unavailable("PutEvents"))?.entries()) {
            *result = match (entry.error_code(), entry.event_id()) {
                (None, Some(_)) => Ok(()),
                (code, _) => Err(format!("{}: {}", code.unwrap_or("no id"), entry.error_message().unwrap_or_default())),
            };
        }
        Ok(results)
    }

    /// What rules match on: source, type, and anything in the event itself.
    fn entry(&self, kind: &str, time: Timestamp, detail: String) -> PutEventsRequestEntry {
        let millis = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        PutEventsRequestEntry::builder()
            .event_bus_name(&self.name)
            .source(&self.source)
            .detail_type(kind)
            .time(DateTime::from_millis(millis))
            .detail(detail)
            .build()
    }
}

impl Bus for EventBus {
    fn put<'a>(&'a self, events: &'a [CloudEvent]) -> Answer<'a, Vec<Result<(), String>>> {
        Box::pin(self.put_events(events))
    }
}

/// The fact as a CloudEvent. The id is the tenant and the minute.
fn throttled(by: &str, tenant: &TenantId, at: Timestamp) -> Value {
    json!({
        "specversion": "1.0",
        "id": format!("{tenant}-{}", at.as_millis() / 60_000),
        "source": format!("/{by}"),
        "type": THROTTLED,
        "subject": tenant,
        "time": at,
        "datacontenttype": "application/json",
        "tenantid": tenant,
        "data": { "function": by },
    })
}

/// The fact as a CloudEvent. Nothing of the event's data, and no error text, which may name somebody.
fn parked(ticket: &Ticket) -> Value {
    json!({
        "specversion": "1.0",
        "id": ticket.deduplication_id(),
        "source": format!("/{}", ticket.consumer),
        "type": PARKED,
        "subject": format!("{}/{}", ticket.aggregate.kind, ticket.aggregate.id),
        "time": ticket.parked_at,
        "datacontenttype": "application/json",
        "tenantid": ticket.aggregate.tenant,
        "data": {
            "consumer": ticket.consumer,
            "aggregate": ticket.aggregate.to_string(),
            "event_id": ticket.event_id,
            "event_type": ticket.event_type,
            "seq": ticket.seq,
            "class": ticket.class,
            "attempts": ticket.attempts,
            "since": ticket.since,
            "producer": ticket.producer,
        },
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use aws_sdk_eventbridge::config::{BehaviorVersion, Config, Credentials, Region};
    use towpath::{EventId, Rev, Seq};

    use super::*;

    /// What a bus that answers like this makes of three entries.
    fn put_three(answer: &'static str) -> Result<Vec<Result<(), String>>, Unavailable> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = Vec::new();
            while !asked.windows(2).any(|pair| pair == b"]}") {
                let mut some = [0; 4_096];
                let read = stream.read(&mut some).unwrap();
                asked.extend_from_slice(&some[..read]);
            }
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.1\r\nconnection: close";
            write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{answer}", answer.len()).unwrap();
            String::from_utf8(asked).unwrap()
        });
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .endpoint_url(endpoint)
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .build();
        let bus = EventBus::new(Client::from_conf(config), "shop".to_owned(), "prod");
        let entries =
            ["one", "two", "three"].map(|kind| bus.entry(kind, Timestamp::from_millis(1_000), "{}".to_owned()));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let results = runtime.block_on(bus.send(entries.to_vec()));
        let asked = server.join().unwrap();
        assert!(asked.contains("AWSEvents.PutEvents"), "{asked}");
        assert!(asked.contains(r#""Source":"towpath.prod""#) && asked.contains(r#""EventBusName":"shop""#), "{asked}");
        results
    }

    #[test]
    fn what_a_200_does_not_say_was_taken_was_not() {
        let results = put_three(
            r#"{"FailedEntryCount":1,"Entries":[{"EventId":"e-1"},{"ErrorCode":"ThrottlingException","ErrorMessage":"slower"}]}"#,
        );
        let refused = |why: &str| Err(why.to_owned());
        assert_eq!(
            results.unwrap(),
            [Ok(()), refused("ThrottlingException: slower"), refused("the answer does not name this entry")]
        );
    }

    #[test]
    fn the_fact_that_a_row_was_parked_quotes_neither_the_event_nor_the_error() {
        let at = Timestamp::from_millis(1_000);
        let ticket = Ticket {
            consumer: "inventory".parse().unwrap(),
            aggregate: "acme#order#o-1".parse().unwrap(),
            rev: Rev(7),
            event_id: EventId::new(at, 1),
            event_type: "order.placed".parse().unwrap(),
            seq: Seq(3),
            class: "rejected".to_owned(),
            message: "ann@example.com is unknown".to_owned(),
            attempts: 2,
            since: at,
            parked_at: at,
            producer: "inventory@1.0.0".parse().unwrap(),
        };
        let fact = parked(&ticket);
        assert!(!fact.to_string().contains("ann@"), "{fact}");
        assert_eq!((&fact["type"], &fact["source"]), (&json!(PARKED), &json!("/inventory")));
        assert_eq!((&fact["data"]["seq"], &fact["data"]["class"]), (&json!(3), &json!("rejected")));
        let told = throttled("orders-api", &"acme".parse().unwrap(), at);
        assert_eq!(
            (&told["type"], &told["tenantid"], &told["id"]),
            (&json!(THROTTLED), &json!("acme"), &json!("acme-0"))
        );
        assert!(THROTTLED.parse::<towpath::EventType>().is_err());
        assert!(PARKED.parse::<towpath::EventType>().is_err() && PARKED[..20].parse::<towpath::EventType>().is_err());
    }
}
