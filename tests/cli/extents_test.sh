# SPDX-License-Identifier: BSD-2-Clause
# Datastores of several LUNs.
. "${VMFS_SRCDIR}/tests/cli/hosts.subr"

iqn=iqn.2026-11.test:box

# A box with LUNs 0, 1 and 2; the datastore is on the first.
box_start()
{
	truncate -s 128M store0
	truncate -s 256M store1
	truncate -s 256M store2
	{
		printf '[portal]\nlisten = 127.0.0.1:0\n[target %s]\n' ${iqn}
		for i in 0 1 2; do
			printf 'lun.%s = %s\n' $i "${PWD}/store$i"
		done
		printf 'allow = iqn.2026-11.test:*\n'
	} | host_conf box
	daemon_start box
	base="iscsi://$(portal_of box)/${iqn}"
	lun="${base}/0"
	atf_check -o ignore mkfs.vmfs -L ds1 --timers=${timers} \
	    --initiator=iqn.2026-11.test:admin "${lun}"
}

# capacity_above HOST BYTES
capacity_above()
{
	[ "$(vmfsctl -c "$1/ctl" -j ds info ds1 |
	    jq .datastore.capacity)" -gt "$2" ]
}

# extents_are HOST "STATUS..."
extents_are()
{
	[ "$(vmfsctl -c "$1/ctl" -j ds extent ls ds1 |
	    jq -r '[.extents[].status] | join(" ")')" = "$2" ]
}

root_test_case a_lun_is_added_under_load
a_lun_is_added_under_load_body()
{
	box_start
	host_start esx1 "${lun}"
	host_start esx2 "${lun}"
	(
		until [ -e stop ]; do
			dd if=/dev/zero of=esx2/mnt/load bs=1M count=16 \
			    conv=fsync,notrunc 2>>load.err || exit 1
		done
	) &
	load=$!
	atf_check vmfsctl -c esx1/ctl ds extent add ds1 "${base}/1"
	capacity_above esx1 300000000 || atf_fail "esx1 has not grown"
	until_true 20 extents_are esx2 "ok ok" ||
	    atf_fail "esx2 did not learn of it"
	# More than the first LUN has, on both hosts.
	until_true 30 dd if=/dev/urandom of=esx1/mnt/big bs=1M count=150 \
	    conv=fsync || atf_fail "the new space cannot be written"
	atf_check cmp esx1/mnt/big esx2/mnt/big
	touch stop
	wait ${load} || atf_fail "the load met an error: $(cat load.err)"
	atf_check cp esx1/mnt/big big
	host_stop esx1
	host_stop esx2
	# It is found again without being named, and by a tool.
	host_start esx3 "${lun}"
	atf_check cmp big esx3/mnt/big
	atf_check -o match:'^0	128 MiB	.*	ok	' \
	    -o match:'^1	.* MiB	.* MiB	ok	' \
	    vmfsctl -c esx3/ctl -H ds extent ls ds1
	host_stop esx3
	host_stop box
	fsck_is_clean "$(realpath store0)" "$(realpath store1)"
}

root_test_case a_dead_host_is_fenced_on_every_lun
a_dead_host_is_fenced_on_every_lun_body()
{
	box_start
	host_start esx1 "${lun}"
	host_start esx2 "${lun}"
	atf_check vmfsctl -c esx1/ctl ds extent add ds1 "${base}/1"
	until_true 20 extents_are esx2 "ok ok" || atf_fail "not followed"
	until_true 30 dd if=/dev/urandom of=esx1/mnt/big bs=1M count=150 \
	    conv=fsync || atf_fail "the new space cannot be written"
	atf_check cp esx1/mnt/big big
	host_kill esx1
	until_true 30 sh -c "vmfsctl -c esx2/ctl host takeovers ds1 |
	    grep -q 'esx1.*done'" || atf_fail "no take-over"
	atf_check cmp big esx2/mnt/big
	atf_check rm esx2/mnt/big
	host_stop esx2
	host_stop box
	fsck_is_clean "$(realpath store0)" "$(realpath store1)"
}

root_test_case a_lun_is_emptied_under_load_and_taken_out
a_lun_is_emptied_under_load_and_taken_out_body()
{
	box_start
	host_start esx1 "${lun}"
	host_start esx2 "${lun}"
	atf_check -s not-exit:0 -o ignore -e match:'is the first LUN' \
	    vmfsctl -c esx1/ctl ds extent evacuate ds1 0
	atf_check -s not-exit:0 -o ignore -e match:'has no extent 1' \
	    vmfsctl -c esx1/ctl ds extent evacuate ds1 1
	atf_check vmfsctl -c esx1/ctl ds extent add ds1 "${base}/1"
	until_true 20 extents_are esx2 "ok ok" || atf_fail "not followed"
	atf_check -s not-exit:0 -e match:'evacuate' \
	    vmfsctl -c esx1/ctl ds extent rm ds1 1
	until_true 30 dd if=/dev/urandom of=esx1/mnt/big bs=1M count=150 \
	    conv=fsync || atf_fail "the new space cannot be written"
	atf_check cp esx1/mnt/big big
	atf_check vmfsctl -c esx1/ctl ds extent add ds1 "${base}/2"
	until_true 20 extents_are esx2 "ok ok ok" || atf_fail "not followed"
	# A guest of this host writes, and one of the other.
	for h in esx1 esx2; do
		(
			until [ -e stop ]; do
				dd if=/dev/zero of=${h}/mnt/load.${h} bs=1M \
				    count=16 conv=fsync,notrunc \
				    2>>load.${h}.err || exit 1
			done
		) &
		eval "load_${h}=$!"
	done
	# What the other host has open just now it has to move itself.
	until_true 60 sh -c "vmfsctl -c esx1/ctl ds extent evacuate ds1 1 ||
	    { vmfsctl -c esx2/ctl ds extent evacuate ds1 1; false; }" ||
	    atf_fail "$(vmfsctl -c esx1/ctl task ls)"
	atf_check -o match:'^1	.*	leaving	' \
	    vmfsctl -c esx1/ctl -H ds extent ls ds1
	until_true 30 vmfsctl -c esx1/ctl ds extent rm ds1 1 ||
	    atf_fail "$(vmfsctl -c esx1/ctl ds extent rm ds1 1 2>&1)"
	until_true 20 extents_are esx2 "ok ok" || atf_fail "not followed"
	touch stop
	# shellcheck disable=SC2154
	wait "${load_esx1}" || atf_fail "esx1: $(cat load.esx1.err)"
	# shellcheck disable=SC2154
	wait "${load_esx2}" || atf_fail "esx2: $(cat load.esx2.err)"
	atf_check cmp big esx1/mnt/big
	atf_check cmp big esx2/mnt/big
	# It is nobody's now.
	atf_check -o ignore mkfs.vmfs -L other --timers=${timers} \
	    --initiator=iqn.2026-11.test:admin "${base}/1"
	host_stop esx1
	host_stop esx2
	host_stop box
	fsck_is_clean "$(realpath store0)" "$(realpath store2)"
}

# vm_and_clone MIB BLOCKS: a disk with a snapshot and its clone, by esx1; so many
# blocks are newer.  What they hold is in vm and two.
vm_and_clone()
{
	atf_check vmfsctl -c esx1/ctl disk create ds1:/vm.vmdk 300M
	until_true 30 dd if=/dev/urandom of=esx1/mnt/vm-flat.vmdk bs=1M \
	    count="$1" conv=fsync,notrunc || atf_fail "no new space"
	atf_check vmfsctl -c esx1/ctl disk snapshot ds1:/vm.vmdk one
	atf_check vmfsctl -c esx1/ctl disk clone ds1:/vm.vmdk@one \
	    ds1:/two.vmdk
	atf_check -e ignore dd if=/dev/urandom of=esx1/mnt/vm-flat.vmdk \
	    bs=4096 count="$2" seek=37000 conv=fsync,notrunc
	atf_check cp esx1/mnt/vm-flat.vmdk vm
	atf_check cp esx1/mnt/two-flat.vmdk two
}

# lun_goes HOST: which empties extent 1 and takes it out
lun_goes()
{
	until_true 60 vmfsctl -c "$1/ctl" ds extent evacuate ds1 1 ||
	    atf_fail "$(vmfsctl -c "$1/ctl" ds extent evacuate ds1 1 2>&1)"
	until_true 30 vmfsctl -c "$1/ctl" ds extent rm ds1 1 ||
	    atf_fail "$(vmfsctl -c "$1/ctl" ds extent rm ds1 1 2>&1)"
}

root_test_case snapshots_and_clones_go_with_their_disk
snapshots_and_clones_go_with_their_disk_body()
{
	lun_make lun0 128M
	truncate -s 256M lun1
	truncate -s 256M lun2
	host_start esx1 "${PWD}/lun0"
	atf_check vmfsctl -c esx1/ctl ds extent add ds1 "${PWD}/lun1"
	vm_and_clone 150 100
	atf_check vmfsctl -c esx1/ctl ds extent add ds1 "${PWD}/lun2"
	lun_goes esx1
	extents_are esx1 "ok ok" || atf_fail "it is not gone"
	rm lun1
	atf_check cmp vm esx1/mnt/vm-flat.vmdk
	atf_check cmp two esx1/mnt/two-flat.vmdk
	hosts_stop
	fsck_is_clean lun0 lun2
}

root_test_case what_keeps_a_lun_is_named
what_keeps_a_lun_is_named_body()
{
	lun_make lun0 64M
	truncate -s 256M lun1
	truncate -s 256M lun2
	host_start esx1 "${PWD}/lun0"
	atf_check vmfsctl -c esx1/ctl disk create ds1:/vm.vmdk 300M
	atf_check mkdir esx1/mnt/limited
	# No room for an inode on the first LUN.
	atf_check -s not-exit:0 -o ignore -e ignore \
	    dd if=/dev/zero of=esx1/mnt/vm-flat.vmdk bs=64k conv=notrunc,fsync
	atf_check vmfsctl -c esx1/ctl ds extent add ds1 "${PWD}/lun1"
	until_true 30 dd if=/dev/zero of=esx1/mnt/late bs=1M count=8 \
	    conv=fsync || atf_fail "no new space"
	for i in $(seq 200); do
		touch "esx1/mnt/late$i"
	done
	atf_check -o ignore vmfsctl -c esx1/ctl quota set ds1:/limited \
	    --limit=8M
	atf_check vmfsctl -c esx1/ctl disk snapshot ds1:/vm.vmdk one
	atf_check vmfsctl -c esx1/ctl ds extent add ds1 "${PWD}/lun2"
	atf_check -s exit:1 -o ignore \
	    -e match:"still lie on extent 1.*/late.*, whose inode cannot move" \
	    vmfsctl -c esx1/ctl ds extent evacuate ds1 1
	atf_check sh -c "rm esx1/mnt/late*"
	atf_check -s exit:1 -o ignore \
	    -e match:"snapshot 'one' of /vm-flat.vmdk, whose inode cannot" \
	    -e match:"quota of /limited, whose inode cannot move" \
	    vmfsctl -c esx1/ctl ds extent evacuate ds1 1
	atf_check -s exit:1 -e match:"snapshot 'one' of /vm" \
	    vmfsctl -c esx1/ctl ds extent rm ds1 1
	atf_check -o match:'leaving *extent 1, .* left: .*evacuate ds1 1' \
	    -o match:'luns *3' vmfsctl -c esx1/ctl ds info ds1
	atf_check vmfsctl -c esx1/ctl ds extent keep ds1 1
	extents_are esx1 "ok ok ok" || atf_fail "it is not kept"
	atf_check -o not-match:leaving vmfsctl -c esx1/ctl ds info ds1
	# Without them it goes.
	atf_check -o ignore vmfsctl -c esx1/ctl quota clear ds1:/limited
	atf_check vmfsctl -c esx1/ctl disk rm-snapshot ds1:/vm.vmdk@one
	lun_goes esx1
	extents_are esx1 "ok ok" || atf_fail "it is not gone"
	hosts_stop
	fsck_is_clean lun0 lun2
}

# used_below HOST BYTES
used_below()
{
	[ "$(vmfsctl -c "$1/ctl" -j ds extent ls ds1 |
	    jq '.extents[1].used')" -lt "$2" ]
}

root_test_case another_host_goes_on_after_a_crash
another_host_goes_on_after_a_crash_body()
{
	box_start
	host_start esx1 "${lun}"
	host_start esx2 "${lun}"
	atf_check vmfsctl -c esx1/ctl ds extent add ds1 "${base}/1"
	until_true 20 extents_are esx2 "ok ok" || atf_fail "not followed"
	vm_and_clone 200 500
	atf_check vmfsctl -c esx1/ctl ds extent add ds1 "${base}/2"
	until_true 20 extents_are esx2 "ok ok ok" || atf_fail "not followed"
	before=$(vmfsctl -c esx1/ctl -j ds extent ls ds1 |
	    jq '.extents[1].used')
	vmfsctl -c esx1/ctl ds extent evacuate ds1 1 >task 2>&1 &
	task=$!
	until_true 60 used_below esx1 $((before - 1000000)) ||
	    atf_fail "nothing moves: $(cat task)"
	host_kill esx1
	wait ${task}
	until_true 30 sh -c "vmfsctl -c esx2/ctl host takeovers ds1 |
	    grep -q 'esx1.*done'" || atf_fail "no take-over"
	extents_are esx2 "ok leaving ok" || atf_fail "it is not leaving"
	lun_goes esx2
	atf_check cmp vm esx2/mnt/vm-flat.vmdk
	atf_check cmp two esx2/mnt/two-flat.vmdk
	host_stop esx2
	host_stop box
	fsck_is_clean "$(realpath store0)" "$(realpath store2)"
}

root_test_case supervision_says_what_it_cannot_do
supervision_says_what_it_cannot_do_body()
{
	daemon_in=supervised
	lun_make lun0 128M
	truncate -s 128M lun1
	host_start esx1 "${PWD}/lun0"
	atf_check -s exit:1 grep -q 'has several LUNs' esx1/log
	atf_check vmfsctl -c esx1/ctl ds extent add ds1 "${PWD}/lun1"
	host_stop esx1
	host_start esx2 "${PWD}/lun0"
	atf_check grep -q 'ds1: has several LUNs: .*mounted anew' esx2/log
	host_stop esx2
	fsck_is_clean lun0
}

root_test_case only_the_last_lun_grows
only_the_last_lun_grows_body()
{
	lun_make lun0 128M
	truncate -s 128M lun1
	host_start esx1 "${PWD}/lun0"
	atf_check vmfsctl -c esx1/ctl ds extent add ds1 "${PWD}/lun1"
	truncate -s 256M lun0
	atf_check -s exit:1 -o empty \
	    -e match:'extent 0 has 128 MiB more.*extent 1 larger, or add' \
	    vmfsctl -c esx1/ctl ds grow ds1
	truncate -s 256M lun1
	atf_check -o match:'capacity *38[0-9] MiB' \
	    vmfsctl -c esx1/ctl ds grow ds1
	truncate -s 128M lun2
	until_true 20 vmfsctl -c esx1/ctl ds extent add ds1 "${PWD}/lun2" ||
	    atf_fail "no third LUN"
	lun_goes esx1
	# Between the two that are left there are now addresses of none.
	truncate -s 256M lun2
	until_true 20 sh -c "vmfsctl -c esx1/ctl -j ds grow ds1 >grown" ||
	    atf_fail "the third LUN does not grow"
	atf_check -o save:info vmfsctl -c esx1/ctl -j ds info ds1
	atf_check_equal "$(jq -c '.datastore | [.capacity, .lun_size]' info)" \
	    "$(jq -c '.grown | [.capacity, .lun_size]' grown)"
	atf_check_equal 512 "$(jq '.datastore.lun_size / 1048576' info)"
	lun_goes esx1
	truncate -s 512M lun0
	atf_check -s exit:1 -o empty -e match:'added last .* has left.*add' \
	    vmfsctl -c esx1/ctl ds grow ds1
	rm lun1 lun2
	hosts_stop
	fsck_is_clean lun0
}

root_test_case new_space_can_be_used_when_the_command_has_ended
new_space_can_be_used_when_the_command_has_ended_body()
{
	lun_make lun0 128M
	truncate -s 128M lun1
	host_start esx1 "${PWD}/lun0"
	atf_check vmfsctl -c esx1/ctl ds extent add ds1 "${PWD}/lun1"
	atf_check -o ignore vmfsctl -c esx1/ctl disk create --eager \
	    ds1:/a.vmdk 180M
	truncate -s 256M lun1
	atf_check -o ignore vmfsctl -c esx1/ctl ds grow ds1
	atf_check -o ignore vmfsctl -c esx1/ctl disk create --eager \
	    ds1:/b.vmdk 100M
	# 280 MiB and the metadata, on both.
	vmfsctl -c esx1/ctl -j ds extent ls ds1 >extents
	atf_check -o inline:'true\n' jq \
	    '[.extents[].used] | min > 0 and add >= 280 * 1048576' extents
	hosts_stop
	fsck_is_clean lun0
}

root_test_case fsck_knows_a_lun_by_its_note
fsck_knows_a_lun_by_its_note_body()
{
	truncate -s 128M lun0
	truncate -s 128M lun1
	truncate -s 128M lun2
	atf_check -o ignore mkfs.vmfs -L ds1 --timers=${timers} lun0 \
	    "${PWD}/lun1"
	for at in 16 128; do
		atf_check -e ignore dd if=/dev/zero of=lun1 bs=4096 count=1 \
		    seek=${at} conv=notrunc
	done
	# Another LUN does not pass for it.
	atf_check -s exit:8 -o ignore -e match:'no extent of this' \
	    fsck.vmfs lun0 lun2
	atf_check -s exit:4 -o match:'note on the first LUN is good' \
	    fsck.vmfs lun0
	atf_check -s exit:1 -o match:'2 problems' -e ignore fsck.vmfs -y lun0
	fsck_is_clean lun0
	host_start esx1 "${PWD}/lun0"
	extents_are esx1 "ok ok" || atf_fail "it is not found"
	hosts_stop
}

root_test_case without_a_lun_the_rest_is_mounted
without_a_lun_the_rest_is_mounted_body()
{
	lun_make lun0 128M
	truncate -s 128M lun1
	host_start esx1 "${PWD}/lun0"
	atf_check -e ignore dd if=/dev/urandom of=esx1/mnt/here bs=1M count=8
	atf_check vmfsctl -c esx1/ctl ds extent add ds1 "${PWD}/lun1"
	until_true 20 dd if=/dev/urandom of=esx1/mnt/there bs=1M count=140 \
	    conv=fsync || atf_fail "the new space cannot be written"
	atf_check cp esx1/mnt/here here
	host_stop esx1
	# Its LUN has another name now, which nobody has said.
	mv lun1 moved
	host_start esx1 "${PWD}/lun0"
	extents_are esx1 "ok missing" || atf_fail "it is not missing"
	atf_check -s exit:6 -o match:'missing.*lun1' -e empty \
	    vmfsctl -c esx1/ctl ds extent ls ds1
	atf_check cmp here esx1/mnt/here
	atf_check -s exit:1 -e match:'Input/output error' -o ignore \
	    cat esx1/mnt/there
	atf_check grep -q "extent 1 is missing.*'${PWD}/lun1'.*no such file" \
	    esx1/log
	atf_check grep -q 'fuse: ds1: read of there failed.*extent' esx1/log
	daemon_stop esx1
	atf_check -s exit:8 -e match:'extent 1 .*lun1.*is missing' -o ignore \
	    fsck.vmfs lun0
	atf_check -s exit:8 -e match:'no extent of this datastore' -o ignore \
	    fsck.vmfs lun0 lun0
	fsck_is_clean lun0 moved
	printf '[datastore ds1]\nlun = %s\nextent = %s\nmount = %s\n' \
	    "${PWD}/lun0" "${PWD}/moved" "${PWD}/esx1/mnt" | host_conf esx1
	: >esx1/log
	daemon_start esx1
	extents_are esx1 "ok ok" || atf_fail "it is not found"
	atf_check -o ignore cat esx1/mnt/there
	hosts_stop
}

root_test_case mkfs_makes_one_of_several_luns
mkfs_makes_one_of_several_luns_body()
{
	truncate -s 128M lun0
	truncate -s 128M lun1
	truncate -s 128M lun2
	atf_check -s exit:1 -o empty -e match:'no such file' mkfs.vmfs \
	    -L ds1 --timers=${timers} "${PWD}/lun0" "${PWD}/nothing"
	atf_check -s exit:8 -o ignore -e match:'no datastore' fsck.vmfs lun0
	atf_check -o match:'luns *3' -o match:'size *38[0-9] MiB|size *37' \
	    mkfs.vmfs -L ds1 --timers=${timers} lun0 lun1 "${PWD}/lun2"
	fsck_is_clean lun0
	host_start esx1 "${PWD}/lun0"
	extents_are esx1 "ok ok ok" || atf_fail "not three"
	atf_check -e ignore dd if=/dev/urandom of=esx1/mnt/big bs=1M \
	    count=300 conv=fsync
	hosts_stop
	fsck_is_clean lun0 lun2 lun1
}

root_test_case what_carries_something_is_not_taken
what_carries_something_is_not_taken_body()
{
	lun_make lun0 128M
	lun_make other 128M
	truncate -s 128M lun1
	truncate -s 8M small
	host_start esx1 "${PWD}/lun0"
	atf_check -s exit:1 -e match:"carries the datastore 'ds1'.*--force" \
	    vmfsctl -c esx1/ctl ds extent add ds1 "${PWD}/other"
	atf_check -s exit:1 -e match:'too small' \
	    vmfsctl -c esx1/ctl ds extent add ds1 "${PWD}/small"
	atf_check -s exit:1 -e match:'carries the datastore' \
	    vmfsctl -c esx1/ctl -f ds extent add ds1 "${PWD}/lun0"
	atf_check -s not-exit:0 -e match:'absolute path' \
	    vmfsctl -c esx1/ctl ds extent add ds1 lun1
	atf_check vmfsctl -c esx1/ctl ds extent add ds1 "${PWD}/lun1"
	atf_check -s not-exit:0 -e match:'is extent 1 of datastore' \
	    vmfsctl -c esx1/ctl ds extent add ds1 "${PWD}/lun1"
	atf_check vmfsctl -c esx1/ctl -f ds extent add ds1 "${PWD}/other"
	extents_are esx1 "ok ok ok" || atf_fail "not three"
	hosts_stop
	atf_check -s exit:8 -o ignore -e match:'further LUN' fsck.vmfs lun1
	atf_check -s exit:1 -o ignore -e match:'extent.* of .*ds1' \
	    mkfs.vmfs "${PWD}/lun1"
	fsck_is_clean lun0
}
