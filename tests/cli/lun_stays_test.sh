# SPDX-License-Identifier: BSD-2-Clause
# A virtual disk that is a LUN is that LUN also after the death of the worker.
. "${VMFS_SRCDIR}/tests/cli/hosts.subr"

iqn=iqn.2026-11.test:box

# A host that exports its disks as well, and /disk.vmdk of 64 MiB is LUN 0.
exporter()
{
	{
		printf '[portal]\nlisten = 127.0.0.1:0\n[target %s]\n' ${iqn}
		printf 'lun.0 = vdisk:ds1:/disk.vmdk\nallow = *\n'
		printf '[datastore ds1]\nlun = %s\nmount = %s\n' \
		    "${PWD}/lun" "${PWD}/esx1/mnt"
	} | host_conf esx1
	daemon_in=supervised
	daemon_start esx1
	export VMFSD_CONTROL="${PWD}/esx1/ctl"
}

disk_is_lun()
{
	lun_make lun
	exporter
	atf_check -o ignore vmfsctl disk create ds1:/disk.vmdk 64M
	atf_check -o ignore vmfsctl reload
	lun_is_there || atf_fail "it is no LUN"
}

lun_is_there()
{
	vmfsctl -H lun ls | grep -q "^${iqn}	0	.*ok\$"
}

lun_waits()
{
	vmfsctl -H lun ls | grep -q "^${iqn}	0	.*waits for its disk\$"
}

initiator="timeout 20 iscsi-readcapacity16"
url()
{
	echo "iscsi://$(portal_of esx1)/${iqn}/0"
}

last_block()
{
	${initiator} "$(url)" | sed -n 's/^RETURNED LOGICAL BLOCK ADDRESS:*//p'
}

# What vmfsctl does while it is in service changes nothing for initiators.
stays()
{
	was=$(last_block)
	[ -n "${was}" ] || atf_fail "no initiator gets there"
	"$@"
	for _ in 1 2; do
		atf_check_equal "${was}" "$(last_block)"
		kill_worker esx1
		until_true 20 lun_is_there ||
		    atf_fail "initiators have lost the LUN"
	done
	atf_check_equal "${was}" "$(last_block)"
}

another_takes_its_name()
{
	atf_check vmfsctl disk mv ds1:/disk.vmdk ds1:/other.vmdk
	atf_check -o ignore vmfsctl disk create ds1:/disk.vmdk 32M
}

root_test_case lun_stays_on_its_disk
lun_stays_on_its_disk_body()
{
	disk_is_lun
	stays another_takes_its_name
	# Whoever asks for a LUN by that name has what it names now.
	atf_check vmfsctl lun remove ${iqn} 0
	atf_check vmfsctl lun create ${iqn} 0 vdisk:ds1:/disk.vmdk
	[ "${was}" != "$(last_block)" ] || atf_fail "the old one came back"
	stays true
	hosts_stop
	fsck_is_clean lun
}

removed()
{
	atf_check -o ignore vmfsctl disk rm --force ds1:/disk.vmdk
}

root_test_case lun_of_a_removed_disk_stays
lun_of_a_removed_disk_stays_body()
{
	disk_is_lun
	stays removed
	# Then it is gone when it is closed.
	atf_check vmfsctl lun remove ${iqn} 0
	hosts_stop
	fsck_is_clean lun
}

# Opens it as soon as nobody has it.
take_away()
{
	while [ ! -e enough ]; do
		if dd if=/dev/zero bs=1 count=1 of=esx1/mnt/disk-flat.vmdk \
		    conv=notrunc,nocreat status=none 2>/dev/null; then
			touch taken
		else
			echo >>refused
		fi
	done
}

root_test_case lun_goes_to_nobody_in_between
lun_goes_to_nobody_in_between_body()
{
	disk_is_lun
	(take_away) &
	for _ in 1 2 3 4 5; do
		until_true 10 test -s refused || atf_fail "nobody wants it"
		kill_worker esx1
		until_true 20 lun_is_there ||
		    atf_fail "initiators have lost the LUN"
		rm refused
	done
	touch enough
	wait $!
	[ ! -e taken ] || atf_fail "a program of this host has got it"
	hosts_stop
	fsck_is_clean lun
}

root_test_case lun_that_is_locked_is_waited_for
lun_that_is_locked_is_waited_for_body()
{
	lun_make lun
	host_start esx2 "${PWD}/lun"
	atf_check -o ignore vmfsctl -c esx2/ctl disk create ds1:/disk.vmdk 64M
	exec 8>>esx2/mnt/disk-flat.vmdk
	exporter 8>&-
	atf_check -s not-exit:0 -o ignore -e ignore ${initiator} "$(url)"
	kill_worker esx1
	lun_waits || atf_fail "it is not waited for"
	# Nobody is told that it is gone for good.
	atf_check -s not-exit:0 -o ignore -e match:BUSY \
	    ${initiator} "$(url)"
	exec 8>&-
	until_true 60 lun_is_there || atf_fail "it stays away"
	atf_check -o ignore ${initiator} "$(url)"
	hosts_stop
	fsck_is_clean lun
}
