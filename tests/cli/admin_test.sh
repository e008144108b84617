# SPDX-License-Identifier: BSD-2-Clause
# What an admin sees of hosts and datastores that are not well, and orders.
. "${VMFS_SRCDIR}/tests/cli/hosts.subr"

iqn=iqn.2026-11.test:box

# A box whose LUN has persistent reservations; its URL in lun.
box_start()
{
	truncate -s 512M store
	mkdir -p box
	{
		printf '[portal]\nlisten = 127.0.0.1:0\n'
		printf '[target %s]\nlun.0 = %s,thin\n' ${iqn} "${PWD}/store"
		printf 'allow = iqn.2026-11.test:*\n'
	} | host_conf box
	daemon_start box
	portal=$(portal_of box)
	lun="iscsi://${portal}/${iqn}/0"
	atf_check -o ignore -e empty mkfs.vmfs -L ds1 --timers=${timers} \
	    --initiator=iqn.2026-11.test:admin "${lun}"
}

two_hosts()
{
	box_start
	host_start esx1 "${lun}"
	host_start esx2 "${lun}"
}

admin_test_case()
{
	root_test_case "$1" "require.progs 'jq prlimit'"
}

# state_of HOST: as esx2 sees it
state_of()
{
	vmfsctl -c esx2/ctl host ls ds1 --json |
	    jq -r ".hosts[] | select(.host == \"$1\") | .state"
}
state_is()
{
	[ "$(state_of "$1")" = "$2" ]
}
status_is()
{
	[ "$(vmfsctl -c "$1/ctl" ds info ds1 --json |
	    jq -r .datastore.status)" = "$2" ]
}

admin_test_case a_fenced_host_mounts_again_without_a_restart
a_fenced_host_mounts_again_without_a_restart_body()
{
	two_hosts
	echo before >esx1/mnt/file
	exec 9>>esx1/mnt/file
	atf_check -o ignore vmfsctl -c esx1/ctl disk create ds1:/a.vmdk 1M
	atf_check -o ignore vmfsctl -c esx1/ctl disk attach \
	    --socket="${PWD}/a.sock" ds1:/a.vmdk
	atf_check -o match:' held ' vmfsctl -c esx1/ctl disk attached ds1
	until_true 30 state_is esx1 alive || atf_fail "esx2 does not see esx1"
	atf_check -s exit:4 -e match:'"esx1" is alive, it pulsed 0.* ago' \
	    vmfsctl -c esx2/ctl host fence ds1 esx1
	atf_check -s exit:2 -e match:'"esx2" is this one' \
	    vmfsctl -c esx2/ctl host fence ds1 esx2
	atf_check -s exit:3 -e match:'no host "esx3".*"esx1"' \
	    vmfsctl -c esx2/ctl host fence ds1 esx3
	atf_check -s exit:4 -e match:'"esx1" is a member' \
	    vmfsctl -c esx2/ctl host forget ds1 esx1 --force
	atf_check -o match:'^host +esx1' -o match:'taken over +20' \
	    vmfsctl -c esx2/ctl host fence ds1 esx1 --force
	atf_check -o match:'esx1 +fenced' vmfsctl -c esx2/ctl host ls ds1
	until_true 30 status_is esx1 fenced || atf_fail "esx1 does not notice"
	# Its users get errors, and the log says why.
	atf_check -s exit:1 -e match:'rror' dd if=/dev/zero of=esx1/mnt/file \
	    bs=4096 count=1 conv=notrunc,fsync
	atf_check -o match:'this host was fenced: .*ds unmount --force ds1' \
	    cat esx1/log
	atf_check -s exit:6 -o match:'^because +.*fenced|^because +.*taken' \
	    -o match:'^what to do +vmfsctl ds unmount --force' \
	    vmfsctl -c esx1/ctl ds info ds1
	atf_check -s exit:6 -o match:'esx1 +fenced' -o match:'esx2 +unknown' \
	    vmfsctl -c esx1/ctl host ls ds1
	atf_check -o match:' lost ' vmfsctl -c esx1/ctl disk attached ds1
	# What it had open goes to who wants it.
	atf_check sh -c 'echo other >>esx2/mnt/file'
	exec 9>&-
	old=$(vmfsctl -c esx1/ctl ds info ds1 --json |
	    jq .datastore.incarnation)
	atf_check vmfsctl -c esx1/ctl ds unmount --force ds1
	atf_check vmfsctl -c esx1/ctl ds mount ds1
	atf_check -o inline:'before\nother\n' cat esx1/mnt/file
	atf_check -o inline:'ok\ntrue\n' sh -c "vmfsctl -c esx1/ctl ds info \
	    ds1 --json | jq '.datastore | .status, .incarnation != ${old}' -r"
	daemon_stop esx1
	host_stop esx2
	host_stop box
}

admin_test_case a_host_that_is_gone_is_ended_and_forgotten
a_host_that_is_gone_is_ended_and_forgotten_body()
{
	two_hosts
	exec 9>esx1/mnt/file
	host_kill esx1
	exec 9>&-
	atf_check -s exit:4 -e match:'/file is locked by host esx1 .exclusive,' \
	    vmfsctl -c esx2/ctl lock break ds1:/file
	atf_check -o match:'^host +esx1' vmfsctl -c esx2/ctl host fence ds1 esx1
	atf_check -o match:'^held by +esx1 .dead.' -o match:'^state +dead' \
	    -o match:'^advice .*gone for certain: whoever opens it' \
	    vmfsctl -c esx2/ctl lock show ds1:/file
	atf_check vmfsctl -c esx2/ctl lock break ds1:/file
	atf_check -s exit:3 -e match:'/file is not locked' \
	    vmfsctl -c esx2/ctl lock break ds1:/file
	exec 9>esx2/mnt/file
	atf_check -s exit:4 -e match:'in use on this host: close it here' \
	    vmfsctl -c esx2/ctl lock break ds1:/file
	exec 9>&-
	atf_check sh -c 'echo mine >>esx2/mnt/file'
	until_true 30 state_is esx1 fenced || atf_fail "esx1 is not shown"
	atf_check -o match:'esx1 +fenced .* by esx2; it has not come back' \
	    vmfsctl -c esx2/ctl host ls ds1
	atf_check -o match:'esx1 .* admin +esx2 .* done' \
	    vmfsctl -c esx2/ctl host takeovers ds1
	atf_check -o inline:'esx1 admin esx2 done ["begun","fenced","marked","replayed","freed"]\n' \
	    sh -c "vmfsctl -c esx2/ctl host takeovers ds1 --json | jq -r \
	    '.takeovers[] | \"\(.host) \(.cause) \(.by) \(.result) \(.steps_us | keys_unsorted | tojson)\"'"
	atf_check -o inline:'ds1 esx1 done\n' jq -r \
	    '"\(.datastore) \(.host) \(.result)"' esx2/id/takeovers.json
	# Alone, with the reservation as all that keeps esx1 out.
	atf_check vmfsctl -c esx2/ctl ds unmount ds1
	atf_check -s exit:1 -e match:'vmfsctl host forget' mkfs.vmfs --force \
	    -L ds1 --initiator=iqn.2026-11.test:admin "${lun}"
	# Nobody waits for it who repairs the datastore.
	atf_check -o ignore timeout 60 fsck.vmfs -fy \
	    --initiator=iqn.2026-11.test:admin "${lun}"
	atf_check vmfsctl -c esx2/ctl ds mount ds1
	atf_check -s exit:1 -e match:'only sleeps .* use --force' \
	    vmfsctl -c esx2/ctl host forget ds1 esx1
	atf_check vmfsctl -c esx2/ctl host forget ds1 esx1 --force
	atf_check -s exit:3 -e match:'has not come back; there is none' \
	    vmfsctl -c esx2/ctl host forget ds1 esx1 --force
	atf_check -o not-match:esx1 vmfsctl -c esx2/ctl host ls ds1
	atf_check vmfsctl -c esx2/ctl ds unmount ds1
	atf_check -o ignore -e empty mkfs.vmfs --force -L ds1 \
	    --timers=${timers} --initiator=iqn.2026-11.test:admin "${lun}"
	host_stop esx2
	host_stop box
}

admin_test_case what_another_host_did_is_told
what_another_host_did_is_told_body()
{
	hosts_up esx1 esx2 esx3
	host_kill esx1
	until_true 60 eval "[ \$(cat esx2/id/takeovers.json \
	    esx3/id/takeovers.json | grep -c '\"result\":\"done\"') -eq 2 ]" ||
	    atf_fail "no report"
	taker=$(cat esx?/id/takeovers.json | jq -r .by | sort -u)
	other=esx2
	[ "${taker}" != esx2 ] || other=esx3
	atf_check -o match:"esx1 .* silent +${taker} " \
	    vmfsctl -c "${taker}/ctl" host takeovers ds1
	atf_check -o match:"esx1 .* seen +${taker} " \
	    vmfsctl -c "${other}/ctl" host takeovers ds1
	atf_check -o match:'takeover: step=fenced .*host="esx1"' \
	    -o match:'takeover: step=freed .*cause="silent"' cat "${taker}/log"
	hosts_stop
}

admin_test_case a_stopped_process_is_named
a_stopped_process_is_named_body()
{
	hosts_up esx1 esx2
	# In a process of its own: whoever has it open waits for esx1 at its end.
	sleep 100 9>esx1/mnt/file &
	user=$!
	until_true 20 eval 'vmfsctl -c esx2/ctl lock ls ds1: | grep -q /file' ||
	    atf_fail "the file is not locked"
	kill -STOP "$(cat esx1/pid)"
	until_true 60 eval "vmfsctl -c esx2/ctl host ls ds1 |
	    grep -q 'esx1 *suspect .*cannot be taken over: .*end that process'" ||
	    atf_fail "$(vmfsctl -c esx2/ctl host ls ds1)"
	atf_check -s exit:4 -e match:'cannot take over .*still has the file' \
	    vmfsctl -c esx2/ctl host fence ds1 esx1
	atf_check -s exit:4 -e match:'silent but cannot be fenced yet' \
	    vmfsctl -c esx2/ctl lock break ds1:/file
	atf_check -o match:'esx1 .* not yet +.*end that process' \
	    vmfsctl -c esx2/ctl host takeovers ds1
	kill -CONT "$(cat esx1/pid)"
	until_true 60 state_is esx1 alive || atf_fail "esx1 is not alive"
	kill "${user}"
	wait "${user}"
	hosts_stop
}

admin_test_case why_io_waits_is_told
why_io_waits_is_told_body()
{
	box_start
	host_start esx1 "${lun}"
	# shellcheck disable=SC2154
	kill -STOP "${daemon_box}"
	until_true 60 status_is esx1 frozen || atf_fail "I/O does not wait"
	atf_check -s exit:6 -o match:'^status +frozen' \
	    -o match:'^because +no pulse reached the LUN' \
	    -o match:'^since +20' -o match:'^what to do +I/O goes on by itself' \
	    vmfsctl -c esx1/ctl ds info ds1
	atf_check -s exit:6 -o match:'esx1 +frozen .* no pulse reached' \
	    vmfsctl -c esx1/ctl host ls ds1
	atf_check -s exit:4 -e match:'cannot reach the LUN' \
	    vmfsctl -c esx1/ctl host fence ds1 esx2
	kill -CONT "${daemon_box}"
	until_true 90 status_is esx1 ok || atf_fail "I/O does not go on"
	atf_check -o not-match:because vmfsctl -c esx1/ctl ds info ds1
	host_stop esx1
	host_stop box
}

admin_test_case one_bad_datastore_stops_nothing_else
one_bad_datastore_stops_nothing_else_body()
{
	truncate -s 64M empty store
	lun_make lun
	mkdir -p h/mnt h/mnt2
	{
		printf '[portal]\nlisten = 127.0.0.1:0\n'
		printf '[target %s]\nlun.0 = %s\n' ${iqn} "${PWD}/store"
		printf 'allow = iqn.2026-11.test:*\n'
		printf '[datastore ds1]\nlun = %s\nmount = %s\n' \
		    "${PWD}/later" "${PWD}/h/mnt"
		printf '[datastore ds2]\nlun = %s\nmount = %s\n' \
		    "${PWD}/lun" "${PWD}/h/mnt2"
	} | host_conf h
	daemon_start h
	atf_check -o match:"cannot open '${PWD}/later': there is no such file" \
	    cat h/err
	atf_check -o match:' warn: vmfsd: going on without 1 datastore' \
	    cat h/log
	mount_failed h 'there is no such file or device'
	atf_check -s exit:6 -o match:'^what to do +it is tried again' \
	    vmfsctl -c h/ctl ds info ds1
	atf_check touch h/mnt2/works
	atf_check -o match:"${iqn}" vmfsctl -c h/ctl target ls
	atf_check -o ignore mkfs.vmfs --timers=${timers} "${PWD}/empty"
	mv empty later
	until_true 60 mountpoint -q h/mnt || atf_fail "not tried again"
	atf_check -o not-match:failed vmfsctl -c h/ctl ds ls
	atf_check -o inline:'1\n' grep -c 'ds1: not mounted' h/log
	daemon_stop h
	# An admin can end that.
	mv later empty
	daemon_start h
	mount_failed h 'there is no such file or device'
	atf_check vmfsctl -c h/ctl ds unmount ds1
	atf_check -s exit:3 -e match:'is not mounted' \
	    vmfsctl -c h/ctl ds unmount ds1
	atf_check -o match:'^ds1	.*	unmounted	' vmfsctl -c h/ctl -H ds ls
	mv empty later
	atf_check vmfsctl -c h/ctl ds mount ds1
	daemon_stop h
}

no_descriptors()
{
	pid=$(cat esx1/pid)
	limit=$(prlimit --pid="${pid}" --nofile --noheadings --raw \
	    --output=SOFT)
	prlimit --pid="${pid}" --nofile=3:
}
# When somebody has met that.
descriptors_again()
{
	until_true 20 grep 'control: cannot take .* Too many open' esx1/log
	told=$?
	prlimit --pid="${pid}" --nofile="${limit}:"
	[ ${told} -eq 0 ] || atf_fail "it does not say so"
}

admin_test_case who_exports_nothing_has_nothing_to_list
who_exports_nothing_has_nothing_to_list_body()
{
	one_host
	for args in "target ls" "lun ls" "session ls" "acl ls" "portal ls"; do
		# shellcheck disable=SC2086
		atf_check -o match:'"[a-z]+": \[\]' vmfsctl --json ${args}
	done
	hosts_stop
}

admin_test_case control_socket_outlives_a_lack_of_descriptors
control_socket_outlives_a_lack_of_descriptors_body()
{
	one_host
	no_descriptors
	# One was taken before anybody asked; this needs more.
	atf_check -s not-exit:0 -e ignore vmfsctl ds ls
	vmfsctl ds ls >listed &
	asks=$!
	descriptors_again
	wait ${asks} || atf_fail "who waited is not answered"
	atf_check -o match:ds1 cat listed
	atf_check -o match:ds1 vmfsctl ds ls
	hosts_stop
}

admin_test_case who_waits_for_a_task_asks_again
who_waits_for_a_task_asks_again_body()
{
	one_host
	mkfifo pipe
	exec 9<>pipe
	vmfsctl disk import pipe ds1:/a.vmdk 9>&- &
	import=$!
	until_true 20 sh -c "vmfsctl task ls | grep 'import.*running'" ||
	    atf_fail "it does not begin"
	no_descriptors
	descriptors_again
	echo something >pipe
	exec 9>&-
	wait ${import} || atf_fail "it is done, and said to have failed"
	atf_check -o match:^something head -n 1 esx1/mnt/a-flat.vmdk
	hosts_stop
}

looked_for_deletions()
{
	[ "$(vmfsctl task ls | grep -c 'resume deletions.*done')" = "$1" ]
}

# What an unmount has ended begins again when there is no unmount after all.
admin_test_case deletions_go_on_after_a_refused_unmount
deletions_go_on_after_a_refused_unmount_body()
{
	one_host
	until_true 20 looked_for_deletions 1 || atf_fail "none at the mount"
	exec 8>esx1/mnt/file
	atf_check -s exit:4 -e match:'files are open' vmfsctl ds unmount ds1
	until_true 20 looked_for_deletions 2 || atf_fail "they do not go on"
	exec 8>&-
	hosts_stop
}
