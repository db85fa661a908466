//! The Lambda function of the consumer `ticket-board`; its handlers are in lib.rs.

fn main() -> towpath_aws::Exit {
    towpath_aws::run_consumer(ticket_board::consumer(), env!("CARGO_PKG_VERSION"))
}
