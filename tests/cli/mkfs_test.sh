# SPDX-License-Identifier: BSD-2-Clause
# mkfs.vmfs: what it makes and what it refuses.
. "${VMFS_SRCDIR}/tests/cli/hosts.subr"

# The LUN is what it was: nothing was written.
unchanged()
{
	atf_check_equal "$2" "$(sha256sum <"$1")"
}

# refused LUN MESSAGE [OPTION...]
refused()
{
	_lun=$1 _message=$2
	shift 2
	_before=$(sha256sum <"${_lun}")
	atf_check -s exit:1 -o empty -e match:"${_message}" \
	    mkfs.vmfs "$@" "${_lun}"
	unchanged "${_lun}" "${_before}"
}

atf_test_case help_goes_to_stdout
help_goes_to_stdout_body()
{
	atf_check -o match:'^usage: mkfs.vmfs' -e empty mkfs.vmfs --help
	atf_check -o match:'^mkfs.vmfs [0-9]' -e empty mkfs.vmfs --version
}

atf_test_case usage_errors_exit_2
usage_errors_exit_2_body()
{
	truncate -s 256M lun
	for args in "" "--nope lun" "lun lun" "--protocol=dlm lun" \
	    "--timers=pulse=0 lun" "--timers=beat=3 lun" \
	    "--journal=x lun" "--cluster=1 lun" "--cluster=100G lun"; do
		# shellcheck disable=SC2086
		atf_check -s exit:2 -o empty -e match:'mkfs.vmfs --help' \
		    mkfs.vmfs ${args}
	done
	atf_check -s exit:1 -o empty -e match:'power of two from 16 MiB' \
	    mkfs.vmfs --cluster=3M lun
	atf_check -s exit:1 -o empty -e match:'do not hold' \
	    mkfs.vmfs --timers=pulse=5000 lun
	atf_check -s exit:1 -o empty -e match:'clocks that go wrong' \
	    mkfs.vmfs --protocol=ats-watchdog --timers=pulse=20,io=100 lun
}

atf_test_case makes_a_datastore
makes_a_datastore_body()
{
	truncate -s 256M lun
	atf_check -o save:out -e empty mkfs.vmfs --json -L ds1 \
	    --timers=${timers} lun
	atf_check -o inline:'1\nds1\n268435456\n3000\n' jq -r \
	    '.api, .label, .size, .timers.fence_ms' out
}

atf_test_case dry_run_writes_nothing
dry_run_writes_nothing_body()
{
	truncate -s 256M lun
	before=$(sha256sum <lun)
	atf_check -o match:'would make' -e empty mkfs.vmfs -n lun
	unchanged lun "${before}"
}

atf_test_case too_small_is_refused
too_small_is_refused_body()
{
	truncate -s 16M lun
	refused lun 'has 16 MiB; a datastore needs at least 64 MiB' --force
}

atf_test_case size_check_is_refused
size_check_is_refused_body()
{
	truncate -s 256M lun
	refused lun 'less than the 1 GiB of --size-check' --size-check=1G
}

atf_test_case other_file_systems_need_force
other_file_systems_need_force_body()
{
	PATH=${PATH}:/sbin:/usr/sbin
	truncate -s 128M ext
	atf_check -o ignore -e ignore mkfs.ext4 -q ext
	refused ext 'carries something already: ext2/3/4 file system'
	truncate -s 128M swap
	atf_check -o ignore -e ignore mkswap swap
	refused swap 'carries something already: swap space'
	truncate -s 128M mbr
	printf '\125\252' | dd of=mbr bs=1 seek=510 conv=notrunc 2>/dev/null
	refused mbr 'carries something already: MBR partition table'
	atf_check -o ignore -e empty mkfs.vmfs --force ext
}

atf_test_case datastores_need_force
datastores_need_force_body()
{
	lun_make lun
	refused lun "carries a datastore already \\(label 'ds1'"
	atf_check -o ignore -e empty mkfs.vmfs --force lun
}

atf_test_case missing_lun_is_named
missing_lun_is_named_body()
{
	atf_check -s exit:1 -o empty \
	    -e match:"'/nowhere/lun': there is no such file" \
	    mkfs.vmfs /nowhere/lun
	atf_check -s exit:1 -o empty -e match:"expected a path or iscsi://" \
	    mkfs.vmfs iscsi://nonsense
}

atf_test_case secrets_of_urls_stay_secret
secrets_of_urls_stay_secret_body()
{
	atf_check -s exit:1 -o empty -e not-match:topsecret \
	    -e match:'iscsi://bob@127' \
	    mkfs.vmfs iscsi://bob%topsecret@127.0.0.1:1/iqn.x:y/0
}

atf_test_case mounted_datastore_is_never_overwritten cleanup
mounted_datastore_is_never_overwritten_head()
{
	atf_set require.user root
}
mounted_datastore_is_never_overwritten_body()
{
	hosts_up esx1
	atf_check -s exit:1 -o empty -e match:'in use' mkfs.vmfs lun
	atf_check -s exit:1 -o empty -e match:'in use' mkfs.vmfs --force lun
	atf_check -o empty touch esx1/mnt/still-there
	hosts_stop
}
mounted_datastore_is_never_overwritten_cleanup()
{
	hosts_cleanup
}

atf_init_test_cases()
{
	atf_add_test_case help_goes_to_stdout
	atf_add_test_case usage_errors_exit_2
	atf_add_test_case makes_a_datastore
	atf_add_test_case dry_run_writes_nothing
	atf_add_test_case too_small_is_refused
	atf_add_test_case size_check_is_refused
	atf_add_test_case other_file_systems_need_force
	atf_add_test_case datastores_need_force
	atf_add_test_case missing_lun_is_named
	atf_add_test_case secrets_of_urls_stay_secret
	atf_add_test_case mounted_datastore_is_never_overwritten
}
