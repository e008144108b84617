# SPDX-License-Identifier: BSD-2-Clause
# Two libvirtd with roots of their own and one LUN: a guest that counts moves
# between them by virsh migrate --live, as doc/LIBVIRT.md describes it.
. "${VMFS_SRCDIR}/tests/qemu/guests.subr"
PATH=${PATH}:/usr/sbin

uri() { echo "qemu+unix:///system?socket=${PWD}/$1/run/libvirt/libvirt-sock"; }

# on HOST ARG...: virsh there; a program, for atf_check.
make_on()
{
	mkdir bin
	cat >bin/on <<-X
		#!/bin/sh
		host=\$1
		shift
		exec virsh -q -c "$(uri "\${host}")" "\$@"
	X
	chmod +x bin/on
	PATH=${PWD}/bin:${PATH}
}

# libvirt HOST DIGIT: as on a machine of that name whose datastore is at /mnt.
libvirt()
{
	mkdir -p "$1/run/libvirt" "$1/lib/libvirt/qemu" "$1/etc" "$1/cache" \
	    "$1/var"
	cat >"$1/etc/qemu.conf" <<-X
		user = "root"
		group = "root"
		security_driver = "none"
		dynamic_ownership = 0
		remember_owner = 0
		namespaces = [ ]
		cgroup_controllers = [ ]
		stdio_handler = "file"
	X
	cat >"$1/etc/libvirtd.conf" <<-X
		host_uuid = "1111111$2-1111-4111-8111-111111111111"
		auth_unix_rw = "none"
		unix_sock_group = "root"
		log_outputs = "3:stderr"
	X
	cat >"$1/start" <<-X
		set -e
		mount --make-rprivate /
		mount --bind '${PWD}/$1/mnt' /mnt
		mount --bind '${PWD}/$1/run' /run
		mount --bind '${PWD}/$1/etc' /etc/libvirt
		mount --bind '${PWD}/$1/cache' /var/cache
		mount --bind '${PWD}/$1/lib' /var/lib
		mount --bind '${PWD}/$1/var' /var/log
		hostname $1
		exec libvirtd
	X
	unshare -m -u sh "$1/start" >"$1/libvirtd.log" 2>&1 &
	echo $! >"$1/libvirtd.pid"
	until_true 60 on "$1" hostname || {
		cat "$1/libvirtd.log" >&2
		atf_fail "libvirtd of $1 does not answer"
	}
}

# domain DISK: what is the same on both hosts.
domain()
{
	cat <<-X
		<domain type='qemu'>
		  <name>vm</name>
		  <uuid>33333333-3333-4333-8333-333333333333</uuid>
		  <memory unit='MiB'>64</memory>
		  <memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>
		  <vcpu>1</vcpu>
		  <os><type arch='x86_64' machine='q35'>hvm</type></os>
		  <devices>
		    <emulator>/usr/bin/qemu-system-x86_64</emulator>
		    $1
		    <serial type='file'><source path='${PWD}/serial' append='on'/></serial>
		    <memballoon model='none'/>
		  </devices>
		</domain>
	X
}

by_file="<disk type='file' device='disk'>
<driver name='qemu' type='raw' cache='none' discard='unmap'/>
<source file='/mnt/vm-flat.vmdk'/><target dev='vda' bus='virtio'/></disk>"
by_vhost="<disk type='vhostuser' device='disk'><driver name='qemu' type='raw'/>
<source type='unix' path='/run/vm.sock'><reconnect enabled='yes' timeout='1'/></source>
<target dev='vda' bus='virtio'/></disk>"

two_hosts()
{
	make_on
	setup h1 h2
	libvirt h1 1
	libvirt h2 2
}

# move FROM TO [ARG]...
move()
{
	_from=$1 _to=$2
	shift 2
	atf_check -o ignore on "${_from}" migrate --live "$@" vm \
	    "$(uri "${_to}")" --migrateuri "unix:${PWD}/wire"
	atf_check -o match:'^vm$' on "${_to}" list --name
	goes_on .
}

libvirt_test_case()
{
	atf_test_case "$1" cleanup
	eval "$1_head()
	{
		atf_set require.user root
		atf_set require.progs 'libvirtd virsh qemu-system-x86_64 as ld'
	}"
	eval "$1_cleanup()
	{
		for p in h*/libvirtd.pid h*/run/libvirt/qemu/vm.pid; do
			[ ! -s \${p} ] || kill -9 \$(cat \${p}) 2>/dev/null
		done
		tail -n 20 h*/libvirtd.log 2>/dev/null
		hosts_cleanup
	}"
	cases="${cases} $1"
}

# What the guest has shown is on the disk, without a gap.
end()
{
	on h1 destroy vm
	for h in h1 h2; do
		kill "$(cat ${h}/libvirtd.pid)"
		wait "$(cat ${h}/libvirtd.pid)"
		rm ${h}/libvirtd.pid
	done
	atf_check -o ignore counted h1/mnt/vm-flat.vmdk "$(last_shown .)"
	[ "$1" != vhost ] || for h in h1 h2; do
		atf_check vmfsctl -c ${h}/ctl disk detach ds1:/vm.vmdk
	done
	hosts_stop
	atf_check -o ignore fsck.vmfs "${PWD}/lun"
}

libvirt_test_case guest_moves_with_a_file_of_the_mount
guest_moves_with_a_file_of_the_mount_body()
{
	two_hosts
	domain "${by_file}" >vm.xml
	atf_check -o ignore on h1 pool-create-as ds1 dir --target /mnt
	atf_check -o match:'vm-flat.vmdk +/mnt/vm-flat.vmdk' on h1 vol-list ds1
	atf_check -o ignore on h1 create vm.xml
	goes_on .
	# Not twice, in QEMU's own words.
	atf_check -s exit:1 -e match:'Failed to get "write" lock' \
	    on h2 create vm.xml
	# libvirt 9 takes no file system of FUSE for a shared one.
	atf_check -s exit:1 -e match:'without shared storage is unsafe' \
	    on h1 migrate --live vm "$(uri h2)" --migrateuri "unix:${PWD}/wire"
	move h1 h2 --unsafe
	move h2 h1 --unsafe
	end file
}

libvirt_test_case guest_moves_with_its_vhost_disk
guest_moves_with_its_vhost_disk_body()
{
	two_hosts
	domain "${by_vhost}" >vm.xml
	atf_check -o ignore vmfsctl -c h1/ctl disk attach ds1:/vm.vmdk \
	    --socket="${PWD}/h1/run/vm.sock"
	atf_check -o ignore vmfsctl -c h2/ctl disk attach --incoming \
	    ds1:/vm.vmdk --socket="${PWD}/h2/run/vm.sock"
	atf_check -o ignore on h1 create vm.xml
	goes_on .
	move h1 h2
	move h2 h1
	end vhost
}
