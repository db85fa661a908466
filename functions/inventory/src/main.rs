//! The Lambda function of the consumer `inventory`; its handlers are in lib.rs.

fn main() -> towpath_aws::Exit {
    towpath_aws::run_consumer(inventory::consumer(), env!("CARGO_PKG_VERSION"))
}
