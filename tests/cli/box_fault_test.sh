# SPDX-License-Identifier: BSD-2-Clause
# A storage box where not everything goes well.
. "${VMFS_SRCDIR}/tests/cli/hosts.subr"

iqn=iqn.2026-11.test:box
me=iqn.2026-11.test:me

# Commands without -c go to the box.
export VMFSD_CONTROL=box/ctl

# box_conf LINE...: of the target.
box_conf()
{
	{
		printf '[portal]\nlisten = 127.0.0.1:0\n[target %s]\n' ${iqn}
		printf 'allow = iqn.2026-11.test:*\n'
		printf '%s\n' "$@"
	} | host_conf box
}

fault_test_case()
{
	root_test_case "$1" "require.progs 'jq unshare'"
}

# The configuration is a mount of its own, as in a container: it can be written
# beside, but not replaced.
mounted_alone()
{
	exec unshare --mount sh -c \
	    'mount --bind box/conf box/conf && exec "$@"' sh "$@"
}

fault_test_case file_of_a_lun_that_runs_is_not_removed
file_of_a_lun_that_runs_is_not_removed_body()
{
	box_conf
	daemon_in=mounted_alone
	daemon_start box
	atf_check -s exit:4 -e match:'changed until the next start only' \
	    vmfsctl lun create ${iqn} 0 "${PWD}/new" 64M
	atf_check -o inline:"${PWD}/new ok\n" sh -c "vmfsctl --json lun ls |
	    jq -r '.luns[] | .source + \" \" + .status'"
	atf_check -o inline:'67108864\n' stat -c %s new
	[ ! -e box/conf.new ] || atf_fail "a file was left"
	# One that nobody uses goes.
	atf_check -s exit:1 -e match:"option 'nonsense' is unknown" \
	    vmfsctl lun create ${iqn} 1 "${PWD}/other,nonsense" 64M
	[ ! -e other ] || atf_fail "a file was left"
	host_stop box
}

# turs LUN...: what TEST UNIT READY says of each.
turs()
{
	_portal=$(portal_of box)
	for _lun; do
		"${VMFS_BUILDDIR}/tests/interop/scsi_cmd" -i ${me} \
		    "iscsi://${_portal}/${iqn}/${_lun}" 000000000000
	done
}

# turs_are LUN:RESULT...
turs_are()
{
	for _one; do
		[ "$(turs "${_one%%:*}")" = "${_one#*:}" ] || return 1
	done
}

fault_test_case virtual_disk_waits_for_its_datastore
virtual_disk_waits_for_its_datastore_body()
{
	daemon_in=supervised
	lun_make lun
	box_conf "lun.0 = vdisk:ds1:/a.vmdk" "lun.1 = vdisk:ds1:/none.vmdk" \
	    "lun.2 = vdisk:ds2:/a.vmdk"
	printf '[datastore ds1]\nlun = %s\nmount = %s\n' "${PWD}/lun" \
	    "${PWD}/box/mnt" >>box/conf
	daemon_start box
	# What does not come by itself is not there.
	turs_are 0:05/25/00 1:05/25/00 2:05/25/00 || atf_fail "$(turs 0 1 2)"
	atf_check vmfsctl disk create ds1:/a.vmdk 64M
	atf_check -o ignore vmfsctl reload
	turs_are 0:GOOD || atf_fail "$(turs 0)"
	# The worker dies, and its successor does not find the LUN.
	mv lun away
	had=$(resumes box)
	old=$(worker box)
	kill -9 "${old}"
	until_true 30 eval '[ "$(worker box)" != "${old}" ] && turs 0' ||
	    atf_fail "it does not listen"
	turs_are 0:0x08 2:05/25/00 || atf_fail "$(turs 0 2)"
	atf_check vmfsctl lun remove ${iqn} 1
	turs_are 1:05/25/00 || atf_fail "$(turs 1)"
	mv away lun
	until_true 60 turs_are 0:GOOD || atf_fail "$(turs 0)"
	went_on box "${had}" || atf_fail "it was mounted anew"
	# Nor does what was unmounted.
	atf_check vmfsctl ds unmount ds1
	turs_are 0:05/25/00 || atf_fail "$(turs 0)"
	daemon_stop box
}

# The log can be read by all.
fault_test_case secret_of_a_url_is_not_logged
secret_of_a_url_is_not_logged_body()
{
	box_conf "lun.0 = ram:64M" "lun.1 = ram:64M"
	daemon_start box
	portal=$(portal_of box)
	url="iscsi://admin%top@secret1234@${portal}/${iqn}"
	printf '[portal]\nlisten = 127.0.0.1:0\n[target %s]\n' \
	    iqn.2026-11.test:gw | host_conf gw
	daemon_start gw
	for options in pool=1G thin,pool=1G block-size=512,pool=1M; do
		atf_check -s exit:2 -e match:"admin@${portal}.*pool= is for" \
		    -e not-match:secret1234 vmfsctl -c gw/ctl lun create \
		    iqn.2026-11.test:gw 0 "${url}/0,${options}"
	done
	atf_check vmfsctl -c gw/ctl lun create iqn.2026-11.test:gw 0 "${url}/0"
	atf_check -s exit:4 -e match:"admin@${portal}.* is LUN 0" \
	    -e not-match:secret1234 vmfsctl -c gw/ctl lun create \
	    iqn.2026-11.test:gw 1 "${url}/0,thin"
	# What is kept for a unit, damaged.
	atf_check vmfsctl -c gw/ctl lun create iqn.2026-11.test:gw 2 \
	    "${url}/1,encrypted"
	key=$(basename gw/id/key-*)
	atf_check vmfsctl -c gw/ctl lun remove iqn.2026-11.test:gw 2
	for kind in key sanitize reservations; do
		file=gw/id/${kind}-${key#key-}
		[ ! -e "${file}" ] || mv "${file}" kept
		echo damaged >"${file}"
		atf_check -s not-exit:0 -e match:"admin@${portal}" \
		    -e not-match:secret1234 vmfsctl -c gw/ctl lun create \
		    iqn.2026-11.test:gw 2 "${url}/1,encrypted"
		rm "${file}"
		[ ! -e kept ] || mv kept "${file}"
	done
	atf_check -s exit:1 grep -e secret1234 gw/log gw/out gw/err box/log
	host_stop gw
	host_stop box
}

# What is kept of an initiator's settings does not bring a LUN back.
fault_test_case lun_that_was_removed_stays_away
lun_that_was_removed_stays_away_body()
{
	box_conf
	daemon_start box
	while [ ! -e stop ]; do
		vmfsctl lun access ${iqn} 0 1 standby
		vmfsctl lun access ${iqn} 0 1 optimized
	done >/dev/null 2>&1 &
	setter=$!
	for i in $(seq 40); do
		atf_check vmfsctl lun create ${iqn} 0 ram:1M
		atf_check vmfsctl lun access ${iqn} 0 1 unavailable
		atf_check vmfsctl lun remove ${iqn} 0
	done
	touch stop
	wait ${setter}
	atf_check -s exit:1 grep lun.0 box/conf
	host_stop box
}

gw=iqn.2026-11.test:gw

# gw_start LUN...: a box whose LUN 0 is that of the other one.
gw_start()
{
	portal=$(vmfsctl --json target ls | jq -r '.portals[0]')
	{
		printf '[portal]\nlisten = 127.0.0.1:0\n[target %s]\n' ${gw}
		printf '%s\n' "lun.0 = iscsi://${portal}/${iqn}/0" "$@"
	} | host_conf gw
	daemon_start gw
}

# asked PORT: who serves it has not read all that came.
asked()
{
	awk -v at="$(printf ':%04X$' "$1")" '$2 ~ at && $4 == "01" &&
	    $5 !~ /:00000000$/ { found = 1 } END { exit !found }' /proc/net/tcp
}

lun_1_is_gone()
{
	! vmfsctl -c gw/ctl lun info ${gw} 1
}

# While a source is asked for its size no LUN goes.
fault_test_case lun_is_resized_while_another_goes
lun_is_resized_while_another_goes_body()
{
	box_conf "lun.0 = ram:64M"
	daemon_start box
	gw_start 'lun.1 = ram:64M'
	kill -STOP "$(cat box/pid)"
	vmfsctl -c gw/ctl lun resize ${gw} 0 >resized 2>&1 &
	resize=$!
	until_true 20 asked "${portal##*:}" || atf_fail "it is not asked"
	vmfsctl -c gw/ctl lun remove ${gw} 1 >removed 2>&1 &
	remove=$!
	# It must not get far.
	until_true 1 lun_1_is_gone
	kill -CONT "$(cat box/pid)"
	wait ${resize} || atf_fail "$(cat resized gw/err)"
	wait ${remove} || atf_fail "$(cat removed gw/err)"
	lun_1_is_gone || atf_fail "LUN 1 is still there"
	daemon_stop gw
	daemon_stop box
}

# The source's unit attention tells of it, and is taken for an answer.
fault_test_case source_that_was_resized_is_looked_at
source_that_was_resized_is_looked_at_body()
{
	truncate -s 64M a
	box_conf "lun.0 = ${PWD}/a"
	daemon_start box
	gw_start
	for size in 96 128; do
		atf_check -o ignore vmfsctl lun resize ${iqn} 0 ${size}M
		atf_check -o ignore vmfsctl -c gw/ctl lun resize ${gw} 0
		atf_check -o match:"\"size\": *$((size * 1048576))" \
		    vmfsctl -c gw/ctl --json lun info ${gw} 0
	done
	daemon_stop gw
	daemon_stop box
}
