//! Publishing with nothing but a payload: what a bench compares [`Log::append`](crate::Log::append)
//! with. What is stored so has no `Vouch-Until`, which makes it void for every reader.

use std::future::{Future, IntoFuture};

use async_nats::jetstream::context::traits::Publisher as _;
use async_nats::jetstream::message::OutboundMessage;
use bytes::Bytes;
use hansard_model::Seq;
use hansard_model::subject::Subject;

use crate::connection::Connection;
use crate::direct::{ReadError, unavailable};

impl Connection {
    /// Publishes to a stream without any header. When this returns, the message is on its way; the
    /// returned future resolves with the acknowledgement.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`] when the server does not acknowledge.
    pub async fn publish_raw(
        &self,
        subject: &Subject,
        payload: Bytes,
    ) -> Result<impl Future<Output = Result<Seq, ReadError>> + Send + use<>, ReadError> {
        let message = OutboundMessage::new(subject.to_string().into(), payload, None);
        let pending = self.jetstream.publish_message(message).await.map_err(unavailable)?;
        Ok(async move { Ok(Seq(pending.into_future().await.map_err(unavailable)?.sequence)) })
    }
}
