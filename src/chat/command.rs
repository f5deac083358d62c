//! What a person types.

use hansard_model::presence::Visibility;

/// A line of input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// Not a command: a message to the open conversation.
    Say(String),
    /// `/help`
    Help,
    /// `/quit`
    Quit,
    /// `/inbox`
    Inbox,
    /// `/open <handle, number or title>`
    Open(String),
    /// `/group <title> <handle>...`
    Group(String, Vec<String>),
    /// `/add <handle>...`
    Add(Vec<String>),
    /// `/remove <handle>`
    Remove(String),
    /// `/leave`
    Leave,
    /// `/members`
    Members,
    /// `/title <title>`
    Title(String),
    /// `/send <file> [text]`
    Send(String, String),
    /// `/get [number] [path]`: a file of a message; the last one without a number.
    Get(Option<usize>, Option<String>),
    /// `/stop`: all files that are on their way.
    Stop,
    /// `/edit <text>`: the own last message.
    Edit(String),
    /// `/delete`: the own last message.
    Delete,
    /// `/react <emoji>`: to the last message.
    React(String),
    /// `/read`: who has got and read the own last message.
    Read,
    /// `/search <words>`: in all conversations.
    Search(String),
    /// `/receipts [on or off]`: whether the others see what this person reads; `None` asks.
    Receipts(Option<Visibility>),
    /// Nothing.
    Empty,
}

/// What `/help` prints.
pub(super) const HELP: &str = "\
/open <handle, number or title>  talk to a person, or open a conversation of the inbox
/inbox                           list the conversations
/group <title> <handle>...       make a group; quote a title of several words
/add <handle>...   /remove <handle>   /leave   /members   /title <title>
/send <file> [text]              send a file; quote a name with spaces
/get [number] [path]             save a file, by the number that its message shows
/stop                            end what is being sent and saved
/edit <text>   /delete           change or delete your last message
/react <emoji>                   react to the last message
/read                            who has got and who has read your last message
/search <words>                  find messages in all your conversations: \"a phrase\", -not, or,
                                 from:ana, in:\"tea time\", before:2026, after:7d, has:link
/receipts [on or off]            whether others see what you have read, from now on
/quit
Anything else is sent to the open conversation; begin with // to send a text that begins with /.
Keys: PgUp and PgDn scroll, Esc goes to the newest, Up and Down bring back what you typed,
      Ctrl-U and Ctrl-W clear the line or a word, Ctrl-C or Ctrl-D leaves
Marks: … waiting to be sent   ✓ stored   ✓✓ delivered, in a group ✓✓3 to three
       ✓✓ read, in a group ✓✓3 read 2 by two of them   ⏎ a line break   👍2* two reacted, you are one of them
       (3) unread   ▌ open   (left) you are no member any more";

impl Input {
    /// Reads a line; the error is for the person.
    pub(super) fn parse(line: &str) -> Result<Self, String> {
        let line = line.trim();
        if line.is_empty() {
            return Ok(Self::Empty);
        }
        if let Some(text) = line.strip_prefix("//") {
            return Ok(Self::Say(format!("/{text}")));
        }
        let Some(command) = line.strip_prefix('/') else { return Ok(Self::Say(line.to_owned())) };
        let (name, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        let rest = rest.trim();
        let needs = |what: &str| {
            if rest.is_empty() { Err(format!("/{name} needs {what}")) } else { Ok(rest.to_owned()) }
        };
        let takes_nothing = |does: &str| match rest {
            "" => Ok(()),
            _ => Err(format!("/{name} takes nothing after it: it {does}")),
        };
        Ok(match name {
            "help" | "h" | "?" => Self::Help,
            "quit" | "q" | "exit" => Self::Quit,
            "inbox" | "i" => Self::Inbox,
            "open" | "o" => Self::Open(needs("a handle, a number of the inbox, or a title")?),
            "group" => {
                let mut words = words(&needs("a title and handles")?);
                if words.is_empty() {
                    return Err("/group needs a title".to_owned());
                }
                Self::Group(words.remove(0), words.iter().map(|word| handle(word)).collect())
            }
            "add" => Self::Add(needs("a handle")?.split_whitespace().map(handle).collect()),
            "remove" => Self::Remove(handle(&needs("a handle")?)),
            "leave" => {
                takes_nothing("leaves the open group")?;
                Self::Leave
            }
            "members" => Self::Members,
            "title" => Self::Title(needs("a title")?),
            "send" => {
                let (file, text) = first_word(&needs("a file")?);
                Self::Send(file, text)
            }
            "get" => get(rest)?,
            "stop" => {
                takes_nothing("ends what is being sent and saved")?;
                Self::Stop
            }
            "edit" => Self::Edit(needs("the new text")?),
            "delete" => {
                takes_nothing("deletes your last message")?;
                Self::Delete
            }
            "read" => {
                takes_nothing("lists who has read your last message")?;
                Self::Read
            }
            "search" | "find" => Self::Search(needs("what to search for")?),
            "receipts" => Self::Receipts(match rest {
                "" => None,
                "on" => Some(Visibility::Shared),
                "off" => Some(Visibility::Nobody),
                _ => return Err("/receipts takes on or off, or nothing to ask".to_owned()),
            }),
            "react" => Self::React(needs("an emoji")?),
            _ => return Err(format!("there is no /{name}; /help lists what there is")),
        })
    }
}

/// The first word, which may be quoted, and what stands behind it as it is.
fn first_word(text: &str) -> (String, String) {
    let (word, rest) = match text.strip_prefix('"').and_then(|text| text.split_once('"')) {
        Some(quoted) => quoted,
        None => text.split_once(char::is_whitespace).unwrap_or((text, "")),
    };
    (word.to_owned(), rest.trim().to_owned())
}

fn get(rest: &str) -> Result<Input, String> {
    let (number, path) = first_word(rest);
    let number = match number.as_str() {
        "" => None,
        number => Some(number.parse().map_err(|_| "/get takes the number of a file".to_owned())?),
    };
    let path = first_word(&path).0;
    Ok(Input::Get(number, (!path.is_empty()).then_some(path)))
}

/// A handle as typed, with or without `@`.
fn handle(word: &str) -> String {
    word.trim_start_matches('@').to_owned()
}

/// Words, where a quoted one may have spaces.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted, mut any) = (Vec::new(), String::new(), false, false);
    for character in text.chars() {
        match character {
            '"' => {
                quoted = !quoted;
                any = true;
            }
            _ if character.is_whitespace() && !quoted => {
                if any || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                any = false;
            }
            _ => word.push(character),
        }
    }
    if any || !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_messages_unless_they_begin_with_a_slash() {
        assert_eq!(Input::parse(" hi /you "), Ok(Input::Say("hi /you".to_owned())));
        assert_eq!(Input::parse("//tmp"), Ok(Input::Say("/tmp".to_owned())));
        assert_eq!(Input::parse("  "), Ok(Input::Empty));
        assert_eq!(Input::parse("/open @bo"), Ok(Input::Open("@bo".to_owned())));
        assert!(Input::parse("/opne bo").is_err());
        assert!(Input::parse("/open").is_err());
        assert_eq!(Input::parse("/delete"), Ok(Input::Delete));
        assert!(Input::parse("/delete 3").is_err());
        assert!(Input::parse("/leave the house").is_err());
        assert_eq!(Input::parse("/receipts"), Ok(Input::Receipts(None)));
        assert_eq!(Input::parse("/receipts off"), Ok(Input::Receipts(Some(Visibility::Nobody))));
        assert!(Input::parse("/receipts never").is_err());
    }

    #[test]
    fn a_file_may_have_spaces_in_its_name_and_a_text_behind_it() {
        let send = |file: &str, text: &str| Ok(Input::Send(file.to_owned(), text.to_owned()));
        assert_eq!(Input::parse("/send cat.jpg"), send("cat.jpg", ""));
        assert_eq!(Input::parse("/send cat.jpg  my  cat "), send("cat.jpg", "my  cat"));
        assert_eq!(
            Input::parse(r#"/send "my cat.jpg" is "here""#),
            send("my cat.jpg", "is \"here\"")
        );
        assert!(Input::parse("/send").is_err());
        assert_eq!(Input::parse("/get"), Ok(Input::Get(None, None)));
        let to = Some("my pictures".to_owned());
        assert_eq!(Input::parse(r#"/get 3 "my pictures""#), Ok(Input::Get(Some(3), to)));
        assert!(Input::parse("/get cat.jpg").is_err());
    }

    #[test]
    fn a_title_of_several_words_is_quoted() {
        assert_eq!(
            Input::parse(r#"/group "the new house" bo @cy"#),
            Ok(Input::Group("the new house".to_owned(), vec!["bo".to_owned(), "cy".to_owned()]))
        );
    }
}
