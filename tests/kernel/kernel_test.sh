# SPDX-License-Identifier: BSD-2-Clause
# The Linux kernel's initiator (open-iscsi, dm-multipath, sg3-utils) in a small
# guest against a storage box.
. "${VMFS_SRCDIR}/tests/kernel/guest.subr"

secret=secret-of-twelve
other=the-other-secret

kernel_test_case chap_both_ways_and_digests
chap_both_ways_and_digests_body()
{
	(umask 077 && echo ${secret} >secret && echo ${other} >other)
	box_start "chap = host" "chap-secret-file = ${PWD}/secret" \
	    "mutual = disk" "mutual-secret-file = ${PWD}/other"
	guest_start
	chap="session.auth.authmethod=CHAP session.auth.username=host"
	digests="conn[0].iscsi.HeaderDigest=CRC32C"
	digests="${digests} conn[0].iscsi.DataDigest=CRC32C"
	# Status 24: the target said no.
	in_guest "login ${port}" -s exit:24 -o ignore
	in_guest "login ${port} ${chap} session.auth.password=not-that-secret" \
	    -s exit:24 -o ignore
	# Here it is the initiator who does not believe.
	in_guest "login ${port} ${chap} session.auth.password=${secret} \
	    session.auth.username_in=disk \
	    session.auth.password_in=not-that-secret" \
	    -s not-exit:0 -o ignore
	in_guest "login ${port} ${chap} session.auth.password=${secret} \
	    session.auth.username_in=disk session.auth.password_in=${other} \
	    ${digests}"
	in_guest "connection ${port} header_digest; \
	    connection ${port} data_digest" -o inline:'1\n1\n'
	in_guest "verify /dev/\$(disk ${port})"
	for name in MD5=MD5 SHA1=SHA1 SHA256=SHA-256 SHA3-256=SHA3-256; do
		in_guest "logout ${port}"
		in_guest "login ${port} ${chap} \
		    session.auth.password=${secret} \
		    session.auth.username_in=disk \
		    session.auth.password_in=${other} \
		    session.auth.chap_algs=${name%%=*}"
		tsih=$(vmfsctl -c box/ctl -H session ls | cut -f1)
		atf_check -o match:"^chap  *${name#*=}, both ways$" \
		    vmfsctl -c box/ctl session info "${tsih}"
	done
	guest_stop
	host_stop box
}

kernel_test_case discovery_lists_the_target
discovery_lists_the_target_body()
{
	box_start "[target iqn.2026-11.test:hidden]" "lun.0 = ram:16M" \
	    "allow = iqn.2026-11.test:nobody"
	guest_start
	# The portals are those of the box: its loopback.
	sort >want <<EOF
127.0.0.1:${port},1 ${iqn}
127.0.0.1:${port2},1 ${iqn}
EOF
	in_guest "iscsiadm -m discovery -t st -p 10.0.2.2:${port} | sort" \
	    -o file:want
	guest_stop
	host_stop box
}

# Each parameter of a write: immediate, unsolicited, R2Ts of short bursts.
kernel_test_case every_kind_of_data_transfer
every_kind_of_data_transfer_body()
{
	box_start
	guest_start
	for how in Yes/Yes Yes/No No/Yes No/No; do
		in_guest "login ${port} session.iscsi.InitialR2T=${how%/*} \
		    session.iscsi.ImmediateData=${how#*/} \
		    session.iscsi.FirstBurstLength=16384 \
		    session.iscsi.MaxBurstLength=65536 \
		    conn[0].iscsi.MaxRecvDataSegmentLength=12288 \
		    conn[0].iscsi.DataDigest=CRC32C"
		in_guest "verify /dev/\$(disk ${port}) --size=8M"
		in_guest "logout ${port}"
	done
	guest_stop
	host_stop box
}

kernel_test_case disk_is_what_the_box_says
disk_is_what_the_box_says_body()
{
	box_start "lun.1 = ram:16M,readonly" "lun.255 = ram:8M,removable"
	guest_start
	in_guest "login ${port}"
	in_guest "sg_luns /dev/\$(disk ${port})" -o match:0000000000000000 \
	    -o match:0001000000000000 -o match:00ff000000000000
	in_guest "for l in 0 1 255; do d=\$(disk ${port} \$l); \
	    limit \$d size; limit \$d ro; done" \
	    -o inline:"524288\n0\n32768\n1\n16384\n0\n"
	in_guest "d=\$(disk ${port}); limit \$d queue/logical_block_size; \
	    limit \$d queue/physical_block_size; \
	    limit \$d queue/discard_granularity; \
	    limit \$d queue/write_cache; limit \$d queue/fua; \
	    limit \$d queue/rotational" \
	    -o inline:'512\n4096\n4096\nwrite back\n1\n0\n'
	in_guest "limit \$(disk ${port} 255) removable; \
	    limit \$(disk ${port}) removable" -o inline:'1\n0\n'
	in_guest "sg_opcodes --tmf --repd /dev/\$(disk ${port})" \
	    -o match:'TMFTMOV=1' -o match:'tmf long timeout: 1200 '
	in_guest "limit \$(disk ${port}) device/wwid" -o save:wwid
	atf_check -o match:"^wwn  *0x$(sed 's/^naa\.//' wwid)$" \
	    vmfsctl -c box/ctl lun info ${iqn} 0
	in_guest "sg_readcap -16 /dev/\$(disk ${port})" \
	    -o match:'lbpme=1, lbprz=1' -o match:'256.0 MiB'
	in_guest "d=\$(disk ${port}); sg_vpd -a /dev/\$d && \
	    sg_vpd -p di /dev/\$d && sg_vpd -p lbpv /dev/\$d && \
	    sg_inq /dev/\$d && sg_modes -a /dev/\$d && \
	    sg_opcodes /dev/\$d && sg_logs -a /dev/\$d && sg_turs /dev/\$d" \
	    -e empty -o match:"${iqn},t,0x0001" -o match:'Compare and write' \
	    -o match:'thin provisioned'
	in_guest "dd if=/dev/zero of=/dev/\$(disk ${port} 1) bs=4k count=1" \
	    -s exit:1 -o ignore
	guest_stop
	host_stop box
}

kernel_test_case blocks_of_4_kib
blocks_of_4_kib_body()
{
	target_start --iqn ${iqn} --block-size 4096 --ram 64M
	port=${portal##*:}
	guest_start
	in_guest "login ${port}"
	in_guest "d=\$(disk ${port}); limit \$d queue/logical_block_size; \
	    limit \$d queue/physical_block_size; limit \$d size" \
	    -o inline:'4096\n4096\n131072\n'
	in_guest "verify /dev/\$(disk ${port})"
	in_guest "mkfs.ext4 -q /dev/\$(disk ${port}) && \
	    mount -t ext4 /dev/\$(disk ${port}) /mnt && fstrim /mnt && \
	    umount /mnt && e2fsck -fn /dev/\$(disk ${port})"
	guest_stop
	target_stop
}

kernel_test_case file_system_lives_on_the_lun
file_system_lives_on_the_lun_body()
{
	box_start
	guest_start
	in_guest "login ${port}"
	in_guest "mkfs.ext4 -q /dev/\$(disk ${port}) && \
	    mount -t ext4 /dev/\$(disk ${port}) /mnt"
	in_guest "verify /mnt/file && cp -r /sbin /mnt && \
	    (cd /sbin && sha256sum *) >/mnt/sums && umount /mnt && \
	    mount -t ext4 /dev/\$(disk ${port}) /mnt && \
	    cd /mnt/sbin && sha256sum -c ../sums"
	before=$(du -k store | cut -f1)
	in_guest "rm -r /mnt/sbin /mnt/file && sync && fstrim /mnt && \
	    umount /mnt"
	after=$(du -k store | cut -f1)
	[ $((before - after)) -gt 24000 ] ||
	    atf_fail "fstrim freed $((before - after)) of ${before} KiB"
	in_guest "e2fsck -fn /dev/\$(disk ${port})"
	guest_stop
	host_stop box
	atf_check -o ignore -e ignore e2fsck -fn store
}

# Of two sessions, which are two nexuses.
kernel_test_case persistent_reservations_of_sg_persist
persistent_reservations_of_sg_persist_body()
{
	box_start
	guest_start
	in_guest "login ${port} && login ${port2}"
	in_guest "echo a=/dev/\$(disk ${port}) b=/dev/\$(disk ${port2})" \
	    -o save:names
	names=$(cat names)
	persist()
	{
		_disk=$1 _args=$2
		shift 2
		[ $# -gt 0 ] || set -- -o ignore
		in_guest "${names}; sg_persist -n ${_args} \$${_disk}" "$@"
	}
	for type in 1 3 5 6 7 8; do
		persist a "-o -G -S 0xa1"
		persist b "-o -G -S 0xb1"
		persist a "-o -R -K 0xa1 -T ${type}"
		persist b "-r" -o match:"Key=0x(a1|0)" -o match:LU_SCOPE
		persist b "-s" -o match:0xa1 -o match:0xb1 \
		    -o match:"Reservation holder" \
		    -o match:'iqn.2026-11.test:kernel,i,0x00023d'
		persist a "-o -L -K 0xa1 -T ${type}"
		persist a "-o -C -K 0xa1"
		# Unit attentions of what was released and cleared.
		in_guest "${names}; sg_turs \$b; sg_turs \$b; sg_turs \$a; true"
	done
	# Who is not registered cannot write, then takes over.
	persist a "-o -G -S 0xa1"
	persist a "-o -R -K 0xa1 -T 5"
	in_guest "${names}; dd if=/dev/zero of=\$b bs=4k count=1 oflag=direct" \
	    -s exit:1 -o ignore
	persist b "-o -G -S 0xb1"
	in_guest "${names}; dd if=/dev/zero of=\$b bs=4k count=1 oflag=direct"
	persist b "-o -P -K 0xb1 -S 0xa1 -T 5"
	in_guest "${names}; dd if=/dev/zero of=\$a bs=4k count=1 oflag=direct" \
	    -s exit:1 -o ignore
	persist b "-k" -o match:0xb1 -o not-match:0xa1
	# Status 24: reservation conflict.
	persist a "-o -R -K 0xa1 -T 5" -s exit:24 -o ignore
	persist b "-o -A -K 0xb1 -S 0xb1 -T 5"
	guest_stop
	host_stop box
}

kernel_test_case registrations_outlive_a_kill_of_the_box
registrations_outlive_a_kill_of_the_box_body()
{
	box_start
	guest_start
	in_guest "login ${port}"
	in_guest "d=/dev/\$(disk ${port}); sg_persist -o -G -Z -S 0xa1 \$d && \
	    sg_persist -o -R -K 0xa1 -T 7 \$d"
	host_kill box
	box_start
	in_guest "until_true 30 dd if=/dev/\$(disk ${port}) bs=4k count=1 \
	    iflag=direct of=/dev/null"
	in_guest "sg_persist -n -s /dev/\$(disk ${port})" -o match:0xa1 \
	    -o match:'Write Exclusive, all registrants'
	guest_stop
	host_stop box
}

kernel_test_case commands_of_sg3_utils
commands_of_sg3_utils_body()
{
	box_start "lun.1 = ram:64M,thin"
	guest_start
	in_guest "login ${port}"
	in_guest "echo a=/dev/\$(disk ${port}) b=/dev/\$(disk ${port} 1)" \
	    -o save:names
	names="$(cat names)"

	# Compare and write of two blocks: once, for then it does not match.
	in_guest "pattern a 2 >a; pattern b 2 >b; cat a b >ab; cat b a >ba"
	in_guest "${names}; sg_write_same --in=a --xferlen=512 --lba=100 \
	    --num=2 \$a && sg_compare_and_write -i ab -n 2 -l 100 \$a"
	in_guest "${names}; sg_compare_and_write -i ab -n 2 -l 100 \$a" \
	    -s exit:14 -o match:'Miscompare at byte offset: 0'
	in_guest "${names}; test \"\$(sum_of \$a 100 2)\" = \
	    \"\$(sha256sum <b)\""

	# Copies: 8 MiB between two LUNs, both ways to name them.
	in_guest "${names}; dd if=/dev/urandom of=\$b bs=1M count=8 \
	    oflag=direct && sg_xcopy if=\$b of=\$a bs=512 count=16384 \
	    seek=4096 && test \"\$(sum_of \$a 4096 16384)\" = \
	    \"\$(sum_of \$b 0 16384)\""
	in_guest "${names}; sg_copy_results -p \$a" \
	    -o match:'block device to block device'

	# What is unmapped is a hole and reads as zeros.
	in_guest "${names}; sg_get_lba_status -l 4096 \$a" -o match:'mapped' \
	    -o not-match:'deallocated'
	in_guest "${names}; sg_unmap --lba=4096 --num=2048 -f \$a && \
	    sg_get_lba_status -l 4096 \$a" -o match:'deallocated'
	in_guest "${names}; test \"\$(sum_of \$a 4096 2048)\" = \
	    \"\$(pattern '\0' 2048 | sha256sum)\""
	in_guest "${names}; test \"\$(sum_of \$a 6144 14336)\" = \"\$(sum_of \$b 2048 14336)\""

	# Write same: zeros by unmap, and a pattern.
	in_guest "${names}; sg_write_same -U -l 8192 -n 4096 \$a && \
	    sg_get_lba_status -l 8192 \$a" -o match:'deallocated'
	in_guest "${names}; pattern w 1 >w; sg_write_same -i w -x 512 -l 8192 \
	    -n 1024 \$a && test \"\$(sum_of \$a 8192 1024)\" = \
	    \"\$(pattern w 1024 | sha256sum)\""

	# Verify: with what is there, and with something else.
	in_guest "${names}; sg_verify -l 8192 -c 1024 \$a && \
	    sg_verify -i w -n 512 -l 8192 \$a"
	in_guest "${names}; sg_verify -i a -n 512 -l 8192 \$a" \
	    -s exit:14 -o ignore
	in_guest "${names}; sg_write_verify -i ba -l 64 -n 4 --ilen=2048 \
	    \$a && test \"\$(sum_of \$a 64 4)\" = \"\$(sha256sum <ba)\""
	in_guest "${names}; sg_sync \$a && sg_requests \$a && \
	    sg_read if=\$a bs=512 count=4096 && sg_start --start \$a"
	guest_stop
	host_stop box
}

kernel_test_case io_goes_on_after_resets_and_lost_sessions
io_goes_on_after_resets_and_lost_sessions_body()
{
	box_start
	guest_start
	in_guest "login ${port}"
	load_start "\$(disk ${port})"
	for how in -d -t -d; do
		in_guest "sg_reset -N ${how} /dev/\$(disk ${port})"
		load_goes_on
		atf_check vmfsctl -c box/ctl session drop \
		    iqn.2026-11.test:kernel
		load_goes_on
	done
	atf_check vmfsctl -c box/ctl session logout --for=30 \
	    iqn.2026-11.test:kernel
	if grep 'did not log out' box/log; then
		atf_fail "the kernel did not log out when it was asked to"
	fi
	load_goes_on
	load_ends
	guest_stop
	host_stop box
}

# Another box has the same LUN: the host is sent there under load.
kernel_test_case io_moves_to_another_box
io_moves_to_another_box_body()
{
	box_start
	printf '[portal]\nlisten = 127.0.0.1:0\n[target %s]\n%s\n%s\n' ${iqn} \
	    "lun.0 = ${PWD}/store,thin" 'allow = iqn.2026-11.test:*' |
	    host_conf box2
	daemon_start box2
	other=$(portal_of box2)
	guest_start
	in_guest "login ${port} session.timeo.replacement_timeout=120"
	load_start "\$(disk ${port})"
	load_goes_on
	atf_check vmfsctl -c box/ctl target change ${iqn} \
	    "redirect=10.0.2.2:${other##*:}"
	atf_check vmfsctl -c box/ctl session logout --for=30 '*:kernel'
	load_goes_on
	atf_check -o inline:'[]\n' sh -c \
	    "vmfsctl -c box/ctl session ls --json | jq -c .sessions"
	atf_check -o inline:'1\n' sh -c \
	    "vmfsctl -c box2/ctl session ls --json | jq '.sessions | length'"
	load_ends
	guest_stop
	host_stop box2
	host_stop box
}

kernel_test_case io_goes_on_after_restarts_of_the_box
io_goes_on_after_restarts_of_the_box_body()
{
	box_start
	guest_start
	in_guest "login ${port} session.timeo.replacement_timeout=120"
	load_start "\$(disk ${port})"
	for round in $(seq "$(rounds 3)"); do
		load_goes_on
		if [ $((round % 3)) -eq 2 ]; then
			host_stop box
		else
			host_kill box
		fi
		box_start
	done
	load_goes_on
	load_ends
	guest_stop
	host_stop box
}

# A box that says nothing: the kernel's NOP-Out finds out.
kernel_test_case io_goes_on_after_a_silence_of_the_box
io_goes_on_after_a_silence_of_the_box_body()
{
	box_start
	guest_start
	in_guest "login ${port} conn[0].timeo.noop_out_interval=1 \
	    conn[0].timeo.noop_out_timeout=1 \
	    session.timeo.replacement_timeout=120"
	in_guest "verify /dev/\$(disk ${port}) --size=4M"
	kill -STOP "$(cat box/pid)"
	in_guest "until_true 60 grep -q FAILED \
	    /sys/class/iscsi_session/session*/state"
	kill -CONT "$(cat box/pid)"
	in_guest "verify /dev/\$(disk ${port}) --size=4M"
	guest_stop
	host_stop box
}

# LUN 1 is that of another target, behind a relay that is stopped.  The kernel's
# abort waits for the write, which could still reach the disk; LUN 0 does not.
kernel_test_case lun_that_hangs_is_alone
lun_that_hangs_is_alone_body()
{
	target_start --iqn iqn.2026-11.test:behind --ram 64M --cache-id 1
	port=${portal##*:}
	relay 1
	port=0
	# shellcheck disable=SC2154
	box_start "lun.1 = iscsi://127.0.0.1:${path_1}/iqn.2026-11.test:behind/0"
	guest_start
	in_guest "login ${port}"
	in_guest "verify /dev/\$(disk ${port} 1) --size=4M"
	in_guest "echo 2 >/sys/block/\$(disk ${port} 1)/device/timeout"
	# shellcheck disable=SC2154
	kill -STOP -- "-${group_1}"
	in_guest "(dd if=/dev/zero of=/dev/\$(disk ${port} 1) bs=64k count=1 \
	    oflag=direct >/run/result 2>&1; echo \$? >/run/status) & true"
	in_guest "timeouts() { test \$((\$(limit \$(disk ${port} 1) \
	    device/iotmo_cnt))) -ge 1; }; until_true 60 timeouts"
	in_guest "verify /dev/\$(disk ${port}) --size=4M"
	kill -CONT -- "-${group_1}"
	in_guest "until_true 60 test -s /run/status; cat /run/result"
	in_guest "verify /dev/\$(disk ${port} 1) --size=4M"
	guest_stop
	host_stop box
	target_stop
}

# A path that swallows and comes back, then another that is cut for good.
kernel_test_case io_goes_on_when_a_portal_is_cut
io_goes_on_when_a_portal_is_cut_body()
{
	box_start
	relay 1
	relay 2
	guest_start
	quick="conn[0].timeo.noop_out_interval=1 \
	    conn[0].timeo.noop_out_timeout=1 session.timeo.replacement_timeout=2"
	in_guest "multipath_start 'path_grouping_policy multibus'"
	# shellcheck disable=SC2154
	in_guest "login ${path_1} ${quick} && login ${path_2} ${quick}"
	in_guest "paths_are 2 active && \
	    until_true 20 test -b /dev/mapper/mpatha"
	load_start "\$(basename \$(readlink -f /dev/mapper/mpatha))"
	load_goes_on
	# shellcheck disable=SC2154
	for round in $(seq "$(rounds 1)"); do
		kill -STOP -- "-${group_1}"
		in_guest "paths_are 1 failed"
		load_goes_on
		kill -CONT -- "-${group_1}"
		in_guest "paths_are 2 active"
	done
	# shellcheck disable=SC2154
	kill -KILL -- "-${group_2}"
	in_guest "paths_are 1 failed"
	load_goes_on
	load_ends
	in_guest "sg_persist -n -k /dev/mapper/mpatha"
	guest_stop
	host_stop box
}

# The administrator moves I/O from a group of portals to another, and back.
kernel_test_case io_follows_the_access_states
io_follows_the_access_states_body()
{
	port2_is=,2
	box_start
	guest_start
	in_guest "multipath_start 'path_grouping_policy group_by_prio' \
	    'prio alua' 'failback immediate'"
	in_guest "login ${port} && login ${port2} && paths_are 2 active && \
	    until_true 20 test -b /dev/mapper/mpatha"
	in_guest "sg_rtpg -d /dev/\$(disk ${port2})" -o save:groups
	atf_check -o inline:'2\n' grep -c 'active/optimized' groups
	in_guest "sg_vpd -p di /dev/\$(disk ${port2})" \
	    -o match:'Target port group: 0x2'
	load_start "\$(basename \$(readlink -f /dev/mapper/mpatha))"
	load_goes_on
	atf_check -o ignore vmfsctl -c box/ctl lun access ${iqn} 0 1 standby
	# A unit attention may be waiting there.
	in_guest "sg_turs /dev/\$(disk ${port2}); \
	    sg_rtpg -d /dev/\$(disk ${port2})" -o match:'standby' \
	    -o match:'active/optimized'
	load_goes_on
	in_guest "ios() { awk '{ print \$5 }' \
	    /sys/block/\$(disk ${port})/stat; }; \
	    still() { n=\$(ios); sleep 1; test \$(ios) -eq \$n; }; \
	    until_true 30 still"
	load_goes_on
	# The other way round, this time by the initiator's wish.
	in_guest "sg_stpg --tp=1,2 --state=ao,s /dev/\$(disk ${port2}) && \
	    sg_rtpg -d /dev/\$(disk ${port2})" -o save:groups
	atf_check -o inline:'optimized\nstandby\n' sh -c \
	    "sed -n 's/.*(\(active.\)*\([a-z]*\))\$/\2/p' groups |
	    grep -v available"
	load_goes_on
	load_ends
	guest_stop
	host_stop box
}

kernel_test_case disk_grows_under_a_file_system
disk_grows_under_a_file_system_body()
{
	box_start
	guest_start
	in_guest "login ${port}"
	in_guest "d=\$(disk ${port}); mkfs.ext4 -q /dev/\$d 128M && \
	    mount -t ext4 /dev/\$d /mnt"
	atf_check -o ignore vmfsctl -c box/ctl lun resize ${iqn} 0 1G
	# The kernel hears of it with its next command, and then looks.
	in_guest "sg_turs -v /dev/\$(disk ${port}); dmesg" -s ignore \
	    -o match:'Capacity data has changed'
	in_guest "d=\$(disk ${port}); echo 1 >/sys/block/\$d/device/rescan; \
	    limit \$d size; resize2fs -f /dev/\$d && \
	    verify /mnt/file --size=300M --bssplit=1M --number_ios=40" \
	    -o match:'^2097152'
	in_guest "umount /mnt && e2fsck -fn /dev/\$(disk ${port})"
	guest_stop
	host_stop box
	[ "$(stat -c %s store)" -eq 1073741824 ] || atf_fail "the file is as it was"
}

kernel_test_case luns_come_and_go_under_load
luns_come_and_go_under_load_body()
{
	box_start
	guest_start
	in_guest "login ${port}"
	load_start "\$(disk ${port})"
	load_goes_on
	for round in 1 2; do
		in_guest "dmesg -c >/dev/null"
		atf_check -o ignore vmfsctl -c box/ctl lun create ${iqn} 5 \
		    ram:64M
		in_guest "until_true 20 eval 'dmesg -c | \
		    grep -q \"LUN assignments on this target have changed\"'"
		in_guest "iscsiadm -m session --rescan && \
		    verify /dev/\$(disk ${port} 5) --size=4M"
		atf_check -s exit:4 -o ignore -e match:'force' \
		    vmfsctl -c box/ctl lun remove ${iqn} 5
		atf_check -o ignore vmfsctl -c box/ctl --force lun remove \
		    ${iqn} 5
		in_guest "d=\$(disk ${port} 5); dd if=/dev/\$d bs=4k count=1 \
		    iflag=direct of=/dev/null" -s not-exit:0 -o ignore
		in_guest "echo 1 >/sys/block/\$(disk ${port} 5)/device/delete"
		load_goes_on
	done
	load_ends
	guest_stop
	host_stop box
}
