//! An origin that does what its script says, good or bad.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use holdover::origin::dns::answers::Lookup;
use holdover::origin::request::connect::Stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_util::sync::CancellationToken;

/// One origin with one address.
pub(crate) struct ScriptedOrigin {
    name: String,
    state: Mutex<State>,
}

struct State {
    address: IpAddr,
    condition: Condition,
    answers: BTreeMap<String, Answer>,
    requests: Vec<String>,
    /// Cancelled when the origin dies.
    life: CancellationToken,
    lookup: Option<Lookup>,
    far: Duration,
    accepted: usize,
    open: usize,
    /// The number of the last connection that it does not know any more.
    forgotten: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    Alive,
    /// Packets vanish.
    Blackholed,
    Dead,
    /// There is nothing left to connect to it with.
    Starved,
    /// Accepts and never answers.
    Wedged,
}

impl ScriptedOrigin {
    pub(super) fn new(name: &str, address: IpAddr) -> Self {
        let state = State {
            address,
            condition: Condition::Alive,
            answers: BTreeMap::from([("/".to_owned(), Answer::ok("home"))]),
            requests: Vec::new(),
            life: CancellationToken::new(),
            lookup: None,
            far: Duration::ZERO,
            accepted: 0,
            open: 0,
            forgotten: 0,
        };
        Self { name: name.to_owned(), state: Mutex::new(state) }
    }

    /// From here on, `path` (with its query) is answered like this.
    pub(crate) fn answers(&self, path: &str, answer: Answer) {
        self.state.lock().unwrap().answers.insert(path.to_owned(), answer);
    }

    /// Refuses connections, and resets those it has.
    pub(crate) fn dies(&self) {
        self.becomes(Condition::Dead);
    }

    /// Connects to it fail for want of a descriptor in the node.
    pub(crate) fn is_out_of_means(&self) {
        self.becomes(Condition::Starved);
    }

    /// Its packets vanish, in both directions.
    pub(crate) fn is_blackholed(&self) {
        self.state.lock().unwrap().condition = Condition::Blackholed;
    }

    /// From here on a connect to it takes this much longer.
    pub(crate) fn is_far(&self, far: Duration) {
        self.state.lock().unwrap().far = far;
    }

    /// Connections accepted, those of probes included.
    pub(crate) fn accepted(&self) -> usize {
        self.state.lock().unwrap().accepted
    }

    /// Connections open, those of probes included.
    pub(crate) fn open(&self) -> usize {
        self.state.lock().unwrap().open
    }

    /// From here on it ends connections that it has with the next request on them.
    pub(crate) fn forgets_its_connections(&self) {
        let mut state = self.state.lock().unwrap();
        state.forgotten = state.accepted;
    }

    /// Accepts, and never answers.
    pub(crate) fn wedges(&self) {
        self.becomes(Condition::Wedged);
    }

    /// Is as before.
    pub(crate) fn returns(&self) {
        self.becomes(Condition::Alive);
    }

    /// Is at another address from here on, and no longer at the one before.
    pub(crate) fn moves_to(&self, address: IpAddr) {
        self.state.lock().unwrap().address = address;
    }

    /// What lookups of its name find from here on; `None` is its address.
    pub(crate) fn resolves_to(&self, lookup: Option<Lookup>) {
        self.state.lock().unwrap().lookup = lookup;
    }

    /// The heads of the requests, with the trailer sections of those in chunks, for `path`, probes left out, since the start.
    pub(crate) fn requests(&self, path: &str) -> Vec<String> {
        let state = self.state.lock().unwrap();
        let wanted = format!(" {path} HTTP/1.1\r\n");
        state
            .requests
            .iter()
            .filter(|head| head.contains(&wanted) && !head.contains("holdover-probe"))
            .cloned()
            .collect()
    }

    /// All requests but probes since the start.
    pub(crate) fn requests_of_all(&self) -> usize {
        self.state.lock().unwrap().requests.iter().filter(|head| !head.contains("holdover-probe")).count()
    }

    /// The number of probes since the start.
    pub(crate) fn probes(&self) -> usize {
        self.state.lock().unwrap().requests.iter().filter(|head| head.contains("holdover-probe")).count()
    }

    pub(super) fn lookup(&self) -> Lookup {
        let state = self.state.lock().unwrap();
        let found = Lookup::Found { addresses: vec![state.address], ttl: Duration::from_secs(30), whole: true };
        state.lookup.clone().unwrap_or(found)
    }

    pub(super) fn is_at(&self, address: IpAddr) -> bool {
        self.state.lock().unwrap().address == address
    }

    pub(super) async fn accept(self: Arc<Self>) -> io::Result<Box<dyn Stream>> {
        let far = self.state.lock().unwrap().far;
        tokio::time::sleep(far).await;
        let (condition, life) = {
            let state = self.state.lock().unwrap();
            (state.condition, state.life.clone())
        };
        match condition {
            Condition::Alive | Condition::Wedged => {}
            Condition::Blackholed => std::future::pending().await,
            Condition::Dead => return Err(io::ErrorKind::ConnectionRefused.into()),
            Condition::Starved => return Err(io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error())),
        }
        let number = {
            let mut state = self.state.lock().unwrap();
            state.accepted += 1;
            state.open += 1;
            state.accepted
        };
        let (ours, theirs) = duplex(64 * 1024);
        tokio::spawn(async move {
            life.run_until_cancelled(self.serve(number, ours)).await;
            self.state.lock().unwrap().open -= 1;
        });
        Ok(Box::new(theirs))
    }

    fn becomes(&self, condition: Condition) {
        let mut state = self.state.lock().unwrap();
        state.condition = condition;
        state.life.cancel();
        state.life = CancellationToken::new();
    }

    async fn serve(&self, number: usize, mut stream: DuplexStream) {
        while let Some(head) = read_request(&mut stream).await {
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            let method = head.split(' ').next().unwrap_or_default().to_owned();
            let (answer, condition) = {
                let mut state = self.state.lock().unwrap();
                state.requests.push(head.clone());
                if number <= state.forgotten {
                    return;
                }
                let answer = state.answers.get(&path).cloned().unwrap_or_else(|| Answer::new(404, "not here"));
                (answer, state.condition)
            };
            if condition != Condition::Alive {
                std::future::pending::<()>().await;
            }
            if !answer.play(&self.name, &method, &head, &mut stream).await {
                return;
            }
        }
    }
}

async fn read_request(stream: &mut DuplexStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    if field(&head, "transfer-encoding") == Some("chunked") {
        return read_chunks(stream).await.map(|trailers| head + &trailers);
    }
    let length = field(&head, "content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(head)
}

/// Reads a body in chunks; its trailer section.
async fn read_chunks(stream: &mut DuplexStream) -> Option<String> {
    loop {
        let size = usize::from_str_radix(read_line(stream).await?.trim(), 16).ok()?;
        if size == 0 {
            break;
        }
        stream.read_exact(&mut vec![0; size + 2]).await.ok()?;
    }
    let mut trailers = String::new();
    while !trailers.ends_with("\r\n\r\n") && trailers != "\r\n" {
        trailers += &read_line(stream).await?;
    }
    Some(trailers)
}

async fn read_line(stream: &mut DuplexStream) -> Option<String> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        line.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(line).ok()
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (field, value) = line.split_once(':')?;
        field.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

/// The value of a digest field (RFC 9530) of this body.
pub(crate) fn sha256(body: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, body.as_bytes());
    let item = sfv::ItemSerializer::new().bare_item(sfv::RefBareItem::ByteSequence(digest.as_ref())).finish();
    format!("sha-256={item}")
}

/// One scripted answer.
#[derive(Clone)]
pub(crate) struct Answer {
    status: u16,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
    delay: Duration,
    breaks_at: Option<usize>,
    stalls_at: Option<usize>,
    pause: Option<(usize, Duration)>,
    drips_at: Option<usize>,
    ranges: bool,
    parts_lack: usize,
    chunked: bool,
    repeats: Option<Duration>,
    interim: Option<(usize, Duration)>,
    trailers: String,
    surplus: &'static str,
    surplus_delay: Duration,
    hangs_up: bool,
    version: &'static str,
}

impl Answer {
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            fields: Vec::new(),
            body: body.into(),
            delay: Duration::ZERO,
            breaks_at: None,
            stalls_at: None,
            pause: None,
            drips_at: None,
            ranges: false,
            parts_lack: 0,
            chunked: false,
            repeats: None,
            interim: None,
            trailers: String::new(),
            surplus: "",
            surplus_delay: Duration::ZERO,
            hangs_up: false,
            version: "HTTP/1.1",
        }
    }

    pub(crate) fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self::new(200, body)
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn max_age(self, seconds: u32) -> Self {
        self.with("cache-control", &format!("max-age={seconds}"))
    }

    /// Also answers conditional requests with 304.
    pub(crate) fn etag(self, tag: &str) -> Self {
        self.with("etag", &format!("\"{tag}\""))
    }

    /// Before the head.
    pub(crate) fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// The connection ends after so many bytes of the body.
    pub(crate) fn breaking_at(mut self, bytes: usize) -> Self {
        self.breaks_at = Some(bytes);
        self
    }

    /// Nothing comes after so many bytes of the body.
    pub(crate) fn stalling_at(mut self, bytes: usize) -> Self {
        self.stalls_at = Some(bytes);
        self
    }

    /// Waits for so long after so many bytes of the body.
    pub(crate) fn pausing_at(mut self, bytes: usize, pause: Duration) -> Self {
        self.pause = Some((bytes, pause));
        self
    }

    /// From so many bytes of the body on, unless it is asked for a part, sends 200 in a second.
    pub(crate) fn dripping_at(mut self, bytes: usize) -> Self {
        self.drips_at = Some(bytes);
        self
    }

    /// Answers ranges with 206.
    pub(crate) fn with_ranges(mut self) -> Self {
        self.ranges = true;
        self
    }

    /// Answers ranges with 206, and leaves out so many bytes at their end.
    pub(crate) fn with_short_ranges(mut self, lacking: usize) -> Self {
        self.parts_lack = lacking;
        self.with_ranges()
    }

    /// Sends the body in chunks, without a length.
    pub(crate) fn chunked(mut self) -> Self {
        self.chunked = true;
        self
    }

    /// Sends the body again and again, for ever.
    pub(crate) fn repeating(mut self, interval: Duration) -> Self {
        self.repeats = Some(interval);
        self
    }

    /// Sends so many interim responses first, each after this time.
    pub(crate) fn after_interim(mut self, count: usize, interval: Duration) -> Self {
        self.interim = Some((count, interval));
        self
    }

    /// Sends the body in chunks, and this field behind it.
    pub(crate) fn trailing(mut self, name: &str, value: &str) -> Self {
        self.trailers += &format!("{name}: {value}\r\n");
        self.chunked()
    }

    /// Sends this behind the body, also where there is none.
    pub(crate) fn with_surplus(mut self, surplus: &'static str) -> Self {
        self.surplus = surplus;
        self
    }

    /// The same, so long after the body.
    pub(crate) fn with_late_surplus(mut self, delay: Duration, surplus: &'static str) -> Self {
        self.surplus_delay = delay;
        self.with_surplus(surplus)
    }

    /// Speaks HTTP/1.0.
    pub(crate) fn of_old(mut self) -> Self {
        self.version = "HTTP/1.0";
        self
    }

    /// Ends the connection in place of the head.
    pub(crate) fn hanging_up(mut self) -> Self {
        self.hangs_up = true;
        self
    }

    /// Whether the connection can be used again.
    async fn play(&self, origin: &str, method: &str, request: &str, stream: &mut DuplexStream) -> bool {
        tokio::time::sleep(self.delay).await;
        if self.hangs_up {
            return false;
        }
        let (count, interval) = self.interim.unwrap_or_default();
        for number in 0..count {
            tokio::time::sleep(interval).await;
            let interim =
                [&b"HTTP/1.1 102 Processing\r\n\r\n"[..], b"HTTP/1.1 103 Early Hints\r\nlink: </x.css>\r\n\r\n"];
            if stream.write_all(interim[number % 2]).await.is_err() {
                return false;
            }
        }
        let own_tag = self.fields.iter().find(|(name, _)| name == "etag").map(|(_, tag)| tag.as_str());
        if own_tag.is_some() && field(request, "if-none-match") == own_tag {
            return self.send(304, origin, None, None, stream).await;
        }
        let if_range = field(request, "if-range");
        let range = field(request, "range").filter(|_| self.ranges && (if_range.is_none() || if_range == own_tag));
        let start = range.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
        let end = self.body.len() - start.map_or(0, |_| self.parts_lack);
        let body = (method != "HEAD").then(|| &self.body[start.unwrap_or(0)..end]);
        self.send(if start.is_some() { 206 } else { self.status }, origin, body, start, stream).await
    }

    async fn send(
        &self,
        status: u16,
        origin: &str,
        body: Option<&[u8]>,
        start: Option<usize>,
        stream: &mut DuplexStream,
    ) -> bool {
        let (has_body, body) = (body.is_some(), body.unwrap_or_default());
        let mut head = format!("{} {status} Scripted\r\nx-origin: {origin}\r\n", self.version);
        for (name, value) in &self.fields {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(start) = start {
            head.push_str(&format!("content-range: bytes {start}-{}/{}\r\n", self.body.len() - 1, self.body.len()));
        }
        if status != 304 {
            head.push_str(&match self.chunked {
                true => "transfer-encoding: chunked\r\n".to_owned(),
                // Also to HEAD, which gets no body.
                false => format!("content-length: {}\r\n", self.body.len() - start.unwrap_or(0)),
            });
        }
        head.push_str("\r\n");
        let mut message = head.into_bytes();
        if let Some((bytes, pause)) = self.pause.filter(|_| start.is_none() && has_body) {
            let [first, rest] = [&body[..bytes], &body[bytes..]].map(|part| match self.chunked {
                true => [format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat(),
                false => part.to_vec(),
            });
            message.extend(first);
            let _client_left = stream.write_all(&message).await;
            tokio::time::sleep(pause).await;
            let end = if self.chunked { &b"0\r\n\r\n"[..] } else { b"" };
            return stream.write_all(&[&rest, end].concat()).await.is_ok();
        }
        if let Some(bytes) = self.drips_at.filter(|_| start.is_none() && has_body) {
            message.extend(&body[..bytes]);
            let _client_left = stream.write_all(&message).await;
            for drop in body[bytes..].chunks(20) {
                tokio::time::sleep(Duration::from_millis(100)).await;
                if stream.write_all(drop).await.is_err() {
                    return false;
                }
            }
            return true;
        }
        let early_end = self.breaks_at.or(self.stalls_at).filter(|_| start.is_none());
        let sent = &body[..early_end.unwrap_or(body.len()).min(body.len())];
        if self.chunked && has_body {
            if !sent.is_empty() {
                message.extend(format!("{:x}\r\n", sent.len()).bytes());
                message.extend(sent);
                message.extend(b"\r\n");
            }
            if early_end.is_none() && self.repeats.is_none() {
                message.extend(format!("0\r\n{}\r\n", self.trailers).bytes());
            }
        } else {
            message.extend(sent);
        }
        if !self.surplus_delay.is_zero() {
            let _client_left = stream.write_all(&std::mem::take(&mut message)).await;
            tokio::time::sleep(self.surplus_delay).await;
        }
        message.extend(self.surplus.bytes());
        let written = stream.write_all(&message).await.is_ok();
        while let Some(interval) = self.repeats {
            tokio::time::sleep(interval).await;
            let again = format!("{:x}\r\n{}\r\n", sent.len(), String::from_utf8_lossy(sent));
            if stream.write_all(again.as_bytes()).await.is_err() {
                return false;
            }
        }
        if early_end.is_some() && self.stalls_at.is_some() {
            std::future::pending::<()>().await;
        }
        written && early_end.is_none()
    }
}
