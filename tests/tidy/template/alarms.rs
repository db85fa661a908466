//! The runbook that an alarm links to is there, and no alarm can go missing unseen.
//! Must not know: what must be watched; that is towpath-doctor's.

use std::collections::BTreeSet;

use towpath_doctor::{Stack, examine};

use super::source::{Code, ROOT, template};
use super::{Findings, as_written, stack};

/// The file behind each link is there.
pub(crate) fn runbooks(stack: &Stack, code: &Code) -> Findings {
    let mut findings = Findings::new();
    for alarm in stack.each("AWS::CloudWatch::Alarm").chain(stack.each("AWS::CloudWatch::CompositeAlarm")) {
        let description = alarm.property("AlarmDescription");
        let text = description.as_str().or_else(|| description["Fn::Sub"].as_str()).unwrap_or_default();
        let runbook = text.rsplit_once("docs/runbooks/").map(|(_, file)| file);
        if !runbook.is_some_and(|file| code.runbooks.contains(file)) {
            findings.push(format!("{}: its description must end with a file of docs/runbooks", alarm.place));
        }
    }
    findings
}

/// The rules that find nothing wrong with the alarms.
fn broken(stack: &Stack) -> BTreeSet<String> {
    let found = examine(stack, towpath_doctor::RULES).into_iter().filter(|it| it.rule.starts_with("alarms"));
    found.map(|it| it.what).collect()
}

#[test]
fn an_alarm_that_is_taken_away_is_missed_whichever_it_is() {
    let (source, _) = as_written();
    assert_eq!(broken(&stack(source)), BTreeSet::new());
    let mut taken = 0;
    let files =
        ["infra/alarms.yaml", "infra/consumer.yaml", "infra/api.yaml", "infra/receiver.yaml", "infra/operations.yaml"];
    for file in files {
        let mut sound = source.clone();
        let resources = template(&mut sound, file)["Resources"].as_object().expect("a template has resources").clone();
        for name in resources.iter().filter(|(_, body)| body["Type"] == "AWS::CloudWatch::Alarm").map(|(name, _)| name)
        {
            let mut without = source.clone();
            template(&mut without, file)["Resources"].as_object_mut().expect("the same").remove(name);
            assert!(!broken(&stack(&without)).is_empty(), "{file} without {name} passes");
            taken += 1;
        }
    }
    assert!(taken > 30, "only {taken} alarms were taken away");
}

#[test]
fn a_stage_without_alarms_is_a_choice_that_somebody_must_make() {
    let (source, _) = as_written();
    let chosen = Stack::new(source, &[("Stage", "dev"), ("Alarms", "none")]);
    assert!(chosen.each("AWS::CloudWatch::Alarm").next().is_none());
    assert_eq!(examine(&chosen, towpath_doctor::RULES), []);
    let mut silent = source.clone();
    template(&mut silent, ROOT)["Parameters"]["Alarms"]["Default"] = "none".into();
    let found = broken(&stack(&silent));
    assert!(found.len() == 1 && found.iter().all(|it| it.contains("its default is none")), "{found:?}");
}
