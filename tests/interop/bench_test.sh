# SPDX-License-Identifier: BSD-2-Clause
# The measurements run; what they say about speed is nothing for a test.

atf_test_case target_is_measured_beside_its_peers
target_is_measured_beside_its_peers_head()
{
	atf_set require.user root
	atf_set require.progs "tgtd tgtadm"
}
target_is_measured_beside_its_peers_body()
{
	atf_check -o save:out -e empty "${VMFS_SRCDIR}/bench/target.sh" -r 1 \
	    -t 0.1 -T "ours null tgt" r4k-1 w4k-2x2 w1m-1
	atf_check -o match:'^r4k-1 +[1-9][0-9]* +[1-9][0-9]* +[1-9]' \
	    -o match:'^w4k-2x2 +[1-9]' -o match:'^w1m-1 +[1-9]' cat out
}

atf_test_case conformance_is_listed_and_summed
conformance_is_listed_and_summed_head()
{
	atf_set require.progs iscsi-test-cu
}
conformance_is_listed_and_summed_body()
{
	atf_check -o save:out "${VMFS_SRCDIR}/bench/conformance.sh" \
	    'TestUnitReady|ReadOnly|Mandatory'
	atf_check -o match:'^ReadOnly.ReadOnlySBC	PASS	--readonly$' \
	    -o match:'^all 4 families +4 +0 +0 +0$' cat out
}

atf_init_test_cases()
{
	atf_add_test_case conformance_is_listed_and_summed
	atf_add_test_case target_is_measured_beside_its_peers
}
