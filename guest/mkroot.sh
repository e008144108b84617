#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Puts the guest's root file system (ext4, no mount needed) on IMAGE.
# usage: mkroot.sh IMAGE [SIZE]   SIZE as of mke2fs (64M); what IMAGE has if it
#                                 exists
set -eu
[ $# -ge 1 ] && [ $# -le 2 ] || {
	echo "usage: mkroot.sh IMAGE [SIZE]" >&2
	exit 2
}
here=$(cd "$(dirname "$0")" && pwd)
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir "$root/bin" "$root/sbin" "$root/proc" "$root/dev"
cp "$(command -v busybox)" "$root/bin/busybox"
for name in sh mount cat awk dd wc sync poweroff printf; do
	ln -s busybox "$root/bin/$name"
done
cp "$here/init.sh" "$root/sbin/init"
chmod 755 "$root/sbin/init"
: >"$root/log"
/sbin/mke2fs -q -F -t ext4 -E nodiscard,root_owner=0:0 -d "$root" "$@"
