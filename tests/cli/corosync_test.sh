# SPDX-License-Identifier: BSD-2-Clause
# The network's word on hosts, by a real corosync on three nodes.
. "${VMFS_SRCDIR}/tests/cli/hosts.subr"
. "${VMFS_SRCDIR}/tests/cli/corosync.subr"

# The hint is far below the fence time, so that a log tells them apart.
make_lun()
{
	timers=pulse=200,io=1000,freeze=20000,fence=40000,hint=1500
	lun_make lun
}

# net_says HOST OF WORD: what vmfsctl on HOST shows for OF.
net_says()
{
	[ "$(vmfsctl -c "$1/ctl" host ls ds1 --json |
	    jq -r ".hosts[] | select(.host == \"$2\") | .network")" = "$3" ]
}

all_up()
{
	for _h in esx1 esx2; do
		for _o in esx1 esx2; do
			until_true 30 net_says ${_h} ${_o} up ||
			    atf_fail "${_h} does not hear of ${_o}"
		done
	done
}

has_taken_over()
{
	grep -q 'takeover: done .*host="esx1".*network="gone"' esx2/log
}

atf_test_case a_killed_host_is_fenced_at_the_hints_time cleanup
a_killed_host_is_fenced_at_the_hints_time_head()
{
	atf_set require.user root
	atf_set require.progs "corosync ip nsenter jq"
}
a_killed_host_is_fenced_at_the_hints_time_body()
{
	make_lun
	nodes_make 2
	node_host 1 esx1 "${PWD}/lun"
	node_host 2 esx2 "${PWD}/lun"
	all_up
	host_kill esx1
	until_true 30 net_says esx2 esx1 gone ||
	    has_taken_over || atf_fail "nobody says that esx1 is gone"
	until_true 30 has_taken_over || atf_fail "esx1 was not taken over"
	silent=$(sed -n 's/.*takeover: done .* silent_ms=\([0-9]*\) .*/\1/p' \
	    esx2/log)
	[ "${silent}" -ge 1500 ] || atf_fail "fenced after ${silent} ms"
	hosts_stop
}
a_killed_host_is_fenced_at_the_hints_time_cleanup()
{
	hosts_cleanup
	nodes_cleanup
}

atf_test_case a_cut_network_alone_fences_nobody cleanup
a_cut_network_alone_fences_nobody_head()
{
	atf_set require.user root
	atf_set require.progs "corosync ip nsenter jq"
}
a_cut_network_alone_fences_nobody_body()
{
	make_lun
	nodes_make 3
	node_host 1 esx1 "${PWD}/lun"
	node_host 2 esx2 "${PWD}/lun"
	all_up
	node_cut 1
	# The part with the quorum says gone, the other one says nothing.
	until_true 30 net_says esx2 esx1 gone ||
	    atf_fail "the cut is not noticed"
	until_true 30 net_says esx1 esx2 "" ||
	    atf_fail "who is cut off judges others"
	# Longer than the hint's time, by the pulses of the disk.
	first=$(pulse_of esx2 esx1)
	until_true 60 pulse_beyond esx2 esx1 $((first + 12)) ||
	    atf_fail "esx1 does not pulse"
	for h in esx1 esx2; do
		if grep -E 'takeover:|fenced' ${h}/log; then
			atf_fail "${h}: somebody was fenced"
		fi
	done
	atf_check touch esx1/mnt/still-here esx2/mnt/here-too
	hosts_stop
}
pulse_of()
{
	vmfsctl -c "$1/ctl" host ls ds1 --json |
	    jq ".hosts[] | select(.host == \"$2\") | .pulse"
}
pulse_beyond()
{
	[ "$(pulse_of "$1" "$2")" -ge "$3" ]
}
a_cut_network_alone_fences_nobody_cleanup()
{
	hosts_cleanup
	nodes_cleanup
}

atf_test_case a_host_without_corosync_goes_by_the_disk cleanup
a_host_without_corosync_goes_by_the_disk_head()
{
	atf_set require.user root
	atf_set require.progs "corosync ip nsenter jq"
}
a_host_without_corosync_goes_by_the_disk_body()
{
	make_lun
	nodes_make 2
	node_host 1 esx1 "${PWD}/lun"
	node_host 2 esx2 "${PWD}/lun"
	all_up
	# Of the host that watches: no word is left about the other one.
	kill -9 "$(cat node2.pid)"
	until_true 30 net_says esx2 esx1 "" ||
	    atf_fail "an old word is still believed"
	until_true 30 grep -q 'corosync process group: .*by the LUN' \
	    esx2/log || atf_fail "the log does not tell"
	# And back.
	corosync_start 2
	until_true 60 net_says esx2 esx1 up ||
	    atf_fail "corosync came back in vain"
	hosts_stop
}
a_host_without_corosync_goes_by_the_disk_cleanup()
{
	hosts_cleanup
	nodes_cleanup
}

atf_init_test_cases()
{
	atf_add_test_case a_killed_host_is_fenced_at_the_hints_time
	atf_add_test_case a_cut_network_alone_fences_nobody
	atf_add_test_case a_host_without_corosync_goes_by_the_disk
}
