# SPDX-License-Identifier: BSD-2-Clause
# libiscsi's conformance suite against the target: one case per family of
# expected.tsv, one process per test, so that a crash or hang costs one test.
# A test that printed [SKIPPED] counts as SKIP; CUnit calls it passed.
. "${VMFS_SRCDIR}/tests/interop/iscsi_target.subr"

expected="${VMFS_SRCDIR}/tests/conformance/expected.tsv"
seconds_per_test=30

# Lines of expected.tsv without comments: test, result, options of the LUN.
expectations()
{
	sed '/^#/d; /^$/d' "${expected}"
}

# What iscsi-test-cu made of a test, from its exit status and output.
verdict()
{
	ran=$(awk '/^ *tests /{n = $3} END{print n + 0}' "$2")
	failed=$(awk '/^ *tests /{n = $5} END{print n + 0}' "$2")
	if [ "$1" -eq 124 ] || [ "$1" -eq 137 ]; then
		echo HANG
	elif [ "$1" -ge 128 ]; then
		echo CRASH
	elif [ "${ran}" -eq 0 ]; then
		echo NOSTART
	elif [ "${failed}" -ne 0 ]; then
		echo FAIL
	elif sed -n '/^Suite:/,$p' "$2" | grep -q 'SKIPPED\]'; then
		echo SKIP
	else
		echo PASS
	fi
}

# One test; two URLs, so that those with two initiators run.
run_test()
{
	timeout -k 2 "${seconds_per_test}" iscsi-test-cu -d -S -V \
	    -t "ALL.$1" "${target}/0" "${target}/0" >"$1.log" 2>&1 </dev/null
	got=$(verdict "$?" "$1.log")
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
	expectations | grep "^$1\." >wanted
	# The LUN that the family needs stands on each of its lines.
	options=$(cut -f3 wanted | head -n 1)
	# shellcheck disable=SC2086
	target_start ${options} --size 128M
	while IFS='	' read -r name result options; do
		run_test "${name}" "${result}"
	done <wanted
	target_stop
	[ -z "${wrong}" ] || atf_fail "not as expected:${wrong}"
}

families()
{
	expectations | cut -d. -f1 | uniq
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
