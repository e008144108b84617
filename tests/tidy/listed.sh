#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Nothing is forgotten: the rules know every directory, every source is in a
# Makefile.am.inc, every text of doc in the Makefile.am, every Kyuafile names
# exactly the check programs of its directory.
# usage: listed.sh ROOT     prints violations; exit 0 none, 1 some, 2 usage
[ $# -eq 1 ] && [ -d "$1" ] || { echo "usage: listed.sh ROOT" >&2; exit 2; }
cd "$1" || exit 2

dirs=
for d in libvmfs locking iscsi vhost nbd fuse mkfs fsck vmfsd bench tests; do
	[ -d "$d" ] && dirs="$dirs $d"
done
[ -n "$dirs" ] || { echo "listed.sh: no sources in $1" >&2; exit 2; }

# shellcheck disable=SC2086
words=$(find $dirs -name Makefile.am.inc -exec cat {} + | grep -v '^#' |
    tr '\t \\' '\n\n\n' | LC_ALL=C sort -u)

# The other rules look at the same directories; builds are no part of it.
unknown_directories() {
	find . -mindepth 2 \( -path './build*' -o -path './_*' \) -prune -o \
	    -name '*.[ch]' -print |
	    cut -d/ -f2 | LC_ALL=C sort -u | while IFS= read -r d; do
		case "$dirs " in
		*" $d "*) ;;
		*) echo "$d: no rule of tests/tidy looks there" ;;
		esac
	done
}
unlisted_sources() {
	# shellcheck disable=SC2086
	find $dirs -name '*.[ch]' | LC_ALL=C sort | while IFS= read -r f; do
		printf '%s\n' "$words" | grep -qxF "$f" ||
		    echo "$f: in no Makefile.am.inc"
	done
}

unlisted_texts() {
	[ -d doc ] || return 0
	find doc -type f | LC_ALL=C sort | while IFS= read -r f; do
		tr '\t \\' '\n\n\n' <Makefile.am | grep -qxF "$f" ||
		    echo "$f: not in the Makefile.am"
	done
}

# Names after "check_PROGRAMS +=" and "check_SCRIPTS +=", one directory's.
built() {
	awk -v dir="$1/" '
	/^check_(PROGRAMS|SCRIPTS)[ \t]*\+?=/ { on = 1; sub("^[^=]*=", "") }
	on {
		go = ($0 ~ /\\$/)
		gsub(/\\/, "")
		n = split($0, w, " ")
		for (i = 1; i <= n; i++)
			if (index(w[i], dir) == 1 && w[i] ~ /_test$/)
				print substr(w[i], length(dir) + 1)
		on = go
	}' "$1/Makefile.am.inc" | LC_ALL=C sort
}
named() {
	sed -n 's/^[ \t]*[a-z_]*test_program{.*name="\([^"]*\)".*/\1/p' \
	    "$1/Kyuafile" | LC_ALL=C sort
}
kyuafiles() {
	for d in tests/*/; do
		d=${d%/}
		[ -f "$d/Makefile.am.inc" ] || continue
		[ -f "$d/Kyuafile" ] || { echo "$d: no Kyuafile"; continue; }
		built "$d" | while IFS= read -r t; do
			named "$d" | grep -qxF "$t" ||
			    echo "$d/Kyuafile: $t is built but not named"
		done
		named "$d" | while IFS= read -r t; do
			built "$d" | grep -qxF "$t" ||
			    echo "$d/Kyuafile: $t is named but not built"
		done
		named "$d" | uniq -d | sed "s|^|$d/Kyuafile: named twice: |"
	done
}

bad=$(unknown_directories; unlisted_sources; unlisted_texts; kyuafiles)
[ -z "$bad" ] || { printf '%s\n' "$bad"; exit 1; }
