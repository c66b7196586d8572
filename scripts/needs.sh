# Sourced by the other scripts: brings what this machine lacks, and says so.

# needs PACKAGE=PROGRAM...: installs the Debian packages whose programs are missing.
needs() {
  local missing=() pair
  for pair in "$@"; do
    PATH="$PATH:/usr/sbin:/sbin" command -v "${pair#*=}" >/dev/null 2>&1 || missing+=("${pair%%=*}")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  local sudo=()
  if [ "$(id -u)" -ne 0 ]; then
    if command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
      sudo=(sudo -n)
    else
      echo "missing: ${missing[*]} (install as root: apt-get install ${missing[*]}); what needs them is left out" >&2
      return 0
    fi
  fi
  if ! command -v apt-get >/dev/null 2>&1; then
    echo "missing: ${missing[*]} (no apt-get here; install them by your distribution's means)" >&2
    return 0
  fi
  echo "installing ${missing[*]} with apt-get"
  "${sudo[@]}" apt-get update -qq
  DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  # A daemon of the package must not run on the host: peerlab starts its own, in its own namespaces.
  if command -v systemctl >/dev/null 2>&1 && [ -d /run/systemd/system ]; then
    local unit
    for unit in bird frr stayrtr gobgpd openbgpd exabgp; do
      "${sudo[@]}" systemctl disable --now "$unit" >/dev/null 2>&1 || true
    done
  fi
}

# needs_rust: a Rust toolchain, new enough for Cargo.toml's rust-version.
needs_rust() {
  [ -f "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"
  if ! command -v cargo >/dev/null 2>&1; then
    echo "missing: Rust; install it from https://rustup.rs and run this again" >&2
    exit 4
  fi
}

export PATH="$PATH:/usr/sbin:/sbin"
