#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# /sbin/init of the guest: a machine with the kernel's iSCSI initiator that does
# what comes as lines on its second serial line.  Each line is the length of a
# command and the command, for sh, which knows guest-lib.sh; the answer is its
# output, each line after "|", and then "exit STATUS".  A busy guest may lose a
# part of the line: then the answer is "again".
export PATH=/sbin:/bin HOME=/tmp
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev 2>/dev/null
mount -o remount,rw /
mount -t tmpfs run /run
mount -t tmpfs tmp /tmp
exec </dev/console >/dev/console 2>&1
mkdir -p /run/lock/iscsi /run/udev /dev/block
ln -s /proc/self/fd /dev/fd 2>/dev/null

ifconfig lo 127.0.0.1 up
ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up
echo InitiatorName=iqn.2026-11.test:kernel >/etc/iscsi/initiatorname.iscsi
iscsid

exec 3<>/dev/ttyS1
stty -F /dev/ttyS1 raw -echo
echo guest: ready
cd /tmp || exit
while IFS= read -r line <&3; do
	length=${line%% *} line=${line#* }
	echo "# $line"
	[ "$length" = "${#line}" ] || {
		printf '\nagain\n' >&3
		continue
	}
	sh -c ". /sbin/guest-lib.sh; $line" </dev/null >/run/answer 2>&1 3>&-
	status=$?
	cat /run/answer
	sed 's/^/|/' /run/answer >&3
	printf '\nexit %d\n' "$status" >&3
done
