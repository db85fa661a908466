//! P4: tenants apart. A message whose group is of another tenant writes nothing. Of every other boundary P4 is checked in the
//! simulator, over all that is read and written in each world (tests/sim); of tokens in p4_tokens.

use anyhow::{Result, ensure};

use crate::Test;
use crate::stack::{Stack, until, wait};

pub(crate) const TESTS: &[Test] =
    &[("p4_an_envelope_under_another_tenants_group_writes_nothing_and_is_kept", wrong_group)];

fn wrong_group(stack: &Stack) -> Result<()> {
    wait(async {
        let order = stack.place("p4-mine", "k-1", "tea")?;
        stack.applied("crm-timeline", &order, 1).await?;
        let body = stack.journal(&order).await?[0].envelope.to_body();
        let forged = body.replace(r#""seq":1,"prior":{}"#, r#""seq":2,"prior":{"order.placed":1}"#);
        ensure!(forged != body);
        stack.send("CrmTimelineQueueUrl", "p4-other#0", "forged", &forged).await?;
        let kept = until("the forged message is in the dead-letter queue", async || {
            let kept = stack.receive("CrmTimelineDeadLetterQueueUrl").await?;
            Ok(kept.into_iter().find(|message| message.body() == Some(forged.as_str())))
        })
        .await?;
        let reason = kept.message_attributes().and_then(|all| all.get("reason")?.string_value()).unwrap_or_default();
        ensure!(reason == "the message's group is of another tenant than its body", "{reason}");
        ensure!(stack.applied("crm-timeline", &order, 1).await?.cursor.seq.0 == 1);
        Ok(())
    })
}
