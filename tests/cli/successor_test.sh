# SPDX-License-Identifier: BSD-2-Clause
# A worker's successor goes on with what was in force, whatever the file says by
# then.
. "${VMFS_SRCDIR}/tests/cli/hosts.subr"

iqn=iqn.2026-11.test:box

# One host, supervised, with a file that somebody has open.
holder()
{
	daemon_in=supervised
	one_host
	exec 8>>esx1/mnt/file
	echo one >&8
}

# Nobody lost anything: not what was written, not the open file.
went_on_well()
{
	timeout 30 sh -c 'echo two >&8' || atf_fail "the open file is lost"
	exec 8>&-
	atf_check -o inline:'one\ntwo\n' cat esx1/mnt/file
}

upgraded()
{
	atf_check -o ignore vmfsctl daemon upgrade
}

# In the file, not in force.
edited()
{
	sed -i "$@" esx1/conf
	atf_check -s exit:6 -o match:'only a restart' vmfsctl reload
}

root_test_case name_that_is_not_applied_hangs_nobody
name_that_is_not_applied_hangs_nobody_body()
{
	holder
	edited 's,datastore ds1,datastore prod,'
	kill_worker esx1
	went_on_well
	atf_check -o match:'^ds1	' -o not-match:prod vmfsctl -H ds ls
	hosts_stop
	fsck_is_clean lun
}

root_test_case lun_that_is_not_applied_is_not_mounted
lun_that_is_not_applied_is_not_mounted_body()
{
	holder
	lun_make other
	edited "s,^lun = .*,lun = ${PWD}/other,"
	kill_worker esx1
	upgraded
	went_on_well
	# Nor is it forgotten that this is not what runs.
	atf_check -s exit:6 -o match:'only a restart' vmfsctl reload
	hosts_stop
	fsck_is_clean lun
}

root_test_case readonly_that_is_not_applied_loses_no_write
readonly_that_is_not_applied_loses_no_write_body()
{
	holder
	edited '$a options = ro'
	kill_worker esx1
	went_on_well
	hosts_stop
	fsck_is_clean lun
}

root_test_case file_that_is_being_edited_loses_nothing
file_that_is_being_edited_loses_nothing_body()
{
	holder
	cp esx1/conf whole
	echo 'half a li' >>esx1/conf
	atf_check -s not-exit:0 -e match:'half a li' vmfsctl reload
	kill_worker esx1
	mv esx1/conf half
	kill_worker esx1
	mv half esx1/conf
	upgraded
	went_on_well
	# It takes effect when it is whole again.
	atf_check -s not-exit:0 -e match:'half a li' vmfsctl reload
	mv whole esx1/conf
	atf_check -o ignore vmfsctl reload
	hosts_stop
}

# Its supervisor lacks the configuration in force, as after an upgrade from a
# version that left none: the file counts.
kept_nothing()
{
	_limit=$(prlimit --pid="$(cat "$1/pid")" --nofile --noheadings --raw \
	    --output=SOFT)
	prlimit --pid="$(cat "$1/pid")" --nofile=3:
	vmfsctl reload
	until_true 10 grep "'conf' would not outlive" "$1/log" ||
	    atf_fail "it was kept all the same"
	prlimit --pid="$(cat "$1/pid")" --nofile="${_limit}:"
}

root_test_case what_is_left_comes_before_the_file
what_is_left_comes_before_the_file_body()
{
	holder
	lun_make other
	sed -i -e 's,datastore ds1,datastore prod,' esx1/conf
	kept_nothing esx1
	kill -9 "$(worker esx1)"
	until_true 30 grep 'datastore: prod: not mounted' esx1/log ||
	    atf_fail "it is mounted once more"
	until_true 30 vmfsctl ds unmount prod || atf_fail "nobody goes on"
	sed -i -e 's,datastore prod,datastore ds1,' \
	    -e "s,^lun = .*,lun = ${PWD}/other," -e '$a options = ro' esx1/conf
	kept_nothing esx1
	kill_worker esx1
	went_on_well
	atf_check -o match:"^ds1	.*	${PWD}/lun	" vmfsctl -H ds ls
	daemon_stop esx1
	fsck_is_clean lun
}

# Its LUN is away: nobody answers who looks there.
root_test_case nothing_is_mounted_over_what_waits
nothing_is_mounted_over_what_waits_body()
{
	daemon_in=supervised
	lun_make lun
	lun_make other
	printf '[datastore ds1]\nlun = %s\nmount = %s
[datastore ds2]\nlun = %s\nmount = %s/below\noptions = noauto\n' \
	    "${PWD}/lun" "${PWD}/esx1/mnt" "${PWD}/other" "${PWD}/esx1/mnt" |
	    host_conf esx1
	daemon_start esx1
	export VMFSD_CONTROL="${PWD}/esx1/ctl"
	mkdir esx1/mnt/below
	holds esx1/mnt/file
	goes_on_without lun ds1
	atf_check -s not-exit:0 -e match:"'ds1' is still mounted" \
	    timeout 20 vmfsctl ds mount ds2
	mv lun.away lun
	echo >go
	until_true 60 test -s outcome || atf_fail "it is not mounted again"
	atf_check_equal written "$(cat outcome)"
	atf_check vmfsctl ds mount ds2
	atf_check vmfsctl ds unmount ds2
	daemon_stop esx1
}

another_host()
{
	[ "$(worker esx1)" != "$1" ] && vmfsctl daemon ls &&
	    [ "$(grep -c 'vmfsd: ready' esx1/log)" -ge "$2" ]
}

# Of a host that may have nothing mounted.
kill_host_worker()
{
	_old=$(worker esx1)
	_ready=$(grep -c 'vmfsd: ready' esx1/log)
	kill -9 "${_old}"
	until_true 30 another_host "${_old}" $((_ready + 1)) ||
	    atf_fail "nobody goes on"
}

root_test_case what_was_unmounted_stays_so
what_was_unmounted_stays_so_body()
{
	daemon_in=supervised
	one_host
	atf_check vmfsctl ds unmount ds1
	kill_host_worker
	upgraded
	atf_check -o match:'^ds1	.*	unmounted' vmfsctl -H ds ls
	atf_check -s not-exit:0 mountpoint -q esx1/mnt
	atf_check vmfsctl ds mount ds1
	kill_worker esx1
	atf_check mountpoint -q esx1/mnt
	hosts_stop
}

root_test_case section_that_is_not_applied_is_not_mounted
section_that_is_not_applied_is_not_mounted_body()
{
	holder
	lun_make other
	mkdir other.mnt
	printf '[datastore ds2]\nlun = %s\nmount = %s\n' "${PWD}/other" \
	    "${PWD}/other.mnt" >>esx1/conf
	kill_worker esx1
	atf_check -o not-match:ds2 vmfsctl -H ds ls
	went_on_well
	hosts_stop
}

# It was away when vmfsd was started.
root_test_case lun_is_waited_for_by_the_next_one_too
lun_is_waited_for_by_the_next_one_too_body()
{
	daemon_in=supervised
	lun_make lun
	mv lun lun.away
	printf '[datastore ds1]\nlun = %s\nmount = %s\n' "${PWD}/lun" \
	    "${PWD}/esx1/mnt" | host_conf esx1
	daemon_start esx1
	export VMFSD_CONTROL="${PWD}/esx1/ctl"
	mount_failed esx1 'no such file'
	kill_host_worker
	kill_host_worker
	mount_failed esx1 'no such file'
	mv lun.away lun
	until_true 60 mountpoint -q esx1/mnt || atf_fail "nobody waits for it"
	atf_check vmfsctl ds unmount ds1
	daemon_stop esx1
}

# Its predecessor died between the last unmount and its own end.
root_test_case successor_of_the_last_unmount_ends
successor_of_the_last_unmount_ends_body()
{
	lun_make lun
	printf '[datastore ds1]\nlun = %s\nmount = %s\n' "${PWD}/lun" \
	    "${PWD}/esx1/mnt" | host_conf esx1
	{
		cat esx1/conf
		printf '\0\0'
		cat esx1/conf
		printf '\0'
	} >kept
	atf_check timeout 60 env VMFSD_SUPERVISOR=7 VMFSD_KEPT=conf=6 vmfsd \
	    --config=esx1/conf --log-file="${PWD}/esx1/log" --supervise \
	    --exit-on-unmount 6<kept 7>/dev/null
	atf_check grep -q 'vmfsd: ready' esx1/log
	atf_check -s exit:1 grep 'mounted dir=' esx1/log
}

# The LUN is there, its host goes on, and then it cannot be opened.
root_test_case try_that_fails_late_gives_nothing_up
try_that_fails_late_gives_nothing_up_body()
{
	daemon_in=supervised
	one_host
	holds esx1/mnt/file
	# Nothing is left to replay.
	kill_worker esx1
	# Sectors of the slot's block, but the heartbeat's (doc/FORMAT.md).
	slot=$(vmfsctl --json ds info ds1 | jq .datastore.slot)
	at="bs=512 count=7 conv=notrunc status=none"
	first=$(((256 + slot) * 8 + 1))
	# shellcheck disable=SC2086
	dd if=lun of=sectors ${at} skip=${first}
	kill -STOP "$(cat esx1/pid)"
	kill -9 "$(worker esx1)"
	# shellcheck disable=SC2086
	dd if=/dev/zero of=lun ${at} seek=${first}
	kill -CONT "$(cat esx1/pid)"
	until_true 30 grep 'ds1: not mounted' esx1/log ||
	    atf_fail "it is mounted all the same"
	# shellcheck disable=SC2086
	dd if=sectors of=lun ${at} seek=${first}
	echo >go
	until_true 60 test -s outcome || atf_fail "it is not mounted again"
	atf_check_equal written "$(cat outcome)"
	wait $!
	daemon_stop esx1
	fsck_is_clean lun
}
try_that_fails_late_gives_nothing_up_cleanup()
{
	kill -CONT "$(cat esx1/pid)"
	hosts_cleanup
}

logs_elsewhere()
{
	mkdir -p esx1 logs
	ln -s "${PWD}/logs/log" esx1/log
	holder
	mv logs logs.away
}

root_test_case log_that_is_away_ends_no_mount
log_that_is_away_ends_no_mount_body()
{
	logs_elsewhere
	kill -9 "$(worker esx1)"
	went_on_well
	atf_check grep -q "cannot open log file '${PWD}/esx1/log'" esx1/err
	mv logs.away logs
	kill_worker esx1
	daemon_stop esx1
	fsck_is_clean lun
}

root_test_case upgrade_needs_no_log
upgrade_needs_no_log_body()
{
	logs_elsewhere
	upgraded
	went_on_well
	mv logs.away logs
	daemon_stop esx1
	fsck_is_clean lun
}

# As after an error of the disk with errors=remount-ro: no log, no control
# socket, and a lock that is only for reading.
root_test_case directory_that_cannot_be_written_ends_no_mount
directory_that_cannot_be_written_ends_no_mount_body()
{
	holder
	mount --rbind esx1 esx1
	mount -o remount,bind,ro esx1
	kill -9 "$(worker esx1)"
	went_on_well
	umount -l esx1
	until_true 60 vmfsctl ds info ds1 || atf_fail "nobody answers"
	daemon_stop esx1
	fsck_is_clean lun
}
directory_that_cannot_be_written_ends_no_mount_cleanup()
{
	umount -l esx1
	hosts_cleanup
}

root_test_case file_of_a_mount_for_reading_stays_open
file_of_a_mount_for_reading_stays_open_body()
{
	lun_make lun
	host_start esx2 "${PWD}/lun"
	seq 1 100000 >esx2/mnt/file
	atf_check vmfsctl -c esx2/ctl disk create ds1:/disk.vmdk 1M
	host_stop esx2
	rm daemons
	printf '[datastore ds1]\nlun = %s\nmount = %s\noptions = ro\n' \
	    "${PWD}/lun" "${PWD}/esx1/mnt" | host_conf esx1
	daemon_in=supervised
	daemon_start esx1
	export VMFSD_CONTROL="${PWD}/esx1/ctl"
	atf_check -o ignore vmfsctl disk attach --readonly ds1:/disk.vmdk
	exec 8<esx1/mnt/file
	read -r first <&8
	kill_host_worker
	upgraded
	atf_check_equal 1 "${first}"
	seq 2 100000 >expected
	atf_check timeout 30 cmp expected - <&8
	exec 8<&-
	atf_check -o match:'/disk.vmdk' vmfsctl -H disk attached ds1
	hosts_stop
}

# umount(8) has succeeded; to be left in order the datastore waits for its LUN.
root_test_case what_was_being_unmounted_is_not_mounted
what_was_being_unmounted_is_not_mounted_body()
{
	truncate -s 512M store
	printf '[portal]\nlisten = 127.0.0.1:0\n[target %s]
lun.0 = %s\nallow = *\n' ${iqn} "${PWD}/store" | host_conf box
	daemon_start box
	portal=$(vmfsctl -c box/ctl --json target ls | jq -r '.portals[0]')
	url=iscsi://${portal}/${iqn}/0
	atf_check -o ignore mkfs.vmfs --label=ds1 "${url}"
	daemon_in=supervised
	host_start esx1 "${url}"
	export VMFSD_CONTROL="${PWD}/esx1/ctl"
	echo one >esx1/mnt/file
	old=$(worker esx1)
	kill -STOP "$(cat box/pid)"
	timeout 10 umount -c -i "${PWD}/esx1/mnt" || atf_fail "umount"
	until_true 10 eval '! find "/proc/${old}/fd" -lname /dev/fuse |
	    grep -q .' || atf_fail "it does not notice"
	kill -9 "${old}"
	kill -CONT "$(cat box/pid)"
	until_true 60 grep 'ds1: unmounted' esx1/log ||
	    atf_fail "it is not closed"
	atf_check -o match:'^ds1	.*unmounted' vmfsctl -H ds ls
	atf_check -s not-exit:0 mountpoint -q esx1/mnt
	atf_check vmfsctl ds mount ds1
	atf_check -o inline:'one\n' cat esx1/mnt/file
	daemon_stop esx1
	host_stop box
	fsck_is_clean store
}
what_was_being_unmounted_is_not_mounted_cleanup()
{
	kill -CONT "$(cat box/pid)"
	hosts_cleanup
}

is_attached()
{
	vmfsctl -H disk attached ds1 | grep -q /disk.vmdk
}

root_test_case attachment_is_tried_again
attachment_is_tried_again_body()
{
	daemon_in=supervised
	hosts_up esx1
	daemon_in=
	host_start esx2 "${PWD}/lun"
	export VMFSD_CONTROL="${PWD}/esx1/ctl"
	mkdir run
	atf_check vmfsctl disk create ds1:/disk.vmdk 1M
	atf_check -o ignore vmfsctl disk attach --socket="${PWD}/run/vm" \
	    ds1:/disk.vmdk
	mv run away
	kill_worker esx1
	until_true 30 grep 'disk.vmdk.*trying again' esx1/log ||
	    atf_fail "it is attached all the same"
	atf_check -s not-exit:0 -e ignore dd if=/dev/zero bs=512 count=1 \
	    of=esx2/mnt/disk-flat.vmdk conv=notrunc status=none
	mv away run
	until_true 60 is_attached || atf_fail "it is not tried again"
	atf_check test -S run/vm
	kill_worker esx1
	is_attached || atf_fail "the next one forgets it"
	hosts_stop
}

# It is mounted, or not, once more.
mounts()
{
	grep -cE 'ds1: (not )?mounted' esx1/log
}

# descriptors_of PID N: it may have so many.
descriptors_of()
{
	prlimit --pid="$1" --nofile="$2:"
}

# The next worker is short of descriptors when it has all but the last.
# memory_of PID BYTES: its address space.
memory_of()
{
	prlimit --pid="$1" --as="$2:"
}

# The next worker cannot map what the last one has left.
root_test_case memory_that_is_short_gives_nothing_up "require.progs prlimit"
memory_that_is_short_gives_nothing_up_body()
{
	daemon_in=supervised
	one_host
	kb=$(sed -n 's/^VmSize:[^0-9]*\([0-9]*\) kB$/\1/p' \
	    "/proc/$(worker esx1)/status")
	[ "${kb}" -lt 100000000 ] || atf_skip "a sanitizer's address space"
	holds esx1/mnt/file
	supervisor=$(cat esx1/pid)
	# Some 300 MB of it are what is left; threads have the rest.
	while ! grep -q 'not mounted: no memory that outlives' esx1/log; do
		kb=$((kb - 50000))
		had=$(mounts)
		memory_of "${supervisor}" $((kb * 1024))
		kill -9 "$(worker esx1)"
		until_true 30 eval '[ "$(mounts)" -gt "${had}" ]' ||
		    atf_fail "its mount is not tried"
		memory_of "${supervisor}" unlimited
		memory_of "$(worker esx1)" unlimited
	done
	echo >go
	until_true 60 test -s outcome || atf_fail "it is not mounted again"
	atf_check_equal written "$(cat outcome)"
	wait $!
	daemon_stop esx1
	fsck_is_clean lun
}

root_test_case mount_that_fails_last_gives_nothing_up "require.progs prlimit"
mount_that_fails_last_gives_nothing_up_body()
{
	daemon_in=supervised
	one_host
	holds esx1/mnt/file
	supervisor=$(cat esx1/pid)
	n=$(($(find "/proc/$(worker esx1)/fd" -type l | wc -l) + 2))
	while ! grep -q 'ds1: not mounted' esx1/log; do
		n=$((n - 1))
		had=$(mounts)
		descriptors_of "${supervisor}" ${n}
		kill -9 "$(worker esx1)"
		until_true 30 eval '[ "$(mounts)" -gt "${had}" ]' ||
		    atf_fail "its mount is not tried"
		descriptors_of "${supervisor}" 1024
		descriptors_of "$(worker esx1)" 1024
	done
	atf_check -o ignore grep 'not mounted: cannot mount on.*Too many' \
	    esx1/log
	echo >go
	until_true 60 test -s outcome || atf_fail "it is not mounted again"
	atf_check_equal written "$(cat outcome)"
	wait $!
	atf_check -o inline:'still\n' cat esx1/mnt/file
	daemon_stop esx1
	fsck_is_clean lun
}

# box LINE...: the configuration of a box, beyond its first line.
box()
{
	{
		printf '[portal]\nlisten = 127.0.0.1:0\n[target %s]\n' ${iqn}
		printf '%s\n' "$@"
	} | host_conf box
	daemon_in=supervised
	daemon_start box
	export VMFSD_CONTROL="${PWD}/box/ctl"
}

another_one()
{
	[ "$(worker box)" != "$1" ] && vmfsctl target ls
}

# Of a box that mounts nothing.
kill_box_worker()
{
	_old=$(worker box)
	kill -9 "${_old}"
	until_true 30 another_one "${_old}" || atf_fail "nobody goes on"
}

root_test_case secret_that_is_away_ends_nothing
secret_that_is_away_ends_nothing_body()
{
	(umask 077; echo 'secret of the box' >secret)
	(umask 077; echo 'secret  of one  ' >own)
	box 'lun.0 = ram:64M' 'chap = all' "chap-secret-file = ${PWD}/secret" \
	    "allow = iqn.2026-11.test:*" \
	    "allow = iqn.2026-11.test:me,chap=me,chap-secret-file=${PWD}/own"
	mv own own.away
	echo 'secret that is not applied' >secret
	kill_box_worker
	kill_box_worker
	atf_check -o match:"^${iqn}	.*	all	" vmfsctl -H target ls
	mv own.away own
	echo 'secret of the box' >secret
	# Nothing differs from what runs.
	atf_check -o not-match:access vmfsctl reload
}

root_test_case secrets_are_kept_from_others
secrets_are_kept_from_others_body()
{
	(umask 077; echo 'secret of the box' >secret)
	box 'lun.0 = ram:64M' 'chap = all' "chap-secret-file = ${PWD}/secret"
	vmfsctl reload
	for pid in $(cat box/pid) $(worker box); do
		for fd in "/proc/${pid}"/fd/*; do
			case $(readlink "${fd}") in
			*memfd:conf*) echo "${fd}" >>kept ;;
			esac
		done
	done
	# The supervisor's, and no more.
	atf_check_equal 1 "$(wc -l <kept)"
	kept=$(cat kept)
	atf_check grep -q 'secret of the box' "${kept}"
	atf_check -o inline:'600\n' stat -L -c %a "${kept}"
	atf_check -s not-exit:0 -e ignore \
	    sh -c "echo theirs >>'${kept}'"
	# Close-on-exec.
	atf_check -o match:'^flags:.*02......$' \
	    cat "/proc/$(cat box/pid)/fdinfo/${kept##*/}"
}

root_test_case change_by_command_is_in_force
change_by_command_is_in_force_body()
{
	box 'lun.0 = ram:64M' 'allow = iqn.2026-11.test:*'
	truncate -s 64M disk
	atf_check -o ignore vmfsctl lun create ${iqn} 5 "${PWD}/disk"
	# By hand, not applied.
	sed -i '/^lun.0/d' box/conf
	kill_box_worker
	atf_check -o match:'	0	.*ram:64M' -o match:"	5	.*${PWD}/disk" \
	    vmfsctl -H lun ls
	# Nor is it put in force by another command.
	atf_check -s not-exit:0 -e match:'changed since it was read' \
	    vmfsctl lun remove ${iqn} 5
	atf_check -o match:'remove LUN 0' vmfsctl reload
	kill_box_worker
	atf_check -o not-match:'ram:' -o match:"	5	.*${PWD}/disk" \
	    vmfsctl -H lun ls
}

# Its predecessor died when it had just replaced the file.
root_test_case change_that_was_cut_short_keeps_no_other_out
change_that_was_cut_short_keeps_no_other_out_body()
{
	box 'lun.0 = ram:64M' 'allow = iqn.2026-11.test:*'
	cp box/conf before
	atf_check -o ignore vmfsctl lun create ${iqn} 1 ram:32M
	hosts_stop
	{
		cat box/conf
		printf '\0\0'
		cat before
		printf '\0'
		cat box/conf
		printf '\0'
	} >kept
	env VMFSD_SUPERVISOR=7 VMFSD_KEPT=conf=6 vmfsd --config=box/conf \
	    --log-file="${PWD}/box/log" --supervise 6<kept 7>/dev/null &
	echo $! >box/pid
	echo box >daemons
	until_true 30 vmfsctl target ls || atf_fail "it does not start"
	atf_check -o ignore vmfsctl lun create ${iqn} 2 ram:16M
	# By hand is another thing, also back to what it was.
	cp box/conf after
	cp before box/conf
	atf_check -s not-exit:0 -e match:'changed since it was read' \
	    vmfsctl lun remove ${iqn} 2
	atf_check_equal "$(grep -c '^lun' after)" "$(vmfsctl -H lun ls | wc -l)"
	kill $!
	wait $!
	rm daemons
}

root_test_case change_that_was_refused_is_not_made
change_that_was_refused_is_not_made_body()
{
	box 'lun.0 = ram:64M' 'allow = iqn.*'
	url=iscsi://$(portal_of box)/${iqn}/0
	mkfifo go
	qemu-io -f raw "${url}" <go >io.out 2>&1 &
	exec 7>go
	until_true 20 eval 'vmfsctl -H session ls | grep .' ||
	    atf_fail "nobody logs in"
	sed -i '/^lun.0/d' box/conf
	sed -i '$a alias = ours' box/conf
	atf_check -s exit:6 -o match:'in use by 1 session' vmfsctl reload
	exec 7>&-
	wait $!
	kill_box_worker
	atf_check -o match:'	0	.*ram:64M' vmfsctl -H lun ls
	atf_check_equal ours \
	    "$(vmfsctl --json target ls | jq -r '.targets[0].alias')"
}

# box_and_host SOURCE LISTEN: one vmfsd, with a datastore and a target.
box_and_host()
{
	lun_make lun
	printf '[datastore ds1]\nlun = %s\nmount = %s\n[portal]\nlisten = %s
[target %s]\nlun.0 = %s\nlun.1 = ram:64M\nallow = iqn.*\n' \
	    "${PWD}/lun" "${PWD}/esx1/mnt" "$2" ${iqn} "$1" | host_conf esx1
	daemon_start esx1
	export VMFSD_CONTROL="${PWD}/esx1/ctl"
	exec 8>>esx1/mnt/file
	echo one >&8
}

root_test_case source_that_is_away_ends_no_mount
source_that_is_away_ends_no_mount_body()
{
	daemon_in=supervised
	truncate -s 64M disk
	box_and_host "${PWD}/disk" 127.0.0.1:0
	mv disk away
	kill_worker esx1
	went_on_well
	atf_check -o match:"${iqn}	0	.*waits for its disk" \
	    -o match:"${iqn}	1	.*ok$" vmfsctl -H lun ls
	# Nobody is told that it is gone for good.
	portal=$(portal_of esx1)
	atf_check -s not-exit:0 -e match:'BUSY' timeout 20 \
	    iscsi-readcapacity16 "iscsi://${portal}/${iqn}/0"
	mv away disk
	until_true 60 eval "vmfsctl -H lun ls | grep '${iqn}	0	.*ok$'" ||
	    atf_fail "it stays away"
	atf_check -o ignore -e ignore \
	    iscsi-readcapacity16 "iscsi://${portal}/${iqn}/0"
	# A start is another thing: there somebody looks.
	hosts_stop
	mv disk away
	atf_check -s exit:1 -e match:'cannot open' vmfsd --supervise \
	    --config=esx1/conf
}

# In a network of its own, whose addresses come and go.
in_its_net()
{
	# shellcheck disable=SC2016
	exec unshare -n sh -c 'ip link set lo up &&
	    ip addr add 10.1.2.3/32 dev lo && exec "$@" --supervise' sh "$@"
}

root_test_case portal_that_is_away_ends_no_mount
portal_that_is_away_ends_no_mount_body()
{
	daemon_in=in_its_net
	box_and_host ram:64M 10.1.2.3:3260
	net="nsenter --net=/proc/$(cat esx1/pid)/ns/net ip addr"
	atf_check ${net} del 10.1.2.3/32 dev lo
	kill_worker esx1
	went_on_well
	atf_check -o inline:'10.1.2.3:3260	-\n' vmfsctl -H portal ls
	atf_check ${net} add 10.1.2.3/32 dev lo
	until_true 60 eval "vmfsctl -H portal ls | grep '	10.1.2.3:3260$'" ||
	    atf_fail "nobody listens there"
	hosts_stop
}

in_net_of_esx1()
{
	# shellcheck disable=SC2154
	exec nsenter --net="/proc/${net}/ns/net" "$@"
}

# 10.1.2.3:3260, as the kernel writes it.
somebody_listens()
{
	grep -q ': 0302010A:0CBC 00000000:0000 0A ' "/proc/${net}/net/tcp"
}

# Somebody else was faster to listen there; another host waits for a heartbeat.
root_test_case portal_in_use_ends_no_mount
portal_in_use_ends_no_mount_body()
{
	lun_make lun
	at="[portal]
listen = 10.1.2.3:3260
[target ${iqn}]
lun.0 = ram:64M
allow = iqn.*"
	printf '[datastore ds1]\nlun = %s\nmount = %s\n%s\n' \
	    "${PWD}/lun" "${PWD}/esx1/mnt" "${at}" | host_conf esx1
	daemon_in=in_its_net
	daemon_start esx1
	daemon_in=
	host_start esx2 "${PWD}/lun"
	export VMFSD_CONTROL="${PWD}/esx1/ctl"
	holds esx1/mnt/file
	holder=$!
	echo "${at}" | host_conf box
	net=$(cat esx1/pid)
	somebody_listens || atf_fail "it does not listen"
	kill -STOP "${net}"
	kill -9 "$(worker esx1)"
	until_true 10 eval '! somebody_listens' || atf_fail "it does not end"
	daemon_in=in_net_of_esx1
	daemon_start box
	kill -CONT "${net}"
	echo >go
	until_true 60 test -s outcome || atf_fail "nobody goes on"
	atf_check_equal written "$(cat outcome)"
	wait ${holder}
	atf_check -o inline:'10.1.2.3:3260	-\n' vmfsctl -H portal ls
	host_stop box
	until_true 60 eval "vmfsctl -H portal ls | grep '	10.1.2.3:3260$'" ||
	    atf_fail "nobody listens there"
	daemon_stop esx1
	daemon_stop esx2
}
portal_in_use_ends_no_mount_cleanup()
{
	kill -CONT "$(cat esx1/pid)"
	hosts_cleanup
}
