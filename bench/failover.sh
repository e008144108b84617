#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# usage: bench/failover.sh [-n COUNT] [-j JOBS] [-w DIR] [WAY]...
# How long a disk is away when its host goes: from that moment until another
# host's first write to it is on the LUN, with the default timers.
#
#   -n COUNT  take-overs each way (20)
#   -j JOBS   pairs of hosts at work at the same time (5), each with a target
#             and a datastore of its own
#   -w DIR    work directory, kept; default: a new one, removed at the end
# WAYS, all by default:
#   kill      kill -9 of the host; the other one has only the LUN to go by
#   corosync  kill -9 of the host and its corosync; there are three nodes of
#             it, with a token of 2 s
#   leave     SIGTERM of the host: it leaves in good order
#   reboot    kill -9 of the host, which starts again at once; until it
#             writes itself
# Prints count, median and worst of each way in milliseconds and the goal;
# exit status 1 when a median misses its goal.  Needs root and a build.
srcdir=$(cd "$(dirname "$0")/.." && pwd)
VMFS_BUILDDIR=${VMFS_BUILDDIR:-${srcdir}/build}
. "${srcdir}/tests/torture/rig.subr"

usage()
{
	sed -n '3,/^# exit/s/^# \{0,1\}//p' "$0" >&2
	exit 2
}

count=20 jobs=5 work=
while getopts n:j:w: opt; do
	case ${opt} in
	n) count=${OPTARG} ;;
	j) jobs=${OPTARG} ;;
	w) work=${OPTARG} ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
ways=${*:-leave reboot corosync kill}
LUN=iscsi TIMERS=

# Milliseconds that the median may have.
goal_of()
{
	case $1 in
	leave|reboot) echo 1000 ;;
	kill) echo 22000 ;;
	corosync) echo 8000 ;;
	*) usage ;;
	esac
}
for way in ${ways}; do
	goal_of "${way}" >/dev/null
done

# Sleeps for a part of the pulse, so that the phase of the pulse is any.
some_phase()
{
	_ms=$(($(od -An -N2 -tu2 /dev/urandom) % 3000))
	sleep "$((_ms / 1000)).$(printf %03d $((_ms % 1000)))"
}

# strike WAY VICTIM OTHER: in milliseconds, into ${took}.
strike()
{
	_way=$1 v=$2 s=$3
	if [ -n "${MEMBERSHIP}" ]; then
		until_true 90 all_up || fail "corosync does not get on"
	fi
	writer_start "${v}" 1 60
	writer_wait "${v}" 1 60
	some_phase
	if [ "${_way}" = leave ]; then
		writer_end "${v}" 1
		struck=$(now_ms)
		daemon_term "h${v}"
	else
		struck=$(now_ms)
		daemon_kill "h${v}"
		[ -z "${MEMBERSHIP}" ] || node_kill "h${v}"
	fi
	if [ "${_way}" = reboot ]; then
		daemon_start "h${v}"
		daemon_wait "h${v}"
		s=${v}
	fi
	writer_start "${s}" 1 90
	writer_wait "${s}" 1 90
	took=$(($(sed -n 's/^first //p' "${W}/w${s}1") - struck))
	writer_end "${s}" 1
	if [ "${_way}" = leave ]; then
		daemon_join "h${v}"
	fi
	if [ "${_way}" != reboot ]; then
		[ -z "${MEMBERSHIP}" ] || node_start "h${v}"
		daemon_start "h${v}"
		daemon_wait "h${v}"
	fi
}

all_up() { net_says 1 2 up && net_says 2 1 up; }

# Both hosts come up, with corosync for the way of that name.
hosts_up()
{
	MEMBERSHIP=
	if [ "${way}" = corosync ]; then
		MEMBERSHIP=corosync
		node_conf 2 >"${W}/corosync.conf"
		for _n in box h1 h2; do
			node_start "${_n}"
		done
	fi
	for _n in 1 2; do
		host_conf "${_n}"
		daemon_start "h${_n}"
	done
	daemon_wait h1
	daemon_wait h2
}

hosts_down()
{
	daemon_term h1
	daemon_term h2
	daemon_join h1
	daemon_join h2
	[ -z "${MEMBERSHIP}" ] || for _n in box h1 h2; do
		node_kill "${_n}"
	done
}

# pair NUMBER COUNT: prints "WAY MS" for each take-over.
pair()
{
	TAG=vt$$p$1 W=${work}/$1
	mkdir -p "${W}"
	trap 'rig_end 2>/dev/null' EXIT
	net_up 2 || exit 1
	net_route 2
	store_make 2
	box_up
	for way in ${ways}; do
		hosts_up
		i=0
		while [ ${i} -lt "$2" ]; do
			strike "${way}" $((i % 2 + 1)) $(((i + 1) % 2 + 1))
			echo "${way} ${took}"
			i=$((i + 1))
		done
		hosts_down
	done
	store_check || fail "fsck: $(tail -n 3 "${W}/fsck.out")"
	box_down
}

mine=${work:+no}
work=${work:-$(mktemp -d "${TMPDIR:-/tmp}/failover.XXXXXX")}
mkdir -p "${work}"
j=0 pids=
while [ ${j} -lt "${jobs}" ]; do
	j=$((j + 1))
	share=$(((count * j / jobs) - (count * (j - 1) / jobs)))
	(pair ${j} ${share}) >"${work}/times.${j}" 2>"${work}/err.${j}" &
	pids="${pids} $!"
done
rc=0
for p in ${pids}; do
	wait "${p}" || rc=1
done
if [ ${rc} -ne 0 ]; then
	grep -h FAILED "${work}"/times.*
	echo "failover.sh: a pair failed, see ${work}" >&2
	exit 1
fi

# median and worst of the numbers on stdin
digest()
{
	sort -n | awk '{ a[NR] = $1 } END {
		h = int(NR / 2)
		printf "%d %d %d\n", NR,
		    NR % 2 ? a[h + 1] : (a[h] + a[h + 1]) / 2, a[NR]
	}'
}

printf '%-10s %5s %10s %10s %10s\n' WAY N MEDIAN WORST GOAL
for way in ${ways}; do
	goal=$(goal_of "${way}")
	set -- $(sed -n "s/^${way} //p" "${work}"/times.* | digest)
	printf '%-10s %5d %7d ms %7d ms %7d ms\n' "${way}" "$1" "$2" "$3" \
	    "${goal}"
	[ "$2" -le "${goal}" ] || rc=1
done
[ -n "${mine}" ] || rm -rf "${work}"
exit ${rc}
