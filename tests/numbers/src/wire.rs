//! A request as it goes over the wire to DynamoDB: its operation, and the write units that it will be charged for.
//! Must not know: who sends it.

use deployed::Sent;
use serde_json::Value;

/// Bytes that one write unit pays for.
const UNIT_BYTES: usize = 1_024;

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    /// `PutItem`, `TransactWriteItems` …
    pub(crate) operation: String,
    /// Write units on the tables themselves: a transaction costs twice (aws-facts 1).
    pub(crate) write_units: usize,
}

impl Request {
    pub(crate) fn of(sent: Sent) -> Result<Self, serde_json::Error> {
        let Sent { operation, body } = sent;
        let body: Value = serde_json::from_slice(&body)?;
        let write_units = match operation.as_str() {
            "PutItem" => units(&body["Item"]),
            "TransactWriteItems" => {
                let actions = body["TransactItems"].as_array().map(Vec::as_slice).unwrap_or_default();
                actions.iter().map(|action| 2 * action_units(action)).sum()
            }
            _ => 0,
        };
        Ok(Self { operation, write_units })
    }
}

/// A check and a delete are charged for one unit at least, as they show no item.
fn action_units(action: &Value) -> usize {
    action.get("Put").map_or(1, |put| units(&put["Item"]))
}

fn units(item: &Value) -> usize {
    let bytes: usize = item.as_object().into_iter().flatten().map(|(name, value)| name.len() + size(value)).sum();
    bytes.div_ceil(UNIT_BYTES).max(1)
}

/// The size of an attribute's value by DynamoDB's rules, numbers estimated from above.
fn size(value: &Value) -> usize {
    let Some((kind, value)) = value.as_object().and_then(|typed| typed.iter().next()) else { return 1 };
    match (kind.as_str(), value) {
        ("S", Value::String(text)) => text.len(),
        ("N", Value::String(digits)) => digits.len() / 2 + 2,
        ("M", Value::Object(map)) => 3 + map.iter().map(|(name, value)| 1 + name.len() + size(value)).sum::<usize>(),
        ("L", Value::Array(list)) => 3 + list.iter().map(|value| 1 + size(value)).sum::<usize>(),
        ("SS", Value::Array(list)) => list.iter().filter_map(Value::as_str).map(str::len).sum(),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request(operation: &str, body: &Value) -> Request {
        Request::of(Sent { operation: operation.to_owned(), body: body.to_string().into_bytes() }).unwrap()
    }

    #[test]
    fn a_transaction_costs_twice_and_a_second_kilobyte_a_second_unit() {
        let put = json!({ "Item": { "pk": { "S": "a" }, "state": { "S": "x".repeat(1_100) } } });
        assert_eq!(request("PutItem", &put).write_units, 2);
        let both = json!({ "TransactItems": [{ "Put": put }, { "ConditionCheck": {} }] });
        assert_eq!(request("TransactWriteItems", &both).write_units, 2 * (2 + 1));
        assert_eq!(request("BatchGetItem", &json!({})).write_units, 0);
    }
}
