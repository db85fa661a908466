//! The Lambda function of `fulfilment`.

fn main() -> towpath_aws::Exit {
    towpath_aws::run_consumer(fulfilment::consumer(), env!("CARGO_PKG_VERSION"))
}
