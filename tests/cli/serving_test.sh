# SPDX-License-Identifier: BSD-2-Clause
# Guests and NBD clients on threads beside the datastore's owner.
. "${VMFS_SRCDIR}/tests/cli/hosts.subr"

mib=1048576

# start LINE...: esx1 with these lines in [host], and disks vm1 to vm3 of 32 MiB.
start()
{
	lun_make lun
	{
		printf '[datastore ds1]\nlun = %s\nmount = %s\n[host]\n' \
		    "${PWD}/lun" "${PWD}/esx1/mnt"
		[ $# -eq 0 ] || printf '%s\n' "$@"
	} | host_conf esx1
	daemon_start esx1
	for i in 1 2 3; do
		atf_check vmfsctl -c esx1/ctl disk create --eager \
		    ds1:/vm${i}.vmdk 32M
	done
}

# guest N SECONDS: its driver, in the background; what it says in guestN.
guest()
{
	"${VMFS_BUILDDIR}/bench/vhost_load" "${PWD}/sock$1" v 8192 16 "$2" \
	    $((32 * mib)) >guest"$1" 2>&1 &
	eval "guest$1=$!"
}

# attach N [OPTION]...
attach()
{
	_n=$1
	shift
	atf_check -o ignore vmfsctl -c esx1/ctl disk attach \
	    --socket="${PWD}/sock${_n}" "$@" ds1:/vm"${_n}".vmdk
}

# right N: its guest has read what it had written.
right()
{
	eval "_pid=\${guest$1}"
	wait "${_pid}" || {
		cat guest"$1" >&2
		atf_fail "guest $1 has other data"
	}
}

# While the guest of process $1 runs: what the owner does beside.
beside()
{
	while kill -0 "$1" 2>/dev/null; do
		for i in 1 3; do
			vmfsctl -c esx1/ctl disk snapshot ds1:/vm${i}.vmdk s \
			    >/dev/null || return 1
		done
		vmfsctl -c esx1/ctl disk set ds1:/vm2.vmdk --iops=5000 \
		    >/dev/null &&
		    vmfsctl -c esx1/ctl --json disk attached ds1 >listing &&
		    vmfsctl -c esx1/ctl disk set ds1:/vm2.vmdk --iops=0 \
		    >/dev/null || return 1
		for i in 1 3; do
			vmfsctl -c esx1/ctl disk rm-snapshot ds1:/vm${i}.vmdk@s \
			    >/dev/null || return 1
		done
		echo one >>rounds
	done
}

atf_test_case data_is_right_beside_the_owner cleanup
data_is_right_beside_the_owner_head()
{
	atf_set require.user root
	atf_set require.progs "fio jq"
}
data_is_right_beside_the_owner_body()
{
	start
	attach 1
	attach 2
	atf_check -o save:nbd vmfsctl -c esx1/ctl --json disk attach --nbd \
	    ds1:/vm3.vmdk
	uri=$(jq -r .attachment.uri nbd)
	guest 1 4
	guest 2 4
	fio --name=v --ioengine=nbd --uri="${uri}" --size=8M --numjobs=2 \
	    --offset_increment=8M --bsrange=512-64k --blockalign=512 \
	    --rw=randrw --iodepth=8 --loops=3 --verify=crc32c \
	    --verify_fatal=1 --verify_state_save=0 --output=fio.out &
	fio=$!
	# shellcheck disable=SC2154
	beside "${guest1}" || atf_fail "a command failed"
	wait ${fio} || {
		cat fio.out >&2
		atf_fail "fio read what it had not written"
	}
	right 1
	right 2
	test -s rounds || atf_fail "nothing beside"
	atf_check -o inline:'vhost-user\nvhost-user\nnbd\n' \
	    jq -r '.attachments[].by' listing
	for i in 1 2 3; do
		atf_check vmfsctl -c esx1/ctl disk detach ds1:/vm${i}.vmdk
	done
	hosts_stop
	atf_check -o ignore fsck.vmfs -n lun
}
data_is_right_beside_the_owner_cleanup()
{
	hosts_cleanup
}

atf_test_case detach_and_unmount_wait_for_the_thread cleanup
detach_and_unmount_wait_for_the_thread_head()
{
	atf_set require.user root
}
detach_and_unmount_wait_for_the_thread_body()
{
	start "guest-threads = 1"
	for _ in 1 2 3; do
		attach 1
		attach 2
		guest 1 30
		guest 2 30
		until_true 20 guests_run 2
		atf_check vmfsctl -c esx1/ctl disk detach --force ds1:/vm1.vmdk
		atf_check vmfsctl -c esx1/ctl ds unmount --force ds1
		# shellcheck disable=SC2154
		kill "${guest1}" "${guest2}"
		wait "${guest1}" "${guest2}"
		atf_check vmfsctl -c esx1/ctl ds mount ds1
	done
	hosts_stop
	atf_check -o ignore fsck.vmfs -n lun
}
guests_run()
{
	[ "$(vmfsctl -c esx1/ctl --json disk attached ds1 |
	    jq '[.attachments[] | select(.writes > 100)] | length')" -eq "$1" ]
}
detach_and_unmount_wait_for_the_thread_cleanup()
{
	hosts_cleanup
}

# threads N: so many are there for guests.
threads()
{
	[ "$(cat /proc/"$(cat esx1/pid)"/task/*/comm | grep -c '^guests-')" \
	    -eq "$1" ]
}

atf_test_case threads_are_as_many_as_asked_for cleanup
threads_are_as_many_as_asked_for_head()
{
	atf_set require.user root
}
threads_are_as_many_as_asked_for_body()
{
	start "guest-threads = 2" "guest-busy-wait = no"
	atf_check vmfsctl -c esx1/ctl disk create ds1:/vm4.vmdk 32M
	threads 0 || atf_fail "threads without a guest"
	attach 1
	threads 0 || atf_fail "the first guest is not with the owner"
	attach 2
	threads 1 || atf_fail "not one thread for the second guest"
	attach 3
	attach 4
	threads 2 || atf_fail "not two threads for four guests"
	guest 4 1
	right 4
	atf_check vmfsctl -c esx1/ctl disk detach ds1:/vm1.vmdk
	attach 1
	guest 1 1
	right 1
	hosts_stop
	sed -i 's/guest-threads = 2/guest-threads = 0/' esx1/conf
	daemon_start esx1
	attach 1
	attach 2
	threads 0 || atf_fail "threads beside the owner"
	guest 1 1
	right 1
	hosts_stop
	sed -i 's/guest-threads = 0/guest-threads = 17/' esx1/conf
	atf_check -s exit:2 -e match:'guest-threads.*1 to 16' \
	    vmfsd --config=esx1/conf --check-config
}
threads_are_as_many_as_asked_for_cleanup()
{
	hosts_cleanup
}

# lock_is STATE: of the first one that is attached.
lock_is()
{
	[ "$(vmfsctl -c esx1/ctl --json disk attached ds1 |
	    jq -r '.attachments[0].lock')" = "$1" ]
}

# Another host may be about to start it.
atf_test_case lock_of_a_stopped_guest_stays_free cleanup
lock_of_a_stopped_guest_stays_free_head()
{
	atf_set require.user root
	atf_set require.progs jq
}
lock_of_a_stopped_guest_stays_free_body()
{
	daemon_in=supervised
	start
	attach 1
	lock_is held || atf_fail "no lock for a guest that is to start here"
	kill_worker esx1
	lock_is held || atf_fail "the lock of an attached disk is gone"
	guest 1 1
	right 1
	until_true 10 lock_is free || atf_fail "the guest left the lock"
	kill_worker esx1
	lock_is free || atf_fail "the next worker has taken the lock"
	guest 1 1
	right 1
	hosts_stop
}
lock_of_a_stopped_guest_stays_free_cleanup()
{
	hosts_cleanup
}

# It ended while no worker was there to see it: another host may start it.
atf_test_case lock_of_a_guest_that_ended_unseen_is_given_back cleanup
lock_of_a_guest_that_ended_unseen_is_given_back_head()
{
	atf_set require.user root
	atf_set require.progs "jq openssl"
}
lock_of_a_guest_that_ended_unseen_is_given_back_body()
{
	daemon_in=supervised
	start
	attach 1
	guest 1 60
	until_true 10 guests_run 1 || atf_fail "no guest"
	# shellcheck disable=SC2154
	kill -STOP "${guest1}"
	kill_worker esx1
	lock_is held || atf_fail "the lock is not kept for its guest"
	kill -9 "${guest1}"
	# It need not wait once somebody else comes and goes, as one that says
	# nothing of use.
	openssl s_client -unix "${PWD}/sock1" </dev/null >openssl.out 2>&1
	until_true 10 lock_is free || atf_fail "the lock is held for nobody"
	guest 1 1
	right 1
	until_true 10 lock_is free || atf_fail "the guest left the lock"
	kill_worker esx1
	lock_is free || atf_fail "the next worker has taken the lock"
	hosts_stop
}
lock_of_a_guest_that_ended_unseen_is_given_back_cleanup()
{
	hosts_cleanup
}

# A sanitizer sees it: an export is listed that has just been freed.
atf_test_case listing_beside_detach cleanup
listing_beside_detach_head()
{
	atf_set require.user root
}
listing_beside_detach_body()
{
	start
	attach 1
	: >go
	_loops=
	for _ in 1 2 3; do
		while [ -e go ]; do
			vmfsctl -c esx1/ctl disk attached ds1
		done >/dev/null 2>&1 &
		_loops="${_loops} $!"
	done
	for _ in $(seq 40); do
		attach 2
		atf_check vmfsctl -c esx1/ctl disk detach ds1:/vm2.vmdk
		atf_check -o ignore vmfsctl -c esx1/ctl disk attach --nbd \
		    ds1:/vm3.vmdk
		atf_check vmfsctl -c esx1/ctl disk detach ds1:/vm3.vmdk
	done
	rm go
	wait ${_loops}
	atf_check vmfsctl -c esx1/ctl disk detach ds1:/vm1.vmdk
	hosts_stop
}
listing_beside_detach_cleanup()
{
	rm -f go
	hosts_cleanup
}

# attached N: so many disks are.
attached()
{
	[ "$(vmfsctl -c esx1/ctl --json disk attached ds1 |
	    jq '.attachments | length')" -eq "$1" ]
}

# Its guest runs, and would lose the disk, or go on over what it has not
# written.
atf_test_case no_program_gets_a_disk_between_two_workers cleanup
no_program_gets_a_disk_between_two_workers_head()
{
	atf_set require.user root
	atf_set require.progs "jq qemu-nbd"
}
no_program_gets_a_disk_between_two_workers_body()
{
	daemon_in=supervised
	start
	attach 1
	attach 2
	# The second is not attached again before the first has its socket.
	rm sock1
	truncate -s 1M raw
	qemu-nbd -t -f raw -k "${PWD}/sock1" --pid-file="${PWD}/other" raw &
	_other=$!
	until_true 10 test -S sock1 || atf_fail "nobody is at the socket"
	_had=$(resumes esx1)
	_dead=$(worker esx1)
	kill -9 "${_dead}"
	until_true 10 test ! -e "/proc/${_dead}" || atf_fail "it is not dead"
	(exec 9<>esx1/mnt/vm2-flat.vmdk) 2>/dev/null &&
	    atf_fail "a program could open it"
	kill ${_other}
	wait ${_other}
	until_true 30 went_on esx1 "${_had}" || atf_fail "no worker"
	attached 2 || atf_fail "not both are attached again"
	guest 2 1
	right 2
	hosts_stop
}
no_program_gets_a_disk_between_two_workers_cleanup()
{
	[ ! -s other ] || kill "$(cat other)"
	hosts_cleanup
}

# Its name has changed meanwhile, and another disk has the old one.
atf_test_case next_worker_serves_the_same_disk cleanup
next_worker_serves_the_same_disk_head()
{
	atf_set require.user root
}
next_worker_serves_the_same_disk_body()
{
	daemon_in=supervised
	start
	attach 1
	atf_check vmfsctl -c esx1/ctl disk mv ds1:/vm1.vmdk ds1:/moved.vmdk
	atf_check vmfsctl -c esx1/ctl disk create --eager ds1:/vm1.vmdk 32M
	kill_worker esx1
	# The new one was never attached, the other still is.
	atf_check -s not-exit:0 -e match:'is attached' \
	    vmfsctl -c esx1/ctl disk rm ds1:/moved.vmdk
	atf_check vmfsctl -c esx1/ctl disk rm ds1:/vm1.vmdk
	hosts_stop
}
next_worker_serves_the_same_disk_cleanup()
{
	hosts_cleanup
}

# As of a file that a program has open.
atf_test_case removed_disk_stays_until_it_is_detached cleanup
removed_disk_stays_until_it_is_detached_head()
{
	atf_set require.user root
	atf_set require.progs jq
}
removed_disk_stays_until_it_is_detached_body()
{
	daemon_in=supervised
	start
	attach 1
	attach 2
	atf_check -o ignore vmfsctl -c esx1/ctl disk attach --nbd \
	    ds1:/vm3.vmdk
	# One of them has no lock any more.
	guest 2 1
	right 2
	atf_check vmfsctl -c esx1/ctl disk rm --force ds1:/vm2.vmdk
	atf_check vmfsctl -c esx1/ctl disk rm --force ds1:/vm1.vmdk
	rm esx1/mnt/vm3*
	for i in 1 2; do
		kill_worker esx1
		attached 3 || atf_fail "not all are attached again"
		guest ${i} 1
		right ${i}
	done
	for i in 1 2 3; do
		atf_check vmfsctl -c esx1/ctl disk detach ds1:/vm${i}.vmdk
	done
	hosts_stop
	atf_check -o ignore fsck.vmfs -n lun
}
removed_disk_stays_until_it_is_detached_cleanup()
{
	hosts_cleanup
}

# Two were attached by that name: the one that has it now is meant.
atf_test_case detach_takes_the_disk_that_is_named cleanup
detach_takes_the_disk_that_is_named_head()
{
	atf_set require.user root
}
detach_takes_the_disk_that_is_named_body()
{
	start
	attach 1
	atf_check vmfsctl -c esx1/ctl disk mv ds1:/vm1.vmdk ds1:/moved.vmdk
	atf_check vmfsctl -c esx1/ctl disk create --eager ds1:/vm1.vmdk 32M
	atf_check -o ignore vmfsctl -c esx1/ctl disk attach \
	    --socket="${PWD}/new" ds1:/vm1.vmdk
	atf_check vmfsctl -c esx1/ctl disk detach ds1:/vm1.vmdk
	test -S sock1 || atf_fail "the other disk was detached"
	atf_check vmfsctl -c esx1/ctl disk detach ds1:/vm1.vmdk
	test ! -e sock1 || atf_fail "it is not known by its old name"
	hosts_stop
}
detach_takes_the_disk_that_is_named_cleanup()
{
	hosts_cleanup
}

# lun_start: esx1 with an empty target, and the disk vm1 of 32 MiB.
lun_start()
{
	iqn=iqn.2026-11.test:box
	lun_make lun
	{
		printf '[portal]\nlisten = 127.0.0.1:0\n'
		printf '[target %s]\nallow = *\n' ${iqn}
		printf '[datastore ds1]\nlun = %s\nmount = %s\n' \
		    "${PWD}/lun" "${PWD}/esx1/mnt"
	} | host_conf esx1
	daemon_start esx1
	export VMFSD_CONTROL="${PWD}/esx1/ctl"
	atf_check vmfsctl disk create --eager ds1:/vm1.vmdk 32M
}

# lun_refused REASON: the LUN is not made.
lun_refused()
{
	atf_check -s exit:4 -e match:"in use on this host: $1" \
	    vmfsctl lun create ${iqn} 0 vdisk:ds1:/vm1.vmdk
}

# They all know nothing of each other: what one has written another overwrites.
atf_test_case lun_guest_and_program_do_not_write_one_disk cleanup
lun_guest_and_program_do_not_write_one_disk_head()
{
	atf_set require.user root
	atf_set require.progs jq
}
lun_guest_and_program_do_not_write_one_disk_body()
{
	lun_start
	exec 9<>esx1/mnt/vm1-flat.vmdk
	lun_refused 'a program has it open'
	exec 9>&-
	for way in --socket="${PWD}/sock1" --nbd; do
		atf_check -o ignore vmfsctl disk attach ${way} ds1:/vm1.vmdk
		lun_refused 'it is attached'
		atf_check vmfsctl lun create ${iqn} 1 \
		    vdisk:ds1:/vm1.vmdk,readonly
		atf_check vmfsctl lun remove ${iqn} 1
		atf_check vmfsctl disk detach ds1:/vm1.vmdk
	done
	# What a program closes just now is waited for.
	dd if=/dev/zero of=esx1/mnt/vm1-flat.vmdk bs=1M count=1 conv=notrunc \
	    status=none
	atf_check vmfsctl lun create ${iqn} 0 vdisk:ds1:/vm1.vmdk
	for way in --socket="${PWD}/sock1" --nbd; do
		atf_check -s exit:4 -e match:'in use on this host: it is a LUN' \
		    vmfsctl disk attach ${way} ds1:/vm1.vmdk
	done
	if (exec 9<>esx1/mnt/vm1-flat.vmdk) 2>/dev/null; then
		atf_fail "a program may write it"
	fi
	atf_check -o ignore vmfsctl disk attach --nbd --readonly ds1:/vm1.vmdk
	atf_check vmfsctl disk detach ds1:/vm1.vmdk
	atf_check vmfsctl lun remove ${iqn} 0
	attach 1
	hosts_stop
}
lun_guest_and_program_do_not_write_one_disk_cleanup()
{
	hosts_cleanup
}

atf_init_test_cases()
{
	atf_add_test_case lun_guest_and_program_do_not_write_one_disk
	atf_add_test_case lock_of_a_stopped_guest_stays_free
	atf_add_test_case lock_of_a_guest_that_ended_unseen_is_given_back
	atf_add_test_case data_is_right_beside_the_owner
	atf_add_test_case detach_and_unmount_wait_for_the_thread
	atf_add_test_case threads_are_as_many_as_asked_for
	atf_add_test_case listing_beside_detach
	atf_add_test_case no_program_gets_a_disk_between_two_workers
	atf_add_test_case next_worker_serves_the_same_disk
	atf_add_test_case detach_takes_the_disk_that_is_named
	atf_add_test_case removed_disk_stays_until_it_is_detached
}
