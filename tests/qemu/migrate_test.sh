# SPDX-License-Identifier: BSD-2-Clause
# Guests of QEMU that move between hosts which have nothing in common but the
# LUN: two vmfsd, a guest that counts on its disk (counter.S), each way to the
# disk: its file in the mount, opened for writing only when the guest writes
# (fuse) or from the start (eager), vhost-user (vhost).
. "${VMFS_SRCDIR}/tests/cli/hosts.subr"
PATH=${VMFS_BUILDDIR}/tests/qemu:${PATH}

rounds() { atf_config_get rounds "$1"; }

# setup HOST...: a datastore with the guest's disk, mounted by these.
setup()
{
	as --32 -o counter.o "${VMFS_SRCDIR}/tests/qemu/counter.S" &&
	    ld -m elf_i386 -Ttext 0x7c00 --oformat binary -o counter counter.o ||
	    atf_fail "the guest cannot be built"
	lun_make lun
	for h; do
		host_start "${h}" "${PWD}/lun"
	done
	atf_check vmfsctl -c "$1/ctl" disk create ds1:/vm.vmdk 16M
	dd if=counter of="$1/mnt/vm-flat.vmdk" conv=notrunc status=none ||
	    atf_fail "dd"
	sync -f "$1/mnt"
}

# drive HOST AUTO-READ-ONLY
drive()
{
	printf '{"driver":"raw","node-name":"d","auto-read-only":%s,' "$2"
	printf '"file":{"driver":"file","filename":"%s",' \
	    "${PWD}/$1/mnt/vm-flat.vmdk"
	printf '"auto-read-only":%s,"cache":{"direct":true}}}' "$2"
}

# attach HOST [--incoming]: the disk at HOST/disk.
attach()
{
	_host=$1
	shift
	atf_check -o ignore vmfsctl -c "${_host}/ctl" disk attach \
	    --socket="${PWD}/${_host}/disk" "$@" ds1:/vm.vmdk
}

# vm HOST KIND [ARG]...: QEMU of a host, whose monitor is HOST/qmp.
vm()
{
	_h=$1 _kind=$2
	shift 2
	case ${_kind} in
	fuse) set -- -blockdev "$(drive "${_h}" true)" \
	    -device virtio-blk-pci,drive=d,bootindex=0 "$@" ;;
	eager) set -- -blockdev "$(drive "${_h}" false)" \
	    -device virtio-blk-pci,drive=d,bootindex=0 "$@" ;;
	vhost) set -- -chardev "socket,id=c,path=${_h}/disk" \
	    -device vhost-user-blk-pci,chardev=c,num-queues=1,bootindex=0 \
	    "$@" ;;
	esac
	rm -f "${_h}/qmp"
	qemu-system-x86_64 -accel tcg -machine q35,memory-backend=mem -m 64 \
	    -object memory-backend-memfd,id=mem,size=64M,share=on \
	    -display none -nodefaults -pidfile "${_h}/qemu.pid" \
	    -serial "file:${_h}/serial" \
	    -qmp "unix:${_h}/qmp,server=on,wait=off" "$@" \
	    >"${_h}/qemu.log" 2>&1 &
	eval "qemu_${_h}=$!"
	until_true 30 vm_up_or_down "${_h}" $!
}

vm_up_or_down()
{
	qmp "$1/qmp" query-status || ! kill -0 "$2"
}

vm_is() { qmp "$1/qmp" query-status | jq -e ".status == \"$2\""; }

vm_quit()
{
	atf_check -o ignore qmp "$1/qmp" quit
	eval "wait \${qemu_$1}" || atf_fail "QEMU of $1 ended with status $?"
}

vm_kill()
{
	eval "kill -9 \${qemu_$1}; wait \${qemu_$1}" 2>/dev/null
}

last_shown() { tr -d '\r' <"$1/serial" | grep -a . | tail -n 1; }
has_shown() { [ "$(last_shown "$1")" != "$2" ]; }

# It counts on, and has met no error.
goes_on()
{
	_before=$(last_shown "$1")
	until_true 60 has_shown "$1" "${_before}" ||
	    atf_fail "the guest on $1 stands still at ${_before}"
	if grep -a E "$1/serial"; then
		atf_fail "a write of the guest on $1 failed"
	fi
}

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

holder()
{
	vmfsctl -c "$1/ctl" --json lock show ds1:/vm-flat.vmdk |
	    jq -r '.lock.host // .lock.mode'
}
holder_is() { [ "$(holder "$1")" = "$2" ]; }

# What the guest has shown, wherever it ran, is on the disk, without a gap.
judge()
{
	for h; do
		[ ! -s "${h}/serial" ] || last_shown "${h}"
	done | sort >shown
	atf_check -o save:counted -e save:missing -s exit:0 \
	    counted "$1/mnt/vm-flat.vmdk" "$(tail -n 1 shown)"
	cat counted
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
	[ "$3" != vhost ] || atf_check -e empty \
	    vmfsctl -c "$1/ctl" disk detach ds1:/vm.vmdk
}

back_and_forth()
{
	setup h1 h2
	[ "$1" != vhost ] || attach h1
	vm h1 "$1"
	goes_on h1
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

qemu_test_case()
{
	atf_test_case "$1" cleanup
	eval "$1_head()
	{
		atf_set require.progs 'qemu-system-x86_64 as ld jq'
		atf_set timeout \$((180 + 20 * \$(rounds 2)))
	}"
	eval "$1_cleanup()
	{
		for p in h*/qemu.pid; do
			[ ! -s \${p} ] || kill -9 \$(cat \${p}) 2>/dev/null
		done
		tail -n 20 h*/qemu.log 2>/dev/null
		hosts_cleanup
	}"
	cases="${cases} $1"
}

qemu_test_case guest_moves_with_its_file
guest_moves_with_its_file_body() { back_and_forth fuse; }

qemu_test_case guest_moves_with_its_vhost_disk
guest_moves_with_its_vhost_disk_body() { back_and_forth vhost; }

qemu_test_case guest_moves_with_its_file_open
guest_moves_with_its_file_open_body() { back_and_forth eager; }

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
	vm_quit h2
	judge h2 h1 h2
	hosts_stop
}

# HOST KIND: in QEMU's own words.
start_refused()
{
	vm "$1" "$2"
	eval "wait \${qemu_$1}" && atf_fail "it has started"
	atf_check -o match:'Failed to get "write" lock' \
	    -o match:'Is another process using the image' cat "$1/qemu.log"
}

# Ours are in the log, with the name.
qemu_test_case second_start_on_another_host_is_refused
second_start_on_another_host_is_refused_body()
{
	setup h1 h2
	vm h1 fuse
	goes_on h1
	start_refused h2 fuse
	atf_check -o match:'vm-flat.vmdk is locked by host h1' \
	    grep 'lock refused' h2/log
	start_refused h2 eager
	goes_on h1
	vm_quit h1
	judge h1 h1
	hosts_stop
}

qemu_test_case second_start_on_the_same_host_is_refused
second_start_on_the_same_host_is_refused_body()
{
	setup h1
	vm h1 fuse
	goes_on h1
	mkdir again
	ln -s ../h1/mnt again/mnt
	start_refused again fuse
	start_refused again eager
	goes_on h1
	vm_quit h1
	judge h1 h1
	hosts_stop
}

# Somebody else has it when the destination wants it: the guest goes on where it
# came from.
refused_destination()
{
	setup h1 h2 h3
	vm h1 "$1"
	goes_on h1
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
	vm_quit h1
	judge h1 h1
	hosts_stop
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

dies_at_switchover()
{
	setup h1 h2
	[ "$1" != vhost ] || attach h1
	vm h1 "$1"
	goes_on h1
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
	vm_quit h1
	judge h1 h1
	hosts_stop
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

source_dies()
{
	dies_at_switchover "$1"
	vm_kill h1
	eval "wait \${qemu_h2}" && atf_fail "half a guest runs"
	vm h2 "$1"
	goes_on h2
	vm_quit h2
	judge h2 h1 h2
	hosts_stop
}

qemu_test_case guest_of_a_dead_source_starts_elsewhere
guest_of_a_dead_source_starts_elsewhere_body() { source_dies fuse; }

qemu_test_case open_file_of_a_dead_source_goes_elsewhere
open_file_of_a_dead_source_goes_elsewhere_body() { source_dies eager; }

qemu_test_case vhost_guest_of_a_dead_source_starts_elsewhere
vhost_guest_of_a_dead_source_starts_elsewhere_body() { source_dies vhost; }

atf_init_test_cases()
{
	for c in ${cases}; do
		atf_add_test_case "${c}"
	done
}
