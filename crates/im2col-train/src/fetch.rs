//! Data sets from the internet, whoever serves them: a file is known by its SHA-256.
//!
//! Bytes arrive in `NAME.part`. A download that breaks leaves it, and the next one goes on from there. Only a
//! complete and right file gets its final name, at once; never more bytes are taken than it has.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]

mod error;
mod part;
mod sets;

use std::path::Path;
use std::time::Duration;

use ureq::http::header::{CONTENT_LENGTH, CONTENT_RANGE, RANGE};
use ureq::http::{HeaderMap, Response, StatusCode};
use ureq::{Agent, Body};

use self::error::Failure;
pub(crate) use self::error::{Cause, FetchError, MirrorFailure};
use self::part::{PartialFile, is_right};
pub(crate) use self::sets::{RemoteFile, RemoteSet};
use crate::atomic;
use crate::file::FileError;

/// How often a mirror is asked for the rest of a file after it broke off.
const MOST_RESUMES: u32 = 8;

/// What had to be done for a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fetched {
    /// Nothing: it is there and right.
    AlreadyThere,
    /// It came from this URL.
    From(String),
}

/// How long to wait for a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timeouts {
    /// Until it is connected.
    pub connect: Duration,
    /// Until it sends something, at any time.
    pub silence: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(15), silence: Duration::from_secs(30) }
    }
}

/// Asks servers for files, through the proxy that `http_proxy` and `https_proxy` name, if they do.
#[derive(Debug)]
pub(crate) struct Fetcher {
    agent: Agent,
}

impl Fetcher {
    /// One that waits no longer than this.
    #[must_use]
    pub(crate) fn new(timeouts: Timeouts) -> Self {
        let agent = Agent::config_builder()
            .timeout_connect(Some(timeouts.connect))
            .timeout_recv_response(Some(timeouts.silence))
            .timeout_per_read(Some(timeouts.silence))
            // A range is one of the file, not of a compressed form of it.
            .accept_encoding("identity")
            .http_status_as_error(false)
            // Servers close idle connections; a request on one that is being closed fails.
            .max_idle_connections(0)
            .build()
            .new_agent();
        Self { agent }
    }

    /// Sees to it that `dir` has the file, from the first of the mirrors (URLs of folders) that has it.
    ///
    /// `progress` hears how many of its bytes are there; the number falls where a server makes us start over.
    /// A wrong file under the right name stays until the right one is complete.
    ///
    /// # Errors
    /// No mirror has the file, or it cannot be written here. What was fetched so far stays for the next time,
    /// unless it is wrong.
    pub(crate) fn fetch(
        &self,
        file: &RemoteFile<'_>,
        mirrors: &[&str],
        dir: &Path,
        mut progress: impl FnMut(u64),
    ) -> Result<Fetched, FetchError> {
        let there = dir.join(file.name);
        // Where the name is a link, the part lies beside the file that it leads to.
        let path = atomic::follow(&there).map_err(FileError::at(&there))?;
        if is_right(&path, file)? {
            return Ok(Fetched::AlreadyThere);
        }
        let mut part = PartialFile::open(&path, file)?;
        // Another process may have finished while this one waited for the disk.
        if is_right(&path, file)? {
            part.remove()?;
            return Ok(Fetched::AlreadyThere);
        }
        let mut failures = Vec::new();
        for mirror in mirrors {
            let url = format!("{}/{}", mirror.trim_end_matches('/'), file.name);
            match self.fetch_part(&url, &mut part, &mut progress) {
                Ok(()) => {
                    part.finish(&path)?;
                    return Ok(Fetched::From(url));
                }
                Err(Failure::Here(error)) => {
                    // The first error is the one to report.
                    let _ = part.leave();
                    return Err(error);
                }
                Err(Failure::There(cause)) => failures.push(MirrorFailure { url, cause }),
            }
        }
        part.leave()?;
        Err(FetchError::Mirrors { file: path, failures })
    }

    /// Completes the part from one mirror. Where the answer gets on but breaks, or leads to a wrong file that
    /// had been begun by another answer, it is asked again.
    fn fetch_part(
        &self,
        url: &str,
        part: &mut PartialFile<'_>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), Failure> {
        let mut resumes = 0;
        loop {
            let begun = part.len;
            let result = self.request(url, part, progress).and_then(|()| part.check());
            let go_on = match &result {
                Err(Failure::There(Cause::Broken { given, .. })) => *given > begun,
                Err(Failure::There(Cause::Digest { .. } | Cause::Range { .. })) => begun > 0,
                _ => false,
            };
            if !go_on || resumes == MOST_RESUMES {
                return result;
            }
            resumes = resumes.saturating_add(1);
        }
    }

    /// One request for what the part lacks.
    fn request(
        &self,
        url: &str,
        part: &mut PartialFile<'_>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), Failure> {
        if part.len == part.file.len {
            return Ok(());
        }
        let mut response = self.ask(url, part.len)?;
        if response.status() == StatusCode::RANGE_NOT_SATISFIABLE && part.len > 0 {
            part.clear()?;
            response = self.ask(url, 0)?;
        }
        match response.status() {
            StatusCode::PARTIAL_CONTENT => {
                let given = header(response.headers(), CONTENT_RANGE.as_str());
                if !given.starts_with(&format!("bytes {}-", part.len)) {
                    let required = part.len;
                    part.clear()?;
                    return Err(Failure::There(Cause::Range { required, given: given.to_owned() }));
                }
            }
            // The whole file, whatever was asked for.
            StatusCode::OK => {
                part.clear()?;
                let given = header(response.headers(), CONTENT_LENGTH.as_str());
                if given.parse::<u64>().is_ok_and(|given| given != part.file.len) {
                    return Err(part.wrong_len(given));
                }
            }
            status => return Err(Failure::There(Cause::Status(status))),
        }
        part.receive(response.body_mut().as_reader(), progress)
    }

    fn ask(&self, url: &str, from: u64) -> Result<Response<Body>, Failure> {
        let mut request = self.agent.get(url);
        if from > 0 {
            request = request.header(RANGE, format!("bytes={from}-"));
        }
        request.call().map_err(|error| Failure::There(Cause::Request(Box::new(error))))
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "a test fails by panicking")]
mod tests;
