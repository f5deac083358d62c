//! Who chats: the profile's file, and the session in it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use hansard_client::{Gateway, Http, HttpError, Store, StoreError};
use hansard_model::account::Handle;
use hansard_model::limit::PASSWORD_BYTES;
use hansard_model::{LogTime, UserId};
use hansard_protocol::ErrorCode;
use hansard_protocol::http::{CreateUser, OpenSession, OpenedSession, User};

use super::state::words::failure;
use super::{Args, prompt};

/// A session that ends within so many milliseconds is renewed at the start.
const RENEW_BEFORE_MS: u64 = 7 * 24 * 60 * 60 * 1_000;
/// A server that does not say in time whether the session is good is taken for absent.
const CHECK_TIMEOUT: Duration = Duration::from_secs(3);

/// What is wrong with a password of another length.
const PASSWORD_LENGTH: &str = "a password has 8 to 256 bytes";

/// A person with a session.
pub(super) struct Profile {
    pub(super) store: Store,
    pub(super) token: String,
    pub(super) user: User,
}

/// Opens the profile, logging in or signing up where needed.
pub(super) async fn open(args: &Args, gateway: &Gateway) -> anyhow::Result<Profile> {
    let directory = directory(args)?;
    let http = Http::new(gateway.clone());
    let name = match (&args.profile, &args.handle) {
        (Some(profile), _) => profile.clone(),
        (None, Some(handle)) => handle.clone(),
        (None, None) => prompt::line("Handle (2 to 32 of a-z, 0-9, _ and -): ")?,
    };
    if name.is_empty() || name.starts_with('.') || name.contains(['/', '\\', '\0']) {
        bail!("{name:?} cannot be the name of a profile");
    }
    let path = directory.join(format!("{name}.db"));
    let store = match Store::open(&path).await {
        Ok(store) => store,
        Err(StoreError::InUse) => bail!("the profile {name} is open in another terminal"),
        Err(error) => {
            return Err(error).with_context(|| format!("the profile {}", path.display()));
        }
    };
    let noted: Option<String> = store.note("handle").await?;
    if let (Some(theirs), Some(wanted)) = (&noted, &args.handle)
        && !theirs.eq_ignore_ascii_case(wanted)
    {
        bail!("the profile {name} is {theirs}'s, not {wanted}'s");
    }
    if let Some(profile) = resume(&store, &http, gateway).await? {
        return Ok(profile);
    }
    let handle = noted.or_else(|| args.handle.clone()).unwrap_or(name);
    let handle: Handle = handle.parse()?;
    look_for_server(&http, &handle).await?;
    let session = log_in(args, &http, &handle).await?;
    let store = keep(store, &path, gateway, &handle, &session).await?;
    http.set_token(Some(session.token.clone()));
    let user = http.user(session.user).await.map_err(failure).context("reading the profile")?;
    note_user(&store, &user).await?;
    Ok(Profile { store, token: session.token, user })
}

/// Goes on with the session in the file, if it is still good. Offline it is believed.
async fn resume(store: &Store, http: &Http, gateway: &Gateway) -> anyhow::Result<Option<Profile>> {
    let same_server =
        store.note("server").await?.is_some_and(|server| server == gateway.to_string());
    let (Some(mut token), Some(user)) = (store.note("token").await?, store.note("user").await?)
    else {
        return Ok(None);
    };
    if !same_server {
        return Ok(None);
    }
    let Ok(mut user) = serde_json::from_str::<User>(&user) else { return Ok(None) };
    http.set_token(Some(token.clone()));
    match tokio::time::timeout(CHECK_TIMEOUT, http.user(user.user)).await {
        Ok(Ok(known)) => user = known,
        Ok(Err(error))
            if is(&error, ErrorCode::Unauthorized) || is(&error, ErrorCode::NotFound) =>
        {
            return Ok(None);
        }
        // No server, or one that is busy: the chat begins offline.
        Ok(Err(_)) | Err(_) => return Ok(Some(Profile { store: store.clone(), token, user })),
    }
    let expires_at = store.note("expires_at").await?.and_then(|text| LogTime::parse(&text).ok());
    let soon = super::wall_ms() + RENEW_BEFORE_MS;
    if expires_at.is_some_and(|expires_at| expires_at.as_millis() < soon)
        && let Ok(session) = http.refresh().await
    {
        note_session(store, &session).await?;
        token = session.token;
    }
    Ok(Some(Profile { store: store.clone(), token, user }))
}

async fn log_in(args: &Args, http: &Http, handle: &Handle) -> anyhow::Result<OpenedSession> {
    let mut password = match &args.password {
        Some(password) => password.clone(),
        None => prompt::password(&format!("Password for {handle}: "))?,
    };
    // No account has a password of another length: the server need not be asked.
    if PASSWORD_BYTES.contains(&password.len()) {
        match http.log_in(&session(handle, &password)).await {
            Ok(opened) => return Ok(opened),
            // Unknown handles and wrong passwords look the same: signing up tells them apart.
            Err(error) if is(&error, ErrorCode::Unauthorized) => {}
            Err(error) => return Err(failure(error)).context("logging in"),
        }
    } else if args.password.is_some() {
        bail!("{PASSWORD_LENGTH}");
    }
    if args.password.is_none() {
        let question =
            format!("Wrong password, or there is no {handle}. Make a new account? [y/N] ");
        if !prompt::yes(&question)? {
            bail!("not logged in");
        }
        password = new_password(password)?;
    }
    let create = CreateUser {
        id: Http::request_id(super::wall_ms())?,
        handle: handle.clone(),
        password: password.clone(),
        name: None,
    };
    match http.sign_up(&create).await {
        Ok(_) => {}
        Err(error) if is(&error, ErrorCode::HandleTaken) => {
            bail!("{handle} exists, and the password is not theirs")
        }
        Err(error) => return Err(failure(error)).context("making the account"),
    }
    http.log_in(&session(handle, &password)).await.map_err(failure).context("logging in")
}

fn session(handle: &Handle, password: &str) -> OpenSession {
    OpenSession {
        handle: handle.clone(),
        password: password.to_owned(),
        device_name: Some("terminal".to_owned()),
    }
}

/// The password of a new account: of the right length, and typed twice. Asked for anew until then.
fn new_password(mut typed: String) -> anyhow::Result<String> {
    loop {
        if !PASSWORD_BYTES.contains(&typed.len()) {
            prompt::say(PASSWORD_LENGTH)?;
        } else if prompt::password("The same password again: ")? == typed {
            return Ok(typed);
        } else {
            prompt::say("these were two different passwords")?;
        }
        typed = prompt::password("New password (8 to 256 bytes): ")?;
    }
}

/// Fails when no server answers, before anybody has typed a password for it.
async fn look_for_server(http: &Http, handle: &Handle) -> anyhow::Result<()> {
    match tokio::time::timeout(CHECK_TIMEOUT, http.user_by_handle(handle)).await {
        // Whatever it says: strangers may not ask this.
        Ok(Ok(_) | Err(HttpError::Refused(_))) => Ok(()),
        Ok(Err(error @ HttpError::Foreign(_))) => Err(error.into()),
        Ok(Err(_)) | Err(_) => bail!(
            "no hansard answers at {}: start it with `make run`, or name another with --server",
            http.gateway()
        ),
    }
}

/// Writes the session down. A file that was another account's is put aside first: its outbox is
/// not this person's.
async fn keep(
    store: Store,
    path: &Path,
    gateway: &Gateway,
    handle: &Handle,
    session: &OpenedSession,
) -> anyhow::Result<Store> {
    let before = store.note("user").await?;
    let before = before.and_then(|text| serde_json::from_str::<User>(&text).ok());
    let store = match before.map(|user| user.user).filter(|user| *user != session.user) {
        Some(other) => put_aside(store, path, other).await?,
        None => store,
    };
    store.set_note("server", gateway.to_string()).await?;
    store.set_note("handle", handle.to_string()).await?;
    note_session(&store, session).await?;
    Ok(store)
}

async fn put_aside(store: Store, path: &Path, other: UserId) -> anyhow::Result<Store> {
    store.close().await;
    let aside = path.with_extension(format!("{other}.db"));
    for suffix in ["", "-wal", "-shm"] {
        let from = PathBuf::from(format!("{}{suffix}", path.display()));
        if from.exists() {
            std::fs::rename(&from, format!("{}{suffix}", aside.display()))?;
        }
    }
    // The notice is the first thing on the screen; it is about the person's own data.
    let _ = writeln!(
        std::io::stderr(),
        "the profile was another account's: kept as {}",
        aside.display()
    );
    Ok(Store::open(path).await?)
}

async fn note_session(store: &Store, session: &OpenedSession) -> anyhow::Result<()> {
    store.set_note("token", session.token.clone()).await?;
    store.set_note("expires_at", session.expires_at.to_string()).await?;
    Ok(())
}

async fn note_user(store: &Store, user: &User) -> anyhow::Result<()> {
    Ok(store.set_note("user", serde_json::to_string(user)?).await?)
}

fn is(error: &HttpError, code: ErrorCode) -> bool {
    error.refusal().is_some_and(|refusal| refusal.known() == Some(code))
}

/// `$XDG_DATA_HOME/hansard`, else `~/.local/share/hansard`; made for its owner alone.
fn directory(args: &Args) -> anyhow::Result<PathBuf> {
    let directory = match (&args.data_home, &args.home) {
        (Some(data), _) if data.is_absolute() => data.join("hansard"),
        (_, Some(home)) => home.join(".local/share/hansard"),
        _ => bail!("neither XDG_DATA_HOME nor HOME says where to keep the profile"),
    };
    std::fs::create_dir_all(&directory)
        .with_context(|| format!("making {}", directory.display()))?;
    Ok(directory)
}
