//! What an origin says on a connection, to the byte: well, or as badly as it is told to.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use holdover::semantics::date::format_http_date;
use socket2::SockRef;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::content;
use super::origin::{Conduct, Shared};

/// Answers the requests of one connection until either side ends it.
pub(super) async fn serve(stream: TcpStream, shared: Arc<Shared>) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(request) = Request::read(&mut stream).await? {
        match shared.answer(&request, stream.get_mut()).await? {
            Next::Request if request.field("connection") != Some("close") => {}
            Next::Request | Next::Close => return stream.shutdown().await,
            Next::Reset => return SockRef::from(stream.get_ref()).set_linger(Some(Duration::ZERO)),
        }
    }
    Ok(())
}

/// What becomes of a connection after an answer.
enum Next {
    Request,
    Close,
    Reset,
}

struct Request {
    path: String,
    fields: BTreeMap<String, String>,
}

impl Request {
    /// `None` when there are no more.
    async fn read(stream: &mut BufReader<TcpStream>) -> io::Result<Option<Self>> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).await? == 0 {
                return Ok(None);
            }
        }
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let fields = head.lines().filter_map(|line| line.split_once(':'));
        let fields = fields.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
        Ok(Some(Self { path, fields }))
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    /// Where the part begins that is asked for, if it is one of this representation.
    fn offset(&self, tag: &str) -> usize {
        let is_of_it = self.field("if-range").is_none_or(|wanted| wanted == tag);
        let range = self.field("range").filter(|_| is_of_it).and_then(|range| range.strip_prefix("bytes="));
        range.and_then(|range| range.strip_suffix('-')?.parse().ok()).unwrap_or(0)
    }
}

/// What a path stands for at an origin.
struct Page {
    tag: String,
    cache_control: &'static str,
    body: Bytes,
    /// Between the two halves of the body.
    pause: Duration,
}

impl Page {
    fn of(path: &str, edition: usize) -> Self {
        Self {
            tag: content::entity_tag(path, edition),
            cache_control: content::cache_control(path),
            body: content::body(path, edition),
            pause: content::time_within(path),
        }
    }

    fn another() -> Self {
        Self {
            tag: "\"another\"".to_owned(),
            cache_control: "max-age=600",
            body: "another page\n".into(),
            pause: Duration::ZERO,
        }
    }

    fn fields(&self) -> String {
        format!("etag: {}\r\ncache-control: {}\r\naccept-ranges: bytes\r\n", self.tag, self.cache_control)
    }
}

impl Shared {
    async fn answer(&self, request: &Request, stream: &mut TcpStream) -> io::Result<Next> {
        let told = self.conduct();
        match (told, request.path == HEALTH_PAGE) {
            (Conduct::Refuses | Conduct::Hangs, true) => return until_closed(stream).await,
            (Conduct::Lies, true) => return self.says(stream, "503 Service Unavailable", "ill\n").await,
            (_, true) => return self.says(stream, "200 OK", "well\n").await,
            (_, false) => {}
        }
        let path = &*request.path;
        let page = if told == Conduct::Lies { Page::another() } else { Page::of(path, self.site.edition(path)) };
        let is_unchanged = request.field("if-none-match") == Some(&page.tag);
        // Only a body can break.
        let conduct = if told.is_of_bodies() && is_unchanged { Conduct::Good } else { told };
        self.note(path, conduct);
        match conduct {
            Conduct::Refuses | Conduct::Hangs => return until_closed(stream).await,
            Conduct::Drags => sleep(DRAG).await,
            Conduct::FailsLate => sleep(content::PAGE_TIME).await,
            _ => sleep(self.latency + content::time_to_head(path)).await,
        }
        match conduct {
            Conduct::Fails | Conduct::FailsLate => self.says(stream, "500 Internal Server Error", "broken\n").await,
            Conduct::IsOverloaded => self.says(stream, "503 Service Unavailable", "overloaded\n").await,
            _ if is_unchanged => {
                stream.write_all(self.head("304 Not Modified", &page.fields()).as_bytes()).await?;
                Ok(Next::Request)
            }
            _ => self.sends(stream, conduct, &page, request.offset(&page.tag)).await,
        }
    }

    async fn says(&self, stream: &mut TcpStream, status: &str, text: &str) -> io::Result<Next> {
        let head = self.head(status, &length(text.len()));
        stream.write_all(format!("{head}{text}").as_bytes()).await?;
        Ok(Next::Request)
    }

    /// Head and body of a page from `offset` on, the two halves of it apart.
    async fn sends(&self, stream: &mut TcpStream, conduct: Conduct, page: &Page, offset: usize) -> io::Result<Next> {
        let (last, total) = (page.body.len() - 1, page.body.len());
        let body = &page.body[offset.min(last)..];
        let (first, rest) = body.split_at(body.len() / 2);
        let (status, mut fields) = match offset {
            0 => ("200 OK", page.fields()),
            _ => ("206 Partial Content", format!("{}content-range: bytes {offset}-{last}/{total}\r\n", page.fields())),
        };
        fields += &match conduct {
            Conduct::Aborts => "transfer-encoding: chunked\r\n".to_owned(),
            Conduct::Understates => length(first.len()),
            Conduct::SendsSurplus => format!("{}{SURPLUS_FIELD}: yes\r\n", length(body.len())),
            _ => length(body.len()),
        };
        stream.write_all(self.head(status, &fields).as_bytes()).await?;
        if conduct == Conduct::Aborts {
            // A chunk that is longer than what comes of it.
            stream.write_all(format!("{:x}\r\n", body.len()).as_bytes()).await?;
        }
        stream.write_all(first).await?;
        match conduct {
            Conduct::Truncates | Conduct::Aborts => return Ok(Next::Close),
            Conduct::Resets => {
                // A reset takes along what has not been sent.
                sleep(BEFORE_RESET).await;
                return Ok(Next::Reset);
            }
            Conduct::Stalls => return until_closed(stream).await,
            Conduct::Drips => {
                for drop in rest.chunks(DROP_BYTES) {
                    sleep(DROP_TIME).await;
                    stream.write_all(drop).await?;
                }
                return Ok(Next::Request);
            }
            _ => sleep(page.pause).await,
        }
        stream.write_all(rest).await?;
        if conduct == Conduct::SendsSurplus {
            stream.write_all(SURPLUS).await?;
        }
        Ok(Next::Request)
    }

    fn head(&self, status: &str, fields: &str) -> String {
        let date = format_http_date(self.clock.now().wall);
        let date = date.to_str().unwrap();
        format!("HTTP/1.1 {status}\r\ndate: {date}\r\ncontent-type: text/plain\r\n{fields}\r\n")
    }
}

fn length(bytes: usize) -> String {
    format!("content-length: {bytes}\r\n")
}

/// Says nothing more; whoever asked may give up.
async fn until_closed(stream: &mut TcpStream) -> io::Result<Next> {
    while stream.read(&mut [0; 1024]).await? > 0 {}
    Ok(Next::Close)
}

/// What probes ask for.
pub(crate) const HEALTH_PAGE: &str = "/healthz";

/// By this field a response is known again that was followed by more than it said.
pub(crate) const SURPLUS_FIELD: &str = "x-surplus";

/// What follows it: another response, as from an origin that has answered twice.
const SURPLUS: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\ncache-control: max-age=600\r\n\r\nanother";

/// How long an origin that drags takes for a head.
const DRAG: Duration = Duration::from_millis(1500);

/// What the first half of a body may take to its reader.
const BEFORE_RESET: Duration = Duration::from_millis(20);

/// 200 bytes a second.
const DROP_BYTES: usize = 20;
const DROP_TIME: Duration = Duration::from_millis(100);
