//! The Lambda function of `shipping`.

fn main() -> towpath_aws::Exit {
    towpath_aws::run_consumer(shipping::consumer(), env!("CARGO_PKG_VERSION"))
}
