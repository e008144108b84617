# SPDX-License-Identifier: BSD-2-Clause
# Limits of directories, with real mounts.
. "${VMFS_SRCDIR}/tests/cli/hosts.subr"

quota_test_case()
{
	root_test_case "$1" "require.progs jq"
}

# Writes MiBs, as far as it goes.
dd="dd if=/dev/zero bs=1M conv=notrunc,fsync status=none"

# used_is HOST BYTES: of the only quota; the kernel closes files when it likes.
used_is()
{
	until_true 10 eval "[ \"\$(used $1)\" -eq $2 ]" ||
	    atf_fail "$(used "$1") bytes are used, not $2"
}

# used HOST
used()
{
	vmfsctl -c "$1/ctl" -j quota ls ds1: | jq '.quotas[0].used'
}

quota_test_case a_directory_holds_its_limit
a_directory_holds_its_limit_body()
{
	hosts_up esx1
	mkdir esx1/mnt/vms
	atf_check -o save:out vmfsctl -c esx1/ctl -j quota set ds1:/vms --limit=20M
	atf_check -o inline:'/vms 20971520 0 complete\n' \
	    jq -r '.quota | "\(.directory) \(.limit) \(.used) \(.status)"' out
	atf_check -s exit:1 -e match:'Disk quota exceeded' \
	    ${dd} of=esx1/mnt/vms/file count=30
	atf_check_equal 20971520 "$(stat -c %s esx1/mnt/vms/file)"
	atf_check -o inline:'20480 0\n' sh -c "df --output=size,avail -k \
	    esx1/mnt/vms | awk 'NR == 2 { print \$1, \$2 }'"
	# A hypervisor knows this one.
	atf_check vmfsctl -c esx1/ctl disk create ds1:/vms/d.vmdk 64M
	atf_check -s exit:1 -e match:'No space left on device' \
	    ${dd} of=esx1/mnt/vms/d-flat.vmdk count=1
	atf_check rm esx1/mnt/vms/file
	atf_check ${dd} of=esx1/mnt/vms/d-flat.vmdk count=16
	atf_check vmfsctl -c esx1/ctl disk snapshot ds1:/vms/d.vmdk s
	atf_check -s exit:1 -e match:'No space left on device' \
	    ${dd} of=esx1/mnt/vms/d-flat.vmdk count=16
	atf_check -o ignore vmfsctl -c esx1/ctl quota set ds1:/vms --limit=40M
	atf_check ${dd} of=esx1/mnt/vms/d-flat.vmdk count=16
	used_is esx1 33554432
	atf_check -o match:'/vms +40 MiB +32 MiB +80' \
	    vmfsctl -c esx1/ctl quota ls ds1:/vms
	hosts_stop
	atf_check -o ignore fsck.vmfs -n "${PWD}/lun"
}

quota_test_case names_and_refusals
names_and_refusals_body()
{
	hosts_up esx1
	mkdir -p esx1/mnt/vms/sub
	${dd} of=esx1/mnt/file count=4
	atf_check -s exit:2 -e match:'nothing to set' \
	    vmfsctl -c esx1/ctl quota set ds1:/vms
	atf_check -s exit:2 -e match:'expected a size' \
	    vmfsctl -c esx1/ctl quota set ds1:/vms --limit=many
	atf_check -s exit:2 -e match:'larger than its limit' \
	    vmfsctl -c esx1/ctl quota set ds1:/vms --limit=1G --reserve=2G
	atf_check -s exit:1 -e match:'not so much free' \
	    vmfsctl -c esx1/ctl quota set ds1:/vms --reserve=2G
	atf_check -s exit:2 -e match:'/vms has no quota, and is given none' \
	    vmfsctl -c esx1/ctl quota set ds1:/vms --reserve=none --limit=none
	atf_check -o match:'left out +0' \
	    vmfsctl -c esx1/ctl quota set ds1:/vms --limit=8M
	atf_check -s exit:4 -e match:'do not nest' \
	    vmfsctl -c esx1/ctl quota set ds1:/vms/sub --limit=1G
	atf_check -s exit:2 -e match:'root directory' \
	    vmfsctl -c esx1/ctl quota set ds1:/ --limit=1G
	# What is meant is told, not what the kernel would say.
	atf_check vmfsctl -c esx1/ctl disk create ds1:/d.vmdk 16M
	atf_check -s exit:1 -e match:'stays there.*disk clone --full' \
	    vmfsctl -c esx1/ctl disk mv ds1:/d.vmdk ds1:/vms/d.vmdk
	atf_check -s exit:1 -e match:'quota of directory /vms has not so much' \
	    vmfsctl -c esx1/ctl disk create ds1:/vms/d.vmdk 16M --eager
	atf_check -o inline:'sub\n' ls esx1/mnt/vms
	# mv goes on by copying.
	atf_check mv esx1/mnt/file esx1/mnt/vms/sub/file
	used_is esx1 4194304
	atf_check mv esx1/mnt/vms/sub/file esx1/mnt/vms/file
	atf_check rm -r esx1/mnt/vms/file esx1/mnt/vms/sub
	atf_check -s exit:1 -e match:busy rmdir esx1/mnt/vms
	atf_check -o match:'complete' vmfsctl -c esx1/ctl quota clear ds1:/vms
	atf_check -s exit:3 -e match:'has no quota' \
	    vmfsctl -c esx1/ctl quota clear ds1:/vms
	atf_check -o empty vmfsctl -c esx1/ctl -H quota ls ds1:
	hosts_stop
	atf_check -o ignore fsck.vmfs -n "${PWD}/lun"
}

quota_test_case what_another_host_has_open_is_counted_there
what_another_host_has_open_is_counted_there_body()
{
	hosts_up esx1 esx2
	mkdir esx1/mnt/vms
	${dd} of=esx1/mnt/vms/one count=4
	${dd} of=esx1/mnt/vms/two count=4
	exec 7<>esx2/mnt/vms/two
	dd if=/dev/zero bs=4k count=1 status=none >&7
	atf_check -s exit:6 -o save:out vmfsctl -c esx1/ctl -j quota set ds1:/vms \
	    --limit=64M
	atf_check -o match:'incomplete 1 /vms/two is in use by host .esx2' \
	    jq -r '.quota | "\(.status) \(.left) \(.why)"' out
	used_is esx1 4194304
	atf_check -o match:'complete' vmfsctl -c esx2/ctl quota set \
	    ds1:/vms --limit=64M
	exec 7>&-
	used_is esx1 8388608
	# Both write, and neither beyond the limit.
	atf_check -o ignore vmfsctl -c esx1/ctl quota set ds1:/vms --limit=12M
	${dd} of=esx1/mnt/vms/esx1 count=8 2>/dev/null &
	pid=$!
	${dd} of=esx2/mnt/vms/esx2 count=8 2>/dev/null
	wait ${pid}
	[ "$(used esx1)" -le 12582912 ] || atf_fail "$(used esx1) bytes"
	hosts_stop
	atf_check -o ignore fsck.vmfs -n "${PWD}/lun"
}
