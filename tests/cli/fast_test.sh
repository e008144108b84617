# SPDX-License-Identifier: BSD-2-Clause
# Threads that read and write past the owner of a datastore, in a real mount.
. "${VMFS_SRCDIR}/tests/cli/hosts.subr"

# start THREADS: esx1 with a disk of 64 MiB that has all its space.
start()
{
	lun_make lun
	printf '[datastore ds1]\nlun = %s\nmount = %s\nthreads = %s\n' \
	    "${PWD}/lun" "${PWD}/esx1/mnt" "$1" | host_conf esx1
	daemon_start esx1
	atf_check vmfsctl -c esx1/ctl disk create --eager ds1:/vm.vmdk 64M
}

# 4 jobs with 12 MiB each, behind the first 16 MiB.
verify()
{
	fio --name=v --filename=esx1/mnt/vm-flat.vmdk --size=12M --offset=16M \
	    --offset_increment=12M --numjobs=4 --bsrange=512-64k \
	    --blockalign=512 --rw=randrw --ioengine=libaio --iodepth=8 \
	    --direct=1 --loops=6 --verify=crc32c --verify_fatal=1 \
	    --verify_state_save=0 --group_reporting --output=fio.out
}

# Until fio has ended: a snapshot, which must stay as it is.
snapshots()
{
	while kill -0 "$1" 2>/dev/null; do
		vmfsctl -c esx1/ctl disk snapshot ds1:/vm.vmdk s >/dev/null &&
		    vmfsctl -c esx1/ctl disk export ds1:/vm.vmdk@s a >/dev/null &&
		    vmfsctl -c esx1/ctl disk export ds1:/vm.vmdk@s b >/dev/null &&
		    cmp a b &&
		    vmfsctl -c esx1/ctl disk rm-snapshot ds1:/vm.vmdk@s \
			>/dev/null || return 1
		rm -f a b
		echo one >>snapshots
	done
}

# Until fio has ended: holes in the first 16 MiB, written and discarded.
discards()
{
	while kill -0 "$1" 2>/dev/null; do
		dd if=/dev/zero bs=1M count=16 oflag=direct conv=notrunc \
		    of=esx1/mnt/vm-flat.vmdk status=none &&
		    fallocate -p -o 4096 -l 16000000 esx1/mnt/vm-flat.vmdk ||
		    return 1
		echo one >>discards
	done
}

root_test_case data_is_right_beside_snapshots_and_discards 'require.progs fio'
data_is_right_beside_snapshots_and_discards_body()
{
	start 4
	verify &
	fio=$!
	discards ${fio} &
	discards=$!
	snapshots ${fio} || atf_fail "a snapshot has changed"
	wait ${discards} || atf_fail "discard failed"
	wait ${fio} || {
		cat fio.out >&2
		atf_fail "fio read what it had not written"
	}
	test -s snapshots && test -s discards || atf_fail "nothing beside"
	hosts_stop
	atf_check -o ignore fsck.vmfs -n lun
}

root_test_case unmount_waits_for_all_threads 'require.progs fio'
unmount_waits_for_all_threads_body()
{
	start 16
	for _ in 1 2 3; do
		fio --name=v --filename=esx1/mnt/vm-flat.vmdk --size=32M \
		    --rw=randwrite --bs=4k --ioengine=libaio --iodepth=16 \
		    --direct=1 --numjobs=2 --time_based --runtime=30 \
		    --output=/dev/null 2>/dev/null &
		fio=$!
		until_true 10 fuser -s esx1/mnt/vm-flat.vmdk
		atf_check vmfsctl -c esx1/ctl ds unmount --force ds1
		wait ${fio}
		atf_check vmfsctl -c esx1/ctl ds mount ds1
	done
	hosts_stop
	atf_check -o ignore fsck.vmfs -n lun
}

root_test_case a_write_shows_in_the_times
a_write_shows_in_the_times_body()
{
	start 2
	f=esx1/mnt/vm-flat.vmdk
	exec 8<>${f}
	atf_check touch -d 2001-02-03 ${f}
	for _ in 1 2; do
		atf_check dd if=/dev/zero of=${f} bs=4k count=4 conv=notrunc \
		    oflag=direct status=none
	done
	test "$(stat -c %Y ${f})" -gt 1500000000 ||
	    atf_fail "the time is $(stat -c %y ${f})"
	atf_check touch -d 2001-02-03 ${f}
	atf_check -o inline:'2001-02-03\n' date -r ${f} +%F
	exec 8>&-
	atf_check -o inline:'2001-02-03\n' date -r ${f} +%F
	hosts_stop
}

# in_huge_pages: KiB of the daemon's buffers that are.
in_huge_pages()
{
	awk '/^(AnonHugePages|ShmemPmdMapped):/ { n += $2 } END { print n }' \
	    "/proc/$(cat esx1/pid)/smaps_rollup"
}

root_test_case large_requests_lie_in_huge_pages
large_requests_lie_in_huge_pages_body()
{
	"${VMFS_BUILDDIR}/tests/unit/env_hugepage_test" -r probe \
	    shared_memory_becomes_one_page 2>/dev/null
	grep -q '^passed' probe || atf_skip "this machine has no huge page"
	start 2
	f=esx1/mnt/vm-flat.vmdk
	before=$(in_huge_pages)
	atf_check dd if=/dev/zero of=${f} bs=16k count=64 conv=notrunc \
	    oflag=direct status=none
	[ "$(in_huge_pages)" -eq "${before}" ] || atf_fail "short ones do, too"
	atf_check dd if=/dev/zero of=${f} bs=1M count=8 conv=notrunc \
	    oflag=direct status=none
	[ "$(in_huge_pages)" -gt "${before}" ] || atf_fail "no huge page"
	hosts_stop
}

# page FD: where it stands, by that open file.
page()
{
	eval "head -c 4096 /dev/zero >&$1" 2>/dev/null
}

root_test_case a_lock_given_up_takes_the_file_along
a_lock_given_up_takes_the_file_along_body()
{
	hosts_up esx1 esx2
	dd if=/dev/zero of=esx1/mnt/file bs=1M count=2 status=none
	exec 8<>esx1/mnt/file
	for _ in 1 2 3; do
		page 8 || atf_fail "cannot write"
	done
	flock 8
	page 8 || atf_fail "cannot write under the lock"
	flock -u 8
	exec 9<>esx2/mnt/file
	flock 9 || atf_fail "esx2 does not get the lock"
	page 9 || atf_fail "esx2 cannot write"
	if page 8; then
		atf_fail "esx1 writes beside the lock of esx2"
	fi
	flock -u 9
	exec 9>&-
	until_true 20 page 8 || atf_fail "esx1 cannot write any more"
	exec 8>&-
	hosts_stop
	atf_check -o ignore fsck.vmfs -n lun
}

# loads: blocks of metadata that esx1 has read from the LUN.
loads()
{
	vmfsctl -c esx1/ctl --json ds info ds1 |
	    jq '.datastore.map_cache_loads'
}

root_test_case a_cold_disk_of_62_TiB_is_there_at_once 'require.progs jq'
a_cold_disk_of_62_TiB_is_there_at_once_body()
{
	disk=esx1/mnt/vm-flat.vmdk
	lun_make lun
	printf '[datastore ds1]\nlun = %s\nmount = %s\nmap-cache = 1M\n' \
	    "${PWD}/lun" "${PWD}/esx1/mnt" | host_conf esx1
	daemon_start esx1
	atf_check vmfsctl -c esx1/ctl disk create ds1:/vm.vmdk 62T
	for at in 0 20 40 61; do
		for i in $(seq 0 20 1000); do
			echo "${at} ${i}" | dd of=${disk} bs=1M status=none \
			    seek=$((at * 1048576 + i)) conv=notrunc
		done
	done
	host_stop esx1
	daemon_start esx1
	atf_check -o match:'^map cache +1 MiB$' vmfsctl -c esx1/ctl ds info ds1
	before=$(loads)
	atf_check -o inline:'61 980\n' -x "dd if=${disk} bs=1M count=1 \
	    skip=$((61 * 1048576 + 980)) status=none | tr -d '\\0'"
	[ $(($(loads) - before)) -le 8 ] ||
	    atf_fail "$(($(loads) - before)) blocks of metadata for one read"
	for at in 61 0 40 20; do
		for i in $(seq 0 20 1000); do
			atf_check -o inline:"${at} ${i}\n" -x "dd if=${disk} \
			    bs=1M count=1 skip=$((at * 1048576 + i)) \
			    status=none | tr -d '\\0'"
		done
	done
	hosts_stop
	atf_check -o ignore fsck.vmfs -n lun
}

# runs: threads that serve the mount and how often each was given a processor.
runs()
{
	for task in /proc/"$(cat esx1/pid)"/task/*; do
		echo "$(cat "${task}/comm") $(cat "${task}/schedstat")"
	done | grep '^fuse[0-9]*:' | cut -d ' ' -f 1,4 | sort
}

# workers DEPTH: how many threads did 2000 requests of a program.
workers()
{
	runs >before
	fio --name=v --filename=esx1/mnt/vm-flat.vmdk --size=12M --bs=4k \
	    --rw=randrw --number_ios=2000 --ioengine=libaio --iodepth="$1" \
	    --direct=1 --loops=4 --output=/dev/null >&2 || return 1
	runs | join before - | awk '$3 - $2 >= 50 { n++ } END { print n + 0 }'
}

root_test_case one_reader_serves_who_waits_for_each_request 'require.progs fio'
one_reader_serves_who_waits_for_each_request_body()
{
	start 4
	for _ in 1 2; do
		workers 1 >/dev/null
		n=$(workers 1)
		[ "${n}" -eq 1 ] || atf_fail "${n} threads"
		n=$(workers 32)
		[ "${n}" -gt 1 ] || atf_fail "one for many as well"
	done
	hosts_stop
}
