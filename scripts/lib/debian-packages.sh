# To be sourced: Debian packages that a check needs.
# shellcheck shell=bash

# Installs those that are missing. Where that is not possible, says so and ends the script with success: a check that
# needs more than a machine can have is skipped.
#
#   need_debian_packages PACKAGE...
need_debian_packages() {
  if dpkg -s "$@" >/dev/null 2>&1; then
    return
  fi
  if ! command -v apt-get >/dev/null || [[ "$(id -u)" != 0 ]]; then
    echo "skipped: this needs the Debian packages $*, and they can only be installed by root with apt-get"
    exit 0
  fi
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}
