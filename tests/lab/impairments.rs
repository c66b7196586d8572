//! Cables that carry badly because the topology says so, and what a step may say otherwise.

use libtest_mimic::{Failed, Trial};

use crate::edited::{Edited, SETTLE};
use crate::scenarios::{conclusive, no_netem, unless};
use crate::uml::no_uml;

pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("impairments::declared_loss_of_one_direction", loss),
        unless(
            no_uml(),
            Trial::test("impairments::declared_delay_of_one_member", delay),
        ),
        unless(
            no_netem()
                .is_none()
                .then(|| "this kernel has netem".to_owned()),
            Trial::test(
                "impairments::without_netem_a_declared_delay_is_blocked",
                blocked,
            ),
        ),
    ]
}

fn declared(words: &str, steps: &str) -> Result<Edited, Failed> {
    Edited::new(&format!("{SETTLE}{steps}"), |text| {
        format!("{text}\n[[impair]]\n{words}\n")
    })
}

/// Watched for so long; what one step loses is told apart from the next by a hold.
fn watched(time: &str, expected: &[(&str, &str)]) -> String {
    let expected = expected
        .iter()
        .map(|(traffic, words)| format!("[[step.expect]]\ntraffic = \"{traffic}\"\n{words}\n"));
    let expected: String = expected.collect();
    format!("[[step]]\nhold = {{ time = \"{time}\", reason = \"let it be measured\" }}\n{expected}")
}

/// Lost is what the topology says, then what the step says, and then again what the topology says. The loss strikes BFD and
/// LACP too: eight packets in a row are not lost in any play, but a member may miss three LACPDUs, and what is on its way over
/// it then.
fn loss() -> Result<(), Failed> {
    let step = |words: &str| format!("[[step]]\n{words}\n");
    let some = "loss-at-least = \"6%\"\nloss-at-most = \"14%\"";
    let as_declared = [
        ("teams -> sbc", some),
        ("sbc -> teams", "loss-at-most = \"1%\""),
    ];
    let steps = [
        step("send = { from = \"teams\", to = \"sbc\", both-ways = true }"),
        watched("2s", &as_declared),
        step("impair = { connection = \"all\", towards = \"peer\", loss = \"20%\" }"),
        watched(
            "2s",
            &[
                ("teams -> sbc", "loss-at-least = \"15%\""),
                ("sbc -> teams", "loss-at-most = \"2%\""),
            ],
        ),
        step("repair = \"all\""),
        watched("500ms", &[]),
        watched("2s", &as_declared),
    ];
    let words = "connection = \"all\"\ntowards = \"peer\"\nloss = \"10%\"\n\n\
                 [microsoft]\nbfd = { interval = \"150ms\", multiplier = 8 }";
    let files = declared(words, &steps.concat())?;
    let (ended, _) = conclusive(|| files.play(&[]))?;
    ended.expect(0)
}

/// Only flows of the member that is declared slow are slow. Flows that are later than 100 ms would not be found on a member.
fn delay() -> Result<(), Failed> {
    let pinned = |member: &str, expected: &str| {
        let send = format!(
            "[[step]]\nsend = {{ from = \"teams\", to = \"sbc\", member = \"{member}\", flows = 2, every = \"50ms\" }}\n"
        );
        let watched = watched("3s", &[("teams -> sbc", expected)]);
        format!("{send}{watched}[[step]]\nstop = \"traffic\"\n")
    };
    let steps = [
        pinned("ams-1/1", "delay-at-least = \"80ms\""),
        pinned("ams-1/2", "delay-at-most = \"79ms\""),
    ];
    let words = "member = \"ams-1/1\"\ntowards = \"peer\"\ndelay = \"80ms\"";
    let files = declared(words, &steps.concat())?;
    let (ended, _) = conclusive(|| files.play(&["--kernel", "uml"]))?;
    ended.expect(0)
}

fn blocked() -> Result<(), Failed> {
    let words = "connection = \"ams-1\"\ndelay = \"20ms\"";
    let (ended, _) = declared(words, "")?.play(&[])?;
    ended.expect(3)?;
    ended.expect_words("this kernel has no netem; it needs CONFIG_NET_SCH_NETEM")?;
    ended.expect_words("`peerlab run --kernel uml`")
}
