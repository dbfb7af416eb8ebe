#!/bin/sh
# Starts the server, or runs a command of it: `docker run IMAGE config lint FILE`.
# Where nothing is configured at all, a first configuration is written to the volume; what it prints names the file that
# holds the keys, and never the keys.
set -eu
umask 077

configured() {
  [ -n "${DGP_CONFIG:-}" ] || [ -n "${DGP_ACCESS_KEY_ID:-}" ] || [ -n "${DGP_AUTHENTICATION:-}" ] && return 0
  for file in ./deltaglider_proxy.yaml ./deltaglider_proxy.yml ./deltaglider_proxy.toml \
    /etc/deltaglider_proxy/config.yaml /etc/deltaglider_proxy/config.yml /etc/deltaglider_proxy/config.toml; do
    [ -e "$file" ] && return 0
  done
  return 1
}

case "${1:-}" in
  -h | --help | -V | --version | --show-env | --init | --set-*) ;;
  '' | -*)
    if ! configured; then
      deltaglider_proxy init
      echo "The keys are in $(pwd)/deltaglider_proxy.yaml, readable by user $(id -u) only: cat it in this container."
    fi
    ;;
esac
exec deltaglider_proxy "$@"
