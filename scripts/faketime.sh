#!/usr/bin/env bash
# Prints where libfaketime is, which shows one process another time of day: for instances whose
# clock goes wrong. Installs Debian's package where it is missing.
# shellcheck source=scripts/house.sh
source "$(dirname "${BASH_SOURCE[0]}")/house.sh"

library() { find /usr/lib -path '*/faketime/libfaketime.so.1' 2>/dev/null | head -n 1; }

[ -n "$(library)" ] || install_debian faketime
[ -n "$(library)" ] || die "faketime is installed, and its library is not below /usr/lib"
library
