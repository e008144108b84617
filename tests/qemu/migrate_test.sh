# SPDX-License-Identifier: BSD-2-Clause
# Guests that move between hosts which have nothing in common but the LUN.
. "${VMFS_SRCDIR}/tests/qemu/guests.subr"

capability()
{
	atf_check -o ignore qmp "$1/qmp" migrate-set-capabilities \
	    "{\"capabilities\":[{\"capability\":\"$2\",\"state\":true}]}"
}

migration_is()
{
	qmp "$1/qmp" query-migrate | jq -e ".status == \"$2\""
}

# to_switchover FROM TO KIND: up to where the guest has stopped on FROM.
to_switchover()
{
	[ "$3" != vhost ] || attach "$2" --incoming
	vm "$2" "$3" -S -incoming defer
	capability "$2" late-block-activate
	capability "$1" pause-before-switchover
	atf_check -o ignore qmp "$2/qmp" migrate-incoming \
	    "{\"uri\":\"unix:${PWD}/wire\"}"
	atf_check -o ignore qmp "$1/qmp" migrate \
	    "{\"uri\":\"unix:${PWD}/wire\"}"
	until_true 60 migration_is "$1" pre-switchover ||
	    atf_fail "no switchover: $(qmp "$1/qmp" query-migrate)"
}

switch_over()
{
	atf_check -o ignore qmp "$1/qmp" migrate-continue \
	    '{"state":"pre-switchover"}'
	until_true 60 migration_is "$1" completed ||
	    atf_fail "not completed: $(qmp "$1/qmp" query-migrate)"
}

# The guest goes on by itself on its destination.
arrives_running()
{
	guest_runs "$1" h1 h2
	vm h2 "$1" -incoming "unix:${PWD}/wire"
	atf_check -o ignore qmp h1/qmp migrate "{\"uri\":\"unix:${PWD}/wire\"}"
	until_true 60 migration_is h1 completed ||
	    atf_fail "not completed: $(qmp h1/qmp query-migrate)"
	goes_on h2
	vm_quit h1
	guest_ends h2 h1 h2
}

# migrate FROM TO KIND
migrate()
{
	to_switchover "$@"
	switch_over "$1"
	qmp "$1/qmp" query-migrate | jq -r "\"$3 \\(.downtime)\"" \
	    >>"${VMFS_BUILDDIR}/tests/qemu/downtime"
	atf_check -o ignore qmp "$2/qmp" cont
	goes_on "$2"
	until_true 10 holder_is "$1" "$2" ||
	    atf_fail "the disk is held by $(holder "$1"), not by $2"
	vm_quit "$1"
	# That QEMU has hung up is seen a moment after it has ended.
	[ "$3" != vhost ] || until_true 10 \
	    vmfsctl -c "$1/ctl" disk detach ds1:/vm.vmdk ||
	    atf_fail "the disk cannot be detached"
}

back_and_forth()
{
	guest_runs "$1" h1 h2
	from=h1 to=h2
	for _ in $(seq "$(rounds 2)"); do
		migrate ${from} ${to} "$1"
		next=${from} from=${to} to=${next}
	done
	vm_quit ${from}
	until_true 20 holder_is ${to} free || atf_fail "the lock is left"
	judge ${to} h1 h2
	hosts_stop
	atf_check -o ignore fsck.vmfs "${PWD}/lun"
}

qemu_test_case guest_moves_with_its_file
guest_moves_with_its_file_body() { back_and_forth fuse; }

qemu_test_case guest_moves_with_its_vhost_disk
guest_moves_with_its_vhost_disk_body() { back_and_forth vhost; }

qemu_test_case guest_moves_with_its_file_open
guest_moves_with_its_file_open_body() { back_and_forth eager; }

# Both hosts have the key file.
encrypted()
{
	mkdir -p h1/id/keys h2/id/keys
	(umask 077 && head -c 32 /dev/urandom >h1/id/keys/tenant) &&
	    cp -p h1/id/keys/tenant h2/id/keys/copy || atf_fail "no key"
	create=--key=tenant
	back_and_forth "$1"
}

qemu_test_case guest_moves_with_its_encrypted_file
guest_moves_with_its_encrypted_file_body() { encrypted eager; }

qemu_test_case guest_moves_with_its_encrypted_vhost_disk
guest_moves_with_its_encrypted_vhost_disk_body() { encrypted vhost; }

qemu_test_case guest_with_its_file_arrives_running
guest_with_its_file_arrives_running_body() { arrives_running fuse; }

qemu_test_case guest_with_its_file_open_arrives_running
guest_with_its_file_open_arrives_running_body() { arrives_running eager; }

# Its lock is remembered: else the next write would fail.
qemu_test_case guest_outlives_the_process_that_works
guest_outlives_the_process_that_works_body()
{
	daemon_in=supervised
	setup h1 h2
	vm h1 eager
	for _ in 1 2 3; do
		goes_on h1
		kill_worker h1
	done
	goes_on h1
	start_refused h2 eager
	migrate h1 h2 eager
	guest_ends h2 h1 h2
}

# Upgrades and deaths in turn while the guest writes; then it moves.
qemu_test_case vhost_guest_outlives_upgrades
vhost_guest_outlives_upgrades_body()
{
	mkdir bin
	cp "$(command -v vmfsd)" bin/vmfsd
	PATH=${PWD}/bin:${PATH}
	daemon_in=supervised
	guest_runs vhost h1 h2
	for _ in 1 2 3; do
		old=$(worker h1)
		cp bin/vmfsd bin/new && mv bin/new bin/vmfsd
		atf_check -o ignore vmfsctl -c h1/ctl daemon upgrade
		[ "$(worker h1)" != "${old}" ] || atf_fail "the same worker"
		goes_on h1
		kill_worker h1
		goes_on h1
	done
	atf_check -s exit:4 -e match:'locked by host h1' \
	    vmfsctl -c h2/ctl disk attach ds1:/vm.vmdk
	migrate h1 h2 vhost
	kill_worker h2
	goes_on h2
	guest_ends h2 h1 h2
	atf_check -o ignore fsck.vmfs -n lun
}

# Ours are in the log, with the name.
qemu_test_case second_start_on_another_host_is_refused
second_start_on_another_host_is_refused_body()
{
	guest_runs fuse h1 h2
	start_refused h2 fuse
	atf_check -o match:'vm-flat.vmdk is locked by host h1' \
	    grep 'lock refused' h2/log
	start_refused h2 eager
	goes_on h1
	guest_ends h1 h1
}

qemu_test_case second_start_on_the_same_host_is_refused
second_start_on_the_same_host_is_refused_body()
{
	guest_runs fuse h1
	mkdir again
	ln -s ../h1/mnt again/mnt
	start_refused again fuse
	start_refused again eager
	goes_on h1
	guest_ends h1 h1
}

# By the mount, and by vhost-user.
qemu_test_case second_start_another_way_is_refused
second_start_another_way_is_refused_body()
{
	setup h1
	mkdir again
	ln -s ../h1/mnt again/mnt
	attach h1
	vm h1 vhost
	goes_on h1
	for kind in fuse eager; do
		vm again ${kind}
		# shellcheck disable=SC2154
		wait "${qemu_again}" && atf_fail "it has started"
		atf_check -o match:'Device or resource busy' cat again/qemu.log
	done
	atf_check -o match:'in use on this host' grep 'refused' h1/log
	goes_on h1
	vm_quit h1
	until_true 10 vmfsctl -c h1/ctl disk detach ds1:/vm.vmdk ||
	    atf_fail "the disk cannot be detached"
	vm h1 fuse
	goes_on h1
	atf_check -s exit:4 -e match:'in use on this host' \
	    vmfsctl -c h1/ctl disk attach ds1:/vm.vmdk
	guest_ends h1 h1
}

# Somebody else has it when the destination wants it: the guest goes on where it
# came from.
refused_destination()
{
	guest_runs "$1" h1 h2 h3
	to_switchover h1 h2 "$1"
	switch_over h1
	exec 5<>h3/mnt/vm-flat.vmdk
	atf_check -s exit:1 -e match:'Failed to get "write" lock' \
	    qmp h2/qmp cont
	atf_check -o match:'vm-flat.vmdk is locked by host h3' \
	    grep 'lock refused' h2/log
	vm_quit h2
	exec 5>&-
	atf_check -o ignore qmp h1/qmp cont
	goes_on h1
	guest_ends h1 h1
}

qemu_test_case refused_destination_leaves_the_guest_to_its_source
refused_destination_leaves_the_guest_to_its_source_body()
{
	refused_destination fuse
}

qemu_test_case refused_destination_leaves_the_open_file_to_its_source
refused_destination_leaves_the_open_file_to_its_source_body()
{
	refused_destination eager
}

# A third host that wants it all the time does not get it in between.
wants_it()
{
	while [ ! -e enough ]; do
		if echo | dd of=h3/mnt/vm-flat.vmdk seek=1M bs=1 conv=notrunc \
		    status=none 2>/dev/null; then
			touch taken
		fi
	done
}

qemu_test_case hand_over_by_command_keeps_others_out
hand_over_by_command_keeps_others_out_body()
{
	guest_runs eager h1 h2 h3
	wants_it &
	thief=$!
	to_switchover h1 h2 eager
	atf_check -o match:'in use' \
	    vmfsctl -c h1/ctl disk handover --to=h2 ds1:/vm.vmdk
	switch_over h1
	until_true 10 holder_is h3 h2 ||
	    atf_fail "it is reserved for $(holder h3)"
	atf_check -o ignore qmp h2/qmp cont
	goes_on h2
	vm_quit h1
	touch enough
	wait ${thief}
	[ ! -e taken ] || atf_fail "h3 has written"
	guest_ends h2 h1 h2
}

is_told_why()
{
	vmfsctl -c h2/ctl --json disk attached ds1 |
	    jq -e '.attachments[0].why | test("locked by host h3")'
}

# QEMU knows of no lock here: its guest finds that it cannot write.
qemu_test_case refused_vhost_destination_leaves_the_disk_to_its_source
refused_vhost_destination_leaves_the_disk_to_its_source_body()
{
	guest_runs vhost h1 h2 h3
	to_switchover h1 h2 vhost
	switch_over h1
	exec 5<>h3/mnt/vm-flat.vmdk
	atf_check -o ignore qmp h2/qmp cont
	until_true 20 is_told_why ||
	    atf_fail "$(vmfsctl -c h2/ctl --json disk attached ds1)"
	# It may show what it had just written on its source.
	shown=$(tr -d '\r' <h2/serial | grep -a '^[0-9a-f]')
	[ -z "${shown}" ] || atf_check -o ignore \
	    counted h1/mnt/vm-flat.vmdk "${shown}"
	atf_check -o ignore grep -a E h2/serial
	vm_quit h2
	exec 5>&-
	atf_check -o ignore qmp h1/qmp cont
	goes_on h1
	vm_quit h1
	judge h1 h1
	daemon_stop h2		# it says that writes fail
	hosts_stop
}

dies_at_switchover()
{
	guest_runs "$1" h1 h2
	to_switchover h1 h2 "$1"
}

destination_dies()
{
	dies_at_switchover "$1"
	vm_kill h2
	qmp h1/qmp migrate-continue '{"state":"pre-switchover"}' >/dev/null
	until_true 30 vm_is h1 running ||
	    atf_fail "the source does not go on: $(qmp h1/qmp query-status)"
	goes_on h1
	guest_ends h1 h1
}

qemu_test_case destination_that_dies_leaves_the_guest_to_its_source
destination_that_dies_leaves_the_guest_to_its_source_body()
{
	destination_dies fuse
}

qemu_test_case destination_with_the_file_open_that_dies_leaves_it
destination_with_the_file_open_that_dies_leaves_it_body()
{
	destination_dies eager
}

qemu_test_case vhost_destination_that_dies_leaves_the_guest_to_its_source
vhost_destination_that_dies_leaves_the_guest_to_its_source_body()
{
	destination_dies vhost
}

# A guest that starts anew counts from 1: until it has gone further than the one
# before it, there is a gap between what the two wrote.
overtakes()
{
	[ $((0x0$(last_shown "$1"))) -gt $((0x0$(last_shown "$2") + 128)) ]
}

source_dies()
{
	dies_at_switchover "$1"
	vm_kill h1
	eval "wait \${qemu_h2}" && atf_fail "half a guest runs"
	vm h2 "$1"
	goes_on h2
	until_true 60 overtakes h2 h1 || atf_fail "the guest is too slow"
	guest_ends h2 h1 h2
}

qemu_test_case guest_of_a_dead_source_starts_elsewhere
guest_of_a_dead_source_starts_elsewhere_body() { source_dies fuse; }

qemu_test_case open_file_of_a_dead_source_goes_elsewhere
open_file_of_a_dead_source_goes_elsewhere_body() { source_dies eager; }

qemu_test_case vhost_guest_of_a_dead_source_starts_elsewhere
vhost_guest_of_a_dead_source_starts_elsewhere_body() { source_dies vhost; }
