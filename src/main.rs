//! Arguments in, exit number out.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use peerlab::cli;

/// Rehearse a direct interconnect with Microsoft (AS8075 with Voice) on one Linux machine.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build the lab of each scenario, play it, and say which expectations held.
    Run(cli::run::RunArguments),
    /// Build a lab, settle it, and keep it in the background until `peerlab down`.
    Up(cli::up::UpArguments),
    /// End a lab that `peerlab up` keeps; returns when nothing of it is left.
    Down {
        /// The lab, when several are up.
        name: Option<String>,
    },
    /// Run a command in the network of a router of a kept lab.
    Exec(cli::exec::ExecArguments),
    /// Show sessions, routes, BFD and LAGs of a kept lab.
    Show(cli::show::ShowArguments),
    /// Print the addresses and the kernel work of a topology's lab; nothing is built.
    Plan {
        /// Topology file.
        topology: PathBuf,
    },
    /// Tell every mistake in topology, binding and scenario files; nothing is built.
    Check {
        /// Files, or folders with files.
        #[arg(required = true, value_name = "FILES")]
        paths: Vec<PathBuf>,
    },
    /// Judge prefixes from dumps of routes, without a lab: the states, reasons and remedies of Microsoft's checks.
    Prefixes(cli::prefixes::PrefixesArguments),
    /// Judge a kept record again and draw its report.
    Report {
        /// Folder that `peerlab run --report` wrote.
        folder: PathBuf,
        /// Instead print the resources that each run left on the Microsoft side, as Azure's API has them (JSON).
        #[arg(long)]
        arm: bool,
    },
    /// Run a command inside user-mode Linux with this machine's files: a kernel that has all a lab can use.
    Uml(cli::uml::UmlArguments),
    /// What the first process of user-mode Linux does.
    #[command(hide = true)]
    UmlInit,
    /// Say what this machine can do, what each missing thing means, and how to get it.
    Doctor,
    /// Print the JSON Schema of a kind of file, or of what `show --json` prints.
    Schema {
        /// Of what.
        of: cli::schema::Of,
    },
}

fn main() -> ExitCode {
    let command = Arguments::parse().command;
    if let Err(error) = cli::log::begin() {
        anstream::eprintln!("error: failed to {error}");
        return ExitCode::from(cli::WRONG_FILES);
    }
    let number = match command {
        Command::Run(arguments) => cli::run::run(&arguments),
        Command::Up(arguments) => cli::up::up(&arguments),
        Command::Down { name } => cli::down::down(name.as_deref()),
        Command::Exec(arguments) => cli::exec::exec(&arguments),
        Command::Show(arguments) => cli::show::show(&arguments),
        Command::Plan { topology } => cli::plan::plan(&topology),
        Command::Check { paths } => cli::check::check(&paths),
        Command::Prefixes(arguments) => cli::prefixes::prefixes(&arguments),
        Command::Report { folder, arm: true } => cli::report::arm(&folder),
        Command::Report { folder, arm: false } => cli::report::report(&folder),
        Command::Uml(arguments) => cli::uml::uml(&arguments),
        Command::UmlInit => cli::uml::init(),
        Command::Doctor => cli::doctor::doctor(),
        Command::Schema { of } => cli::schema::print(of),
    };
    ExitCode::from(number)
}
