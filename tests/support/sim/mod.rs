//! Whole networks of engines in one thread, under a scheduler that tries everything.
//!
//! A [`World`] is some nodes, the connections between them and a `model` of what applications did.
//! [`World::apply`] carries out one [`Step`]: a delivery or something that an application or a fault
//! does. [`Scheduler`] picks steps from a seed. After every step [`check`] compares the engines with
//! the model; once nothing is under way it compares what must hold in the end. `docs/simulator.md` says how to
//! use it.
//!
//! | file | concern |
//! | --- | --- |
//! | `world` | nodes, connections, what engines ask of their embedder |
//! | `conn` | a connection: two queues, and who holds its ends |
//! | `model` | portals and parcels as the applications know them |
//! | `step` | what can happen |
//! | `act` | what applications do with portals |
//! | `gets` | how they take parcels |
//! | `objects` | parcels that are made ready before they leave |
//! | `trouble` | what happens to nodes and connections |
//! | `text`, `trace` | what happened, as text that can be read back |
//! | `profile` | what a run is like |
//! | `schedule` | which of it happens next |
//! | `check` | what must hold |
//! | `risk` | which routes a loss may cut |
//! | `dot` | routes as a graph |
//! | `growth` | how much a node may hold |
//! | `run` | seeds, traces, shrinking |
//! | `memory` | shared memory, and who makes it for whom |
//! | `hostile` | a node that says anything |
//! | `script` | worlds that are written down |
//! | `explore` | every interleaving of a small world |

mod act;
pub mod check;
mod conn;
mod dot;
pub mod explore;
mod gets;
mod growth;
mod hostile;
mod memory;
mod model;
mod objects;
pub mod profile;
mod risk;
mod rng;
pub mod run;
pub mod schedule;
pub mod script;
pub mod step;
mod text;
pub mod trace;
mod trouble;
pub mod world;

pub use conn::{ConnId, Side};
pub use model::{Ep, Handle, Load, Tag};
pub use objects::Verdict;
pub use profile::{Profile, Wanted};
pub use rng::Rng;
pub use run::{Outcome, run_seed};
pub use schedule::Scheduler;
pub use step::Step;
pub use trace::{Start, Trace};
pub use world::{Violation, World};
