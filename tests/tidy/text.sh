#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Every .c, .h and .sh names its licence in its first two lines; nothing is
# marked as left for later.
# usage: text.sh ROOT       prints violations; exit 0 none, 1 some, 2 usage
[ $# -eq 1 ] && [ -d "$1" ] || { echo "usage: text.sh ROOT" >&2; exit 2; }
cd "$1" || exit 2

sources() {
	for d in libvmfs locking iscsi vhost nbd fuse mkfs fsck vmfsd bench tests \
	    guest ci; do
		[ -d "$d" ] && find "$d" -name '*.[ch]' -o -name '*.sh'
	done | LC_ALL=C sort
}
sources | grep -q . || { echo "text.sh: no sources in $1" >&2; exit 2; }

# The words are split here so that this file does not name itself.
later='TO''DO|FIX''ME|X''XX'
bad=$(sources | while IFS= read -r f; do
	head -n 2 "$f" | grep -q 'SPDX-License-Identifier: BSD-2-Clause' ||
	    echo "$f: no SPDX line"
	grep -nwE "$later" "$f" | sed "s|^|$f:|"
done)
[ -z "$bad" ] || { printf '%s\n' "$bad"; exit 1; }
