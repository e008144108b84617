# SPDX-License-Identifier: BSD-2-Clause
# Lock protocols of LUNs that cannot fence: time and a watchdog are the proof.
. "${VMFS_SRCDIR}/tests/cli/hosts.subr"

# pulse + freeze + watchdog + bound
slow_timers=pulse=200,io=1000,freeze=2000,watchdog=2000,bound=1500,fence=5800

# mode_host NAME LUN: with a watchdog that ends the daemon alone.
mode_host()
{
	printf '[datastore ds1]\nlun = %s\nmount = %s\n' "$2" \
	    "${PWD}/$1/mnt" | host_conf "$1"
	sed -i '/^\[host\]/a watchdog = process\nwatchdog-timeout = 2' \
	    "$1/conf"
	daemon_start "$1"
}

can_open()
{
	dd if=/dev/null of=esx2/mnt/file conv=notrunc status=none
}

ended()
{
	! kill -0 "$1"
}

# The daemon of esx1 is gone by now: what it flushed is there, its lock free.
check_take_over()
{
	until_true 60 can_open || atf_fail "esx2 did not take the lock over"
	atf_check cmp content esx2/mnt/file
	silent=$(sed -n 's/.*takeover: done .* silent_ms=\([0-9]*\) .*/\1/p' \
	    esx2/log | head -n 1)
	[ "${silent}" -ge 5700 ] || atf_fail "taken over after ${silent} ms"
}

hold_a_file()
{
	head -c 3000000 /dev/urandom >content
	atf_check cp content esx1/mnt/file
	atf_check sync esx1/mnt/file
	exec 9<>esx1/mnt/file || atf_fail "cannot open"
	atf_check -s exit:1 -e match:'resource busy' dd if=/dev/null \
	    of=esx2/mnt/file conv=notrunc
}

mode_test_case()
{
	atf_test_case "$1" cleanup
	eval "$1_head() { atf_set require.user root; }"
	eval "$1_cleanup() { hosts_cleanup; tgt_cleanup; }"
	cases="${cases} $1"
}

tgt_cleanup()
{
	for file in tgtd.pid istgt.pid; do
		[ ! -s ${file} ] || kill -9 "$(cat ${file})"
	done
	return 0
}

make_file_lun()
{
	truncate -s 512M lun
	atf_check -o match:'ATS [+] watchdog' -o match:'fenced after 5.8 s' \
	    -o match:'watchdog .vmfsd.conf' -e empty mkfs.vmfs --label=ds1 \
	    --protocol=ats-watchdog --timers=${slow_timers} "${PWD}/lun"
}

mode_test_case a_dead_host_is_taken_over_when_time_proves_it
a_dead_host_is_taken_over_when_time_proves_it_body()
{
	make_file_lun
	mode_host esx1 "${PWD}/lun"
	mode_host esx2 "${PWD}/lun"
	atf_check -o match:'take-over after *5 s|5.8' -o match:'watchdog' \
	    vmfsctl -c esx1/ctl ds lockmode ds1
	hold_a_file
	host_kill esx1
	exec 9>&-
	check_take_over
	hosts_stop
}

mode_test_case a_stopped_host_is_ended_by_its_watchdog
a_stopped_host_is_ended_by_its_watchdog_body()
{
	make_file_lun
	mode_host esx1 "${PWD}/lun"
	mode_host esx2 "${PWD}/lun"
	hold_a_file
	pid=$(cat esx1/pid)
	kill -STOP "${pid}"
	# shellcheck disable=SC2154
	wait "${daemon_esx1}"
	[ $? -eq 137 ] || atf_fail "nobody killed esx1"
	rm -f esx1/pid
	umount -l esx1/mnt
	exec 9>&-
	check_take_over
	hosts_stop
}

mode_test_case without_a_watchdog_the_mount_is_refused
without_a_watchdog_the_mount_is_refused_body()
{
	make_file_lun
	printf '[datastore ds1]\nlun = %s\nmount = %s\n' \
	    "${PWD}/lun" "${PWD}/esx1/mnt" | host_conf esx1
	daemon_start esx1
	mount_failed esx1 'every host needs a watchdog'
	daemon_stop esx1
	sed -i '/^\[host\]/a watchdog = process' esx1/conf
	daemon_start esx1
	mount_failed esx1 'counts on 2000 ms'
	daemon_stop esx1
}

# A tgtd of our own on a free port; its LUN has RESERVE and no more.
tgt_start()
{
	truncate -s 512M lun
	for _try in 1 2 3 4 5; do
		# The number of its control socket has 15 bits.
		tgt_port=$((20000 + ($$ * 7 + _try * 131) % 12000))
		tgtd -f -C "${tgt_port}" -t 2 --iscsi \
		    portal=127.0.0.1:"${tgt_port}" >tgtd.log 2>&1 &
		echo $! >tgtd.pid
		until_true 10 tgt_answers && return
		kill -9 "$(cat tgtd.pid)"
	done
	atf_fail "tgtd does not start"
}

tgt_answers()
{
	tgtadm -C "${tgt_port}" --lld iscsi --op show --mode target
}

tgt_do()
{
	atf_check tgtadm -C "${tgt_port}" --lld iscsi "$@"
}

mode_test_case hosts_share_a_lun_that_knows_only_reserve
hosts_share_a_lun_that_knows_only_reserve_body()
{
	tgt_start
	tgt_do --op new --mode target --tid 1 -T iqn.2026-11.test:tgt
	tgt_do --op new --mode logicalunit --tid 1 --lun 1 -b "${PWD}/lun"
	tgt_do --op bind --mode target --tid 1 -I ALL
	url=iscsi://127.0.0.1:${tgt_port}/iqn.2026-11.test:tgt/1
	atf_check -o match:'SCSI-2 RESERVE' -e empty mkfs.vmfs --label=ds1 \
	    --timers=${slow_timers} "${url}"
	mode_host esx1 "${url}"
	mode_host esx2 "${url}"
	hold_a_file
	host_kill esx1
	exec 9>&-
	check_take_over
	host_stop esx2
}

# Its disk is a LUN of iqn.2026-11.test:istgt.
istgt_conf()
{
	cat <<-E
	[Global]
	  NodeBase "iqn.2026-11.test"
	  PidFile ${PWD}/istgt.own
	  AuthFile ${PWD}/auth
	  DiscoveryAuthMethod None
	  MaxSessions 16
	  MaxConnections 4
	  FirstBurstLength 262144
	  MaxBurstLength 1048576
	  MaxRecvDataSegmentLength 262144
	[UnitControl]
	[PortalGroup1]
	  Portal DA1 127.0.0.1:$1
	[InitiatorGroup1]
	  InitiatorName "ALL"
	  Netmask 127.0.0.0/8
	[LogicalUnit1]
	  TargetName istgt
	  Mapping PortalGroup1 InitiatorGroup1
	  AuthMethod None
	  UnitType Disk
	  LUN0 Storage ${PWD}/lun 512MB
	E
}

istgt_answers()
{
	grep -q 'serial' istgt.log && kill -0 "$(cat istgt.pid)" &&
	    iscsi-inq "${url}"
}

istgt_start()
{
	truncate -s 512M lun
	: >auth
	chmod 600 auth
	for _try in 1 2 3 4 5; do
		_port=$((20000 + ($$ * 7 + _try * 131) % 12000))
		url=iscsi://127.0.0.1:${_port}/iqn.2026-11.test:istgt/0
		istgt_conf "${_port}" >istgt.conf
		istgt -D -c istgt.conf >istgt.log 2>&1 &
		echo $! >istgt.pid
		until_true 10 istgt_answers && return
		kill -9 "$(cat istgt.pid)"
	done
	cat istgt.log
	atf_fail "istgt does not start"
}

mode_test_case hosts_share_a_lun_that_forgets_reservations
hosts_share_a_lun_that_forgets_reservations_body()
{
	istgt_start
	atf_check -o match:'ATS . watchdog' -e empty mkfs.vmfs --label=ds1 \
	    --timers=${slow_timers} "${url}"
	mode_host esx1 "${url}"
	mode_host esx2 "${url}"
	hold_a_file
	host_kill esx1
	exec 9>&-
	check_take_over
	host_stop esx2
}

status_is()
{
	[ "$(vmfsctl -c "$1/ctl" ds info ds1 --json |
	    jq -r .datastore.status)" = "$2" ]
}

mode_test_case a_lun_that_is_taken_away_is_lost_until_it_is_given_back
a_lun_that_is_taken_away_is_lost_until_it_is_given_back_body()
{
	tgt_start
	tgt_do --op new --mode target --tid 1 -T iqn.2026-11.test:tgt
	tgt_do --op new --mode logicalunit --tid 1 --lun 1 -b "${PWD}/lun"
	tgt_do --op bind --mode target --tid 1 -I ALL
	url=iscsi://127.0.0.1:${tgt_port}/iqn.2026-11.test:tgt/1
	atf_check -o ignore -e empty mkfs.vmfs --label=ds1 \
	    --timers=${slow_timers} "${url}"
	mode_host esx1 "${url}"
	atf_check touch esx1/mnt/before
	# It is refused while a command is there.
	until_true 60 tgtadm -C "${tgt_port}" --lld iscsi --op delete \
	    --mode logicalunit --tid 1 --lun 1 || atf_fail "tgt keeps it"
	until_true 60 status_is esx1 lost ||
	    atf_fail "$(vmfsctl -c esx1/ctl -H ds ls)"
	atf_check -s exit:6 -o match:'^because +LUN .* is permanently gone' \
	    -o match:'^what to do +give the LUN back' \
	    vmfsctl -c esx1/ctl ds info ds1
	atf_check -s exit:1 -e ignore touch esx1/mnt/after
	atf_check -o match:'error: datastore: ds1: the LUN is lost: .* gone;' \
	    cat esx1/log
	tgt_do --op new --mode logicalunit --tid 1 --lun 1 -b "${PWD}/lun"
	atf_check vmfsctl -c esx1/ctl ds unmount --force ds1
	atf_check vmfsctl -c esx1/ctl ds mount ds1
	atf_check touch esx1/mnt/after
	daemon_stop esx1
}
