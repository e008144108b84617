# SPDX-License-Identifier: BSD-2-Clause
# Portals of a storage box come and go.
. "${VMFS_SRCDIR}/tests/cli/hosts.subr"

iqn=iqn.2026-11.test:box
me=iqn.2026-11.test:me
export VMFSD_CONTROL=box/ctl

# box_start: `portal` is where it listens, `second` where nobody does.
box_start()
{
	truncate -s 64M a
	printf '[portal]\nlisten = 127.0.0.1:0\n[target %s]\n%s\nallow = *\n' \
	    ${iqn} "lun.0 = ${PWD}/a" | host_conf box
	daemon_start box
	portal=$(portal_of box)
	second=127.0.0.2:${portal##*:}
}

# listens WHERE COUNT: so many lines of the file say it.
listens()
{
	atf_check -s ignore -o inline:"$2\n" grep -c "^listen = $1" box/conf
}

root_test_case portal_is_listed_once
portal_is_listed_once_body()
{
	box_start
	atf_check vmfsctl portal create "${second},2"
	for again in "${second},2" "${second}"; do
		atf_check -s exit:1 -e match:"there already, as '${second},2'" \
		    vmfsctl portal create "${again}"
	done
	listens "${second}" 1
	host_stop box
}

root_test_case portal_is_removed_as_it_is_shown
portal_is_removed_as_it_is_shown_body()
{
	box_start
	atf_check vmfsctl portal create "${second}"
	atf_check vmfsctl portal remove "${second},1"
	listens "${second}" 0
	atf_check -o inline:'1\n' sh -c \
	    "vmfsctl portal ls --json | jq '.portals | length'"
	host_stop box
}

root_test_case portal_of_a_session_is_removed_by_force_only \
    "require.progs 'jq qemu-io'"
portal_of_a_session_is_removed_by_force_only_body()
{
	box_start
	atf_check vmfsctl portal create "${second}"
	mkfifo cmds
	qemu-io --image-opts "driver=iscsi,transport=tcp,portal=${second},\
target=${iqn},lun=0,initiator-name=${me}" <cmds >qemu.out 2>&1 &
	qemu=$!
	exec 8>cmds
	until_true 30 sh -c "vmfsctl session ls --json |
	    jq -e '.sessions | length == 1'" || atf_fail "no session"
	atf_check -s exit:4 -e match:"1 session\(s\) came by it.*${me}.*--force" \
	    vmfsctl portal remove "${second}"
	listens "${second}" 1
	atf_check vmfsctl portal remove --force "${second}"
	listens "${second}" 0
	echo 'read 0 512' >&8
	exec 8>&-
	wait ${qemu}
	atf_check -o match:'read 512/512' cat qemu.out
	host_stop box
}
