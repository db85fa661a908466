//! The Lambda function behind the HTTP API; its routes are in lib.rs.

fn main() -> towpath_aws::Exit {
    towpath_aws::http::run_api(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), tickets_api::route)
}
