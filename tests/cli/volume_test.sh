# SPDX-License-Identifier: BSD-2-Clause
# The volume as a whole: it grows with its LUN, has a label, is told from its
# copies.
. "${VMFS_SRCDIR}/tests/cli/hosts.subr"

iqn=iqn.2026-11.test:box

box_start()
{
	truncate -s 256M store
	printf '[portal]\nlisten = 127.0.0.1:0\n[target %s]\n%s\n%s\n' ${iqn} \
	    "lun.0 = ${PWD}/store,thin" 'allow = iqn.2026-11.test:*' |
	    host_conf box
	daemon_start box
	lun="iscsi://$(portal_of box)/${iqn}/0"
	atf_check -o ignore mkfs.vmfs -L ds1 --timers=${timers} \
	    --initiator=iqn.2026-11.test:admin "${lun}"
}

# capacity_is HOST BYTES
capacity_is()
{
	[ "$(vmfsctl -c "$1/ctl" -j ds info ds1 |
	    jq .datastore.capacity)" -eq "$2" ]
}

root_test_case scrub_names_what_is_damaged
scrub_names_what_is_damaged_body()
{
	box_start
	host_start esx1 "${lun}"
	atf_check -o ignore vmfsctl -c esx1/ctl disk create ds1:/vm.vmdk 1G
	atf_check -o match:'^sound: [0-9]+ blocks, [0-9.]+ [KM]iB read$' \
	    -o not-match:BLOCK -e empty vmfsctl -c esx1/ctl \
	    ds scrub ds1 --rate=0
	atf_check -o save:out -e empty vmfsctl -c esx1/ctl -j ds scrub ds1
	atf_check -o inline:'sound\n0\n' jq -r '.status, (.findings | length)' \
	    out
	# Two superblock copies, on the medium: nobody writes to them.
	for block in 512 784; do
		printf '\377\125' | dd of=store bs=1 \
		    seek=$((block * 4096 + 900)) conv=notrunc 2>/dev/null
	done
	atf_check -s exit:6 -o save:out -e empty vmfsctl -c esx1/ctl -j \
	    ds scrub ds1
	atf_check -o inline:'damaged\n512 the superblock\n784 the superblock\n' \
	    jq -r '.status, (.findings[] | "\(.block) \(.object)")' out
	atf_check -s exit:6 -o match:'^BLOCK' -e empty vmfsctl -c esx1/ctl \
	    ds scrub ds1
	atf_check -o match:'scrub: super block 784' cat esx1/log
	atf_check -s exit:3 -o empty -e match:nothing vmfsctl -c esx1/ctl \
	    ds scrub nothing
}

root_test_case grows_with_its_lun_under_load
grows_with_its_lun_under_load_body()
{
	box_start
	host_start esx1 "${lun}"
	host_start esx2 "${lun}"
	# One host writes all the time, to the end of the old volume and on.
	(
		until [ -e stop ]; do
			dd if=/dev/zero of=esx2/mnt/load bs=1M count=32 \
			    conv=fsync,notrunc 2>>load.err || exit 1
		done
	) &
	load=$!
	atf_check -o empty -e ignore vmfsctl -c box/ctl lun resize ${iqn} 0 1G
	atf_check -o match:'capacity *1 GiB' vmfsctl -c esx1/ctl ds grow ds1
	capacity_is esx1 1073741824 || atf_fail "esx1 has not grown"
	until_true 20 capacity_is esx2 1073741824 ||
	    atf_fail "esx2 did not learn of it"
	until_true 20 dd if=/dev/urandom of=esx1/mnt/big bs=1M count=400 \
	    conv=fsync || atf_fail "the new space cannot be written"
	atf_check cp esx1/mnt/big esx2/mnt/copy
	atf_check cmp esx1/mnt/copy esx2/mnt/copy
	touch stop
	wait ${load} || atf_fail "the load met an error: $(cat load.err)"
	host_stop esx1
	host_stop esx2
	host_stop box
	fsck_is_clean "$(realpath store)"
}

root_test_case growing_without_a_larger_lun_is_refused
growing_without_a_larger_lun_is_refused_body()
{
	lun_make lun 256M
	host_start esx1 "${PWD}/lun"
	atf_check -s exit:1 -e match:'no more than the 256 MiB' \
	    vmfsctl -c esx1/ctl ds grow ds1
	atf_check truncate -s 300M lun
	atf_check -o match:'lun size *300 MiB' vmfsctl -c esx1/ctl ds grow ds1
	atf_check -s exit:3 -e match:'there is no datastore' \
	    vmfsctl -c esx1/ctl ds grow ds2
	hosts_stop
	fsck_is_clean "$(realpath lun)"
}

root_test_case label_is_changed_while_mounted
label_is_changed_while_mounted_body()
{
	lun_make lun 256M
	host_start esx1 "${PWD}/lun"
	host_start esx2 "${PWD}/lun"
	atf_check vmfsctl -c esx1/ctl ds label ds1 "silver 7"
	atf_check -o match:'label *silver 7' vmfsctl -c esx1/ctl ds info ds1
	until_true 20 sh -c \
	    "vmfsctl -c esx2/ctl ds info ds1 | grep -q 'label.*silver 7'" ||
	    atf_fail "esx2 did not learn of it"
	atf_check -s exit:2 -e match:'1 to 64 bytes' vmfsctl -c esx1/ctl \
	    ds label ds1 "$(printf '%065d' 7)"
	hosts_stop
}

root_test_case space_is_told_before_it_ends
space_is_told_before_it_ends_body()
{
	lun_make lun 256M
	host_start esx1 "${PWD}/lun"
	atf_check -o match:'space *ok' vmfsctl -c esx1/ctl ds info ds1
	atf_check vmfsctl -c esx1/ctl disk create ds1:/vm.vmdk 1T
	until_true 20 sh -c \
	    "vmfsctl -c esx1/ctl ds info ds1 | grep -q 'provisioned *1 TiB'" ||
	    atf_fail "the disk of 1 TiB is not counted"
	atf_check -o match:'PROVISIONED' vmfsctl -c esx1/ctl ds ls
	atf_check -e ignore dd if=/dev/zero of=esx1/mnt/a bs=1M count=200
	atf_check -o match:'space *low' vmfsctl -c esx1/ctl ds info ds1
	atf_check -e ignore dd if=/dev/zero of=esx1/mnt/b bs=1M count=35
	atf_check -o match:'space *very low' vmfsctl -c esx1/ctl ds info ds1
	atf_check rm esx1/mnt/a
	until_true 20 sh -c \
	    "vmfsctl -c esx1/ctl ds info ds1 | grep -q 'space *ok'" ||
	    atf_fail "space was not given back"
	atf_check -o match:'warn: datastore: ds1: space is low: .* in use' \
	    -o match:'warn: datastore: ds1: space is very low' \
	    -o match:'info: datastore: ds1: space is ok' cat esx1/log
	hosts_stop
}

# MiB that the LUN's file takes
taken()
{
	echo $(($(stat -c %b lun) / 2048))
}

root_test_case lun_is_told_what_is_free
lun_is_told_what_is_free_body()
{
	lun_make lun 512M
	printf '[datastore ds1]\nlun = %s\nmount = %s\nunmap = 200M\n' \
	    "${PWD}/lun" "${PWD}/esx1/mnt" | host_conf esx1
	daemon_start esx1
	before=$(taken)
	atf_check -e ignore dd if=/dev/urandom of=esx1/mnt/f bs=1M count=200 \
	    conv=fsync
	atf_check -e ignore dd if=/dev/urandom of=esx1/mnt/g bs=1M count=50 \
	    conv=fsync
	[ "$(taken)" -gt $((before + 240)) ] || atf_fail "not written"
	sum=$(cksum <esx1/mnt/g)
	atf_check rm esx1/mnt/f
	until_true 30 sh -c "[ \$((\$(stat -c %b lun) / 2048)) -lt \
	    $((before + 80)) ]" || atf_fail "the LUN still takes $(taken) MiB"
	[ "$(cksum <esx1/mnt/g)" = "${sum}" ] || atf_fail "g has changed"
	hosts_stop
	fsck_is_clean "$(realpath lun)"
	printf '[datastore ds1]\nlun = /x\nmount = /y\nunmap = 5\n' |
	    host_conf esx1
	atf_check -s exit:2 -o ignore -e match:'expected auto, off, on or' \
	    vmfsd --config=esx1/conf
}

# host_with UNMAP: a host whose datastore has that in its section, or nothing.
host_with()
{
	{
		printf '[datastore ds1]\nlun = %s\nmount = %s\n' \
		    "${PWD}/lun" "${PWD}/esx1/mnt"
		[ -z "$1" ] || echo "unmap = $1"
	} | host_conf esx1
	daemon_start esx1
}

# write_and_remove MIBS
write_and_remove()
{
	atf_check -e ignore dd if=/dev/urandom of=esx1/mnt/f bs=1M count="$1" \
	    conv=fsync
	atf_check rm esx1/mnt/f
}

# takes_at_most MIBS
takes_at_most()
{
	until_true 30 sh -c "[ \$((\$(stat -c %b lun) / 2048)) -le $1 ]" ||
	    atf_fail "the LUN still takes $(taken) MiB"
}

root_test_case thin_lun_is_told_by_itself
thin_lun_is_told_by_itself_body()
{
	lun_make lun 512M
	host_with off
	before=$(taken)
	write_and_remove 100
	atf_check -s exit:1 -o empty -e match:"unmap = on" \
	    vmfsctl -c esx1/ctl ds trim ds1
	hosts_stop
	[ "$(taken)" -gt $((before + 90)) ] || atf_fail "told all the same"
	host_with ""
	atf_check -o inline:'true\n268435456\n' -x \
	    "vmfsctl -c esx1/ctl --json ds info ds1 |
	    jq -r '.datastore | .unmap, .unmap_rate'"
	atf_check -o match:'^unmap +256 MiB/s' vmfsctl -c esx1/ctl ds info ds1
	# What was not told then, and what is freed now.
	atf_check vmfsctl -c esx1/ctl ds trim ds1
	write_and_remove 100
	takes_at_most $((before + 20))
	hosts_stop
	fsck_is_clean "$(realpath lun)"
}

# datastore NAME LUN: more of them for a host that is not running.
datastore()
{
	mkdir -p "mnt-$1"
	printf '[datastore %s]\nlun = %s\nmount = %s\n' "$1" "$2" \
	    "${PWD}/mnt-$1"
}

# As daemon_start leaves a host whose first datastore may be refused.
copies_start()
{
	{
		datastore ds1 "${PWD}/lun"
		datastore ds2 "${PWD}/copy"
	} | host_conf esx1
	daemon_start esx1
}

root_test_case copy_is_not_mounted_until_it_has_a_name_of_its_own
copy_is_not_mounted_until_it_has_a_name_of_its_own_body()
{
	lun_make lun 256M
	host_start esx1 "${PWD}/lun"
	atf_check sh -c 'echo original >esx1/mnt/f'
	host_stop esx1
	atf_check cp --sparse=always lun copy
	copies_start
	atf_check -s exit:6 -o match:'^ds2	.*	failed	.*carries a copy of' \
	    vmfsctl -c esx1/ctl -H ds ls
	atf_check -s exit:1 -e match:'ds resignature LUN.*mount.vmfs.8' \
	    vmfsctl -c esx1/ctl ds mount ds2
	atf_check -s exit:4 -e match:'is mounted; unmount it first' \
	    vmfsctl -c esx1/ctl ds resignature ds1
	atf_check -s exit:4 -e match:'mounted by 1 host: esx1' \
	    vmfsctl -c esx1/ctl ds resignature "${PWD}/lun"
	atf_check -o match:'label *snap-[0-9a-f]{8}-ds1' \
	    vmfsctl -c esx1/ctl ds resignature "${PWD}/copy"
	atf_check vmfsctl -c esx1/ctl ds mount ds2
	atf_check -o inline:'original\n' cat mnt-ds2/f
	atf_check sh -c 'echo changed >mnt-ds2/f; echo more >mnt-ds2/g'
	atf_check -o inline:'original\n' cat mnt-ds1/f
	uuids=$(vmfsctl -c esx1/ctl -j ds info ds1 | jq .datastore.uuid
	    vmfsctl -c esx1/ctl -j ds info ds2 | jq .datastore.uuid)
	[ "$(echo "${uuids}" | sort -u | wc -l)" -eq 2 ] ||
	    atf_fail "both have UUID ${uuids}"
	daemon_stop esx1
	fsck_is_clean "$(realpath copy)"
	fsck_is_clean "$(realpath lun)"
	# And a copy of the copy.
	atf_check cp --sparse=always copy again
	mv again copy
	copies_start
	atf_check -o match:'label *snap-[0-9a-f]{8}-ds1' \
	    vmfsctl -c esx1/ctl ds resignature ds2
	atf_check -o match:'label *gold' \
	    vmfsctl -c esx1/ctl ds resignature ds2 gold
	atf_check vmfsctl -c esx1/ctl ds mount ds2
	daemon_stop esx1
}

# What a host that died has left is in the copy as well.
root_test_case copy_of_a_mounted_lun_is_recovered
copy_of_a_mounted_lun_is_recovered_body()
{
	lun_make lun 256M
	host_start esx1 "${PWD}/lun"
	atf_check sh -c 'echo flushed >esx1/mnt/f; sync esx1/mnt/f'
	atf_check cp --sparse=always lun copy
	atf_check -o match:'snap-' vmfsctl -c esx1/ctl \
	    ds resignature "${PWD}/copy"
	host_start esx2 "${PWD}/copy"
	until_true 20 sh -c '[ "$(cat esx2/mnt/f)" = flushed ]' ||
	    atf_fail "what was flushed is not there"
	until_true 20 sh -c 'echo new >esx2/mnt/f' ||
	    atf_fail "the lock of the dead is still there"
	atf_check -o inline:'flushed\n' cat esx1/mnt/f
	hosts_stop
	fsck_is_clean "$(realpath copy)"
	fsck_is_clean "$(realpath lun)"
}

root_test_case datastore_may_move_to_another_lun
datastore_may_move_to_another_lun_body()
{
	lun_make lun 256M
	cp --sparse=always lun moved
	mv moved lun
	mkdir -p esx1
	datastore ds1 "${PWD}/lun" | host_conf esx1
	daemon_start esx1
	atf_check -s exit:1 -e match:'--keep' vmfsctl -c esx1/ctl ds mount ds1
	atf_check -o match:'label *ds1' vmfsctl -c esx1/ctl --keep \
	    ds resignature ds1
	atf_check vmfsctl -c esx1/ctl ds mount ds1
	daemon_stop esx1
}

# LUNs of the box are told apart by the names that it gives them.
root_test_case copied_lun_of_a_box_is_detected
copied_lun_of_a_box_is_detected_body()
{
	box_start
	host_start esx1 "${lun}"
	cp --sparse=always store store2
	atf_check vmfsctl -c box/ctl lun create ${iqn} 1 "${PWD}/store2"
	{
		datastore ds1 "${lun%/0}/1"
	} | host_conf esx2
	daemon_start esx2
	atf_check -s exit:1 -e match:'naa\.[0-9a-f]*, and this is naa\.' \
	    vmfsctl -c esx2/ctl ds mount ds1
	atf_check -o match:'label *silver' vmfsctl -c esx2/ctl \
	    ds resignature ds1 silver
	atf_check vmfsctl -c esx2/ctl ds mount ds1
	daemon_stop esx2
	host_stop esx1
	host_stop box
}
