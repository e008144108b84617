# SPDX-License-Identifier: BSD-2-Clause
# Some rounds of tests/torture/box-kill, and that it sees what it is there for.
rounds()
{
	atf_check -s "exit:$3" -o "$4" -e "$5" \
	    "${VMFS_SRCDIR}/tests/torture/box-kill" -n "$1" -c "$2" \
	    -s "$(atf_config_get seed 1)" -w "${PWD}/w"
}

box_test_case()
{
	atf_test_case "$1" cleanup
	eval "$1_head() { atf_set require.progs jq; }"
	eval "$1_cleanup() { [ ! -s w/pid ] || kill -9 \$(cat w/pid); }"
	cases="${cases} $1"
}

box_test_case killed_target_loses_nothing
killed_target_loses_nothing_body()
{
	rounds 3 1000 0 match:'^3 kills, .* all there$' empty
}

box_test_case lost_write_is_seen
lost_write_is_seen_body()
{
	rounds 1 500 0 ignore empty
	dd if=/dev/zero of=w/lun bs=4k count=1024 conv=notrunc status=none
	rounds 1 100 1 empty match:'block [0-9]* of writer 1 is 0; answered'
}

box_test_case lost_registrations_are_seen
lost_registrations_are_seen_body()
{
	rounds 1 500 0 ignore empty
	rm w/id/reservations-*
	rounds 1 100 1 empty match:'key of writer 0 is 0; answered 0x1'
}

atf_init_test_cases()
{
	for c in ${cases}; do
		atf_add_test_case "${c}"
	done
}
