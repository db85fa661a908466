//! What is asked of AWS, call by call, and what AWS refused: every client of the program is watched.
//! Must not know: which command asks, nor who may.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_sdk_dynamodb::config::interceptors::{BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef};
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use serde_json::Value;

use crate::config::Tables;

/// What AWS calls a refusal, each service in its own way.
const REFUSALS: [&str; 4] = ["AccessDenied", "AuthorizationError", "NotAuthorized", "UnauthorizedOperation"];

/// An action of AWS and what it was asked of: `dynamodb:Query outbox/by_time`, `dynamodb:PutItem progress ~holds`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call(pub String);

/// A call that AWS refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// As IAM names it: `sqs:SendMessage`.
    pub action: String,
    /// As AWS names it, if it does.
    pub resource: Option<String>,
}

#[derive(Debug, Default)]
struct State {
    made: BTreeSet<Call>,
    /// The last operation of each service, for a refusal that does not name it.
    last: BTreeMap<&'static str, String>,
    refused: Option<Refusal>,
    tables: Option<Tables>,
    policies: BTreeMap<String, String>,
}

/// All calls of this program so far.
#[derive(Debug, Clone, Default)]
pub struct Calls(Arc<Mutex<State>>);

impl Calls {
    /// Watches a client of this service, by the name that IAM has for it.
    pub fn of(&self, service: &'static str) -> Watch {
        Watch { service, calls: self.clone() }
    }

    /// From now on tables are called by what they are, and the stack's policies are known by the names of their outputs.
    pub fn know(&self, tables: Tables, policies: BTreeMap<String, String>) {
        let mut state = self.state();
        (state.tables, state.policies) = (Some(tables), policies);
    }

    /// The ARN of a policy of the stack, by the output that names it.
    pub fn policy(&self, output: &str) -> Option<String> {
        self.state().policies.get(output).cloned()
    }

    /// Which were made.
    pub fn made(&self) -> BTreeSet<Call> {
        self.state().made.clone()
    }

    /// Adds them to a file: the command, and one of its calls, a line.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn keep(&self, file: &Path, typed: &str) -> std::io::Result<()> {
        let lines: String = self.made().into_iter().map(|call| format!("{typed}\t{}\n", call.0)).collect();
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(file)?;
        file.write_all(lines.as_bytes())
    }

    /// The last one that was refused.
    pub fn refused(&self) -> Option<Refusal> {
        self.state().refused.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Watches one client.
pub struct Watch {
    service: &'static str,
    calls: Calls,
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Watch({})", self.service)
    }
}

impl Intercept for Watch {
    fn name(&self) -> &'static str {
        "calls"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request();
        let body = request.body().bytes().map(String::from_utf8_lossy).unwrap_or_default();
        let operation = operation(request.headers().get("x-amz-target"), &body, request.uri());
        let mut state = self.calls.state();
        let made = made(self.service, &operation, &body, state.tables.as_ref());
        state.made.extend(made);
        state.last.insert(self.service, operation);
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Some(response) = context.response() else { return Ok(()) };
        let said = response.body().bytes().map(String::from_utf8_lossy).unwrap_or_default();
        let kind = response.headers().get("x-amzn-errortype").unwrap_or_default();
        let mut state = self.calls.state();
        let operation = state.last.get(self.service).cloned().unwrap_or_default();
        if let Some(refused) = refusal(self.service, &operation, response.status().as_u16(), kind, &said) {
            state.refused = Some(refused);
        }
        Ok(())
    }
}

/// Each protocol of AWS names its operation elsewhere: in a header, in the body, or by the path alone.
fn operation(target: Option<&str>, body: &str, uri: &str) -> String {
    if let Some((_, operation)) = target.and_then(|target| target.rsplit_once('.')) {
        return operation.to_owned();
    }
    if let Some(action) = body.split('&').find_map(|field| field.strip_prefix("Action=")) {
        return action.to_owned();
    }
    let path = uri.split('?').next().unwrap_or_default().trim_end_matches('/');
    if let Some((_, operation)) = path.split_once("/operation/") {
        return operation.to_owned();
    }
    let named = match path.rsplit('/').next() {
        Some("event-source-mappings") => "ListEventSourceMappings",
        Some("configuration") => "GetFunctionConfiguration",
        Some("concurrency") => "GetFunctionConcurrency",
        Some("recursion-config") => "GetFunctionRecursionConfig",
        Some("versions") => "ListVersionsByFunction",
        _ if path.contains("/aliases/") => "GetAlias",
        _ => path,
    };
    named.to_owned()
}

/// The actions that IAM asks about for one operation. A transaction is asked about by its parts.
fn made(service: &str, operation: &str, body: &str, tables: Option<&Tables>) -> Vec<Call> {
    if service != "dynamodb" {
        return vec![Call(format!("{service}:{operation}"))];
    }
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let of = |action: &str, part: &Value| {
        let table = name(tables, part["TableName"].as_str().unwrap_or_default());
        let index = part["IndexName"].as_str().map(|index| format!("/{index}")).unwrap_or_default();
        let key = part["Item"]["pk"]["S"].as_str().or_else(|| part["Key"]["pk"]["S"].as_str());
        let written = ["PutItem", "UpdateItem", "DeleteItem"].contains(&action);
        let key = key.filter(|_| written).map(|key| format!(" {}", pattern(key))).unwrap_or_default();
        Call(format!("dynamodb:{action} {table}{index}{key}"))
    };
    match operation {
        "BatchGetItem" => {
            let asked = body["RequestItems"].as_object().into_iter().flatten();
            asked.map(|(table, _)| Call(format!("dynamodb:BatchGetItem {}", name(tables, table)))).collect()
        }
        "TransactWriteItems" => {
            let parts = body["TransactItems"].as_array().into_iter().flatten().filter_map(Value::as_object).flatten();
            let action =
                |kind: &str| if kind == "ConditionCheck" { "ConditionCheckItem".into() } else { format!("{kind}Item") };
            parts.map(|(kind, part)| of(&action(kind), part)).collect()
        }
        other => vec![of(other, &body)],
    }
}

/// A partition as a policy names it: the tenant is any, and so is what follows a kind's own name.
fn pattern(key: &str) -> String {
    match (key.split_once("#~"), key.starts_with('~')) {
        (Some((_, kind)), false) => format!("*#~{kind}"),
        (_, true) => key.split('#').next().unwrap_or(key).to_owned(),
        (None, false) => "*#*#*".to_owned(),
    }
}

fn name(tables: Option<&Tables>, table: &str) -> String {
    let Some(known) = tables else { return table.to_owned() };
    let names = [
        ("outbox", &known.outbox),
        ("entities", &known.entities),
        ("views", &known.views),
        ("progress", &known.progress),
    ];
    names.iter().find(|(_, name)| name.as_str() == table).map_or(table, |(what, _)| what).to_owned()
}

/// What AWS refused, in its own words if it has any.
fn refusal(service: &str, operation: &str, status: u16, kind: &str, said: &str) -> Option<Refusal> {
    let is_one = |text: &str| REFUSALS.iter().any(|refusal| text.contains(refusal));
    if !(400..500).contains(&status) || !(is_one(kind) || is_one(said)) {
        return None;
    }
    let word = |after: &str| {
        let rest = said.split_once(after)?.1;
        let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '"' | '<' | ',')).unwrap_or(rest.len());
        Some(rest[..end].trim_end_matches('.').to_owned()).filter(|word| !word.is_empty())
    };
    let action = word("not authorized to perform: ").unwrap_or_else(|| format!("{service}:{operation}"));
    Some(Refusal { action, resource: word("on resource: ") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables() -> Tables {
        let name = |name: &str| format!("s-{name}");
        Tables { outbox: name("o"), entities: name("e"), views: name("v"), progress: name("p") }
    }

    fn calls(operation: &str, body: &Value) -> Vec<String> {
        made("dynamodb", operation, &body.to_string(), Some(&tables())).into_iter().map(|call| call.0).collect()
    }

    #[test]
    fn a_call_is_named_as_iam_names_it_with_the_table_the_index_and_the_kind_of_row() {
        let query = serde_json::json!({ "TableName": "s-o", "IndexName": "by_time" });
        assert_eq!(calls("Query", &query), ["dynamodb:Query outbox/by_time"]);
        let put = |key: &str| serde_json::json!({ "TableName": "s-p", "Item": { "pk": { "S": key } } });
        assert_eq!(calls("PutItem", &put("acme#~audit")), ["dynamodb:PutItem progress *#~audit"]);
        assert_eq!(calls("PutItem", &put("~usage#2026")), ["dynamodb:PutItem progress ~usage"]);
        assert_eq!(calls("PutItem", &put("acme#order#1")), ["dynamodb:PutItem progress *#*#*"]);
        let batch = serde_json::json!({ "RequestItems": { "s-p": {}, "s-v": {} } });
        assert_eq!(calls("BatchGetItem", &batch), ["dynamodb:BatchGetItem progress", "dynamodb:BatchGetItem views"]);
        let parts = serde_json::json!({ "TransactItems": [
            { "Put": { "TableName": "s-e" } }, { "ConditionCheck": { "TableName": "s-o" } }
        ] });
        assert_eq!(
            calls("TransactWriteItems", &parts),
            ["dynamodb:PutItem entities", "dynamodb:ConditionCheckItem outbox"]
        );
    }

    #[test]
    fn an_operation_is_found_in_every_protocol() {
        assert_eq!(operation(Some("AmazonSQS.SendMessage"), "{}", "/"), "SendMessage");
        assert_eq!(operation(None, "Action=DescribeStacks&Version=2010-05-15", "/"), "DescribeStacks");
        assert_eq!(
            operation(None, "", "https://l/2015-03-31/event-source-mappings?Marker=x"),
            "ListEventSourceMappings"
        );
        assert_eq!(operation(None, "", "https://l/2015-03-31/functions/f/aliases/live"), "GetAlias");
        assert_eq!(operation(None, "", "https://l/2019-09-30/functions/f/concurrency"), "GetFunctionConcurrency");
        let in_cbor = "https://m/service/GraniteServiceVersion20100801/operation/DescribeAlarms";
        assert_eq!(operation(None, "", in_cbor), "DescribeAlarms");
    }

    /// As the services say it, in JSON, in XML and by a header.
    #[test]
    fn a_refusal_says_which_action_on_what() {
        let json = r#"{"__type":"com.amazon.coral.service#AccessDeniedException","Message":"User: arn:aws:iam::1:user/a is not authorized to perform: dynamodb:PutItem on resource: arn:aws:dynamodb:eu-west-1:1:table/t because no identity-based policy allows it"}"#;
        let xml = "<Error><Code>AuthorizationError</Code><Message>User: a is not authorized to perform: SNS:ListSubscriptionsByTopic on resource: arn:aws:sns:eu-west-1:1:t</Message></Error>";
        let refused = |action: &str, resource: Option<&str>| {
            Some(Refusal { action: action.to_owned(), resource: resource.map(str::to_owned) })
        };
        let in_json = refused("dynamodb:PutItem", Some("arn:aws:dynamodb:eu-west-1:1:table/t"));
        assert_eq!(refusal("dynamodb", "TransactWriteItems", 400, "", json), in_json);
        let in_xml = refused("SNS:ListSubscriptionsByTopic", Some("arn:aws:sns:eu-west-1:1:t"));
        assert_eq!(refusal("sns", "ListSubscriptionsByTopic", 403, "", xml), in_xml);
        assert_eq!(refusal("lambda", "GetAlias", 403, "AccessDeniedException", "{}"), refused("lambda:GetAlias", None));
        let busy = r#"{"__type":"ThrottlingException","message":"slow down"}"#;
        assert_eq!(refusal("dynamodb", "Query", 400, "", busy), None);
        assert_eq!(refusal("dynamodb", "Query", 200, "", r#"{"text":"AccessDenied"}"#), None);
    }

    /// A client of the SDK, and something that answers it as AWS would.
    #[tokio::test]
    async fn a_refused_call_of_a_client_is_noticed_whatever_becomes_of_its_error() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut buffer = vec![0; 65_536];
            let _ = socket.read(&mut buffer).await.unwrap();
            let body = r#"{"__type":"com.amazonaws.sqs#AccessDenied","message":"is not authorized to perform: sqs:sendmessage on resource: arn:q"}"#;
            let head = format!(
                "HTTP/1.1 403 Forbidden\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            socket.write_all((head + body).as_bytes()).await.unwrap();
        });
        let calls = Calls::default();
        let config = aws_sdk_sqs::Config::builder()
            .behavior_version(aws_sdk_sqs::config::BehaviorVersion::latest())
            .region(aws_sdk_sqs::config::Region::new("us-east-1"))
            .credentials_provider(aws_sdk_sqs::config::Credentials::new("a", "b", None, None, "test"))
            .endpoint_url(format!("http://{address}"))
            .interceptor(calls.of("sqs"))
            .build();
        let sent =
            aws_sdk_sqs::Client::from_conf(config).send_message().queue_url("http://q").message_body("x").send().await;
        assert!(sent.is_err());
        assert_eq!(calls.made(), BTreeSet::from([Call("sqs:SendMessage".into())]));
        let refused = Refusal { action: "sqs:sendmessage".into(), resource: Some("arn:q".into()) };
        assert_eq!(calls.refused(), Some(refused));
    }
}
