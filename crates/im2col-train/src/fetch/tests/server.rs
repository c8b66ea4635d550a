//! A server of files on this machine, for tests of downloads.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// No test asks more often.
const MOST_REQUESTS: usize = 64;

/// A request's path, and the first byte of its range.
pub(super) type Request = (String, Option<usize>);

/// Answers each request with what `answer` makes of its number and of the request: the bytes of a whole response,
/// after which the connection is closed.
#[derive(Debug)]
pub(super) struct Server {
    /// The URL of its root, with a slash at the end.
    pub(super) url: String,
    /// What was asked for.
    pub(super) requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Listens on a port of its own, in a thread that answers until the process ends.
    pub(super) fn new(answer: impl Fn(usize, &Request) -> Vec<u8> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&requests);
        thread::spawn(move || {
            for (number, stream) in listener.incoming().take(MOST_REQUESTS).enumerate() {
                let mut stream = stream.unwrap();
                let request = read_request(&stream);
                log.lock().unwrap().push(request.clone());
                // A client may hang up, as it must when too much comes.
                let _ = stream.write_all(&answer(number, &request));
            }
        });
        Self { url, requests }
    }

    /// Of each request, the first byte of its range.
    pub(super) fn ranges(&self) -> Vec<Option<usize>> {
        self.requests.lock().unwrap().iter().map(|(_, range)| *range).collect()
    }
}

/// Reads the head of a request.
pub(super) fn read_request(stream: &TcpStream) -> Request {
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    let path = lines.next().unwrap().split(' ').nth(1).unwrap().to_owned();
    let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let range = head.iter().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        let from = value.strip_prefix("bytes=")?.strip_suffix('-')?;
        name.eq_ignore_ascii_case("range").then(|| from.parse().unwrap())
    });
    (path, range)
}

/// The response of a server that knows ranges, but sends only the first `sent` bytes before it hangs up.
pub(super) fn part(bytes: &[u8], range: Option<usize>, sent: usize) -> Vec<u8> {
    let from = range.unwrap_or(0);
    if from >= bytes.len() {
        return b"HTTP/1.1 416 Range Not Satisfiable\r\ncontent-length: 0\r\n\r\n".to_vec();
    }
    let status = match range {
        Some(_) => {
            let last = bytes.len() - 1;
            format!("206 Partial Content\r\ncontent-range: bytes {from}-{last}/{}", bytes.len())
        }
        None => "200 OK".to_owned(),
    };
    let rest = &bytes[from..];
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", rest.len());
    [head.as_bytes(), &rest[..sent.min(rest.len())]].concat()
}

/// The response of a server that knows ranges.
pub(super) fn whole(bytes: &[u8], range: Option<usize>) -> Vec<u8> {
    part(bytes, range, usize::MAX)
}

/// Without a length: the response ends with the connection.
pub(super) fn unmeasured(bytes: &[u8]) -> Vec<u8> {
    [b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n", bytes].concat()
}

/// The response of a server that does not have the file.
pub(super) fn not_found() -> Vec<u8> {
    b"HTTP/1.1 404 Not Found\r\ncontent-length: 9\r\n\r\nnot here\n".to_vec()
}
