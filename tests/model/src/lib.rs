//! A model of one aggregate and its consumer, searched whole: every order of steps, every crash, loss and repetition
//! within printed bounds. The machines are the real ones of `towpath`; only the world around them is a model.
//! Must not know: AWS, domains.
//!
//! A worker's state is what its invocation was answered so far. To see its next call, the real `handle_batch` or
//! `handle_wake` is played from the start with those answers (`play`), once for each of them (`book`). The world carries
//! the call out, or lets it go wrong (`act`), and stateright tries all that can happen (`world`). What must hold in every
//! state stands in `promises`; what must come about once nothing goes wrong any more is looked up in `calm`.
//!
//! Time is not counted: a row is due by now, soon or in days, and time goes by at any moment. Revs are counted anew when
//! nobody is at work, and two workers that swapped places are the same world. The auditor's tick is the real one, at one
//! moment. Queues have no order. Not here: the relay, several aggregates in one commit, sagas, replays, a new era, pages
//! and gaps that are too long for one read, and an order that is carried out late because DynamoDB was slow.
//!
//! `cargo test --release -p model -- --nocapture` says what was searched; with `--features planted` it also looks for
//! the known bugs of the code.

pub mod act;
pub mod book;
pub mod call;
pub mod calm;
pub mod journal;
pub mod play;
pub mod promises;
pub mod row;
pub mod search;
pub mod state;
pub mod world;
