# SPDX-License-Identifier: BSD-2-Clause
# The program on the disk is replaced by another while it runs.
. "${VMFS_SRCDIR}/tests/cli/hosts.subr"

# esx1, by a copy of the program, as a package would have installed it.
installed_up()
{
	mkdir -p bin
	cp "$(command -v vmfsd)" bin/vmfsd
	PATH=${PWD}/bin:${PATH}
	daemon_in=supervised
	hosts_up esx1
}

# In place of the program, which is bin/good then: a script, from stdin.
replaced_by()
{
	{
		echo '#!/bin/sh'
		cat
	} >bin/new
	chmod +x bin/new
	ln bin/vmfsd bin/good
	mv bin/new bin/vmfsd
}

# upgrade_is_refused SENTENCE: and all is as before.
upgrade_is_refused()
{
	exec 8>esx1/mnt/file
	old=$(worker esx1)
	atf_check -s not-exit:0 -e match:"$1" \
	    vmfsctl -c esx1/ctl daemon upgrade
	atf_check_equal "${old}" "$(worker esx1)"
	echo kept >&8 || atf_fail "the file is not open any more"
	exec 8>&-
	hosts_stop
}

runs_from()
{
	[ "$(stat -L -c %i "/proc/$1/exe")" = "$2" ]
}

root_test_case upgrade_goes_on_with_the_new_program
write_on()
{
	n=0
	while [ ! -e enough ]; do
		echo "${n}" >&8 || exit 1
		n=$((n + 1))
	done
	echo "${n}" >written
}
upgrade_goes_on_with_the_new_program_body()
{
	installed_up
	exec 8>>esx1/mnt/file
	(write_on) &
	writer=$!
	supervisor=$(cat esx1/pid)
	for _ in 1 2 3; do
		old=$(worker esx1)
		cp bin/vmfsd bin/new
		mv bin/new bin/vmfsd
		new=$(stat -c %i bin/vmfsd)
		atf_check -o match:"^esx1	.*	yes	${PWD}/bin/vmfsd$" \
		    vmfsctl -c esx1/ctl -H daemon upgrade
		[ "$(worker esx1)" != "${old}" ] || atf_fail "the same worker"
		atf_check_equal "${supervisor}" "$(cat esx1/pid)"
		runs_from "${supervisor}" "${new}" ||
		    atf_fail "the supervisor is the old program"
		runs_from "$(worker esx1)" "${new}" ||
		    atf_fail "the worker is the old program"
	done
	kill_worker esx1
	runs_from "$(worker esx1)" "${new}" ||
	    atf_fail "the next worker is another program"
	touch enough
	wait ${writer} || atf_fail "a write failed"
	exec 8>&-
	seq 0 $(($(cat written) - 1)) >expected
	cmp expected esx1/mnt/file || atf_fail "not what was written"
	hosts_stop
	atf_check -o ignore fsck.vmfs -n lun
}
upgrade_goes_on_with_the_new_program_cleanup()
{
	touch enough
	hosts_cleanup
}

root_test_case upgrade_to_what_does_not_start_is_refused
upgrade_to_what_does_not_start_is_refused_body()
{
	installed_up
	replaced_by <<-EOF
		exit 1
	EOF
	upgrade_is_refused 'cannot go on|does not start'
}

root_test_case upgrade_to_what_lacks_an_option_is_refused
upgrade_to_what_lacks_an_option_is_refused_body()
{
	installed_up
	replaced_by <<-EOF
		case "\$*" in *--pidfile=*) exit 2;; esac
		exec "${PWD}/bin/good" "\$@"
	EOF
	upgrade_is_refused 'does not start'
}

root_test_case new_program_waits_for_an_upgrade
new_program_waits_for_an_upgrade_body()
{
	installed_up
	old=$(stat -c %i bin/vmfsd)
	exec 8>esx1/mnt/file
	replaced_by <<-EOF
		exit 1
	EOF
	kill_worker esx1
	runs_from "$(worker esx1)" "${old}" ||
	    atf_fail "the worker is another program"
	atf_check -o inline:'vmfsd\n' cat "/proc/$(worker esx1)/comm"
	echo kept >&8 || atf_fail "the file is not open any more"
	exec 8>&-
	hosts_stop
}

root_test_case worker_dies_while_a_new_program_hangs
worker_dies_while_a_new_program_hangs_body()
{
	installed_up
	replaced_by <<-EOF
		case "\$*" in *--check-config*)
			echo \$\$ >"${PWD}/asked"
			exec sleep 1000
		esac
		exec "${PWD}/bin/good" "\$@"
	EOF
	vmfsctl -c esx1/ctl daemon upgrade >upgrade.out 2>&1 &
	until_true 10 test -s asked || atf_fail "the program is not tried"
	worker=$(pgrep -P "$(cat esx1/pid)" -f -- --log-file)
	kill -9 "${worker}"
	until_true 5 went_on esx1 0 || atf_fail "nobody goes on"
	kill -0 "$(cat asked)" || atf_fail "it did not hang"
	until_true 30 eval "! kill -0 $(cat asked)" ||
	    atf_fail "it hangs for ever"
	until_true 5 grep 'no upgrade' esx1/log || atf_fail "nobody is told"
	hosts_stop
}
worker_dies_while_a_new_program_hangs_cleanup()
{
	[ ! -s asked ] || kill -9 "$(cat asked)"
	hosts_cleanup
}

root_test_case upgrade_needs_a_supervisor
upgrade_needs_a_supervisor_body()
{
	hosts_up esx1
	atf_check -s not-exit:0 -e match:'start it with --supervise' \
	    vmfsctl -c esx1/ctl daemon upgrade
	hosts_stop
}
