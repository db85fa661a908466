//! The Lambda function of the consumer `notify-customer`; its handlers are in lib.rs.

use towpath_aws::{HttpProvider, InvalidProvider, run_consumer_with};

fn main() -> towpath_aws::Exit {
    run_consumer_with(
        |told| {
            let provider = HttpProvider::new(told.provider_url.as_deref())?;
            Ok::<_, InvalidProvider>(notify_customer::consumer(provider))
        },
        env!("CARGO_PKG_VERSION"),
    )
}
