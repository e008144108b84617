# SPDX-License-Identifier: BSD-2-Clause
# A host with two paths to the LUN of a storage box: one is cut, both are.
. "${VMFS_SRCDIR}/tests/cli/hosts.subr"

iqn=iqn.2026-11.test:box

# relay N: a path to the box; sets port_N and group_N.
relay()
{
	"${VMFS_BUILDDIR}/tests/interop/relay" "${portal}" >"relay$1" &
	until_true 10 test -s "relay$1" || atf_fail "the relay does not start"
	read -r _port _group <"relay$1"
	eval "port_$1=${_port} group_$1=${_group}"
	echo "${_group}" >>relays
}

# Writes the LUN's URL to lun.
box_with_two_paths()
{
	truncate -s 512M store
	mkdir -p box
	{
		printf '[portal]\nlisten = 127.0.0.1:0\n'
		printf '[target %s]\nlun.0 = %s,thin\n' ${iqn} "${PWD}/store"
		printf 'allow = iqn.2026-11.test:*\n'
	} | host_conf box
	daemon_start box
	portal=$(portal_of box)
	relay 1
	relay 2
	lun="iscsi://127.0.0.1:${port_1},127.0.0.1:${port_2}/${iqn}/0"
	atf_check -o ignore -e empty mkfs.vmfs -L ds1 --timers=${timers} \
	    --initiator=iqn.2026-11.test:admin "${lun}"
}

states()
{
	vmfsctl -c esx1/ctl path ls ds1 --json |
	    jq -r '[.paths[].state] | sort | join(",")'
}
states_are()
{
	[ "$(states)" = "$1" ]
}
status_is()
{
	[ "$(vmfsctl -c esx1/ctl ds info ds1 --json |
	    jq -r .datastore.status)" = "$1" ]
}

# Writes numbers and tells after each flush how far it has come.
writer()
{
	n=0
	while [ ! -e writer.stop ]; do
		printf '%016d' ${n} | dd of=esx1/mnt/file bs=16 \
		    seek=$((n % 1024 * 256)) conv=notrunc,fsync status=none ||
		    return
		echo ${n} >flushed.new
		mv flushed.new flushed
		n=$((n + 1))
	done
	touch writer.good
}
writer_passes()
{
	[ "$(cat flushed)" -gt "$1" ]
}
writer_gets_on()
{
	until_true 60 writer_passes $(($(cat flushed) + 10)) || {
		cat esx1/log >&2
		atf_fail "the writer does not get on"
	}
}

atf_test_case cut_paths_cost_no_error cleanup
cut_paths_cost_no_error_head()
{
	atf_set require.user root
}
cut_paths_cost_no_error_body()
{
	box_with_two_paths
	host_start esx1 "${lun}"
	until_true 30 states_are active,active,active,active ||
	    atf_fail "paths are $(states)"
	writer 2>writer.err &
	writer=$!
	until_true 30 writer_passes 10 || atf_fail "the writer does not start"
	# shellcheck disable=SC2154
	kill -KILL -- "-${group_1}"
	writer_gets_on
	until_true 30 states_are active,active,lost,lost ||
	    atf_fail "paths are $(states)"
	# Now the other one, too: I/O waits until it is back.
	# shellcheck disable=SC2154
	kill -STOP -- "-${group_2}"
	until_true 60 status_is frozen || atf_fail "I/O does not wait"
	kill -CONT -- "-${group_2}"
	until_true 60 status_is ok || atf_fail "I/O does not go on"
	writer_gets_on
	touch writer.stop
	wait ${writer}
	atf_check -o empty cat writer.err
	[ -e writer.good ] || atf_fail "the writer had an error"
	atf_check -o match:'path=127.0.0.1:.* state="lost"' cat esx1/log
	host_stop esx1
	host_stop box
}
cut_paths_cost_no_error_cleanup()
{
	hosts_cleanup
	[ ! -e relays ] || while read -r group; do
		kill -KILL -- "-${group}" 2>/dev/null
	done <relays
	return 0
}

# groups: "GROUP=ACCESS" of the paths, each once.
groups()
{
	vmfsctl -c esx1/ctl path ls ds1 --json | jq -r \
	    '[.paths[] | "\(.group)=\(.access)"] | unique | join(",")'
}
groups_are()
{
	[ "$(groups)" = "$1" ]
}
groups_get()
{
	until_true 30 groups_are "$1" || {
		cat esx1/log >&2
		atf_fail "groups are $(groups), not $1"
	}
}
access()
{
	atf_check vmfsctl -c box/ctl lun access "${iqn}" 0 "$@"
}

atf_test_case access_states_move_io cleanup
access_states_move_io_head()
{
	atf_set require.user root
}
access_states_move_io_body()
{
	truncate -s 512M store
	mkdir -p box
	{
		printf '[portal]\nlisten = 127.0.0.1:0\n'
		printf 'listen = 127.0.0.1:0,2\n'
		printf '[target %s]\nlun.0 = %s,thin\n' ${iqn} "${PWD}/store"
		printf 'allow = iqn.2026-11.test:*\n'
	} | host_conf box
	daemon_start box
	portals=$(vmfsctl -c box/ctl target ls --json |
	    jq -r '.portals | join(",")')
	lun="iscsi://${portals}/${iqn}/0"
	atf_check -o ignore -e empty mkfs.vmfs -L ds1 --timers=${timers} \
	    --initiator=iqn.2026-11.test:admin "${lun}"
	host_start esx1 "${lun}"
	groups_get 1=optimized,2=optimized
	writer 2>writer.err &
	writer=$!
	until_true 30 writer_passes 10 || atf_fail "the writer does not start"
	access 1 standby
	groups_get 1=standby,2=optimized
	writer_gets_on
	access 1 non-optimized
	access 2 unavailable
	groups_get 1=non-optimized,2=unavailable
	writer_gets_on
	access 2 optimized
	groups_get 1=non-optimized,2=optimized
	writer_gets_on
	touch writer.stop
	wait ${writer}
	atf_check -o empty cat writer.err
	[ -e writer.good ] || atf_fail "the writer had an error"
	atf_check -s exit:2 -e match:'a portal group from 1 to 16' \
	    vmfsctl -c box/ctl lun access "${iqn}" 0 17 standby
	atf_check -s exit:3 -e match:"target '${iqn}' has no LUN 7" \
	    vmfsctl -c box/ctl lun access "${iqn}" 7 1 standby
	host_stop esx1
	host_stop box
}
access_states_move_io_cleanup()
{
	hosts_cleanup
}

atf_init_test_cases()
{
	atf_add_test_case access_states_move_io
	atf_add_test_case cut_paths_cost_no_error
}
