#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# /sbin/init of the guest.  The kernel's command line says what to do:
#   vmfs.job=write [vmfs.count=N]   appends records to /log, each flushed
#                                   before "FLUSHED n" is printed; N or for ever
#   vmfs.job=verify                 checks them and prints "FOUND n"
# Record n is one line of 512 bytes: n, a check value of n, padding.
export PATH=/bin
mount -t proc proc /proc
mount -t devtmpfs dev /dev 2>/dev/null
mount -o remount,rw /
exec </dev/console >/dev/console 2>&1

job= count=0
for word in $(cat /proc/cmdline); do
	case $word in
	vmfs.job=*) job=${word#*=} ;;
	vmfs.count=*) count=${word#*=} ;;
	esac
done

# How many records from the first on are what they should be; then what is
# wrong with the next, if there is one.  A crash may leave one torn at the end.
intact() {
	awk -v pad="$pad" '
	function check(n) { return (n * 7919 + 104729) % 2147483647 }
	{
		if ($0 != sprintf("%010d %010d %s", NR, check(NR), pad))
			exit
		good = NR
	}
	END { print good + 0 }' /log
}
job_write() {
	n=$(intact)
	echo "STARTED after $n"
	while [ "$count" -eq 0 ] || [ "$n" -lt "$last" ]; do
		n=$((n + 1))
		printf '%010d %010d %s\n' "$n" \
		    $(((n * 7919 + 104729) % 2147483647)) "$pad" |
		    dd of=/log bs=512 seek=$((n - 1)) conv=notrunc,fsync \
		    2>/dev/null || { echo "WRITE FAILED $n"; return; }
		echo "FLUSHED $n"
	done
}
job_verify() {
	n=$(intact)
	total=$(wc -c </log)
	if [ $((total - n * 512)) -gt 512 ]; then
		echo "DAMAGED record $((n + 1)) of $((total / 512))"
		return
	fi
	echo "FOUND $n"
}

pad=$(printf '%0489d' 0)
case $job in
write)
	last=$(($(intact) + count))
	job_write ;;
verify)
	job_verify ;;
*)
	echo "INIT: vmfs.job= write or verify, not '$job'" ;;
esac
sync
poweroff -f
