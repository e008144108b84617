# SPDX-License-Identifier: BSD-2-Clause
# A host dies in mid-write; another fences it, replays and takes over.
. "${VMFS_SRCDIR}/tests/cli/hosts.subr"

root_test_case killed_host_is_taken_over
# A writer that tells after each flush how far it has come.
writer()
{
	n=0
	while [ ${n} -lt 4096 ] && printf '%016d' ${n} |
	    dd of=esx1/mnt/vm-flat.vmdk bs=16 seek=$((n * 256)) \
	    conv=nocreat,notrunc,fsync status=none 2>/dev/null; do
		echo ${n} >flushed.new
		mv flushed.new flushed
		n=$((n + 1))
	done
}
opens()
{
	dd if=/dev/null of=esx2/mnt/vm-flat.vmdk conv=notrunc status=none
}
killed_host_is_taken_over_body()
{
	hosts_up esx1 esx2
	atf_check vmfsctl -c esx1/ctl disk create ds1:/vm.vmdk 64M
	exec 9<>esx1/mnt/vm-flat.vmdk || atf_fail "cannot open the disk"
	writer &
	writer=$!
	until_true 30 eval '[ "$(cat flushed)" -ge 20 ]' ||
	    atf_fail "the writer does not get on"
	host_kill esx1
	exec 9>&-
	wait ${writer}
	until_true 30 opens || atf_fail "esx2 did not take the disk over"
	atf_check -o match:'esx1' -o ignore vmfsctl -c esx2/ctl ds info ds1 --json
	last=$(cat flushed)
	for i in $(seq 0 "${last}"); do
		got=$(dd if=esx2/mnt/vm-flat.vmdk bs=16 skip=$((i * 256)) \
		    count=1 status=none | tr '\0' x)
		[ "${got}" = "$(printf '%016d' "${i}")" ] ||
		    atf_fail "flushed block ${i} of ${last} is lost: ${got}"
	done
	# It can come back.
	daemon_start esx1
	atf_check -o inline:'vm-flat.vmdk\nvm.vmdk\n' ls esx1/mnt
	hosts_stop
}

root_test_case killed_host_reclaims_its_own_locks
killed_host_reclaims_its_own_locks_body()
{
	hosts_up esx1
	echo before >esx1/mnt/file
	exec 9>>esx1/mnt/file
	echo after >&9
	sync esx1/mnt/file
	host_kill esx1
	exec 9>&-
	daemon_start esx1
	atf_check -o inline:'before\nafter\n' cat esx1/mnt/file
	atf_check sh -c 'echo more >>esx1/mnt/file'
	hosts_stop
}

# As a service manager does it: nobody unmounts what the dead left.
root_test_case killed_host_mounts_where_it_was_mounted
killed_host_mounts_where_it_was_mounted_body()
{
	hosts_up esx1
	echo content >esx1/mnt/file
	sync esx1/mnt/file
	# shellcheck disable=SC2154
	kill -9 "${daemon_esx1}"
	wait "${daemon_esx1}"
	rm -f esx1/pid
	# Who comes while it ends sees that.
	atf_check -s exit:2 -e match:'not connected|connection abort' \
	    ls esx1/mnt
	daemon_start esx1
	atf_check -o inline:'content\n' cat esx1/mnt/file
	atf_check -o inline:'1\n' grep -c " ${PWD}/esx1/mnt " /proc/mounts
	hosts_stop
}
