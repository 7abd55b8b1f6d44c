//! The names of the origins, and a name server that knows them and may say something else.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use hickory_resolver::proto::op::ResponseCode;

use crate::wires::{NameServer, Namespace, Saying, addresses};

/// A name server on two addresses.
pub(crate) struct Zone {
    book: Arc<Mutex<Book>>,
    _server: NameServer,
}

#[derive(Default)]
struct Book {
    addresses: BTreeMap<String, IpAddr>,
    excuse: Option<Saying>,
}

impl Zone {
    /// Starts one in this namespace that knows no name yet.
    pub(crate) async fn start(namespace: &Namespace) -> Self {
        let book = Arc::new(Mutex::new(Book::default()));
        let open = Arc::clone(&book);
        let answer = move |name: &str, wanted| {
            let book = open.lock().unwrap();
            match (&book.excuse, book.addresses.get(name)) {
                (Some(excuse), _) => excuse.clone(),
                (None, Some(address)) => Saying::Records(addresses(name, wanted, &[*address])),
                (None, None) => Saying::Code(ResponseCode::NXDomain),
            }
        };
        Self { book, _server: NameServer::inside(namespace, answer).await }
    }

    /// Has `name` lead to `address`.
    pub(crate) fn leads(&self, name: &str, address: impl Into<IpAddr>) {
        self.book().addresses.insert(name.to_owned(), address.into());
    }

    /// Says this, whatever the question.
    pub(crate) fn says(&self, excuse: Saying) {
        self.book().excuse = Some(excuse);
    }

    /// Answers from what it knows again.
    pub(crate) fn answers(&self) {
        self.book().excuse = None;
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap()
    }
}
