//! `--bmp HOST:PORT`: a collector of the edges' monitoring, in the network outside of the lab.

use std::net::{SocketAddr, ToSocketAddrs};

use crate::lab::monitoring::Collector;
use crate::registry::service::Reach;
use crate::source::Diagnostic;

/// The collector's address. Names are resolved before the lab is entered: inside there is nobody to ask.
///
/// # Errors
/// It is no address, or a name without one, or its port is 0.
pub fn resolve(text: Option<&str>) -> Result<Option<SocketAddr>, Diagnostic> {
    let Some(text) = text else { return Ok(None) };
    let wrong = |why: String| {
        let message = format!("`{text}` is no address of a BMP collector: {why}");
        Diagnostic::error(message)
            .help("write a name or an address, a colon and a port: `127.0.0.1:11019`")
    };
    let mut found = text
        .to_socket_addrs()
        .map_err(|error| wrong(error.to_string()))?;
    match found.next() {
        Some(address) if address.port() == 0 => Err(wrong("nobody listens on port 0".to_owned())),
        Some(address) => Ok(Some(address)),
        None => Err(wrong("its name has no address".to_owned())),
    }
}

/// The collector as it is reached from inside the lab.
pub fn over(reach: &Reach, address: Option<SocketAddr>) -> Option<Collector> {
    address.map(|address| Collector {
        reach: reach.clone(),
        address,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_port() {
        assert_eq!(resolve(None), Ok(None));
        let address = "127.0.0.1:11019".parse().expect("an address");
        assert_eq!(resolve(Some("127.0.0.1:11019")), Ok(Some(address)));
        for wrong in ["127.0.0.1", "[::1]", "no name:1", ":1:2", "127.0.0.1:0"] {
            let told = resolve(Some(wrong)).expect_err(wrong).message;
            assert!(
                told.starts_with(&format!("`{wrong}` is no address")),
                "{told}"
            );
        }
    }
}
