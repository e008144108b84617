# SPDX-License-Identifier: BSD-2-Clause
# A guest of QEMU on a virtual disk that vmfsd gives it by vhost-user.
. "${VMFS_SRCDIR}/tests/kernel/guest.subr"

# attach NAME [ARG]...: the disk of all tests, at ${PWD}/disk.sock.
attach()
{
	_host=$1
	shift
	atf_check -o ignore vmfsctl -c "${_host}/ctl" disk attach \
	    --socket="${PWD}/disk.sock" "$@" ds1:/vm.vmdk
}

# vhost_guest [ARG]...: boots with the disk as /dev/vdb.
vhost_guest()
{
	guest_start -object memory-backend-memfd,id=mem,size=384M,share=on \
	    -machine memory-backend=mem \
	    -chardev "socket,id=disk,path=${PWD}/disk.sock,reconnect=1" \
	    -device vhost-user-blk-pci,chardev=disk,num-queues=2 \
	    -smp 2 "$@"
}

attached()
{
	vmfsctl -c "$1/ctl" --json disk attached ds1 |
	    jq -r ".attachments[0].$2"
}

attached_is() { [ "$(attached "$1" "$2")" = "$3" ]; }

host_with_disk()
{
	hosts_up h1
	atf_check vmfsctl -c h1/ctl disk create ds1:/vm.vmdk 256M
}

kernel_test_case guest_lives_on_a_vhost_disk
guest_lives_on_a_vhost_disk_body()
{
	host_with_disk
	attach h1 --queues=2
	vhost_guest
	in_guest "cat /sys/block/vdb/size; ls /sys/block/vdb/mq | wc -l" \
	    -o inline:'524288\n2\n'
	in_guest "mkfs.ext4 -q /dev/vdb 64M && mount -t ext4 /dev/vdb /mnt && \
	    verify /mnt/file && cp -r /sbin /mnt && sync"
	before=$(du -k lun | cut -f1)
	in_guest "rm -r /mnt/sbin /mnt/file && sync && fstrim /mnt && \
	    umount /mnt && verify /dev/vdb --size=16M --offset=128M \
	    --bssplit=512/30:4k/40:64k/20:512k/10"
	in_guest "mount -t ext4 /dev/vdb /mnt && echo kept >/mnt/word && \
	    umount /mnt"
	atf_check vmfsctl -c h1/ctl disk resize ds1:/vm.vmdk 320M
	in_guest "grown() { test \$(limit vdb size) -eq 655360; }; \
	    until_true 20 grown && verify /dev/vdb --size=16M --offset=300M"
	atf_check -s not-exit:0 -e match:'attached to a hypervisor' \
	    vmfsctl -c h1/ctl disk resize --force ds1:/vm.vmdk 64M
	atf_check_equal running "$(attached h1 guest)"
	atf_check_equal held "$(attached h1 lock)"
	guest_stop
	until_true 20 attached_is h1 guest none ||
	    atf_fail "vmfsd does not see that QEMU has gone"
	atf_check_equal free "$(attached h1 lock)"
	atf_check_equal 0 "$(attached h1 errors)"
	atf_check vmfsctl -c h1/ctl disk detach ds1:/vm.vmdk
	[ ! -e disk.sock ] || atf_fail "the socket is left"
	# The same disk by its name in the mount.
	atf_check -o match:kept -e ignore debugfs -R 'cat word' h1/mnt/vm-flat.vmdk
	hosts_stop
	atf_check -o ignore fsck.vmfs "${PWD}/lun"
}

# restart NAME: kill -9, then another vmfsd that attaches the disk again.
restart()
{
	host_kill "$1"
	umount -l "$1/mnt"
	daemon_start "$1"
	attach "$1"
}

# What the guest had sent is done again by the next vmfsd.
kernel_test_case guest_goes_on_after_a_kill_of_the_daemon
guest_goes_on_after_a_kill_of_the_daemon_body()
{
	host_with_disk
	attach h1
	vhost_guest
	in_guest "verify /dev/vdb --size=16M --end_fsync=1 && \
	    head -c 16M /dev/vdb | sha256sum >/run/sum"
	for _ in $(seq "$(rounds 3)"); do
		in_guest "(sleep 1; head -c 16M /dev/vdb | sha256sum >/run/again) & \
		    echo 1 >/proc/sys/vm/drop_caches"
		restart h1
		in_guest "wait; until_true 60 test -s /run/again && \
		    cmp /run/sum /run/again; r=\$?; rm /run/again; exit \$r"
		in_guest "verify /dev/vdb --size=16M --offset=32M --fsync=16 \
		    --end_fsync=1"
	done
	guest_stop
	atf_check vmfsctl -c h1/ctl disk detach ds1:/vm.vmdk
	hosts_stop
	atf_check -o ignore fsck.vmfs "${PWD}/lun"
}

# Nothing may claim that they are safe, until the guest has begun anew.
kernel_test_case guest_is_told_that_a_kill_lost_its_writes
guest_is_told_that_a_kill_lost_its_writes_body()
{
	host_with_disk
	attach h1
	vhost_guest
	in_guest "dd if=/dev/urandom of=/dev/vdb bs=64k count=16 oflag=direct"
	restart h1
	in_guest "dd if=/dev/zero of=/dev/vdb bs=4k count=1 oflag=direct \
	    conv=fsync" -s exit:1 -o match:'Input/output error'
	atf_check -o match:'had not flushed' grep 'had not flushed' h1/log
	guest_stop
	daemon_stop h1
}

# As soon as the guest goes on, again.
worker_dies()
{
	while [ ! -e enough ]; do
		until_true 60 attached_is h1 guest running || exit 1
		kill_worker h1
		echo >>deaths
	done
}

# With a supervisor nothing is lost, and nobody has to attach anything.
kernel_test_case guest_sees_a_pause_when_the_worker_dies
guest_sees_a_pause_when_the_worker_dies_body()
{
	daemon_in=supervised
	host_with_disk
	attach h1 --queues=2
	vhost_guest
	(worker_dies) &
	deaths=$!
	# Of a thin disk: few of its writes are flushed, all must be there.
	in_guest "verify /dev/vdb --size=24M --fsync=256 --end_fsync=1 && \
	    verify /dev/vdb --size=24M --offset=100M --fsync=32 --end_fsync=1"
	touch enough
	wait ${deaths} || atf_fail "the guest did not go on"
	echo "deaths: $(wc -l <deaths)"
	[ "$(wc -l <deaths)" -ge 2 ] || atf_fail "it was hardly ever killed"
	in_guest "! dmesg | grep -i 'i/o error'"
	if grep 'had not flushed' h1/log; then
		atf_fail "writes were taken for lost"
	fi
	guest_stop
	atf_check vmfsctl -c h1/ctl disk detach ds1:/vm.vmdk
	hosts_stop
	atf_check -o ignore fsck.vmfs "${PWD}/lun"
}

kernel_test_case disk_of_a_guest_is_refused_elsewhere
disk_of_a_guest_is_refused_elsewhere_body()
{
	host_with_disk
	host_start h2 "${PWD}/lun"
	attach h1
	vhost_guest
	atf_check -s exit:4 -e match:'h1' vmfsctl -c h2/ctl disk attach \
	    ds1:/vm.vmdk
	atf_check -s not-exit:0 -e match:'busy|locked|in use' \
	    dd if=/dev/zero of=h2/mnt/vm-flat.vmdk bs=512 count=1 conv=notrunc
	atf_check -s not-exit:0 -e match:'hypervisor has the disk /vm.vmdk' \
	    vmfsctl -c h1/ctl ds unmount ds1
	atf_check -s exit:32 -e match:'busy' umount h1/mnt
	in_guest "verify /dev/vdb --size=8M"
	guest_stop
	hosts_stop
}
