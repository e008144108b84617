# SPDX-License-Identifier: BSD-2-Clause
# Encrypted LUNs of a storage box and their keys.
. "${VMFS_SRCDIR}/tests/cli/hosts.subr"

iqn=iqn.2026-11.test:box

# Commands without -c go to the box.
export VMFSD_CONTROL=box/ctl

# box_conf SOURCE: that is LUN 0.
box_conf()
{
	printf '[portal]\nlisten = 127.0.0.1:0\n[target %s]\n%s\n%s\n' ${iqn} \
	    "lun.0 = $1" 'allow = iqn.*' | host_conf box
}

crypt_test_case()
{
	root_test_case "$1" "require.progs 'jq qemu-io setpriv'"
}

# box_io COMMAND: of qemu-io, to the LUN.
box_io()
{
	_portal=$(vmfsctl --json target ls | jq -r '.portals[0]')
	qemu-io -f raw -c "$1" "iscsi://${_portal}/${iqn}/0" >io 2>&1 &&
	    ! grep -q -i failed io
}

# refused SENTENCE: it does not start.
refused()
{
	atf_check -s exit:1 -e match:"$1" vmfsd --config=box/conf \
	    --pidfile="${PWD}/box/pid"
}

crypt_test_case source_that_moved_gets_no_new_key
source_that_moved_gets_no_new_key_body()
{
	truncate -s 64M a
	box_conf "${PWD}/a,encrypted"
	daemon_start box
	atf_check -o match:"/a' is encrypted under a new key, '.*/key-" \
	    cat box/log
	box_io 'write -P 0x41 0 1M' || atf_fail "$(cat io)"
	daemon_stop box
	key=$(echo box/id/key-*)
	mv a b
	sed -i "s,${PWD}/a,${PWD}/b," box/conf
	refused "'.*/b' has data and no key"
	atf_check -o inline:"${key}\n" sh -c 'echo box/id/key-*'
	# As the refusal says.
	new=$(vmfsd --config=box/conf 2>&1 | sed -n "s/.* give '\([^']*\)'.*/\1/p")
	cp -p "${key}" "${new}"
	daemon_start box
	box_io 'read -P 0x41 0 1M' || atf_fail "$(cat io)"
	daemon_stop box
	rm "${new}"
	dd if=/dev/zero of=b bs=1M count=1 conv=notrunc status=none
	daemon_start box
	box_io 'read -P 0x00 0 1M' || atf_fail "$(cat io)"
	daemon_stop box
}

# gw_secret SECRET: a box whose LUN 0 is that of the other one.
gw_secret()
{
	printf '[portal]\nlisten = 127.0.0.1:0\n[target %s]\n%s\n%s\n' \
	    iqn.2026-11.test:gw 'allow = iqn.*' \
	    "lun.0 = iscsi://joe%$1@${portal}/${iqn}/0,encrypted" | host_conf gw
	daemon_start gw
	vmfsctl --json lun info iqn.2026-11.test:gw 0 | jq -r .info.wwn >wwn.now
	[ -e wwn ] || mv wwn.now wwn
}

gw_restart()
{
	daemon_stop gw
	gw_secret "$1"
}

# Nor has its WWN.
crypt_test_case key_stays_when_a_secret_changes
key_stays_when_a_secret_changes_body()
{
	box_conf ram:64M
	daemon_start box
	portal=$(portal_of box)
	VMFSD_CONTROL=gw/ctl
	gw_secret one
	iqn=iqn.2026-11.test:gw box_io 'write -P 0x41 0 1M' ||
	    atf_fail "$(cat io)"
	# As it was before names were kept.
	rm gw/id/name-*
	gw_restart one
	atf_check cmp wwn wwn.now
	gw_restart two
	atf_check cmp wwn wwn.now
	iqn=iqn.2026-11.test:gw box_io 'read -P 0x41 0 1M' ||
	    atf_fail "$(cat io)"
	atf_check -o inline:'1 1\n' sh -c \
	    'echo $(ls gw/id | grep -c key-) $(ls gw/id | grep -c name-)'
	daemon_stop gw
	echo >"$(echo gw/id/name-*)"
	atf_check -s exit:1 -e match:"know 'iscsi://joe@.*cannot be used" \
	    vmfsd --config=gw/conf
	VMFSD_CONTROL=box/ctl
	daemon_stop box
}

as_nobody()
{
	exec setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
}

# dump_owner: whose /proc/PID is: root's where a process leaves no core dump.
dump_owner()
{
	stat -c %u "/proc/$(cat box/pid)/environ"
}

crypt_test_case target_that_encrypts_leaves_no_core
target_that_encrypts_leaves_no_core_body()
{
	daemon_in=as_nobody
	chmod 755 .
	truncate -s 64M store
	box_conf "${PWD}/store"
	touch box/log box/out box/err box/pid
	chown -R 65534:65534 box store
	daemon_start box
	[ "$(dump_owner)" = 65534 ] || atf_skip "this is not how it shows"
	atf_check vmfsctl --force lun change ${iqn} 0 "${PWD}/store,encrypted"
	[ "$(dump_owner)" = 0 ] || atf_fail "a core dump would have the key"
	daemon_stop box
}
