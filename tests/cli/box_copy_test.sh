# SPDX-License-Identifier: BSD-2-Clause
# Copies by the box between virtual disks of one datastore.
. "${VMFS_SRCDIR}/tests/cli/hosts.subr"

iqn=iqn.2026-11.test:box
export VMFSD_CONTROL=box/ctl

# box_start SOURCE0 SOURCE1: a datastore, and two LUNs.
box_start()
{
	lun_make store
	{
		printf '[portal]\nlisten = 127.0.0.1:0\n'
		printf '[target %s]\nallow = *\n' ${iqn}
		printf '[datastore ds1]\nlun = %s\nmount = %s\n' \
		    "${PWD}/store" "${PWD}/box/mnt"
	} | host_conf box
	daemon_start box
	portal=$(portal_of box)
	for d in from to; do
		atf_check vmfsctl disk create ds1:/${d}.vmdk 64M
	done
	atf_check vmfsctl lun create ${iqn} 0 "$1"
	atf_check vmfsctl lun create ${iqn} 1 "$2"
}

# scsi LUN CDB [DATA-OUT]
scsi()
{
	_lun=$1
	shift
	"${VMFS_BUILDDIR}/tests/interop/scsi_cmd" ${bytes:+-r ${bytes}} \
	    "iscsi://${portal}/${iqn}/${_lun}" "$@"
}

# What EXTENDED COPY calls the unit.
naa()
{
	bytes=512 scsi "$1" 120183020000 | tail -c +6 |
	    od -An -v -tx1 | tr -d ' \n' |
	    sed -n 's/.*01030010\(.\{32\}\).*/\1/p'
}

# segment BLOCK BLOCKS: the same place of both.
segment()
{
	printf '0200001800000001%08x%016x%016x' "$2" "$1" "$1"
}

# copy BLOCK BLOCKS ...: from LUN 0 to LUN 1, one segment each, one command.
copy()
{
	_segments=
	while [ $# -gt 0 ]; do
		_segments="${_segments}$(segment "$1" "$2")"
		shift 2
	done
	_list=01000040 _list="${_list}00000000"
	_list="${_list}$(printf %08x $((${#_segments} / 2)))00000000"
	for _n in 0 1; do
		_list="${_list}e400000001030010$(naa ${_n})00000000"
		_list="${_list}00000200"
	done
	_list="${_list}${_segments}"
	_list=$(scsi 0 "83000000000000000000$(printf %08x \
	    $((${#_list} / 2)))0000" "${_list}")
	[ "${_list}" = GOOD ] || atf_fail "EXTENDED COPY: ${_list}"
}

qemu_io()
{
	atf_check -o ignore qemu-io --image-opts -c "$2" \
	    "driver=iscsi,transport=tcp,portal=${portal},target=${iqn},lun=$1"
}

free_bytes()
{
	vmfsctl ds info --json ds1 | jq -e .datastore.free
}

copy_test_case()
{
	root_test_case "$1" "require.progs 'jq qemu-io'"
}

copy_test_case extended_copy_shares_space
extended_copy_shares_space_body()
{
	box_start vdisk:ds1:/from.vmdk,thin vdisk:ds1:/to.vmdk,thin
	qemu_io 0 'write -P 5 0 40M'
	before=$(free_bytes)
	# Segments as long as they can be end between two MiB.
	copy 0 65535 65535 16385
	taken=$((before - $(free_bytes)))
	[ ${taken} -lt 4194304 ] || atf_fail "${taken} bytes were taken"
	qemu_io 1 'read -P 5 0 40M'
	qemu_io 1 'read -P 0 40M 24M'
	atf_check -o match:'copy-' vmfsctl disk snapshots ds1:/from.vmdk
	# What was written since is copied.
	qemu_io 0 'write -P 6 4M 4096'
	qemu_io 1 'write -P 7 8M 4096'
	copy 0 32768
	qemu_io 1 'read -P 6 4M 4096'
	qemu_io 1 'read -P 5 5M 11M'
	qemu_io 1 'write -P 8 0 64k'
	qemu_io 0 'read -P 5 0 4M'
	atf_check -s exit:4 -e match:'needed by 1 clone' \
	    vmfsctl disk rm ds1:/from.vmdk --force
	# The snapshot goes with the copy.
	atf_check vmfsctl lun remove ${iqn} 1
	atf_check vmfsctl disk rm ds1:/to.vmdk
	atf_check -o not-match:'copy-' vmfsctl disk snapshots ds1:/from.vmdk
	qemu_io 0 'read -P 6 4M 4096'
	host_stop box
	atf_check -o ignore fsck.vmfs -n store
}

copy_test_case a_template_is_copied_without_writing
a_template_is_copied_without_writing_body()
{
	box_start vdisk:ds1:/from.vmdk vdisk:ds1:/to.vmdk
	qemu_io 0 'write -P 5 0 32M'
	atf_check vmfsctl disk snapshot ds1:/from.vmdk gold
	qemu_io 0 'write -P 6 0 32M'
	atf_check vmfsctl lun remove ${iqn} 0
	atf_check vmfsctl lun create ${iqn} 0 \
	    vdisk:ds1:/from.vmdk@gold,readonly
	before=$(free_bytes)
	copy 0 65520 65520 65520
	taken=$((before - $(free_bytes)))
	[ ${taken} -lt 4194304 ] || atf_fail "${taken} bytes were taken"
	qemu_io 1 'read -P 5 0 32M'
	atf_check -o not-match:'copy-' vmfsctl disk snapshots ds1:/from.vmdk
	host_stop box
	atf_check -o ignore fsck.vmfs -n store
}
