#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# usage: bench/size.sh [-w DIR] [-f FILES] [SIZE]...
# What mkfs.vmfs, a first and a second mount, df and fsck.vmfs of a volume of
# SIZE (1T 16T 64T by default) take: seconds of wall clock, and MiB of memory
# at most.
#
#   -w DIR    where the sparse LUN lies (/dev/shm: ext4 ends at 16 TiB)
#   -f FILES  files of 1 MiB that are on it when it is checked (1000)
# Prints a line for each size, as in doc/PERFORMANCE.md.  Needs root and a
# build.
srcdir=$(cd "$(dirname "$0")/.." && pwd)
PATH=${VMFS_BUILDDIR:-${srcdir}/build}/mkfs:${PATH}
PATH=${VMFS_BUILDDIR:-${srcdir}/build}/fsck:${PATH}
PATH=${VMFS_BUILDDIR:-${srcdir}/build}/vmfsd:${PATH}

usage()
{
	sed -n '3,/^# build/s/^# \{0,1\}//p' "$0" >&2
	exit 2
}

dir=/dev/shm files=1000
while getopts w:f: opt; do
	case ${opt} in
	w) dir=${OPTARG} ;;
	f) files=${OPTARG} ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
work=$(mktemp -d "${dir}/vmfs-size.XXXXXX") || exit 1
daemon=

finish()
{
	[ -z "${daemon}" ] || kill "${daemon}"
	wait
	umount -l "${work}/mnt" 2>/dev/null
	rm -rf "${work}"
}
trap finish EXIT
trap 'exit 1' INT TERM

# measured FILE COMMAND...: "seconds MiB" of it into FILE.
measured()
{
	_into=$1
	shift
	/usr/bin/time -o "${work}/time" -f '%e %M' "$@" >"${work}/out" 2>&1 || {
		cat "${work}/out" >&2
		exit 1
	}
	awk '{ printf "%s %d\n", $1, $2 / 1024 }' "${work}/time" >"${_into}"
}

host_up()
{
	mkdir -p "${work}/mnt" "${work}/id"
	cat >"${work}/conf" <<-EOF
	[host]
	name = size
	dir = ${work}/id
	[control]
	socket = ${work}/ctl
	[datastore big]
	lun = ${work}/lun
	mount = ${work}/mnt
	options = noauto
	EOF
	vmfsd --config="${work}/conf" --pidfile="${work}/pid" \
	    --log-file="${work}/log" &
	daemon=$!
	until [ -s "${work}/pid" ]; do
		kill -0 "${daemon}" || exit 1
		sleep 0.05
	done
}

host_down()
{
	kill "${daemon}"
	wait "${daemon}"
	daemon=
}

fill()
{
	for i in $(seq 1 "${files}"); do
		dd if=/dev/zero of="${work}/mnt/f${i}" bs=1M count=1 \
		    status=none || exit 1
	done
	sync "${work}/mnt"
}

one_size()
{
	rm -f "${work}/lun"
	truncate -s "$1" "${work}/lun" || exit 1
	measured "${work}/mkfs" mkfs.vmfs --force -L big "${work}/lun"
	host_up
	measured "${work}/mount1" vmfsctl -c "${work}/ctl" ds mount big
	measured "${work}/df" df "${work}/mnt"
	fill
	measured "${work}/umount" vmfsctl -c "${work}/ctl" ds unmount big
	measured "${work}/mount2" vmfsctl -c "${work}/ctl" ds mount big
	rss=$(awk '/VmHWM/ { print int($2 / 1024) }' "/proc/${daemon}/status")
	host_down
	measured "${work}/fsck" fsck.vmfs "${work}/lun"
	echo "$1 $(cat "${work}/mkfs") $(cut -d' ' -f1 "${work}/mount1")" \
	    "$(cut -d' ' -f1 "${work}/mount2") $(cut -d' ' -f1 "${work}/df")" \
	    "${rss} $(cat "${work}/fsck")" \
	    "$(du -m "${work}/lun" | cut -f1)"
}

echo "size mkfs_s mkfs_MiB mount1_s mount2_s df_s vmfsd_MiB fsck_s fsck_MiB" \
    "lun_MiB"
[ $# -gt 0 ] || set -- 1T 16T 64T
for size; do
	one_size "${size}" || exit 1
done
