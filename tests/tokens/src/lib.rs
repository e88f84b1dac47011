//! What the programs in `bin` share: the official ranks, the corpus, and the fuzz strings.

pub mod fuzz;
pub mod perfect_hash;
pub mod pool;
pub mod ranks;
pub mod texts;
