# SPDX-License-Identifier: BSD-2-Clause
# A round of each event of tests/torture/run, and that its checkers see what
# they are there for.
history=${VMFS_BUILDDIR}/tests/torture/history

rounds_of()
{
	"${VMFS_SRCDIR}/tests/torture/run" -s "$(atf_config_get seed 1)" \
	    -l "$1" -w "${PWD}/w" || {
		cat w/failed-*/h*/log
		atf_fail "see above"
	}
}

rounds_cleanup()
{
	for p in w/*/*.pid w/*/*/pid; do
		[ ! -s "${p}" ] || kill -9 "$(cat "${p}")"
	done
	for m in w/*/h?/mnt; do
		umount -l "${m}"
	done 2>/dev/null
	return 0
}

atf_test_case flushed_writes_survive_on_a_target cleanup
flushed_writes_survive_on_a_target_head()
{
	atf_set require.user root
	atf_set require.progs "ip nsenter jq"
}
flushed_writes_survive_on_a_target_body()
{
	ip netns add "vt$$" || atf_skip "no network namespaces can be made"
	ip netns del "vt$$"
	rounds_of iscsi
}
flushed_writes_survive_on_a_target_cleanup() { rounds_cleanup; }

atf_test_case flushed_writes_survive_on_a_shared_file cleanup
flushed_writes_survive_on_a_shared_file_head()
{
	atf_set require.user root
	atf_set require.progs jq
}
flushed_writes_survive_on_a_shared_file_body()
{
	rounds_of file
}
flushed_writes_survive_on_a_shared_file_cleanup() { rounds_cleanup; }

# A writer of a plain file, until it has flushed.  By the seed, to which the
# number of the writer is added, all begin with the same blocks.
write_some()
{
	truncate -s 8M disk
	# What the writer before has said is not its word.
	: >out
	"${history}" write -d 1 -h "$1" -s "$((9 - $1))" journal disk >out &
	until grep -q first out || ! kill -0 $!; do
		sleep 0.05
	done
	kill $!
	wait $! || atf_fail "status $?: $(tr '\n' ' ' <out)"
}

atf_test_case history_that_is_whole_is_good
history_that_is_whole_is_good_body()
{
	write_some 1
	write_some 2
	atf_check "${history}" check -d 1 journal disk
}

atf_test_case lost_flush_is_seen
lost_flush_is_seen_body()
{
	write_some 1
	truncate -s 0 disk
	truncate -s 8M disk
	atf_check -s exit:4 -o match:'carries epoch 0 seq 0; allowed: epoch 1' \
	    "${history}" check -d 1 journal disk
}

# As if a write of the first host had come in after the second took over.
atf_test_case late_write_is_seen
late_write_is_seen_body()
{
	write_some 1
	cp disk before
	write_some 2
	cp before disk
	atf_check -s exit:4 -o match:'carries epoch 1 .*; allowed: epoch 2' \
	    "${history}" check -d 1 journal disk
}

atf_test_case torn_and_foreign_blocks_are_seen
torn_and_foreign_blocks_are_seen_body()
{
	write_some 1
	atf_check -s exit:4 -o match:'torn or foreign' \
	    "${history}" check -d 2 journal disk
	dd if=/dev/urandom of=disk bs=512 seek=805 count=1 conv=notrunc \
	    status=none
	atf_check -s exit:4 -o match:'block 100 is torn' \
	    "${history}" check -d 1 journal disk
}

# log_line PORT FATE COMMAND KEY SA-KEY
log_line()
{
	printf '1\t1\tiqn.t:%s,i,0x1\tt\t0\t%s\t00\t%s\t7\t1\t0x%016x\t0x%016x\n' \
	    "$1" "$2" "$3" "$4" "$5"
}
judge="awk -v from=1 -f ${VMFS_SRCDIR}/tests/torture/write-log.awk log"

atf_test_case accepted_write_after_the_fence_is_seen
accepted_write_after_the_fence_is_seen_body()
{
	r="PERSISTENT RESERVE OUT REGISTER"
	{
		log_line h1 accepted "${r} AND IGNORE" 0 17
		log_line h2 accepted "${r}" 0 34
		log_line h1 accepted "WRITE(16)" 0 0
		log_line h2 accepted "PERSISTENT RESERVE OUT PREEMPT AND ABORT" \
		    34 17
		log_line h1 refused "WRITE(16)" 0 0
		log_line h2 accepted "WRITE(16)" 0 0
	} >log
	cp log fenced
	atf_check -o inline:'fenced h1\n' ${judge}
	log_line h1 accepted "COMPARE AND WRITE" 0 0 >>log
	atf_check -s exit:1 -o match:'line 7: h1 COMPARE AND WRITE' ${judge}
	cp fenced log
	log_line h1 accepted "${r}" 0 18 >>log
	log_line h1 accepted "WRITE(16)" 0 0 >>log
	atf_check -o inline:'fenced h1\n' ${judge}
	cp fenced log
	log_line h1 accepted "${r}" 0 17 >>log
	atf_check -s exit:1 -o match:'line 7: h1 registers .*11 again' ${judge}
}

atf_init_test_cases()
{
	atf_add_test_case flushed_writes_survive_on_a_target
	atf_add_test_case flushed_writes_survive_on_a_shared_file
	atf_add_test_case history_that_is_whole_is_good
	atf_add_test_case lost_flush_is_seen
	atf_add_test_case late_write_is_seen
	atf_add_test_case torn_and_foreign_blocks_are_seen
	atf_add_test_case accepted_write_after_the_fence_is_seen
}
