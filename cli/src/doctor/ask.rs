//! Asks each service what is set on what was deployed, with calls that only read. What is gone is left out.
//! Must not know: what is right and what is wrong.

use std::collections::HashMap;

use anyhow::{Context, Result};
use aws_sdk_cloudwatch::types::{AlarmType, CompositeAlarm, MetricAlarm};
use aws_sdk_lambda::types::EventSourceMappingConfiguration;
use aws_sdk_sqs::types::QueueAttributeName;

use super::deployed::Deployed;
use super::live::{Function, Logs, Queue, Schedule, Table, Topic};
use crate::stack::Stack;

/// CloudWatch takes so many names in one request.
const ALARMS_AT_ONCE: usize = 100;

/// Every function, with its versions.
pub(super) async fn functions(stack: &Stack, deployed: &Deployed) -> Result<Vec<Function>> {
    let lambda = stack.lambda();
    let mut found = Vec::new();
    for (place, name) in deployed.each("AWS::Lambda::Function") {
        found.push(function(&lambda, place, name).await?);
    }
    Ok(found)
}

async fn function(lambda: &aws_sdk_lambda::Client, place: &str, name: &str) -> Result<Function> {
    let about = lambda.get_function_configuration().function_name(name).send().await;
    let about = about.with_context(|| format!("lambda:GetFunctionConfiguration of {name}"))?;
    let reserved = lambda.get_function_concurrency().function_name(name).send().await;
    let reserved = reserved.with_context(|| format!("lambda:GetFunctionConcurrency of {name}"))?;
    let recursion = lambda.get_function_recursion_config().function_name(name).send().await;
    let recursion = recursion.with_context(|| format!("lambda:GetFunctionRecursionConfig of {name}"))?;
    let alias = lambda.get_alias().function_name(name).name("live").send().await;
    let live = match alias {
        Ok(alias) => alias.function_version,
        Err(error) if error.as_service_error().is_some_and(|it| it.is_resource_not_found_exception()) => None,
        Err(error) => return Err(error).with_context(|| format!("lambda:GetAlias of {name}")),
    };
    let mut pages = lambda.list_versions_by_function().function_name(name).into_paginator().items().send();
    let mut newest: Option<u64> = None;
    while let Some(version) = pages.next().await {
        let version = version.with_context(|| format!("lambda:ListVersionsByFunction of {name}"))?;
        newest = newest.max(version.version().and_then(|number| number.parse().ok()));
    }
    Ok(Function {
        place: place.to_owned(),
        name: name.to_owned(),
        timeout: i64::from(about.timeout.unwrap_or_default()),
        variables: about.environment.and_then(|environment| environment.variables).unwrap_or_default(),
        reserved: reserved.reserved_concurrent_executions,
        recursion: recursion.recursive_loop.map(|recursion| recursion.as_str().to_owned()),
        live,
        newest: newest.map(|number| number.to_string()),
    })
}

/// The mappings of the stack, and every other that feeds one of its functions or takes from one of its queues or tables.
pub(super) async fn mappings(stack: &Stack, deployed: &Deployed) -> Result<Vec<EventSourceMappingConfiguration>> {
    let lambda = stack.lambda();
    let mut found = Vec::new();
    let mut pages = lambda.list_event_source_mappings().into_paginator().items().send();
    while let Some(mapping) = pages.next().await {
        let mapping = mapping.context("lambda:ListEventSourceMappings")?;
        let source = mapping.event_source_arn().unwrap_or_default();
        let table = source.split("/stream/").next().unwrap_or_default();
        let ends = [mapping.uuid().unwrap_or_default(), mapping.function_arn().unwrap_or_default(), source, table];
        if ends.iter().any(|end| deployed.place(end).is_some()) {
            found.push(mapping);
        }
    }
    Ok(found)
}

/// Every queue that is there.
pub(super) async fn queues(stack: &Stack, deployed: &Deployed) -> Result<Vec<Queue>> {
    let sqs = stack.sqs();
    let mut found = Vec::new();
    for (place, url) in deployed.each("AWS::SQS::Queue") {
        let all = sqs.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::All).send().await;
        if all.as_ref().is_err_and(|error| error.as_service_error().is_some_and(|it| it.is_queue_does_not_exist())) {
            continue;
        }
        let all = all.with_context(|| format!("sqs:GetQueueAttributes of {url}"))?;
        let attributes = all.attributes.unwrap_or_default();
        found.push(Queue { place: place.to_owned(), url: url.to_owned(), attributes });
    }
    Ok(found)
}

/// Every topic that is there.
pub(super) async fn topics(stack: &Stack, deployed: &Deployed) -> Result<Vec<Topic>> {
    let sns = stack.sns();
    let mut found = Vec::new();
    for (place, arn) in deployed.each("AWS::SNS::Topic") {
        let all = sns.get_topic_attributes().topic_arn(arn).send().await;
        if all.as_ref().is_err_and(|error| error.as_service_error().is_some_and(|it| it.is_not_found_exception())) {
            continue;
        }
        let all = all.with_context(|| format!("sns:GetTopicAttributes of {arn}"))?;
        let attributes = all.attributes.unwrap_or_default();
        found.push(Topic { place: place.to_owned(), arn: arn.to_owned(), attributes });
    }
    Ok(found)
}

/// The attributes of each subscription of these topics.
pub(super) async fn subscriptions(stack: &Stack, topics: &[Topic]) -> Result<Vec<HashMap<String, String>>> {
    let sns = stack.sns();
    let mut found = Vec::new();
    for Topic { arn: topic, .. } in topics {
        let mut pages = sns.list_subscriptions_by_topic().topic_arn(topic).into_paginator().items().send();
        while let Some(subscription) = pages.next().await {
            let subscription = subscription.with_context(|| format!("sns:ListSubscriptionsByTopic of {topic}"))?;
            let arn = subscription.subscription_arn.unwrap_or_default();
            // An address that has not confirmed yet has no ARN, and nothing is set on it.
            let mut attributes = HashMap::new();
            if arn.starts_with("arn:") {
                let all = sns.get_subscription_attributes().subscription_arn(&arn).send().await;
                let all = all.with_context(|| format!("sns:GetSubscriptionAttributes of {arn}"))?;
                attributes = all.attributes.unwrap_or_default();
            }
            // AWS says these twice, an emulator need not.
            attributes.insert("Endpoint".to_owned(), subscription.endpoint.unwrap_or_default());
            attributes.insert("SubscriptionArn".to_owned(), arn);
            attributes.insert("TopicArn".to_owned(), topic.clone());
            found.push(attributes);
        }
    }
    Ok(found)
}

/// Every table.
pub(super) async fn tables(stack: &Stack, deployed: &Deployed) -> Result<Vec<Table>> {
    let dynamodb = stack.dynamodb();
    let mut found = Vec::new();
    for (place, name) in deployed.each("AWS::DynamoDB::Table") {
        found.push(table(&dynamodb, place, name).await?);
    }
    Ok(found)
}

async fn table(dynamodb: &aws_sdk_dynamodb::Client, place: &str, name: &str) -> Result<Table> {
    let about = dynamodb.describe_table().table_name(name).send().await;
    let about = about.with_context(|| format!("dynamodb:DescribeTable of {name}"))?.table;
    let backups = dynamodb.describe_continuous_backups().table_name(name).send().await;
    let backups = backups.with_context(|| format!("dynamodb:DescribeContinuousBackups of {name}"))?;
    let expiry = dynamodb.describe_time_to_live().table_name(name).send().await;
    let expiry = expiry.with_context(|| format!("dynamodb:DescribeTimeToLive of {name}"))?.time_to_live_description;
    let recovery = backups.continuous_backups_description.and_then(|it| it.point_in_time_recovery_description);
    let view = about.as_ref().and_then(|it| it.stream_specification()).and_then(|it| it.stream_view_type());
    let is_on = |it: &aws_sdk_dynamodb::types::TimeToLiveDescription| {
        it.time_to_live_status().is_some_and(|status| ["ENABLED", "ENABLING"].contains(&status.as_str()))
    };
    Ok(Table {
        place: place.to_owned(),
        is_protected: about.as_ref().is_some_and(|it| it.deletion_protection_enabled() == Some(true)),
        recovers: recovery
            .and_then(|it| it.point_in_time_recovery_status)
            .is_some_and(|status| status.as_str() == "ENABLED"),
        expires: expiry.filter(is_on).and_then(|it| it.attribute_name),
        view: view.map(|view| view.as_str().to_owned()),
        encryption: about.and_then(|it| it.sse_description),
    })
}

/// Every alarm that is there.
pub(super) async fn alarms(stack: &Stack, deployed: &Deployed) -> Result<(Vec<MetricAlarm>, Vec<CompositeAlarm>)> {
    let cloudwatch = stack.cloudwatch();
    let of = |kind| deployed.each(kind).map(|(_, name)| name.to_owned());
    let names: Vec<String> = of("AWS::CloudWatch::Alarm").chain(of("AWS::CloudWatch::CompositeAlarm")).collect();
    let (mut metric, mut composite) = (Vec::new(), Vec::new());
    for names in names.chunks(ALARMS_AT_ONCE) {
        let asked = cloudwatch.describe_alarms().set_alarm_names(Some(names.to_vec()));
        let asked = asked.alarm_types(AlarmType::MetricAlarm).alarm_types(AlarmType::CompositeAlarm);
        let mut pages = asked.into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.context("cloudwatch:DescribeAlarms")?;
            metric.extend(page.metric_alarms.unwrap_or_default());
            composite.extend(page.composite_alarms.unwrap_or_default());
        }
    }
    Ok((metric, composite))
}

/// Every log group that is there.
pub(super) async fn logs(stack: &Stack, deployed: &Deployed) -> Result<Vec<Logs>> {
    let logs = stack.logs();
    let mut found = Vec::new();
    for (place, name) in deployed.each("AWS::Logs::LogGroup") {
        let mut pages = logs.describe_log_groups().log_group_name_prefix(name).into_paginator().items().send();
        while let Some(group) = pages.next().await {
            let group = group.with_context(|| format!("logs:DescribeLogGroups of {name}"))?;
            if group.log_group_name() == Some(name) {
                found.push(Logs { place: place.to_owned(), days: group.retention_in_days, key: group.kms_key_id });
            }
        }
    }
    Ok(found)
}

/// Every rule of a bus or of the clock that is there.
pub(super) async fn schedules(stack: &Stack, deployed: &Deployed) -> Result<Vec<Schedule>> {
    let eventbridge = stack.eventbridge();
    let mut found = Vec::new();
    for (place, id) in deployed.each("AWS::Events::Rule") {
        let (bus, name) = id.split_once('|').map_or((None, id), |(bus, name)| (Some(bus.to_owned()), name));
        let about = eventbridge.describe_rule().name(name).set_event_bus_name(bus).send().await;
        let is_gone = about
            .as_ref()
            .is_err_and(|error| error.as_service_error().is_some_and(|it| it.is_resource_not_found_exception()));
        if is_gone {
            continue;
        }
        let about = about.with_context(|| format!("events:DescribeRule of {name}"))?;
        found.push(Schedule { place: place.to_owned(), about });
    }
    Ok(found)
}
