//! The auditor: finds what a consumer has not applied, and wakes it. All of it is Towpath's; a product copies this file
//! as it is.

fn main() -> towpath_aws::Exit {
    towpath_aws::run_auditor()
}
