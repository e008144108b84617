# SPDX-License-Identifier: BSD-2-Clause
# What holds for a mount that others end, and for what programs keep open in it.
. "${VMFS_SRCDIR}/tests/cli/hosts.subr"
PATH=${VMFS_BUILDDIR}/tests/cli:${PATH}

fuse_test_case()
{
	atf_test_case "$1" cleanup
	eval "$1_head()
	{
		atf_set require.user root
	}"
	eval "$1_cleanup()
	{
		[ ! -s held.pid ] || kill -9 \$(cat held.pid)
		[ ! -s fill.pid ] || kill -9 \$(cat fill.pid)
		[ ! -s h1/pid ] || kill -CONT \$(cat h1/pid)
		hosts_cleanup
	}"
	cases="${cases} $1"
}

soon()
{
	until_true 30 "$@" || atf_fail "not within 30 s: $*"
}

# hold FILE HOW...: see held.c; until held_does.
hold()
{
	mkfifo go
	held "$@" <go >held.out 2>&1 &
	held=$!
	echo ${held} >held.pid
	exec 7>go
	soon grep held held.out
}

# Its exit status.
held_does()
{
	echo >&7
	exec 7>&-
	wait ${held}
	_rc=$?
	rm held.pid
	return ${_rc}
}

# umount(8) does not always find it while other tests mount and unmount theirs.
is_unmounted()
{
	umount "$1" || ! mountpoint -q "$1"
}

# By its own word.
ds_is_unmounted()
{
	vmfsctl -c "$1/ctl" -H ds ls | grep 'unmounted'
}

fuse_test_case umount_by_others_ends_the_datastore_and_no_more
umount_by_others_ends_the_datastore_and_no_more_body()
{
	hosts_up h1
	for i in $(seq 20); do
		soon is_unmounted h1/mnt
		until_true 30 ds_is_unmounted h1 ||
		    atf_fail "time ${i}: $(cat h1/err)"
		atf_check vmfsctl -c h1/ctl ds mount ds1
	done
	hosts_stop
}

# locker_start NAME [-n]: of h1/mnt/file, until fd 8 is closed; in pid_NAME.
locker_start()
{
	_n=$1
	shift
	locker h1/mnt/file posix w "$@" <never >"locker.${_n}" 2>&1 8>&- &
	eval "pid_${_n}=$!"
}

# lockers_wait NAME...: in the kernel.
lockers_wait()
{
	for _n; do
		eval "_pid=\${pid_${_n}}"
		# shellcheck disable=SC2154
		{ grep waiting "locker.${_n}" &&
		    grep '^State:.[SD]' "/proc/${_pid}/status"; } || return 1
	done
}

# By so many that each thread of the mount has some of them.
fuse_test_case end_of_the_connection_is_noticed_while_programs_wait
end_of_the_connection_is_noticed_while_programs_wait_body()
{
	hosts_up h1
	echo x >h1/mnt/file
	mkfifo never
	exec 8<>never
	locker_start has -n
	soon grep locked locker.has
	waiting=$(seq 24)
	for i in ${waiting}; do
		locker_start "${i}"
	done
	# shellcheck disable=SC2086
	soon lockers_wait ${waiting}
	umount -f h1/mnt
	umount -l h1/mnt
	exec 8>&-
	until_true 30 ds_is_unmounted h1 ||
	    atf_fail "$(vmfsctl -c h1/ctl -H ds ls)"
	hosts_stop
}

# The worker of h1 is dead, and h2 takes over before there is another one, which
# has lost what was open.
lose_open_file()
{
	daemon_in=supervised
	hosts_up h1 h2
	echo something >h1/mnt/file
	sync h1/mnt/file
	hold h1/mnt/file truncate
	worker=$(worker h1)
	kill -STOP "$(cat h1/pid)"
	kill -9 "${worker}"
	until_true 60 grep 'takeover: done' h2/log || atf_fail "no take-over"
	soon eval 'echo new >h2/mnt/file'
	sync h2/mnt/file
	kill -CONT "$(cat h1/pid)"
	soon grep 'went on handles=1 lost=1' h1/log
}

fuse_test_case lost_open_file_truncates_nothing
lost_open_file_truncates_nothing_body()
{
	lose_open_file
	held_does && atf_fail "truncated: $(cat h2/mnt/file)"
	atf_check -o match:'Input/output error' cat held.out
	atf_check -o inline:'new\n' cat h2/mnt/file
	daemon_stop h1
	daemon_stop h2
}

refused_to_write()
{
	dd if=lines status=none >&"$1" 2>err && atf_fail "it has written"
	atf_check -o match:'Device or resource busy' cat err
}

# The kernel's numbers of open files are used again, also by what another host
# does not let write: one of these has that of what was lost.
fuse_test_case next_open_file_may_not_write_as_a_lost_one
next_open_file_may_not_write_as_a_lost_one_body()
{
	lose_open_file
	held_does
	atf_check -o inline:'new\n' cat h1/mnt/file
	echo lines >lines
	exec 4<>h2/mnt/file
	exec 5<>h1/mnt/file
	exec 6<>h1/mnt/file
	refused_to_write 5
	refused_to_write 6
	kill_worker h1
	echo other >&4
	exec 4>&-
	refused_to_write 5
	refused_to_write 6
	atf_check -o inline:'other\n' cat h2/mnt/file
	# By a lock they may.
	atf_check flock 6
	echo lines >&6 || atf_fail "it has a lock and may not write"
	exec 5>&- 6>&-
	daemon_stop h1
	daemon_stop h2
}

fuse_test_case truncation_by_open_takes_set_id_bits
truncation_by_open_takes_set_id_bits_body()
{
	hosts_up h1
	chmod 755 h1/mnt
	echo x >h1/mnt/file
	chmod 4777 h1/mnt/file
	atf_check -e ignore setpriv --reuid=1000 --regid=1000 --clear-groups \
	    dd of=h1/mnt/file count=0
	atf_check -o inline:'777 0\n' stat -c '%a %s' h1/mnt/file
	# Who may keep them does.
	chmod 4777 h1/mnt/file
	: >h1/mnt/file
	atf_check -o inline:'4777 0\n' stat -c '%a %s' h1/mnt/file
	hosts_stop
}

# The process before this one may have told the kernel of the file, and another
# host gives its number to the next one.
used_again()
{
	daemon_in=supervised
	hosts_up h1 h2
	chmod 755 h1/mnt
	echo mine >h2/mnt/old
	chown 1000 h2/mnt/old
	sync h2/mnt/old
	ino=$(stat -c %i h2/mnt/old)
	soon grep mine h1/mnt/old
	hold h1/mnt/old chmod 1000
	[ -z "$1" ] || kill_worker h1
	atf_check rm h2/mnt/old
	for i in $(seq 300); do
		echo secret >"h2/mnt/new${i}"
		chmod 600 "h2/mnt/new${i}"
		[ "$(stat -c %i "h2/mnt/new${i}")" != "${ino}" ] || break
	done
	[ "$(stat -c %i "h2/mnt/new${i}")" = "${ino}" ] ||
	    atf_skip "the number is not used again"
	sync "h2/mnt/new${i}"
	held_does
	atf_check_equal 1 $?
	atf_check -o match:'Stale file handle' cat held.out
	atf_check -o inline:'600\n' stat -c %a "h2/mnt/new${i}"
	# By its name it is known at once.
	soon grep secret "h1/mnt/new${i}"
	atf_check chmod 640 "h1/mnt/new${i}"
	hosts_stop
}

fuse_test_case a_number_that_is_used_again_is_another_file
a_number_that_is_used_again_is_another_file_body()
{
	used_again ""
}

fuse_test_case the_next_process_tells_files_of_one_number_apart
the_next_process_tells_files_of_one_number_apart_body()
{
	used_again killed
}

# created_meanwhile NAME COMMAND...: by uid 1000, to whose kernel the file, which
# another host has made, was not there a moment ago.
created_meanwhile()
{
	_name=$1
	shift
	kill -STOP "$(cat h1/pid)"
	setpriv --reuid=1000 --regid=1000 --clear-groups "$@" >user.out 2>&1 &
	user=$!
	absent "$(cat h1/pid)" "${_name}" >absent.out 2>&1
	_rc=$?
	kill -CONT "$(cat h1/pid)"
	[ ${_rc} -eq 0 ] || atf_fail "$(cat absent.out)"
	wait ${user}
}

fuse_test_case who_creates_what_is_there_by_now_opens_what_he_may
who_creates_what_is_there_by_now_opens_what_he_may_body()
{
	hosts_up h1 h2
	chmod 777 h2/mnt
	for name in secret other mine; do
		echo ${name} >h2/mnt/${name}
		chmod 600 h2/mnt/${name}
		sync h2/mnt/${name}
	done
	chown 1000 h2/mnt/mine
	created_meanwhile secret sh -c 'cat <>h1/mnt/secret' &&
	    atf_fail "it is read: $(cat user.out)"
	atf_check -o match:'Permission denied' cat user.out
	created_meanwhile other sh -c 'exec >>h1/mnt/other' &&
	    atf_fail "it is open for writing"
	atf_check -o match:'Permission denied' cat user.out
	created_meanwhile mine sh -c 'cat <>h1/mnt/mine' ||
	    atf_fail "$(cat user.out)"
	atf_check -o inline:'mine\n' cat user.out
	hosts_stop
}

fuse_test_case parts_of_one_append_follow_each_other
parts_of_one_append_follow_each_other_body()
{
	hosts_up h1
	head -c 5000000 /dev/urandom >data
	: >h1/mnt/file
	for _ in 1 2 3 4 5; do
		for how in buffered direct; do
			atf_check append h1/mnt/file ${how} <data
			cat data >>want
		done
	done
	atf_check cmp want h1/mnt/file
	hosts_stop
}

# by_uid UID COMMAND...
by_uid()
{
	_uid=$1
	shift
	setpriv --reuid="${_uid}" --regid="${_uid}" --clear-groups "$@"
}

# fill_begin HOW FILE...: by uid 1000, see fill.c; until fill_end.
fill_begin()
{
	rm -f go
	mkfifo go
	(ulimit -n "${room:-1024}" && by_uid 1000 fill "$@") <go >fill.out 2>&1 &
	echo $! >fill.pid
	exec 7>go
	until_true 120 grep full fill.out || atf_fail "$(cat fill.out)"
}

fill_end()
{
	exec 7>&-
	wait "$(cat fill.pid)"
	rm fill.pid
}

may_lock()
{
	by_uid "$1" locker h1/mnt/c posix w -n </dev/null
}

# Half of them.
fuse_test_case one_user_does_not_take_all_locks
one_user_does_not_take_all_locks_body()
{
	hosts_up h1
	chmod 777 h1/mnt
	for file in a b c; do
		: >h1/mnt/${file}
		chmod 666 h1/mnt/${file}
	done
	fill_begin lock h1/mnt/a h1/mnt/b
	atf_check -o inline:'full 8192: No locks available\n' cat fill.out
	may_lock 1000 && atf_fail "uid 1000 gets more"
	may_lock 1001 || atf_fail "uid 1001 gets none"
	may_lock 0 || atf_fail "root gets none"
	grep 'user 1000 gets no more locks' h1/log >told
	atf_check -o match:'there are 8192 in use, 8192 by that user' cat told
	atf_check_equal 1 "$(wc -l <told)"
	fill_end
	soon may_lock 1000
	hosts_stop
}

fuse_test_case one_user_does_not_open_all_files
one_user_does_not_open_all_files_body()
{
	room=17000
	[ "$(ulimit -H -n)" -ge ${room} ] ||
	    atf_skip "a process may not open as many"
	hosts_up h1
	chmod 777 h1/mnt
	echo x >h1/mnt/a
	chmod 666 h1/mnt/a
	# One more, by which the others take less time.
	exec 4<>h1/mnt/a
	fill_begin open h1/mnt/a
	atf_check -o inline:'full 16383: Too many open files in system\n' \
	    cat fill.out
	by_uid 1000 cat h1/mnt/a 2>err && atf_fail "uid 1000 gets more"
	by_uid 1001 cat h1/mnt/a || atf_fail "uid 1001 gets none"
	atf_check -o inline:'x\n' cat h1/mnt/a
	grep 'user 1000 gets no more open files' h1/log >told
	atf_check_equal 1 "$(wc -l <told)"
	fill_end
	exec 4>&-
	soon by_uid 1000 cat h1/mnt/a
	hosts_stop
}
