//! What the machine asks for over HTTP, carried out: for the engine, and for whoever drives a
//! machine by other means.

use hansard_model::limit;
use tracing::debug;

use crate::event::StoredEvent;
use crate::gateway::Gateway;
use crate::http::{EventsQuery, Http, HttpError};
use crate::machine::action::{Discovered, EventsRequest};
use crate::machine::timeline::{Page, ReadFailure};

impl Http {
    /// Asks which gateway to use, on a connection that ends with the answer.
    pub async fn discover(&self, region: Option<&str>) -> Discovered {
        let answer = self.gateways(region).await;
        // When everybody asks, a connection that is kept is a place that somebody else needs.
        self.hang_up();
        match answer {
            Ok(list) => {
                let urls = list.items.into_iter().map(|gateway| gateway.url);
                // One that this client cannot speak to is none.
                let is_spoken = |url: &String| url.parse::<Gateway>().is_ok();
                Discovered::Gateways(urls.filter(is_spoken).collect())
            }
            Err(HttpError::Refused(refusal)) if refusal.retry_after_ms.is_none() => {
                Discovered::Refused
            }
            Err(error) => {
                debug!(%error, "no gateway says which one to use");
                Discovered::NoAnswer
            }
        }
    }

    /// Reads the events that a gap in a timeline needs, as many as one page has.
    ///
    /// # Errors
    /// [`ReadFailure`]: whether the gateway refused, or nothing came that can be read.
    pub async fn page(&self, request: EventsRequest) -> Result<Page, ReadFailure> {
        let query = EventsQuery {
            after: Some(request.after),
            limit: Some(limit::PAGE_ITEMS_MAX),
            at_least: Some(request.at_least),
            ..EventsQuery::default()
        };
        match self.events(request.conversation, query).await {
            Ok(list) => {
                let events = list.items.into_iter().map(StoredEvent::of).collect::<Result<_, _>>();
                let page = events.map(|events| Page { events, more: list.more });
                page.map_err(|_| ReadFailure::NoAnswer)
            }
            Err(HttpError::Refused(refusal)) => Err(ReadFailure::Refused(refusal)),
            Err(error) => {
                debug!(%error, conversation.id = %request.conversation, "a read gave nothing");
                Err(ReadFailure::NoAnswer)
            }
        }
    }
}
