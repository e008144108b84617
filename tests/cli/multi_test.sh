# SPDX-License-Identifier: BSD-2-Clause
# One disk that two hosts have open for writing at once.
. "${VMFS_SRCDIR}/tests/cli/hosts.subr"

two_hosts()
{
	hosts_up esx1 esx2
	export VMFSD_CONTROL="${PWD}/esx1/ctl"
}

# put HOST SECTOR TEXT: one sector by a process of its own.
put()
{
	printf '%-512s' "$3" | dd of="$1/mnt/q-flat.vmdk" bs=512 seek="$2" \
	    conv=notrunc,fsync status=none
}

get()
{
	dd if="$1/mnt/q-flat.vmdk" bs=512 skip="$2" count=1 status=none |
	    sed 's/ *$//'
}

root_test_case two_hosts_write_one_disk
two_hosts_write_one_disk_body()
{
	two_hosts
	atf_check vmfsctl disk create ds1:/q.vmdk 8M --eager
	atf_check -o match:'sharing +none' -o match:'used +8 MiB' \
	    vmfsctl disk info ds1:/q.vmdk
	atf_check vmfsctl disk set ds1:/q.vmdk --sharing=multi-writer
	atf_check -o match:'sharing +multi-writer' vmfsctl -c esx2/ctl \
	    disk info ds1:/q.vmdk
	exec 8<>esx1/mnt/q-flat.vmdk || atf_fail "esx1 cannot open"
	exec 9<>esx2/mnt/q-flat.vmdk || atf_fail "esx2 cannot open"
	put esx1 0 one || atf_fail "cannot write: esx1 0 one"
	put esx2 1 two || atf_fail "cannot write: esx2 1 two"
	put esx1 2 three || atf_fail "cannot write: esx1 2 three"
	for host in esx1 esx2; do
		for want in 0one 1two 2three; do
			got=$(get ${host} "${want%%[a-z]*}")
			[ "${got}" = "${want#?}" ] ||
			    atf_fail "${host} reads ${got}, not ${want#?}"
		done
	done
	atf_check -o match:'mode +multi-writer' -o match:'holders +2' \
	    -o match:'held by +(esx1 .this host., esx2|esx2, esx1 .this host.)$' \
	    -o match:'advice .* power it off there' \
	    vmfsctl lock show ds1:/q.vmdk
	atf_check -o match:'^/q-flat.vmdk +multi-writer +esx2 +2 +alive' \
	    vmfsctl lock ls ds1:
	atf_check -s exit:4 -e match:'host esx2 and 1 more .multi-writer' \
	    vmfsctl lock break ds1:/q.vmdk
	atf_check -s exit:4 -e match:'host esx2 and 1 more \(multi-writer' \
	    vmfsctl disk snapshot ds1:/q.vmdk s1
	atf_check -s exit:4 -e match:'multi-writer' \
	    vmfsctl disk rm ds1:/q.vmdk --force
	atf_check -s exit:4 -e match:'multi-writer' \
	    vmfsctl disk mv ds1:/q.vmdk ds1:/r.vmdk
	atf_check -s exit:4 -e match:'multi-writer' \
	    vmfsctl disk set ds1:/q.vmdk --sharing=none
	atf_check -s exit:1 -e ignore truncate -s 16M esx2/mnt/q-flat.vmdk
	atf_check -s exit:1 -e ignore fallocate -p -o 0 -l 1M \
	    esx2/mnt/q-flat.vmdk
	exec 8>&- 9>&-
	# Nor later: who opens it next would write in place.
	until_true 20 sh -c "vmfsctl lock show ds1:/q.vmdk | grep 'mode.*free'" ||
	    atf_fail "it is not closed"
	for what in 'snapshot ds1:/q.vmdk s1' 'clone ds1:/q.vmdk ds1:/c.vmdk' \
	    'clone --full ds1:/q.vmdk ds1:/c.vmdk'; do
		# shellcheck disable=SC2086
		atf_check -s exit:4 \
		    -e match:'several hosts may write /q.vmdk.*--sharing=none' \
		    vmfsctl disk ${what}
	done
	put esx2 0 five || atf_fail "cannot write: esx2 0 five"
	[ "$(get esx1 0)" = five ] || atf_fail "esx1 reads $(get esx1 0)"
	hosts_stop
}

root_test_case a_dead_writer_stops_nobody
a_dead_writer_stops_nobody_body()
{
	two_hosts
	atf_check vmfsctl disk create ds1:/q.vmdk 4M --eager
	atf_check vmfsctl disk set ds1:/q.vmdk --sharing=multi-writer
	exec 8<>esx1/mnt/q-flat.vmdk || atf_fail "esx1 cannot open"
	exec 9<>esx2/mnt/q-flat.vmdk || atf_fail "esx2 cannot open"
	put esx2 1 two
	host_kill esx2
	put esx1 0 one || atf_fail "cannot write: esx1 0 one"
	[ "$(get esx1 1)" = two ] || atf_fail "what esx2 flushed is lost"
	exec 8>&- 9>&-
	until_true 30 vmfsctl disk set ds1:/q.vmdk --sharing=none ||
	    atf_fail "the mark of the dead host stays"
	hosts_stop
}

root_test_case only_whole_disks_are_shared
only_whole_disks_are_shared_body()
{
	one_host
	atf_check vmfsctl disk create ds1:/q.vmdk 4M
	echo text >esx1/mnt/file
	atf_check -s exit:1 -e match:'is thin' vmfsctl disk set ds1:/q.vmdk \
	    --sharing=multi-writer
	atf_check -s exit:2 -e match:'expected multi-writer or none' \
	    vmfsctl disk set ds1:/q.vmdk --sharing=all
	atf_check -s exit:2 -e match:'nothing to set' vmfsctl disk set \
	    ds1:/q.vmdk
	atf_check -s exit:2 -e match:'plain file' vmfsctl disk set ds1:/file \
	    --sharing=multi-writer
	atf_check vmfsctl disk inflate ds1:/q.vmdk
	atf_check vmfsctl disk snapshot ds1:/q.vmdk s
	atf_check -s not-exit:0 -e match:'has snapshots' vmfsctl disk set \
	    ds1:/q.vmdk --sharing=multi-writer
	atf_check vmfsctl disk rm-snapshot ds1:/q.vmdk@s
	atf_check vmfsctl disk set ds1:/q.vmdk --sharing=multi-writer
	# Before it begins: meanwhile others would have no space.
	for what in 'create --eager ds1:/big.vmdk 2G' \
	    'create --format=zeroedthick ds1:/big.vmdk 2G'; do
		# shellcheck disable=SC2086
		atf_check -s exit:1 \
		    -e match:"big.vmdk needs 2 GiB more, but .* MiB free" \
		    vmfsctl disk ${what}
	done
	atf_check vmfsctl disk create ds1:/thin.vmdk 2G
	atf_check -s exit:1 -e match:'thin.vmdk needs 2 GiB more' \
	    vmfsctl disk inflate ds1:/thin.vmdk
	atf_check vmfsctl disk rm ds1:/thin.vmdk
	atf_check -o inline:'file\nq-flat.vmdk\nq.vmdk\n' ls esx1/mnt
	hosts_stop
}

lock_is_free()
{
	vmfsctl lock show ds1:/q.vmdk | grep -q 'mode  *free'
}

# Of which esx1 still has a lock as of one with many.
one_writer_again()
{
	atf_check vmfsctl disk set ds1:/q.vmdk --sharing=multi-writer
	exec 7<esx1/mnt/q-flat.vmdk
	atf_check flock -s 7
	atf_check vmfsctl -c esx2/ctl disk set ds1:/q.vmdk --sharing=none
}

root_test_case a_disk_with_one_writer_again_is_as_others
a_disk_with_one_writer_again_is_as_others_body()
{
	two_hosts
	atf_check vmfsctl disk create ds1:/q.vmdk 4M --eager
	one_writer_again
	put esx1 0 one || atf_fail "esx1 cannot write"
	[ "$(get esx1 0)" = one ] || atf_fail "esx1 reads $(get esx1 0)"
	exec 7>&-
	until_true 20 put esx2 0 two || atf_fail "esx2 cannot write"
	until_true 20 lock_is_free || atf_fail "esx2 keeps it"
	one_writer_again
	exec 8<>esx2/mnt/q-flat.vmdk
	exec 6<>esx1/mnt/q-flat.vmdk
	atf_check -s exit:1 flock -s -n 7
	atf_check -s exit:1 flock -n 6
	exec 7>&- 8>&-
	atf_check flock -w 20 6
	put esx1 0 three || atf_fail "esx1 cannot write under its lock"
	exec 6>&-
	hosts_stop
}
