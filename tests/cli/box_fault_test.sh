# SPDX-License-Identifier: BSD-2-Clause
# A storage box where not everything goes well.
. "${VMFS_SRCDIR}/tests/cli/hosts.subr"

iqn=iqn.2026-11.test:box
me=iqn.2026-11.test:me

# Commands without -c go to the box.
export VMFSD_CONTROL=box/ctl

# box_conf LINE...: of the target.
box_conf()
{
	{
		printf '[portal]\nlisten = 127.0.0.1:0\n[target %s]\n' ${iqn}
		printf 'allow = iqn.2026-11.test:*\n'
		printf '%s\n' "$@"
	} | host_conf box
}

fault_test_case()
{
	atf_test_case "$1" cleanup
	eval "$1_head() { atf_set require.user root; \
	    atf_set require.progs 'jq unshare'; }"
	eval "$1_cleanup() { hosts_cleanup; }"
	cases="${cases} $1"
}

# The configuration is a mount of its own, as in a container: it can be written
# beside, but not replaced.
mounted_alone()
{
	exec unshare --mount sh -c \
	    'mount --bind box/conf box/conf && exec "$@"' sh "$@"
}

fault_test_case file_of_a_lun_that_runs_is_not_removed
file_of_a_lun_that_runs_is_not_removed_body()
{
	box_conf
	daemon_in=mounted_alone
	daemon_start box
	atf_check -s exit:4 -e match:'changed until the next start only' \
	    vmfsctl lun create ${iqn} 0 "${PWD}/new" 64M
	atf_check -o inline:"${PWD}/new ok\n" sh -c "vmfsctl --json lun ls |
	    jq -r '.luns[] | .source + \" \" + .status'"
	atf_check -o inline:'67108864\n' stat -c %s new
	[ ! -e box/conf.new ] || atf_fail "a file was left"
	# One that nobody uses goes.
	atf_check -s exit:1 -e match:"option 'nonsense' is unknown" \
	    vmfsctl lun create ${iqn} 1 "${PWD}/other,nonsense" 64M
	[ ! -e other ] || atf_fail "a file was left"
	host_stop box
}

atf_init_test_cases()
{
	for c in ${cases}; do
		atf_add_test_case "${c}"
	done
}
