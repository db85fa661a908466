//! The Lambda function of the consumer `crm-timeline`; its handlers are in lib.rs.

fn main() -> towpath_aws::Exit {
    towpath_aws::run_consumer(crm_timeline::consumer(), env!("CARGO_PKG_VERSION"))
}
