//! tshark reads what a LAG sends: an independent witness of the format.

use std::process::Command;
use std::time::Duration;

use crate::lacp::pdu;
use crate::lacp::wire::{Wire, config};
use crate::lacp::{Marker, Pdu};

/// A classic pcap file of Ethernet frames.
fn pcap(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4, 4 << 16 | 2, 0, 0, 65535, 1u32] {
        file.extend(word.to_le_bytes());
    }
    for (second, frame) in frames.iter().enumerate() {
        let len = frame.len() as u32;
        for word in [second as u32, 0, len, len] {
            file.extend(word.to_le_bytes());
        }
        file.extend(frame);
    }
    file
}

/// What tshark says of the frames, a line each.
fn tshark(frames: &[Vec<u8>], fields: &[&str]) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lacp.pcap");
    std::fs::write(&path, pcap(frames)).unwrap();
    let mut command = Command::new("tshark");
    command
        .arg("-r")
        .arg(&path)
        .args(["-T", "fields", "-E", "separator=|"]);
    for field in fields {
        command.args(["-e", field]);
    }
    let output = command.output().expect("tshark runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// What a LAG of 2 ports sends while it comes up, runs, loses its partner, and is asked by markers.
fn a_life() -> Vec<Vec<u8>> {
    let mut wire = Wire::pair(&config(1, 2), &config(2, 2));
    wire.light_all(true);
    wire.run_for(Duration::from_secs(3));
    let marker = Marker {
        requester_port: 3,
        requester_system: [2, 0, 0, 0, 9, 9],
        transaction: 42,
    };
    wire.inject(
        (0, 0),
        &pdu::encode(&Pdu::Marker(marker), [2, 0, 0, 0, 9, 9]),
    );
    wire.lose(100);
    wire.run_for(Duration::from_secs(10));
    wire.tapped.iter().map(|frame| frame.to_vec()).collect()
}

#[test]
#[ignore = "needs tshark, which scripts/test installs"]
fn nothing_is_malformed() {
    let frames = a_life();
    let fields = ["frame.protocols", "_ws.malformed", "_ws.expert.message"];
    let lines = tshark(&frames, &fields);
    assert_eq!(lines.len(), frames.len());
    for line in lines {
        assert!(
            ["eth:ethertype:slow:lacp||", "eth:ethertype:slow:marker||"].contains(&line.as_str()),
            "{line}"
        );
    }
    let strange = Pdu::Marker(Marker {
        requester_port: 0,
        requester_system: [0; 6],
        transaction: 0,
    });
    let mut broken = pdu::encode(&strange, [2; 6]).to_vec();
    broken[17] = 15;
    let complaint = tshark(&[broken], &["_ws.expert.message"]);
    assert_ne!(complaint, [""], "tshark would complain");
}

#[test]
#[ignore = "needs tshark, which scripts/test installs"]
fn tshark_reads_what_was_meant() {
    let fields = [
        "eth.dst",
        "eth.src",
        "lacp.version",
        "lacp.actor.sys_priority",
        "lacp.actor.sysid",
        "lacp.actor.key",
        "lacp.actor.port_priority",
        "lacp.actor.port",
        "lacp.actor.state_str",
        "lacp.partner.sysid",
        "lacp.partner.port",
        "lacp.partner.state_str",
    ];
    let lines = tshark(&a_life(), &fields);
    let port = |own: u8| {
        format!("01:80:c2:00:00:02|02:00:00:00:0{own}:01|0x01|32768|02:00:00:00:00:0{own}|1|128|1")
    };
    let first = lines.iter().find(|line| line.starts_with(&port(1)));
    let knocks = port(1) + "|EF***GSA|00:00:00:00:00:00|0|******S*";
    assert_eq!(first, Some(&knocks));
    let runs = port(1) + "|**DCSGSA|02:00:00:00:00:02|1|**DCSGSA";
    assert!(lines.contains(&runs));
    let given_up = port(2) + "|*F***GSA|00:00:00:00:00:00|0|******S*";
    assert!(lines.contains(&given_up));
}
