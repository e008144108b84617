#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Has Debian packages as files in a directory, without installing them; the
# kernel's stands for the one that it depends on.
# usage: fetch.sh DIRECTORY PACKAGE...     those that are there stay
set -eu
[ $# -ge 2 ] || { echo "usage: fetch.sh DIRECTORY PACKAGE..." >&2; exit 2; }
mkdir -p "$1"
cd "$1"
shift

wanted=
for p; do
	case $p in
	linux-image-cloud-*) p='linux-image-[0-9]*' ;;
	esac
	[ -n "$(find . -name "${p}_*.deb")" ] || wanted="$wanted $p"
done
[ -n "$wanted" ] || exit 0

get() {
	names=
	for p in $wanted; do
		case $p in
		linux-image-*)
			p=$(apt-cache depends linux-image-cloud-amd64 |
			    awk '/Depends: linux-image-/ { print $2; exit }')
			[ -n "$p" ] || return 1 ;;
		esac
		names="$names $p"
	done
	# shellcheck disable=SC2086
	apt-get -qq -o APT::Sandbox::User=root download $names >&2
}
set -f
get && exit 0
# The lists may be missing, or older than what the mirror still has.
[ "$(id -u)" -eq 0 ] && apt-get -q update >&2 && get && exit 0
echo "fetch.sh: cannot download$wanted (try apt-get update)" >&2
exit 1
