# SPDX-License-Identifier: BSD-2-Clause
# The suite over a mount, and over two hosts of one datastore that take turns.
. "${VMFS_SRCDIR}/tests/posix/lun.subr"

suite="${VMFS_BUILDDIR}/tests/posix/vmfs-posix"

atf_test_case one_host cleanup
one_host_head()
{
	atf_set require.user root
}
one_host_body()
{
	fast_lun
	host_start esx1 "${lun}"
	chmod 777 esx1/mnt
	atf_check "${suite}" -n "$(atf_config_get entries 200)" esx1/mnt
	fast_lun_check
}
one_host_cleanup()
{
	fast_lun_cleanup
}

atf_test_case two_hosts cleanup
two_hosts_head()
{
	atf_set require.user root
}
two_hosts_body()
{
	fast_lun
	host_start esx1 "${lun}"
	host_start esx2 "${lun}"
	chmod 777 esx1/mnt
	atf_check "${suite}" -n "$(atf_config_get entries 100)" esx1/mnt \
	    esx2/mnt
	fast_lun_check
}
two_hosts_cleanup()
{
	fast_lun_cleanup
}

# append HOST: as two hosts that keep one log file.
append()
{
	i=0
	while [ "${i}" -lt 40 ]; do
		echo "$1 ${i}" >>"$1/mnt/log" 2>>"$1/refused" || continue
		i=$((i + 1))
	done
}

atf_test_case appends_of_two_hosts_all_arrive cleanup
appends_of_two_hosts_all_arrive_head()
{
	atf_set require.user root
}
appends_of_two_hosts_all_arrive_body()
{
	fast_lun
	host_start esx1 "${lun}"
	host_start esx2 "${lun}"
	: >esx1/mnt/log
	append esx1 &
	one=$!
	append esx2
	wait "${one}" || atf_fail "esx1 cannot append"
	for host in esx1 esx2; do
		seq -f "${host} %g" 0 39
	done | sort >want
	sort esx2/mnt/log >got
	atf_check cmp want got
	hosts_stop
}
appends_of_two_hosts_all_arrive_cleanup()
{
	fast_lun_cleanup
}

atf_test_case who_opens_while_others_close_may_write cleanup
who_opens_while_others_close_may_write_head()
{
	atf_set require.user root
}
who_opens_while_others_close_may_write_body()
{
	fast_lun
	host_start esx1 "${lun}"
	atf_check vmfsctl -c esx1/ctl disk create --eager ds1:/vm.vmdk 64M
	for i in 1 2 3 4; do
		"${VMFS_BUILDDIR}/tests/cli/reopen" esx1/mnt/vm-flat.vmdk 3000 \
		    2>>refused &
		eval "reopen_$i=$!"
	done
	for i in 1 2 3 4; do
		eval "wait \${reopen_$i}" || atf_fail "$(cat refused)"
	done
	fast_lun_check
}
who_opens_while_others_close_may_write_cleanup()
{
	fast_lun_cleanup
}

# What the suite expects is what Linux does elsewhere.
atf_test_case another_file_system
another_file_system_head()
{
	atf_set require.user root
}
another_file_system_body()
{
	[ "$(stat -f -c %T .)" = ext2/ext3 ] ||
	    atf_skip "the work directory is not on ext4"
	mkdir -m 777 d
	atf_check "${suite}" -o d
}

atf_init_test_cases()
{
	atf_add_test_case one_host
	atf_add_test_case two_hosts
	atf_add_test_case appends_of_two_hosts_all_arrive
	atf_add_test_case who_opens_while_others_close_may_write
	atf_add_test_case another_file_system
}
