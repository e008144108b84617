# SPDX-License-Identifier: BSD-2-Clause
# Disks as images of other programs, written and read by qemu-img.
. "${VMFS_SRCDIR}/tests/cli/hosts.subr"

image_test_case()
{
	root_test_case "$1" "require.progs 'jq qemu-img qemu-io'"
}

one_host()
{
	hosts_up h1
	export VMFSD_CONTROL="${PWD}/h1/ctl"
}

# disk_with_data NAME: 64 MiB, some of it written.
disk_with_data()
{
	atf_check vmfsctl disk create "ds1:/$1.vmdk" 64M
	atf_check -o ignore qemu-io -f raw -c 'write -P 7 1M 192k' \
	    -c 'write -P 8 33M 1M' -c 'write -P 9 67108352 512' -c flush \
	    "h1/mnt/$1-flat.vmdk"
}

used() { vmfsctl --json disk info "ds1:/$1.vmdk" | jq .disk.allocated; }

image_test_case every_format_goes_out_and_comes_in
every_format_goes_out_and_comes_in_body()
{
	one_host
	disk_with_data vm
	for f in raw qcow2 qcow2-zip vmdk vmdk-stream vdi vhdx vpc; do
		atf_check vmfsctl disk export ds1:/vm.vmdk "image.${f}" \
		    --format=${f}
		atf_check_equal 600 "$(stat -c %a "image.${f}")"
		driver=${f%-*}
		atf_check -o match:identical qemu-img compare -f "${driver}" \
		    -F raw "image.${f}" h1/mnt/vm-flat.vmdk
		atf_check vmfsctl disk import "image.${f}" "ds1:/${f}.vmdk" \
		    --format=${f}
		atf_check cmp h1/mnt/vm-flat.vmdk "h1/mnt/${f}-flat.vmdk"
		atf_check -o match:'RW 131072 VMFS' cat "h1/mnt/${f}.vmdk"
		# What is sparse stays so.
		[ "$(used "${f}")" -lt 4000000 ] || atf_fail "${f}: not sparse"
		[ "$(du -k "image.${f}" | cut -f1)" -lt 4096 ] ||
		    atf_fail "${f}: not sparse"
	done
	[ "$(stat -c %s image.qcow2-zip)" -lt "$(stat -c %s image.qcow2)" ] ||
	    atf_fail "nothing is compressed"
	atf_check -o match:'create type: streamOptimized' \
	    qemu-img info image.vmdk-stream
	# Sockets on the way are gone.
	atf_check -o empty find h1 -name 'image-*'
	hosts_stop
	atf_check -o ignore fsck.vmfs -n "${PWD}/lun"
}

image_test_case snapshot_goes_out_while_its_disk_is_written
snapshot_goes_out_while_its_disk_is_written_body()
{
	one_host
	disk_with_data vm
	cp h1/mnt/vm-flat.vmdk before
	atf_check vmfsctl disk snapshot ds1:/vm.vmdk s1
	atf_check -o ignore qemu-io -f raw -c 'write -P 1 0 4M' -c flush \
	    h1/mnt/vm-flat.vmdk
	exec 9<>h1/mnt/vm-flat.vmdk
	# A name with what would mean something to QEMU.
	atf_check vmfsctl disk export ds1:/vm.vmdk@s1 'a:b,c=d.qcow2' \
	    --format=qcow2
	exec 9>&-
	atf_check mv 'a:b,c=d.qcow2' image
	atf_check -o match:identical qemu-img compare -f qcow2 -F raw image \
	    before
	hosts_stop
}

# Whoever made the image shall not read our files by it.
image_test_case image_that_names_other_files_is_refused
image_that_names_other_files_is_refused_body()
{
	one_host
	mkdir other
	echo secret >other/file
	truncate -s 1M other/file
	atf_check qemu-img create -q -f qcow2 -b "${PWD}/other/file" -F raw \
	    back.qcow2
	atf_check -s exit:2 -e match:"back.qcow2 has a backing file, .*other/file" \
	    vmfsctl disk import back.qcow2 ds1:/d.vmdk --format=qcow2
	atf_check qemu-img create -q -f qcow2 -o \
	    "data_file=${PWD}/other/file,data_file_raw=on" data.qcow2 1M
	atf_check -s exit:2 -e match:"data elsewhere, in .*other/file" \
	    vmfsctl disk import data.qcow2 ds1:/d.vmdk --format=qcow2
	flat "${PWD}/other/file" >far.vmdk
	atf_check -s exit:2 -e match:"data elsewhere, in .*other/file" \
	    vmfsctl disk import far.vmdk ds1:/d.vmdk --format=vmdk
	flat near-flat.vmdk >near.vmdk
	ln -s other/file near-flat.vmdk
	atf_check -s exit:2 -e match:"data elsewhere, in .*near-flat.vmdk" \
	    vmfsctl disk import near.vmdk ds1:/d.vmdk --format=vmdk
	# Beside it, as VMware has them, is well.
	atf_check rm near-flat.vmdk
	cp other/file near-flat.vmdk
	atf_check vmfsctl disk import near.vmdk ds1:/d.vmdk --format=vmdk
	atf_check cmp other/file h1/mnt/d-flat.vmdk
	# What is said to be raw is never taken for anything else.
	atf_check vmfsctl disk import --format=raw back.qcow2 ds1:/raw.vmdk
	atf_check cmp -n "$(stat -c %s back.qcow2)" back.qcow2 \
	    h1/mnt/raw-flat.vmdk
	hosts_stop
}

# Its own data, not a picture of the image.
image_test_case image_is_not_taken_for_raw
image_is_not_taken_for_raw_body()
{
	one_host
	disk_with_data vm
	for f in qcow2 vmdk vmdk-stream vdi vhdx vpc; do
		atf_check vmfsctl disk export ds1:/vm.vmdk "image.${f}" \
		    --format=${f}
		atf_check -s exit:2 -e match:"/image.${f}' looks like ${f%-*}: \
add --format=${f%-*}, or --format=raw to take it as it is" \
		    vmfsctl disk import "image.${f}" ds1:/d.vmdk
	done
	flat d-flat.vmdk >vmware.vmdk
	atf_check -s exit:2 -e match:'looks like vmdk: add' \
	    vmfsctl disk import vmware.vmdk ds1:/d.vmdk
	# Of a fixed size: the data, and at the end what it is.
	atf_check qemu-img create -q -f vpc -o subformat=fixed fixed.vhd 4M
	atf_check -s exit:2 -e match:'looks like vpc: add' \
	    vmfsctl disk import fixed.vhd ds1:/d.vmdk
	atf_check -s exit:2 -e match:'the stream looks like qcow2: give a file' \
	    vmfsctl disk import - ds1:/d.vmdk <image.qcow2
	atf_check -o inline:'vm-flat.vmdk\nvm.vmdk\n' ls h1/mnt
	atf_check vmfsctl disk import --format=raw - ds1:/d.vmdk <image.qcow2
	atf_check cmp -n "$(stat -c %s image.qcow2)" image.qcow2 \
	    h1/mnt/d-flat.vmdk
	hosts_stop
}

flat()
{
	printf '# Disk DescriptorFile\nversion=1\nCID=fffffffe\n'
	printf 'parentCID=ffffffff\ncreateType="monolithicFlat"\n'
	printf 'RW 2048 FLAT "%s" 0\n' "$1"
}

image_test_case errors_say_what_is_wrong
errors_say_what_is_wrong_body()
{
	one_host
	disk_with_data vm
	atf_check -s exit:2 -e match:"--format='foo': expected raw, qcow2, " \
	    vmfsctl disk export ds1:/vm.vmdk image --format=foo
	atf_check -s exit:1 -e match:"qcow2 cannot be written as a stream" \
	    vmfsctl disk export ds1:/vm.vmdk - --format=qcow2
	atf_check -s exit:1 -e match:"qcow2 cannot be read from a stream" \
	    vmfsctl disk import --format=qcow2 - ds1:/d.vmdk <lun
	echo junk >junk
	atf_check -s exit:1 -e match:'junk.: Image is not in qcow2 format' \
	    vmfsctl disk import junk ds1:/d.vmdk --format=qcow2
	atf_check -s exit:3 -e match:"cannot open '/nowhere'" \
	    vmfsctl disk import /nowhere ds1:/d.vmdk --format=qcow2
	# No room: what was begun is not left, on either side.
	atf_check qemu-img create -q -f qcow2 big.qcow2 1G
	set -- qemu-io
	for i in $(seq 0 32 992); do
		set -- "$@" -c "write -P 5 ${i}M 32M"
	done
	atf_check -o ignore "$@" big.qcow2
	atf_check -s exit:1 -e match:'No space left on device' \
	    vmfsctl disk import big.qcow2 ds1:/big.vmdk --format=qcow2
	atf_check -o not-match:big ls h1/mnt
	mkdir small
	mount -t tmpfs -o size=512k tmpfs small
	atf_check -s exit:1 -e match:'No space left on device' \
	    vmfsctl disk export ds1:/vm.vmdk small/image --format=qcow2
	atf_check ls small
	umount small
	hosts_stop
	atf_check -o ignore fsck.vmfs -n "${PWD}/lun"
}
errors_say_what_is_wrong_cleanup()
{
	umount -q small || :
	hosts_cleanup
}

# Whoever can write the image or its directory has only to wait until it has
# been looked at.
image_test_case image_that_is_exchanged_is_refused
image_that_is_exchanged_is_refused_body()
{
	mkdir bin in secret
	cat >bin/qemu-img <<-X
		#!/bin/sh
		[ "\$1" = convert ] || exec '$(command -v qemu-img)' "\$@"
		(cd '${PWD}' && . ./before)
		'$(command -v qemu-img)' "\$@" || exit
		cd '${PWD}' && . ./after
	X
	chmod +x bin/qemu-img
	lun_make lun
	daemon_in="env PATH=${PWD}/bin:${PATH}" host_start h1 "${PWD}/lun"
	export VMFSD_CONTROL="${PWD}/h1/ctl"
	head -c 1M /dev/urandom >secret/file
	cp secret/file secret/x-flat.vmdk
	: >after

	atf_check qemu-img create -q -f qcow2 -b "${PWD}/secret/file" -F raw \
	    bad.qcow2
	atf_check qemu-img create -q -f qcow2 in/x.qcow2 1M
	echo 'mv in/x.qcow2 good.qcow2; mv bad.qcow2 in/x.qcow2' >before
	atf_check -s exit:4 -e match:'in/x.qcow2 was changed while it was' \
	    vmfsctl disk import in/x.qcow2 ds1:/d.vmdk --format=qcow2
	# Also when it is the same again at the end.
	mv in/x.qcow2 bad.qcow2
	mv good.qcow2 in/x.qcow2
	echo 'mv in/x.qcow2 bad.qcow2; mv good.qcow2 in/x.qcow2' \
	    >after
	echo 'mv in/x.qcow2 good.qcow2; mv bad.qcow2 in/x.qcow2' >before
	atf_check -s exit:4 -e match:'in/x.qcow2 was changed while it was' \
	    vmfsctl disk import in/x.qcow2 ds1:/d.vmdk --format=qcow2
	: >after

	flat x-flat.vmdk >in/x.vmdk
	truncate -s 1M in/x-flat.vmdk
	echo 'ln -sf ../secret/file in/x-flat.vmdk' >before
	atf_check -s exit:4 -e match:'in/x.vmdk was changed while it was' \
	    vmfsctl disk import in/x.vmdk ds1:/d.vmdk --format=vmdk
	atf_check -o empty ls h1/mnt

	# By directories above it it is not reached again.
	cp in/x.vmdk secret
	rm in/x-flat.vmdk
	truncate -s 1M in/x-flat.vmdk
	echo 'mv in old; mv secret in' >before
	atf_check vmfsctl disk import in/x.vmdk ds1:/d.vmdk --format=vmdk
	atf_check cmp old/x-flat.vmdk h1/mnt/d-flat.vmdk
	rm bin/qemu-img
	hosts_stop
}

# A qemu-img that takes its time.
slow_qemu_img()
{
	mkdir bin
	cat >bin/qemu-img <<-X
		#!/bin/sh
		echo \$\$ >'${PWD}/pid'
		printf '    (50.00/100%%)\r    (75.00/100%%)\r'
		exec sleep 3600
	X
	chmod +x bin/qemu-img
}

image_test_case export_tells_how_far_it_is_and_is_cancelled
export_tells_how_far_it_is_and_is_cancelled_body()
{
	slow_qemu_img
	lun_make lun
	daemon_in="env PATH=${PWD}/bin:${PATH}" host_start h1 "${PWD}/lun"
	export VMFSD_CONTROL="${PWD}/h1/ctl"
	disk_with_data vm
	id=$(vmfsctl --json disk export ds1:/vm.vmdk image --format=qcow2 \
	    --background | jq .task)
	until_true 20 sh -c "vmfsctl task show ${id} | grep -q 'percent *75'" ||
	    atf_fail "$(vmfsctl task show "${id}")"
	atf_check vmfsctl task cancel "${id}"
	until_true 20 sh -c "vmfsctl task ls | grep -q cancelled" ||
	    atf_fail "it goes on"
	if kill -0 "$(cat pid)" 2>/dev/null; then
		atf_fail "qemu-img goes on"
	fi
	[ ! -e image ] || atf_fail "a part of an image is left"
	rm bin/qemu-img
	hosts_stop
}

image_test_case missing_qemu_img_is_named
missing_qemu_img_is_named_body()
{
	mkdir bin
	ln -s "$(command -v vmfsd)" bin
	lun_make lun
	daemon_in="env PATH=${PWD}/bin" host_start h1 "${PWD}/lun"
	export VMFSD_CONTROL="${PWD}/h1/ctl"
	atf_check vmfsctl disk create ds1:/vm.vmdk 1M
	atf_check -s exit:3 -e match:'qemu-img is needed.*Debian: qemu-utils' \
	    vmfsctl disk export ds1:/vm.vmdk image --format=qcow2
	hosts_stop
}
