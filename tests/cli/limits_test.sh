# SPDX-License-Identifier: BSD-2-Clause
# Limits and counters of disks.
. "${VMFS_SRCDIR}/tests/cli/hosts.subr"

host_with_disk()
{
	one_host
	atf_check vmfsctl disk create ds1:/web.vmdk 64M --eager
}

# Seconds, rounded down, that COMMAND takes.
seconds()
{
	_from=$(date +%s%N)
	"$@" || atf_fail "failed: $*"
	echo $((($(date +%s%N) - _from) / 1000000000))
}

root_test_case limits_hold_and_stay
limits_hold_and_stay_body()
{
	host_with_disk
	atf_check vmfsctl disk set ds1:/web.vmdk --iops=16 --bandwidth=1M \
	    --shares=2000
	atf_check -o match:'requests/s +16$' -o match:'bytes/s +1 MiB$' \
	    -o match:'shares +2000$' vmfsctl disk info ds1:/web.vmdk
	# 2 MiB at 1 MiB a second, whatever the machine does meanwhile.
	took=$(seconds dd if=/dev/zero of=esx1/mnt/web-flat.vmdk bs=1M \
	    count=3 conv=notrunc status=none)
	[ "${took}" -ge 1 ] || atf_fail "3 MiB took ${took} s"
	host_stop esx1
	host_start esx1 "${PWD}/lun"
	atf_check -o match:'requests/s +16$' vmfsctl disk info ds1:/web.vmdk
	took=$(seconds dd if=esx1/mnt/web-flat.vmdk of=/dev/null bs=4k \
	    count=40 iflag=direct status=none)
	[ "${took}" -ge 1 ] || atf_fail "40 requests took ${took} s"
	atf_check vmfsctl disk set ds1:/web.vmdk --iops=0 --bandwidth=0 \
	    --shares=0
	atf_check -o match:'requests/s +-$' -o match:'bytes/s +-$' \
	    -o match:'shares +1000$' vmfsctl disk info ds1:/web.vmdk
	hosts_stop
}

# By NBD as by the mount: the disk's own, whoever has it.
root_test_case limits_hold_for_nbd_clients "require.progs 'nbdcopy jq'"
limits_hold_for_nbd_clients_body()
{
	host_with_disk
	atf_check vmfsctl disk set ds1:/web.vmdk --bandwidth=1M
	atf_check -o ignore vmfsctl disk attach --nbd ds1:/web.vmdk
	uri=$(vmfsctl --json disk attached ds1 | jq -r '.attachments[0].uri')
	head -c 3M /dev/urandom >data
	took=$(seconds nbdcopy data "${uri}")
	[ "${took}" -ge 1 ] || atf_fail "3 MiB took ${took} s"
	atf_check -o inline:'["/web.vmdk",3145728]\n' -x "vmfsctl -i 0 --json \
	    disk stats ds1: | jq -c '.stats[] | [.disk, .write_bytes]'"
	atf_check vmfsctl disk detach ds1:/web.vmdk
	hosts_stop
}

root_test_case limits_that_make_no_sense_are_refused
limits_that_make_no_sense_are_refused_body()
{
	host_with_disk
	atf_check -s exit:2 -e match:'expected 16 to [0-9]+, or 0 for no limit' \
	    vmfsctl disk set ds1:/web.vmdk --iops=3
	# And then nothing is set.
	atf_check -s exit:2 -e match:'expected 16' vmfsctl disk set \
	    ds1:/web.vmdk --sharing=multi-writer --iops=3
	atf_check -o not-match:multi-writer vmfsctl disk info ds1:/web.vmdk
	atf_check -s exit:2 -e match:'expected 1M or more' \
	    vmfsctl disk set ds1:/web.vmdk --bandwidth=10k
	atf_check -s exit:2 -e match:'expected 1 to 100000, or 0 for the' \
	    vmfsctl disk set ds1:/web.vmdk --shares=many
	atf_check -s exit:2 -e match:'nothing to set; expected' \
	    vmfsctl disk set ds1:/web.vmdk
	echo text >esx1/mnt/notes
	atf_check -s exit:2 -e match:'is a plain file' \
	    vmfsctl disk set ds1:/notes --iops=100
	hosts_stop
}

root_test_case other_hosts_disk_is_refused
other_hosts_disk_is_refused_body()
{
	host_with_disk
	host_start esx2 "${PWD}/lun"
	exec 8<>esx2/mnt/web-flat.vmdk || atf_fail "cannot open"
	atf_check -s exit:4 -e match:'esx2' vmfsctl disk set ds1:/web.vmdk \
	    --iops=100
	atf_check vmfsctl -c esx2/ctl disk set ds1:/web.vmdk --iops=100
	exec 8>&-
	hosts_stop
}

nothing_counts()
{
	vmfsctl -i 0 --json disk stats ds1: | jq -e '.stats == []'
}

root_test_case stats_count_what_is_done
stats_count_what_is_done_body()
{
	host_with_disk
	exec 8<>esx1/mnt/web-flat.vmdk || atf_fail "cannot open"
	dd if=/dev/zero of=esx1/mnt/web-flat.vmdk bs=64k count=8 \
	    oflag=direct conv=notrunc status=none
	dd if=esx1/mnt/web-flat.vmdk of=/dev/null bs=4k count=5 \
	    iflag=direct status=none
	atf_check -o save:stats vmfsctl -i 0 --json disk stats ds1:
	atf_check -o inline:'["/web.vmdk",5,20480,8,524288,0,5,8]\n' jq -c \
	    '.stats[] | [.disk, .reads, .read_bytes, .writes, .write_bytes,
	    .errors, (.read_latency | add), (.write_latency | add)]' stats
	atf_check -o match:'^DISK +READ/S' -o match:'^/web.vmdk +0 +0' \
	    vmfsctl -i 1 disk stats ds1:
	exec 8>&-
	# The kernel tells of the close a moment after it.
	until_true 10 nothing_counts || atf_fail "it is open for ever"
	hosts_stop
}
