# SPDX-License-Identifier: BSD-2-Clause
# libiscsi's conformance suite against the target: one case per family of
# expected.tsv, which must be as it says.
. "${VMFS_SRCDIR}/tests/conformance/conform.subr"

# A test that does better than expected is told, not failed.
check_test()
{
	conform_profile "$3"
	conform_run "$1"
	case "$2 ${got}" in
	"$2 $2") ;;
	"SKIP PASS") echo "$1: better than expected, now ${got}" ;;
	*)
		echo "$1: expected $2, got ${got}"
		sed -n '/^Suite:/,/^Run Summary/p' "$1.log" | tail -n 25
		wrong="${wrong} $1:${got}"
		;;
	esac
}

run_family()
{
	wrong=
	conform_lines | grep "^$1\." >wanted
	while IFS='	' read -r name result options; do
		check_test "${name}" "${result}" "${options}"
	done <wanted
	conform_end
	[ -z "${wrong}" ] || atf_fail "not as expected:${wrong}"
}

families()
{
	conform_lines | cut -d. -f1 | uniq
}

for family in $(families); do
	atf_test_case "${family}"
	eval "${family}_head() { atf_set require.progs iscsi-test-cu; }"
	eval "${family}_body() { run_family ${family}; }"
done

atf_init_test_cases()
{
	for family in $(families); do
		atf_add_test_case "${family}"
	done
}
