//! What a topology says of LAGs: who plays them and who they say they are. The kernel's are played inside user-mode Linux, where
//! there is bonding.

use std::process::Command;

use libtest_mimic::{Failed, Trial};

use crate::edited::{Edited, SETTLE};
use crate::play::Someone;
use crate::scenarios::{conclusive, unless};
use crate::uml::no_uml;

pub fn trials() -> Vec<Trial> {
    let lacking = || bonding_is_here().then(|| "this kernel has bonding".to_owned());
    vec![
        unless(no_uml(), Trial::test("lags::of_the_kernel_carry", carry)),
        unless(
            no_uml(),
            Trial::test("lags::of_the_kernel_play_the_shipped_scenario", shipped),
        ),
        unless(
            no_uml(),
            Trial::test("lags::of_the_kernel_are_augmented", augmented),
        ),
        unless(
            no_uml(),
            Trial::test("lags::of_the_kernel_are_shown", shown),
        ),
        unless(
            lacking(),
            Trial::test("lags::auto_is_ours_without_bonding", auto),
        ),
        unless(
            lacking(),
            Trial::test("lags::kernel_is_blocked_without_bonding", blocked),
        ),
        Trial::test(
            "lags::a_member_that_went_and_came_goes_on_misbehaving",
            reduced,
        ),
        Trial::test("lags::one_system_at_two_connections_is_named", one_system),
    ]
}

fn bonding_is_here() -> bool {
    let attempt = "link add type bond mode 802.3ad";
    let mut command = Command::new("unshare");
    command.args(["-rn", "ip"]).args(attempt.split(' '));
    command.output().is_ok_and(|output| output.status.success())
}

/// The smallest interconnect, with this in each of its connections.
fn with(one: &str, other: &str, steps: &str) -> Result<Edited, Failed> {
    let connection = |name: &str| format!("[connection.{name}]");
    Edited::new(steps, |text| {
        text.replace(&connection("ams-1"), &format!("[connection.ams-1]\n{one}"))
            .replace(
                &connection("ams-2"),
                &format!("[connection.ams-2]\n{other}"),
            )
    })
}

/// Routes and their traffic come over LAGs of the kernel's: one with ours, one with another of the kernel's. What the topology
/// says of an end is what the other end hears.
fn carry() -> Result<(), Failed> {
    let files = with(
        "backend.peer = \"kernel\"\nlacp.peer = { system = \"02:00:00:00:00:77\", system-priority = 77, key = 777, \
         rate = \"slow\", hash-policy = \"layer2+3\", miimon = \"20ms\" }",
        "backend = { microsoft = \"auto\", peer = \"kernel\" }",
        "[[step]]\nsettle = \"30s\"\n[[step]]\nsend = { from = \"teams\", to = \"sbc\", both-ways = true, every = \"20ms\" }\n\
         [[step]]\nhold = { time = \"2s\", reason = \"let it be measured\" }\n\
         [[step.expect]]\ntraffic = \"both\"\nlost-at-most = 0\n",
    )?;
    let (ended, record) = files.play(&["--kernel", "uml"])?;
    ended.expect(0)?;
    let says =
        |words: &str| ended.check(record.contains(words), &format!("`{words}` in the record"));
    says(
        "\"fact\":\"auto-backend\",\"router\":\"ams-edge-2\",\"connection\":\"ams-2\",\"kernel\":true",
    )?;
    // Behind the key stand speed and duplex.
    let heard = "\"system-priority\":77,\"system\":\"02:00:00:00:00:77\",\"key\":";
    says(heard)?;
    let key = record
        .split(heard)
        .nth(1)
        .and_then(|rest| rest.split(',').next());
    let key = key.and_then(|key| key.parse::<u16>().ok());
    ended.check(key.map(|key| key >> 6) == Some(777), "the key of the file")
}

/// What is met with ours by `scenario::simulated::lag/bonds` is met with the kernel's bond, and it is the bond that plays.
fn shipped() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let report = folder.path().display().to_string();
    let arguments = ["run", "--kernel", "uml", "scenarios/lag/bonds.toml"];
    let arguments = [&arguments[..], &["--report", &report]].concat();
    let ended = conclusive(|| Someone::present().play(&arguments))?;
    ended.expect(0)?;
    let record = std::fs::read_to_string(folder.path().join("record.jsonl"))?;
    let bond = "\"fact\":\"auto-backend\",\"router\":\"ams-pe-1\",\"connection\":\"ams-1\",\"kernel\":true";
    ended.check(record.contains(bond), "a bond of the kernel's at ams-pe-1")
}

/// A member is added to a LAG that is the kernel's at one end or at both, flows are pinned to it, and it is counted what it carries.
fn augmented() -> Result<(), Failed> {
    let steps = |connection: &str| {
        format!(
            "[[step]]\naugment = {{ connection = \"{connection}\", members = 1 }}\n\
             [[step.expect]]\nmember = \"{connection}/3\"\nstate = \"distributing\"\nwithin = \"30s\"\n\
             [[step.expect]]\nmember = \"{connection}/3\"\nat = \"partner\"\nstate = \"distributing\"\nwithin = \"30s\"\n\
             [[step]]\nsend = {{ from = \"teams\", to = \"sbc\", both-ways = true, member = \"{connection}/3\", flows = 4, every = \"20ms\" }}\n\
             [[step]]\nhold = {{ time = \"3s\", reason = \"let it be counted\" }}\n\
             [[step.expect]]\ntraffic = \"both\"\nvia = \"{connection}/3\"\nlost-at-most = 0\n\
             [[step]]\nstop = \"traffic\"\n"
        )
    };
    let files = with(
        "backend.peer = \"kernel\"",
        "backend = { microsoft = \"kernel\", peer = \"kernel\" }",
        &format!("{SETTLE}{}{}", steps("ams-1"), steps("ams-2")),
    )?;
    let (ended, record) = conclusive(|| files.play(&["--kernel", "uml"]))?;
    ended.expect(0)?;
    for (router, connection) in [
        ("ams-pe-1", "ams-1"),
        ("ams-pe-2", "ams-2"),
        ("ams-edge-2", "ams-2"),
    ] {
        let fact = format!(
            "\"fact\":\"lag-counters\",\"router\":\"{router}\",\"connection\":\"{connection}\""
        );
        let last = record.lines().rfind(|line| line.contains(&fact));
        let third = last.and_then(|line| line.split("{\"member\":3,").nth(1));
        let sent = third.and_then(|rest| rest.split("\"data\":").nth(1));
        let sent = sent.and_then(|rest| rest.split([',', '}']).next()?.parse::<u32>().ok());
        let what = format!("frames of data counted on {connection}/3 at {router}: {sent:?}");
        ended.check(sent.is_some_and(|sent| sent > 100), &what)?;
    }
    Ok(())
}

/// A lab that is kept inside tells of both ends, frames included.
fn shown() -> Result<(), Failed> {
    let files = with("backend.peer = \"kernel\"", "", SETTLE)?;
    let someone = Someone::present();
    let (program, topology) = (someone.program().display(), files.path("edited.toml"));
    let words = format!("{program} up {topology} && {program} show lacp --json; {program} down");
    let ended = someone.play(&["uml", "sh", "-c", &words])?;
    ended.expect(0)?;
    for words in [
        "\"router\": \"ams-pe-1\", \"connection\": \"ams-1\", \"kernel\": true",
        "\"router\": \"ams-edge-1\", \"connection\": \"ams-1\", \"kernel\": false",
    ] {
        ended.expect_words(words)?;
    }
    // Two members of two ends of two connections.
    let counted = ended.words.matches("\"lacpdus-sent\": ").count();
    let none = ended.words.matches("\"lacpdus-sent\": 0").count();
    let knows = ended.words.matches(" port 32768/").count() >= 2;
    ended.check(
        (counted, none, knows) == (8, 0, true),
        "LACPDUs of eight ports, and ports of ours by their numbers",
    )
}

/// Where the kernel has no bond, `auto` is ours, and says so.
fn auto() -> Result<(), Failed> {
    let backend = "backend = { microsoft = \"auto\", peer = \"auto\" }";
    let files = with(backend, backend, SETTLE)?;
    let (ended, record) = files.play(&[])?;
    ended.expect(0)?;
    for (router, connection) in [("ams-edge-1", "ams-1"), ("ams-pe-2", "ams-2")] {
        ended.expect_words(&format!("the LAG {connection} at {router} is ours: "))?;
        let fact = format!(
            "\"fact\":\"auto-backend\",\"router\":\"{router}\",\"connection\":\"{connection}\",\"kernel\":false"
        );
        ended.check(record.contains(&fact), "a record that says who plays")?;
    }
    ended.check(
        record.contains("no bonding driver"),
        "a record with the reason",
    )
}

/// Where the kernel has no bond, `kernel` cannot be tried.
fn blocked() -> Result<(), Failed> {
    let files = with("backend.peer = \"kernel\"", "", SETTLE)?;
    let (ended, _) = files.play(&[])?;
    ended.expect(3)?;
    ended
        .expect_words("make the LAG ams-1 at ams-pe-1 of the kernel's: it has no bonding driver")?;
    ended.expect_words("it needs CONFIG_BONDING (modprobe bonding), or `peerlab run --kernel uml`")
}

/// Two connections of a metro that end on one system of the peer (RED-03), whatever their routers are called.
fn one_system() -> Result<(), Failed> {
    let system = "lacp.peer.system = \"02:00:00:00:00:77\"";
    let steps = "[[step.expect]]\nlag = \"all\"\nstate = \"up\"\ndistinct-systems = true\nwithin = \"1s\"\n";
    let (ended, _) = with(system, system, &format!("{SETTLE}{steps}"))?.play(&[])?;
    ended.expect(1)?;
    ended.expect_words("ams-1 and ams-2 lead to one system, 02:00:00:00:00:77")
}

/// Nobody ordered it to behave.
fn reduced() -> Result<(), Failed> {
    let steps = "[[step]]\nlacp = { connection = \"ams-1\", order = \"ignore-markers\" }\n\
         [[step]]\nreduce = \"ams-1/2\"\n\
         [[step]]\naugment = { connection = \"ams-1\", members = 1 }\n\
         [[step.expect]]\nmember = \"ams-1/2\"\nat = \"peer\"\nstate = \"distributing\"\nwithin = \"10s\"\n\
         [[step]]\nlacp = { connection = \"ams-1\", order = \"send-marker\", at = \"peer\" }\n\
         [[step.expect]]\nmember = \"ams-1/2\"\nat = \"peer\"\nstate = \"distributing\"\nanswers-marker = false\nfor = \"500ms\"\n";
    let (ended, _) = with("", "", &format!("{SETTLE}{steps}"))?.play(&[])?;
    ended.expect(0)
}
