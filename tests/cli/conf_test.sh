# SPDX-License-Identifier: BSD-2-Clause
# vmfsd.conf: what is accepted, what is refused and in which words.

# bad CONFIGURATION MESSAGE: it is refused, nothing is started.  Behind a pipe
# this could not fail a test.
bad()
{
	# shellcheck disable=SC2059
	printf "$1" >conf
	atf_check -s exit:2 -o empty -e match:"$2" vmfsd --config=conf \
	    --pidfile="${PWD}/pid"
	[ ! -e pid ] || atf_fail "vmfsd was started"
}

atf_test_case good_configuration_is_accepted
good_configuration_is_accepted_body()
{
	umask 077
	echo "a secret of more than twelve" >secret
	echo "the other secret is longer" >mutual
	cat >conf <<-EOC
	# everything there is
	[host]
	name = esx1
	dir = ${PWD}/id
	initiator = iqn.2026-11.test:esx1
	membership = corosync
	watchdog = /dev/watchdog
	watchdog-timeout = 60
	guest-threads = 2
	guest-busy-wait = no

	[control]
	socket = ${PWD}/ctl
	[portal]
	listen = 127.0.0.1:0
	listen = [::1]:3260
	sessions = 12
	commands = 64
	login-timeout = 5
	keep-alive = 30
	write-buffers = 512M
	busy-wait = no
	discovery-chap = bob
	discovery-chap-secret-file = ${PWD}/secret
	discovery-mutual = box
	discovery-mutual-secret-file = ${PWD}/mutual
	[target iqn.2026-11.test:box]
	lun.0 = /srv/lun0,thin
	lun.7 = ram:64M , readonly
	alias = the box
	redirect = [fd00::1]:3261
	allow = iqn.2026-11.test:*
	allow = iqn.1999-01.other:one
	chap = bob
	write-log = ${PWD}/writes
	chap-secret-file = ${PWD}/secret
	mutual = box
	mutual-secret-file = ${PWD}/mutual
	[datastore ds1]
	lun = iscsi://127.0.0.1/iqn.2026-11.test:box/0
	mount = ${PWD}/mnt
	extent = /dev/lun1
	options = ro,noauto
	map-cache = 256M
	threads = 8
	io-uring = no
	unmap = 100M
	EOC
	sed -i 's/64M , /64M,/' conf
	atf_check -o match:'1 target\(s\), 1 datastore\(s\)' -e empty \
	    vmfsd --check-config --config=conf
	for section in 'host' 'control' 'portal' 'target iqn.a:b' \
	    'datastore a'; do
		for key in $(keys_of "${section}"); do
			grep -q "^${key}[0-9]* = " conf ||
			    atf_fail "not everything: ${key} is not there"
		done
	done
}

# keys_of SECTION: what vmfsd expects in it, a line each.
keys_of()
{
	printf '[%s]\nno-such-key = 1\n' "$1" >conf.keys
	vmfsd --check-config --config=conf.keys 2>&1 |
	    sed 's/.*; expected //; s/ or /, /; s/, /\n/g'
}

atf_test_case manual_has_the_keys_of_each_section
manual_has_the_keys_of_each_section_body()
{
	for section in 'host' 'control' 'portal' 'target iqn.a:b' \
	    'datastore a'; do
		name=${section%% *}
		awk -v name="[${name}" '
		    /^\.S[sh] / { on = index($2, name) == 1 }
		    on && /^\.It Cm .* No = / { print $3 }' \
		    "${VMFS_SRCDIR}/vmfsd/vmfsd.conf.5" | sort >manual
		grep -q . manual || atf_fail "nothing about [${name}]"
		keys_of "${section}" | sort >keys
		atf_check diff manual keys
	done
}

atf_test_case missing_file_is_named
missing_file_is_named_body()
{
	atf_check -s exit:2 -o empty -e match:"'/nowhere/conf'" \
	    vmfsd --config=/nowhere/conf
}

atf_test_case unknown_words_are_named_with_line
unknown_words_are_named_with_line_body()
{
	bad '[host]\nname = a\n[disks]\n' \
	    "^vmfsd: conf:3: unknown section 'disks'; expected host, cont"
	bad '[host]\nnmae = a\n' \
	    "conf:2: unknown key 'nmae' in \\[host\\]; expected name, .*dir, "
	bad '[datastore ds1]\nlun = /l\nmount = /m\noptions = rw,fast\n' \
	    "conf:4: options: 'fast' is unknown; expected ro, rw or noauto"
}

atf_test_case malformed_lines_are_named
malformed_lines_are_named_body()
{
	bad 'name = a\n' "conf:1: .*before the first \\[SECTION\\]"
	bad '[host]\nname\n' "conf:2: 'name' is neither"
	bad '[host\n' "conf:1: .*lacks the closing"
	bad '[host]\nname =\n' "conf:2: key 'name' has no value"
	bad '[host]\nname = a\nname = b\n' "conf:3: 'name' is given twice"
	bad '[datastore]\n' "conf:1: .*needs a name"
	bad '[host me]\n' "conf:1: .*takes no name"
	bad '[host]\nname = a b\n' "conf:2: host name 'a b': expected"
	bad '[host]\ndir = here\n' "conf:2: .*absolute path"
	bad '[portal]\nlisten = 127.0.0.1:http\n' "conf:2: .*PORT"
	bad '[portal]\nlisten = 10.0.0.1\nlisten = 10.0.0.1:3260,2\n' \
	    "conf:3: .*there already, as '10.0.0.1'"
	bad '[portal]\nsessions = 5000\n' "conf:2: .*1 to 4096"
	bad '[portal]\ncommands = many\n' "conf:2: .*1 to 1024"
	bad '[portal]\nlogin-timeout = 0\n' "conf:2: .*1 to 3600"
	bad '[portal]\nwrite-buffers = 1\n' "conf:2: .*at least 1 MiB"
}

atf_test_case targets_are_checked_as_a_whole
targets_are_checked_as_a_whole_body()
{
	portal='[portal]\nlisten = 127.0.0.1:0\n'
	bad "${portal}"'[target box]\n' "conf:3: .*no iSCSI name"
	bad "${portal}"'[target iqn.a:b]\nallow = *,0=1,0=2\n' \
	    "conf:4: .*'0=2' of .*seen once"
	bad "${portal}"'[target iqn.a:b]\nallow = *,write\n' \
	    "conf:4: .*'write' of .*expected readonly"
	bad "${portal}"'[target iqn.a:b]\nlun.900 = /x\n' \
	    "conf:4: .*lun.0 to lun.255"
	bad "${portal}"'[target iqn.a:b]\nlun.0 = /x,fast\n' \
	    "conf:4: LUN option 'fast' is unknown"
	bad "${portal}"'[target iqn.a:b]\nlun.0 = ram:lots\n' \
	    "conf:4: .*expected ram:SIZE"
	bad "${portal}"'[target iqn.a:b]\nlun.0 = null:1000001\n' \
	    "conf:4: .*expected null:SIZE"
	bad "${portal}"'[target iqn.a:b]\nlun.0 = /x\nlun.0 = /y\n' \
	    "conf:5: lun.0 is already defined in line 4"
	bad '[target iqn.a:b]\nlun.0 = /x\n' \
	    "conf:1: .*cannot be reached; expected a \\[portal\\]"
	bad '[portal]\nlisten = 127.0.0.1:0\ndiscovery-chap = bob\n' \
	    "conf:3: .*discovery-chap and discovery-chap-secret-file go"
	bad "${portal}"'[target iqn.a:b]\nlun.0 = /x\nchap = bob\n' \
	    "conf:3: .*chap and chap-secret-file go together"
}

atf_test_case secrets_must_be_long_and_private
secrets_must_be_long_and_private_body()
{
	start='[portal]\nlisten = 127.0.0.1:0\n[target iqn.a:b]\nlun.0 = /x\n'
	umask 077
	echo short >secret
	bad "${start}lun.1 = /x,group.17=standby\n" \
	    "'group.17=standby': expected group.1 to group.16"
	bad "${start}lun.1 = /x,group.1=off\n" \
	    "'group.1=off': expected group.1 to group.16"
	bad "${start}lun.1 = /x,warn-free=much\n" \
	    "warn-free=much: expected the space"
	bad "${start}lun.1 = /x,thin,pool=1k\n" \
	    "pool=1k: expected what the LUN may take at most"
	bad "${start}lun.1 = /x,warn=101\n" \
	    "warn=101: expected 1 to 100 percent, or off"
	bad "${start}allow = iqn.x,chap=bob\n" \
	    "initiator 'iqn.x': chap and chap-secret-file go together"
	bad "${start}allow = iqn.x,chap=\n" \
	    "'chap=': expected a user or file name"
	bad "${start}allow = iqn.x,chap-secret=x\n" \
	    "'chap-secret=x' of .*: expected readonly"
	bad "${start}chap = bob\nchap-secret-file = secret\n" \
	    "conf:6: .*has 5 characters; expected 12 to 255"
	echo "a secret of more than twelve" >secret
	chmod 644 secret
	bad "${start}chap = bob\nchap-secret-file = secret\n" \
	    "conf:6: .*can be read by others; run chmod 600"
}

atf_test_case datastores_need_lun_and_mount
datastores_need_lun_and_mount_body()
{
	bad '[datastore ds1]\nlun = /l\n' "conf:1: .*no 'mount ='"
	bad '[datastore ds1]\nmount = /m\n' "conf:1: .*no 'lun ='"
	bad '[datastore a]\nlun = /l\nmount = /m\nmap-cache = 10k\n' \
	    "conf:4: map-cache = '10k': expected bytes of memory, 1M"
	bad '[datastore a]\nlun = /l\nmount = /m\n[datastore a]\n' \
	    "conf:4: datastore 'a' is already defined in line 1"
}

atf_test_case usage_errors_exit_2
usage_errors_exit_2_body()
{
	for args in --nope extra --log-level=loud; do
		atf_check -s exit:2 -o empty -e not-empty vmfsd ${args}
	done
	atf_check -s exit:2 -e match:"initiator 'esx1' is no iSCSI name" \
	    vmfsd --check-config --config=/dev/null --initiator=esx1
	atf_check -o match:'^usage: vmfsd' -e empty vmfsd --help
}

atf_test_case vmfsctl_usage
vmfsctl_usage_body()
{
	atf_check -o match:'^usage: vmfsctl' -e empty vmfsctl --help
	atf_check -o match:'disk create DS' -e empty vmfsctl disk create --help
	atf_check -o match:'^  ds mount' -o not-match:'^  disk ' -e empty \
	    vmfsctl ds --help
	atf_check -s exit:2 -e match:'^  ds mount' -e match:'no verb behind' \
	    vmfsctl ds
	for args in "" "ds" "ds fly" "vm ls" "disk create a" "ds ls extra" \
	    "session drop iqn.x notanumber"; do
		# shellcheck disable=SC2086
		atf_check -s exit:2 -o empty -e not-empty vmfsctl ${args}
	done
	atf_check -s exit:2 -e match:"unknown verb 'extent fly'" \
	    vmfsctl ds extent fly
	atf_check -s exit:2 -e match:"no verb behind 'ds extent'" \
	    vmfsctl ds extent
	atf_check -s exit:2 -e match:"unknown verb 'extents'" \
	    vmfsctl ds extents ls
}

# A dry run of what knows none must not be the thing itself.
atf_test_case vmfsctl_options_are_for_commands
vmfsctl_options_are_for_commands_body()
{
	for args in "-n disk rm ds1:/a.vmdk" "disk create ds1:/a 1G --full" \
	    "ds grow ds1 --force" "ds extent rm ds1 1 --force" "ds ls -i 3" \
	    "lun ls --rate=3" "disk ls ds1: --background --defer"; do
		# shellcheck disable=SC2086
		atf_check -s exit:2 -o empty -e match:'has no option' \
		    vmfsctl ${args}
	done
	# And its help has only what it takes.
	atf_check -o match:'--format=FORMAT' -o not-match:'--full ' \
	    vmfsctl disk create --help
	atf_check -o match:'--rate=MIB' vmfsctl ds scrub --help
	# One that it takes goes to the daemon, which is not there.
	atf_check -s exit:1 -e match:'no vmfsd answers' \
	    vmfsctl -c "${PWD}/none" -f ds extent add ds1 /lun
}

atf_test_case vmfsctl_without_daemon
vmfsctl_without_daemon_body()
{
	atf_check -s exit:1 -o empty -e match:"no vmfsd answers on 'ctl'" \
	    vmfsctl --control=ctl ds ls
}

atf_init_test_cases()
{
	atf_add_test_case good_configuration_is_accepted
	atf_add_test_case manual_has_the_keys_of_each_section
	atf_add_test_case missing_file_is_named
	atf_add_test_case unknown_words_are_named_with_line
	atf_add_test_case malformed_lines_are_named
	atf_add_test_case targets_are_checked_as_a_whole
	atf_add_test_case secrets_must_be_long_and_private
	atf_add_test_case datastores_need_lun_and_mount
	atf_add_test_case usage_errors_exit_2
	atf_add_test_case vmfsctl_usage
	atf_add_test_case vmfsctl_options_are_for_commands
	atf_add_test_case vmfsctl_without_daemon
}
