# SPDX-License-Identifier: BSD-2-Clause
# Locks of programs, by flock(2) and fcntl(2), between hosts that have nothing
# in common but the LUN.
. "${VMFS_SRCDIR}/tests/cli/hosts.subr"
PATH=${VMFS_BUILDDIR}/tests/cli:${PATH}

setup()
{
	hosts_up "$@"
	echo something >"$1/mnt/file"
	sync "$1/mnt/file"
}

# holder NAME ARG...: locker in the background; holder_end NAME lets it go.
holder()
{
	_name=$1
	shift
	mkfifo "${_name}.in"
	locker "$@" <"${_name}.in" >"${_name}.out" 2>&1 3>&- 4>&- 5>&- 6>&- &
	eval "holder_${_name}=$!"
	echo $! >>holders
	exec 8>"${_name}.in"
	eval "exec $(fd_of "${_name}")>&8 8>&-"
}

# Each has its own: a to d.
fd_of() { printf %s "$1" | tr abcd 3456; }

has_locked() { grep -q locked "$1.out"; }

holder_up()
{
	holder "$@"
	until_true 20 has_locked "$1" ||
	    atf_fail "$1 has no lock: $(cat "$1.out")"
}

holder_end()
{
	eval "exec $(fd_of "$1")>&-; wait \${holder_$1}"
}

refused()
{
	atf_check -s exit:1 -o match:'Resource temporarily unavailable' \
	    locker "$@" -n </dev/null
}

granted() { locker "$@" -n </dev/null; }

# Closing comes back before RELEASE does.
soon() { until_true 20 "$@" || atf_fail "not done: $*"; }

locks_test_case()
{
	atf_test_case "$1" cleanup
	eval "$1_head()
	{
		atf_set require.user root
		atf_set timeout 120
		${2:+atf_set} ${2:-}
	}"
	eval "$1_cleanup()
	{
		for p in \$(cat holders 2>/dev/null); do
			grep -qs locker /proc/\${p}/comm && kill -9 \${p}
		done
		hosts_cleanup
	}"
	cases="${cases} $1"
}

locks_test_case one_host_at_a_time_has_a_file_locked
one_host_at_a_time_has_a_file_locked_body()
{
	setup h1 h2
	for kind in flock posix ofd; do
		holder_up a h1/mnt/file ${kind} w
		refused h2/mnt/file ${kind} w
		refused h2/mnt/file ${kind} r
		holder_end a
		rm a.in
		soon granted h2/mnt/file ${kind} w
	done
	hosts_stop
}

locks_test_case hosts_share_a_lock_for_reading
hosts_share_a_lock_for_reading_body()
{
	setup h1 h2
	holder_up a h1/mnt/file posix r
	holder_up b h2/mnt/file posix r
	refused h1/mnt/file posix w
	refused h2/mnt/file posix w
	holder_end b
	# The one that is left may become exclusive.
	soon granted h1/mnt/file posix r
	holder_end a
	soon granted h2/mnt/file posix w
	hosts_stop
}

locks_test_case ranges_of_one_host_are_looked_at_byte_by_byte
ranges_of_one_host_are_looked_at_byte_by_byte_body()
{
	setup h1 h2
	holder_up a h1/mnt/file posix w 0 10
	holder_up b h1/mnt/file posix w 10 10
	refused h1/mnt/file posix r 5 10
	refused h1/mnt/file ofd w 19 1
	granted h1/mnt/file posix w 20 10 || atf_fail "the rest is locked"
	# shellcheck disable=SC2154
	atf_check -o inline:"w 10 10 by ${holder_b}\n" \
	    locker h1/mnt/file posix t 10 1
	atf_check -o inline:'free\n' locker h1/mnt/file posix t 20
	# The two kinds do not see each other here.
	granted h1/mnt/file flock w || atf_fail "flock sees fcntl"
	# Another host has it as a whole.
	refused h2/mnt/file posix w 20 10
	atf_check -o inline:'w 0 0 by 0\n' locker h2/mnt/file posix t 20
	holder_end a
	holder_end b
	hosts_stop
}

locks_test_case who_waits_gets_it_from_another_host
who_waits_gets_it_from_another_host_body()
{
	setup h1 h2
	holder_up a h1/mnt/file flock w
	holder b h2/mnt/file flock w
	holder c h1/mnt/file flock w
	atf_check -s exit:1 grep locked b.out c.out
	holder_end a
	soon grep -q locked b.out c.out
	if has_locked b; then first=b then=c; else first=c then=b; fi
	atf_check -s exit:1 grep locked ${then}.out
	holder_end ${first}
	soon has_locked ${then}
	holder_end ${then}
	hosts_stop
}

# waits PID [OUTPUT]
waits()
{
	grep waiting "${2:-waiter.out}" && grep '^State:.S' "/proc/$1/status"
}

# As libvirt does to note who owns it; only QEMU's byte is waited for.
locks_test_case disk_of_another_host_is_refused_at_once
disk_of_another_host_is_refused_at_once_body()
{
	setup h1 h2
	atf_check vmfsctl -c h1/ctl disk create ds1:/vm.vmdk 16M
	exec 9<>h1/mnt/vm-flat.vmdk
	end=$(($(date +%s) + 60))
	for _ in $(seq 24); do
		refused h2/mnt/vm-flat.vmdk posix w 1 1
	done
	[ "$(date +%s)" -lt ${end} ] || atf_fail "each is waited for"
	exec 9>&-
	soon granted h2/mnt/vm-flat.vmdk posix w 1 1
	hosts_stop
}

interrupted()
{
	kill -USR1 "$1"
	grep 'Interrupted system call' b.out
}

a_wait_is_interrupted()
{
	holder b "$@"
	soon grep waiting b.out
	# shellcheck disable=SC2154
	soon interrupted "${holder_b}"
	exec 4>&-
	rm b.in
}

# Only QEMU asks afterwards whether it has got the lock.
locks_test_case disk_that_is_written_elsewhere_is_not_locked_shared
disk_that_is_written_elsewhere_is_not_locked_shared_body()
{
	setup h1 h2
	atf_check vmfsctl -c h1/ctl disk create ds1:/vm.vmdk 16M
	holder_up a h1/mnt/vm-flat.vmdk flock w
	refused h2/mnt/vm-flat.vmdk flock r
	refused h2/mnt/vm-flat.vmdk posix r 0 1
	refused h2/mnt/vm-flat.vmdk posix r 0
	a_wait_is_interrupted h2/mnt/vm-flat.vmdk flock r
	a_wait_is_interrupted h2/mnt/vm-flat.vmdk posix r 101 1
	holder_end a
	soon granted h2/mnt/vm-flat.vmdk flock r
	hosts_stop
}

locks_test_case a_signal_ends_the_wait
a_signal_ends_the_wait_body()
{
	setup h1 h2
	holder_up a h1/mnt/file posix w
	for host in h1 h2; do
		locker ${host}/mnt/file posix w </dev/null >waiter.out &
		waiter=$!
		echo ${waiter} >>holders
		until_true 20 waits ${waiter} || atf_fail "it does not wait"
		kill ${waiter}
		wait ${waiter}
		[ $? -eq 143 ] || atf_fail "it did not end by the signal"
	done
	holder_end a
	hosts_stop
}

# POSIX: by whatever descriptor of the file.
locks_test_case any_close_ends_fcntl_locks
any_close_ends_fcntl_locks_body()
{
	setup h1 h2
	for kind in ofd flock posix; do
		holder_up a h1/mnt/file ${kind} w
		echo >&3
		soon grep closed a.out
		if [ ${kind} = posix ]; then
			soon granted h1/mnt/file ${kind} w
			soon granted h2/mnt/file ${kind} w
		else
			refused h1/mnt/file ${kind} w
		fi
		holder_end a
		rm a.in
	done
	hosts_stop
}

# alone FD: it has it shared, and has had it alone once it comes back.
alone() { flock -w 60 "$1" && flock -u "$1"; }

# upgrades FILE FILE: both have it shared and want it alone.
upgrades()
{
	exec 5<>"$1" 6<>"$2"
	atf_check flock -s 5
	atf_check flock -s 6
	alone 5 &
	other=$!
	alone 6 || atf_fail "$2 waits for ever"
	wait ${other} || atf_fail "$1 waits for ever"
	exec 5>&- 6>&-
}

# "The existing lock is first removed", flock(2).
locks_test_case two_upgrades_do_not_wait_for_each_other
two_upgrades_do_not_wait_for_each_other_body()
{
	setup h1 h2
	upgrades h1/mnt/file h1/mnt/file
	upgrades h1/mnt/file h2/mnt/file
	hosts_stop
}

are_refused()
{
	[ "$(cat waiter*.out | grep -c 'No locks available')" -ge "$1" ]
}

# More that wait on one processor than may: by the ring it has buffers of its own.
locks_test_case who_waits_leaves_room_for_others
who_waits_leaves_room_for_others_body()
{
	if [ -z "${by_ring:-}" ]; then most=128; else most=16; fi
	setup h1 h2
	atf_check vmfsctl -c h1/ctl disk create ds1:/vm.vmdk 16M
	exec 7<>h1/mnt/vm-flat.vmdk
	atf_check -o ignore taskset -cp 0 $$
	holder_up a h2/mnt/file posix w
	waiters=
	for i in $(seq $((most + 40))); do
		locker h2/mnt/file posix w </dev/null >"waiter${i}.out" \
		    3>&- 7>&- &
		waiters="${waiters} $!"
		echo $! >>holders
	done
	soon are_refused 40
	# Short waits, too: else each is for 5 s.
	end=$(($(date +%s) + 60))
	for _ in $(seq 24); do
		granted h2/mnt/vm-flat.vmdk posix r 101 1 ||
		    atf_fail "QEMU's lock is refused"
	done
	[ "$(date +%s)" -lt ${end} ] || atf_fail "each is waited for"
	holder_end a
	for waiter in ${waiters}; do wait "${waiter}"; done
	atf_check -o inline:"${most}\n" sh -c 'cat waiter*.out | grep -c locked'
	exec 7>&-
	soon granted h2/mnt/vm-flat.vmdk posix w 1 1
	hosts_stop
}

# waiter UID NAME: its output in waiterNAME.out.
waiter()
{
	setpriv --reuid="$1" --clear-groups locker h1/mnt/file posix w \
	    </dev/null >"waiter$2.out" 3>&- &
	waiter=$!
	echo ${waiter} >>holders
}

# The first one gets half.
locks_test_case one_user_leaves_others_room_to_wait
one_user_leaves_others_room_to_wait_body()
{
	if [ -z "${by_ring:-}" ]; then most=128; else most=16; fi
	setup h1
	chmod 777 h1/mnt
	chmod 666 h1/mnt/file
	atf_check -o ignore taskset -cp 0 $$
	holder_up a h1/mnt/file posix w
	for i in $(seq ${most}); do waiter 1000 "${i}"; done
	soon are_refused $((most / 2))
	for uid in 1001 0; do
		waiter ${uid} of${uid}
		soon waits ${waiter} waiterof${uid}.out
	done
	holder_end a
	for uid in 1001 0; do soon grep locked waiterof${uid}.out; done
	hosts_stop
}

all_wait()
{
	for w; do grep '^State:.S' "/proc/${w}/status" || return 1; done
	[ "$(cat waiter*.out | grep -c waiting)" -eq $# ]
}

all_gone()
{
	for w; do
		! kill -0 "${w}" || grep '^State:.Z' "/proc/${w}/status" ||
		    return 1
	done
}

# Most of them have been told to the process that dies, which has not yet looked:
# it does so by and by, each 160 ms.
locks_test_case a_signal_before_a_restart_ends_the_wait
a_signal_before_a_restart_ends_the_wait_body()
{
	daemon_in=supervised
	setup h1
	holder_up a h1/mnt/file posix w
	for _ in 1 2 3; do
		waiters=
		for i in $(seq 100); do
			locker h1/mnt/file posix w </dev/null \
			    >"waiter${i}.out" 3>&- &
			waiters="${waiters} $!"
			echo $! >>holders
		done
		# shellcheck disable=SC2086
		soon all_wait ${waiters}
		# shellcheck disable=SC2086
		kill -9 ${waiters}
		kill_worker h1
		# shellcheck disable=SC2086
		soon all_gone ${waiters}
	done
	holder_end a
	hosts_stop
}

locks_test_case lock_of_a_killed_program_is_dropped
lock_of_a_killed_program_is_dropped_body()
{
	setup h1 h2
	for kind in flock posix ofd; do
		holder_up a h1/mnt/file ${kind} w
		eval "kill -9 \${holder_a}; wait \${holder_a}" 2>/dev/null
		soon granted h2/mnt/file ${kind} w
		exec 3>&-
		rm a.in
	done
	hosts_stop
}

locks_test_case lock_of_a_dead_host_goes_to_another
lock_of_a_dead_host_goes_to_another_body()
{
	setup h1 h2
	holder_up a h1/mnt/file posix w
	refused h2/mnt/file posix w
	host_kill h1
	until_true 60 granted h2/mnt/file posix w ||
	    atf_fail "the lock of h1 is left"
	hosts_stop
}

locks_test_case locks_outlive_the_process_that_works
locks_outlive_the_process_that_works_body()
{
	daemon_in=supervised
	setup h1 h2
	holder_up a h1/mnt/file posix w 0 10
	holder_up b h1/mnt/file ofd r 20
	holder c h1/mnt/file posix w 5 1
	for _ in 1 2; do
		kill_worker h1
		refused h2/mnt/file posix w
		refused h1/mnt/file posix r 9 1
		refused h1/mnt/file posix w 20
		granted h1/mnt/file posix r 20 || atf_fail "too much is locked"
	done
	# Who waited waits.
	holder_end a
	soon has_locked c
	holder_end b
	refused h2/mnt/file posix w
	holder_end c
	soon granted h2/mnt/file posix w
	hosts_stop
}

count_up()
{
	for _ in $(seq 40); do
		flock "$1/mnt/lock" sh -c "
			n=\$(cat $1/mnt/number)
			echo \$((n + 1)) >$1/mnt/number
			echo $1 >>$1/mnt/lines" || return
	done
}

locks_test_case no_count_is_lost_under_a_lock
no_count_is_lost_under_a_lock_body()
{
	setup h1 h2
	echo 0 >h1/mnt/number
	: >h1/mnt/lock
	: >h1/mnt/lines
	sync h1/mnt/number
	soon grep 0 h2/mnt/number
	count_up h1 2>err1 &
	one=$!
	count_up h2 2>err2 &
	wait $! || atf_fail "h2: $(cat err2)"
	wait ${one} || atf_fail "h1: $(cat err1)"
	soon granted h1/mnt/lines posix w
	atf_check -o inline:'80\n' cat h1/mnt/number
	atf_check -o match:'^80 ' wc -l h1/mnt/lines
	hosts_stop
}

# Both keep it open all the time and append under its own lock.
append()
{
	exec 7>>"$1/mnt/lines"
	for i in $(seq 60); do
		flock 7
		echo "$1 ${i}" >&7
		flock -u 7
	done
	exec 7>&-
}

locks_test_case lines_that_hosts_append_follow_each_other
lines_that_hosts_append_follow_each_other_body()
{
	setup h1 h2
	: >h1/mnt/lines
	append h1 2>err1 &
	one=$!
	append h2 2>err2 &
	wait $!
	wait ${one}
	atf_check cat err1 err2
	soon granted h1/mnt/lines posix w
	for h in h1 h2; do
		for i in $(seq 60); do echo "${h} ${i}"; done
	done | sort >want
	sort h1/mnt/lines >got
	atf_check diff want got
	hosts_stop
}

sql()
{
	sqlite3 -cmd '.timeout 60000' "$1/mnt/db" "$2"
}

fill()
{
	for i in $(seq 25); do
		sql "$1" "insert into t values ('$1', ${i})" || return
	done
}

locks_test_case databases_are_shared_by_hosts "require.progs sqlite3"
databases_are_shared_by_hosts_body()
{
	setup h1 h2
	sql h1 'create table t (host text, n integer)' || atf_fail "no table"
	fill h1 >fill1 2>&1 &
	one=$!
	# One that stays open and reads and writes by turns.
	for i in $(seq 25); do
		echo "insert into t values ('h2', ${i});"
		echo "select count(*) > 0 from t;"
	done | sqlite3 -cmd '.timeout 60000' h2/mnt/db >fill2 2>&1 ||
	    atf_fail "h2: $(cat fill2)"
	wait ${one} || atf_fail "h1: $(cat fill1)"
	sql h1 'pragma integrity_check' >whole
	atf_check -o inline:'ok\n' cat whole
	sql h2 'select host, count(*), sum(n) from t group by host
	    order by host' >sums
	atf_check -o inline:'h1|25|325\nh2|25|325\n' cat sums
	hosts_stop
}

refused_to_write()
{
	echo x | dd status=none >&6 2>err && atf_fail "it has written"
	atf_check -o match:'Device or resource busy' cat err
}

# What it read before may be old by now.
locks_test_case without_a_lock_nobody_writes_beside_another_host
without_a_lock_nobody_writes_beside_another_host_body()
{
	setup h1 h2
	exec 5<>h1/mnt/file
	exec 6<>h2/mnt/file
	read -r line <&6
	[ "${line}" = something ] || atf_fail "h2 reads '${line}'"
	refused_to_write
	atf_check -o match:'file is locked by host h1' \
	    grep 'write refused' h2/log
	exec 5>&-
	soon granted h1/mnt/file flock r
	refused_to_write
	atf_check flock 6
	echo x >&6
	exec 6>&-
	soon grep -x x h1/mnt/file
	hosts_stop
}

nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }

by_reading() { "$@" flock -n 9 9<h1/mnt/file; }

locks_test_case who_may_only_read_locks_no_other_host_out \
    "require.progs 'flock setpriv'"
who_may_only_read_locks_no_other_host_out_body()
{
	setup h1 h2
	chmod 644 h1/mnt/file
	by_reading nobody 2>err && atf_fail "locked by who may not write"
	atf_check -o match:'Bad file descriptor' cat err
	echo more >>h2/mnt/file || atf_fail "another host cannot write"
	nobody flock -s -n 9 9<h1/mnt/file || atf_fail "not even for reading"
	soon by_reading env
	chmod 666 h1/mnt/file
	soon by_reading nobody
	chmod 464 h1/mnt/file
	chgrp 65534 h1/mnt/file
	soon by_reading nobody
	chown 65534 h1/mnt/file
	by_reading nobody 2>err && atf_fail "locked by an owner without w"
	chmod 600 h1/mnt/file
	soon by_reading nobody
	hosts_stop
}

locks_test_case unmount_ends_a_wait
unmount_ends_a_wait_body()
{
	setup h1 h2
	holder_up a h1/mnt/file posix w
	holder b h2/mnt/file posix w
	atf_check vmfsctl -c h2/ctl ds unmount --force ds1
	eval "exec 4>&-; wait \${holder_b}" && atf_fail "it has got a lock"
	holder_end a
	hosts_stop
}
