//! The stack as it would be deployed: nested stacks side by side, parameters put in, conditions decided, every reference
//! a place. `Ref` and `GetAtt` then name `InventoryConsumer/Queue`, wherever they stand. Must not know: any rule.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::source::Source;

/// All resources of the root and of its nested stacks.
#[derive(Debug, Clone)]
pub struct Stack {
    resources: Vec<Resource>,
    parameters: Value,
    chosen: BTreeMap<String, Value>,
    declared: Vec<(String, Value)>,
}

/// One resource.
#[derive(Debug, Clone)]
pub struct Resource {
    /// `RelayFunction`, or `InventoryConsumer/Queue`.
    pub place: String,
    /// `AWS::SQS::Queue`.
    pub kind: String,
    body: Value,
}

impl Resource {
    /// The part of it that the pointer names, or null.
    pub fn at(&self, pointer: &str) -> &Value {
        self.body.pointer(pointer).unwrap_or(&Value::Null)
    }

    /// One of its properties, or null.
    pub fn property(&self, name: &str) -> &Value {
        &self.body["Properties"][name]
    }

    /// A property that is a whole number.
    pub fn number(&self, name: &str) -> Option<u64> {
        number(self.property(name))
    }

    /// All its properties.
    pub fn properties(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.body["Properties"].as_object().into_iter().flatten()
    }

    /// The nested stack that it is in; empty for the root.
    pub fn scope(&self) -> &str {
        self.place.split_once('/').map_or("", |(scope, _)| scope)
    }

    /// Is it FIFO, as a queue or as a topic?
    pub fn is_fifo(&self) -> bool {
        *self.property("FifoQueue") == true || *self.property("FifoTopic") == true
    }

    /// A variable of a function's environment, or null.
    pub fn variable(&self, name: &str) -> &Value {
        &self.property("Environment")["Variables"][name]
    }
}

/// A function, what wakes it, and the queue that this reads.
#[derive(Debug)]
pub struct Consumed<'a> {
    /// What wakes the function.
    pub mapping: &'a Resource,
    /// What it takes from.
    pub queue: &'a Resource,
    /// Who takes.
    pub function: &'a Resource,
}

impl Stack {
    /// The stack that these templates make of these parameters; others have their defaults.
    pub fn new(source: &Source, parameters: &[(&str, &str)]) -> Self {
        let chosen = parameters.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let resolver = Resolver { source, chosen };
        let mut resources = Vec::new();
        for (scope, template) in resolver.stacks() {
            for (name, body) in template["Resources"].as_object().into_iter().flatten() {
                if body["Condition"].as_str().is_some_and(|name| !resolver.holds_by_name(&scope, name)) {
                    continue;
                }
                let kind = body["Type"].as_str().unwrap_or_default().to_owned();
                resources.push(Resource { place: place(&scope, name), kind, body: resolver.resolve(&scope, body) });
            }
        }
        let templates = source.nested.iter().map(|(url, template)| (file_of(url), template));
        let of = |(file, template): (&str, &Value)| -> Vec<(String, Value)> {
            let all = template["Parameters"].as_object().into_iter().flatten();
            all.map(|(name, body)| (format!("{file}: {name}"), body.clone())).collect()
        };
        let declared = std::iter::once(("the template", &source.root)).chain(templates).flat_map(of).collect();
        Self { resources, parameters: source.root["Parameters"].clone(), chosen: resolver.chosen, declared }
    }

    /// What is so now, which goes before what the template says: one property of one resource. Null takes it away.
    pub fn set(&mut self, place: &str, property: &str, now: Value) {
        if let Some(resource) = self.resources.iter_mut().find(|resource| resource.place == place) {
            resource.body["Properties"][property] = now;
        }
    }

    /// The resource at a place.
    pub fn at(&self, place: &str) -> Option<&Resource> {
        self.resources.iter().find(|resource| resource.place == place)
    }

    /// Every resource.
    pub fn all(&self) -> impl Iterator<Item = &Resource> {
        self.resources.iter()
    }

    /// Every resource of a type.
    pub fn each<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Resource> {
        self.resources.iter().filter(move |resource| resource.kind == kind)
    }

    /// What the root template says of a parameter, or null.
    pub fn parameter(&self, name: &str) -> &Value {
        &self.parameters[name]
    }

    /// What somebody chose for a parameter of the root template, instead of its default.
    pub fn chosen(&self, name: &str) -> Option<&Value> {
        self.chosen.get(name)
    }

    /// Is it to last? Yes, unless somebody has chosen another stage, and not that it is protected all the same.
    pub fn is_protected(&self) -> bool {
        self.chosen("Stage").is_none_or(|stage| stage == "prod")
            || self.chosen("Protected").is_some_and(|it| it == "true")
    }

    /// Every parameter of every template, with its place.
    pub(crate) fn declared(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.declared.iter().map(|(place, parameter)| (place.as_str(), parameter))
    }

    /// The resource that a `Ref` or a `GetAtt` names.
    pub fn follow(&self, reference: &Value) -> Option<&Resource> {
        let place = reference["Ref"].as_str().or_else(|| reference["Fn::GetAtt"][0].as_str())?;
        self.at(place)
    }

    /// The function that a mapping wakes, through its alias.
    pub fn function_of(&self, mapping: &Resource) -> Option<&Resource> {
        let alias = self.follow(mapping.property("FunctionName")).filter(|alias| alias.kind == "AWS::Lambda::Alias")?;
        self.follow(alias.property("FunctionName"))
    }

    /// Every queue that a function takes from.
    pub fn consumed(&self) -> impl Iterator<Item = Consumed<'_>> {
        self.each("AWS::Lambda::EventSourceMapping").filter_map(|mapping| {
            let source = self.follow(mapping.property("EventSourceArn"));
            let queue = source.filter(|source| source.kind == "AWS::SQS::Queue")?;
            Some(Consumed { mapping, queue, function: self.function_of(mapping)? })
        })
    }

    /// Every queue that no function takes from: somebody looks into it by hand.
    pub fn set_aside(&self) -> impl Iterator<Item = &Resource> {
        let taken: BTreeSet<&str> = self.consumed().map(|consumed| consumed.queue.place.as_str()).collect();
        self.each("AWS::SQS::Queue").filter(move |queue| !taken.contains(queue.place.as_str()))
    }

    /// The table that the functions are told of under this name.
    pub(crate) fn told_table(&self, variable: &str) -> Option<&Resource> {
        self.each("AWS::Lambda::Function").find_map(|function| self.follow(function.variable(variable)))
    }

    /// Every statement of a role: its own policies' and those of the managed policies that it has in this stack.
    pub(crate) fn statements_of<'a>(&'a self, role: &'a Resource) -> impl Iterator<Item = &'a Value> {
        let own = items(role.property("Policies")).iter().map(|policy| &policy["PolicyDocument"]);
        let managed = items(role.property("ManagedPolicyArns")).iter().filter_map(|policy| self.follow(policy));
        own.chain(managed.map(|policy| policy.property("PolicyDocument"))).flat_map(statements)
    }
}

/// `tables.yaml`.
fn file_of(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or(url)
}

/// The crate whose binary a function runs.
pub fn binary_of(function: &Resource) -> &str {
    function.at("/Metadata/BuildProperties/Binary").as_str().unwrap_or_default()
}

/// A whole number, however YAML wrote it.
pub(crate) fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// The items of a list, or none.
pub(crate) fn items(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// One text or a list of them.
pub(crate) fn texts(value: &Value) -> Vec<&str> {
    value.as_str().into_iter().chain(items(value).iter().filter_map(Value::as_str)).collect()
}

/// The statements of a policy, be it one or a list.
pub(crate) fn statements(document: &Value) -> &[Value] {
    match &document["Statement"] {
        one @ Value::Object(_) => std::slice::from_ref(one),
        list => items(list),
    }
}

fn place(scope: &str, name: &str) -> String {
    if scope.is_empty() { name.to_owned() } else { format!("{scope}/{name}") }
}

struct Resolver<'a> {
    source: &'a Source,
    chosen: BTreeMap<String, Value>,
}

static NOTHING: Value = Value::Null;

impl<'a> Resolver<'a> {
    /// The root, under the empty name, and every nested stack that its condition lets in.
    fn stacks(&self) -> Vec<(String, &'a Value)> {
        let root = &self.source.root;
        let is_made = |body: &Value| {
            body["Type"] == "AWS::CloudFormation::Stack"
                && body["Condition"].as_str().is_none_or(|name| self.holds_by_name("", name))
        };
        let nested = root["Resources"].as_object().into_iter().flatten().filter(|(_, body)| is_made(body));
        let nested = nested.map(|(name, _)| (name.clone(), self.template(name)));
        std::iter::once((String::new(), root)).chain(nested).collect()
    }

    fn template(&self, scope: &str) -> &'a Value {
        if scope.is_empty() {
            return &self.source.root;
        }
        let url = self.source.root["Resources"][scope]["Properties"]["TemplateURL"].as_str().unwrap_or_default();
        self.source.nested.get(url).unwrap_or(&NOTHING)
    }

    fn holds_by_name(&self, scope: &str, name: &str) -> bool {
        self.holds(scope, &self.template(scope)["Conditions"][name])
    }

    /// Does a condition hold with the parameters as they are? What is no condition does not.
    fn holds(&self, scope: &str, condition: &Value) -> bool {
        let each = |list: &'a str| items(&condition[list]).iter();
        if let Some(name) = condition["Condition"].as_str() {
            return self.holds_by_name(scope, name);
        }
        if let Some(not) = condition["Fn::Not"].get(0) {
            return !self.holds(scope, not);
        }
        if !condition["Fn::Or"].is_null() {
            return each("Fn::Or").any(|one| self.holds(scope, one));
        }
        if !condition["Fn::And"].is_null() {
            return each("Fn::And").all(|one| self.holds(scope, one));
        }
        let sides: Vec<String> = each("Fn::Equals").map(|side| self.text(scope, side)).collect();
        matches!(&*sides, [left, right] if left == right)
    }

    /// What CloudFormation compares: a text.
    fn text(&self, scope: &str, side: &Value) -> String {
        let side = self.resolve(scope, side);
        let join = &side["Fn::Join"];
        match (&side, join[0].as_str()) {
            (Value::String(text), _) => text.clone(),
            (_, Some(between)) => texts(&join[1]).join(between),
            (other, None) => other.to_string(),
        }
    }

    fn resolve(&self, scope: &str, value: &Value) -> Value {
        if let Some(name) = value["Ref"].as_str() {
            return self.reference(scope, name);
        }
        if let Some(name) = value["Fn::If"][0].as_str() {
            let branch = if self.holds_by_name(scope, name) { 1 } else { 2 };
            return self.resolve(scope, &value["Fn::If"][branch]);
        }
        if let [map, of, name] = items(&value["Fn::FindInMap"]) {
            let [map, of, name] = [map, of, name].map(|each| self.text(scope, each));
            return self.template(scope)["Mappings"][map][of][name].clone();
        }
        if let Some(text) = value["Fn::Sub"].as_str() {
            return json!({ "Fn::Sub": self.substituted(scope, text) });
        }
        if let (Some(name), Some(attribute)) = (value["Fn::GetAtt"][0].as_str(), value["Fn::GetAtt"][1].as_str()) {
            return match attribute.strip_prefix("Outputs.") {
                Some(output) => self.resolve(name, &self.template(name)["Outputs"][output]["Value"]),
                None => json!({ "Fn::GetAtt": [place(scope, name), attribute] }),
            };
        }
        let is_there = |value: &Value| value["Ref"] != "AWS::NoValue";
        match value {
            Value::Object(fields) => {
                let resolved = fields.iter().map(|(key, value)| (key.clone(), self.resolve(scope, value)));
                Value::Object(resolved.filter(|(_, value)| is_there(value)).collect::<Map<_, _>>())
            }
            Value::Array(items) => items.iter().map(|item| self.resolve(scope, item)).filter(is_there).collect(),
            plain => plain.clone(),
        }
    }

    /// `${Table.Arn}` becomes `${Tables/Table.Arn}`, and a parameter that is a text becomes that text.
    fn substituted(&self, scope: &str, text: &str) -> String {
        let mut parts = text.split("${");
        let mut whole = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (name, rest) = part.split_once('}').unwrap_or((part, ""));
            let (resource, attribute) = name.split_once('.').unwrap_or((name, ""));
            if !self.template(scope)["Resources"][resource].is_null() {
                let dot = if attribute.is_empty() { "" } else { "." };
                whole += &format!("${{{}{dot}{attribute}}}{rest}", place(scope, resource));
            } else if let Value::String(value) = self.reference(scope, name) {
                whole += &(value + rest);
            } else {
                whole += &format!("${{{name}}}{rest}");
            }
        }
        whole
    }

    fn reference(&self, scope: &str, name: &str) -> Value {
        let Some(parameter) = self.template(scope)["Parameters"].get(name) else {
            let is_pseudo = name.starts_with("AWS::");
            return json!({ "Ref": if is_pseudo { name.to_owned() } else { place(scope, name) } });
        };
        let given = match scope {
            "" => self.chosen.get(name).cloned(),
            _ => self.source.root["Resources"][scope]["Properties"]["Parameters"]
                .get(name)
                .map(|given| self.resolve("", given)),
        };
        // What must be given has no default: an address does for everything that must be.
        let default = || parameter.get("Default").cloned().unwrap_or_else(|| json!(format!("https://{name}.example")));
        let value = given.unwrap_or_else(default);
        match value.as_str() {
            Some(text) if parameter["Type"] == "CommaDelimitedList" => text.split(',').map(str::trim).collect(),
            _ => value,
        }
    }
}
