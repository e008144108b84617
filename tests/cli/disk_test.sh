# SPDX-License-Identifier: BSD-2-Clause
# What an admin does with disks: formats, sizes, snapshots of several, clones,
# differences, streams, and long work that can be watched.
. "${VMFS_SRCDIR}/tests/cli/hosts.subr"

disk_test_case()
{
	atf_test_case "$1" cleanup
	eval "$1_head() {
		atf_set require.user root
		atf_set require.progs jq
	}"
	eval "$1_cleanup() { hosts_cleanup; }"
	cases="${cases} $1"
}

one_host()
{
	lun_make lun
	host_start esx1 "${PWD}/lun"
	export VMFSD_CONTROL="${PWD}/esx1/ctl"
}

# of DISK KEY
of()
{
	vmfsctl disk info "ds1:/$1.vmdk" --json | jq -r ".disk.$2"
}

# put DISK MIB TEXT: a block at that place.
put()
{
	printf '%-4096s' "$3" | dd of="esx1/mnt/$1-flat.vmdk" bs=1M seek="$2" \
	    conv=notrunc,fsync status=none || atf_fail "cannot write $1"
}

disk_test_case formats_and_sizes
formats_and_sizes_body()
{
	one_host
	atf_check vmfsctl disk create ds1:/t.vmdk 8M
	atf_check vmfsctl disk create ds1:/z.vmdk 8M --format=zeroedthick
	atf_check vmfsctl disk create ds1:/e.vmdk 8M --format=eagerzeroedthick
	atf_check -s exit:2 -e match:"--format='flat': expected thin" \
	    vmfsctl disk create ds1:/f.vmdk 8M --format=flat
	atf_check_equal "0 8388608 8388608" \
	    "$(of t allocated) $(of z allocated) $(of e allocated)"
	atf_check vmfsctl disk convert ds1:/t.vmdk --format=zeroedthick
	atf_check_equal 8388608 "$(of t allocated)"
	put e 3 x
	atf_check vmfsctl disk punch ds1:/e.vmdk
	atf_check_equal 65536 "$(of e allocated)"
	# What the guest wrote is there.
	atf_check -o match:'^x' dd if=esx1/mnt/e-flat.vmdk bs=1M skip=3 \
	    count=1 status=none
	atf_check vmfsctl disk resize ds1:/e.vmdk 20M
	atf_check_equal 20971520 "$(of e size)"
	atf_check -o match:'RW 40960 VMFS "e-flat.vmdk"' \
	    cat esx1/mnt/e.vmdk
	atf_check -s exit:1 -e match:'is larger than that.*--force' \
	    vmfsctl disk resize ds1:/e.vmdk 2M
	atf_check vmfsctl disk resize ds1:/e.vmdk 2M --force
	atf_check_equal 2097152 "$(of e size)"
	atf_check_equal 0 "$(of e allocated)"
	hosts_stop
	atf_check -o ignore fsck.vmfs -n "${PWD}/lun"
}

disk_test_case snapshots_of_several_disks
snapshots_of_several_disks_body()
{
	one_host
	for d in a b c; do
		atf_check vmfsctl disk create ds1:/${d}.vmdk 8M
	done
	put a 1 one
	atf_check vmfsctl disk snapshot --name=s1 ds1:/c.vmdk ds1:/a.vmdk \
	    ds1:/b.vmdk
	for d in a b c; do
		atf_check_equal s1 "$(vmfsctl disk snapshots ds1:/${d}.vmdk \
		    --json | jq -r '.snapshots[].name')"
	done
	atf_check vmfsctl disk snapshot ds1:/b.vmdk s2
	atf_check -s exit:1 -e match:"one of the disks already.*'s2'" \
	    vmfsctl disk snapshot --name=s2 ds1:/a.vmdk ds1:/b.vmdk
	atf_check_equal 1 "$(of a snapshots)"
	atf_check -s exit:2 -e match:'named twice' \
	    vmfsctl disk snapshot --name=s3 ds1:/a.vmdk ds1:/a.vmdk
	# What changed since, to the block.
	put a 5 two
	atf_check -o inline:'5242880	4096	yes\n' \
	    vmfsctl -H disk diff ds1:/a.vmdk@s1
	atf_check vmfsctl disk snapshot ds1:/a.vmdk s2
	atf_check -o inline:'4096\n' -x \
	    "vmfsctl disk diff ds1:/a.vmdk@s1 @s2 --json | jq .bytes"
	atf_check -o empty vmfsctl -H disk diff ds1:/a.vmdk@s2
	atf_check -s exit:1 -e match:'are two disks' \
	    vmfsctl disk diff ds1:/a.vmdk@s1 ds1:/b.vmdk@s1
	atf_check vmfsctl disk rm-snapshot ds1:/a.vmdk@s1
	atf_check -o match:'free snapshot +ds1:/a.vmdk@s1 +done +100' \
	    vmfsctl task ls
	hosts_stop
	atf_check -o ignore fsck.vmfs -n "${PWD}/lun"
}

disk_test_case templates_and_clones
templates_and_clones_body()
{
	one_host
	atf_check vmfsctl disk create ds1:/gold.vmdk 8M
	put gold 1 gold
	atf_check vmfsctl disk snapshot ds1:/gold.vmdk base
	for c in c1 c2; do
		atf_check vmfsctl disk clone ds1:/gold.vmdk@base \
		    ds1:/${c}.vmdk
	done
	atf_check vmfsctl disk clone --full ds1:/gold.vmdk ds1:/full.vmdk
	atf_check_equal false "$(of full clone)"
	for what in 'rm ds1:/gold.vmdk' 'rm-snapshot ds1:/gold.vmdk@base'; do
		# shellcheck disable=SC2086
		atf_check -s exit:4 -e match:'2 clone.*/c[12].vmdk, /c[12].vmdk' \
		    vmfsctl disk ${what}
	done
	put c1 2 mine
	atf_check vmfsctl disk promote ds1:/c1.vmdk
	atf_check -s exit:2 -e match:'is no clone' \
	    vmfsctl disk promote ds1:/c1.vmdk
	atf_check -s exit:4 -e match:'1 clone.*/c2.vmdk' \
	    vmfsctl disk rm ds1:/gold.vmdk
	atf_check vmfsctl disk rm ds1:/gold.vmdk --defer
	atf_check -s exit:1 test -e esx1/mnt/gold.vmdk
	atf_check -o match:'^gold' dd if=esx1/mnt/c2-flat.vmdk bs=1M skip=1 \
	    count=1 status=none
	[ -n "$(ls esx1/mnt/.deferred)" ] || atf_fail "the template is gone"
	atf_check vmfsctl disk rm ds1:/c2.vmdk
	[ -z "$(ls esx1/mnt/.deferred)" ] || atf_fail "the template stays"
	for c in c1 full; do
		atf_check -o match:'^gold' dd if=esx1/mnt/${c}-flat.vmdk \
		    bs=1M skip=1 count=1 status=none
	done
	hosts_stop
	atf_check -o ignore fsck.vmfs -n "${PWD}/lun"
}

disk_test_case streams_out_and_in
streams_out_and_in_body()
{
	one_host
	atf_check vmfsctl disk create ds1:/a.vmdk 32M
	put a 1 one
	put a 30 two
	atf_check vmfsctl disk snapshot ds1:/a.vmdk s
	put a 2 three
	atf_check vmfsctl disk export ds1:/a.vmdk raw
	atf_check cmp raw esx1/mnt/a-flat.vmdk
	[ "$(du -k raw | cut -f1)" -lt 8192 ] || atf_fail "holes are written"
	vmfsctl disk export ds1:/a.vmdk@s - >snap || atf_fail "export to -"
	atf_check_equal 33554432 "$(stat -c %s snap)"
	atf_check -s exit:1 -o ignore -e ignore cmp snap raw
	atf_check vmfsctl disk import raw ds1:/b.vmdk
	atf_check cmp raw esx1/mnt/b-flat.vmdk
	[ "$(of b allocated)" -lt 8388608 ] || atf_fail "zeroes are written"
	atf_check vmfsctl disk import - ds1:/c.vmdk <snap
	atf_check cmp snap esx1/mnt/c-flat.vmdk
	atf_check -s exit:1 -e match:'exists already' \
	    vmfsctl disk import raw ds1:/c.vmdk
	atf_check -s exit:3 -e match:'cannot open.*/nowhere' \
	    vmfsctl disk import /nowhere ds1:/d.vmdk
	atf_check -s exit:3 -o ignore -e match:'no such file' \
	    vmfsctl disk export ds1:/d.vmdk -
	hosts_stop
	atf_check -o ignore fsck.vmfs -n "${PWD}/lun"
}

disk_test_case long_work_is_watched_and_ended
long_work_is_watched_and_ended_body()
{
	one_host
	atf_check vmfsctl disk create ds1:/a.vmdk 8M
	# A pipe that nobody reads: it waits until it is cancelled.
	mkfifo pipe
	exec 9<>pipe
	id=$(vmfsctl disk export ds1:/a.vmdk pipe --background --json |
	    jq -r .task) || atf_fail "no task"
	until_true 20 sh -c "vmfsctl task show ${id} --json |
	    jq -e '.task.total > 0'" ||
	    atf_fail "it does not begin"
	atf_check -o match:'state +running' vmfsctl task show "${id}"
	atf_check -s exit:4 -e match:"task ${id} .export of.*--force" \
	    vmfsctl ds unmount ds1
	atf_check vmfsctl task cancel "${id}"
	cat <&9 >/dev/null &
	reader=$!
	until_true 20 sh -c "vmfsctl task ls | grep -q cancelled" ||
	    atf_fail "it goes on"
	kill ${reader}
	atf_check -s exit:3 -e match:"no task '77'" vmfsctl task show 77
	atf_check vmfsctl ds unmount ds1
}

atf_init_test_cases()
{
	for c in ${cases}; do
		atf_add_test_case "${c}"
	done
}
