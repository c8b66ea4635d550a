//! Files from a server that does all that servers do.

mod server;

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use self::server::{Server, not_found, part, read_request, unmeasured, whole};
use super::*;
use crate::digest::of_bytes as digest;
use crate::known::KnownSet;
use crate::known::tests::shared_data;

const NAME: &str = "numbers.bin";

/// Longer than any buffer on the way.
fn numbers() -> Vec<u8> {
    (0..250_000_u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

fn fetch(mirrors: &[&str], dir: &Path) -> Result<Fetched, FetchError> {
    fetch_within(&Timeouts::default(), mirrors, dir)
}

fn fetch_within(timeouts: &Timeouts, mirrors: &[&str], dir: &Path) -> Result<Fetched, FetchError> {
    let bytes = numbers();
    let file = RemoteFile { name: NAME, len: bytes.len() as u64, sha256: &digest(&bytes) };
    Fetcher::new(*timeouts).fetch(&file, mirrors, dir, |_| ())
}

fn only_failure(result: Result<Fetched, FetchError>) -> MirrorFailure {
    match result {
        Err(FetchError::Mirrors { mut failures, .. }) if failures.len() == 1 => failures.remove(0),
        other => panic!("{other:?}"),
    }
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_file_arrives_and_is_not_asked_for_again() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::new(|_, (_, range)| whole(&numbers(), *range));
    let mut heard = Vec::new();
    let bytes = numbers();
    let file = RemoteFile { name: NAME, len: bytes.len() as u64, sha256: &digest(&bytes) };
    let fetched =
        Fetcher::new(Timeouts::default()).fetch(&file, &[&server.url], dir.path(), |len| heard.push(len));
    assert_eq!(fetched.unwrap(), Fetched::From(format!("{}{NAME}", server.url)));
    assert!(heard.is_sorted() && heard.last() == Some(&file.len), "{heard:?}");
    assert_eq!(fs::read(dir.path().join(NAME)).unwrap(), bytes);
    assert_eq!(names(dir.path()), [NAME]);
    assert_eq!(server.requests.lock().unwrap()[..], [(format!("/{NAME}"), None)]);

    assert_eq!(fetch(&[&server.url], dir.path()).unwrap(), Fetched::AlreadyThere);
    assert_eq!(server.ranges().len(), 1);
}

#[test]
fn a_connection_that_breaks_is_taken_up_where_it_broke() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::new(|number, (_, range)| match number {
        0 => part(&numbers(), *range, 400_000),
        1 => part(&numbers(), *range, 100_000),
        _ => whole(&numbers(), *range),
    });
    fetch(&[&server.url], dir.path()).unwrap();
    assert_eq!(fs::read(dir.path().join(NAME)).unwrap(), numbers());
    assert_eq!(server.ranges(), [None, Some(400_000), Some(500_000)]);
}

#[test]
fn the_next_run_goes_on_and_so_does_the_next_mirror() {
    let dir = tempfile::tempdir().unwrap();
    let broken = Server::new(|number, (_, range)| match number {
        0 => part(&numbers(), *range, 300_000),
        _ => part(&numbers(), *range, 0),
    });
    let failure = only_failure(fetch(&[&broken.url], dir.path()));
    assert!(matches!(failure.cause, Cause::Broken { given: 300_000, .. }), "{failure}");
    assert_eq!(broken.ranges(), [None, Some(300_000)], "no progress, no further request");
    assert_eq!(fs::metadata(dir.path().join("numbers.bin.part")).unwrap().len(), 300_000);

    let good = Server::new(|_, (_, range)| whole(&numbers(), *range));
    fetch(&[&broken.url, &good.url], dir.path()).unwrap();
    assert_eq!(good.ranges(), [Some(300_000)]);
    assert_eq!(fs::read(dir.path().join(NAME)).unwrap(), numbers());
    assert_eq!(names(dir.path()), [NAME]);
}

#[test]
fn servers_without_ranges_start_over() {
    for refuses in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("numbers.bin.part"), &numbers()[..300_000]).unwrap();
        let server = Server::new(move |_, (_, range)| match range {
            Some(_) if refuses => part(&numbers(), Some(usize::MAX), 0),
            _ => whole(&numbers(), None),
        });
        fetch(&[&server.url], dir.path()).unwrap();
        assert_eq!(fs::read(dir.path().join(NAME)).unwrap(), numbers());
        let expected: &[_] = if refuses { &[Some(300_000), None] } else { &[Some(300_000)] };
        assert_eq!(server.ranges(), expected);
    }
}

#[test]
fn another_range_than_asked_for_is_not_appended() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("numbers.bin.part"), &numbers()[..300_000]).unwrap();
    let server = Server::new(|_, (_, range)| match range {
        Some(_) => whole(&numbers(), Some(100_000)),
        None => whole(&numbers(), None),
    });
    fetch(&[&server.url], dir.path()).unwrap();
    assert_eq!(fs::read(dir.path().join(NAME)).unwrap(), numbers());
    assert_eq!(server.ranges(), [Some(300_000), None]);
}

#[test]
fn a_part_of_another_file_is_thrown_away() {
    for (left, ranges) in [
        (vec![7; 300_000], vec![Some(300_000), None]),
        (vec![7; 1_000_000], vec![None]),
        (vec![7; 1_000_001], vec![None]),
        (numbers(), vec![]),
    ] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("numbers.bin.part"), left).unwrap();
        let server = Server::new(|_, (_, range)| whole(&numbers(), *range));
        fetch(&[&server.url], dir.path()).unwrap();
        assert_eq!(fs::read(dir.path().join(NAME)).unwrap(), numbers());
        assert_eq!(server.ranges(), ranges);
        assert_eq!(names(dir.path()), [NAME]);
    }
}

#[test]
fn wrong_bytes_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut wrong = numbers();
    wrong[999_999] ^= 1;
    let server = Server::new(move |_, (_, range)| whole(&wrong, *range));
    let failure = only_failure(fetch(&[&server.url], dir.path()));
    assert!(matches!(failure.cause, Cause::Digest { .. }), "{failure}");
    assert_eq!(names(dir.path()), [""; 0]);

    // Nor do they replace anything, not even another wrong file.
    fs::write(dir.path().join(NAME), "old").unwrap();
    only_failure(fetch(&[&server.url], dir.path()));
    assert_eq!(fs::read(dir.path().join(NAME)).unwrap(), b"old");
    let good = Server::new(|_, (_, range)| whole(&numbers(), *range));
    assert!(
        matches!(fetch(&[&server.url, &good.url], dir.path()), Ok(Fetched::From(url)) if url.starts_with(&good.url))
    );
    assert_eq!(fs::read(dir.path().join(NAME)).unwrap(), numbers());
}

#[test]
fn too_much_is_not_taken() {
    let long = [numbers(), vec![0; 5_000_000]].concat();
    let (stated, unstated) = (long.clone(), long);
    for server in
        [Server::new(move |_, _| whole(&stated, None)), Server::new(move |_, _| unmeasured(&unstated))]
    {
        let dir = tempfile::tempdir().unwrap();
        let failure = only_failure(fetch(&[&server.url], dir.path()));
        assert!(matches!(failure.cause, Cause::Len { required: 1_000_000, .. }), "{failure}");
        assert_eq!(names(dir.path()), [""; 0]);
    }
}

#[test]
fn too_little_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let stated = Server::new(|_, _| whole(&numbers()[..999_999], None));
    let failure = only_failure(fetch(&[&stated.url], dir.path()));
    assert!(matches!(&failure.cause, Cause::Len { given, .. } if given == "999999"), "{failure}");

    let unstated = Server::new(|_, (_, range)| unmeasured(if range.is_none() { &[7; 99] } else { &[] }));
    let failure = only_failure(fetch(&[&unstated.url], dir.path()));
    assert!(matches!(failure.cause, Cause::Broken { given: 0, required: 1_000_000, .. }), "{failure}");
    assert_eq!(names(dir.path()), [""; 0]);
}

#[test]
fn the_second_mirror_helps() {
    let dir = tempfile::tempdir().unwrap();
    let (empty, good) =
        (Server::new(|_, _| not_found()), Server::new(|_, (_, range)| whole(&numbers(), *range)));
    // Nobody listens on a port that was just given back.
    let dead = format!("http://{}/", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let failed = fetch(&[&empty.url, &dead, "no url"], dir.path()).unwrap_err().to_string();
    for part in [NAME, &format!("{}{NAME}: the server says 404 Not Found", empty.url), &dead, "no url"] {
        assert!(failed.contains(part), "{failed}");
    }
    assert!(fetch(&[], dir.path()).unwrap_err().to_string().contains("no mirror"));
    assert_eq!(names(dir.path()), [""; 0]);
    // With or without a slash at its end.
    let good = good.url.trim_end_matches('/');
    fetch(&[&empty.url, good], dir.path()).unwrap();
    assert_eq!(names(dir.path()), [NAME]);
}

#[test]
fn a_silent_server_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let silent = Server::new(|_, _| {
        thread::sleep(Duration::from_secs(30));
        Vec::new()
    });
    let timeouts = Timeouts { silence: Duration::from_millis(500), ..Timeouts::default() };
    let start = Instant::now();
    let failure = only_failure(fetch_within(&timeouts, &[&silent.url], dir.path()));
    assert!(matches!(failure.cause, Cause::Request(_)), "{failure}");
    assert!(failure.to_string().contains("timeout"), "{failure}");

    // The same after the head, and after a part of the body.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        let mut open = Vec::new();
        for stream in listener.incoming().take(2) {
            let mut stream = stream.unwrap();
            let (_, range) = read_request(&stream);
            stream.write_all(&part(&numbers(), range, 250_000)).unwrap();
            open.push(stream);
        }
        thread::sleep(Duration::from_secs(30));
    });
    let failure = only_failure(fetch_within(&timeouts, &[&url], dir.path()));
    assert!(matches!(failure.cause, Cause::Request(_) | Cause::Broken { given: 500_000, .. }), "{failure}");
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[test]
fn two_processes_do_not_write_into_one_file() {
    let dir = tempfile::tempdir().unwrap();
    let part = fs::File::create(dir.path().join("numbers.bin.part")).unwrap();
    part.lock().unwrap();
    let busy = fetch(&["http://127.0.0.1:9/"], dir.path());
    assert!(matches!(busy, Err(FetchError::Busy { .. })), "{busy:?}");
}

#[test]
fn a_folder_that_is_missing_is_named() {
    let error = fetch(&["http://127.0.0.1:9/"], Path::new("no/such/folder")).unwrap_err();
    assert!(matches!(&error, FetchError::File(_)), "{error}");
    assert!(error.to_string().contains("no/such/folder"), "{error}");
}

/// The stated lengths and digests are those of the real files.
#[test]
fn the_sets_are_the_real_ones() {
    let Some(dir) = shared_data() else {
        eprintln!("SKIPPED: no shared/data, and IM2COL_SHARED is not set; only MNIST's test set is checked");
        let built_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("../im2col-digits/data");
        return RemoteSet::of(KnownSet::Mnist).test.iter().for_each(|file| check(file, &built_in));
    };
    for known in KnownSet::ALL {
        let set = RemoteSet::of(known);
        set.train.iter().chain(&set.test).for_each(|file| check(file, &dir.join(known.name())));
        for mirror in set.mirrors {
            assert!(mirror.starts_with("http") && mirror.ends_with('/'), "{mirror}");
        }
    }
}

fn check(file: &RemoteFile<'_>, dir: &Path) {
    let bytes = fs::read(dir.join(file.name)).unwrap();
    assert_eq!((bytes.len() as u64, &*digest(&bytes)), (file.len, file.sha256), "{}", file.name);
}
