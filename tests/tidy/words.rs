//! Words that have one place: names of attributes and expressions, Lambda's event types, clocks, the environment.
//! Must not know: dependencies between crates; those are in `layers`.

use crate::repo::{self, File};

/// Where a word may not stand.
struct Rule {
    words: &'static [&'static str],
    /// Files that it holds for, by the beginnings of their paths.
    within: &'static [&'static str],
    /// Files among them that may use the words.
    except: &'static [&'static str],
    why: &'static str,
}

const CODE: &[&str] = &["shared/", "functions/", "cli/"];

const RULES: &[Rule] = &[
    Rule {
        // Only names that mean nothing outside the tables: `"seq"` or `"event_type"` are also fields of the envelope.
        words: &[
            r#""pk""#,
            r#""sk""#,
            r#""bucket""#,
            r#""expires_at""#,
            r#""due_shard""#,
            r#""by_due""#,
            r#""by_time""#,
            r#""~registry"#,
            r#""body_hash""#,
            "serde_dynamo",
        ],
        within: CODE,
        except: &["shared/towpath-aws/"],
        why: "names of attributes, indexes and rows stand in towpath-aws alone",
    },
    Rule {
        words: &[
            "attribute_not_exists(",
            "attribute_exists(",
            "attribute_type(",
            "AttributeValue",
            "ConditionExpression",
            "FilterExpression",
            "ProjectionExpression",
            "UpdateExpression",
            "condition_expression(",
            "filter_expression(",
            "projection_expression(",
            "update_expression(",
            "expression_attribute_names(",
            "expression_attribute_values(",
        ],
        within: CODE,
        except: &["shared/towpath-aws/"],
        why: "expressions stand in towpath-aws alone",
    },
    Rule {
        words: &[
            "aws_lambda_events",
            "lambda_runtime",
            "LambdaEvent",
            "SqsEvent",
            "SqsMessage",
            "SqsBatchResponse",
            "BatchItemFailure",
            "ApiGatewayV2",
            "ApiGatewayProxy",
        ],
        within: CODE,
        // Templates and mappings call two things by the same words.
        except: &[
            "shared/towpath-aws/src/lambda/",
            "shared/towpath-aws/tests/",
            "shared/towpath-doctor/",
            "cli/src/doctor/",
        ],
        why: "the shapes of Lambda's events are known to towpath-aws's lambda module alone",
    },
    Rule {
        words: &["SystemTime", "Instant::now", "std::env", "env::var", "std::fs", "std::net", "getrandom", "tokio::"],
        within: &["shared/towpath/src/", "shared/commerce/src/"],
        except: &[],
        why: "the core and the domain do no I/O, read no clock and draw no random number: those come in as values",
    },
    Rule {
        words: &["env::var", "env::vars", "var_os("],
        within: &["shared/", "functions/"],
        // A proof is a test: it is told which seed to repeat.
        except: &["shared/towpath-aws/src/config.rs", "shared/towpath-sim/src/prove.rs"],
        why: "environment variables are read in towpath-aws's config alone",
    },
];

fn misplaced(files: &[File]) -> Vec<String> {
    let mut findings = Vec::new();
    for rule in RULES {
        let begins = |file: &File, with: &[&str]| with.iter().any(|start| file.path.starts_with(start));
        let held = files.iter().filter(|file| file.extension() == "rs" && begins(file, rule.within));
        for (place, line) in held.filter(|file| !begins(file, rule.except)).flat_map(File::lines) {
            let is_prose = line.trim_start().starts_with("//");
            if let Some(word) = rule.words.iter().find(|word| !is_prose && line.contains(**word)) {
                findings.push(format!("{place}: {word}: {}", rule.why));
            }
        }
    }
    findings
}

#[test]
fn words_of_aws_stay_in_their_crate_and_the_core_reads_no_clock() {
    repo::none(&misplaced(&repo::files()));
}

#[test]
fn each_misplaced_word_is_found_and_prose_is_not() {
    for rule in RULES {
        for word in rule.words {
            let path = format!("{}x.rs", rule.within[0]);
            assert!(!misplaced(&[File::new(&path, format!("fn x() {{\n    y({word});\n}}\n"))]).is_empty(), "{word}");
            assert!(misplaced(&[File::new(path, format!("    /// Not {word}.\n"))]).is_empty(), "{word} in prose");
        }
        for place in rule.except {
            let file = File::new(format!("{}/x.rs", place.trim_end_matches('/')), rule.words[0]);
            let about_this = |finding: &String| finding.ends_with(rule.why);
            assert!(!misplaced(&[file]).iter().any(about_this), "{place} may");
        }
    }
    let allowed = r#"json!({ "event_type": "order.placed", "seq": 1, "status": "ready" })"#;
    repo::none(&misplaced(&[File::new("functions/inventory/src/lib.rs", allowed)]));
}
