//! The commands that serve, `weir mock` and `weir collect`, run as the real binary on a free port and spoken to over sockets.
//! Nothing here knows their insides.

// Clippy allows these in `#[test]` functions only; here every function is part of a test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod collect;
mod collect_crash;
mod collect_hostile;
mod mock;
mod mock_faults;
mod mock_protocols;
mod process;
mod tables;
mod tables_crash;
mod tables_upkeep;
mod tls;
mod usage;
