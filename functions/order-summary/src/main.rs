//! The Lambda function of the consumer `order-summary`; its handlers are in lib.rs.

fn main() -> towpath_aws::Exit {
    towpath_aws::run_consumer(order_summary::consumer(), env!("CARGO_PKG_VERSION"))
}
