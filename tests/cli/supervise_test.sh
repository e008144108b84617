# SPDX-License-Identifier: BSD-2-Clause
# The process that works dies, by kill -9: the next one goes on, and nobody who
# uses the datastore sees more than a pause.
. "${VMFS_SRCDIR}/tests/cli/hosts.subr"

atf_test_case fio_sees_no_error cleanup
fio_sees_no_error_head()
{
	atf_set require.user root
	atf_set require.progs fio
}
fio_sees_no_error_body()
{
	daemon_in=supervised
	hosts_up esx1
	atf_check vmfsctl -c esx1/ctl disk create ds1:/vm.vmdk 64M
	# Thin: every write changes the map, and few are flushed.
	fio --name=v --filename=esx1/mnt/vm-flat.vmdk --size=64M \
	    --rw=randwrite --bs=4k --ioengine=libaio --iodepth=16 --direct=1 \
	    --fsync=500 --verify=crc32c --verify_fatal=1 --randseed=7 \
	    --rate_iops=3000 --max_latency=20s --output=fio.out &
	fio=$!
	for _ in 1 2 3 4 5; do
		until_true 10 fuser -s esx1/mnt/vm-flat.vmdk
		kill_worker esx1
	done
	wait ${fio} || {
		cat fio.out >&2
		atf_fail "fio saw an error"
	}
	grep 'clat.*max' fio.out
	hosts_stop
	atf_check -o ignore fsck.vmfs -n lun
}
fio_sees_no_error_cleanup()
{
	hosts_cleanup
}

atf_test_case names_change_exactly_once cleanup
names_change_exactly_once_head()
{
	atf_set require.user root
}
# Whatever is done twice, or not at all, fails.
change_names()
{
	cd esx1/mnt || exit 1
	i=0
	while [ ! -e ../enough ]; do
		mkdir "d${i}" && mv "d${i}" "e${i}" && rmdir "e${i}" || exit 1
		(set -C && echo "${i}" >"f${i}") || exit 1
		ln -s "f${i}" "l${i}" && rm "l${i}" || exit 1
		[ "$(cat "f${i}")" = "${i}" ] || exit 1
		i=$((i + 1))
	done 2>../names.err
	echo "${i}" >../names.count
}
names_change_exactly_once_body()
{
	daemon_in=supervised
	hosts_up esx1
	(change_names) &
	names=$!
	for _ in 1 2 3 4 5 6 7 8; do
		kill_worker esx1
	done
	touch esx1/enough
	wait ${names} || {
		cat esx1/names.err esx1/log >&2
		atf_fail "a change of names failed"
	}
	[ "$(find esx1/mnt -type f | wc -l)" = "$(cat esx1/names.count)" ] ||
	    atf_fail "not the files that were made: $(ls esx1/mnt)"
	hosts_stop
	atf_check -o ignore fsck.vmfs -n lun
}
names_change_exactly_once_cleanup()
{
	hosts_cleanup
}

atf_test_case open_file_without_a_name_stays cleanup
open_file_without_a_name_stays_head()
{
	atf_set require.user root
}
open_file_without_a_name_stays_body()
{
	daemon_in=supervised
	hosts_up esx1
	exec 8<>esx1/mnt/gone || atf_fail "cannot make a file"
	rm esx1/mnt/gone
	echo 'still here' >&8
	kill_worker esx1
	kill_worker esx1
	echo 'and writable' >&8
	exec 9</proc/$$/fd/8 2>/dev/null || atf_fail "cannot read it"
	atf_check -o inline:'still here\nand writable\n' cat <&9
	exec 8>&- 9<&-
	hosts_stop
	atf_check -o ignore fsck.vmfs -n lun
}
open_file_without_a_name_stays_cleanup()
{
	hosts_cleanup
}

atf_test_case nobody_else_gets_its_locks cleanup
nobody_else_gets_its_locks_head()
{
	atf_set require.user root
}
take_away()
{
	while [ ! -e enough ]; do
		if dd if=/dev/zero bs=1 count=1 of=esx2/mnt/mine \
		    conv=notrunc,nocreat status=none 2>/dev/null; then
			touch taken
		else
			echo >>refused
		fi
	done
}
# ROUNDS COMMAND...: before each death of the worker of esx1; i is the round.
dies_while_another_wants_it()
{
	_rounds=$1
	shift
	(take_away) &
	taker=$!
	for i in $(seq "${_rounds}"); do
		"$@" || atf_fail "$* failed"
		kill_worker esx1
		until_true 10 eval '[ -s refused ]' ||
		    atf_fail "the other host did not try"
		rm -f refused
	done
	touch enough
	wait ${taker}
	[ ! -e taken ] || atf_fail "the other host got the lock"
}
nobody_else_gets_its_locks_body()
{
	lun_make lun
	daemon_in=
	host_start esx2 "${PWD}/lun"
	daemon_in=supervised
	host_start esx1 "${PWD}/lun"
	exec 9>esx1/mnt/mine
	echo before >&9
	dies_while_another_wants_it 5 true
	echo after >&9
	exec 9>&-
	atf_check -o inline:'before\nafter\n' cat esx2/mnt/mine
	# And then it does: nothing was left behind.
	atf_check dd if=/dev/null of=esx2/mnt/mine conv=notrunc,nocreat \
	    status=none
	hosts_stop
}
nobody_else_gets_its_locks_cleanup()
{
	hosts_cleanup
}

atf_test_case worker_that_cannot_start_is_given_up cleanup
worker_that_cannot_start_is_given_up_head()
{
	atf_set require.user root
}
gave_up()
{
	! kill -0 "$1"
}
worker_that_cannot_start_is_given_up_body()
{
	daemon_in=supervised
	hosts_up esx1
	eval "supervisor=\${daemon_esx1}"
	mv esx1/id esx1/id.away
	: >esx1/id
	kill -9 "$(worker esx1)"
	until_true 30 gave_up "${supervisor}" ||
	    atf_fail "it is tried for ever"
	wait "${supervisor}" && atf_fail "and calls that a success"
	atf_check -o ignore grep 'die one after the other' esx1/log
	atf_check test ! -e esx1/pid
	# Its users get an error then, as ever.
	atf_check -s not-exit:0 -e ignore ls esx1/mnt
	umount -l esx1/mnt
	rm esx1/id
	mv esx1/id.away esx1/id
	daemon_start esx1
	daemon_stop esx1
}
worker_that_cannot_start_is_given_up_cleanup()
{
	hosts_cleanup
}

atf_test_case worker_ends_with_its_supervisor cleanup
worker_ends_with_its_supervisor_head()
{
	atf_set require.user root
}
worker_ends_with_its_supervisor_body()
{
	daemon_in=supervised
	hosts_up esx1
	pid=$(worker esx1)
	host_kill esx1
	until_true 10 gave_up "${pid}" || atf_fail "the worker goes on alone"
	daemon_start esx1
	atf_check -e ignore -o ignore ls esx1/mnt
	hosts_stop
}
worker_ends_with_its_supervisor_cleanup()
{
	hosts_cleanup
}

# The supervisor was late: others have what was ours.
atf_test_case host_that_was_taken_over_begins_anew cleanup
host_that_was_taken_over_begins_anew_head()
{
	atf_set require.user root
}
# A process of its own, without children: each would flush at its exit.
holder()
{
	exec 9>>esx1/mnt/mine
	echo before >&9
	echo >held
	for outcome in outcome later; do
		read -r _ <go
		if echo after >&9; then
			echo written >${outcome}
		else
			echo refused >${outcome}
		fi 2>/dev/null
	done
}
host_that_was_taken_over_begins_anew_body()
{
	lun_make lun
	daemon_in=
	host_start esx2 "${PWD}/lun"
	daemon_in=supervised
	host_start esx1 "${PWD}/lun"
	atf_check vmfsctl -c esx1/ctl disk create ds1:/vm.vmdk 1M
	atf_check -o ignore vmfsctl -c esx1/ctl disk attach ds1:/vm.vmdk
	mkfifo go
	(holder) &
	holder=$!
	until_true 10 test -s held || atf_fail "the file cannot be opened"
	kill -STOP "$(cat esx1/pid)"
	kill -9 "$(worker esx1)"
	until_true 60 eval 'grep "takeover: done.*esx1" esx2/log' ||
	    atf_fail "esx1 is not taken over"
	until_true 30 eval 'echo theirs >>esx2/mnt/mine' ||
	    atf_fail "its lock cannot be had"
	exec 8>>esx2/mnt/mine
	kill -CONT "$(cat esx1/pid)"
	until_true 30 eval 'grep "cannot go on as slot" esx1/log' ||
	    atf_fail "it goes on"
	until_true 30 vmfsctl -c esx1/ctl ds info ds1
	echo >go
	until_true 10 test -s outcome
	atf_check_equal refused "$(cat outcome)"
	echo more >&8 || atf_fail "the new holder lost its lock"
	exec 8>&-
	atf_check -o inline:'before\ntheirs\nmore\n' cat esx1/mnt/mine
	atf_check cp esx1/mnt/mine esx1/mnt/other
	# Nor do those that come after go on with what was lost.
	kill_worker esx1
	echo >go
	wait ${holder}
	atf_check_equal refused "$(cat later)"
	atf_check -o inline:'0\n' -x "vmfsctl -c esx1/ctl --json \
	    disk attached ds1 | jq '.attachments | length'"
	daemon_stop esx1
	daemon_stop esx2
	atf_check -o ignore fsck.vmfs -n lun
}
host_that_was_taken_over_begins_anew_cleanup()
{
	kill -CONT "$(cat esx1/pid)"
	hosts_cleanup
}

# Not by the configuration: by vmfsctl, by mount.vmfs.
atf_test_case what_was_mounted_by_hand_stays cleanup
what_was_mounted_by_hand_stays_head()
{
	atf_set require.user root
}
what_was_mounted_by_hand_stays_body()
{
	daemon_in=supervised
	lun_make lun
	lun_make lun2
	mkdir m
	printf '[datastore ds1]\nlun = %s\nmount = %s\noptions = noauto\n' \
	    "${PWD}/lun" "${PWD}/esx1/mnt" | host_conf esx1
	daemon_start esx1
	atf_check vmfsctl -c esx1/ctl ds mount ds1
	atf_check mount.vmfs -o "control=${PWD}/esx1/ctl,ds=second" lun2 m
	exec 8<>esx1/mnt/file 9<>m/file
	kill_worker esx1
	atf_check timeout 20 sh -c 'echo first >&8; echo second >&9'
	exec 8>&- 9>&-
	atf_check -o inline:'first\nsecond\n' cat esx1/mnt/file m/file
	umount m
	until_true 20 eval "! vmfsctl -c esx1/ctl -H ds ls | grep second" ||
	    atf_fail "the datastore stays in the list"
	hosts_stop
	atf_check -o ignore fsck.vmfs -n lun
	atf_check -o ignore fsck.vmfs -n lun2
}
what_was_mounted_by_hand_stays_cleanup()
{
	umount -l m
	hosts_cleanup
}

# The configuration is edited, for the next start.
atf_test_case mount_stays_where_it_is cleanup
mount_stays_where_it_is_head()
{
	atf_set require.user root
}
mount_stays_where_it_is_body()
{
	daemon_in=supervised
	hosts_up esx1
	exec 8>esx1/mnt/file
	mkdir other
	mount -t tmpfs none other
	sed -i "s,^mount = .*,mount = ${PWD}/other," esx1/conf
	for _ in 1 2; do
		kill_worker esx1
		atf_check mountpoint -q esx1/mnt
		atf_check -s exit:4 -e match:'files are open' \
		    vmfsctl -c esx1/ctl ds unmount ds1
		atf_check mountpoint -q other
		echo still >&8 || atf_fail "the open file is lost"
	done
	exec 8>&-
	hosts_stop
	atf_check -s not-exit:0 mountpoint -q esx1/mnt
}
mount_stays_where_it_is_cleanup()
{
	umount -l other
	hosts_cleanup
}

atf_test_case mount_by_hand_waits_for_its_lun cleanup
mount_by_hand_waits_for_its_lun_head()
{
	atf_set require.user root
}
mount_by_hand_waits_for_its_lun_body()
{
	daemon_in=supervised
	lun_make lun
	lun_make lun2
	mkdir m
	host_start esx1 "${PWD}/lun"
	atf_check mount.vmfs -o "control=${PWD}/esx1/ctl,ds=second" lun2 m
	holds m/file
	goes_on_without lun2 second
	atf_check -s exit:6 -o match:'^second	.*	failed	' \
	    vmfsctl -c esx1/ctl -H ds ls
	mv lun2.away lun2
	echo >go
	until_true 60 test -s outcome || atf_fail "it is not mounted again"
	atf_check_equal written "$(cat outcome)"
	wait $!
	atf_check -o inline:'still\n' cat m/file
	umount m
	until_true 20 eval "! vmfsctl -c esx1/ctl -H ds ls | grep second" ||
	    atf_fail "the datastore stays in the list"
	daemon_stop esx1
	fsck_is_clean lun2
}
mount_by_hand_waits_for_its_lun_cleanup()
{
	umount -l m
	hosts_cleanup
}

# By mount.vmfs, as from fstab: a vmfsd of its own, whose pid nobody writes.
own_mount()
{
	mkdir m esx1
	atf_check mount.vmfs -o \
	    "name=esx1,dir=${PWD}/id,log=${PWD}/esx1/log" lun m
	ps -o ppid= -p "$(cat id/lock)" | tr -d ' ' >esx1/pid
}
own_mount_ended()
{
	until_true 20 eval '! kill -0 "$(cat esx1/pid)"' ||
	    atf_fail "vmfsd stays"
}
own_mount_cleanup()
{
	umount -l m
	[ ! -s esx1/pid ] || kill -9 "$(cat esx1/pid)"
	[ ! -s esx1/log ] || cat esx1/log
	return 0
}

atf_test_case mount_of_its_own_waits_for_its_lun cleanup
mount_of_its_own_waits_for_its_lun_head()
{
	atf_set require.user root
}
mount_of_its_own_waits_for_its_lun_body()
{
	lun_make lun
	own_mount
	holds m/file
	goes_on_without lun ds1
	mv lun.away lun
	echo >go
	until_true 60 test -s outcome || atf_fail "it is not mounted again"
	atf_check_equal written "$(cat outcome)"
	wait $!
	umount m
	own_mount_ended
}
mount_of_its_own_waits_for_its_lun_cleanup()
{
	own_mount_cleanup
}

atf_test_case mount_of_its_own_is_given_up cleanup
mount_of_its_own_is_given_up_head()
{
	atf_set require.user root
}
mount_of_its_own_is_given_up_body()
{
	lun_make lun
	own_mount
	holds m/file
	goes_on_without lun ds1
	atf_check vmfsctl -c id/control.sock ds unmount ds1
	own_mount_ended
	echo >go
	wait $!
	atf_check_equal refused "$(cat outcome)"
}
mount_of_its_own_is_given_up_cleanup()
{
	own_mount_cleanup
}

# What a vmfsd was started for is unmounted; it goes on for another one.
atf_test_case successor_mounts_what_there_was cleanup
successor_mounts_what_there_was_head()
{
	atf_set require.user root
}
successor_mounts_what_there_was_body()
{
	lun_make lun
	lun_make lun2
	mkdir m2
	own_mount
	atf_check mount.vmfs -o "control=${PWD}/id/control.sock,ds=second" \
	    lun2 m2
	holds m2/file
	umount m
	until_true 20 grep 'ds1: unmounted' esx1/log ||
	    atf_fail "it stays mounted"
	kill -9 "$(worker esx1)"
	echo >go
	until_true 60 test -s outcome || atf_fail "it is not mounted again"
	atf_check_equal written "$(cat outcome)"
	wait $!
	atf_check -s not-exit:0 mountpoint -q m
	umount m2
	own_mount_ended
}
successor_mounts_what_there_was_cleanup()
{
	umount -l m2
	own_mount_cleanup
}

# Nobody waits for a mount that nobody wants any more.
atf_test_case unmounted_while_it_waits_for_its_lun cleanup
unmounted_while_it_waits_for_its_lun_head()
{
	atf_set require.user root
}
unmounted_while_it_waits_for_its_lun_body()
{
	daemon_in=supervised
	hosts_up esx1
	holds esx1/mnt/file
	goes_on_without lun ds1
	atf_check vmfsctl -c esx1/ctl ds unmount ds1
	atf_check -s exit:2 -e match:'not connected' timeout 20 ls esx1/mnt
	mv lun.away lun
	atf_check vmfsctl -c esx1/ctl ds mount ds1
	echo >go
	wait $!
	atf_check_equal refused "$(cat outcome)"
	atf_check -o inline:'' cat esx1/mnt/file
	daemon_stop esx1
	fsck_is_clean lun
}
unmounted_while_it_waits_for_its_lun_cleanup()
{
	hosts_cleanup
}

atf_test_case what_could_not_be_mounted_by_hand_stays_so cleanup
what_could_not_be_mounted_by_hand_stays_so_head()
{
	atf_set require.user root
}
what_could_not_be_mounted_by_hand_stays_so_body()
{
	daemon_in=supervised
	lun_make lun
	lun_make lun2
	mkdir m
	printf '[datastore ds1]\nlun = %s\nmount = %s
[datastore ds2]\nlun = %s\nmount = %s\noptions = noauto\n' \
	    "${PWD}/lun" "${PWD}/esx1/mnt" "${PWD}/lun2" "${PWD}/m" |
	    host_conf esx1
	daemon_start esx1
	mv lun2 lun2.away
	atf_check -s not-exit:0 -e match:lun2 vmfsctl -c esx1/ctl ds mount ds2
	mv lun2.away lun2
	kill_worker esx1
	atf_check -s not-exit:0 mountpoint -q m
	daemon_stop esx1
}
what_could_not_be_mounted_by_hand_stays_so_cleanup()
{
	umount -l m
	hosts_cleanup
}

# signal_next SIGNAL PID: PID gets it, or the next worker if that is "next", as
# soon as there is one.
signal_next()
{
	_old=$(worker esx1)
	_of=$(cat esx1/pid)
	kill -9 "${_old}"
	_until=$(($(date +%s) + 30))
	_new=
	while [ -z "${_new}" ] || [ "${_new}" = "${_old}" ]; do
		[ "$(date +%s)" -lt ${_until} ] || atf_fail "nobody goes on"
		for _ in 1 2 3 4 5 6 7 8 9 10; do
			read -r _new <"/proc/${_of}/task/${_of}/children" &&
			    [ "${_new}" != "${_old}" ] && break
		done
	done
	[ "$2" != next ] || set -- "$1" "${_new}"
	kill "-$1" "$2"
}

root_test_case signal_to_a_worker_that_starts_waits
signal_to_a_worker_that_starts_waits_body()
{
	daemon_in=supervised
	one_host
	[ -r "/proc/$$/task/$$/children" ] || atf_skip "no list of children"
	for _ in 1 2 3 4 5 6 7 8; do
		had=$(resumes esx1)
		signal_next HUP next
		until_true 30 went_on esx1 "${had}" || atf_fail "nobody goes on"
	done
	atf_check -s exit:1 grep 'ended by signal 1 ' esx1/log
	eval "supervisor=\${daemon_esx1}"
	signal_next TERM "${supervisor}"
	wait "${supervisor}" || atf_fail "it does not end well"
	atf_check -o ignore grep 'host: left' esx1/log
	atf_check -s not-exit:0 mountpoint -q esx1/mnt
	fsck_is_clean lun
}

# The LUN of a box; its sessions are reinstated.
atf_test_case host_goes_on_on_an_iscsi_lun cleanup
host_goes_on_on_an_iscsi_lun_head()
{
	atf_set require.user root
}
host_goes_on_on_an_iscsi_lun_body()
{
	iqn=iqn.2026-11.test:box
	truncate -s 512M store
	printf '[portal]\nlisten = 127.0.0.1:0\n[target %s]\nlun.0 = %s,thin
allow = iqn.2026-11.test:*\n' ${iqn} "${PWD}/store" | host_conf box
	daemon_in=
	daemon_start box
	lun=iscsi://$(portal_of box)/${iqn}/0
	atf_check -o ignore -e empty mkfs.vmfs -L ds1 --timers=${timers} \
	    --initiator=iqn.2026-11.test:admin "${lun}"
	host_start esx2 "${lun}"
	daemon_in=supervised
	host_start esx1 "${lun}"
	exec 9>esx1/mnt/mine
	dies_while_another_wants_it 4 eval 'echo "${i}" >&9'
	exec 9>&-
	atf_check -o inline:'1\n2\n3\n4\n' cat esx2/mnt/mine
	# It can still be fenced, by the key that it had.
	kill -STOP "$(worker esx1)"
	until_true 30 eval 'grep "takeover: done.*esx1" esx2/log' ||
	    atf_fail "a host that went on cannot be taken over"
	kill -CONT "$(worker esx1)"
	until_true 30 eval 'grep "this host was fenced" esx1/log' ||
	    atf_fail "and does not see it"
	daemon_stop esx1
	daemon_stop esx2
	daemon_stop box
}
host_goes_on_on_an_iscsi_lun_cleanup()
{
	hosts_cleanup
}

atf_test_case what_cannot_be_kept_is_told cleanup
what_cannot_be_kept_is_told_head()
{
	atf_set require.user root
	atf_set require.progs prlimit
}
what_cannot_be_kept_is_told_body()
{
	daemon_in=supervised
	hosts_up esx1
	limit=$(prlimit --pid="$(cat esx1/pid)" --nofile --noheadings --raw \
	    --output=SOFT)
	prlimit --pid="$(cat esx1/pid)" --nofile=3:
	atf_check vmfsctl -c esx1/ctl ds unmount ds1
	atf_check vmfsctl -c esx1/ctl ds mount ds1
	until_true 10 grep "'fuse.ds1' would not outlive" esx1/log ||
	    atf_fail "nobody is told"
	prlimit --pid="$(cat esx1/pid)" --nofile="${limit}:"
	hosts_stop
}
what_cannot_be_kept_is_told_cleanup()
{
	hosts_cleanup
}

atf_test_case worker_is_tried_again_when_it_cannot_be_made cleanup
worker_is_tried_again_when_it_cannot_be_made_head()
{
	atf_set require.user root
	atf_set require.progs prlimit
}
worker_is_tried_again_when_it_cannot_be_made_body()
{
	daemon_in=supervised
	hosts_up esx1
	echo kept >esx1/mnt/file
	limit=$(prlimit --pid="$(cat esx1/pid)" --nofile --noheadings --raw \
	    --output=SOFT)
	prlimit --pid="$(cat esx1/pid)" --nofile=3:
	kill -9 "$(worker esx1)"
	until_true 10 grep 'cannot start a worker' esx1/log
	tried=$?
	prlimit --pid="$(cat esx1/pid)" --nofile="${limit}:"
	[ ${tried} = 0 ] || atf_fail "it was made all the same"
	until_true 30 went_on esx1 0 || atf_fail "it is not tried again"
	atf_check -o inline:'kept\n' cat esx1/mnt/file
	hosts_stop
}
worker_is_tried_again_when_it_cannot_be_made_cleanup()
{
	hosts_cleanup
}

atf_init_test_cases()
{
	atf_add_test_case host_that_was_taken_over_begins_anew
	atf_add_test_case what_was_mounted_by_hand_stays
	atf_add_test_case mount_stays_where_it_is
	atf_add_test_case mount_by_hand_waits_for_its_lun
	atf_add_test_case mount_of_its_own_waits_for_its_lun
	atf_add_test_case mount_of_its_own_is_given_up
	atf_add_test_case successor_mounts_what_there_was
	atf_add_test_case unmounted_while_it_waits_for_its_lun
	atf_add_test_case what_could_not_be_mounted_by_hand_stays_so
	atf_add_test_case host_goes_on_on_an_iscsi_lun
	atf_add_test_case what_cannot_be_kept_is_told
	atf_add_test_case signal_to_a_worker_that_starts_waits
	atf_add_test_case worker_is_tried_again_when_it_cannot_be_made
	atf_add_test_case fio_sees_no_error
	atf_add_test_case names_change_exactly_once
	atf_add_test_case open_file_without_a_name_stays
	atf_add_test_case nobody_else_gets_its_locks
	atf_add_test_case worker_that_cannot_start_is_given_up
	atf_add_test_case worker_ends_with_its_supervisor
}
