//! What follows the header of an OPEN: what was understood of it can be said again.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use peerlab::bgp::message::{Dialect, Framer, Message, Open, write_open};

fn read(message: &[u8]) -> Option<Open> {
    let mut framer = Framer::default();
    framer.push(message);
    match framer.next(Dialect::plain(false)) {
        Ok(Some(Message::Open(open))) => Some(open),
        _ => None,
    }
}

fuzz_target!(|body: &[u8]| {
    let mut message = vec![0xff; 16];
    message.extend(((body.len() + 19) as u16).to_be_bytes());
    message.push(1);
    message.extend(body);
    let Some(mut open) = read(&message) else {
        return;
    };
    let mut out = BytesMut::new();
    write_open(&mut out, &open);
    // What we have no use for is not repeated.
    open.capabilities.ignored.clear();
    open.capabilities.other_families.clear();
    let families = open.capabilities.families;
    if let Some(restart) = &mut open.capabilities.graceful_restart {
        restart.preserved = restart.preserved.and(restart.families);
    }
    if !families.is_empty() && open.asn != 0 && (open.capabilities.four_octet || open.asn < 65_536)
    {
        assert_eq!(read(&out), Some(open));
    }
});
