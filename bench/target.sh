#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# usage: bench/target.sh [-g] [-r ROUNDS] [-t SECONDS] [-T TARGETS] [CELL]...
# The speed of our target beside tgt's and istgt's: one after the other, round
# by round, on one file in memory, by the same initiator (bench/iscsi_load,
# which is libiscsi), and what TCP over loopback would allow: "tcp" is two ends
# that only read and write, "tcp-i" a client that makes libiscsi's calls.
#
#   -g          exit status 1 when a goal is missed
#   -r ROUNDS   rounds; the median is printed (5)
#   -t SECONDS  measured of each cell, target and round (1)
#   -T TARGETS  of ours, null, tgt, istgt; default: all that are installed;
#               null is ours with a LUN without a medium: what the protocol
#               and the initiator cost
# CELLS, all by default, are [r|w]SIZE[k|m]-DEPTH[xSESSIONS], as in r4k-32x4.
# Reads and writes of 4 KiB are random, others sequential.
# Prints operations a second, ratios with their goals, the CPU time of each
# target, and how busy the initiator was: with 1.00 of a thread it is what
# limits.  Needs root, a build and room for 512 MiB in /dev/shm.
srcdir=$(cd "$(dirname "$0")/.." && pwd)
build=$(cd "${VMFS_BUILDDIR:-${srcdir}/build}" && pwd) || exit 1
size_mib=512

usage()
{
	sed -n '3,/^# each target/s/^# \{0,1\}//p' "$0" >&2
	exit 2
}

rounds=5 seconds=1 targets="ours null" strict=
command -v tgtd >/dev/null && targets="${targets} tgt"
command -v istgt >/dev/null && targets="${targets} istgt"
while getopts gr:t:T: opt; do
	case ${opt} in
	g) strict=yes ;;
	r) rounds=${OPTARG} ;;
	t) seconds=${OPTARG} ;;
	T) targets=${OPTARG} ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
cells=${*:-r4k-1 w4k-1 r4k-32 w4k-32 r4k-32x4 w4k-32x4 r64k-8 w64k-8 r1m-4 w1m-4}

# cell_parse CELL: sets ${rw} ${bytes} ${depth} ${sessions}.
cell_parse()
{
	_size=${1%%-*} sessions=1
	depth=${1#*-}
	case ${depth} in
	*x*) sessions=${depth#*x} depth=${depth%x*} ;;
	esac
	case ${_size} in
	r*) rw=r ;;
	w*) rw=w ;;
	*) usage ;;
	esac
	_size=${_size#?}
	case ${_size} in
	*k) bytes=$((${_size%k} * 1024)) ;;
	*m) bytes=$((${_size%m} * 1048576)) ;;
	*) usage ;;
	esac
}
for cell in ${cells}; do
	cell_parse "${cell}"
done

# Of tgt and of the TCP ceiling, "-" for none.
goals_of()
{
	case $1 in
	?4k-1) echo 1.5 0.75 ;;
	?4k-32) echo 1.6 - ;;
	?4k-32x4) echo 4 - ;;
	?64k-*) echo 2 - ;;
	w1m-*) echo 4 0.8 ;;
	*) echo - - ;;
	esac
}

# ---- targets; each sets its pid and url ----

# wait_for COMMAND...: until it succeeds, at most 20 s.
wait_for()
{
	_end=$(($(date +%s) + 20))
	until "$@" >/dev/null 2>&1; do
		if [ "$(date +%s)" -ge ${_end} ]; then
			echo "target.sh: in vain: $*" >&2
			exit 1
		fi
		sleep 0.05
	done
}

ours_up()
{
	mkdir "${work}/id"
	cat >"${work}/conf" <<-END
	[host]
	name = box
	dir = ${work}/id
	[control]
	socket = ${work}/ctl
	[portal]
	listen = 127.0.0.1:0
	[target iqn.2026-11.io.vmfsd:box]
	lun.0 = ${file}
	lun.1 = null:${size_mib}M
	allow = *
	END
	"${build}/vmfsd/vmfsd" --config="${work}/conf" \
	    --pidfile="${work}/pid" --log-file="${work}/log" &
	ours_pid=$!
	pids="${pids} ${ours_pid}"
	wait_for test -s "${work}/pid"
	ours_url=$("${build}/vmfsd/vmfsctl" -c "${work}/ctl" target ls --json |
	    jq -r '.portals[0]')
	[ -n "${ours_url}" ] || exit 1
	ours_url=iscsi://${ours_url}/iqn.2026-11.io.vmfsd:box/0
	null_url=${ours_url%0}1 null_pid=${ours_pid}
}

tgt_up()
{
	_port=$((20000 + $$ % 10000))
	_adm="tgtadm -C ${_port} --lld iscsi"
	tgtd -f -C ${_port} --iscsi portal=127.0.0.1:${_port} \
	    >"${work}/tgt.log" 2>&1 &
	tgt_pid=$!
	pids="${pids} ${tgt_pid}"
	wait_for ${_adm} --op show --mode target
	${_adm} --op new --mode target --tid 1 -T iqn.2026-11.tgt:box &&
	    ${_adm} --op new --mode logicalunit --tid 1 --lun 1 -b "${file}" &&
	    ${_adm} --op bind --mode target --tid 1 -I ALL || exit 1
	tgt_url=iscsi://127.0.0.1:${_port}/iqn.2026-11.tgt:box/1
}

istgt_up()
{
	_port=$((30000 + $$ % 10000))
	: >"${work}/auth.conf"
	cat >"${work}/istgt.conf" <<-END
	[Global]
	NodeBase "iqn.2026-11.istgt"
	PidFile ${work}/istgt.pid
	AuthFile ${work}/auth.conf
	MediaDirectory ${work}
	LogFacility "local7"
	Timeout 30
	NopInInterval 20
	DiscoveryAuthMethod Auto
	MaxSessions 64
	MaxConnections 4
	MaxR2T 32
	MaxOutstandingR2T 16
	DefaultTime2Wait 2
	DefaultTime2Retain 60
	FirstBurstLength 262144
	MaxBurstLength 1048576
	MaxRecvDataSegmentLength 262144
	InitialR2T Yes
	ImmediateData Yes
	DataPDUInOrder Yes
	DataSequenceInOrder Yes
	ErrorRecoveryLevel 0
	[UnitControl]
	AuthMethod None
	Portal UC1 127.0.0.1:$((_port + 1))
	Netmask 127.0.0.1
	[PortalGroup1]
	Portal DA1 127.0.0.1:${_port}
	[InitiatorGroup1]
	InitiatorName "ALL"
	Netmask 127.0.0.0/8
	[LogicalUnit1]
	TargetName box
	Mapping PortalGroup1 InitiatorGroup1
	AuthMethod Auto
	UnitType Disk
	QueueDepth 64
	LUN0 Storage ${file} Auto
	END
	istgt -D -c "${work}/istgt.conf" >"${work}/istgt.log" 2>&1 &
	istgt_pid=$!
	pids="${pids} ${istgt_pid}"
	istgt_url=iscsi://127.0.0.1:${_port}/iqn.2026-11.istgt:box/0
	wait_for iscsi-inq "${istgt_url}"
}

# ---- measurements ----

# run TARGET CELL: appends "TARGET CELL OPS CLIENT_CPU TARGET_CPU OPS" to the
# results.
run()
{
	cell_parse "$2"
	if [ "${1%-i}" = tcp ]; then
		_q=48 _a=$((48 + bytes)) _as=${1#tcp}
		[ ${rw} = r ] || _q=${_a} _a=48
		# shellcheck disable=SC2086 # nothing, or -i
		_line=$("${build}/bench/tcp_ceiling" ${_as} -q ${_q} -a ${_a} \
		    -d "${depth}" -n "${sessions}" -t "${seconds}") || exit 1
	else
		eval "_url=\${$1_url} _pid=\${$1_pid}"
		set -- "$1" "$2" -p "${_pid}"
		[ ${rw} = r ] || set -- "$@" -w
		[ ${bytes} -eq 4096 ] || set -- "$@" -S
		_t=$1 _c=$2
		shift 2
		_line=$("${build}/bench/iscsi_load" "$@" -s ${bytes} \
		    -d "${depth}" -n "${sessions}" -t "${seconds}" "${_url}") ||
		    exit 1
		set -- "${_t}" "${_c}"
	fi
	echo "$1 $2 ${_line}" >>"${work}/results"
}

work=$(mktemp -d "${TMPDIR:-/tmp}/target.XXXXXX") pids=
file=$(mktemp /dev/shm/target.XXXXXX)
# shellcheck disable=SC2086
trap '[ -z "${pids}" ] || kill -9 ${pids} 2>/dev/null; rm -rf "${work}" "${file}"' EXIT
trap 'exit 1' HUP INT TERM
head -c $((size_mib * 1048576)) /dev/urandom >"${file}"
up=
for t in ${targets}; do
	case ${t} in
	ours|null) [ -n "${up}" ] || ours_up; up=yes ;;
	tgt|istgt) ${t}_up ;;
	*) usage ;;
	esac
done
i=0
while [ ${i} -lt "${rounds}" ]; do
	i=$((i + 1))
	for cell in ${cells}; do
		for t in ${targets} tcp tcp-i; do
			run "${t}" "${cell}"
		done
	done
done

# ---- results ----

for cell in ${cells}; do
	cell_parse "${cell}"
	echo "cell ${cell} ${bytes} $(goals_of "${cell}") ${sessions}"
done | awk -v targets="${targets} tcp tcp-i" -v seconds="${seconds}" '
function median(t, c,    n, a, i, j, v) {
	n = count[t, c]
	for (i = 1; i <= n; i++) {
		v = ops[t, c, i]
		for (j = i - 1; j > 0 && a[j] > v; j--)
			a[j + 1] = a[j]
		a[j + 1] = v
	}
	if (n == 0)
		return 0
	return n % 2 ? a[(n + 1) / 2] : (a[n / 2] + a[n / 2 + 1]) / 2
}
function ratio(a, b, goal,    text) {
	if (a == 0 || b == 0)
		return "-"
	text = sprintf("%.2f", a / b)
	if (goal == "-")
		return text
	missed += a / b < goal
	return text sprintf(" (%s%s)", goal, a / b < goal ? " MISSED" : "")
}
function busy(t, c) {
	if (count[t, c] == 0)
		return "-"
	return sprintf("%.2f", client[t, c] / count[t, c] / seconds / \
	    sessions[c])
}
function costs(t, c,    each) {
	if (done[t, c] == 0)
		return "-"
	each = cpu[t, c] / done[t, c]
	return sprintf("%.2f %.2f", each * 1e5, each / bytes[c] * 2^30)
}
FILENAME != "-" {
	ops[$1, $2, ++count[$1, $2]] = $3
	client[$1, $2] += $4
	cpu[$1, $2] += $5
	done[$1, $2] += $6
	next
}
{ cell[++cells] = $2; bytes[$2] = $3; goal_tgt[$2] = $4; goal_tcp[$2] = $5
	sessions[$2] = $6 }
END {
	n = split(targets, t, " ")
	printf "%-10s", "OPS/S"
	for (i = 1; i <= n; i++)
		printf "%9s", t[i]
	printf "  %-19s%-20s%-8s%s\n", "/tgt (goal)", "/tcp (goal)", "/tcp-i",
	    "/istgt"
	for (k = 1; k <= cells; k++) {
		c = cell[k]
		printf "%-10s", c
		for (i = 1; i <= n; i++)
			printf "%9.0f", median(t[i], c)
		o = median("ours", c)
		printf "  %-19s%-20s%-8s%s\n",
		    ratio(o, median("tgt", c), goal_tgt[c]),
		    ratio(o, median("tcp", c), goal_tcp[c]),
		    ratio(o, median("tcp-i", c), "-"),
		    ratio(o, median("istgt", c), "-")
	}
	printf "\nCPU of target, seconds per 100000 operations, per GiB\n%-10s",
	    ""
	for (i = 1; i < n - 1; i++)
		printf "%16s", t[i]
	printf "\n"
	for (k = 1; k <= cells; k++) {
		c = cell[k]
		printf "%-10s", c
		for (i = 1; i < n - 1; i++)
			printf "%16s", costs(t[i], c)
		printf "\n"
	}
	printf "\nCPU of the initiator, of 1.00 of each of its threads\n%-10s",
	    ""
	for (i = 1; i < n - 1; i++)
		printf "%9s", t[i]
	printf "\n"
	for (k = 1; k <= cells; k++) {
		c = cell[k]
		printf "%-10s", c
		for (i = 1; i < n - 1; i++)
			printf "%9s", busy(t[i], c)
		printf "\n"
	}
	exit missed > 0
}' "${work}/results" -
rc=$?
[ -n "${strict}" ] || rc=0
exit ${rc}
