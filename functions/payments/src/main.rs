//! The Lambda function of `payments`.

use towpath_aws::{HttpProvider, InvalidProvider};

fn main() -> towpath_aws::Exit {
    towpath_aws::run_consumer_with(
        |told| Ok::<_, InvalidProvider>(payments::consumer(HttpProvider::new(told.provider_url.as_deref())?)),
        env!("CARGO_PKG_VERSION"),
    )
}
