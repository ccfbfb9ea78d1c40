//! val_bpb of a model whose program is not trusted: it is asked for logits, and everything else is computed here.
//!
//! The run leaves its weights and its executable ([`leave`]). The evaluation, a program of the commit that the search started
//! from, starts that executable behind walls, writes tokens into memory that both share, and reads logits from it
//! ([`evaluate`]). The server's side of the same protocol is [`serve`].

pub mod error;
pub mod memory;

pub mod leave;
pub mod serve;

pub mod walls;

pub mod nats;
pub mod server;

pub mod sequences;

pub mod evaluate;
