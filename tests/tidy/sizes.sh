#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# No C file over 800 lines, no C function over 80.  A file that is one data
# table says so in its first comment ("data table") and may be longer.
# usage: sizes.sh ROOT      prints violations; exit 0 none, 1 some, 2 usage
[ $# -eq 1 ] && [ -d "$1" ] || { echo "usage: sizes.sh ROOT" >&2; exit 2; }
cd "$1" || exit 2

sources() {
	for d in libvmfs locking iscsi vhost nbd fuse mkfs fsck vmfsd bench tests; do
		[ -d "$d" ] && find "$d" -name '*.[ch]'
	done | LC_ALL=C sort
}
sources | grep -q . || { echo "sizes.sh: no sources in $1" >&2; exit 2; }

{
	sources | while IFS= read -r f; do
		lines=$(wc -l <"$f")
		[ "$lines" -le 800 ] && continue
		head -n 5 "$f" | grep -qi 'data table' && continue
		echo "$f: $lines lines, more than 800"
	done
	# Some ctags print a line of their own when a file has no functions.
	sources | ctags -x --languages=C --langmap=C:.c.h --c-kinds=f \
	    --_xformat='%{end} %n %F %N' -L - |
	    awk '$1 - $2 + 1 > 80 {
		printf "%s:%d: %s() has %d lines, more than 80\n",
		    $3, $2, $4, $1 - $2 + 1
	    }'
} | { bad=$(cat); [ -z "$bad" ] || { printf '%s\n' "$bad"; exit 1; }; }
