//! Every flag is also an environment variable; one that no flag reads is a mistake worth stopping
//! for.

use anyhow::bail;
use clap::CommandFactory;

use crate::Cli;

const PREFIX: &str = "HANSARD_";
/// Read elsewhere than by a flag.
const OTHERS: [&str; 3] =
    [hansard_nats::server::NATS_SERVER_VARIABLE, "HANSARD_LOG", "HANSARD_LOG_FORMAT"];

/// Fails when the environment has a variable of ours that nothing reads.
pub(crate) fn check_names() -> anyhow::Result<()> {
    let mut known: Vec<String> = OTHERS.iter().map(|name| (*name).to_owned()).collect();
    collect(&Cli::command(), &mut known);
    for (name, _) in std::env::vars_os() {
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
        if !known.iter().any(|known| known == name) {
            bail!("the environment variable {name} is not one of hansard's: is it misspelt?");
        }
    }
    Ok(())
}

fn collect(command: &clap::Command, known: &mut Vec<String>) {
    let names = command.get_arguments().filter_map(|arg| arg.get_env()?.to_str());
    known.extend(names.map(str::to_owned));
    for subcommand in command.get_subcommands() {
        collect(subcommand, known);
    }
}
