# SPDX-License-Identifier: BSD-2-Clause
# The storage box is changed while initiators use it.
. "${VMFS_SRCDIR}/tests/cli/hosts.subr"

iqn=iqn.2026-11.test:box
me=iqn.2026-11.test:me

# Commands without -c go to the box.
export VMFSD_CONTROL=box/ctl

# box_start: a portal, one target with a LUN, comments as an admin has them.
box_start()
{
	truncate -s 64M a b
	{
		printf '# where we listen\n[portal]\nlisten = 127.0.0.1:0\n\n'
		printf '# our only target\n[target %s]\n' ${iqn}
		printf 'lun.0 = %s,thin\n# ends with b\nallow = %s*\n' \
		    "${PWD}/a" "${me%me}"
	} | host_conf box
	daemon_start box
	portal=$(portal_of box)
}

# box_with_host: a datastore on LUN 0, mounted on esx1.
box_with_host()
{
	truncate -s 512M a
	printf '[portal]\nlisten = 127.0.0.1:0\n[target %s]\n%s\n%s\n' ${iqn} \
	    "lun.0 = ${PWD}/a,thin" "allow = iqn.2026-11.test:*" |
	    host_conf box
	daemon_start box
	portal=$(portal_of box)
	atf_check -o ignore mkfs.vmfs -L ds1 --timers=${timers} \
	    --initiator=iqn.2026-11.test:admin "$(url 0)"
	host_start esx1 "$(url 0)"
}

url()
{
	echo "iscsi://${portal}/${iqn}/$1"
}

luns_seen()
{
	iscsi-ls -s -i "$1" "iscsi://${portal}" | grep -c Lun:
}

luns_are()
{
	_n=$(luns_seen ${me})
	[ "${_n}" = "$1" ] || atf_fail "${_n} LUNs are seen, not $1"
}

# capacity_is LUN BYTES
capacity_is()
{
	_n=$(capacity "$1")
	[ "${_n}" = "$2" ] || atf_fail "LUN $1 has ${_n} bytes, not $2"
}

capacity()
{
	iscsi-readcapacity16 -i ${me} "$(url "$1")" |
	    sed -n 's/.*Total size:\([0-9]*\).*/\1/p'
}

admin_test_case()
{
	root_test_case "$1" \
	    "require.progs 'iscsi-ls iscsi-readcapacity16 jq qemu-io'"
}

admin_test_case changes_are_live_and_in_the_file
changes_are_live_and_in_the_file_body()
{
	box_start
	atf_check vmfsctl lun create ${iqn} 3 "${PWD}/b,readonly"
	atf_check vmfsctl lun create ${iqn} 4 "${PWD}/new,thin" 8M
	atf_check vmfsctl lun create ${iqn} 5 ram:16M
	luns_are 4
	capacity_is 4 8388608
	atf_check vmfsctl target create ${iqn}2
	atf_check vmfsctl acl create ${iqn}2 "${me},7=0:ro"
	atf_check vmfsctl lun create ${iqn}2 0 "${PWD}/b,readonly"
	atf_check vmfsctl lun remove ${iqn} 5
	cat >expected <<-EOF
	# where we listen
	[portal]
	listen = 127.0.0.1:0

	# our only target
	[target ${iqn}]
	lun.0 = ${PWD}/a,thin
	lun.3 = ${PWD}/b,readonly
	lun.4 = ${PWD}/new,thin
	# ends with b
	allow = iqn.2026-11.test:*

	[target ${iqn}2]
	allow = ${me},7=0:ro
	lun.0 = ${PWD}/b,readonly
	EOF
	sed '1,/^socket/d' box/conf >got
	atf_check diff -u expected got
	luns_are 4
	atf_check -o match:'Lun:7' iscsi-ls -s -i ${me} "iscsi://${portal}"
	# The same after a restart.
	host_stop box
	daemon_start box
	portal=$(portal_of box)
	luns_are 4
	host_stop box
}

admin_test_case a_host_works_on_while_luns_come_and_go
a_host_works_on_while_luns_come_and_go_body()
{
	box_with_host
	truncate -s 64M b
	( while [ ! -e stop ]; do
		dd if=/dev/urandom of=esx1/mnt/f bs=64k count=20 conv=fsync \
		    2>>dd.err || { touch failed; break; }
	done ) &
	writer=$!
	for i in 1 2 3 4 5 6; do
		atf_check vmfsctl --force lun create ${iqn} 1 "${PWD}/b"
		atf_check vmfsctl acl create ${iqn} "iqn.other:${i},0=1"
		atf_check vmfsctl target create ${iqn}:${i}
		atf_check vmfsctl --force lun remove ${iqn} 1
		atf_check vmfsctl acl remove ${iqn} iqn.other:${i}
		atf_check vmfsctl target remove ${iqn}:${i}
	done
	touch stop
	wait ${writer}
	[ ! -e failed ] || { cat dd.err; atf_fail "the host got errors"; }
	atf_check -o inline:'ok\n' sh -c \
	    "vmfsctl -c esx1/ctl -H ds ls | cut -f5"
	host_stop esx1
	host_stop box
}

admin_test_case what_is_in_use_stays
what_is_in_use_stays_body()
{
	box_with_host
	cp box/conf before
	# A dry run refuses what the change itself would.
	sed -i '/^lun.0/d; s/^allow = .*/allow = iqn.none:*/' box/conf
	atf_check -s exit:6 -o match:'remove LUN 0.*refused.*in use by' \
	    -o match:'access to .*refused.*in use by' vmfsctl -n reload
	atf_check -s ignore -o match:'remove LUN 0.*to do' \
	    vmfsctl -n --force reload
	cp before box/conf
	atf_check -s exit:4 -e match:'in use by 2 session.*esx1.*--force' \
	    vmfsctl lun remove ${iqn} 0
	atf_check -s exit:4 -e match:'in use' vmfsctl target remove ${iqn}
	atf_check -s exit:4 -e match:'in use' \
	    vmfsctl acl change ${iqn} 'iqn.2026-11.test:*,0=1'
	atf_check -s exit:4 -e match:'in use' \
	    vmfsctl acl remove ${iqn} 'iqn.2026-11.test:*'
	atf_check -s exit:4 -e match:'in use' \
	    vmfsctl lun change ${iqn} 0 "${PWD}/a"
	atf_check cmp before box/conf
	[ ! -e box/conf.new ] || atf_fail "a file was left"
	atf_check touch esx1/mnt/still-works
	# Who withdraws access by force ends sessions; who gives it back finds
	# the host there again.
	atf_check vmfsctl --force acl change ${iqn} 'iqn.2026-11.test:*,0=1'
	until_true 30 eval 'vmfsctl -c esx1/ctl -H ds ls | grep -qv ok' ||
	    atf_fail "the host did not notice"
	atf_check vmfsctl acl change ${iqn} 'iqn.2026-11.test:*'
	atf_check -s exit:3 -e match:'no session' vmfsctl session kill iqn.nobody
	umount -l esx1/mnt
	kill -9 "$(cat esx1/pid)"
	rm -f esx1/pid
	until_true 60 sh -c 'vmfsctl session ls --json |
	    jq -e ".sessions == []"' || atf_fail "the sessions did not end"
	atf_check vmfsctl target remove ${iqn}
	host_stop box
}

admin_test_case a_lun_grows_and_does_not_shrink
a_lun_grows_and_does_not_shrink_body()
{
	box_start
	atf_check vmfsctl lun resize ${iqn} 0 96M
	capacity_is 0 100663296
	atf_check -s exit:2 -e match:'what shrinks loses data' \
	    vmfsctl lun resize ${iqn} 0 32M
	atf_check -o inline:'100663296\n' stat -c %s a
	truncate -s 128M a
	atf_check vmfsctl lun resize ${iqn} 0
	capacity_is 0 134217728
	atf_check vmfsctl lun create ${iqn} 1 ram:16M
	atf_check -s exit:2 -e match:'LUN of memory keeps its size' \
	    vmfsctl lun resize ${iqn} 1 32M
	atf_check -s exit:3 -e match:'no LUN 9' vmfsctl lun resize ${iqn} 9 32M
	host_stop box
}

admin_test_case refusals_change_nothing
refusals_change_nothing_body()
{
	box_start
	cp box/conf before
	atf_check -s exit:3 -e match:"cannot open '.*/none'" \
	    vmfsctl lun create ${iqn} 1 "${PWD}/none"
	atf_check -s exit:1 -e match:'already defined' \
	    vmfsctl lun create ${iqn} 0 "${PWD}/b"
	atf_check -s exit:1 -e match:'exists' \
	    vmfsctl lun create ${iqn} 1 "${PWD}/b" 8M
	ln -s a link
	atf_check -s exit:4 -e match:'is LUN 0 of .* with other options' \
	    vmfsctl lun create ${iqn} 1 "${PWD}/link"
	atf_check -s exit:1 -e match:'has an allow line already' \
	    vmfsctl acl create ${iqn} "${me%me}*,readonly"
	atf_check -s exit:2 -e match:'expected an address in numbers' \
	    vmfsctl portal create nowhere
	atf_check -s exit:1 -e match:'no interface .* has that address' \
	    vmfsctl portal create 192.0.2.1
	atf_check -s exit:3 -e match:"no target 'iqn.no' in" \
	    vmfsctl lun create iqn.no 1 "${PWD}/b"
	atf_check -s exit:2 -e match:"'ram:64M': only a file" \
	    vmfsctl lun create ${iqn} 1 ram:64M,thin 8M
	atf_check -s exit:3 -e match:"no target '${iqn}' with LUN 1" \
	    vmfsctl lun remove ${iqn} 1
	# Who mistypes what is to be changed does not make something new.
	atf_check -s exit:3 -e match:"no target '${iqn}' with LUN 1" \
	    vmfsctl lun change ${iqn} 1 "${PWD}/b"
	atf_check -s exit:3 -e match:"'${iqn}' that allows 'iqn.typo'" \
	    vmfsctl acl change ${iqn} iqn.typo,readonly
	atf_check -s exit:1 -e match:'exists already' \
	    vmfsctl target create ${iqn}
	for name in x 'iqn.a b' 'iqn.a]' 'iqn.a,b'; do
		atf_check -s exit:1 -e match:'is no iSCSI name' \
		    vmfsctl target create "${name}"
	done
	for there in 10.0.0.2:99999 10.0.0.2,1; do
		atf_check -s exit:1 -e match:"'${there}': expected ADDRESS" \
		    vmfsctl target change ${iqn} redirect=${there}
	done
	atf_check -s exit:1 -e match:'expected readonly' \
	    vmfsctl acl create ${iqn} 'iqn.x,write'
	atf_check -s exit:2 -e match:"'esx1' is no initiator's name" \
	    vmfsctl acl create ${iqn} esx1,readonly
	atf_check -s exit:1 -e match:'chap-secret-file go together' \
	    vmfsctl target change ${iqn} chap=bob
	atf_check -s exit:4 -e match:'write-log .* start vmfsd again' \
	    vmfsctl target change ${iqn} "write-log=${PWD}/log"
	atf_check -s exit:2 -e match:'have commands of their own' \
	    vmfsctl target change ${iqn} allow=iqn.x
	atf_check -s exit:2 -e match:'have commands of their own' \
	    vmfsctl portal change listen=127.0.0.1
	atf_check -s exit:1 -e match:'expected 1 to 4096' \
	    vmfsctl portal change sessions=0
	atf_check -s exit:4 -e match:'busy-wait .* start vmfsd again' \
	    vmfsctl portal change busy-wait=no
	atf_check -s exit:2 -e match:'control character' \
	    vmfsctl target change ${iqn} 'redirect=box2
	lun.9 = /etc/shadow'
	atf_check -s exit:2 -e match:'control character' \
	    vmfsctl acl create ${iqn} 'iqn.x
	lun.9 = /etc/shadow'
	atf_check -s exit:1 -e match:'cannot be reached' \
	    vmfsctl portal remove 127.0.0.1:0
	atf_check cmp before box/conf
	[ ! -e box/conf.new ] || atf_fail "a file was left"
	luns_are 1
	host_stop box
}

admin_test_case secrets_and_portals_change_live
secrets_and_portals_change_live_body()
{
	box_start
	(umask 077 && echo 'a secret of twelve and more' >secret)
	atf_check vmfsctl target change ${iqn} chap=bob \
	    "chap-secret-file=${PWD}/secret"
	atf_check -o match:'bob' vmfsctl acl ls
	iscsi-readcapacity16 -i ${me} "$(url 0)" &&
	    atf_fail "logged in without a secret"
	atf_check vmfsctl target change ${iqn} chap= chap-secret-file=
	capacity_is 0 67108864
	atf_check vmfsctl portal create '[::1]:0'
	v6=$(vmfsctl portal ls --json |
	    jq -r '.portals[] | select(.portal == "[::1]:0").address')
	atf_check -o match:'Total size:67108864' iscsi-readcapacity16 \
	    -i ${me} "iscsi://${v6}/${iqn}/0"
	atf_check vmfsctl portal remove 127.0.0.1:0
	iscsi-readcapacity16 -i ${me} "$(url 0)" &&
	    atf_fail "the portal still answers"
	atf_check -o inline:'1\n' sh -c \
	    "vmfsctl portal ls --json | jq '.portals | length'"
	host_stop box
}

# hold [LUN]: a session that stays until file descriptor 8 is closed.
hold()
{
	rm -f cmds
	mkfifo cmds
	qemu-io --image-opts "driver=iscsi,transport=tcp,portal=${portal},\
target=${iqn},lun=${1:-0},initiator-name=${me}" <cmds >qemu.out 2>&1 &
	exec 8>cmds
	until_true 30 sessions_are 1 || atf_fail "qemu-io did not log in"
}

sessions_are()
{
	vmfsctl session ls --json | jq -e ".sessions | length == $1"
}

admin_test_case limits_and_discovery_secrets_change_live
limits_and_discovery_secrets_change_live_body()
{
	box_start
	(umask 077 && echo 'a secret of twelve and more' >secret)
	hold
	atf_check vmfsctl portal change sessions=1 keep-alive=7
	atf_check -o inline:'1 7\n' sh -c "vmfsctl portal ls --json |
	    jq -r '.limits | \"\(.sessions) \(.[\"keep-alive\"])\"'"
	atf_check -o inline:'true\n' sh -c "vmfsctl portal ls --json |
	    jq '.limits[\"busy-wait\"]'"
	atf_check -o inline:'listen = 127.0.0.1:0\nsessions = 1\nkeep-alive = 7\n' \
	    sed -n '/^listen/,/^keep/p' box/conf
	iscsi-readcapacity16 -i ${me} "$(url 0)" &&
	    atf_fail "a second session was let in"
	atf_check vmfsctl portal change sessions= keep-alive=
	capacity_is 0 67108864
	luns_are 1
	atf_check vmfsctl portal change discovery-chap=bob \
	    "discovery-chap-secret-file=${PWD}/secret"
	atf_check -o inline:'"bob"\n' sh -c "vmfsctl portal ls --json |
	    jq '.limits[\"discovery-chap\"]'"
	iscsi-ls -i ${me} "iscsi://${portal}" &&
	    atf_fail "discovery without a secret"
	atf_check vmfsctl portal change discovery-chap= \
	    discovery-chap-secret-file=
	luns_are 1
	# By hand.
	sed -i 's/^listen.*/&\nsessions = 1/' box/conf
	atf_check -o match:'settings of .portal.' vmfsctl reload
	iscsi-readcapacity16 -i ${me} "$(url 0)" &&
	    atf_fail "a second session was let in"
	sessions_are 1 >/dev/null || atf_fail "the first did not stay"
	exec 8>&-
	host_stop box
}

# logs_in USER SECRET [INITIATOR]
logs_in()
{
	iscsi-readcapacity16 -i "${3:-${me}}" \
	    "iscsi://$1%$2@${portal}/${iqn}/0" >/dev/null 2>&1
}

admin_test_case each_initiator_has_a_secret_of_its_own
each_initiator_has_a_secret_of_its_own_body()
{
	box_start
	umask 077
	echo secret-of-bob >bob
	echo secret-of-everybody >all
	atf_check vmfsctl target change ${iqn} chap=all \
	    "chap-secret-file=${PWD}/all"
	atf_check vmfsctl acl create ${iqn} \
	    "${me},0=0:ro,chap=bob,chap-secret-file=${PWD}/bob"
	logs_in bob secret-of-bob || atf_fail "bob cannot log in"
	logs_in all secret-of-everybody && atf_fail "bob needs no own secret"
	logs_in all secret-of-everybody ${me}too ||
	    atf_fail "others cannot log in"
	logs_in bob secret-of-bob ${me}too && atf_fail "bob's is good for all"
	vmfsctl --json acl ls >acl
	atf_check -o inline:'bob 0=0:ro\n' jq -r \
	    ".acl[] | select(.initiator == \"${me}\") |
	    .chap + \" \" + .sees" acl
	atf_check -s exit:1 -o ignore grep -q secret-of acl
	# What stands in the file counts after a reload.
	echo another-for-bob >bob
	logs_in bob secret-of-bob || atf_fail "changed too early"
	atf_check -o match:'access to target' vmfsctl reload
	logs_in bob another-for-bob || atf_fail "the new one is refused"
	logs_in bob secret-of-bob && atf_fail "the old one is good still"
	chmod 644 bob
	atf_check -s exit:1 -e match:'can be read by others' vmfsctl reload
	chmod 600 bob
	chown 1 bob
	atf_check -s exit:1 -e match:'belongs to user 1.*chown root' \
	    vmfsctl reload
	host_stop box
}

# scsi CDB [DATA-OUT]: to LUN ${on}, 0 by default
scsi()
{
	"${VMFS_BUILDDIR}/tests/interop/scsi_cmd" ${bytes:+-r ${bytes}} \
	    -i ${me} "$(url "${on:-0}")" "$@"
}

# scsi_is RESULT CDB
scsi_is()
{
	_is=$(scsi "$2")
	[ "${_is}" = "$1" ] || atf_fail "$2 ends with ${_is}, not $1"
}

# info_is LUN JQ VALUE: of vmfsctl lun info
info_is()
{
	_is=$(vmfsctl lun info ${iqn} "$1" --json | jq -r ".info$2")
	[ "${_is}" = "$3" ] || atf_fail "$2 of LUN $1 is ${_is}, not $3"
}

# states_are STATE...: access states of the groups, as initiators see them.
states_are()
{
	_now=$(bytes=64 scsi a30a00000000000000400000 | tail -c +10 |
	    od -An -v -tu1 -w12 | awk '{ printf("%s%d", n++ ? " " : "", $1) }')
	[ "${_now}" = "$*" ] || atf_fail "access states are ${_now}, not $*"
}

# Soft threshold of the current (0) or saved (3) values, MiB available.
threshold()
{
	_page=$(printf %02x $(($1 * 64 + 28)))
	bytes=32 scsi 5a08${_page}02000000002000 | tail -c 4 |
	    od -An -v -tu4 --endian=big | tr -d ' '
}

# select_threshold SP MIB
select_threshold()
{
	[ "$(scsi "551${1}0000000000002000" 00000000000000005c020014$(
	    printf '%024d' 0)80010000$(printf %08x "$2"))" = GOOD ] ||
	    atf_fail "MODE SELECT was refused"
}

line_has()
{
	until_true 30 grep -q "^lun.0 = .*,thin$1\$" box/conf ||
	    atf_fail "$(grep '^lun.0' box/conf) does not end with $1"
}

admin_test_case what_initiators_set_is_there_after_a_restart
what_initiators_set_is_there_after_a_restart_body()
{
	box_start
	atf_check vmfsctl portal create '127.0.0.1:0,2'
	states_are 0 0
	# SET TARGET PORT GROUPS: 2 is standby.
	[ "$(scsi a40a00000000000000080000 0000000002000002)" = GOOD ] ||
	    atf_fail "the state was not set"
	line_has ,group.2=standby
	select_threshold 1 1234
	line_has ,group.2=standby,warn-free=1234M
	# Not to be saved.
	select_threshold 0 999
	[ "$(threshold 0) $(threshold 3)" = "999 1234" ] ||
	    atf_fail "thresholds are $(threshold 0) $(threshold 3)"
	atf_check vmfsctl lun access ${iqn} 0 1 non-optimized
	line_has ,group.1=non-optimized,group.2=standby,warn-free=1234M
	states_are 1 2
	host_kill box
	daemon_start box
	portal=$(portal_of box)
	states_are 1 2
	[ "$(threshold 0) $(threshold 3)" = "1234 1234" ] ||
	    atf_fail "thresholds are $(threshold 0) $(threshold 3)"
	# By hand, while an initiator is logged in.
	hold
	sed -i 's/,group.*/,group.1=unavailable,warn=off/' box/conf
	atf_check -o match:'settings of LUN 0' vmfsctl reload
	exec 8>&-
	atf_check vmfsctl lun access ${iqn} 0 1 optimized
	line_has ,warn=off
	states_are 0 0
	host_stop box
}

admin_test_case a_removable_lun_can_be_ejected
a_removable_lun_can_be_ejected_body()
{
	box_start
	atf_check vmfsctl lun create ${iqn} 1 "${PWD}/b,thin,removable"
	on=1
	[ "$(bytes=36 scsi 120000002400 | tail -c +6 | od -An -tx1 -N2)" = \
	    " 00 80" ] || atf_fail "INQUIRY does not say that it is removable"
	info_is 1 .status ok
	scsi_is GOOD 1b0000000200
	scsi_is '02/3a/00' 000000000000
	info_is 1 .status ejected
	atf_check -o match:'	ejected$' vmfsctl -H lun ls
	scsi_is GOOD 1b0000000300
	scsi_is GOOD 000000000000
	info_is 1 .status ok
	# LUN 0 is a disk that stays where it is.
	on=0
	scsi_is '05/24/00' 1b0000000200
	host_stop box
}

admin_test_case blocks_can_be_larger_than_those_of_the_source
blocks_can_be_larger_than_those_of_the_source_body()
{
	box_start
	atf_check -s exit:1 -e match:'expected block-size=512 or' \
	    vmfsctl lun create ${iqn} 1 "${PWD}/b,block-size=1024"
	atf_check vmfsctl lun create ${iqn} 1 "${PWD}/b,thin,block-size=4096"
	capacity_is 1 67108864
	on=1
	# READ CAPACITY(10): last block, and bytes of one.
	[ "$(bytes=8 scsi 25000000000000000000 | tail -c 8 |
	    od -An -v -tu4 --endian=big | tr -s ' ')" = " 16383 4096" ] ||
	    atf_fail "the blocks are not of 4096 bytes"
	info_is 1 .block_size 4096
	info_is 0 .block_size 512
	qemu_io 1 'write -P 5 1M 64k'
	tail -c +1048577 b | head -c 65536 | tr -d '\005' | cmp - /dev/null ||
	    atf_fail "block 256 is not where it belongs"
	# Another box takes that LUN for a source: its blocks are as they are.
	atf_check -s exit:2 -e match:'has blocks of 4096 bytes.*leave' \
	    vmfsctl lun create ${iqn} 2 "$(url 1),block-size=512"
	host_stop box
}

admin_test_case a_target_has_as_many_luns_as_there_are_numbers
a_target_has_as_many_luns_as_there_are_numbers_body()
{
	{
		printf '[portal]\nlisten = 127.0.0.1:0\n[target %s]\n' ${iqn}
		for i in $(seq 0 254); do
			printf 'lun.%d = ram:1M\nallow = %s:%d\n' "$i" "${me}" "$i"
		done
		printf 'allow = %s\n' ${me}
		for i in $(seq 1 99); do
			printf '[target %s:%d]\nallow = %s\n' ${iqn} "$i" ${me}
		done
	} | host_conf box
	daemon_start box
	portal=$(portal_of box)
	atf_check vmfsctl lun create ${iqn} 255 ram:2M
	capacity_is 255 2097152
	atf_check -s exit:1 -o ignore -e match:'already defined' \
	    vmfsctl lun create ${iqn} 255 ram:2M
	atf_check vmfsctl target create ${iqn}:100
	atf_check vmfsctl acl create ${iqn}:100 "${me}"
	atf_check -o inline:'101\n' sh -c \
	    "iscsi-ls -i ${me} iscsi://${portal} | grep -c ^Target:"
	atf_check vmfsctl lun remove ${iqn} 7
	atf_check -o inline:'255\n' sh -c "vmfsctl -H lun ls | wc -l"
	host_stop box
}

admin_test_case a_pool_is_full_until_it_is_made_larger
a_pool_is_full_until_it_is_made_larger_body()
{
	box_start
	truncate -s 64M c
	atf_check -s exit:2 -e match:'pool= is for thin LUNs' \
	    vmfsctl lun create ${iqn} 1 "${PWD}/c,pool=8M"
	atf_check vmfsctl lun create ${iqn} 1 "${PWD}/c,thin,pool=9M,warn=off"
	qemu_io 1 'write -P 5 0 8M'
	atf_check -s exit:1 -o ignore -e match:'No space|failed' qemu-io \
	    --image-opts -c 'write -P 6 32M 2M' "driver=iscsi,transport=tcp,\
portal=${portal},target=${iqn},lun=1,initiator-name=${me}"
	qemu_io 1 'write -P 7 1M 1M'
	hold 1
	atf_check vmfsctl lun change ${iqn} 1 "${PWD}/c,thin,pool=20M,warn=off"
	exec 8>&-
	qemu_io 1 'write -P 6 32M 2M'
	qemu_io 1 'read -P 7 1M 1M'
	host_stop box
}

admin_test_case a_virtual_disk_has_the_pool_of_its_datastore
a_virtual_disk_has_the_pool_of_its_datastore_body()
{
	lun_make store
	{
		printf '[portal]\nlisten = 127.0.0.1:0\n'
		printf '[target %s]\nallow = *\n' ${iqn}
		printf '[datastore ds1]\nlun = %s\nmount = %s\n' \
		    "${PWD}/store" "${PWD}/box/mnt"
	} | host_conf box
	daemon_start box
	portal=$(portal_of box)
	atf_check vmfsctl disk create ds1:/vm.vmdk 64M
	lun=vdisk:ds1:/vm.vmdk
	atf_check -s exit:2 -e match:'add thin, or leave pool= out' \
	    vmfsctl lun create ${iqn} 0 ${lun},pool=8M
	atf_check -s exit:2 -e match:'this LUN is as large as it is' \
	    vmfsctl lun create ${iqn} 0 null:64M,thin,pool=8M
	atf_check vmfsctl lun create ${iqn} 0 ${lun},thin,pool=8M,warn=off
	qemu_io 0 'write -P 5 0 8M'
	atf_check -s exit:1 -o ignore -e match:'No space|failed' qemu-io \
	    --image-opts -c 'write -P 6 32M 2M' "driver=iscsi,transport=tcp,\
portal=${portal},target=${iqn},lun=0,initiator-name=${me}"
	qemu_io 0 'write -P 7 1M 1M'
	# Without it the datastore is the pool, and thresholds count in that.
	free=$(vmfsctl ds info --json ds1 | jq -e .datastore.free)
	atf_check vmfsctl lun change ${iqn} 0 \
	    ${lun},thin,warn-free=$((free / 1048576 - 16))M
	until_true 60 full_after_a_write || atf_fail "nobody is told"
	atf_check vmfsctl lun change ${iqn} 0 ${lun},thin,warn=off
	qemu_io 0 'read -P 7 1M 1M'
	host_stop box
}

# 4 MiB more of LUN 0 are written, at last over and over.  QEMU takes the unit
# attention for an error.
full_after_a_write()
{
	at=$((${at:-8} < 60 ? ${at:-8} + 4 : 60))
	qemu-io --image-opts -c "write -P 6 ${at}M 4M" "driver=iscsi,\
transport=tcp,portal=${portal},target=${iqn},lun=0,initiator-name=${me}"
	grep 'scsi: pool gets full' box/log
}

admin_test_case a_file_changed_by_hand_is_read_again
a_file_changed_by_hand_is_read_again_body()
{
	box_start
	cp box/conf before
	{
		sed -e "s|${PWD}/a,thin|${PWD}/a,readonly|" \
		    -e 's/^name = box/name = crate/' before
		printf 'lun.1 = %s\nlun.2 = %s\n' "${PWD}/b" "${PWD}/none"
		printf '[datastore new]\nlun = /n\nmount = /mnt/n\n'
	} >box/conf
	atf_check -s exit:4 -e match:'changed since it was read' \
	    vmfsctl lun create ${iqn} 7 ram:8M
	atf_check -s exit:6 -o match:'change LUN 0 .*to do' \
	    -o match:'add LUN 1.*to do' \
	    -o match:'host.* refused .*start vmfsd again' \
	    -o match:'add .datastore new.*refused .*mount.vmfs LUN' \
	    vmfsctl --dry-run reload
	luns_are 1
	atf_check -s exit:6 -o match:'change LUN 0 of .* done' \
	    -o match:'add LUN 1 of .* done' \
	    -o match:"add LUN 2 of .* refused .*cannot open '.*/none'" \
	    -o match:'host.* refused .*start vmfsd again' vmfsctl reload
	luns_are 2
	# What was refused is said again, and is no obstacle.
	atf_check -s exit:6 -o not-match:'LUN 1' -o match:'LUN 2' vmfsctl reload
	echo nonsense >>box/conf
	atf_check -s exit:1 -e match:"conf:[0-9]*: 'nonsense' is neither" \
	    vmfsctl reload
	cp before box/conf
	kill -HUP "$(cat box/pid)"
	until_true 20 eval '[ "$(luns_seen ${me})" = 1 ]' ||
	    atf_fail "SIGHUP was not heard"
	host_stop box
}

admin_test_case luns_and_sessions_tell_what_they_do
luns_and_sessions_tell_what_they_do_body()
{
	box_start
	atf_check -o match:'^TARGET .*READ/S' vmfsctl -i 0 lun stats
	atf_check -o inline:'0\n' sh -c \
	    "vmfsctl -i 0 --json lun stats | jq '.stats[0].write_bytes'"
	atf_check -o match:'wrote 1048576/1048576' qemu-io --image-opts \
	    -c 'write -P 7 0 1M' -c 'read -P 7 0 512k' "driver=iscsi,\
transport=tcp,portal=${portal},target=${iqn},lun=0,initiator-name=${me}"
	vmfsctl -i 0 --json lun stats >stats
	atf_check -o inline:'true\n' jq '.stats[0] | .write_bytes >= 1048576 and
	    .other > 0 and (.write_latency | add) == .writes and
	    (.read_latency | add) == .reads' stats
	atf_check -o inline:'[]\n' sh -c \
	    "vmfsctl -i 0 --json session stats | jq -c .stats"
	host_stop box
}

admin_test_case a_session_and_a_target_say_who_they_are
a_session_and_a_target_say_who_they_are_body()
{
	box_start
	atf_check vmfsctl target change ${iqn} 'alias=the box of the tests'
	atf_check -o match:'	the box of the tests$' vmfsctl -H target ls
	hold
	tsih=$(vmfsctl -H session ls | cut -f1)
	vmfsctl --json session info "${tsih}" >info
	atf_check -o inline:"${me} ${portal} 1 none 1 128\n" jq -r '.session |
	    [.initiator, .portal, .group, .chap, .max_r2t, .window] |
	    join(" ")' info
	atf_check -o match:'^isid  *0x[0-9a-f]{12}$' \
	    vmfsctl session info "${tsih}"
	atf_check -s exit:3 -e match:'no session 4711; see' \
	    vmfsctl session info 4711
	atf_check -s exit:3 -e match:"no LUN 9 in target" \
	    vmfsctl lun info ${iqn} 9
	exec 8>&-
	host_stop box
}

# Where libiscsi goes, hosts go: log out, log in, find the other address.
admin_test_case a_host_moves_when_it_is_asked_to
a_host_moves_when_it_is_asked_to_body()
{
	box_start
	printf '[portal]\nlisten = 127.0.0.1:0\n[target %s]\n%s\n%s\n' ${iqn} \
	    "lun.0 = ${PWD}/a,thin" "allow = ${me%me}*" | host_conf box2
	daemon_start box2
	portal2=$(portal_of box2)
	atf_check -s exit:3 -e match:'no session' \
	    vmfsctl session logout 'iqn.2026-11.test:*'
	atf_check -s exit:2 -e match:'1 to 30 seconds by --for' \
	    vmfsctl session logout --for=31 ${me}
	hold
	echo 'write -P 5 0 1M' >&8
	until_true 30 grep -q wrote qemu.out || atf_fail "$(cat qemu.out)"
	# From here on a host that logs in goes to the other box.
	atf_check vmfsctl target change ${iqn} "redirect=${portal2}"
	atf_check -o match:"	${portal2}	" vmfsctl -H target ls
	sessions_are 1 >/dev/null || atf_fail "the session did not stay"
	atf_check vmfsctl session logout --for=30 'iqn.2026-11.test:*'
	sessions_are 0 >/dev/null || atf_fail "the session did not go"
	if grep -q 'did not log out' box/log; then
		atf_fail "it was dropped"
	fi
	echo 'read -P 5 0 1M' >&8
	until_true 30 grep -q 'read 1048576' qemu.out ||
	    atf_fail "$(cat qemu.out)"
	atf_check -o inline:'1\n' sh -c "vmfsctl -c box2/ctl session ls --json |
	    jq '.sessions | length'"
	exec 8>&-
	host_stop box2
	host_stop box
}

# I/O of an initiator: qemu_io LUN COMMAND; qemu_ro: only reads.
qemu_io()
{
	atf_check -o ignore qemu-io ${ro:-} --image-opts -c "$2" \
	    "driver=iscsi,transport=tcp,portal=${portal},target=${iqn},\
lun=$1,initiator-name=${me}"
}

qemu_ro()
{
	ro=-r qemu_io "$@"
}

admin_test_case virtual_disks_are_luns_while_mounted
virtual_disks_are_luns_while_mounted_body()
{
	lun_make store
	{
		printf '[portal]\nlisten = 127.0.0.1:0\n'
		printf '[target %s]\nallow = *\n' ${iqn}
		printf 'lun.0 = vdisk:ds1:/vm.vmdk,thin\nlun.1 = ram:8M\n'
		printf '[datastore ds1]\nlun = %s\nmount = %s\n' \
		    "${PWD}/store" "${PWD}/box/mnt"
	} | host_conf box
	daemon_start box
	portal=$(portal_of box)
	luns_are 1
	info_is 0 .status 'waits for its disk'
	atf_check vmfsctl disk create ds1:/vm.vmdk 64M
	# Tried again by reload, and with the next mount.
	atf_check -o ignore vmfsctl --dry-run reload
	luns_are 1
	atf_check -o ignore vmfsctl reload
	luns_are 2
	atf_check vmfsctl ds unmount ds1
	luns_are 1
	atf_check vmfsctl ds mount ds1
	luns_are 2
	# It is not unmounted after all.
	exec 8>box/mnt/file
	atf_check -s exit:4 -e match:'files are open' vmfsctl ds unmount ds1
	luns_are 2
	exec 8>&-
	info_is 0 .status ok
	capacity_is 0 67108864
	qemu_io 0 'write -P 5 0 1M'
	qemu_io 0 'read -P 5 0 1M'
	qemu_io 0 'read -P 0 1M 1M'
	atf_check vmfsctl disk snapshot ds1:/vm.vmdk before
	qemu_io 0 'write -P 6 0 1M'
	atf_check -s exit:1 -e match:'is a snapshot: add readonly' \
	    vmfsctl lun create ${iqn} 2 vdisk:ds1:/vm.vmdk@before
	atf_check vmfsctl lun create ${iqn} 2 \
	    vdisk:ds1:/vm.vmdk@before,readonly
	qemu_io 0 'read -P 6 0 1M'
	qemu_ro 2 'read -P 5 0 1M'
	atf_check -s exit:3 -e match:'no such file' \
	    vmfsctl lun create ${iqn} 3 vdisk:ds1:/none.vmdk
	atf_check -s exit:1 -o match:'Pattern verification failed' -e ignore \
	    qemu-io -r --image-opts -c 'read -P 6 0 1M' \
	    "driver=iscsi,transport=tcp,portal=${portal},target=${iqn},\
lun=2,initiator-name=${me}"
	# Not below somebody's feet.
	hold
	atf_check -s exit:4 -e match:'vm.vmdk. is LUN 0 of .* session.* use' \
	    vmfsctl ds unmount ds1
	luns_are 3
	exec 8>&-
	until_true 30 sh -c 'vmfsctl session ls --json |
	    jq -e ".sessions == []"' || atf_fail "qemu-io did not end"
	atf_check vmfsctl ds unmount ds1
	luns_are 1
	atf_check vmfsctl lun remove ${iqn} 2
	host_stop box
	# At the next start the datastore comes after the target.
	daemon_start box
	portal=$(portal_of box)
	luns_are 2
	qemu_io 0 'read -P 6 0 1M'
	host_stop box
}
