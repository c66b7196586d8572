//! Files of validated ROA payloads and of local exceptions (RFC 8416).
#![no_main]

use libfuzzer_sys::fuzz_target;
use peerlab::registry::slurm::Slurm;
use peerlab::registry::vrps;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let slurm = Slurm::read(&text);
    let Ok(table) = vrps::read(&text) else {
        return;
    };
    let again = vrps::read(&vrps::to_json(&table)).expect("our own file");
    assert_eq!(vrps::to_json(&again), vrps::to_json(&table));
    if let Ok(slurm) = slurm {
        let _ = slurm.apply(&table);
    }
});
