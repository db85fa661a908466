//! The relay: outbox inserts become published messages. All of it is Towpath's; a product copies this file as it is.

fn main() -> towpath_aws::Exit {
    towpath_aws::run_relay()
}
