//! P15: an alarm that is off, a policy that lets anybody in, a function that may not run: the doctor finds what somebody changed
//! by hand since it was deployed, by the rule that a template would break. All at once, so that it takes seconds.
//! Must not know: how the doctor looks.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::Test;
use crate::p7_commands::towpath;
use crate::p15_doctor::is_sound;
use crate::stack::{Stack, wait};

pub(crate) const ALONE: &[Test] =
    &[("p15_the_doctor_finds_what_is_off_gone_or_open_since_it_was_deployed_and_says_what_it_was", off_gone_or_open)];

/// The rule that must speak, of what, and what the fix must tell.
const PLANTED: &[(&str, &str, &str)] = &[
    (
        "gone",
        "InventoryConsumer/DeadLettersAlarm: it was deployed and is gone",
        "put it back with `aws cloudwatch put-metric-alarm",
    ),
    ("alarms", "InventoryConsumer/WakeQueue: no alarm watches", "InventoryConsumer/WakeAgeAlarm: Dimensions is"),
    (
        "alarms-told",
        "InventoryConsumer/ParkedAlarm: ActionsEnabled is false",
        "`aws cloudwatch enable-alarm-actions --alarm-names",
    ),
    (
        "alarms-told",
        "InventoryConsumer/LagAlarm: AlarmActions must",
        "InventoryConsumer/LagAlarm: AlarmActions is [], it was deployed as",
    ),
    ("drift", "InventoryConsumer/QueueAgeAlarm: Threshold is 86400", "`aws cloudwatch put-metric-alarm"),
    (
        "tls-only",
        "CrmTimelineConsumer/DeadLetterQueue: no policy denies",
        "its policy was deployed with the statement RefusePlainText",
    ),
    (
        "no-star",
        "InventoryConsumer/DeadLetterQueuePolicy: a statement allows everybody",
        "its policy was deployed without",
    ),
    (
        "service-source",
        "OrderSummaryConsumer/DeadLetterQueuePolicy: sns.amazonaws.com",
        "its policy was deployed without",
    ),
    ("tls-only", "Topics/EventsTopic: no policy denies", "`aws sns set-topic-attributes"),
    (
        "may-run",
        "CrmTimelineFunction: its ReservedConcurrentExecutions are 0",
        "`aws lambda delete-function-concurrency",
    ),
    (
        "auditor-minute",
        "AuditorFunction: no rule that is on",
        "`aws events enable-rule --event-bus-name default --name",
    ),
    ("bus-rules", "ExampleReceiver/Rule: it is off", "`aws events enable-rule --event-bus-name"),
    ("logs-end", "LogGroup: it has no RetentionInDays", "`aws logs put-retention-policy"),
    (
        "drift",
        "InventoryConsumer/Queue: DelaySeconds is 900, it was deployed as 0",
        "`aws sqs set-queue-attributes --queue-url",
    ),
    ("tables-survive", "Tables/OutboxTable: point-in-time recovery", "`aws dynamodb update-continuous-backups"),
    (
        "stranger",
        "the subscription of arn:aws:sqs:us-east-1:000000000000:stranger: it hears Topics/EventsTopic",
        "find out whose",
    ),
    (
        "stranger",
        "it takes from ShippingConsumer/DeadLetterQueue for ShippingFunction",
        "find out whose it is, and remove it",
    ),
];

/// What was so before, to be put back.
struct Before {
    alarms: Vec<Value>,
    policies: Vec<(String, Value)>,
    topic: (String, String),
    rules: Vec<Value>,
    days: Value,
    stranger: String,
    mapping: Value,
}

fn alarm(stack: &Stack, name: &str) -> Result<Value> {
    let asked = json!({ "AlarmNamePrefix": format!("{}-InventoryConsumer", stack.stack_name) });
    let found = stack.control("POST", "/", "GraniteServiceVersion20100801.DescribeAlarms", &asked)?;
    // `-wake-dead-letters` ends so too.
    let is_it = |alarm: &&Value| {
        alarm["AlarmName"]
            .as_str()
            .is_some_and(|it| it.ends_with(name) && it.contains("-wake-") == name.contains("-wake-"))
    };
    let mut alarm = found["MetricAlarms"].as_array().into_iter().flatten().find(is_it).cloned().context("an alarm")?;
    // What it says of its state is not set.
    let known =
        ["AlarmName", "AlarmDescription", "ActionsEnabled", "AlarmActions", "OKActions", "MetricName", "Namespace"];
    let measured = ["Statistic", "ExtendedStatistic", "Dimensions", "Period", "EvaluationPeriods", "DatapointsToAlarm"];
    let judged = ["Threshold", "ComparisonOperator", "TreatMissingData"];
    let fields = alarm.as_object_mut().context("an alarm is an object")?;
    fields.retain(|key, value| [&known[..], &measured, &judged].concat().contains(&key.as_str()) && !value.is_null());
    if fields.contains_key("ExtendedStatistic") {
        fields.remove("Statistic");
    }
    Ok(alarm)
}

fn put(stack: &Stack, alarm: &Value, changed: &[(&str, Value)]) -> Result<()> {
    let mut alarm = alarm.clone();
    changed.iter().for_each(|(key, value)| alarm[*key] = value.clone());
    stack.control("POST", "/", "GraniteServiceVersion20100801.PutMetricAlarm", &alarm).map(|_| ())
}

fn events(stack: &Stack, what: &str, rule: &Value) -> Result<()> {
    let asked = json!({ "Name": rule["Name"], "EventBusName": rule["EventBusName"] });
    stack.control("POST", "/", &format!("AWSEvents.{what}"), &asked).map(|_| ())
}

fn logs(stack: &Stack, what: &str, more: &Value) -> Result<Value> {
    let mut asked = more.clone();
    asked["logGroupName"] = json!(stack.output("LogGroup")?);
    stack.control("POST", "/", &format!("Logs_20140328.{what}"), &asked)
}

fn recover(stack: &Stack, is_on: bool) -> Result<()> {
    let how = json!({ "PointInTimeRecoveryEnabled": is_on });
    let asked = json!({ "TableName": stack.output("OutboxTable")?, "PointInTimeRecoverySpecification": how });
    stack.control("POST", "/", "DynamoDB_20120810.UpdateContinuousBackups", &asked).map(|_| ())
}

fn set_policy(stack: &Stack, url: &str, policy: &Value) -> Result<()> {
    let asked = json!({ "QueueUrl": url, "Attributes": { "Policy": policy } });
    stack.control("POST", "/", "AmazonSQS.SetQueueAttributes", &asked).map(|_| ())
}

fn delay(stack: &Stack, seconds: u32) -> Result<()> {
    let url = stack.output("InventoryQueueUrl")?;
    let asked = json!({ "QueueUrl": url, "Attributes": { "DelaySeconds": seconds.to_string() } });
    stack.control("POST", "/", "AmazonSQS.SetQueueAttributes", &asked).map(|_| ())
}

/// A queue's policy as it was, and one more statement, or none at all.
fn widen(stack: &Stack, output: &str, statement: Option<Value>) -> Result<(String, Value)> {
    let url = stack.output(output)?.to_owned();
    let asked = json!({ "QueueUrl": url, "AttributeNames": ["Policy"] });
    let found = stack.control("POST", "/", "AmazonSQS.GetQueueAttributes", &asked)?;
    let was = found["Attributes"]["Policy"].clone();
    let mut policy: Value = serde_json::from_str(was.as_str().context("the queue has a policy")?)?;
    let statements = policy["Statement"].as_array_mut().context("a policy has statements")?;
    match statement {
        Some(statement) => statements.push(statement),
        None => statements.clear(),
    }
    set_policy(stack, &url, &json!(policy.to_string()))?;
    Ok((url, was))
}

async fn plant(stack: &Stack) -> Result<Before> {
    let sns = aws_sdk_sns::Client::new(&stack.sdk());
    let names = ["-dead-letters", "-wake-age", "-parked", "-lag", "-queue-age"];
    let alarms = names.iter().map(|name| alarm(stack, name)).collect::<Result<Vec<_>>>()?;
    let deleted = json!({ "AlarmNames": [alarms[0]["AlarmName"]] });
    stack.control("POST", "/", "GraniteServiceVersion20100801.DeleteAlarms", &deleted)?;
    put(stack, &alarms[1], &[("Dimensions", json!([{ "Name": "QueueName", "Value": "another" }]))])?;
    put(stack, &alarms[2], &[("ActionsEnabled", json!(false))])?;
    put(stack, &alarms[3], &[("AlarmActions", json!([]))])?;
    put(stack, &alarms[4], &[("Threshold", json!(86_400))])?;
    let allow =
        |who: Value| Some(json!({ "Effect": "Allow", "Principal": who, "Action": "sqs:SendMessage", "Resource": "x" }));
    let policies = vec![
        widen(stack, "CrmTimelineDeadLetterQueueUrl", None)?,
        widen(stack, "InventoryDeadLetterQueueUrl", allow(json!("*")))?,
        widen(stack, "OrderSummaryDeadLetterQueueUrl", allow(json!({ "Service": "sns.amazonaws.com" })))?,
    ];
    delay(stack, 900)?;
    let topic = stack.output("EventsTopicArn")?.to_owned();
    let all = sns.get_topic_attributes().topic_arn(&topic).send().await?.attributes.unwrap_or_default();
    let open = json!({ "Version": "2012-10-17", "Statement": [] }).to_string();
    set_topic(&sns, &topic, &open).await?;
    let limit = format!("/2017-10-31/functions/{}-crm-timeline/concurrency", stack.stack_name);
    stack.control("PUT", &limit, "", &json!({ "ReservedConcurrentExecutions": 0 }))?;
    let rules = rules(stack)?;
    rules.iter().try_for_each(|rule| events(stack, "DisableRule", rule))?;
    let group = logs(stack, "DescribeLogGroups", &json!({ "logGroupNamePrefix": stack.output("LogGroup")? }))?;
    logs(stack, "DeleteRetentionPolicy", &json!({}))?;
    recover(stack, false)?;
    let stranger = stack.control("POST", "/", "AmazonSQS.CreateQueue", &json!({ "QueueName": "stranger" }))?;
    let heard = sns.subscribe().topic_arn(&topic).protocol("sqs").return_subscription_arn(true);
    let heard = heard.endpoint("arn:aws:sqs:us-east-1:000000000000:stranger").send().await?;
    let dead = stack.output("ShippingDeadLetterQueueUrl")?;
    let source = format!("arn:aws:sqs:us-east-1:000000000000:{}", dead.rsplit('/').next().unwrap_or_default());
    let taken =
        json!({ "EventSourceArn": source, "FunctionName": format!("{}-shipping", stack.stack_name), "Enabled": false });
    let mapping = stack.control("POST", "/2015-03-31/event-source-mappings/", "", &taken)?;
    ensure!(stranger["QueueUrl"].is_string() && mapping["UUID"].is_string(), "{stranger} {mapping}");
    Ok(Before {
        alarms,
        policies,
        topic: (topic, all.get("Policy").cloned().context("the topic has a policy")?),
        rules,
        days: group["logGroups"][0]["retentionInDays"].clone(),
        stranger: heard.subscription_arn.context("a subscription has an ARN")?,
        mapping: mapping["UUID"].clone(),
    })
}

async fn put_back(stack: &Stack, before: &Before) -> Result<()> {
    let sns = aws_sdk_sns::Client::new(&stack.sdk());
    before.alarms.iter().try_for_each(|alarm| put(stack, alarm, &[]))?;
    before.policies.iter().try_for_each(|(url, policy)| set_policy(stack, url, policy))?;
    delay(stack, 0)?;
    set_topic(&sns, &before.topic.0, &before.topic.1).await?;
    let limit = format!("/2017-10-31/functions/{}-crm-timeline/concurrency", stack.stack_name);
    stack.control("DELETE", &limit, "", &Value::Null)?;
    before.rules.iter().try_for_each(|rule| events(stack, "EnableRule", rule))?;
    logs(stack, "PutRetentionPolicy", &json!({ "retentionInDays": before.days }))?;
    recover(stack, true)?;
    sns.unsubscribe().subscription_arn(&before.stranger).send().await?;
    let mapping = format!("/2015-03-31/event-source-mappings/{}", before.mapping.as_str().unwrap_or_default());
    stack.control("DELETE", &mapping, "", &Value::Null)?;
    Ok(())
}

async fn set_topic(sns: &aws_sdk_sns::Client, topic: &str, policy: &str) -> Result<()> {
    let set = sns.set_topic_attributes().topic_arn(topic).attribute_name("Policy").attribute_value(policy);
    set.send().await?;
    Ok(())
}

/// The auditor's minute, of this stage and not of the one beside it, and the rule of the receiver.
fn rules(stack: &Stack) -> Result<Vec<Value>> {
    let (minute, bus) = (stack.output("AuditorRuleName")?, stack.output("BusName")?);
    let all = stack.control("POST", "/", "AWSEvents.ListRules", &json!({ "EventBusName": bus }))?;
    let is_it = |rule: &&Value| rule["Name"].as_str().is_some_and(|name| name.contains("-Rule-"));
    let rule = all["Rules"].as_array().into_iter().flatten().find(is_it).with_context(|| format!("no rule: {all}"))?;
    Ok(vec![json!({ "Name": minute, "EventBusName": "default" }), json!({ "Name": rule["Name"], "EventBusName": bus })])
}

fn off_gone_or_open(stack: &Stack) -> Result<()> {
    wait(async {
        is_sound(stack).await?;
        let before = plant(stack).await?;
        let looked = towpath(stack, &["doctor"]);
        put_back(stack, &before).await?;
        let (code, report) = looked?;
        ensure!(code == 3, "{code}: {report}");
        let findings = report["findings"].as_array().context("it reports findings")?;
        for (rule, what, fix) in PLANTED {
            let says =
                |it: &&Value, field: &str, text: &str| it[field].as_str().is_some_and(|said| said.contains(text));
            let found =
                findings.iter().filter(|it| it["rule"] == *rule && says(it, "what", what) && says(it, "fix", fix));
            ensure!(found.count() >= 1, "{rule}: {what}: {report:#}");
        }
        let known: Vec<&str> = PLANTED.iter().map(|(rule, ..)| *rule).collect();
        let strange = findings.iter().filter(|it| !known.contains(&it["rule"].as_str().unwrap_or_default()));
        let strange: Vec<_> = strange.filter(|it| it["rule"] != "function-without-consumer").collect();
        ensure!(strange.is_empty(), "nobody planted {strange:?}");
        is_sound(stack).await
    })
}
