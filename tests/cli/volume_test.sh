# SPDX-License-Identifier: BSD-2-Clause
# The volume as a whole: it grows with its LUN, has a label, is told from its
# copies.
. "${VMFS_SRCDIR}/tests/cli/hosts.subr"

iqn=iqn.2026-11.test:box

volume_test_case()
{
	atf_test_case "$1" cleanup
	eval "$1_head() { atf_set require.user root; }"
	eval "$1_cleanup() { hosts_cleanup; }"
	cases="${cases} $1"
}

box_start()
{
	truncate -s 256M store
	printf '[portal]\nlisten = 127.0.0.1:0\n[target %s]\n%s\n%s\n' ${iqn} \
	    "lun.0 = ${PWD}/store,thin" 'allow = iqn.2026-11.test:*' |
	    host_conf box
	daemon_start box
	lun="iscsi://$(vmfsctl -c box/ctl target ls --json |
	    jq -r '.portals[0]')/${iqn}/0"
	atf_check -o ignore mkfs.vmfs -L ds1 --timers=${timers} \
	    --initiator=iqn.2026-11.test:admin "${lun}"
}

# capacity_is HOST BYTES
capacity_is()
{
	[ "$(vmfsctl -c "$1/ctl" -j ds info ds1 |
	    jq .datastore.capacity)" -eq "$2" ]
}

fsck_is_clean()
{
	atf_check -o ignore fsck.vmfs "$@"
}

volume_test_case grows_with_its_lun_under_load
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

volume_test_case growing_without_a_larger_lun_is_refused
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

volume_test_case label_is_changed_while_mounted
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

atf_init_test_cases()
{
	for c in ${cases}; do
		atf_add_test_case "${c}"
	done
}
