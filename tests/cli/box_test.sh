# SPDX-License-Identifier: BSD-2-Clause
# A storage box exports a file LUN by iSCSI; hosts mount it from there.
. "${VMFS_SRCDIR}/tests/cli/hosts.subr"
. "${VMFS_SRCDIR}/tests/interop/iscsi_target.subr"

iqn=iqn.2026-11.test:box
secret="a secret of twelve and more"

# box_start [LINE...]: more lines for the target.
box_start()
{
	[ -e store ] || truncate -s 512M store
	mkdir -p box
	{
		printf '[portal]\nlisten = 127.0.0.1:%s\n' "${port:-0}"
		printf '[target %s]\nlun.0 = %s,thin\nlun.1 = ram:64M\n' \
		    ${iqn} "${PWD}/store"
		printf 'allow = iqn.2026-11.test:*\n'
		printf '%s\n' "$@"
	} | host_conf box
	daemon_start box
	portal=$(portal_of box)
	port=${portal##*:}
	lun="iscsi://${portal}/${iqn}/0"
}

box_mkfs()
{
	atf_check -o match:'persistent reservations' -e empty mkfs.vmfs \
	    -L ds1 --timers=${timers} --initiator=iqn.2026-11.test:admin "$1"
}

root_test_case two_hosts_share_a_lun_of_the_box
two_hosts_share_a_lun_of_the_box_body()
{
	box_start
	box_mkfs "${lun}"
	host_start esx1 "${lun}"
	host_start esx2 "${lun}"
	head -c 3000000 /dev/urandom >content
	atf_check cp content esx1/mnt/file
	atf_check cmp content esx2/mnt/file
	# Data and heartbeat of each host have sessions of their own.
	atf_check -o inline:'4\n' sh -c "vmfsctl -c box/ctl --json session ls |
	    jq '.sessions | length'"
	atf_check -o match:'0x564d' vmfsctl -c box/ctl target ls --json
	echo something >esx1/mnt/locked
	exec 9>>esx1/mnt/locked
	atf_check -s exit:1 -e match:'resource busy' dd if=/dev/null \
	    of=esx2/mnt/locked conv=notrunc
	exec 9>&-
	host_stop esx1
	host_stop esx2
	host_stop box
}

root_test_case mkfs_never_overwrites_a_live_datastore
mkfs_never_overwrites_a_live_datastore_body()
{
	box_start
	box_mkfs "${lun}"
	host_start esx1 "${lun}"
	atf_check -s exit:1 -o empty -e match:'mounted by 1 host.*: esx1;' \
	    mkfs.vmfs --force --initiator=iqn.2026-11.test:admin "${lun}"
	atf_check touch esx1/mnt/still-works
	host_stop esx1
	host_stop box
}

root_test_case killed_host_is_fenced_by_its_key
killed_host_is_fenced_by_its_key_body()
{
	box_start
	box_mkfs "${lun}"
	host_start esx1 "${lun}"
	host_start esx2 "${lun}"
	echo flushed >esx1/mnt/file
	exec 9>>esx1/mnt/file
	host_kill esx1
	exec 9>&-
	until_true 30 sh -c 'echo more >>esx2/mnt/file' ||
	    atf_fail "esx2 did not take over"
	atf_check -o inline:'flushed\nmore\n' cat esx2/mnt/file
	atf_check -o inline:'1\n' sh -c "vmfsctl -c box/ctl --json target ls |
	    jq '[.luns[0].registrations[].key] | unique | length'"
	host_stop esx2
	host_stop box
}

# The log tells of a fence and what came before it.
root_test_case write_log_tells_who_wrote
write_log_tells_who_wrote_body()
{
	box_start "write-log = ${PWD}/writes"
	box_mkfs "${lun}"
	host_start esx1 "${lun}"
	host_start esx2 "${lun}"
	atf_check sh -c "echo content >esx1/mnt/file"
	sync esx1/mnt/file
	host_kill esx1
	until_true 30 grep -q "accepted.*PREEMPT AND ABORT.*0x564d" writes ||
	    atf_fail "the fence is not in the log"
	atf_check -o match:"^[0-9]+	[0-9]+	iqn.2026-11.test:esx1,i,0x[0-9a-f]+	${iqn}	0	accepted	00	WRITE" cat writes
	atf_check -o match:true sh -c "vmfsctl -c box/ctl --json session ls |
	    jq .sessions[0].writes\>0"
	host_stop esx2
	host_stop box
}

# The port of a vmfsd that was killed is free some time later.
root_test_case start_waits_for_its_port
start_waits_for_its_port_body()
{
	target_start
	port=${portal##*:}
	(
		until_true 30 grep -q 'is in use; waiting' box/log ||
		    echo "it does not say that it waits" >fault
		kill "${target_pid}"
	) &
	box_start
	[ ! -e fault ] || atf_fail "$(cat fault)"
	atf_check -o match:"127.0.0.1:${port}" vmfsctl -c box/ctl portal ls
	host_stop box
}

root_test_case wrong_secret_is_refused
wrong_secret_is_refused_body()
{
	(umask 077 && echo "${secret}" >secret)
	box_start "chap = bob" "chap-secret-file = ${PWD}/secret"
	LIBISCSI_CHAP_PASSWORD="not that secret" atf_check -s exit:1 -o empty \
	    -e match:'refused the log-in; check' \
	    mkfs.vmfs --initiator=iqn.2026-11.test:admin \
	    "iscsi://bob@${portal}/${iqn}/0"
	atf_check -s exit:1 -o empty -e match:'refused the log-in; check' \
	    mkfs.vmfs --initiator=iqn.2026-11.test:admin "${lun}"
	export LIBISCSI_CHAP_PASSWORD="${secret}"
	box_mkfs "iscsi://bob@${portal}/${iqn}/0"
	unset LIBISCSI_CHAP_PASSWORD
	host_stop box
}

root_test_case unknown_luns_and_initiators_are_explained
unknown_luns_and_initiators_are_explained_body()
{
	box_start
	atf_check -s exit:1 -o empty -e match:'no such LUN' mkfs.vmfs \
	    --initiator=iqn.2026-11.test:a "iscsi://${portal}/${iqn}/9"
	atf_check -s exit:1 -o empty -e match:'no such target' mkfs.vmfs \
	    --initiator=iqn.2026-11.test:a "iscsi://${portal}/${iqn}x/0"
	atf_check -s exit:1 -o empty -e match:'not allow this initiator' \
	    mkfs.vmfs --initiator=iqn.1999-01.com.else:x "${lun}"
	host_stop box
}

root_test_case lost_lun_freezes_and_comes_back
lost_lun_freezes_and_comes_back_body()
{
	box_start
	box_mkfs "${lun}"
	host_start esx1 "${lun}"
	echo before >esx1/mnt/file
	host_stop box
	until_true 30 eval 'vmfsctl -c esx1/ctl -H ds ls | grep -q frozen' ||
	    atf_fail "the loss of the LUN was not noticed"
	atf_check -s exit:6 -o ignore vmfsctl -c esx1/ctl ds ls
	atf_check -s exit:4 -e match:'waits for its LUN' \
	    vmfsctl -c esx1/ctl disk ls ds1:
	for c in 'ds scrub ds1' 'ds grow ds1'; do
		# shellcheck disable=SC2086
		atf_check -s exit:4 -e match:'waits for its LUN' timeout 30 \
		    vmfsctl -c esx1/ctl ${c}
	done
	# At the address it had.
	box_start
	until_true 90 eval 'vmfsctl -c esx1/ctl -H ds ls | grep -q ok' ||
	    atf_fail "the LUN did not come back"
	atf_check -o inline:'before\n' cat esx1/mnt/file
	atf_check sh -c 'echo after >>esx1/mnt/file'
	host_stop esx1
	host_stop box
}

root_test_case mkfs_explains_the_reservation_of_the_dead
mkfs_explains_the_reservation_of_the_dead_body()
{
	box_start
	box_mkfs "${lun}"
	host_start esx1 "${lun}"
	host_kill esx1
	atf_check -s exit:1 -o ignore -e match:'could still write' \
	    mkfs.vmfs --force --initiator=iqn.2026-11.test:admin "${lun}"
	atf_check -s exit:0 -o match:'clean' -e ignore \
	    fsck.vmfs --initiator=iqn.2026-11.test:admin "${lun}"
	host_stop box
}

# Nothing can be written back, but the process must not stay for ever.
root_test_case host_without_its_lun_can_be_stopped
host_without_its_lun_can_be_stopped_body()
{
	box_start
	box_mkfs "${lun}"
	host_start esx1 "${lun}"
	host_stop box
	until_true 30 eval 'vmfsctl -c esx1/ctl -H ds ls | grep -q frozen' ||
	    atf_fail "the loss of the LUN was not noticed"
	umount -l esx1/mnt
	# shellcheck disable=SC2154
	kill "${daemon_esx1}"
	wait "${daemon_esx1}" && atf_fail "vmfsd cannot have left in good order"
	grep -q 'ending as after a crash' esx1/err ||
	    atf_fail "it does not say how it ended"
	rm -f esx1/pid
}

root_test_case dropped_sessions_log_in_again
dropped_sessions_log_in_again_body()
{
	box_start
	box_mkfs "${lun}"
	host_start esx1 "${lun}"
	echo before >esx1/mnt/file
	atf_check vmfsctl -c box/ctl session drop iqn.2026-11.test:esx1
	atf_check -s exit:3 -e match:'no session' \
	    vmfsctl -c box/ctl session drop iqn.2026-11.test:nobody
	until_true 30 sh -c 'echo after >>esx1/mnt/file' ||
	    atf_fail "the host did not log in again"
	atf_check -o inline:'before\nafter\n' cat esx1/mnt/file
	atf_check vmfsctl -c box/ctl session logout --for=30 '*:esx1'
	if grep -q 'did not log out' box/log; then
		atf_fail "the host did not log out when it was asked to"
	fi
	until_true 30 sh -c 'echo again >>esx1/mnt/file' ||
	    atf_fail "the host did not log in again"
	atf_check -o inline:'before\nafter\nagain\n' cat esx1/mnt/file
	atf_check -o inline:'ok\n' sh -c \
	    "vmfsctl -c esx1/ctl -H ds ls | cut -f5"
	host_stop esx1
	host_stop box
}

# scsi LUN CDB [DATA-OUT]
scsi()
{
	_lun=${lun%/0}/$1
	shift
	"${VMFS_BUILDDIR}/tests/interop/scsi_cmd" ${bytes:+-r ${bytes}} \
	    "${_lun}" "$@"
}

unit_is_ready()
{
	[ "$(scsi 0 000000000000)" = GOOD ]
}

# 31 passes of "ab": long enough to be met at work.
root_test_case sanitize_goes_on_after_a_kill
sanitize_goes_on_after_a_kill_body()
{
	head -c 192M /dev/zero | tr '\0' x >store
	box_start
	[ "$(scsi 0 48810000000000000600 1f0000026162)" = GOOD ] ||
	    atf_fail "not started"
	host_kill box
	# The state is byte 8: 1 is "running".
	atf_check -o match:' 001$' od -An -j8 -N1 -b box/id/sanitize-*
	box_start
	atf_check -o match:'"sanitize": ?"(running [0-9]+%|none)"' \
	    vmfsctl -c box/ctl target ls --json
	until_true 120 unit_is_ready || atf_fail "it did not end"
	atf_check -o match:'is closed: it was being sanitized' cat box/log
	host_stop box
	yes ab | tr -d '\n' | head -c 192M | cmp - store ||
	    atf_fail "there is more than the pattern"
}

# It is not damaged, and nobody is told to remove it.
root_test_case reservations_that_cannot_be_read_are_not_thrown_away
reservations_that_cannot_be_read_are_not_thrown_away_body()
{
	box_start
	# REGISTER with APTPL, key 7.
	[ "$(scsi 0 5f000000000000001800 \
	    000000000000000000000000000000070000000001000000)" = GOOD ] ||
	    atf_fail "not registered"
	host_stop box
	file=$(echo box/id/reservations-*)
	mv "${file}" kept
	mkdir "${file}"
	atf_check -s exit:1 -e match:'Input.output error' -e not-match:damaged \
	    vmfsd --config=box/conf
	rmdir "${file}"
	mv kept "${file}"
	box_start
	host_stop box
}

# The text is written, read after a restart, and noise without its key.
root_test_case encrypted_lun_is_erased_by_its_key
encrypted_lun_is_erased_by_its_key_body()
{
	text=$(printf 'in the clear%500s' '')
	hex=$(printf '%s' "${text}" | od -An -v -tx1 | tr -d ' \n')
	truncate -s 4M dark
	box_start "lun.2 = ${PWD}/dark,thin,encrypted"
	[ "$(scsi 2 2a000000000000000100 "${hex}")" = GOOD ] ||
	    atf_fail "write"
	host_stop box
	atf_check -s exit:1 grep -q 'in the clear' dark
	atf_check -o inline:'600\n' stat -c %a box/id/key-*
	cat box/id/key-* >key.before
	box_start "lun.2 = ${PWD}/dark,thin,encrypted"
	bytes=512
	[ "$(scsi 2 28000000000000000100)" = "GOOD
${text}" ] || atf_fail "read"
	bytes=
	[ "$(scsi 2 48030000000000000000)" = GOOD ] || atf_fail "erase"
	bytes=512
	scsi 2 28000000000000000100 >noise
	bytes=
	atf_check -s exit:1 grep -q 'in the clear' noise
	atf_check -s exit:1 -o ignore cmp box/id/key-* key.before
	host_stop box
	printf 'no key' >"$(echo box/id/key-*)"
	! timeout 30 vmfsd --config=box/conf --pidfile="${PWD}/box/pid" \
	    --log-file="${PWD}/box/log" >out 2>&1 ||
	    atf_fail "started without the key"
	atf_check -o match:'the key of .*dark.* cannot be used' cat out box/log
}

root_test_case discovery_can_ask_for_chap
discovery_can_ask_for_chap_body()
{
	printf 'secret-of-discovery' >secret
	chmod 600 secret
	box_start "[portal]" "discovery-chap = joe" \
	    "discovery-chap-secret-file = ${PWD}/secret"
	me=iqn.2026-11.test:me
	atf_check -s not-exit:0 -o not-match:"${iqn}" -e ignore \
	    iscsi-ls -i ${me} "iscsi://${portal}"
	atf_check -o match:"${iqn}" \
	    iscsi-ls -i ${me} "iscsi://joe%secret-of-discovery@${portal}"
	host_stop box
}
