//! The stack as it would be deployed: nested stacks side by side, parameters put in, every reference a place.
//! `Ref` and `GetAtt` then name `InventoryConsumer/Queue`, wherever they stand. Must not know: any rule.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::source::{ROOT, Source};

/// All resources of the root and of its nested stacks.
pub(crate) struct Stack {
    resources: Vec<Resource>,
    /// The crates under functions/.
    pub(crate) functions: BTreeSet<String>,
    /// What each consumer's code handles.
    pub(crate) handled: BTreeMap<String, BTreeSet<String>>,
    /// The consumers that carry out commands.
    pub(crate) commanded: BTreeSet<String>,
    /// Consumers whose code puts events on the bus.
    pub(crate) forwarding: BTreeSet<String>,
}

/// One resource.
pub(crate) struct Resource {
    /// `RelayFunction`, or `InventoryConsumer/Queue`.
    pub(crate) place: String,
    pub(crate) kind: String,
    body: Value,
}

impl Resource {
    /// The part of it that the pointer names, or null.
    pub(crate) fn at(&self, pointer: &str) -> &Value {
        self.body.pointer(pointer).unwrap_or(&Value::Null)
    }

    /// One of its properties, or null.
    pub(crate) fn property(&self, name: &str) -> &Value {
        &self.body["Properties"][name]
    }

    /// A property that is a whole number.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        number(self.property(name))
    }

    /// All its properties.
    pub(crate) fn properties(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.body["Properties"].as_object().into_iter().flatten()
    }

    /// The nested stack that it is in; empty for the root.
    pub(crate) fn scope(&self) -> &str {
        self.place.split_once('/').map_or("", |(scope, _)| scope)
    }

    /// Is it FIFO, as a queue or as a topic?
    pub(crate) fn is_fifo(&self) -> bool {
        *self.property("FifoQueue") == true || *self.property("FifoTopic") == true
    }
}

/// A function, what wakes it, and the queue that this reads.
pub(crate) struct Consumed<'a> {
    pub(crate) mapping: &'a Resource,
    pub(crate) queue: &'a Resource,
    pub(crate) function: &'a Resource,
}

impl Stack {
    pub(crate) fn new(source: &Source) -> Self {
        let resolver = Resolver { source };
        let mut resources = Vec::new();
        for (scope, template) in resolver.stacks() {
            for (name, body) in template["Resources"].as_object().into_iter().flatten() {
                let condition = body["Condition"].as_str().map(|name| &template["Conditions"][name]);
                if condition.is_some_and(|condition| !resolver.holds(&scope, condition)) {
                    continue;
                }
                let kind = body["Type"].as_str().unwrap_or_default().to_owned();
                resources.push(Resource { place: place(&scope, name), kind, body: resolver.resolve(&scope, body) });
            }
        }
        let Source { functions, handled, commanded, forwarding, .. } = source.clone();
        Self { resources, functions, handled, commanded, forwarding }
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Resource> {
        self.resources.iter()
    }

    /// Every resource of a type.
    pub(crate) fn each<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Resource> {
        self.resources.iter().filter(move |resource| resource.kind == kind)
    }

    /// The resource that a `Ref` or a `GetAtt` names.
    pub(crate) fn follow(&self, reference: &Value) -> Option<&Resource> {
        let place = reference["Ref"].as_str().or_else(|| reference["Fn::GetAtt"][0].as_str())?;
        self.resources.iter().find(|resource| resource.place == place)
    }

    /// The function that a mapping wakes, through its alias.
    pub(crate) fn function_of(&self, mapping: &Resource) -> Option<&Resource> {
        let alias = self.follow(mapping.property("FunctionName")).filter(|alias| alias.kind == "AWS::Lambda::Alias")?;
        self.follow(alias.property("FunctionName"))
    }

    /// Every queue that a function takes from.
    pub(crate) fn consumed(&self) -> impl Iterator<Item = Consumed<'_>> {
        self.each("AWS::Lambda::EventSourceMapping").filter_map(|mapping| {
            let source = self.follow(mapping.property("EventSourceArn"));
            let queue = source.filter(|source| source.kind == "AWS::SQS::Queue")?;
            Some(Consumed { mapping, queue, function: self.function_of(mapping)? })
        })
    }

    /// Every queue that no function takes from: somebody looks into it by hand.
    pub(crate) fn set_aside(&self) -> impl Iterator<Item = &Resource> {
        let taken: BTreeSet<&str> = self.consumed().map(|consumed| consumed.queue.place.as_str()).collect();
        self.each("AWS::SQS::Queue").filter(move |queue| !taken.contains(queue.place.as_str()))
    }
}

/// The crate whose binary a function runs.
pub(crate) fn binary_of(function: &Resource) -> &str {
    function.at("/Metadata/BuildProperties/Binary").as_str().unwrap_or_default()
}

/// A whole number, however YAML wrote it.
pub(crate) fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn place(scope: &str, name: &str) -> String {
    if scope.is_empty() { name.to_owned() } else { format!("{scope}/{name}") }
}

struct Resolver<'a> {
    source: &'a Source,
}

impl<'a> Resolver<'a> {
    /// The root, under the empty name, and every nested stack.
    fn stacks(&self) -> Vec<(String, &'a Value)> {
        let nested = |(name, body): (&String, &Value)| {
            (body["Type"] == "AWS::CloudFormation::Stack").then(|| (name.clone(), self.template(name)))
        };
        let root = self.template("");
        let mut stacks = vec![(String::new(), root)];
        stacks.extend(root["Resources"].as_object().into_iter().flatten().filter_map(nested));
        stacks
    }

    fn template(&self, scope: &str) -> &'a Value {
        let root = &self.source.templates[ROOT];
        if scope.is_empty() {
            return root;
        }
        let url = root["Resources"][scope]["Properties"]["TemplateURL"].as_str().unwrap_or_default();
        let path = url.rfind("infra/").map_or(url, |start| &url[start..]);
        self.source.templates.get(path).unwrap_or_else(|| panic!("{scope} is made of {url}, which is not in infra/"))
    }

    /// Does a condition hold with the parameters as they are?
    fn holds(&self, scope: &str, condition: &Value) -> bool {
        if let Some(not) = condition["Fn::Not"].get(0) {
            return !self.holds(scope, not);
        }
        let text = |side: &Value| match self.resolve(scope, side) {
            Value::Object(join) => {
                let items = join["Fn::Join"][1].as_array().cloned().unwrap_or_default();
                items
                    .iter()
                    .filter_map(Value::as_str)
                    .collect::<Vec<_>>()
                    .join(join["Fn::Join"][0].as_str().unwrap_or_default())
            }
            plain => plain.as_str().unwrap_or_default().to_owned(),
        };
        let sides = &condition["Fn::Equals"];
        assert!(sides.is_array(), "a condition of {scope:?} is neither Equals nor Not: {condition}");
        text(&sides[0]) == text(&sides[1])
    }

    fn resolve(&self, scope: &str, value: &Value) -> Value {
        if let Some(name) = value["Ref"].as_str() {
            return self.reference(scope, name);
        }
        if let (Some(name), Some(attribute)) = (value["Fn::GetAtt"][0].as_str(), value["Fn::GetAtt"][1].as_str()) {
            return match attribute.strip_prefix("Outputs.") {
                Some(output) => self.resolve(name, &self.template(name)["Outputs"][output]["Value"]),
                None => json!({ "Fn::GetAtt": [place(scope, name), attribute] }),
            };
        }
        match value {
            Value::Object(fields) => {
                let resolved = fields.iter().map(|(key, value)| (key.clone(), self.resolve(scope, value)));
                Value::Object(resolved.collect::<Map<_, _>>())
            }
            Value::Array(items) => items.iter().map(|item| self.resolve(scope, item)).collect(),
            plain => plain.clone(),
        }
    }

    fn reference(&self, scope: &str, name: &str) -> Value {
        let Some(parameter) = self.template(scope)["Parameters"].get(name) else {
            let is_pseudo = name.starts_with("AWS::");
            return json!({ "Ref": if is_pseudo { name.to_owned() } else { place(scope, name) } });
        };
        let given = match scope {
            "" => None,
            _ => self.template("")["Resources"][scope]["Properties"]["Parameters"].get(name),
        };
        // What must be given has no default: an address does for everything that must be.
        let default = || parameter.get("Default").cloned().unwrap_or_else(|| json!(format!("https://{name}.example")));
        let value = given.map_or_else(default, |given| self.resolve("", given));
        match value.as_str() {
            Some(text) if parameter["Type"] == "CommaDelimitedList" => text.split(',').map(str::trim).collect(),
            _ => value,
        }
    }
}
