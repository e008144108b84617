#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# usage: bench/format.sh [-g] [-r ROUNDS] [-s SIZE_MIB] [-w DIR] [CELL]...
# What maps, snapshots and thin disks cost: the core on a file LUN, without
# FUSE and other hosts, beside QEMU's qcow2 on a file in the same directory.
#
#   -g           exit status 1 when a goal is missed
#   -r ROUNDS    rounds; the median is printed (5)
#   -s SIZE_MIB  of the disks that are written and read (1024)
#   -w DIR       where the files are; default: a new directory in /var/tmp
# CELLS, all by default:
#   write     scattered writes of 4 KiB, each to a 64 KiB of its own, right
#             after a snapshot, as a part of what they were before it
#   first     the same to a thin disk, as a part of the second write
#   read      random reads of a disk with 32 snapshots, as a part of one
#             without
#   snapshot  milliseconds that a snapshot takes by virtual size
#   delete    of the oldest of 32 snapshots
#   meta      MiB of metadata for a TiB
#   big       mount and fsck of 64 TiB with 1 TiB mapped (in /dev/shm, 700 MiB)
# "1" and "32" are requests in flight, "32f" is 32 with a flush after each 32.
# The LUN is written once before, as a real one has all of its space.
srcdir=$(cd "$(dirname "$0")/.." && pwd)
build=$(cd "${VMFS_BUILDDIR:-${srcdir}/build}" && pwd) || exit 1
load=${build}/bench/format_load

usage()
{
	sed -n '3,/^# The LUN/s/^# \{0,1\}//p' "$0" >&2
	exit 2
}

rounds=5 size=1024 work= strict=
while getopts gr:s:w: opt; do
	case ${opt} in
	g) strict=yes ;;
	r) rounds=${OPTARG} ;;
	s) size=${OPTARG} ;;
	w) work=${OPTARG} ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
cells=${*:-meta snapshot write first read delete big}
[ -x "${load}" ] || { echo "${load}: not built" >&2; exit 1; }

made=
if [ -z "${work}" ]; then
	work=$(mktemp -d /var/tmp/vmfs-format.XXXXXX) || exit 1
	made=yes
fi
results=${work}/results
: >"${results}" || exit 1
big=
cleanup()
{
	rm -f "${work}"/lun "${work}"/q*.img "${work}/out" "${results}"
	[ -z "${big}" ] || rm -f "${big}"
	[ -z "${made}" ] || rmdir "${work}"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

# ---- one round of ours: lines "CELL NAME VALUE" in ${results} ----

# ours CELL
ours()
{
	[ -f "${work}/lun" ] ||
	    dd if=/dev/zero of="${work}/lun" bs=1M count=$((size * 4)) \
		oflag=direct status=none || exit 1
	"${load}" "$1" "${work}/lun" "${size}M" >"${work}/out" || exit 1
	sed "s/^/$1 /" "${work}/out" >>"${results}"
	rm -f "${work}/out"
}

# sparse CELL LUN_SIZE DISK_SIZE: where the space of the LUN does not matter.
sparse()
{
	truncate -s "$2" "${work}/qsparse.img" || exit 1
	"${load}" "$1" "${work}/qsparse.img" "$3" >"${work}/out" || exit 1
	sed "s/^/$1 /" "${work}/out" >>"${results}"
	rm -f "${work}/out" "${work}/qsparse.img"
}

# ---- QEMU's ----

# qbench FILE DEPTH FLUSH: writes a second, 4 KiB to each 64 KiB once.
qbench()
{
	_count=$((size * 16))
	[ "$2" -ne 1 ] || _count=$((_count / 4))
	qemu-img bench -f qcow2 -w -t none -i io_uring -s 4096 \
	    -S $((7919 * 65536)) -c ${_count} -d "$2" \
	    ${3:+--flush-interval="$3"} "$1" |
	    awk -v n=${_count} '/completed in/ { print n / $4 }'
}

qfill()
{
	qemu-img bench -f qcow2 -w -t none -i io_uring -s 1M -c "${size}" \
	    -d 4 "$1" >/dev/null
}

# mode NAME: sets ${depth} and ${flush}.
mode()
{
	depth=${1%f} flush=
	[ "${depth}" = "$1" ] || flush=32
}

qcow2_round()
{
	_i=${work}/q.img _o=${work}/qo.img
	qemu-img create -q -f qcow2 "${_i}" "${size}M" || exit 1
	for _m in 1 32 32f; do
		mode ${_m}
		# What the snapshot before this one has is written once.
		qfill "${_i}"
		_before=$(qbench "${_i}" "${depth}" ${flush})
		echo "qcow2 before-${_m} ${_before}" >>"${results}"
		for _kind in overlay subclusters; do
			_x=
			[ ${_kind} = overlay ] ||
			    _x="-o extended_l2=on,cluster_size=128k"
			# shellcheck disable=SC2086
			qemu-img create -q -f qcow2 -F qcow2 -b "${_i}" \
			    ${_x} "${_o}" || exit 1
			echo "${_kind} after-${_m}" \
			    "$(qbench "${_o}" "${depth}" ${flush})" \
			    >>"${results}"
			rm -f "${_o}"
		done
		qemu-img snapshot -c "s${_m}" "${_i}" || exit 1
		echo "qcow2 after-${_m}" \
		    "$(qbench "${_i}" "${depth}" ${flush})" >>"${results}"
	done
	rm -f "${_i}"
}

# A new image, written twice.
qcow2_first_round()
{
	_i=${work}/q.img
	for _m in 1 32 32f; do
		mode ${_m}
		qemu-img create -q -f qcow2 "${_i}" "${size}M" || exit 1
		for _n in first second; do
			echo "qcow2 ${_n}-${_m}" \
			    "$(qbench "${_i}" "${depth}" ${flush})" \
			    >>"${results}"
		done
		rm -f "${_i}"
	done
}

have_qemu()
{
	command -v qemu-img >/dev/null
}

# ---- medians ----

median()
{
	sort -g | awk '{ v[NR] = $1 } END {
	    if (NR == 0) print "-"
	    else if (NR % 2) print v[(NR + 1) / 2]
	    else print (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

# value CELL NAME
value()
{
	awk -v c="$1" -v n="$2" '$1 == c && $2 == n { print $3 }' \
	    "${results}" | median
}

# of CELL1 NAME1 CELL2 NAME2: median of the rounds' quotients.
of()
{
	awk -v c1="$1" -v n1="$2" -v c2="$3" -v n2="$4" '
	    $1 == c1 && $2 == n1 { a[++i] = $3 }
	    $1 == c2 && $2 == n2 { b[++k] = $3 }
	    END { for (j = 1; j <= i && j <= k; j++)
		printf "%.3f\n", a[j] / b[j] }' "${results}" | median
}

missed=
# goal VALUE OP LIMIT: what to print behind it.
goal()
{
	if awk -v v="$1" -v l="$3" -v op="$2" 'BEGIN {
	    exit !(op == ">=" ? v + 0 >= l : v + 0 <= l) }'; then
		echo "(goal $2 $3)"
	else
		missed="${missed} $1$2$3"
		echo "(goal $2 $3: MISSED)"
	fi
}

kops()
{
	awk -v v="$1" 'BEGIN { printf v == "-" ? "-" : "%.1fk", v / 1000 }'
}

# ---- cells ----

cell_meta()
{
	sparse meta 300G 64G
	_u=$(value meta unshared) _s=$(value meta shattered)
	echo "metadata, MiB for a TiB"
	echo "  unshared   ${_u} $(goal "${_u}" '<=' 24)"
	echo "  shattered  ${_s} $(goal "${_s}" '<=' 300)"
}

cell_snapshot()
{
	_r=0
	while [ $((_r += 1)) -le "${rounds}" ]; do
		sparse snaptime 16G 1G
	done
	echo "a snapshot, ms, by virtual size"
	for _s in 1G 1T 62T; do
		_v=$(value snaptime ${_s})
		printf '  %-4s %6.2f %s\n' ${_s} "${_v}" \
		    "$(goal "${_v}" '<=' 20)"
	done
}

cell_write()
{
	_r=0
	while [ $((_r += 1)) -le "${rounds}" ]; do
		ours snapwrite
		! have_qemu || qcow2_round
	done
	echo "scattered write after a snapshot: part of before (writes/s)"
	printf '  %-5s %-24s %-22s %-16s %-16s %s\n' depth vmfs goal \
	    qcow2-internal overlay subclusters
	for _m in 1:0.85 32:0.7 32f:0.5; do
		_g=${_m#*:} _m=${_m%:*}
		_v=$(of snapwrite after-${_m} snapwrite before-${_m})
		printf '  %-5s %-24s %-22s' ${_m} \
		    "${_v} ($(kops "$(value snapwrite after-${_m})"))" \
		    "$(goal "${_v}" '>=' "${_g}")"
		for _k in qcow2 overlay subclusters; do
			printf ' %-16s' "$(of ${_k} after-${_m} qcow2 \
			    before-${_m}) ($(kops "$(value ${_k} \
			    after-${_m})"))"
		done
		echo
	done
}

cell_first()
{
	_r=0
	while [ $((_r += 1)) -le "${rounds}" ]; do
		ours first
		! have_qemu || qcow2_first_round
	done
	echo "first write to a thin disk: part of the second (writes/s)"
	printf '  %-5s %-24s %-22s %s\n' depth vmfs goal qcow2
	for _m in 1: 32:0.9 32f:0.6; do
		_g=${_m#*:} _m=${_m%:*} _t=
		_v=$(of first first-${_m} first second-${_m})
		[ -z "${_g}" ] || _t=$(goal "${_v}" '>=' "${_g}")
		printf '  %-5s %-24s %-22s %s\n' ${_m} \
		    "${_v} ($(kops "$(value first first-${_m})"))" "${_t}" \
		    "$(of qcow2 first-${_m} qcow2 second-${_m}) ($(kops \
		    "$(value qcow2 first-${_m})"))"
	done
}

cell_read()
{
	_r=0
	while [ $((_r += 1)) -le "${rounds}" ]; do
		ours read
	done
	echo "random read, 32 snapshots: part of none (reads/s)"
	for _m in 1 32; do
		_v=$(of read through-${_m} read plain-${_m})
		printf '  %-5s %s %s\n' ${_m} \
		    "${_v} ($(kops "$(value read through-${_m})"))" \
		    "$(goal "${_v}" '>=' 0.95)"
	done
}

cell_delete()
{
	_r=0
	while [ $((_r += 1)) -le "${rounds}" ]; do
		ours delete
	done
	echo "delete of the oldest of 32 snapshots"
	echo "  $(value delete delete-ms) ms," \
	    "$(value delete freed-mib) MiB freed," \
	    "$(value delete written-mib) MiB written and" \
	    "$(value delete read-mib) MiB read, all metadata"
}

cell_big()
{
	big=/dev/shm/vmfs-format.$$
	truncate -s 64T ${big} || { big=; return; }
	"${load}" allocate ${big} 1T >/dev/null || exit 1
	for _i in 1 2 3; do
		"${load}" mount ${big} 1T | sed 's/^/mount /' >>"${results}"
	done
	_b=$(date +%s%N)
	"${build}/fsck/fsck.vmfs" -n ${big} >/dev/null || exit 1
	_f=$((($(date +%s%N) - _b) / 1000000))
	rm -f ${big}
	big=
	_v=$(value mount mount-ms)
	echo "64 TiB, 1 TiB of them mapped by entries of 64 KiB"
	echo "  mount ${_v} ms $(goal "${_v}" '<=' 1000)"
	echo "  fsck  ${_f} ms $(goal "${_f}" '<=' 60000)"
}

for cell in ${cells}; do
	case ${cell} in
	meta|snapshot|write|first|read|delete|big) ;;
	*) usage ;;
	esac
done
for cell in ${cells}; do
	cell_"${cell}"
done
[ -z "${missed}" ] || [ -z "${strict}" ]
