//! Limits of AWS and of Towpath, each with its unit in its name, checked before a call and never after it.
//! Must not know: who checks them.

/// Actions in one DynamoDB transaction.
pub const TRANSACTION_ACTIONS: usize = 100;
/// Size of all items of one DynamoDB transaction.
pub const TRANSACTION_BYTES: usize = 4 * 1024 * 1024;
/// Size of one DynamoDB item.
pub const ITEM_BYTES: usize = 400 * 1024;
/// Size of one event as it travels; a bigger payload belongs in a store, and its URL in the event.
pub const EVENT_BYTES: usize = 200 * 1024;
/// Entries in one SNS PublishBatch.
pub const PUBLISH_ENTRIES: usize = 10;
/// Size of one SNS PublishBatch, attributes included, at the topic's default MaximumMessageSize.
pub const PUBLISH_BYTES: usize = 262_144;
/// What SNS counts for one message besides its body: attribute names, types and values, rounded up.
pub const PUBLISH_OVERHEAD_BYTES: usize = 256;
/// What one page of a DynamoDB query holds at most.
pub const QUERY_PAGE_BYTES: usize = 1024 * 1024;
/// Entries in one EventBridge PutEvents.
pub const BUS_ENTRIES: usize = 10;
/// Size of one EventBridge PutEvents: sources, detail types, details and times of all entries.
pub const BUS_BYTES: usize = 256 * 1024 - 1;
/// What an entry has more than the envelope that it is made of, at most.
pub const BUS_OVERHEAD_BYTES: usize = 5 * 1024;
/// Keys in one DynamoDB BatchGetItem.
pub const BATCH_GET_KEYS: usize = 100;
/// Row types that one aggregate's `prior` may name.
pub const PRIOR_TYPES: usize = 32;
/// Consumers that one chain of causes may pass through; more is a loop.
pub const HOPS: u8 = 32;
/// Tenants that one consumer may hold at a time: with who and why they fit one item.
pub const HELD_TENANTS: usize = 100;
/// How long SQS holds a message back before it comes the first time, at most.
pub const HINT_AHEAD: std::time::Duration = std::time::Duration::from_secs(900);
/// Characters of an SQS message group id.
pub const GROUP_ID_CHARS: usize = 128;

// A group id `tenant#lane` fits SQS, and an event fits one publish request with its overhead.
const _: () = assert!(crate::TenantId::MAX_BYTES + "#65535".len() <= GROUP_ID_CHARS);
const _: () = assert!(EVENT_BYTES + PUBLISH_OVERHEAD_BYTES <= PUBLISH_BYTES);
const _: () = assert!(EVENT_BYTES < ITEM_BYTES);
// An event and the versions that are written beside it fit one request to the bus.
const _: () = assert!(EVENT_BYTES + BUS_ENTRIES * BUS_OVERHEAD_BYTES <= BUS_BYTES);
