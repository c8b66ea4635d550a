//! The processes of an MPI job. What goes wrong in MPI itself ends the job, and MPI says why.

use std::process;

use mpi::environment::{Universe, initialize_with_threading};
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives, Destination, Equivalence, Root, Source};
use mpi::{Rank, Threading};

use crate::error::TrainError;

/// Ends when all processes have come to its end. `None` where no launcher has started this one: then MPI would start a
/// server of its own for it.
pub(super) struct Membership(Option<Universe>);

impl Membership {
    /// # Errors
    /// MPI runs already, or does not let a thread call it that has not started it.
    pub(super) fn join(is_launched: bool) -> Result<Self, TrainError> {
        if !is_launched {
            return Ok(Self(None));
        }
        // One thread at a time: that of the pool which trains.
        match initialize_with_threading(Threading::Serialized) {
            Some((universe, threading)) if threading >= Threading::Serialized => Ok(Self(Some(universe))),
            _ => Err(TrainError::Mpi),
        }
    }

    /// The rank, and how many there are.
    pub(super) fn place(&self) -> [usize; 2] {
        match &self.0 {
            Some(universe) => {
                [universe.world().rank(), universe.world().size()].map(|number| number as usize)
            }
            None => [0, 1],
        }
    }

    /// A launcher ends the other processes when one exits with an error. `MPI_Abort` should do the same, but after it the
    /// `mpirun` of Open MPI 4.1 waited forever or crashed, in 3 of 40 jobs.
    pub(super) fn abort(&self, exit_code: i32) {
        if self.0.is_some() {
            process::exit(exit_code);
        }
    }
}

pub(super) fn all_gather(own: &[f64], all: &mut [f64]) {
    world().all_gather_into(own, all);
}

pub(super) fn broadcast<T: Equivalence>(root: usize, values: &mut [T]) {
    world().process_at_rank(root as Rank).broadcast_into(values);
}

pub(super) fn send(rank: usize, values: &[f32]) {
    world().process_at_rank(rank as Rank).send(values);
}

pub(super) fn receive(rank: usize, values: &mut [f32]) {
    world().process_at_rank(rank as Rank).receive_into(values);
}

fn world() -> SimpleCommunicator {
    SimpleCommunicator::world()
}
