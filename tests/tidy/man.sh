#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Man pages tell the truth: each installed program has one, mandoc finds no
# error in it, and the options and commands of --help are those that it lists.
# usage: man.sh ROOT BUILD  prints violations; exit 0 none, 1 some, 2 usage
[ $# -eq 2 ] && [ -d "$1" ] && [ -d "$2" ] || {
	echo "usage: man.sh ROOT BUILD" >&2; exit 2
}
root=$1 build=$2
cd "$root" || exit 2

# Programs of sbin_PROGRAMS and bin_PROGRAMS, as directory/name.
programs() {
	find . -name Makefile.am.inc -exec cat {} + | awk '
	/^s?bin_PROGRAMS[ \t]*\+?=/ { on = 1; sub("^[^=]*=", "") }
	on {
		go = ($0 ~ /\\$/)
		gsub(/\\/, "")
		n = split($0, w, " ")
		for (i = 1; i <= n; i++)
			print w[i]
		on = go
	}' | LC_ALL=C sort -u
}
rendered() {
	mandoc -Tascii -Owidth=999 "$1" | sed 's/.\x08//g' | tr -s ' \n' '  '
}
options() {
	grep -oE '(^|[^A-Za-z0-9_/-])--?[A-Za-z0-9][A-Za-z0-9-]*' |
	    grep -oE -- '--?[A-Za-z0-9][A-Za-z0-9-]*$' | LC_ALL=C sort -u
}
# What stands two blanks in after a line "Commands:", up to its arguments.
commands() {
	awk '
	/^[A-Za-z ]*[Cc]ommands:/ { on = 1; next }
	/^[^ \t]/ { on = 0 }
	on && /^  [a-z]/ {
		name = ""
		sub(/^ +/, "")
		sub(/  +.*/, "")	# what it does
		for (i = 1; i <= NF && $i ~ /^[a-z][a-z-]*$/ && i <= 3; i++)
			name = name (i > 1 ? " " : "") $i
		print name
	}' | LC_ALL=C sort -u
}
# The options of lists of options, and the commands of lists of commands.
listed_options() {
	awk '/^\.It Fl/ {
		on = 0
		for (i = 2; i <= NF; i++)
			if ($i == "Fl")
				on = 1
			else if ($i ~ /^[A-Z]/)
				on = 0
			else if (on && $i != ",")
				print "-" $i
	}' "$1" | LC_ALL=C sort -u
}
listed_commands() {
	awk '/^\.It Ic/ {
		name = ""
		for (i = 3; i <= NF && $i ~ /^[a-z][a-z-]*$/; i++)
			name = name (i > 3 ? " " : "") $i
		print name
	}' "$1" | LC_ALL=C sort -u
}
check_program() {
	page=$1.8
	[ -f "$page" ] || { echo "$1: no man page $page"; return; }
	help=$("$build/$1" --help </dev/null 2>/dev/null) ||
	    { echo "$1: --help fails"; return; }
	text=" $(rendered "$page") "
	printf '%s\n' "$help" | options | while IFS= read -r o; do
		printf '%s\n' "$text" |
		    grep -qE -- "[^A-Za-z0-9_-]$o([^A-Za-z0-9_-]|\$)" ||
		    echo "$page: option $o of --help is missing"
	done
	printf '%s\n' "$help" | commands | while IFS= read -r c; do
		case "$text" in
		*" $c "*|*" $c,"*|*" $c."*) ;;
		*) echo "$page: command $c of --help is missing" ;;
		esac
	done
	listed_options "$page" | while IFS= read -r o; do
		printf '%s\n' "$help" | options | grep -qxF -e "$o" ||
		    echo "$page: option $o is not in --help"
	done
	listed_commands "$page" | while IFS= read -r c; do
		printf '%s\n' "$help" | commands | grep -qxF -e "$c" ||
		    echo "$page: command $c is not in --help"
	done
}
pages() {
	for d in mkfs fsck vmfsd; do
		[ -d "$d" ] && find "$d" -name '*.[58]'
	done | LC_ALL=C sort
}

bad=$(
	pages | while IFS= read -r p; do
		mandoc -Tlint -Werror "$p"
	done
	programs | while IFS= read -r p; do check_program "$p"; done
)
[ -z "$bad" ] || { printf '%s\n' "$bad"; exit 1; }
