# SPDX-License-Identifier: BSD-2-Clause
# A datastore that is full stops its guests; when there is space they go on, and
# have missed no write.
. "${VMFS_SRCDIR}/tests/qemu/guests.subr"

# What the guest writes has no space of its own yet.
fill()
{
	if dd if=/dev/zero of=h1/mnt/filler bs=1M status=none 2>err; then
		atf_fail "it does not get full"
	fi
	atf_check -o match:'No space left' cat err
	# To the last piece.
	dd if=/dev/zero of=h1/mnt/filler bs=4k oflag=append conv=notrunc \
	    status=none 2>/dev/null
	sync h1/mnt/filler
}

stops_for_want_of_space() { vm_is h1 io-error; }

full_by_file()
{
	setup h1
	fill
	vm h1 "$1" -global virtio-blk-device.werror=stop \
	    -global virtio-blk-device.rerror=stop
	until_true 60 stops_for_want_of_space ||
	    atf_fail "the guest is $(qmp h1/qmp query-status)"
	# Without space it stops again.
	atf_check -o ignore qmp h1/qmp cont
	until_true 60 stops_for_want_of_space ||
	    atf_fail "the guest is $(qmp h1/qmp query-status)"
	atf_check rm h1/mnt/filler
	atf_check -o ignore qmp h1/qmp cont
	goes_on h1
	vm_quit h1
	judge h1 h1
	hosts_stop
}

qemu_test_case full_datastore_stops_a_guest_of_a_file
full_datastore_stops_a_guest_of_a_file_body() { full_by_file fuse; }

qemu_test_case full_datastore_stops_a_guest_of_an_open_file
full_datastore_stops_a_guest_of_an_open_file_body() { full_by_file eager; }

a_write_waits()
{
	vmfsctl -c h1/ctl --json disk attached ds1 |
	    jq -e '.attachments[0].waiting > 0'
}

# There is nobody to stop it: its write waits.
qemu_test_case full_datastore_lets_a_vhost_guest_wait
full_datastore_lets_a_vhost_guest_wait_body()
{
	setup h1
	attach h1
	fill
	vm h1 vhost
	until_true 60 a_write_waits ||
	    atf_fail "$(vmfsctl -c h1/ctl --json disk attached ds1)"
	atf_check -o empty cat h1/serial
	atf_check rm h1/mnt/filler
	goes_on h1
	vm_quit h1
	judge h1 h1
	hosts_stop
}
