#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# usage: bench/datapath.sh [-g] [-r ROUNDS] [-t SECONDS] [-m MEDIA] [-p PATHS]
#                          [CELL]...
# The way from a guest to the LUN: vhost-user-blk and the mount, beside the raw
# device and what qemu-storage-daemon makes of it, one after the other, each round
# begun by another one: a disk may have credit for a burst.
#
#   -g          exit status 1 when a goal is missed
#   -r ROUNDS   rounds; the median is printed (3)
#   -t SECONDS  measured of each cell, path and round (1)
#   -m MEDIA    of ram (a loop device on a file in memory) and disk (a file
#               beside the build); both by default
#   -p PATHS    only these of the paths below
# CELLS, all by default, are [r|w]SIZE[k|m]-DEPTH, with xJOBS for several jobs
# of fio (raw, mounts and qsd-fuse only).
# Paths: raw (fio on the device by io_uring, which is 1), raw-aio (by libaio),
# vhost (a guest whose processor sleeps until it is interrupted), vhost-awake
# (one whose processor KVM keeps awake for a moment), vhost-cow (right after a
# snapshot) and vhost-crypt (encrypted; both as a ratio to vhost), mount (fio by
# libaio on the file in the mount, requests by /dev/fuse, as a ratio to raw-aio
# if that is measured), mount-uring (by io_uring, where the kernel has that: its
# parameter is Y for a moment), qsd-vhost, qsd-vhost-awake, qsd-fuse.
# Needs root, a build, fio, jq, strings, qemu-storage-daemon, room for 4 GiB.
srcdir=$(cd "$(dirname "$0")/.." && pwd)
build=$(cd "${VMFS_BUILDDIR:-${srcdir}/build}" && pwd) || exit 1
disk_mib=512 spare_mib=64

usage()
{
	sed -n '3,/^# Needs/s/^# \{0,1\}//p' "$0" >&2
	exit 2
}

rounds=3 seconds=1 media="ram disk" strict=
paths="raw raw-aio vhost vhost-awake vhost-cow vhost-crypt mount mount-uring \
qsd-vhost qsd-vhost-awake qsd-fuse"
while getopts gr:t:m:p: opt; do
	case ${opt} in
	g) strict=yes ;;
	r) rounds=${OPTARG} ;;
	t) seconds=${OPTARG} ;;
	m) media=${OPTARG} ;;
	p) paths=${OPTARG} ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))

is_count()
{
	case $1 in
	''|*[!0-9]*) return 1 ;;
	esac
}

# fio's time is in whole ones.
is_count "${seconds}" || usage
cells=${*:-r4k-1 w4k-1 r4k-32 w4k-32 r4k-8x4 w4k-8x4 w64k-8 r1m-4 w1m-4}

cell_parse()
{
	_size=${1%%-*} depth=${1#*-} jobs=1
	case ${depth} in
	*x*) jobs=${depth#*x} depth=${depth%x*} ;;
	esac
	case ${_size} in
	r*k) rw=r bytes=$((1024 * $(echo "${_size}" | tr -dc 0-9))) ;;
	w*k) rw=w bytes=$((1024 * $(echo "${_size}" | tr -dc 0-9))) ;;
	r*m) rw=r bytes=$((1048576 * $(echo "${_size}" | tr -dc 0-9))) ;;
	w*m) rw=w bytes=$((1048576 * $(echo "${_size}" | tr -dc 0-9))) ;;
	*) usage ;;
	esac
}

# goal_of MEDIUM PATH CELL: as a ratio to raw, "-" for none.
goal_of()
{
	case $1/$2/$3 in
	disk/vhost/?4k-1|disk/vhost/?4k-32) echo 0.95 ;;
	disk/vhost-awake/?4k-1|disk/vhost-awake/?4k-32) echo 0.95 ;;
	ram/vhost/?4k-32|ram/vhost-awake/?4k-32) echo 0.6 ;;
	*/vhost-crypt/?4k-32) echo 0.75 ;;
	*/vhost-cow/w4k-1) echo 0.85 ;;
	*/vhost-cow/w4k-32) echo 0.7 ;;
	ram/mount*/?4k-32) echo 0.7 ;;
	ram/mount*/?4k-8x4) echo 0.6 ;;
	disk/mount*/?4k-32) echo 0.75 ;;
	ram/mount*/?4k-1) echo 0.4 ;;
	disk/vhost/?1m-*|disk/vhost-awake/?1m-*) echo 0.95 ;;
	disk/mount*/?1m-*) echo 0.95 ;;
	*) echo - ;;
	esac
}

work=$(mktemp -d "${TMPDIR:-/tmp}/datapath.XXXXXX")
pids=
clean_up()
{
	uring_restore
	vmfsctl ds unmount --force ds >/dev/null 2>&1
	for p in ${pids}; do
		kill "${p}" 2>/dev/null && wait "${p}" 2>/dev/null
	done
	umount -l "${work}/mnt" "${work}/qsd.raw" 2>/dev/null
	for l in "${work}"/loop.*; do
		[ ! -s "${l}" ] || losetup -d "$(cat "${l}")"
	done
	rm -rf "${work}" "${store:?}"
}
store=${work}/store
trap clean_up EXIT
trap 'exit 1' INT TERM

vmfsctl() { "${build}/vmfsd/vmfsctl" -c "${work}/ctl" "$@"; }

wait_for()
{
	_end=$(($(date +%s) + 20))
	until "$@" >/dev/null 2>&1; do
		[ "$(date +%s)" -lt ${_end} ] || {
			echo "datapath.sh: in vain: $*" >&2
			exit 1
		}
		sleep 0.05
	done
}

# device NAME SIZE_MIB: its path into ${work}/dev.NAME.  All of it is there: else
# what is measured is how the file gets its space.
device()
{
	dd if=/dev/zero of="${store}/$1" bs=1M count="$2" conv=fsync \
	    status=none || exit 1
	echo "${store}/$1" >"${work}/dev.$1"
	[ "${medium}" = ram ] || return 0
	losetup --direct-io=off --find --show "${store}/$1" >"${work}/loop.$1" ||
	    exit 1
	cp "${work}/loop.$1" "${work}/dev.$1"
}

up()
{
	store=${build}/datapath.$$
	driver=file
	if [ "${medium}" = ram ]; then
		store=/dev/shm/datapath.$$
		driver=host_device
	fi
	mkdir -p "${store}" "${work}/mnt"
	device lun $((disk_mib * 6))
	"${build}/mkfs/mkfs.vmfs" --label=ds "$(cat "${work}/dev.lun")" \
	    >/dev/null || exit 1
	cat >"${work}/conf" <<-END
	[host]
	name = bench
	dir = ${work}/id
	[control]
	socket = ${work}/ctl
	[datastore ds]
	lun = $(cat "${work}/dev.lun")
	mount = ${work}/mnt
	END
	"${build}/vmfsd/vmfsd" --config="${work}/conf" \
	    --pidfile="${work}/pid" --log-file="${work}/log" &
	pids=$!
	wait_for test -s "${work}/pid"
	mkdir -p "${work}/id/keys"
	(umask 077 && head -c 32 /dev/urandom >"${work}/id/keys/bench")
	make_disk plain
	locate
	make_disk cow
	make_disk crypt --key=bench
	qemu-storage-daemon --blockdev "$(same_place)" \
	    --export "type=vhost-user-blk,id=v,node-name=f,writable=on,\
addr.type=unix,addr.path=${work}/qsd" >"${work}/qsd.log" 2>&1 &
	pids="${pids} $!"
	wait_for test -S "${work}/qsd"
}

# make_disk NAME [--key=KEY]
make_disk()
{
	vmfsctl disk create --eager $2 "ds:/$1.vmdk" \
	    $((disk_mib + spare_mib))M || exit 1
}

# Where on the LUN most of the disk lies, ${work}/place and, in MiB, ${work}/piece:
# a disk may write two or three times as fast in one place as in another, so all
# paths use the same blocks.  Those of the disk are in no order there, but mostly
# without a gap; of each MiB the first bytes tell.
locate()
{
	_mark=$(cat /proc/sys/kernel/random/uuid)
	for _ in $(seq $((disk_mib + spare_mib))); do
		printf '%s' "${_mark}"
		head -c $((1048576 - ${#_mark})) /dev/zero
	done | dd of="${work}/mnt/plain-flat.vmdk" bs=1M iflag=fullblock \
	    conv=notrunc,fsync status=none || exit 1
	strings -a -t d -n ${#_mark} "$(cat "${work}/dev.lun")" |
	    awk -v mark="${_mark}" -v want=${disk_mib} '
		$2 != mark { next }
		$1 != last + 1048576 { first = $1; n = 0 }
		{ last = $1 }
		++n > most && n <= want { most = n; place = first }
		END { printf "%.0f %d\n", place, most }
		' >"${work}/where"
	read -r _place _piece <"${work}/where"
	[ "${_piece}" -ge $((disk_mib / 2)) ] || {
		echo "datapath.sh: the disk lies in many places" >&2
		exit 1
	}
	echo "${_place}" >"${work}/place"
	echo "${_piece}" >"${work}/piece"
}

# For qemu-storage-daemon.
same_place()
{
	echo "driver=raw,node-name=f,offset=$(cat "${work}/place"),\
size=$(($(cat "${work}/piece") * 1048576)),file.driver=${driver},file.aio=io_uring,\
file.locking=off,file.filename=$(cat "${work}/dev.lun"),file.cache.direct=on"
}

down()
{
	vmfsctl ds unmount --force ds >/dev/null
	for p in ${pids}; do
		kill "${p}" && wait "${p}"
	done 2>/dev/null
	pids=
	for l in "${work}"/loop.*; do
		[ ! -s "${l}" ] || losetup -d "$(cat "${l}")"
	done
	rm -rf "${work:?}"/* "${store:?}"
}

# fio_on FILE ENGINE [OFFSET]: on ${mib} of it.  Opened for writing also to
# read, as a hypervisor does: the lock is held.
fio_on()
{
	_part=100
	[ ${rw} = r ] || _part=0
	fio --name=x --filename="$1" --rw=randrw --rwmixread=${_part} \
	    --bs=${bytes} --numjobs="${jobs}" --group_reporting \
	    --iodepth="${depth}" --ioengine="$2" --direct=1 --time_based \
	    --runtime="${seconds}" --offset="${3:-0}" --size="${mib}M" \
	    --randrepeat=0 --norandommap --output-format=json \
	    >"${work}/fio" 2>&1 || {
		cat "${work}/fio" >&2
		exit 1
	}
	jq "[.jobs[0].read.iops, .jobs[0].write.iops] | max | floor" \
	    "${work}/fio"
}

raw_by()
{
	fio_on "$(cat "${work}/dev.lun")" "$1" "$(cat "${work}/place")"
}

# vhost_on SOCKET [-k]
vhost_on()
{
	"${build}/bench/vhost_load" $2 "$1" ${rw} ${bytes} "${depth}" \
	    "${seconds}" $((mib * 1048576))
}

# ours DISK [-k]: attached for one measurement.
ours()
{
	vmfsctl disk attach --socket="${work}/ours" "ds:/$1.vmdk" >/dev/null &&
	    vhost_on "${work}/ours" $2
	vmfsctl disk detach --force "ds:/$1.vmdk"
}

# mounted_by Y|N WAY: whether the kernel shall offer io_uring, and what then is
# the way of requests.  The lock is that of the tests which do the same.
uring=/sys/module/fuse/parameters/enable_uring
flat=${work}/mnt/plain-flat.vmdk
mounted_by()
{
	vmfsctl ds info ds | grep -q "^requests by  *$2\$" && return
	vmfsctl ds unmount ds >/dev/null || exit 1
	[ ! -e ${uring} ] || {
		exec 9>/run/vmfsd-test-ring.lock
		flock 9
		cat ${uring} >"${work}.was"
		echo "$1" >${uring}
	}
	vmfsctl ds mount ds >/dev/null || exit 1
	wait_for sh -c "'${build}/vmfsd/vmfsctl' -c '${work}/ctl' ds info ds |
	    grep -q '^requests by  *$2\$'"
	uring_restore
}

uring_restore()
{
	[ -s "${work}.was" ] || return 0
	cat "${work}.was" >${uring}
	rm "${work}.was"
	exec 9>&-
}

# The export of a daemon ends with it: one for each.
qsd_fuse()
{
	: >"${work}/qsd.raw"
	qemu-storage-daemon --blockdev "$(same_place)" \
	    --export "type=fuse,id=e,node-name=f,writable=on,\
mountpoint=${work}/qsd.raw" >"${work}/qsd-fuse.log" 2>&1 &
	_pid=$!
	wait_for mountpoint -q "${work}/qsd.raw"
	fio_on "${work}/qsd.raw" libaio
	kill ${_pid} && wait ${_pid} 2>/dev/null
}

measure()
{
	case ${jobs}-$1 in
	1-*|*-raw*|*-mount*|*-qsd-fuse) ;;
	*) echo 0; return ;;
	esac
	mib=${disk_mib}
	case $1 in
	raw*|qsd*) mib=$(cat "${work}/piece") ;;
	esac
	case $1 in
	raw) raw_by io_uring ;;
	raw-aio) raw_by libaio ;;
	vhost) ours plain ;;
	vhost-awake) ours plain -k ;;
	vhost-cow)
		vmfsctl disk snapshot ds:/cow.vmdk s >/dev/null
		ours cow
		vmfsctl disk rm-snapshot ds:/cow.vmdk@s >/dev/null
		;;
	vhost-crypt) ours crypt ;;
	mount) mounted_by N /dev/fuse && fio_on "${flat}" libaio ;;
	mount-uring)
		[ -e ${uring} ] || { echo 0; return; }
		mounted_by Y io_uring && fio_on "${flat}" libaio
		;;
	qsd-vhost) vhost_on "${work}/qsd" ;;
	qsd-vhost-awake) vhost_on "${work}/qsd" -k ;;
	qsd-fuse) qsd_fuse ;;
	esac
}

: >"${work}.results"
for medium in ${media}; do
	up
	order=${paths}
	for _ in $(seq "${rounds}"); do
		for cell in ${cells}; do
			cell_parse "${cell}"
			for p in ${order}; do
				_n=$(measure "${p}")
				is_count "${_n}" || {
					echo "datapath.sh: ${medium}" \
					    "${cell} ${p}: no result" >&2
					exit 1
				}
				echo "${medium} ${cell} ${p} ${_n}"
			done
		done
		order="${order#* } ${order%% *}"
	done >>"${work}.results"
	down
done
for medium in ${media}; do
	for cell in ${cells}; do
		for p in ${paths}; do
			echo "goal ${medium} ${cell} ${p}" \
			    "$(goal_of "${medium}" "${p}" "${cell}")"
		done
	done
done >>"${work}.results"
awk -v paths="${paths}" -v strict="${strict}" '
$1 == "goal" { goal[$2, $3, $4] = $5; next }
{
	key = $1 SUBSEP $2 SUBSEP $3
	v[key, ++n[key]] = $4
	if (!(($1, $2) in seen)) {
		seen[$1, $2] = 1
		order[++rows] = $1 SUBSEP $2
	}
}
function median(key,   i, j, t, a) {
	for (i = 1; i <= n[key]; i++)
		a[i] = v[key, i] + 0
	for (i = 1; i <= n[key]; i++)
		for (j = i + 1; j <= n[key]; j++)
			if (a[j] < a[i]) {
				t = a[i]
				a[i] = a[j]
				a[j] = t
			}
	return a[int((n[key] + 1) / 2)]
}
END {
	np = split(paths, p, " ")
	printf "%-12s", "ops/s, x raw"
	for (i = 1; i <= np; i++)
		printf "%27s", p[i]
	print ""
	for (r = 1; r <= rows; r++) {
		split(order[r], k, SUBSEP)
		raw = median(order[r] SUBSEP "raw")
		printf "%-12s", k[1] " " k[2]
		for (i = 1; i <= np; i++) {
			m = median(order[r] SUBSEP p[i])
			g = goal[k[1], k[2], p[i]]
			base = raw
			if (p[i] == "vhost-crypt" || p[i] == "vhost-cow")
				base = median(order[r] SUBSEP "vhost")
			if (p[i] ~ /^(mount|qsd-fuse)/ &&
			    paths ~ /(^| )raw-aio( |$)/)
				base = median(order[r] SUBSEP "raw-aio")
			x = base > 0 ? m / base : 0
			note = ""
			if (g != "-" && g != "") {
				note = " (" g (x < g ? " MISSED)" : ")")
				missed += x < g
			}
			printf "%27s", sprintf("%d %.2f%s", m, x, note)
		}
		print ""
	}
	exit (strict != "" && missed > 0)
}' "${work}.results"
rc=$?
rm -f "${work}.results"
exit ${rc}
