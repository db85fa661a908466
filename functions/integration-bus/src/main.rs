//! The Lambda function of the consumer `integration-bus`; what it forwards is in lib.rs.

fn main() -> towpath_aws::Exit {
    towpath_aws::run_consumer(integration_bus::consumer(), env!("CARGO_PKG_VERSION"))
}
