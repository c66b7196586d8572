//! Where a topology says that routing registries are to be asked: files beside it, or servers.

use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};

use super::raw::{RawIrrServer, RawRegistry, RawRpkiServer, RawTopology};
use super::{IrrSource, RegistrySources, RpkiSource, Server};
use crate::registry::files;
use crate::source::{Diagnostics, Located, Mistakes, Span, TextOr};

/// RFC 8210, section 6: the suggested Expire Interval.
pub(super) const EXPIRE: std::time::Duration = std::time::Duration::from_secs(7200);

/// The sources, none if the topology names none; `None` when one is wrong.
pub(super) fn sources(
    raw: Option<&RawRegistry>,
    mistakes: &mut Mistakes,
) -> Option<RegistrySources> {
    let Some(raw) = raw else {
        return Some(RegistrySources::default());
    };
    let irr = raw.irr.as_ref().map(|irr| self::irr(irr, mistakes));
    let rpki = raw.rpki.as_ref().map(|rpki| self::rpki(rpki, mistakes));
    let slurm = raw.slurm.as_ref();
    let slurm = slurm.map(|path| beside(&path.value, path.span, mistakes));
    if let (Some(slurm), None) = (&raw.slurm, &raw.rpki) {
        let message = "there are exceptions to an RPKI that is not named";
        let diagnostic = mistakes.error(slurm.span, message, "exceptions to what?");
        mistakes.push(diagnostic.help("write `rpki = \"…\"` as well"));
    }
    let good = irr != Some(None) && rpki != Some(None) && slurm != Some(None);
    good.then(|| RegistrySources {
        irr: irr.flatten(),
        rpki: rpki.flatten(),
        slurm: slurm.flatten(),
        expire: raw.expire.map_or(EXPIRE, |expire| expire.value.0),
    })
}

fn irr(raw: &Located<TextOr<RawIrrServer>>, mistakes: &mut Mistakes) -> Option<IrrSource> {
    let server = match &raw.value {
        TextOr::Text(path) => return beside(path, raw.span, mistakes).map(IrrSource::File),
        TextOr::Table(server) => server,
    };
    match (&server.irrd, &server.whois) {
        (Some(irrd), None) => self::server(irrd, mistakes).map(IrrSource::Irrd),
        (None, Some(whois)) => self::server(whois, mistakes).map(IrrSource::Whois),
        (Some(_), Some(whois)) => {
            let message = "a registry is asked in one way";
            mistakes.push(mistakes.error(whois.span, message, "`irrd` or `whois`, not both"));
            None
        }
        (None, None) => {
            // A misspelt key was told where it stands.
            if !mistakes.is_struck(raw.span, None) {
                let message = "the registry names no server";
                let diagnostic = mistakes.error(raw.span, message, "`irrd` or `whois`");
                mistakes.push(diagnostic.help("write `irr = { irrd = \"rr.example.net:43\" }`"));
            }
            None
        }
    }
}

fn rpki(raw: &Located<TextOr<RawRpkiServer>>, mistakes: &mut Mistakes) -> Option<RpkiSource> {
    let server = match &raw.value {
        TextOr::Text(path) => return beside(path, raw.span, mistakes).map(RpkiSource::File),
        TextOr::Table(server) => server,
    };
    let example = "rpki = { rtr = \"127.0.0.1:3323\" }";
    let rtr = mistakes.require(server.rtr.as_ref(), raw.span, "the RPKI", "rtr", example)?;
    self::server(rtr, mistakes).map(RpkiSource::Rtr)
}

/// A path relative to the topology's folder, seen from where we are.
fn beside(path: &str, at: Span, mistakes: &mut Mistakes) -> Option<PathBuf> {
    if path.is_empty() || Path::new(path).is_absolute() {
        let message = format!("`{path}` is not a path relative to this file");
        mistakes.push(mistakes.error(at, message, "a relative path"));
        return None;
    }
    let folder = mistakes.source().path.parent().unwrap_or(Path::new(""));
    Some(folder.join(path))
}

/// `host:port`, an IPv6 address in brackets.
fn server(text: &Located<String>, mistakes: &mut Mistakes) -> Option<Server> {
    let found = split(&text.value);
    if found.is_none() {
        let message = format!("`{}` is not a server", text.value);
        let label = "a name or address, a colon and a port";
        mistakes.push(mistakes.error(text.span, message, label));
    }
    found
}

fn split(text: &str) -> Option<Server> {
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port > 0)?;
    let bracketed = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let host = match bracketed {
        Some(address) => address.parse::<Ipv6Addr>().ok()?.to_string(),
        None => {
            let letters = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
            let good = !host.is_empty() && host.chars().all(letters);
            good.then(|| host.to_owned())?
        }
    };
    Some(Server { host, port })
}

/// Adds every mistake in the files of registries.
pub(super) fn check_files(raw: &RawTopology, sources: &RegistrySources, mistakes: &mut Mistakes) {
    let peer = raw.peer.as_ref();
    let Some(raw) = peer.and_then(|peer| peer.value.registry.as_ref()) else {
        return;
    };
    if let (Some(IrrSource::File(path)), Some(raw)) = (&sources.irr, &raw.irr) {
        check_file(path, raw.span, files::irr, mistakes);
    }
    if let (Some(RpkiSource::File(path)), Some(raw)) = (&sources.rpki, &raw.rpki) {
        check_file(path, raw.span, files::vrps, mistakes);
    }
    if let (Some(path), Some(raw)) = (&sources.slurm, &raw.slurm) {
        check_file(path, raw.span, files::slurm, mistakes);
    }
}

fn check_file<T>(
    path: &Path,
    at: Span,
    read: fn(&Path) -> Result<T, Diagnostics>,
    mistakes: &mut Mistakes,
) {
    if !path.is_file() {
        let message = format!("there is no file `{}`", path.display());
        mistakes.push(mistakes.error(at, message, "relative to this file"));
    } else if let Err(found) = read(path) {
        mistakes.extend(found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Source;
    use crate::topology::{parse, parse_kept};

    #[test]
    fn a_kept_topology_needs_no_registry_files() {
        let text = std::fs::read_to_string("tests/fixtures/files/good/topology-registry.toml");
        let source = Source::new("nowhere/a.toml", text.expect("readable"));
        let kept = parse_kept(&source).expect("good without its files");
        let path = Path::new("nowhere/registry/contoso.rpsl");
        assert_eq!(
            kept.peer.registry.irr,
            Some(IrrSource::File(path.to_owned()))
        );
        let told = parse(&source).expect_err("no such files").to_string();
        assert!(
            told.contains("there is no file `nowhere/registry/contoso.rpsl`"),
            "{told}"
        );
    }

    #[test]
    fn servers_have_a_host_and_a_port() {
        for (text, shown) in [
            ("127.0.0.1:3323", Some("127.0.0.1:3323")),
            ("rtr.example.net:323", Some("rtr.example.net:323")),
            ("[2001:DB8::1]:43", Some("[2001:db8::1]:43")),
            ("2001:db8::1:43", None),
            ("localhost", None),
            ("localhost:", None),
            ("localhost:0", None),
            ("localhost:65536", None),
            (":43", None),
            ("a b:43", None),
            ("http://a:43", None),
        ] {
            let found = split(text).map(|server| server.to_string());
            assert_eq!(found.as_deref(), shown, "{text}");
        }
    }
}
