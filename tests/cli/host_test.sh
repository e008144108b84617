# SPDX-License-Identifier: BSD-2-Clause
# Two hosts on one file LUN: what one does the other sees, what one holds the
# other may not write.
. "${VMFS_SRCDIR}/tests/cli/hosts.subr"

two_hosts()
{
	lun_make lun "$1"
	host_start esx1 "${PWD}/lun"
	host_start esx2 "${PWD}/lun"
}

# $1 test case; all need root for the mount.
root_test_case names_are_seen_by_the_other_host
names_are_seen_by_the_other_host_body()
{
	two_hosts
	atf_check mkdir esx1/mnt/dir
	echo hello >esx1/mnt/dir/a
	atf_check -o inline:'hello\n' cat esx2/mnt/dir/a
	atf_check mv esx2/mnt/dir/a esx2/mnt/b
	atf_check -o inline:'b\ndir\n' ls esx1/mnt
	atf_check ln -s ../b esx1/mnt/dir/link
	atf_check -o inline:'../b\n' readlink esx2/mnt/dir/link
	atf_check -o inline:'hello\n' cat esx2/mnt/dir/link
	atf_check rm esx2/mnt/dir/link
	atf_check rmdir esx1/mnt/dir
	atf_check -o inline:'b\n' ls esx2/mnt
	hosts_stop
}

root_test_case rename_can_keep_what_is_there
rename_can_keep_what_is_there_body()
{
	two_hosts
	echo 1 >esx1/mnt/a
	echo 2 >esx1/mnt/b
	atf_check mv -n esx2/mnt/a esx2/mnt/b
	atf_check -o inline:'2\n' cat esx1/mnt/b
	atf_check mv esx2/mnt/a esx2/mnt/b
	atf_check -o inline:'1\n' cat esx1/mnt/b
	hosts_stop
}

root_test_case content_attributes_and_space
content_attributes_and_space_body()
{
	two_hosts
	head -c 5000000 /dev/urandom >content
	atf_check cp content esx1/mnt/file
	atf_check chmod 640 esx1/mnt/file
	atf_check chown 7:8 esx1/mnt/file
	atf_check touch -d '2020-02-02 02:02:02 UTC' esx1/mnt/file
	# The kernel tells of the last close when it likes to.
	until_true 30 eval '[ "$(stat -c "%s %a %u %g %Y" esx2/mnt/file)" = \
	    "5000000 640 7 8 1580608922" ]' || atf_fail "esx2 sees \
	    $(stat -c '%s %a %u %g %Y' esx2/mnt/file)"
	atf_check cmp content esx2/mnt/file
	atf_check truncate -s 4000000 esx2/mnt/file
	atf_check -s exit:1 -o ignore -e match:EOF cmp content esx1/mnt/file
	before=$(stat -f -c %f esx1/mnt)
	atf_check dd if=/dev/urandom of=esx1/mnt/more bs=1M count=50 status=none
	after=$(stat -f -c %f esx1/mnt)
	[ $((before - after)) -ge 12800 ] ||
	    atf_fail "free space went from ${before} to ${after} blocks"
	hosts_stop
}

root_test_case directories_of_many_names
directories_of_many_names_body()
{
	two_hosts
	mkdir esx1/mnt/d
	seq -f 'esx1/mnt/d/some-longer-name-%04g' 1 600 | xargs touch
	atf_check -o inline:'600\n' sh -c 'ls esx2/mnt/d | sort -u | wc -l'
	atf_check rm -r esx2/mnt/d
	atf_check -o empty ls esx1/mnt
	hosts_stop
}

root_test_case sparse_files
sparse_files_body()
{
	two_hosts
	truncate -s 1G esx1/mnt/f
	printf x | dd of=esx1/mnt/f bs=1M seek=512 conv=notrunc status=none
	atf_check -o inline:'1073741824\n' stat -c %s esx2/mnt/f
	[ "$(stat -c %b esx2/mnt/f)" -lt 10000 ] || atf_fail "not sparse"
	atf_check cp --sparse=always esx2/mnt/f copy
	atf_check cmp esx1/mnt/f copy
	before=$(stat -c %b esx1/mnt/f)
	atf_check fallocate -p -o 512M -l 1M esx1/mnt/f
	atf_check -o inline:'0\n' sh -c 'tr -d "\0" <esx1/mnt/f | wc -c'
	[ "$(stat -c %b esx1/mnt/f)" -lt "${before}" ] ||
	    atf_fail "punching freed nothing"
	hosts_stop
}

lock_is_free()
{
	vmfsctl -c esx2/ctl --json lock show ds1:/vm.vmdk |
	    jq -e '.lock.mode == "free"'
}

root_test_case disk_open_elsewhere_is_refused
disk_open_elsewhere_is_refused_head()
{
	atf_set require.user root
}
disk_open_elsewhere_is_refused_body()
{
	two_hosts
	atf_check vmfsctl -c esx1/ctl disk create ds1:/vm.vmdk 64M
	exec 9<>esx1/mnt/vm-flat.vmdk || atf_fail "cannot open the disk"
	atf_check -s exit:1 -e match:'Device or resource busy' \
	    dd if=/dev/zero of=esx2/mnt/vm-flat.vmdk bs=4k count=1 conv=notrunc
	atf_check -o match:'vm-flat.vmdk is locked by host esx1 \(exclusive,' \
	    cat esx2/log
	# Reading needs no lock.
	atf_check -o empty dd if=esx2/mnt/vm-flat.vmdk of=out bs=1M \
	    status=none
	atf_check -o match:'holder +esx1' -o match:'state +alive' \
	    vmfsctl -c esx2/ctl lock show ds1:/vm.vmdk
	atf_check -o match:'^/vm-flat.vmdk +exclusive +esx1' \
	    vmfsctl -c esx2/ctl lock ls ds1:
	atf_check -s exit:4 -e match:'locked by host esx1' \
	    vmfsctl -c esx2/ctl lock break ds1:/vm.vmdk
	atf_check -s exit:4 -e match:'locked by host esx1' \
	    vmfsctl -c esx2/ctl disk rm ds1:/vm.vmdk
	exec 9>&-
	atf_check dd if=/dev/zero of=esx2/mnt/vm-flat.vmdk bs=4k count=1 \
	    conv=notrunc status=none
	# The kernel tells of a close after it has returned.
	until_true 20 lock_is_free || atf_fail "the lock is left"
	atf_check -s exit:3 -e match:'is not locked' \
	    vmfsctl -c esx2/ctl lock break ds1:/vm.vmdk
	hosts_stop
}

root_test_case qemu_opens_the_descriptor
qemu_opens_the_descriptor_head()
{
	atf_set require.user root
	atf_set require.progs "qemu-img jq"
}
qemu_opens_the_descriptor_body()
{
	two_hosts
	atf_check vmfsctl -c esx1/ctl disk create ds1:/vm.vmdk 64M
	atf_check -o inline:'vmdk\n67108864\nvmfs\n' sh -c "qemu-img info \
	    --output=json esx2/mnt/vm.vmdk | jq -r '.format, \
	    .\"virtual-size\", .\"format-specific\".data.\"create-type\"'"
	head -c 67108864 /dev/urandom >in
	atf_check qemu-img convert -n -f raw -O vmdk in esx1/mnt/vm.vmdk
	atf_check qemu-img convert -f vmdk -O raw esx2/mnt/vm.vmdk out
	atf_check cmp in out
	atf_check cmp in esx2/mnt/vm-flat.vmdk
	hosts_stop
}

root_test_case fio_verifies
fio_verifies_head()
{
	atf_set require.user root
	atf_set require.progs fio
}
fio_verifies_body()
{
	two_hosts
	atf_check vmfsctl -c esx1/ctl disk create ds1:/vm.vmdk 64M
	cd esx1/mnt || atf_fail "cd"
	atf_check -o ignore -e empty fio --name=v --filename=vm-flat.vmdk \
	    --size=64M --bsrange=4k-128k --rw=randrw --iodepth=16 --direct=1 \
	    --ioengine=libaio --io_size=64M --verify=crc32c --verify_state_save=0 \
	    --verify_fatal=1 --fsync=64 --output=/dev/null
	cd ../.. || atf_fail "cd"
	hosts_stop
}

root_test_case snapshots_and_clones
snapshots_and_clones_body()
{
	two_hosts
	atf_check vmfsctl -c esx1/ctl disk create ds1:/vm.vmdk 16M
	head -c 16777216 /dev/urandom >one
	head -c 16777216 /dev/urandom >two
	atf_check dd if=one of=esx1/mnt/vm-flat.vmdk conv=notrunc bs=1M \
	    status=none
	atf_check -o ignore vmfsctl -c esx1/ctl disk snapshot ds1:/vm.vmdk s1
	atf_check dd if=two of=esx1/mnt/vm-flat.vmdk conv=notrunc bs=1M \
	    status=none
	atf_check -o ignore vmfsctl -c esx2/ctl disk clone ds1:/vm.vmdk@s1 \
	    ds1:/new.vmdk
	# The clone is open on one host while the disk is on the other.
	exec 8<>esx1/mnt/vm-flat.vmdk 9<>esx2/mnt/new-flat.vmdk ||
	    atf_fail "clone and disk do not open at the same time"
	atf_check cmp two esx1/mnt/vm-flat.vmdk
	atf_check cmp one esx2/mnt/new-flat.vmdk
	exec 8>&- 9>&-
	atf_check -s exit:4 -e match:'needed by 1 clone' \
	    vmfsctl -c esx1/ctl disk rm-snapshot ds1:/vm.vmdk@s1
	atf_check -o inline:'s1\n' sh -c "vmfsctl -c esx2/ctl --json disk \
	    snapshots ds1:/vm.vmdk | jq -r '.snapshots[].name'"
	atf_check vmfsctl -c esx1/ctl disk rm ds1:/new.vmdk
	atf_check vmfsctl -c esx1/ctl disk revert ds1:/vm.vmdk@s1
	atf_check cmp one esx2/mnt/vm-flat.vmdk
	atf_check vmfsctl -c esx1/ctl disk rm-snapshot ds1:/vm.vmdk@s1
	atf_check -s exit:3 -e match:"no snapshot 's1'" \
	    vmfsctl -c esx1/ctl disk revert ds1:/vm.vmdk@s1
	hosts_stop
}

root_test_case disks_are_listed_and_renamed
disks_are_listed_and_renamed_body()
{
	two_hosts
	mkdir esx1/mnt/web
	atf_check vmfsctl -c esx1/ctl disk create ds1:/web/a.vmdk 1G
	atf_check -s exit:1 -e match:'exists already' \
	    vmfsctl -c esx2/ctl disk create ds1:/web/a.vmdk 1G
	atf_check -s exit:2 -e match:'ends in .vmdk' \
	    vmfsctl -c esx2/ctl disk create ds1:/web/a 1G
	atf_check -s exit:2 -e match:'is no size' \
	    vmfsctl -c esx2/ctl disk create ds1:/web/b.vmdk lots
	atf_check -s exit:3 -e match:"no such file in datastore 'ds1'" \
	    vmfsctl -c esx2/ctl disk create ds1:/none/b.vmdk 1G
	atf_check vmfsctl -c esx2/ctl disk mv ds1:/web/a.vmdk ds1:/b.vmdk
	atf_check -o inline:'/b.vmdk\n1073741824\n' sh -c "vmfsctl -c esx1/ctl \
	    disk ls ds1: --json | jq -r '.disks[] | .disk, .size'"
	atf_check -o match:'VMFS "b-flat.vmdk"' cat esx1/mnt/b.vmdk
	atf_check vmfsctl -c esx1/ctl disk rm ds1:/b.vmdk
	atf_check -o inline:'web\n' ls esx2/mnt
	hosts_stop
}

root_test_case full_datastore_keeps_old_data
full_datastore_keeps_old_data_body()
{
	two_hosts 96M
	head -c 8000000 /dev/urandom >old
	atf_check cp old esx1/mnt/old
	atf_check -s exit:1 -o ignore -e match:'No space left' \
	    dd if=/dev/zero of=esx1/mnt/fill bs=1M
	atf_check cmp old esx2/mnt/old
	atf_check rm esx1/mnt/fill
	# What was freed can be used again.
	until_true 20 cp old esx1/mnt/new || atf_fail "space did not come back"
	atf_check cmp old esx2/mnt/new
	hosts_stop
}

root_test_case same_host_name_twice_is_refused
same_host_name_twice_is_refused_body()
{
	hosts_up esx1
	mkdir -p twin/mnt
	printf '[datastore ds1]\nlun = %s\nmount = %s\n' "${PWD}/lun" \
	    "${PWD}/twin/mnt" | host_conf twin
	sed -i 's/^name = twin/name = esx1/' twin/conf
	daemon_start twin
	atf_check -o match:'another live host has this name' cat twin/err
	mount_failed twin 'another live host has this name'
	daemon_stop twin
	atf_check -o empty touch esx1/mnt/still-works
	hosts_stop
}

# Who is told to remove it when it is only not readable becomes another host.
root_test_case identity_that_cannot_be_read_is_told
identity_that_cannot_be_read_is_told_body()
{
	mkdir esx1
	: | host_conf esx1
	mkdir esx1/id/host-uuid
	atf_check -s exit:1 -o ignore \
	    -e match:"cannot read '.*/host-uuid': Is a directory" \
	    vmfsd --config=esx1/conf
	rmdir esx1/id/host-uuid
	echo nothing >esx1/id/host-uuid
	atf_check -s exit:1 -o ignore -e match:"holds no UUID; restore it" \
	    vmfsd --config=esx1/conf
}

root_test_case same_identity_twice_is_refused
same_identity_twice_is_refused_body()
{
	hosts_up esx1
	atf_check -s exit:1 -o empty \
	    -e match:"in use by the vmfsd with process id $(cat esx1/pid)" \
	    vmfsd --daemon --config=esx1/conf --log-file=twin.log
	hosts_stop
}

root_test_case wrong_luns_are_explained
wrong_luns_are_explained_body()
{
	truncate -s 128M empty
	mkdir -p h/mnt
	printf '[datastore ds1]\nlun = %s\nmount = %s\n' "${PWD}/empty" \
	    "${PWD}/h/mnt" | host_conf h
	daemon_start h
	mount_failed h 'carries no datastore; mkfs.vmfs makes one'
	daemon_stop h
	truncate -s 100 empty
	daemon_start h
	mount_failed h 'it is empty, or too small to be a LUN'
	daemon_stop h
	lun_make lun
	sed -i "s|/empty|/lun|" h/conf
	rmdir h/mnt
	daemon_start h
	mount_failed h "cannot mount on '${PWD}/h/mnt': make the directory"
	daemon_stop h
	mkdir h/mnt
	atf_check "${VMFS_BUILDDIR}/tests/cli/super_feature" lun 0x8000
	before=$(sha256sum <lun)
	daemon_start h
	mount_failed h 'install a newer vmfsd'
	daemon_stop h
	atf_check_equal "${before}" "$(sha256sum <lun)"
}

root_test_case damaged_superblock_is_read_from_its_copies
damaged_superblock_is_read_from_its_copies_body()
{
	lun_make lun
	for block in 16 512; do
		head -c 4096 /dev/urandom | dd of=lun bs=4096 seek=${block} \
		    conv=notrunc status=none
	done
	host_start esx1 "${PWD}/lun"
	atf_check touch esx1/mnt/works
	hosts_stop
}

root_test_case lists_have_json
lists_have_json_body()
{
	two_hosts
	for list in "ds ls" "host ls ds1" "lock ls ds1:" "disk ls ds1:"; do
		# shellcheck disable=SC2086
		atf_check -o save:json vmfsctl -c esx1/ctl ${list} --json
		atf_check -o inline:'1\n' jq .api json
	done
	atf_check -o inline:'esx1\nesx2\n' sh -c "vmfsctl -c esx2/ctl --json \
	    host ls ds1 | jq -r '.hosts[].host' | sort"
	atf_check -o match:'^ds1	' vmfsctl -c esx1/ctl -H ds ls
	hosts_stop
}

root_test_case busy_mount_is_not_unmounted
busy_mount_is_not_unmounted_body()
{
	hosts_up esx1
	exec 9>esx1/mnt/open
	atf_check -s exit:4 -e match:'files are open there' \
	    vmfsctl -c esx1/ctl ds unmount ds1
	exec 9>&-
	atf_check vmfsctl -c esx1/ctl ds unmount ds1
	atf_check -s exit:3 -e match:'is not mounted' vmfsctl -c esx1/ctl disk ls ds1:
	atf_check vmfsctl -c esx1/ctl ds mount ds1
	atf_check -o inline:'open\n' ls esx1/mnt
	atf_check umount esx1/mnt
	until_true 10 eval "vmfsctl -c esx1/ctl -H ds ls | grep -q unmounted" ||
	    atf_fail "umount(8) was not noticed"
	hosts_stop
}

root_test_case readonly_mount_refuses_writes
readonly_mount_refuses_writes_body()
{
	hosts_up esx1
	echo text >esx1/mnt/file
	host_stop esx1
	printf '[datastore ds1]\nlun = %s\nmount = %s\noptions = ro\n' \
	    "${PWD}/lun" "${PWD}/esx1/mnt" | host_conf esx1
	daemon_start esx1
	atf_check -o inline:'text\n' cat esx1/mnt/file
	atf_check -s exit:1 -e match:'Read-only' touch esx1/mnt/new
	hosts_stop
}
