#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# usage: bench/conformance.sh [-o DIR] [REGEX]
# What libiscsi's conformance suite says of the target: every test that the
# installed iscsi-test-cu has, one process each, on the LUN that the test needs
# (tests/conformance/expected.tsv).
#
#   -o DIR    keep the output of every test there
#   REGEX     only tests whose names match (grep -E)
# Prints a line per test, then a table of the families and the sums; a result
# other than the expected one is marked with !, a test the table does not have
# with ?.  Exit status 1 when one is marked !.  Needs a build and iscsi-test-cu.
VMFS_SRCDIR=$(cd "$(dirname "$0")/.." && pwd)
VMFS_BUILDDIR=${VMFS_BUILDDIR:-${VMFS_SRCDIR}/build}

atf_fail()
{
	echo "conformance.sh: $*" >&2
	exit 1
}

. "${VMFS_SRCDIR}/tests/conformance/conform.subr"

usage()
{
	sed -n '3,/^# other/s/^# \{0,1\}//p' "$0" >&2
	exit 2
}

out=
while getopts o: opt; do
	case ${opt} in
	o) out=${OPTARG} ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
[ $# -le 1 ] || usage
only=${1:-.}

command -v iscsi-test-cu >/dev/null || atf_fail \
    "iscsi-test-cu is missing: install the package libiscsi-bin"
helper="${VMFS_BUILDDIR}/tests/interop/iscsi_target_helper"
[ -x "${helper}" ] || atf_fail "${helper} is missing: run" \
    "'make -C ${VMFS_BUILDDIR} tests/interop/iscsi_target_helper'"
if [ -n "${out}" ]; then
	mkdir -p "${out}" || exit 1
	cd "${out}" || exit 1
else
	work=$(mktemp -d) || exit 1
	trap 'cd / && rm -rf "${work}"' EXIT
	cd "${work}" || exit 1
fi

# Those of one profile together: name, expected result, options.
conform_lines >expected
iscsi-test-cu -l | awk -F. '$1 == "ALL" && NF == 3 { print $2 "." $3 }' |
    grep -E "${only}" >suite || atf_fail "no test matches '${only}'"
awk -F'\t' -v OFS='\t' 'NR == FNR { want[$1] = $2; options[$1] = $3; next }
    { print $1, ($1 in want ? want[$1] : "-"), options[$1] }' expected suite |
    sort -s -t'	' -k3,3 >todo

: >results
while IFS='	' read -r name want options; do
	conform_profile "${options}"
	conform_run "${name}"
	case "${want} ${got}" in
	"- ${got}") mark=' ?' ;;
	"${got} ${got}") mark= ;;
	*) mark=" ! expected ${want}" ;;
	esac
	printf '%s\t%s\t%s\n' "${name}" "${got}" "${options}${mark}" |
	    tee -a results
done <todo
conform_end

echo
awk -F'\t' -v OFS='\t' '
    BEGIN { column["PASS"] = 1; column["HANG"] = 3; column["SKIP"] = 4 }
    {
	split($1, n, ".")
	family[n[1]]
	all[n[1], ($2 in column) ? column[$2] : 2]++
    }
    END {
	for (f in family)
	    print f, all[f, 1] + 0, all[f, 2] + 0, all[f, 3] + 0, all[f, 4] + 0
    }' results | sort >table
{
	printf 'family\tpass\tfail\thang\tskip\n'
	cat table
	awk -F'\t' -v OFS='\t' '{ p += $2; f += $3; h += $4; s += $5 }
	    END { print "all " NR " families", p, f, h, s }' table
} | awk -F'\t' '{ printf "%-24s %5s %5s %5s %5s\n", $1, $2, $3, $4, $5 }'
! grep -q ' ! expected ' results
