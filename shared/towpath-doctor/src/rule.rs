//! The list of rules: what each is called, what it says, and what to do when it is broken.
//! Must not know: how a rule finds what it finds.

use serde::Serialize;

use crate::stack::Stack;
use crate::{alarms, api, bus, keys, mappings, parameters, policies, queues, roles, tables};

/// One sentence for each thing that is wrong, beginning with its place.
pub(crate) type Findings = Vec<String>;

/// What must hold of every stack.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Its name, for people and for programs.
    pub id: &'static str,
    /// What it says, and what it is good for.
    pub sentence: &'static str,
    /// What to do when it is broken.
    pub fix: &'static str,
    check: fn(&Stack) -> Findings,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule that is broken.
    pub rule: &'static str,
    /// What breaks it, and where.
    pub what: String,
    /// What to do.
    pub fix: String,
}

impl Rule {
    /// What breaks it in this stack.
    pub fn check(&self, stack: &Stack) -> Vec<Finding> {
        let finding = |what| Finding { rule: self.id, what, fix: self.fix.to_owned() };
        (self.check)(stack).into_iter().map(finding).collect()
    }
}

/// Everything that is wrong, by these rules.
pub fn examine(stack: &Stack, rules: &[Rule]) -> Vec<Finding> {
    rules.iter().flat_map(|rule| rule.check(stack)).collect()
}

macro_rules! rules {
    ($($id:literal, $check:path, $sentence:literal, $fix:literal;)*) => {
        &[$(Rule { id: $id, sentence: $sentence, fix: $fix, check: $check }),*]
    };
}

/// What every stack must keep, as it is deployed with `Stage=prod`.
pub const RULES: &[Rule] = rules![
    "mapping-ends", mappings::ends,
        "Every mapping goes from a queue or a stream of this stack to the alias live",
        "let EventSourceArn name the queue or stream, and FunctionName the function's alias: !Ref NAMEFunction.Alias";
    "mapping-enabled", mappings::enabled,
        "Every mapping is on, but those whose provider is not named yet",
        "take Enabled out, or let it hang on the parameter that names the provider";
    "may-run", mappings::may_run,
        "No function is told to run nothing",
        "take ReservedConcurrentExecutions: 0 out";
    "single-failures", mappings::single_failures,
        "One failed message does not bring back its whole batch",
        "set FunctionResponseTypes: [ReportBatchItemFailures]";
    "queue-mapping", mappings::of_queues,
        "Mappings of queues are bounded and delete nothing unseen",
        "BatchSize 10 or less, ScalingConfig.MaximumConcurrency of 2 or more, no FilterCriteria";
    "stream-mapping", mappings::of_streams,
        "Mappings of streams begin at the first record, and end their retries before the stream forgets",
        "write the mapping as RelayMapping is in template.yaml";
    "wake-mapping", mappings::of_wakes,
        "Every consumer takes its wakes one by one, and may wake itself",
        "one mapping to the wake queue with BatchSize 1, and RecursiveLoop: Allow at the function";
    "auditor-minute", mappings::of_auditor,
        "The auditor runs every minute",
        "write AuditorSchedule, AuditorMayBeWoken and the Timeout as they are in template.yaml";
    "visibility", queues::visibility,
        "Messages stay hidden for six timeouts of who takes them",
        "raise VisibilityTimeout, or lower the function's Timeout";
    "dead-letters", queues::redrive,
        "A queue that is taken from has a dead-letter queue of its own kind, after five receives or more",
        "set RedrivePolicy, and maxReceiveCount to 5 or more";
    "set-aside-retention", queues::retention,
        "What was set aside stays for 14 days",
        "set MessageRetentionPeriod: 1209600";
    "set-aside-sources", queues::allowed_sources,
        "A dead-letter queue says whose it is",
        "set RedriveAllowPolicy: byQueue with the sources' ARNs, or denyAll";
    "no-content-dedup", queues::deduplication,
        "Two events with equal content are two events",
        "set ContentBasedDeduplication: false";
    "group-throughput", queues::throughput,
        "Tenants do not share one limit of throughput",
        "set DeduplicationScope: messageGroup and FifoThroughputLimit: perMessageGroupId; at a topic FifoThroughputScope: MessageGroup";
    "tls-only", queues::transport,
        "Nobody comes in plain text",
        "add the statement RefusePlainText, as in infra/consumer.yaml";
    "subscription", queues::subscriptions,
        "Subscriptions deliver raw, filter on an attribute and lose nothing",
        "set RawMessageDelivery, FilterPolicyScope: MessageAttributes, FilterPolicy and RedrivePolicy as in infra/consumer.yaml";
    "bus-rules", bus::rules,
        "What a rule of the bus picks reaches a queue or is kept",
        "no State: DISABLED; give the target a DeadLetterConfig, and both queues a policy that lets the rule in, as in infra/receiver.yaml";
    "tables-survive", tables::protection,
        "Tables survive mistakes: recovery to any second, no deletion with the stack or in prod",
        "set PointInTimeRecoverySpecification, DeletionPolicy and UpdateReplacePolicy: Retain, DeletionProtectionEnabled";
    "stream-images", tables::streams,
        "A stream that is read holds the new row",
        "set StreamSpecification: { StreamViewType: NEW_IMAGE }";
    "no-forgetting", tables::forgetting,
        "Nothing takes away state, read models or what the journal is still needed for",
        "no TimeToLiveSpecification on entities and views; OutboxRetentionDays 0, or 28 and more (dead letters 14 days + replay 14 days)";
    "own-names", tables::names,
        "Two stages fit into one account",
        "make the name of ${AWS::StackName}, or leave it out";
    "customer-keys", keys::used,
        "What is at rest is encrypted with the stack's own key",
        "set KmsMasterKeyId (topic, queue), SSESpecification with KMSMasterKeyId (table), KmsKeyId (log group) to the key of infra/keys.yaml";
    "key-policy", keys::policy,
        "The key turns each year, stays when the stack goes, and lets topics, queues and logs use it",
        "write the key as in infra/keys.yaml: EnableKeyRotation, Retain, a statement each for sns.amazonaws.com and logs";
    "key-reuse", keys::reuse,
        "A busy queue does not ask for a data key every five minutes",
        "set KmsDataKeyReusePeriodSeconds to 3600 or more";
    "no-star", policies::stars,
        "No statement allows everybody or everything",
        "name the principal, each action in full, and the resource";
    "service-source", policies::sources,
        "A service is let in only on behalf of this account",
        "add a Condition on aws:SourceArn, aws:SourceAccount or the encryption context";
    "own-role", roles::own,
        "Each function has a role that no other function has",
        "leave Role out: SAM makes one for each function";
    "no-scan", roles::scan,
        "Nobody reads whole tables but the auditor",
        "take dynamodb:Scan out of the policy";
    "journal-writers", roles::journal,
        "The journal is added to, never changed, and each role adds to its own aggregates only",
        "allow dynamodb:PutItem with ForAllValues:StringLike dynamodb:LeadingKeys [\"*#TYPE#*\"] and Null dynamodb:LeadingKeys \"false\"";
    "logs-end", api::logs,
        "Logs are kept for a stated time, and every function writes all its lines into the stack's log group",
        "set RetentionInDays, and at the function LoggingConfig with LogGroup and, where LogFormat is JSON, ApplicationLogLevel: TRACE";
    "api-limits", api::limits,
        "The HTTP API has limits, and says who called",
        "set DefaultRouteSettings with both Throttling limits, and AccessLogSettings, as in infra/api.yaml";
    "parameters", parameters::bounded,
        "A parameter that is empty or out of bounds is refused before anything is made",
        "give it an AllowedPattern or AllowedValues; a number MinValue and MaxValue";
    "alarms", alarms::complete,
        "Each path that can lose, delay or double has an alarm that watches its metric, letter by letter",
        "add the alarm as infra/ has it; for a stage that nobody is paged for, say so: Alarms=none";
    "alarms-silence", alarms::silence,
        "A silent auditor is an alarm: silence is told from health",
        "set TreatMissingData: breaching at the alarm on Ticks";
    "alarms-told", alarms::told,
        "An alarm says how bad it is, tells somebody of its end too, and links to what to do",
        "begin AlarmDescription with critical: or warning:, end it with the runbook's link; AlarmActions and OKActions: the topic of alarms; no ActionsEnabled: false";
];
