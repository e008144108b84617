# SPDX-License-Identifier: BSD-2-Clause
# What holds for a mount that others end, and for what programs keep open in it.
. "${VMFS_SRCDIR}/tests/cli/hosts.subr"

# setup HOST...: all mount one LUN.
setup()
{
	lun_make lun
	for h; do
		host_start "${h}" "${PWD}/lun"
	done
}

fuse_test_case()
{
	atf_test_case "$1" cleanup
	eval "$1_head()
	{
		atf_set require.user root
	}"
	eval "$1_cleanup()
	{
		hosts_cleanup
	}"
	cases="${cases} $1"
}

soon()
{
	until_true 30 "$@" || atf_fail "not within 30 s: $*"
}

# umount(8) does not always find it while other tests mount and unmount theirs.
is_unmounted()
{
	umount "$1" || ! mountpoint -q "$1"
}

# By its own word.
ds_is_unmounted()
{
	vmfsctl -c "$1/ctl" -H ds ls | grep 'unmounted'
}

fuse_test_case umount_by_others_ends_the_datastore_and_no_more
umount_by_others_ends_the_datastore_and_no_more_body()
{
	setup h1
	for i in $(seq 20); do
		soon is_unmounted h1/mnt
		until_true 30 ds_is_unmounted h1 ||
		    atf_fail "time ${i}: $(cat h1/err)"
		atf_check vmfsctl -c h1/ctl ds mount ds1
	done
	hosts_stop
}

atf_init_test_cases()
{
	for c in ${cases}; do
		atf_add_test_case "${c}"
	done
}
