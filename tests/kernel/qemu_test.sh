# SPDX-License-Identifier: BSD-2-Clause
# QEMU's own iSCSI driver against a storage box: as the disk of a guest, and
# from the tools.
. "${VMFS_SRCDIR}/tests/kernel/guest.subr"

secret=secret-of-twelve

# drive LUN [OPTION]...: a -drive called "lun" without a device.
drive()
{
	_drive="if=none,id=lun,format=raw,cache=none,discard=unmap"
	_drive="${_drive},file.driver=iscsi,file.transport=tcp,file.lun=$1"
	_drive="${_drive},file.portal=127.0.0.1:${port},file.target=${iqn}"
	_drive="${_drive},file.initiator-name=iqn.2026-11.test:qemu"
	shift
	for _o; do
		_drive="${_drive},${_o}"
	done
	echo "${_drive}"
}

kernel_test_case guest_lives_on_an_iscsi_disk
guest_lives_on_an_iscsi_disk_body()
{
	(umask 077 && echo ${secret} >secret)
	box_start "chap = host" "chap-secret-file = ${PWD}/secret"
	printf %s ${secret} >password
	guest_start -object "secret,id=s,file=${PWD}/password" \
	    -drive "$(drive 0 file.user=host file.password-secret=s \
	    file.header-digest=crc32c)" \
	    -device virtio-blk-pci,drive=lun,serial=lun
	in_guest "mkfs.ext4 -q /dev/vdb && mount -t ext4 /dev/vdb /mnt && \
	    verify /mnt/file && cp -r /sbin /mnt && sync"
	before=$(du -k store | cut -f1)
	in_guest "rm -r /mnt/sbin /mnt/file && sync && fstrim /mnt && umount /mnt"
	after=$(du -k store | cut -f1)
	[ $((before - after)) -gt 24000 ] ||
	    atf_fail "fstrim freed $((before - after)) of ${before} KiB"
	guest_stop
	host_stop box
	atf_check -o ignore -e ignore e2fsck -fn store
}

# The guest's SCSI commands go through QEMU and libiscsi as they are.
kernel_test_case guest_speaks_scsi_to_the_box
guest_speaks_scsi_to_the_box_body()
{
	box_start
	guest_start -device virtio-scsi-pci -drive "$(drive 0)" \
	    -device scsi-block,drive=lun
	in_guest "until_true 20 test -b /dev/sda"
	in_guest "sg_inq /dev/sda" -o match:'VMFSD' -o match:'VIRTUAL-DISK'
	in_guest "sg_persist -o -G -S 0xa1 /dev/sda && \
	    sg_persist -o -R -K 0xa1 -T 5 /dev/sda && \
	    sg_persist -n -s /dev/sda" -o match:'iqn.2026-11.test:qemu,i,0x'
	in_guest "pattern a 1 >a; pattern b 1 >b; cat a b >ab; \
	    sg_write_same -i a -x 512 -l 100 -n 1 /dev/sda && \
	    sg_compare_and_write -i ab -n 1 -l 100 /dev/sda"
	in_guest "sg_compare_and_write -i ab -n 1 -l 100 /dev/sda" \
	    -s exit:14 -o match:Miscompare
	in_guest "sg_unmap --lba=96 --num=8 -f /dev/sda && \
	    sg_get_lba_status -l 96 /dev/sda" -o match:deallocated
	in_guest "verify /dev/sda"
	guest_stop
	host_stop box
}

# libiscsi logs in again and sends again what had no answer.
kernel_test_case guest_io_goes_on_after_a_kill_of_the_box
guest_io_goes_on_after_a_kill_of_the_box_body()
{
	box_start
	guest_start -drive "$(drive 0 werror=stop rerror=stop)" \
	    -device virtio-blk-pci,drive=lun
	load_start vdb
	for round in $(seq "$(rounds 3)"); do
		load_goes_on
		host_kill box
		box_start
	done
	load_goes_on
	load_ends
	guest_stop
	host_stop box
}

qemu_test_case()
{
	atf_test_case "$1" cleanup
	eval "$1_head() { atf_set require.progs 'qemu-img qemu-io jq'; }"
	eval "$1_cleanup() { hosts_cleanup; }"
	cases="${cases} $1"
}

qemu_test_case image_keeps_its_holes_on_a_lun
image_keeps_its_holes_on_a_lun_body()
{
	box_start "allow = iqn.2008-11.org.linux-kvm*"
	url=iscsi://127.0.0.1:${port}/${iqn}/0
	truncate -s 256M image
	for at in 0 100 101 250; do
		dd if=/dev/urandom of=image bs=1M count=1 seek=${at} \
		    conv=notrunc status=none
	done
	atf_check qemu-img convert -n -f raw -O raw -W -m 16 \
	    --target-is-zero -t none image "${url}"
	atf_check -o match:identical qemu-img compare image "${url}"
	# GET LBA STATUS tells of the holes that the file has.
	atf_check -o save:map qemu-img map -f raw --output=json "${url}"
	atf_check -o inline:'4194304\n' jq \
	    '[.[] | select(.data) | .length] | add' map
	atf_check qemu-img convert -f raw -O raw "${url}" back
	atf_check cmp image back
	[ "$(du -k back | cut -f1)" -lt 5000 ] || atf_fail "the copy has no holes"
	host_stop box
}

qemu_test_case qcow2_lives_on_a_lun
qcow2_lives_on_a_lun_body()
{
	box_start "allow = iqn.2008-11.org.linux-kvm*"
	url=iscsi://127.0.0.1:${port}/${iqn}/0
	atf_check -o ignore qemu-img create -f qcow2 "${url}" 200M
	atf_check -o not-match:'ailed|rror' -e empty qemu-io -f qcow2 \
	    -c 'write -P 1 0 10M' -c 'write -P 2 5M 1M' -c 'write -z 7M 1M' \
	    -c 'discard 8M 1M' -c flush "${url}"
	atf_check -o ignore qemu-img snapshot -c first "${url}"
	atf_check -o not-match:'ailed|rror' -e empty qemu-io -f qcow2 \
	    -c 'write -P 3 0 10M' "${url}"
	atf_check -o ignore qemu-img snapshot -a first "${url}"
	atf_check -o not-match:'ailed|rror' -e empty qemu-io -f qcow2 \
	    -c 'read -P 1 0 5M' -c 'read -P 2 5M 1M' -c 'read -P 0 7M 2M' \
	    "${url}"
	atf_check -o match:'No errors' qemu-img check -f qcow2 "${url}"
	host_stop box
}

qemu_test_case bench_at_depth_ends_well
bench_at_depth_ends_well_body()
{
	box_start "allow = iqn.2008-11.org.linux-kvm*"
	url=iscsi://127.0.0.1:${port}/${iqn}/0
	for how in "-s 4k -d 64 -c 8000 -S 268439552" "-w -s 4k -d 64 -c 8000" \
	    "-w -s 1M -d 16 -c 200" "-s 1M -d 16 -c 200" \
	    "-w -s 4k -d 32 -c 4000 --flush-interval=64"; do
		# shellcheck disable=SC2086
		atf_check -o match:'Run completed' qemu-img bench -f raw \
		    -t none ${how} "${url}"
	done
	host_stop box
}
