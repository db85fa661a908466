//! A canary or linear deployment: each function's goes back on its own failures, and the template stays as it was without one.
//! Must not know: how traffic is moved.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use towpath_doctor::{Resource, Source, Stack, binary_of};

use super::source::{ROOT, template};
use super::{Findings, as_written, source};
use crate::repo;

const GRADUAL: &str = "Linear10PercentEvery1Minute";
/// CodeDeploy takes no more alarms for one function.
const MOST_ALARMS: usize = 10;

fn gradual() -> Source {
    source::templates(&[&format!("Deployment={GRADUAL}")])
}

fn in_prod(source: &Source) -> Stack {
    Stack::new(source, &[("Stage", "prod"), ("Deployment", GRADUAL)])
}

/// What a deployment of each function goes back on.
fn releases(stack: &Stack) -> Findings {
    let mut findings = Findings::new();
    for function in stack.each("AWS::Lambda::Function") {
        let place = &function.place;
        let is_own =
            |alias: &&Resource| stack.follow(alias.property("FunctionName")).is_some_and(|it| it.place == *place);
        let alias = stack.each("AWS::Lambda::Alias").find(is_own);
        let update = alias.map_or(&Value::Null, |alias| alias.at("/UpdatePolicy/CodeDeployLambdaAliasUpdate"));
        let Some(group) = stack.follow(&update["DeploymentGroupName"]) else {
            findings.push(format!("{place}: its alias is moved at once, whatever Deployment says"));
            continue;
        };
        let listed: Vec<&Value> =
            group.property("AlarmConfiguration")["Alarms"].as_array().into_iter().flatten().collect();
        let alarms: Vec<&Resource> = listed.iter().filter_map(|alarm| stack.follow(&alarm["Name"])).collect();
        if listed.len() > MOST_ALARMS || alarms.len() != listed.len() {
            findings.push(format!(
                "{place}: {} alarms, of which {} are of this stack; at most {MOST_ALARMS}",
                listed.len(),
                alarms.len()
            ));
        }
        // CodeDeploy is told of metric alarms alone: it may not describe a composite one.
        findings.extend(
            alarms
                .iter()
                .filter(|alarm| alarm.kind != "AWS::CloudWatch::Alarm")
                .map(|alarm| format!("{place}: {} is no metric alarm", alarm.place)),
        );
        let watches = |metric: &str| alarms.iter().any(|alarm| *alarm.property("MetricName") == metric);
        let own = alarms.iter().any(|alarm| {
            let named = &alarm.property("Dimensions")[0]["Value"];
            let name = named["Fn::Sub"].as_str().unwrap_or_default().replace("${Pipeline}", "${AWS::StackName}");
            *alarm.property("MetricName") == "Errors"
                && *function.property("FunctionName") == json!({ "Fn::Sub": name })
        });
        let parks = function.variable("TOWPATH_WAKE_QUEUE_URL").is_object();
        let of_it = json!({ "Name": "consumer", "Value": binary_of(function) });
        let parked = alarms.iter().any(|alarm| {
            let dimensions = alarm.property("Dimensions").as_array();
            *alarm.property("MetricName") == "ParkedRows" && dimensions.is_some_and(|said| said.contains(&of_it))
        });
        if !own || !watches("UnaccountedEvents") || (parks && !parked) {
            findings.push(format!(
                "{place}: a deployment of it does not go back on its own failures: write `DeploymentPreference: {{ Alarms: \
                 [!GetAtt NAMEConsumer.Outputs.ErrorsAlarm, !GetAtt NAMEConsumer.Outputs.ParkedAlarm] }}` at the function"
            ));
        }
        let rollback = &group.property("AutoRollbackConfiguration")["Events"];
        if !rollback.as_array().is_some_and(|events| events.contains(&json!("DEPLOYMENT_STOP_ON_ALARM"))) {
            findings.push(format!("{place}: nothing goes back on an alarm"));
        }
        if stack.follow(group.property("ServiceRoleArn")).is_none_or(|role| role.place != "Releases/Role") {
            findings.push(format!("{place}: CodeDeploy's role is not that of infra/releases.yaml"));
        }
    }
    findings
}

#[test]
fn a_slow_deployment_goes_back_on_the_functions_own_failures() {
    repo::none(&releases(&in_prod(&gradual())));
}

#[test]
fn what_a_slow_deployment_must_not_lack_is_found_when_it_is_missing() {
    let sound = gradual();
    let group = "/Resources/InventoryFunctionDeploymentGroup/Properties";
    let alarms = format!("{group}/AlarmConfiguration/Alarms");
    let breaks = [
        ("/Resources/InventoryFunctionAliaslive/UpdatePolicy".to_owned(), json!({})),
        (alarms.clone(), json!([])),
        (format!("{alarms}/6"), json!({ "Name": { "Fn::GetAtt": ["ShippingConsumer", "Outputs.ParkedAlarm"] } })),
        (format!("{alarms}/5"), json!({ "Name": { "Fn::GetAtt": ["ShippingConsumer", "Outputs.ErrorsAlarm"] } })),
        (format!("{alarms}/0"), json!({ "Name": "nowhere" })),
        (format!("{group}/AutoRollbackConfiguration/Events"), json!(["DEPLOYMENT_FAILURE"])),
        (format!("{group}/ServiceRoleArn"), json!("arn:aws:iam::1:role/admin")),
    ];
    for (pointer, value) in breaks {
        let mut broken = sound.clone();
        let place = template(&mut broken, ROOT).pointer_mut(&pointer).unwrap_or_else(|| panic!("nothing at {pointer}"));
        *place = value;
        assert!(!releases(&in_prod(&broken)).is_empty(), "{pointer} passes");
    }
}

/// No emulator has CodeDeploy, and nobody needs it in dev.
#[test]
fn all_at_once_needs_nothing_of_codedeploy() {
    let (source, _) = as_written();
    let stack = Stack::new(source, &[("Stage", "prod")]);
    let left: Vec<&str> = stack
        .all()
        .filter(|it| {
            it.kind.starts_with("AWS::CodeDeploy") || !it.at("/UpdatePolicy").is_null() || it.place == "Releases/Role"
        })
        .map(|it| it.place.as_str())
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

/// CodeDeploy may move the aliases of this stack's functions and see its alarms: no hook, no bucket, no topic.
#[test]
fn codedeploys_role_can_do_nothing_else() {
    let stack = in_prod(&gradual());
    let role = stack.all().find(|it| it.place == "Releases/Role").expect("a slow deployment has a role");
    let statements = role.at("/Properties/Policies/0/PolicyDocument/Statement").as_array().expect("a list");
    let actions: BTreeSet<&str> = statements
        .iter()
        .flat_map(|it| {
            it["Action"]
                .as_str()
                .into_iter()
                .chain(it["Action"].as_array().into_iter().flatten().filter_map(Value::as_str))
        })
        .collect();
    let needed = [
        "cloudwatch:DescribeAlarms",
        "lambda:GetAlias",
        "lambda:GetProvisionedConcurrencyConfig",
        "lambda:UpdateAlias",
    ];
    assert_eq!(actions, needed.into());
    for statement in statements {
        let on = statement["Resource"]["Fn::Sub"].as_str().unwrap_or_default();
        assert!(on.ends_with(":${Pipeline}-*") || on.ends_with(":${AWS::StackName}-*"), "{on}");
    }
    assert!(role.property("ManagedPolicyArns").is_null());
}
