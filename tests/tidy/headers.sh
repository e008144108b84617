#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Every header compiles when it is the first and only thing included.
# usage: headers.sh ROOT COMPILE    COMPILE: the build's compiler with its flags
# prints what the compiler said; exit 0 fine, 1 some do not, 2 usage
[ $# -eq 2 ] && [ -d "$1" ] || {
	echo "usage: headers.sh ROOT COMPILE" >&2; exit 2
}
cd "$1" || exit 2

headers() {
	for d in libvmfs locking iscsi vhost nbd fuse mkfs fsck vmfsd bench tests; do
		[ -d "$d" ] && find "$d" -name '*.h'
	done | LC_ALL=C sort
}
headers | grep -q . || { echo "headers.sh: no headers in $1" >&2; exit 2; }

# xargs ends with 123 when a compiler was not content.
headers | xargs -P 4 -I{} sh -c '
	# Twice: the guard must hold.
	printf "#include \"%s\"\n#include \"%s\"\nextern int tidy_none;\n" \
	    "$1" "$1" | "$2" -fsyntax-only -I. -x c - 2>&1 ||
	    { echo "$1: does not compile alone"; exit 1; }
' sh {} "$2" || exit 1
