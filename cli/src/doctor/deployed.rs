//! Reads back what was deployed: each template as CloudFormation processed it, its parameters, and what its resources are
//! called in AWS. Must not know: any rule, what is set now.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use aws_sdk_cloudformation::types::TemplateStage;
use serde_json::{Map, Value, json};
use towpath_doctor::Source;

use crate::stack::Stack;

/// What a place is in AWS.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    pub(crate) kind: String,
    /// The physical id: of a queue its URL, of a topic its ARN, of most others a name.
    pub(crate) id: String,
}

/// The stack as its templates and parameters say.
pub(crate) struct Deployed {
    /// What CloudFormation is doing with it: `UPDATE_COMPLETE`.
    pub(crate) status: String,
    /// All templates together, each reference a place: what the rules judge.
    pub(crate) stack: towpath_doctor::Stack,
    /// Each template by itself, with the texts that its parameters are: what its properties were set to.
    alone: BTreeMap<String, towpath_doctor::Stack>,
    /// The name of each stack.
    names: BTreeMap<String, String>,
    made: BTreeMap<String, Made>,
    /// Places, by everything that AWS calls them.
    places: BTreeMap<String, String>,
    partition: String,
    region: String,
    account: String,
}

/// One stack, the root or nested.
struct Part {
    scope: String,
    arn: String,
    name: String,
    status: String,
    template: Value,
    parameters: Vec<(String, String)>,
    resources: Vec<(String, Made)>,
}

impl Deployed {
    /// Reads all of it.
    pub(crate) async fn read(stack: &Stack) -> Result<Self> {
        let cloudformation = stack.cloudformation();
        let mut parts = vec![part(&cloudformation, String::new(), &stack.name).await?];
        let nested: Vec<_> =
            parts[0].resources.iter().filter(|(_, made)| made.kind == "AWS::CloudFormation::Stack").cloned().collect();
        for (scope, made) in nested {
            parts.push(part(&cloudformation, scope, &made.id).await?);
        }
        Ok(Self::new(parts))
    }

    fn new(parts: Vec<Part>) -> Self {
        let mut source = Source { root: parts[0].template.clone(), nested: BTreeMap::new() };
        let mut alone = BTreeMap::new();
        for part in &parts[1..] {
            // Two nested stacks of one template may have been deployed at different times.
            source.root["Resources"][&part.scope]["Properties"]["TemplateURL"] = json!(part.scope);
            source.nested.insert(part.scope.clone(), part.template.clone());
            let itself = Source { root: part.template.clone(), nested: BTreeMap::new() };
            alone.insert(part.scope.clone(), towpath_doctor::Stack::new(&itself, &part.parameters()));
        }
        let whole = towpath_doctor::Stack::new(&source, &parts[0].parameters());
        alone.insert(String::new(), whole.clone());
        // arn:aws:cloudformation:eu-west-1:123456789012:stack/towpath-prod/…
        let word = |at: usize| parts[0].arn.split(':').nth(at).unwrap_or_default().to_owned();
        let (partition, region, account) = (word(1), word(3), word(4));
        let status = parts[0].status.clone();
        let names = parts.iter().map(|part| (part.scope.clone(), part.name.clone())).collect();
        let made = parts.into_iter().flat_map(|part| part.resources).collect();
        let places = BTreeMap::new();
        let mut read = Self { status, stack: whole, alone, names, made, places, partition, region, account };
        read.name_rules();
        let called = |(place, made): (&String, &Made)| -> Vec<(String, String)> {
            [Some(made.id.clone()), read.arn(made)].into_iter().flatten().map(|name| (name, place.clone())).collect()
        };
        read.places = read.made.iter().flat_map(called).collect();
        read
    }

    /// One template with what it made: place, type, physical id.
    #[cfg(test)]
    pub(crate) fn of(template: Value, made: &[(&str, &str, &str)]) -> Self {
        let made = made
            .iter()
            .map(|(place, kind, id)| ((*place).to_owned(), Made { kind: (*kind).to_owned(), id: (*id).to_owned() }));
        Self::new(vec![Part {
            scope: String::new(),
            arn: "arn:aws:cloudformation:eu-west-1:1:stack/s/u".to_owned(),
            name: "s".to_owned(),
            status: String::new(),
            template,
            parameters: Vec::new(),
            resources: made.collect(),
        }])
    }

    /// A rule of a bus is called `bus|rule`, by an emulator too.
    fn name_rules(&mut self) {
        let of_bus = |(place, made): (&String, &Made)| {
            let bus = self.was(place, "EventBusName")?;
            let is_short = made.kind == "AWS::Events::Rule" && !made.id.contains('|');
            bus.as_str().filter(|_| is_short).map(|bus| (place.clone(), format!("{bus}|{}", made.id)))
        };
        let longer: Vec<(String, String)> = self.made.iter().filter_map(of_bus).collect();
        for (place, id) in longer {
            if let Some(made) = self.made.get_mut(&place) {
                made.id = id;
            }
        }
    }

    /// Everything of a type, with its place and its physical id.
    pub(crate) fn each<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let of_kind = self.made.iter().filter(move |(_, made)| made.kind == kind);
        of_kind.map(|(place, made)| (place.as_str(), made.id.as_str()))
    }

    /// What a place is in AWS.
    pub(crate) fn made(&self, place: &str) -> Option<&Made> {
        self.made.get(place)
    }

    /// The place that AWS calls by this name, ARN or URL.
    pub(crate) fn place(&self, name: &str) -> Option<&str> {
        self.places.get(name).map(String::as_str)
    }

    /// What a property was set to, every reference put in; none if that cannot be told from here.
    pub(crate) fn was(&self, place: &str, property: &str) -> Option<Value> {
        let (scope, local) = place.split_once('/').unwrap_or(("", place));
        let resource = self.alone.get(scope)?.at(local)?;
        self.literal(scope, resource.property(property))
    }

    fn literal(&self, scope: &str, value: &Value) -> Option<Value> {
        let place = |name: &str| if scope.is_empty() { name.to_owned() } else { format!("{scope}/{name}") };
        if let Some(name) = value["Ref"].as_str() {
            return self.pseudo(scope, name).or_else(|| Some(self.made(&place(name))?.id.clone())).map(Value::from);
        }
        if let (Some(name), Some(attribute)) = (value["Fn::GetAtt"][0].as_str(), value["Fn::GetAtt"][1].as_str()) {
            return self.attribute(&place(name), attribute).map(Value::from);
        }
        if let Some(text) = value["Fn::Sub"].as_str() {
            return self.substituted(scope, text).map(Value::from);
        }
        match value {
            Value::Object(fields) if fields.keys().any(|key| key.starts_with("Fn::")) => None,
            Value::Object(fields) => {
                let each = fields.iter().map(|(key, value)| Some((key.clone(), self.literal(scope, value)?)));
                each.collect::<Option<Map<_, _>>>().map(Value::Object)
            }
            Value::Array(items) => items.iter().map(|item| self.literal(scope, item)).collect(),
            plain => Some(plain.clone()),
        }
    }

    fn pseudo(&self, scope: &str, name: &str) -> Option<String> {
        match name {
            "AWS::Partition" => Some(self.partition.clone()),
            "AWS::Region" => Some(self.region.clone()),
            "AWS::AccountId" => Some(self.account.clone()),
            "AWS::StackName" => self.names.get(scope).cloned(),
            _ => None,
        }
    }

    fn substituted(&self, scope: &str, text: &str) -> Option<String> {
        let mut parts = text.split("${");
        let mut whole = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (name, rest) = part.split_once('}')?;
            let value = match name.split_once('.') {
                Some((name, attribute)) => self.literal(scope, &json!({ "Fn::GetAtt": [name, attribute] })),
                None => self.literal(scope, &json!({ "Ref": name })),
            };
            whole += value?.as_str()?;
            whole += rest;
        }
        Some(whole)
    }

    fn attribute(&self, place: &str, attribute: &str) -> Option<String> {
        let made = self.made(place)?;
        match (made.kind.as_str(), attribute) {
            ("AWS::SQS::Queue", "QueueName") => Some(last(&made.id, '/')),
            ("AWS::SQS::Queue", "QueueUrl") => Some(made.id.clone()),
            ("AWS::SNS::Topic", "TopicName") => Some(last(&made.id, ':')),
            (_, "Arn" | "TopicArn") => self.arn(made),
            _ => None,
        }
    }

    fn arn(&self, made: &Made) -> Option<String> {
        let id = &made.id;
        if id.starts_with("arn:") {
            return Some(id.clone());
        }
        let (service, rest) = match made.kind.as_str() {
            "AWS::SQS::Queue" => ("sqs", last(id, '/')),
            "AWS::DynamoDB::Table" => ("dynamodb", format!("table/{id}")),
            "AWS::Lambda::Function" => ("lambda", format!("function:{id}")),
            "AWS::Logs::LogGroup" => ("logs", format!("log-group:{id}:*")),
            "AWS::KMS::Key" => ("kms", format!("key/{id}")),
            // The id of a rule of a bus is `bus|rule`.
            "AWS::Events::Rule" => ("events", format!("rule/{}", id.replace('|', "/"))),
            _ => return None,
        };
        Some(format!("arn:{}:{service}:{}:{}:{rest}", self.partition, self.region, self.account))
    }
}

impl Part {
    fn parameters(&self) -> Vec<(&str, &str)> {
        self.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }
}

async fn part(cloudformation: &aws_sdk_cloudformation::Client, scope: String, stack: &str) -> Result<Part> {
    let about = cloudformation.describe_stacks().stack_name(stack).send().await;
    let about = about.with_context(|| format!("cloudformation:DescribeStacks of {stack}"))?;
    let about = about.stacks().first().with_context(|| format!("there is no stack {stack}"))?;
    let parameter = |it: &aws_sdk_cloudformation::types::Parameter| {
        let value = it.resolved_value().or(it.parameter_value())?;
        Some((it.parameter_key()?.to_owned(), value.to_owned()))
    };
    let template = cloudformation.get_template().stack_name(stack).template_stage(TemplateStage::Processed);
    let template = template.send().await.with_context(|| format!("cloudformation:GetTemplate of {stack}"))?;
    let template = towpath_doctor::parse(template.template_body().unwrap_or_default());
    let template = template.map_err(|why| anyhow::anyhow!("the template of {stack} cannot be read: {why}"))?;
    anyhow::ensure!(
        template["Transform"].is_null(),
        "CloudFormation gives the template of {stack} back as it was written, with its transform still to come, so what was \
         deployed cannot be judged: judge the file instead, with --template"
    );
    let mut resources = Vec::new();
    let mut pages = cloudformation.list_stack_resources().stack_name(stack).into_paginator().items().send();
    while let Some(resource) = pages.next().await {
        let resource = resource.with_context(|| format!("cloudformation:ListStackResources of {stack}"))?;
        let Some(id) = resource.physical_resource_id() else { continue };
        let logical = resource.logical_resource_id().unwrap_or_default();
        let place = if scope.is_empty() { logical.to_owned() } else { format!("{scope}/{logical}") };
        let kind = resource.resource_type().unwrap_or_default().to_owned();
        resources.push((place, Made { kind, id: id.to_owned() }));
    }
    Ok(Part {
        scope,
        arn: about.stack_id().unwrap_or_default().to_owned(),
        name: about.stack_name().unwrap_or_default().to_owned(),
        status: about.stack_status().map_or("", |status| status.as_str()).to_owned(),
        template,
        parameters: about.parameters().iter().filter_map(parameter).collect(),
        resources,
    })
}

fn last(text: &str, between: char) -> String {
    text.rsplit(between).next().unwrap_or_default().to_owned()
}
