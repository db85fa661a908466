//! Reads a template that SAM has expanded, and the nested stacks that it names, from JSON or YAML.
//! Must not know: any rule.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value, json};

/// What the templates say.
#[derive(Debug, Clone)]
pub struct Source {
    /// The root template, expanded.
    pub root: Value,
    /// Nested templates, by their `TemplateURL` as it is in the root.
    pub nested: BTreeMap<String, Value>,
}

/// Why a template cannot be judged.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// It is not there, or not ours to read.
    #[error("{0} cannot be read: {1}")]
    File(PathBuf, std::io::Error),
    /// It is neither JSON nor YAML.
    #[error("{0} is no template: {1}")]
    Text(PathBuf, String),
    /// SAM's transform would make other resources of it.
    #[error(
        "{0} still has SAM's transform to come: write it as CloudFormation sees it with `make expanded`, then name .local/expanded.json"
    )]
    NotExpanded(PathBuf),
}

impl Source {
    /// Reads the template, and each nested one from where the template says, seen from its own folder.
    ///
    /// # Errors
    /// The file that cannot be read, and what to do about it.
    pub fn read(path: &Path) -> Result<Self, Unreadable> {
        let root = template(path)?;
        if !root["Transform"].is_null() {
            return Err(Unreadable::NotExpanded(path.to_owned()));
        }
        let mut nested = BTreeMap::new();
        for resource in root["Resources"].as_object().into_iter().flat_map(Map::values) {
            if resource["Type"] == "AWS::CloudFormation::Stack"
                && let Some(url) = resource["Properties"]["TemplateURL"].as_str()
                && !nested.contains_key(url)
            {
                nested.insert(url.to_owned(), template(&path.with_file_name("").join(url))?);
            }
        }
        Ok(Self { root, nested })
    }
}

fn template(path: &Path) -> Result<Value, Unreadable> {
    let text = std::fs::read_to_string(path).map_err(|error| Unreadable::File(path.to_owned(), error))?;
    parse(&text).map_err(|why| Unreadable::Text(path.to_owned(), why))
}

/// One template, in JSON or YAML. JSON is YAML too, but its own parser says better what is wrong with it.
///
/// # Errors
/// Why it is no template, with the place.
pub fn parse(text: &str) -> Result<Value, String> {
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(text).map_err(|error| error.to_string());
    }
    let documents = Yaml::load_from_str(text).map_err(|error| error.to_string())?;
    match &*documents {
        [one] => plain(one),
        other => Err(format!("{} documents, not one", other.len())),
    }
}

/// YAML as JSON: `!Ref x` is `{"Ref": "x"}`, `!GetAtt a.b` is `{"Fn::GetAtt": ["a", "b"]}`.
fn plain(yaml: &Yaml<'_>) -> Result<Value, String> {
    Ok(match yaml {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(truth)) => json!(truth),
        Yaml::Value(Scalar::Integer(number)) => json!(number),
        Yaml::Value(Scalar::FloatingPoint(number)) => json!(number.into_inner()),
        Yaml::Value(Scalar::String(text)) => json!(text),
        Yaml::Sequence(items) => Value::Array(items.iter().map(plain).collect::<Result<_, _>>()?),
        Yaml::Mapping(fields) => {
            let field = |(key, value): (&Yaml<'_>, &Yaml<'_>)| match plain(key)? {
                Value::String(key) => Ok((key, plain(value)?)),
                other => Ok((other.to_string(), plain(value)?)),
            };
            Value::Object(fields.iter().map(field).collect::<Result<Map<_, _>, String>>()?)
        }
        Yaml::Tagged(tag, inner) => {
            let inner = plain(inner)?;
            match (&*tag.suffix, &inner) {
                ("Ref" | "Condition", _) => json!({ tag.suffix.clone(): inner }),
                ("GetAtt", Value::String(text)) => {
                    let (name, attribute) = text.split_once('.').ok_or_else(|| format!("!GetAtt {text}: no dot"))?;
                    json!({ "Fn::GetAtt": [name, attribute] })
                }
                (function, _) => json!({ format!("Fn::{function}"): inner }),
            }
        }
        other => return Err(format!("{other:?} has no place in a template")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_in_yaml_is_read_as_cloudformation_reads_it() {
        let text = "A: !Ref x\nB: !GetAtt a.Outputs.b\nC: !If [yes, !Sub '${x}', 2]\nD: {E: [true, 1209600, \"12\"]}\nF: 2012-10-17\n";
        let read = json!({
            "A": { "Ref": "x" }, "B": { "Fn::GetAtt": ["a", "Outputs.b"] },
            "C": { "Fn::If": ["yes", { "Fn::Sub": "${x}" }, 2] }, "D": { "E": [true, 1_209_600, "12"] }, "F": "2012-10-17"
        });
        assert_eq!(parse(text), Ok(read.clone()));
        assert_eq!(parse(&read.to_string()), Ok(read));
    }

    #[test]
    fn what_is_no_template_is_refused_with_its_place() {
        let error = |text: &str| parse(text).expect_err(text);
        assert!(error("{\"a\": ").contains("line 1"));
        assert!(error("a: [1").contains("line"));
        assert!(error("a: 1\n---\nb: 2\n").contains("2 documents"));
    }
}
