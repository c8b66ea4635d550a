//! The processes that train together, each on its share of every batch: the ranks of an MPI job, or one process alone.
//!
//! The gradient of a batch is `((g0 + g1) + g2) + ...` over its micro-batches, whoever has computed them, so that every
//! number of processes makes the same bits. A rank has neighbouring micro-batches, and the sum goes from rank to rank in
//! slices: while one rank adds its gradients to a slice, the rank before adds to the next one. The last rank broadcasts
//! the sum. With `R` ranks, `S` slices, and a gradient of `G` bytes, the critical path has `S + R - 2` messages of `G / S`
//! bytes and a broadcast; a rank sends and receives about `2 G`, as in an all-reduce that may add in any order, for any
//! batch.
//!
//! The other way is an exchange of slices, each of which one rank sums. It has fewer messages after each other, but every
//! gradient of every micro-batch crosses the network: `G (R - 1) / R` bytes for 32 images, which a thread learns from in a
//! millisecond. A larger batch would not make the network matter less, and only large batches are worth a network.
//!
//! Before, the ranks tell each other the loss of each micro-batch (16 bytes), whose sum is in order too, and whether they
//! have failed. So all of them end when one does.

#[cfg(not(feature = "mpi"))]
mod alone;
#[cfg(feature = "mpi")]
mod mpi;

use std::{env, thread};

#[cfg(not(feature = "mpi"))]
use self::alone as link;
#[cfg(feature = "mpi")]
use self::mpi as link;
use crate::error::TrainError;
use crate::optimiser::PARAM_CHUNK;

/// What launchers tell a process of its number: Open MPI's, those of PMIx, and those of MPICH.
const RANK_VARIABLES: [&str; 3] = ["OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"];

/// The exit code of a Rust program that panics.
const PANICKED: u8 = 101;

/// The number that a launcher of MPI programs has given this process; `None` without one.
pub(crate) fn launched_as() -> Option<usize> {
    RANK_VARIABLES.iter().find_map(|variable| env::var(variable).ok()?.parse().ok())
}

/// This process's membership in an MPI job, if a launcher has started it, or of a job of its own.
pub(crate) struct Job {
    membership: link::Membership,
}

impl Job {
    /// Waits for the others.
    ///
    /// # Errors
    /// There are others, but this program was built without the feature `mpi`; or MPI does not start.
    pub(crate) fn join() -> Result<Self, TrainError> {
        let launched_as = launched_as();
        let membership = link::Membership::join(launched_as.is_some()).map_err(|error| {
            let rank = launched_as.unwrap_or(0);
            Ranks { rank, size: rank + 1 }.told_by_first(error)
        })?;
        Ok(Self { membership })
    }

    pub(crate) fn ranks(&self) -> Ranks {
        let [rank, size] = self.membership.place();
        Ranks { rank, size }
    }

    /// Ends this process with an exit code that is not 0, and so all processes of the job. Returns only where no launcher has
    /// started this one.
    pub(crate) fn abort(&self, exit_code: u8) {
        self.membership.abort(exit_code.into());
    }
}

/// The end of a job waits for all processes. Where this one panics, others would wait for what it does not send any more.
impl Drop for Job {
    fn drop(&mut self) {
        if thread::panicking() {
            self.abort(PANICKED);
        }
    }
}

/// Which of the processes this is. All of them call the same methods in the same order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ranks {
    rank: usize,
    size: usize,
}

impl Ranks {
    /// A process without others.
    pub(crate) const ALONE: Self = Self { rank: 0, size: 1 };

    pub(crate) fn rank(self) -> usize {
        self.rank
    }

    pub(crate) fn size(self) -> usize {
        self.size
    }

    pub(crate) fn is_alone(self) -> bool {
        self.size == 1
    }

    /// Whether this is the process that prints and writes files.
    pub(crate) fn is_first(self) -> bool {
        self.rank == 0
    }

    /// This rank's neighbouring micro-batches of `len` images.
    pub(crate) fn share<T>(self, images: &[T], len: usize) -> &[T] {
        let count = images.len().div_ceil(len);
        let start_of = |rank: usize| (count * rank / self.size * len).min(images.len());
        &images[start_of(self.rank)..start_of(self.rank + 1)]
    }

    /// Tells all ranks a message of each, in order.
    pub(crate) fn all_gather(self, own: &[f64], all: &mut [f64]) {
        if self.is_alone() {
            all.copy_from_slice(own);
        } else {
            link::all_gather(own, all);
        }
    }

    /// The outcome, if no rank has failed. Of those that have, the first has its own error to tell.
    pub(crate) fn agree<T, E: From<TrainError>>(self, outcome: Result<T, E>) -> Result<T, E> {
        if self.is_alone() {
            return outcome;
        }
        let mut failed = vec![0.0; self.size];
        self.all_gather(&[f64::from(u8::from(outcome.is_err()))], &mut failed);
        match failed.iter().position(|&failed| failed != 0.0) {
            Some(rank) if rank != self.rank => Err(TrainError::OtherRank { rank }.into()),
            _ => outcome,
        }
    }

    /// An error that every rank has at the same time: the first tells it.
    pub(crate) fn told_by_first(self, error: TrainError) -> TrainError {
        if self.is_first() { error } else { TrainError::OtherRank { rank: 0 } }
    }

    /// What the first rank has, for all.
    pub(crate) fn of_first(self, bytes: &[u8]) -> Vec<u8> {
        if self.is_alone() {
            return bytes.to_vec();
        }
        let mut len = [bytes.len() as u64];
        link::broadcast(0, &mut len);
        let mut bytes = if self.is_first() { bytes.to_vec() } else { vec![0; len[0] as usize] };
        link::broadcast(0, &mut bytes);
        bytes
    }

    /// Adds what all ranks have to `sums`, rank after rank. `add` adds what this rank has to a part of `sums`, given where
    /// that begins.
    pub(crate) fn add_in_order(self, sums: &mut [f32], add: impl Fn(usize, &mut [f32])) {
        if self.is_alone() {
            return add(0, sums);
        }
        let last = self.size - 1;
        for (slice, sums) in sums.chunks_mut(PARAM_CHUNK).enumerate() {
            if self.rank > 0 {
                link::receive(self.rank - 1, sums);
            }
            add(slice * PARAM_CHUNK, sums);
            if self.rank < last {
                link::send(self.rank + 1, sums);
            }
        }
        link::broadcast(last, sums);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_neighbours_and_cover_everything() {
        let images: Vec<usize> = (0..140).collect();
        for (count, len) in [(140, 16), (140, 32), (128, 16), (20, 16), (1, 16), (0, 16)] {
            let images = &images[..count];
            for size in 1..=6 {
                let shares: Vec<&[usize]> =
                    (0..size).map(|rank| Ranks { rank, size }.share(images, len)).collect();
                assert_eq!(shares.concat(), images, "{count} images, {size} ranks");
                let most = count.div_ceil(len).div_ceil(size) * len;
                // Only the last micro-batch has fewer images.
                assert!(shares.iter().all(|share| share.len() <= most), "{count} images, {size} ranks");
                assert!(shares[..size - 1].iter().all(|share| share.len() % len == 0), "{shares:?}");
            }
        }
    }

    #[test]
    fn alone_nothing_is_exchanged() {
        let alone = Ranks::ALONE;
        assert_eq!(alone.agree::<_, TrainError>(Ok(3)).unwrap(), 3);
        let error = || TrainError::Image { index: 7, images: 7 };
        assert!(matches!(alone.agree::<(), _>(Err(error())), Err(TrainError::Image { .. })));
        assert!(matches!(alone.told_by_first(error()), TrainError::Image { .. }));
        let second = Ranks { rank: 1, size: 2 };
        assert!(matches!(second.told_by_first(error()), TrainError::OtherRank { rank: 0 }));
        assert_eq!(alone.of_first(b"abc"), b"abc");
        let mut sums = vec![1.0; 2 * PARAM_CHUNK];
        alone.add_in_order(&mut sums, |start, sums| {
            assert_eq!((start, sums.len()), (0, 2 * PARAM_CHUNK));
            sums[3] += 1.0;
        });
        assert_eq!(sums[3], 2.0);
    }
}
