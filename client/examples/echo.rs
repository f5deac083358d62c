//! A bot that repeats what it is told: `echo http://127.0.0.1:8080 TOKEN`.

use hansard_client::{Client, ClientOptions, Content, Store, Update};
use hansard_model::Event;
use hansard_model::event::MessageSent;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [gateway, token] = arguments.as_slice() else { return Err("GATEWAY TOKEN".into()) };
    let options = ClientOptions::new(gateway.parse()?, token.clone());
    // A bot that must not forget what it promised opens a file instead.
    let store = Store::in_memory().await?;
    let (client, mut updates) = Client::connect(options, store).await?;
    let (mut me, mut live) = (None, false);
    while let Some(update) = updates.next().await {
        match update {
            Update::Connected(welcome) => me = Some(welcome.user),
            Update::Synced => live = true,
            Update::Event(event) if live && Some(event.sender) != me => {
                if let Content::Known(Event::Message(message)) = event.content() {
                    let text = message.text;
                    let reply_to = Some(event.seq);
                    let echo = MessageSent { text, reply_to, ..MessageSent::default() };
                    client.send(event.conversation, &Event::Message(echo)).await?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}
