//! Renders `nats/server.conf`, the one configuration of embedded, test and cluster servers.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::data_dir::DataDir;
use super::options::{ServerOptions, ServerUser};

const TEMPLATE: &str = include_str!("../../server.conf");
const CLUSTER_BEGIN: &str = "# {{if cluster}}\n";
const CLUSTER_END: &str = "# {{end}}\n";

/// The configuration of one start of the server.
pub(super) fn render(
    options: &ServerOptions,
    data_dir: &DataDir,
    server_name: &str,
    address: SocketAddr,
) -> String {
    let users: Vec<String> = options.users.iter().map(render_user).collect();
    let system_users: Vec<String> = options.monitor.iter().map(render_user).collect();
    let mut values = vec![
        ("{{server_name}}", quoted(server_name)),
        ("{{listen}}", quoted(&address.to_string())),
        ("{{log_file}}", quoted(&data_dir.log_file().to_string_lossy())),
        ("{{store_dir}}", quoted(&data_dir.path().to_string_lossy())),
        ("{{sync_interval}}", options.durability.sync_interval().to_owned()),
        ("{{users}}", users.join("\n")),
        ("{{system_users}}", system_users.join("\n")),
    ];
    let mut text = TEMPLATE.to_owned();
    match &options.cluster {
        None => cut_cluster(&mut text),
        Some(cluster) => {
            let routes: Vec<String> = cluster.routes.iter().map(|route| quoted(route)).collect();
            values.push(("{{cluster_name}}", quoted(&cluster.name)));
            values.push(("{{cluster_listen}}", quoted(&format!("127.0.0.1:{}", cluster.port))));
            values.push(("{{cluster_routes}}", format!("[{}]", routes.join(", "))));
            text = text.replace(CLUSTER_BEGIN, "").replace(CLUSTER_END, "");
        }
    }
    for (placeholder, value) in values {
        text = text.replace(placeholder, &value);
    }
    text
}

/// Puts the configuration in place in one step, never readable by anybody but the owner.
pub(super) fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let draft = path.with_extension("conf.new");
    match fs::remove_file(&draft) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(cause),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(text.as_bytes())?;
    fs::rename(&draft, path)
}

fn cut_cluster(text: &mut String) {
    if let (Some(begin), Some(end)) = (text.find(CLUSTER_BEGIN), text.find(CLUSTER_END)) {
        text.replace_range(begin..end + CLUSTER_END.len(), "");
    }
}

fn render_user(user: &ServerUser) -> String {
    let denied: Vec<String> = user.publish_deny.iter().map(|subject| quoted(subject)).collect();
    let permissions = if denied.is_empty() {
        String::new()
    } else {
        format!(", permissions: {{publish: {{deny: [{}]}}}}", denied.join(", "))
    };
    format!(
        "      {{user: {}, password: {}{permissions}}}",
        quoted(&user.name),
        quoted(&user.password)
    )
}

/// A string of nats-server's configuration language, whatever it contains.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            control if control.is_ascii_control() => {
                quoted.push_str(&format!("\\x{:02x}", u32::from(control)));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::super::options::{ClusterOptions, Durability};
    use super::*;

    fn options(durability: Durability, cluster: Option<ClusterOptions>) -> ServerOptions {
        ServerOptions {
            data_dir: "/srv/hansard".into(),
            durability,
            port: 4222,
            users: vec![ServerUser {
                name: "gateway".to_owned(),
                password: "s3cret".to_owned(),
                publish_deny: vec!["live.>".to_owned()],
            }],
            monitor: None,
            cluster,
        }
    }

    fn rendered(options: &ServerOptions) -> String {
        let address = SocketAddr::from(([127, 0, 0, 1], options.port));
        render(options, &DataDir::at("/srv/hansard".into()), "one", address)
    }

    #[test]
    fn single_server_has_no_cluster_block_and_no_placeholder_left() {
        let text = rendered(&options(Durability::Fsync, None));
        assert!(!text.contains("{{") && !text.contains("cluster {"), "{text}");
        assert!(text.contains("sync_interval: always"), "{text}");
        assert!(text.contains(
            r#"{user: "gateway", password: "s3cret", permissions: {publish: {deny: ["live.>"]}}}"#
        ));
    }

    #[test]
    fn cluster_node_lists_its_routes() {
        let cluster = ClusterOptions {
            name: "hansard".to_owned(),
            server_name: "one".to_owned(),
            port: 6222,
            routes: vec!["nats://127.0.0.1:6223".to_owned(), "nats://127.0.0.1:6224".to_owned()],
        };
        let text = rendered(&options(Durability::Os, Some(cluster)));
        assert!(!text.contains("{{"), "{text}");
        assert!(text.contains(r#"sync_interval: "2m""#), "{text}");
        assert!(text.contains(r#"routes: ["nats://127.0.0.1:6223", "nats://127.0.0.1:6224"]"#));
    }

    #[test]
    fn quotes_and_control_characters_cannot_leave_their_string() {
        assert_eq!(quoted("a\"b\\c\nd"), r#""a\"b\\c\x0ad""#);
    }
}
