//! A model of one aggregate and its consumer, searched whole: every order of steps, every crash, loss and repetition
//! within printed bounds. The machines are the real ones of `towpath`; only the world around them is a model.
//! Must not know: AWS, domains.

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
