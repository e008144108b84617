# SPDX-License-Identifier: BSD-2-Clause
# mount.vmfs: with and without a vmfsd that runs.
. "${VMFS_SRCDIR}/tests/cli/hosts.subr"

# umount(8) does not always find it while other tests mount and unmount theirs,
# before or after it has done so.
is_unmounted()
{
	umount "$1" || ! mountpoint -q "$1"
}

unmount()
{
	until_true 20 is_unmounted "$1" || atf_fail "$1 cannot be unmounted"
}

atf_test_case starts_a_daemon_that_ends_with_umount cleanup
starts_a_daemon_that_ends_with_umount_head()
{
	atf_set require.user root
}
starts_a_daemon_that_ends_with_umount_body()
{
	lun_make lun
	mkdir m
	atf_check mount.vmfs -o "name=esx1,dir=${PWD}/id,log=${PWD}/log" lun m
	echo hello >m/file
	atf_check -o match:'^ds1 +512 MiB' vmfsctl --control=id/control.sock ds ls
	pid=$(cat id/lock)
	unmount m
	until_true 20 eval "! kill -0 ${pid}" || atf_fail "vmfsd stays"
	atf_check -s exit:1 -o empty grep ' error:' log
	# A second time, by the name mount(8) uses.
	ln -s "$(command -v mount.vmfs)" mount.fuse.vmfs
	atf_check ./mount.fuse.vmfs lun m -n \
	    -o "rw,noauto,name=esx1,dir=${PWD}/id,log=${PWD}/log"
	atf_check -o inline:'hello\n' cat m/file
	pid=$(cat id/lock)
	unmount m
	until_true 20 eval "! kill -0 ${pid}" || atf_fail "vmfsd stays"
}
starts_a_daemon_that_ends_with_umount_cleanup()
{
	[ ! -s id/lock ] || kill -9 "$(cat id/lock)" 2>/dev/null
	umount -l m 2>/dev/null
	return 0
}

atf_test_case watchdog_is_armed_while_something_is_mounted cleanup
watchdog_is_armed_while_something_is_mounted_head()
{
	atf_set require.user root
}
watchdog_is_armed_while_something_is_mounted_body()
{
	lun_make lun
	: >dog
	printf '[datastore ds1]\nlun = %s\nmount = %s\n' "${PWD}/lun" \
	    "${PWD}/esx1/mnt" | host_conf esx1
	sed -i "/^initiator/a watchdog = ${PWD}/dog" esx1/conf
	daemon_start esx1
	until_true 30 test -s dog || atf_fail "nobody pets the watchdog"
	atf_check -s exit:1 grep -q V dog
	atf_check vmfsctl -c esx1/ctl ds unmount ds1
	atf_check grep -q 'V$' dog
	: >dog
	atf_check vmfsctl -c esx1/ctl ds mount ds1
	until_true 30 test -s dog || atf_fail "nobody pets the watchdog"
	hosts_stop
	atf_check grep -q 'V$' dog
	rm dog
	daemon_start esx1
	mount_failed esx1 "watchdog ${PWD}/dog cannot be armed"
	daemon_stop esx1
}
watchdog_is_armed_while_something_is_mounted_cleanup()
{
	hosts_cleanup
}

atf_test_case hands_over_to_a_running_daemon cleanup
hands_over_to_a_running_daemon_head()
{
	atf_set require.user root
}
hands_over_to_a_running_daemon_body()
{
	lun_make lun
	lun_make lun2
	host_start esx1 "${PWD}/lun"
	atf_check -o match:'heartbeat +priority [a-z]+, memory locked: [a-z]+' \
	    vmfsctl -c esx1/ctl ds info ds1
	mkdir m
	atf_check mount.vmfs -o "control=${PWD}/esx1/ctl,ds=second" lun2 m
	atf_check -o match:'^ds1	' -o match:'^second	' vmfsctl -c esx1/ctl -H ds ls
	atf_check -s exit:32 -e match:'is host .esx1., not .other.' \
	    mount.vmfs -o "control=${PWD}/esx1/ctl,name=other" lun2 m
	atf_check -s exit:32 -e match:'already has a datastore' \
	    mount.vmfs -o "control=${PWD}/esx1/ctl,ds=ds1" lun2 m
	unmount m
	until_true 20 eval "! vmfsctl -c esx1/ctl -H ds ls | grep second" ||
	    atf_fail "the datastore stays in the list"
	# By its label, or when that is taken or no name, by the directory.
	for label in ds2 ds1 "two words"; do
		atf_check -o ignore mkfs.vmfs --force --label="${label}" \
		    --timers="${timers}" "${PWD}/lun2"
		atf_check mount.vmfs -o "control=${PWD}/esx1/ctl" lun2 m
		vmfsctl -c esx1/ctl -H ds ls | cut -f 1 >>names
		unmount m
		until_true 20 eval "! vmfsctl -c esx1/ctl -H ds ls |
		    grep lun2" || atf_fail "the datastore stays in the list"
	done
	atf_check -o inline:'ds1\nds2\nds1\nm\nds1\nm\n' cat names
	hosts_stop
}
hands_over_to_a_running_daemon_cleanup()
{
	umount -l m 2>/dev/null
	hosts_cleanup
}

# Others want it mounted at any moment: who unmounts it does so once.
atf_test_case mounted_again_at_once_stays_mounted cleanup
mounted_again_at_once_stays_mounted_head()
{
	atf_set require.user root
}
mount_on()
{
	while [ ! -e enough ]; do
		vmfsctl -c esx1/ctl ds mount ds1 2>/dev/null
	done
}
mounted_again_at_once_stays_mounted_body()
{
	hosts_up esx1
	(mount_on) &
	one=$!
	(mount_on) &
	two=$!
	done=0
	while [ ${done} -lt 100 ] && kill -0 "$(cat esx1/pid)"; do
		vmfsctl -c esx1/ctl ds unmount ds1 2>/dev/null &&
		    done=$((done + 1))
	done
	touch enough
	wait ${one} ${two}
	atf_check_equal ${done} "$(grep -c 'ds1: unmounted' esx1/log)"
	daemon_stop esx1
}
mounted_again_at_once_stays_mounted_cleanup()
{
	touch enough
	hosts_cleanup
}

atf_test_case failures_exit_as_mount_does
failures_exit_as_mount_does_head()
{
	atf_set require.user root
}
failures_exit_as_mount_does_body()
{
	truncate -s 128M lun
	mkdir m
	opts="dir=${PWD}/id,log=${PWD}/log"
	atf_check -s exit:32 -e match:'carries no datastore' \
	    mount.vmfs -o "${opts}" lun m
	atf_check -s exit:32 -e match:'No such file' \
	    mount.vmfs -o "${opts}" none m
	atf_check -s exit:32 -e match:'No such file' \
	    mount.vmfs -o "${opts}" lun none
	atf_check -s exit:1 -e match:"unknown option 'fast'" \
	    mount.vmfs -o "${opts},fast" lun m
	atf_check -s exit:1 -e match:'expected LUN and DIR' mount.vmfs lun
	atf_check -o match:'^usage: mount.vmfs' mount.vmfs --help
}

atf_init_test_cases()
{
	atf_add_test_case starts_a_daemon_that_ends_with_umount
	atf_add_test_case watchdog_is_armed_while_something_is_mounted
	atf_add_test_case hands_over_to_a_running_daemon
	atf_add_test_case mounted_again_at_once_stays_mounted
	atf_add_test_case failures_exit_as_mount_does
}
