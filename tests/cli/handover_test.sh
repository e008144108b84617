# SPDX-License-Identifier: BSD-2-Clause
# A disk goes from one host to another that is named, and to no third.
. "${VMFS_SRCDIR}/tests/cli/hosts.subr"

disk=ds1:/vm.vmdk

setup()
{
	hosts_up h1 h2 h3
	atf_check vmfsctl -c h1/ctl disk create ${disk} 16M
}

# Writes a byte, or says why not.
writes()
{
	echo "$2" | dd of="$1/mnt/vm-flat.vmdk" bs=1 count=1 conv=notrunc \
	    status=none
}

refused()
{
	writes "$1" x 2>err && atf_fail "$1 may write"
	atf_check -o match:'Device or resource busy' cat err
}

soon_writes()
{
	until_true 20 writes "$@" || atf_fail "$1 cannot write"
}

first_byte() { head -c 1 "$1/mnt/vm-flat.vmdk"; }

handover_test_case()
{
	root_test_case "$1" "timeout 120"
}

handover_test_case only_the_host_that_is_named_gets_it
only_the_host_that_is_named_gets_it_body()
{
	setup
	writes h1 a
	atf_check -o match:'^state *reserved$' vmfsctl -c h1/ctl disk handover --to=h2 ${disk}
	refused h3
	atf_check -o match:'being handed over to host h2 by host h1' \
	    grep 'open for writing refused' h3/log
	atf_check -o inline:'h2 h1\n' sh -c "vmfsctl -c h3/ctl -j lock show \
	    ds1:/vm-flat.vmdk | jq -r '.lock | .host + \" \" + .handed_over_by'"
	soon_writes h2 b
	soon_writes h3 c
	[ "$(first_byte h1)" = c ] || atf_fail "it has $(first_byte h1)"
	hosts_stop
}

handover_test_case a_disk_in_use_is_handed_over_when_it_is_closed
a_disk_in_use_is_handed_over_when_it_is_closed_body()
{
	setup
	exec 5<>h1/mnt/vm-flat.vmdk
	atf_check -o match:'in use: reserved as soon' \
	    vmfsctl -c h1/ctl disk handover --to=h2 ${disk}
	atf_check -s exit:4 -e match:'already' \
	    vmfsctl -c h1/ctl disk handover --to=h3 ${disk}
	echo a >&5
	exec 5>&-
	refused h3
	soon_writes h2 b
	hosts_stop
}

handover_test_case what_is_not_taken_in_time_is_free
what_is_not_taken_in_time_is_free_body()
{
	setup
	atf_check -o ignore vmfsctl -c h1/ctl disk handover --to=h2 --for=1 ${disk}
	soon_writes h3 c
	# And at once when it is cancelled.
	atf_check -o ignore vmfsctl -c h1/ctl disk handover --to=h2 ${disk}
	atf_check vmfsctl -c h1/ctl disk handover --cancel ${disk}
	soon_writes h3 d
	hosts_stop
}

handover_test_case the_host_that_gives_it_may_have_it_back
the_host_that_gives_it_may_have_it_back_body()
{
	setup
	atf_check -o ignore vmfsctl -c h1/ctl disk handover --to=h2 ${disk}
	exec 5<>h1/mnt/vm-flat.vmdk
	echo a >&5
	refused h2
	exec 5>&-
	# That was the end of it.
	soon_writes h3 c
	hosts_stop
}

handover_test_case a_host_that_dies_hands_nothing_over
a_host_that_dies_hands_nothing_over_body()
{
	setup
	atf_check -o ignore vmfsctl -c h1/ctl disk handover --to=h2 ${disk}
	refused h3
	host_kill h1
	soon_writes h3 c
	# The one that was to have it dies.
	atf_check -o ignore vmfsctl -c h3/ctl disk handover --to=h2 ${disk}
	host_start h4 "${PWD}/lun"
	host_kill h2
	soon_writes h4 d
	hosts_stop
}

handover_test_case the_process_after_it_takes_it_back
the_process_after_it_takes_it_back_body()
{
	daemon_in=supervised
	setup
	atf_check -o ignore vmfsctl -c h1/ctl disk handover --to=h2 ${disk}
	refused h3
	kill_worker h1
	soon_writes h3 c
	hosts_stop
}

handover_test_case what_makes_no_sense_is_refused
what_makes_no_sense_is_refused_body()
{
	setup
	atf_check -s exit:2 -e match:'either --to or --cancel' \
	    vmfsctl -c h1/ctl disk handover ${disk}
	atf_check -s exit:3 -e match:'no host "h9"' \
	    vmfsctl -c h1/ctl disk handover --to=h9 ${disk}
	atf_check -s exit:3 -e match:"vm.vmdk cannot be handed over to 'h1': this is host" \
	    vmfsctl -c h1/ctl disk handover --to=h1 ${disk}
	atf_check -s exit:3 -e match:'not being handed over' \
	    vmfsctl -c h1/ctl disk handover --cancel ${disk}
	exec 5<>h2/mnt/vm-flat.vmdk
	atf_check -s exit:4 -e match:'locked by host h2' \
	    vmfsctl -c h1/ctl disk handover --to=h3 ${disk}
	# It left no trace.
	exec 5>&-
	soon_writes h1 a
	soon_writes h2 b
	hosts_stop
}
