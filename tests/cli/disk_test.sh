# SPDX-License-Identifier: BSD-2-Clause
# What an admin does with disks: formats, sizes, snapshots of several, clones,
# differences, streams, and long work that can be watched.
. "${VMFS_SRCDIR}/tests/cli/hosts.subr"

disk_test_case()
{
	root_test_case "$1" "require.progs jq"
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
	atf_check vmfsctl disk create ds1:/e.vmdk 8m --format=eagerzeroedthick
	for size in 20 1048575 0 8X 99999999999999T; do
		atf_check -s exit:2 -e match:"'${size}' is .*expected a number" \
		    vmfsctl disk create ds1:/f.vmdk ${size}
	done
	atf_check -s exit:2 -e match:"'20' is so many bytes" \
	    vmfsctl disk resize ds1:/e.vmdk 20
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
	for name in x y; do
		atf_check vmfsctl disk create ds1:/${name}.vmdk 8000000T
	done
	until_true 20 sh -c "vmfsctl ds info ds1 --json |
	    jq -e '.datastore.provisioned > 9000000000000000000'" ||
	    atf_fail "$(vmfsctl ds info ds1 | grep provisioned)"
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

fill()
{
	dd if=/dev/zero of=esx1/mnt/fill bs=1M status=none
	dd if=/dev/zero of=esx1/mnt/more bs=4k status=none
	i=0
	while echo >"esx1/mnt/f${i}"; do
		i=$((i + 1))
	done
}

disk_test_case full_datastore_refuses_before_it_resizes
full_datastore_refuses_before_it_resizes_body()
{
	one_host
	atf_check vmfsctl disk create ds1:/a.vmdk 64M
	put a 60 text
	mkdir esx1/id/keys
	(umask 077 && head -c 32 /dev/urandom >esx1/id/keys/old)
	(umask 077 && head -c 32 /dev/urandom >esx1/id/keys/new)
	atf_check vmfsctl disk create ds1:/k.vmdk 1M --key=old
	fill 2>/dev/null
	atf_check -s exit:1 -e match:"datastore 'ds1' is full" \
	    vmfsctl disk resize ds1:/a.vmdk 128M
	atf_check_equal 67108864 "$(of a size)"
	atf_check -o match:'RW 131072 VMFS' cat esx1/mnt/a.vmdk
	# What cannot be refused any more is not called so.
	atf_check -s exit:1 -e match:'/k.vmdk is under the new key, but' \
	    vmfsctl disk rekey --key=new ds1:/k.vmdk
	atf_check_equal new "$(of k key)"
	# That is a way out.
	atf_check vmfsctl disk resize ds1:/a.vmdk 32M --force
	atf_check_equal 33554432 "$(of a size)"
	atf_check -o match:'RW 65536 VMFS' cat esx1/mnt/a.vmdk
	atf_check vmfsctl disk rekey --key=new ds1:/k.vmdk
	atf_check -o not-match:new- ls -A esx1/mnt
	hosts_stop
	fsck_is_clean lun
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
	atf_check -s exit:1 -e match:"/b.vmdk already has a snapshot 's2'" \
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
	atf_check -s exit:2 \
	    -e match:'since which snapshot; expected ds1:/a.vmdk@NAME' \
	    vmfsctl disk diff ds1:/a.vmdk
	atf_check -s exit:1 -e match:'are two disks' \
	    vmfsctl disk diff ds1:/a.vmdk@s1 ds1:/b.vmdk@s1
	atf_check vmfsctl disk rm-snapshot ds1:/a.vmdk@s1
	atf_check -o match:'free snapshot +ds1:/a.vmdk@s1 +done +100' \
	    vmfsctl task ls
	hosts_stop
	atf_check -o ignore fsck.vmfs -n "${PWD}/lun"
}

# What is meant for a snapshot must not hit the disk.
disk_test_case snapshots_are_not_taken_for_disks
snapshots_are_not_taken_for_disks_body()
{
	one_host
	mkdir esx1/mnt/a@b
	atf_check vmfsctl disk create ds1:/a@b/vm.vmdk 8M
	put a@b/vm 1 one
	atf_check vmfsctl disk snapshot ds1:/a@b/vm.vmdk s
	put a@b/vm 1 two
	for what in 'punch %' 'inflate %' 'promote %' 'resize % 1G' 'info %' \
	    'convert % --format=thin' 'rm %' 'snapshots %'; do
		# shellcheck disable=SC2046
		atf_check -s exit:3 -e match:'is a snapshot.*whole disks' \
		    vmfsctl disk $(echo "${what}" | sed 's,%,ds1:/a@b/vm.vmdk@s,')
	done
	for what in 'create ds1:/x@y.vmdk 1M' 'clone ds1:/a@b/vm.vmdk % --full' \
	    'create % 1M --eager' 'import esx1/conf %' 'clone ds1:/a@b/vm.vmdk@s %' \
	    'mv ds1:/a@b/vm.vmdk %'; do
		# shellcheck disable=SC2046
		atf_check -s exit:2 -e match:"no '@' in the name of a disk" \
		    vmfsctl disk $(echo "${what}" | sed 's,%,ds1:/x@y.vmdk,')
	done
	atf_check_equal 'vm-flat.vmdk vm.vmdk' "$(echo $(ls esx1/mnt/*))"
	atf_check -s exit:2 -e match:'which snapshot.*vm.vmdk@NAME' \
	    vmfsctl disk revert ds1:/a@b/vm.vmdk
	atf_check -s exit:2 -e match:'which disk' vmfsctl disk info ds1:/
	atf_check -s exit:2 -e match:'longer than 255 bytes' vmfsctl disk \
	    create "ds1:/$(printf 'x%.0s' $(seq 246)).vmdk" 1G
	atf_check vmfsctl disk revert ds1:/a@b/vm.vmdk@s
	atf_check -o match:'^one' dd if=esx1/mnt/a@b/vm-flat.vmdk bs=1M \
	    skip=1 count=1 status=none
	hosts_stop
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
	atf_check_equal /gold.vmdk@base "$(of c1 origin)"
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
	atf_check -s exit:2 -e match:'the stream is empty' \
	    vmfsctl disk import - ds1:/d.vmdk </dev/null
	: >nothing
	atf_check -s exit:2 -e match:'/nothing is empty' \
	    vmfsctl disk import nothing ds1:/d.vmdk
	atf_check -s exit:1 -e match:'exists already' \
	    vmfsctl disk import raw ds1:/c.vmdk
	atf_check -s exit:3 -e match:'cannot open.*/nowhere' \
	    vmfsctl disk import /nowhere ds1:/d.vmdk
	atf_check -s exit:3 -o ignore -e match:'no such file' \
	    vmfsctl disk export ds1:/d.vmdk -
	hosts_stop
	atf_check -o ignore fsck.vmfs -n "${PWD}/lun"
}

# Of another host each look at the map is one at the LUN: an hour for as many
# as there are MiB.
disk_test_case export_jumps_over_holes_of_another_hosts_disk
export_jumps_over_holes_of_another_hosts_disk_body()
{
	hosts_up esx1 esx2
	export VMFSD_CONTROL="${PWD}/esx1/ctl"
	atf_check vmfsctl disk create ds1:/a.vmdk 1T
	put a 0 begin
	put a 900000 text
	exec 9<>esx1/mnt/a-flat.vmdk
	atf_check -o empty \
	    -e match:'host esx1 has /a.vmdk open to write.*take a snapshot' \
	    vmfsctl -c esx2/ctl disk export ds1:/a.vmdk raw
	atf_check_equal 1099511627776 "$(stat -c %s raw)"
	[ "$(du -k raw | cut -f1)" -lt 8192 ] || atf_fail "holes are written"
	for at in 0begin 900000text; do
		atf_check -o match:"^${at#"${at%%[a-z]*}"} " dd if=raw bs=1M \
		    skip="${at%%[a-z]*}" count=1 status=none
	done
	# Nobody writes a snapshot.
	atf_check vmfsctl disk snapshot ds1:/a.vmdk s
	exec 9>&-
	atf_check vmfsctl -c esx2/ctl disk export ds1:/a.vmdk@s raw
	atf_check vmfsctl disk create ds1:/b.vmdk 40M
	put b 1 begin
	put b 37 text
	# shellcheck disable=SC2016
	atf_check -x 'vmfsctl disk export ds1:/b.vmdk - |
	    cmp - esx1/mnt/b-flat.vmdk'
	hosts_stop
}

disk_test_case exports_to_one_file_are_not_mixed
exports_to_one_file_are_not_mixed_body()
{
	one_host
	mkdir out
	: >other
	ln -s "${PWD}/other" out/raw.part
	ln -s "${PWD}/other" out/link
	for d in a b; do
		head -c 32M /dev/zero | tr '\0' ${d} >${d}
		atf_check vmfsctl disk import ${d} ds1:/${d}.vmdk
	done
	for _ in 1 2 3 4 5; do
		for d in a b; do
			vmfsctl disk export ds1:/${d}.vmdk out/raw &
			eval "export_${d}=$!"
		done
		# shellcheck disable=SC2154
		wait ${export_a} || atf_fail "a: status $?"
		# shellcheck disable=SC2154
		wait ${export_b} || atf_fail "b: status $?"
		cmp -s out/raw a || cmp -s out/raw b || atf_fail "it is neither"
		atf_check rm out/raw
	done
	atf_check -o inline:'link\nraw.part\n' ls out
	[ ! -s other ] || atf_fail "a link led the disk elsewhere"
	# Where it leads by intent only one at a time goes.
	exec 9<>other
	flock 9
	atf_check -s exit:1 -e match:"cannot have '.*/out/link': Resource" \
	    vmfsctl disk export ds1:/a.vmdk out/link
	exec 9>&-
	atf_check vmfsctl disk export ds1:/a.vmdk out/link
	atf_check cmp other a
	hosts_stop
}

# The other end of a pipe may stand still for ever.
disk_test_case streams_that_stand_still_can_be_ended
streams_that_stand_still_can_be_ended_body()
{
	one_host
	mkfifo in out
	atf_check vmfsctl disk create ds1:/a.vmdk 8M
	atf_check -o save:id -x "vmfsctl disk import in ds1:/b.vmdk \
	    --background --json | jq -r .task"
	exec 9<>in
	echo something >&9
	atf_check -o save:id2 -x "vmfsctl disk export ds1:/a.vmdk out \
	    --background --json | jq -r .task"
	for f in id id2; do
		atf_check -o match:'state +running' vmfsctl task show \
		    "$(cat ${f})"
		atf_check vmfsctl task cancel "$(cat ${f})"
		until_true 20 sh -c "vmfsctl task show $(cat ${f}) |
		    grep -q cancelled" || atf_fail "it goes on"
	done
	[ ! -e esx1/mnt/b-flat.vmdk ] || atf_fail "a part of it is there"
	# A stream that was interrupted is not one that ended.
	vmfsctl disk import - ds1:/c.vmdk <&9 2>err &
	pid=$!
	until_true 20 sh -c "vmfsctl task ls | grep -q 'ds1:/c.vmdk.*running'" ||
	    atf_fail "it does not begin"
	kill ${pid}
	wait ${pid}
	atf_check_equal "1 vmfsctl: /c.vmdk: cancelled" "$? $(cat err)"
	atf_check -o inline:'a-flat.vmdk\na.vmdk\n' ls esx1/mnt
	# And the daemon ends although one stands still.
	atf_check -o ignore vmfsctl disk import in ds1:/b.vmdk --background
	hosts_stop
	atf_check -o match:clean fsck.vmfs -n "${PWD}/lun"
}

# 16 MiB and 200 MiB are there, and metadata.
nothing_is_left()
{
	[ "$(echo $(ls esx1/mnt))" = \
	    "a-flat.vmdk a.vmdk t-flat.vmdk t.vmdk" ] &&
	    [ "$(of t snapshots)" -eq 0 ] &&
	    [ "$(df --output=used -m esx1/mnt | tail -1)" -lt 240 ]
}

disk_test_case a_part_is_not_taken_for_the_whole
a_part_is_not_taken_for_the_whole_body()
{
	one_host
	atf_check vmfsctl disk create ds1:/a.vmdk 32M
	for i in 1 9 17 25; do
		dd if=/dev/urandom of=esx1/mnt/a-flat.vmdk bs=1M seek=${i} \
		    count=4 conv=notrunc status=none
	done
	mkdir small
	mount -t tmpfs -o size=8M none small || atf_skip "no tmpfs"
	echo old >small/raw
	atf_check -s exit:1 -e match:"cannot write '/.*/small/raw': No space" \
	    vmfsctl disk export ds1:/a.vmdk small/raw
	atf_check -o inline:'raw\n' ls small
	atf_check -o inline:'old\n' cat small/raw
	umount small
	# What a crash cuts short leaves no name, and no space once its slot is
	# taken again: first it is taken over by way of another.
	atf_check vmfsctl disk create ds1:/t.vmdk 200M --eager
	mkfifo pipe
	exec 8<>pipe
	echo x >&8
	for what in 'import pipe ds1:/x.vmdk' \
	    'create ds1:/x.vmdk 150M --format=eagerzeroedthick' \
	    'clone ds1:/t.vmdk ds1:/x.vmdk --full'; do
		# shellcheck disable=SC2086
		atf_check -o ignore vmfsctl disk ${what} --background
		host_kill esx1
		host_start esx1 "${PWD}/lun"
		host_stop esx1
		host_start esx1 "${PWD}/lun"
		if [ "${what%% *}" != import ] && [ -e esx1/mnt/x.vmdk ]; then
			# It was quicker than we.
			atf_check_equal "$(of x size)" "$(of x allocated)"
			atf_check vmfsctl disk rm ds1:/x.vmdk
		fi
		until_true 20 nothing_is_left || atf_fail "${what}: $(vmfsctl \
		    disk ls ds1:; ls -l esx1/mnt)"
	done
	hosts_stop
	atf_check -o match:clean fsck.vmfs -n "${PWD}/lun"
}

disk_test_case disks_in_use_are_not_removed
disks_in_use_are_not_removed_body()
{
	one_host
	atf_check vmfsctl disk create ds1:/a.vmdk 8M
	exec 9<>esx1/mnt/a-flat.vmdk
	atf_check -s exit:4 -e match:'in use on this host.*--force' \
	    vmfsctl disk rm ds1:/a.vmdk
	exec 9>&-
	atf_check -o ignore vmfsctl disk attach ds1:/a.vmdk
	atf_check -s exit:4 -e match:'is attached' vmfsctl disk rm ds1:/a.vmdk
	atf_check -o inline:'a-flat.vmdk\na.vmdk\n' ls esx1/mnt
	atf_check vmfsctl disk detach ds1:/a.vmdk
	exec 9<>esx1/mnt/a-flat.vmdk
	atf_check vmfsctl disk rm ds1:/a.vmdk --force
	exec 9>&-
	atf_check -o empty ls esx1/mnt
	hosts_stop
	atf_check -o match:clean fsck.vmfs -n "${PWD}/lun"
}

disk_test_case refusals_name_what_is_in_the_way
refusals_name_what_is_in_the_way_body()
{
	one_host
	atf_check vmfsctl disk create ds1:/a.vmdk 8M
	atf_check vmfsctl disk snapshot ds1:/a.vmdk s1
	atf_check vmfsctl disk snapshot ds1:/a.vmdk s2
	atf_check vmfsctl disk clone ds1:/a.vmdk@s1 ds1:/c.vmdk
	atf_check -s exit:4 -e match:'/a.vmdk@s1 is needed by 1 clone' \
	    vmfsctl disk rm-snapshot ds1:/a.vmdk@s1
	atf_check -o ignore vmfsctl disk attach --nbd ds1:/a.vmdk
	atf_check -s exit:4 -e match:'/a.vmdk is attached; end who uses it' \
	    vmfsctl disk revert ds1:/a.vmdk@s2
	atf_check vmfsctl disk detach ds1:/a.vmdk
	exec 9<>esx1/mnt/a-flat.vmdk
	atf_check -s exit:4 -e match:'/a.vmdk is open on this host, by a' \
	    vmfsctl disk revert ds1:/a.vmdk@s2
	exec 9>&-
	atf_check vmfsctl disk rm ds1:/c.vmdk
	atf_check -o ignore vmfsctl disk attach --nbd ds1:/a.vmdk@s2
	for what in rm-snapshot\ ds1:/a.vmdk@s2 rm\ ds1:/a.vmdk; do
		# shellcheck disable=SC2086
		atf_check -s exit:4 -e match:'/a.vmdk@s2 is attached; end' \
		    vmfsctl disk ${what}
	done
	hosts_stop
}

# Many come and go from one template.
disk_test_case clones_leave_no_snapshots_behind
clones_leave_no_snapshots_behind_body()
{
	one_host
	atf_check vmfsctl disk create ds1:/gold.vmdk 8M
	put gold 1 gold
	for i in 1 2 3; do
		atf_check vmfsctl disk clone ds1:/gold.vmdk ds1:/c.vmdk
		atf_check_equal /gold.vmdk@for-c.vmdk "$(of c origin)"
		[ ${i} = 3 ] || atf_check vmfsctl disk rm ds1:/c.vmdk
	done
	atf_check vmfsctl disk mv ds1:/c.vmdk ds1:/d.vmdk
	atf_check vmfsctl disk clone ds1:/gold.vmdk ds1:/c.vmdk
	atf_check_equal '/gold.vmdk@for-c.vmdk~2' "$(of c origin)"
	atf_check_equal 2 "$(of gold snapshots)"
	atf_check vmfsctl disk promote ds1:/d.vmdk
	atf_check vmfsctl disk rm ds1:/c.vmdk
	atf_check_equal 0 "$(of gold snapshots)"
	atf_check -o match:'^gold' dd if=esx1/mnt/d-flat.vmdk bs=1M skip=1 \
	    count=1 status=none
	hosts_stop
	atf_check -o match:clean fsck.vmfs -n "${PWD}/lun"
}

# Tables have a line for each disk, whatever programs have called them.
disk_test_case names_stay_in_their_line
names_stay_in_their_line_body()
{
	one_host
	bad=$(printf 'a\nb')
	atf_check vmfsctl disk create ds1:/a.vmdk 8M
	for name in "${bad}" 'a"b'; do
		atf_check -s exit:2 -e match:'no .".* in the name of a disk' \
		    vmfsctl disk create "ds1:/${name}.vmdk" 8M
	done
	atf_check -s exit:2 -e match:'cannot be the name of a snapshot' \
	    vmfsctl disk snapshot ds1:/a.vmdk "${bad}"
	atf_check -s exit:2 -e match:'a label has no control' \
	    vmfsctl ds label ds1 "${bad}"
	atf_check -s exit:2 -e match:'--label: it has a control' \
	    mkfs.vmfs -n --label="${bad}" lun
	atf_check -s exit:2 -e match:"--socket='s': vmfsd needs the whole" \
	    vmfsctl disk attach --socket=s ds1:/a.vmdk
	atf_check touch "esx1/mnt/${bad}-flat.vmdk"
	atf_check rm esx1/mnt/a.vmdk esx1/mnt/a-flat.vmdk
	atf_check -o match:'^/a[?]b-flat.vmdk	' -o not-match:'^b' \
	    vmfsctl -H disk ls ds1:
	atf_check_equal "/${bad}-flat.vmdk" \
	    "$(vmfsctl --json disk ls ds1: | jq -r '.disks[0].disk')"
	hosts_stop
}

# Messages are cut anywhere.
disk_test_case refusals_are_told_whatever_the_alphabet
refusals_are_told_whatever_the_alphabet_body()
{
	one_host
	name=$(printf '\346\227\245%.0s' $(seq 83))
	sun=$(printf '\346\227\245')
	for option in '' --format=zeroedthick; do
		# shellcheck disable=SC2086
		atf_check -s exit:2 -e match:"'${sun}.*[?][?][.]{3}': .*longer than 255" \
		    vmfsctl disk create ${option} "ds1:/${name}.vmdk" 1M
	done
	hosts_stop
}

# Names of files are any bytes.
disk_test_case lists_have_names_of_any_encoding
lists_have_names_of_any_encoding_body()
{
	one_host
	atf_check vmfsctl disk create ds1:/a.vmdk 1M
	atf_check vmfsctl disk create ds1:/b.vmdk 1M
	atf_check mkdir esx1/mnt/dir
	atf_check -o ignore vmfsctl quota set ds1:/dir --limit=1G
	name=$(printf 'caf\351')
	atf_check mv esx1/mnt/a-flat.vmdk "esx1/mnt/${name}-flat.vmdk"
	atf_check mv esx1/mnt/a.vmdk "esx1/mnt/${name}.vmdk"
	atf_check mv esx1/mnt/dir "esx1/mnt/${name}"
	exec 9<>"esx1/mnt/${name}-flat.vmdk"
	atf_check -o match:'^/b.vmdk ' -o match:'^/caf[?].vmdk ' \
	    vmfsctl disk ls ds1:
	atf_check -o match:'caf[?].vmdk' vmfsctl disk stats -i 0 ds1:
	atf_check -o match:'/caf[?]-flat.vmdk' vmfsctl lock ls ds1:
	atf_check -o match:'/caf[?] ' vmfsctl quota ls ds1:
	exec 9>&-
	hosts_stop
}

disk_test_case lists_are_in_the_order_of_names
lists_are_in_the_order_of_names_body()
{
	one_host
	mkdir esx1/id/keys esx1/mnt/m
	for n in $(seq 12 29 | sort -R); do
		atf_check vmfsctl disk create "ds1:/d${n}.vmdk" 1M
		(umask 077 && head -c 32 /dev/urandom >"esx1/id/keys/k${n}")
		mkdir "esx1/mnt/q${n}"
		atf_check -o ignore vmfsctl quota set "ds1:/q${n}" --limit=1G
	done
	atf_check vmfsctl disk create ds1:/m/x.vmdk 1M
	exec 7<>esx1/mnt/d29-flat.vmdk 8<>esx1/mnt/d12-flat.vmdk \
	    9<>esx1/mnt/m/x-flat.vmdk
	for list in 'disk ls ds1:' 'quota ls ds1:' 'key ls' 'lock ls ds1:'; do
		# shellcheck disable=SC2086
		vmfsctl -H ${list} | cut -f1 >names
		[ "$(wc -l <names)" -gt 2 ] || atf_fail "${list}: not all"
		LC_ALL=C atf_check sort -c names
	done
	exec 7>&- 8>&- 9>&-
	hosts_stop
}

disk_test_case a_datastore_is_named_with_or_without_its_colon
a_datastore_is_named_with_or_without_its_colon_body()
{
	one_host
	atf_check vmfsctl disk create ds1:/a.vmdk 8M
	for c in 'disk ls' 'lock ls' 'quota ls' 'disk stats -i 0' 'ds info' \
	    'host ls' 'disk attached' 'path ls'; do
		for ds in ds1 ds1:; do
			# shellcheck disable=SC2086
			atf_check -o ignore vmfsctl ${c} ${ds}
		done
	done
	atf_check -s exit:2 -e match:"'a.vmdk': expected DATASTORE:/PATH" \
	    vmfsctl disk rm a.vmdk
	hosts_stop
}

# Also of tasks, and of what vmfsctl puts together itself.
disk_test_case each_answer_in_json_tells_its_version
each_answer_in_json_tells_its_version_body()
{
	one_host
	atf_check vmfsctl disk create ds1:/a.vmdk 8M
	for c in 'disk ls ds1:' 'disk convert --format=thin ds1:/a.vmdk' \
	    'disk stats -i 0 ds1:' 'ds scrub ds1' 'disk rm ds1:/a.vmdk'; do
		# shellcheck disable=SC2086
		atf_check_equal 1 "$(vmfsctl --json ${c} | jq .api)"
	done
	hosts_stop
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

disk_test_case task_that_outlasts_many_is_not_forgotten
task_that_outlasts_many_is_not_forgotten_body()
{
	one_host
	mkfifo pipe
	exec 9<>pipe
	id=$(vmfsctl disk import pipe ds1:/a.vmdk --background --json |
	    jq -r .task) || atf_fail "no task"
	atf_check vmfsctl disk create ds1:/b.vmdk 1M
	for _ in $(seq 70); do
		atf_check vmfsctl disk inflate ds1:/b.vmdk
	done
	atf_check -o inline:'65\n' -x "vmfsctl -H task ls | wc -l"
	echo something >pipe
	exec 9>&-
	until_true 20 sh -c "vmfsctl task show ${id} | grep 'state *done'" ||
	    atf_fail "$(vmfsctl task show "${id}" 2>&1)"
	atf_check -o inline:'64\n' -x "vmfsctl -H task ls | wc -l"
	hosts_stop
}

# The next process has tasks of its own.
disk_test_case task_of_a_worker_that_died_has_failed
task_of_a_worker_that_died_has_failed_body()
{
	daemon_in=supervised
	one_host
	mkfifo pipe
	exec 9<>pipe
	vmfsctl disk import pipe ds1:/a.vmdk 2>err &
	import=$!
	until_true 20 sh -c "vmfsctl task ls | grep -q 'import.*running'" ||
	    atf_fail "it does not begin"
	kill -STOP ${import}
	kill_worker esx1
	atf_check vmfsctl disk create ds1:/b.vmdk 1M
	for _ in 1 2 3; do
		atf_check vmfsctl disk inflate ds1:/b.vmdk
	done
	kill -CONT ${import}
	wait ${import}
	atf_check_equal "1 vmfsctl: vmfsd ended before the task did" \
	    "$? $(cat err)"
	atf_check -o inline:'b-flat.vmdk\nb.vmdk\n' ls esx1/mnt
	hosts_stop
}
