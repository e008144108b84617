# SPDX-License-Identifier: BSD-2-Clause
# Requests of a mount by io_uring instead of /dev/fuse: what other tests show of
# the one holds for the other, and the end of a mount in all its ways.
. "${VMFS_SRCDIR}/tests/cli/fast_test.sh"
. "${VMFS_SRCDIR}/tests/cli/locks_test.sh"
. "${VMFS_SRCDIR}/tests/posix/posix_test.sh"
# Of those of locks_test no more than are named below.
by_ring=io_uring cases=

# load FILE: fio in the background until something fails; its pid in ${load}.
load()
{
	fio --name=l --filename="$1" --size=32M --rw=randrw --bs=4k --iodepth=16 \
	    --ioengine=libaio --direct=1 --numjobs=2 --time_based --runtime=60 \
	    --output=load.out >/dev/null 2>&1 9>&- &
	load=$!
	until_true 20 fuser -s "$1"
}

ring_test_case()
{
	root_test_case "$1" "require.progs fio"
}

ring_test_case a_killed_daemon_ends_its_mount
a_killed_daemon_ends_its_mount_body()
{
	start 4
	load esx1/mnt/vm-flat.vmdk
	kill -9 "$(cat esx1/pid)"
	wait ${load} && atf_fail "fio wrote to a mount that is gone"
	atf_check -s exit:1 -e match:'not connected|connection abort' \
	    cat esx1/mnt/vm-flat.vmdk
	host_kill esx1
	daemon_start esx1
	atf_check dd if=esx1/mnt/vm-flat.vmdk of=/dev/null bs=1M status=none
	hosts_stop
	atf_check -o ignore fsck.vmfs -n lun
}

ring_test_case an_aborted_connection_is_an_unmount
an_aborted_connection_is_an_unmount_body()
{
	start 4
	load esx1/mnt/vm-flat.vmdk
	umount -f esx1/mnt 2>/dev/null
	wait ${load} && atf_fail "fio wrote to a mount that is gone"
	until_true 20 grep -q 'ds1: unmounted' esx1/log ||
	    atf_fail "the daemon has not noticed"
	umount -l esx1/mnt 2>/dev/null
	daemon_stop esx1
	atf_check -o ignore fsck.vmfs -n lun
}

# Also what lies in the kernel's queue then.
ring_test_case the_end_of_the_daemon_is_no_hang
the_end_of_the_daemon_is_no_hang_body()
{
	start 1
	load esx1/mnt/vm-flat.vmdk
	kill "$(cat esx1/pid)"
	wait ${load} && atf_fail "fio wrote to a mount that is gone"
	hosts_stop
	atf_check -o ignore fsck.vmfs -n lun
}

# places HOST: where the threads that serve its mount may run, one a line.
places()
{
	for task in /proc/"$(cat "$1/pid")"/task/*; do
		grep -q '^fuse[0-9]*:' "${task}/comm" || continue
		sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' "${task}/status"
	done
}

ring_test_case each_processor_has_its_own_thread
each_processor_has_its_own_thread_body()
{
	lun_make lun
	printf '[datastore ds1]\nlun = %s\nmount = %s\n' "${PWD}/lun" \
	    "${PWD}/esx1/mnt" | host_conf esx1
	daemon_start esx1
	atf_check touch esx1/mnt/file
	n=$(nproc)
	[ "${n}" -le 16 ] || n=16
	atf_check -o inline:"${n}\n" sh -c 'sort -u | wc -l' <<-END
	$(places esx1)
	END
	hosts_stop
}

# Two that copy have two processors, wherever they were asked.
ring_test_case large_requests_are_done_wherever_there_is_room
large_requests_are_done_wherever_there_is_room_body()
{
	start 4
	atf_check dd if=/dev/zero of=esx1/mnt/vm-flat.vmdk bs=64k count=1000 \
	    oflag=direct conv=notrunc status=none
	sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' \
	    "/proc/$(cat esx1/pid)/status" >all
	places esx1 >places
	grep -qxFf all places || atf_fail "they stay: $(cat places)"
	hosts_stop
}

# who_worked DEPTH: names of the threads that did requests of a program which
# stays on one processor.
who_worked()
{
	runs >before
	atf_check -o ignore taskset -c 0 fio --name=v --size=12M --bs=4k \
	    --rw=randrw --filename=esx1/mnt/vm-flat.vmdk --ioengine=libaio \
	    --iodepth="$1" --direct=1 --loops=4 --verify=crc32c \
	    --verify_fatal=1 --verify_state_save=0 >&2
	runs | comm -13 before - | cut -d ' ' -f 1
}

ring_test_case many_requests_of_one_program_are_done_by_two_others
many_requests_of_one_program_are_done_by_two_others_body()
{
	start 4
	who_worked 1 >few
	atf_check -o inline:"1\n" sh -c 'wc -l <few'
	who_worked 32 >many
	atf_check -o inline:"2\n" sh -c 'grep -vcxFf few many'
	hosts_stop
}

# And of several by their own.
ring_test_case data_is_right_while_threads_change
data_is_right_while_threads_change_body()
{
	start 4
	for jobs in 1 4 1; do
		atf_check -o ignore fio --name=v --size=12M --bs=4k --rw=randrw \
		    --filename=esx1/mnt/vm-flat.vmdk --offset_increment=12M \
		    --numjobs=${jobs} --ioengine=libaio --iodepth=32 \
		    --direct=1 --loops=4 --verify=crc32c --verify_fatal=1 \
		    --verify_state_save=0
	done
	hosts_stop
	atf_check -o ignore fsck.vmfs -n lun
}

ring_test_case the_configuration_says_no
the_configuration_says_no_body()
{
	by_ring=/dev/fuse
	lun_make lun
	printf '[datastore ds1]\nlun = %s\nmount = %s\nio-uring = no\n' \
	    "${PWD}/lun" "${PWD}/esx1/mnt" | host_conf esx1
	daemon_start esx1
	atf_check touch esx1/mnt/file
	atf_check -o match:'requests by /dev/fuse: io-uring = no' cat esx1/log
	hosts_stop
}

# Its requests must outlive it.
ring_test_case a_supervised_daemon_reads_dev_fuse
a_supervised_daemon_reads_dev_fuse_body()
{
	by_ring=/dev/fuse
	daemon_in=supervised
	start 4
	atf_check -o match:'requests by /dev/fuse: .*supervised' cat esx1/log
	kill_worker esx1
	atf_check touch esx1/mnt/file
	hosts_stop
}

atf_init_test_cases()
{
	atf_add_test_case data_is_right_beside_snapshots_and_discards
	atf_add_test_case unmount_waits_for_all_threads
	atf_add_test_case a_write_shows_in_the_times
	atf_add_test_case large_requests_lie_in_huge_pages
	atf_add_test_case a_lock_given_up_takes_the_file_along
	atf_add_test_case who_waits_gets_it_from_another_host
	atf_add_test_case a_signal_ends_the_wait
	atf_add_test_case who_waits_leaves_room_for_others
	atf_add_test_case one_user_leaves_others_room_to_wait
	atf_add_test_case lock_of_a_killed_program_is_dropped
	atf_add_test_case unmount_ends_a_wait
	atf_add_test_case one_host
	atf_add_test_case who_opens_while_others_close_may_write
	atf_add_test_case appends_of_two_hosts_all_arrive
	for case in ${cases}; do
		atf_add_test_case "${case}"
	done
}
