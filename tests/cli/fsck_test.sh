# SPDX-License-Identifier: BSD-2-Clause
# fsck.vmfs: exit status, repairs, and the way back.
. "${VMFS_SRCDIR}/tests/cli/hosts.subr"

make_lun()
{
	truncate -s 256M lun
	atf_check -o ignore -e empty mkfs.vmfs -L ds1 --timers=${timers} lun
}

# damage BLOCK BYTE: something else is written there.
damage()
{
	printf '\377\125' |
	    dd of=lun bs=1 seek=$(($1 * 4096 + $2)) conv=notrunc 2>/dev/null
}

sum()
{
	sha256sum <"$1"
}

atf_test_case exit_status_tells
exit_status_tells_body()
{
	make_lun
	atf_check -s exit:0 -o match:'lun: clean' -e empty fsck.vmfs lun
	cp lun short
	truncate -s 128M short
	atf_check -s exit:8 -o empty -e match:'smaller than the datastore' \
	    fsck.vmfs short
	damage 16 200
	before=$(sum lun)
	atf_check -s exit:4 -o match:'copy 0 .*not fixed' -e empty \
	    fsck.vmfs -n lun
	atf_check_equal "${before}" "$(sum lun)"
	atf_check -s exit:1 -o match:'copy 0 .*\[fixed\]' -e empty \
	    fsck.vmfs -y lun
	atf_check -s exit:0 -o match:clean -e empty fsck.vmfs lun
	atf_check -s exit:16 -o empty -e match:usage fsck.vmfs
	atf_check -s exit:16 -o empty -e match:'goes with -y' \
	    fsck.vmfs --undo u lun
	atf_check -s exit:16 -o empty -e match:'only one of -n, -y and -p' \
	    fsck.vmfs -n -y lun
	atf_check -s exit:16 -o empty -e match:'goes without -n' \
	    fsck.vmfs -n --rollback u lun
	truncate -s 256M nothing
	atf_check -s exit:8 -o empty -e match:"carries no datastore" fsck.vmfs nothing
}

atf_test_case preen_decides_nothing
preen_decides_nothing_body()
{
	make_lun
	before=$(sum lun)
	atf_check -s exit:0 -o match:'lun: clean' -e empty fsck.vmfs -p lun
	atf_check_equal "${before}" "$(sum lun)"
	# A copy of the superblock: there are others.
	damage 16 200
	atf_check -s exit:1 -o match:'copy 0 .*\[fixed\]' -o match:'all rep' \
	    -o not-match:'not fixed' -e empty fsck.vmfs -p lun
	# A cluster: what was free there is a guess.
	damage 768 700
	damage 16 200
	before=$(sum lun)
	atf_check -s exit:4 -o match:'cluster: .*not fixed' \
	    -o match:'copy 0 .*not fixed' -e match:'nothing was repaired' \
	    fsck.vmfs -p lun
	atf_check_equal "${before}" "$(sum lun)"
	atf_check -s exit:4 -o save:out -e ignore fsck.vmfs -p --json lun
	atf_check -o inline:'2\n0\n' jq -r '.found, .fixed' out
	atf_check -s exit:1 -o ignore -e empty fsck.vmfs -y lun
}

atf_test_case json_names_rules_and_blocks
json_names_rules_and_blocks_body()
{
	make_lun
	damage 768 700
	atf_check -s exit:4 -o save:out -e empty fsck.vmfs --json lun
	atf_check -o inline:'cluster\n768\nfalse\n' \
	    jq -r '.findings[0] | .rule, .block, .fixed' out
	atf_check -o inline:'1\n0\n' jq -r '.found, .fixed' out
}

atf_test_case undo_brings_back_every_byte
undo_brings_back_every_byte_body()
{
	make_lun
	damage 16 200
	damage 768 700
	damage 300 4
	before=$(sum lun)
	# While it is a member it tells of the damaged slot, too.
	atf_check -s exit:1 -o ignore -e match:'slot damaged' \
	    fsck.vmfs -y --undo undo lun
	atf_check -o match:clean -e empty fsck.vmfs lun
	atf_check -o match:'rolled back' -e empty \
	    fsck.vmfs --rollback undo lun
	atf_check_equal "${before}" "$(sum lun)"
	atf_check -s exit:4 -o match:'3 problems' -e empty fsck.vmfs lun
}

atf_test_case undo_brings_back_every_byte_of_several_luns
undo_brings_back_every_byte_of_several_luns_body()
{
	truncate -s 64M lun
	truncate -s 128M lun1
	atf_check -o ignore mkfs.vmfs -L ds1 lun "${PWD}/lun1"
	damage 768 700
	# What says that it is an extent, and its first cluster.
	for at in 16 256; do
		printf '\377\377' | dd of=lun1 bs=1 seek=$((at * 4096 + 700)) \
		    conv=notrunc status=none
	done
	before="$(sum lun) $(sum lun1)"
	: >undo.1
	atf_check -s exit:8 -o empty -e match:'undo.1: File exists' \
	    fsck.vmfs -y --undo undo lun
	[ ! -e undo ] || atf_fail "a file is left"
	rm undo.1
	atf_check -s exit:1 -o ignore -e ignore fsck.vmfs -y --undo undo lun
	atf_check -o match:clean -e empty fsck.vmfs lun
	atf_check -o match:'rolled back' -e empty \
	    fsck.vmfs --rollback undo lun "${PWD}/lun1"
	atf_check_equal "${before}" "$(sum lun) $(sum lun1)"
	# All are looked at before one of them is written.
	atf_check -s exit:1 -o ignore -e ignore fsck.vmfs -y --undo u lun
	printf x | dd of=lun1 bs=1 seek=$((256 * 4096 + 700)) conv=notrunc \
	    status=none
	after="$(sum lun) $(sum lun1)"
	atf_check -s exit:8 -o empty -e match:'written since' \
	    fsck.vmfs --rollback u lun
	atf_check_equal "${after}" "$(sum lun) $(sum lun1)"
}

atf_test_case rollback_that_was_cut_short_is_done_again
rollback_that_was_cut_short_is_done_again_body()
{
	make_lun
	damage 16 200
	damage 768 700
	cp lun before
	atf_check -s exit:1 -o ignore -e ignore fsck.vmfs -y --undo undo lun
	# The last that was written is the first that is put back.
	dd if=before of=lun bs=4096 skip=768 seek=768 count=1 conv=notrunc \
	    status=none
	atf_check -o match:'rolled back' -e empty \
	    fsck.vmfs --rollback undo lun
	atf_check cmp before lun
	atf_check -o match:'rolled back' -e empty \
	    fsck.vmfs --rollback undo lun
	atf_check cmp before lun
}

atf_test_case undo_takes_no_file_that_is_there
undo_takes_no_file_that_is_there_body()
{
	make_lun
	damage 16 200
	before=$(sum lun)
	echo mine >undo
	atf_check -s exit:8 -o empty -e match:'undo: File exists' \
	    fsck.vmfs -y --undo undo lun
	atf_check_equal "${before}" "$(sum lun)"
	atf_check -o inline:'mine\n' cat undo
}

atf_test_case rollback_refuses_what_was_written_since
rollback_refuses_what_was_written_since_body()
{
	make_lun
	damage 16 200
	atf_check -s exit:1 -o ignore -e empty \
	    fsck.vmfs -y --undo undo lun
	damage 16 300
	before=$(sum lun)
	atf_check -s exit:8 -o empty -e match:'written since' \
	    fsck.vmfs --rollback undo lun
	truncate -s 512M other
	atf_check -s exit:8 -o empty -e match:'not the LUN' \
	    fsck.vmfs --rollback undo other
	atf_check -s exit:8 -o empty -e match:'lun' \
	    fsck.vmfs --rollback lun lun
	atf_check_equal "${before}" "$(sum lun)"
}

atf_test_case rollback_of_a_run_that_was_cut_short_needs_force
rollback_of_a_run_that_was_cut_short_needs_force_body()
{
	make_lun
	damage 16 200
	before=$(sum lun)
	atf_check -s exit:1 -o ignore -e empty \
	    fsck.vmfs -y --undo undo lun
	# The last record says that the run ended.
	truncate -s -32 undo
	atf_check -s exit:8 -o empty -e match:'add --force' \
	    fsck.vmfs --rollback undo lun
	atf_check -o match:'rolled back' -e empty \
	    fsck.vmfs -f --rollback undo lun
	atf_check_equal "${before}" "$(sum lun)"
}

# cut_short FILE: as a run leaves it that was killed, only what stood there.
cut_short()
{
	_at=4096
	while [ "$(od -An -tu4 -j$((_at + 4)) -N4 "$1" | tr -d ' ')" = 1 ]; do
		_at=$((_at + 32 + $(od -An -tu4 -j$((_at + 16)) -N4 "$1")))
	done
	truncate -s ${_at} "$1"
}

# no_superblock LUN: none of the three is left.
no_superblock()
{
	for _at in $(LC_ALL=C grep -obaP 'VMB1\x01\x00' "$1" | cut -d: -f1); do
		dd if=/dev/zero of="$1" bs=8 seek=$((_at / 8)) count=1 \
		    conv=notrunc status=none
	done
}

# Another LUN of that size has another datastore, or something else.
atf_test_case rollback_by_force_is_of_that_lun_only
rollback_by_force_is_of_that_lun_only_body()
{
	make_lun
	damage 16 200
	before=$(sum lun)
	atf_check -s exit:1 -o ignore -e empty fsck.vmfs -y --undo undo lun
	cut_short undo
	truncate -s 256M other
	cp other empty
	atf_check -s exit:8 -o empty -e match:'no superblock' \
	    fsck.vmfs -f --rollback undo other
	atf_check cmp empty other
	atf_check -o ignore mkfs.vmfs -L other other
	cp other was
	atf_check -s exit:8 -o empty -e match:'not the LUN' \
	    fsck.vmfs -f --rollback undo other
	atf_check cmp was other
	atf_check -o match:'rolled back' -e empty \
	    fsck.vmfs -f --rollback undo lun
	atf_check_equal "${before}" "$(sum lun)"
}

atf_test_case rollback_is_of_all_luns_or_none
rollback_is_of_all_luns_or_none_body()
{
	truncate -s 64M lun
	truncate -s 128M lun1
	atf_check -o ignore mkfs.vmfs -L ds1 lun "${PWD}/lun1"
	damage 768 700
	atf_check -s exit:1 -o ignore -e ignore fsck.vmfs -y --undo undo lun
	no_superblock lun
	before="$(sum lun) $(sum lun1)"
	atf_check -s exit:8 -o empty -e match:'more LUNs than the superblock' \
	    fsck.vmfs --rollback undo lun
	atf_check_equal "${before}" "$(sum lun) $(sum lun1)"
	# One that is of something else is not in the way.
	echo mine >undo.1
	atf_check -o match:'rolled back' fsck.vmfs --rollback undo lun
}

# Where the only journal begins: heads of journals are of type 12.
journal_block()
{
	LC_ALL=C grep -obaP 'VMB1\x0c\x00' lun |
	    awk -F: '$1 % 4096 == 0 { print $1 / 4096; exit }'
}

# fsck is a member of the datastore, too, and must not choose that slot.
atf_test_case journal_of_the_only_slot_is_repaired cleanup
journal_of_the_only_slot_is_repaired_head()
{
	atf_set require.user root
}
journal_of_the_only_slot_is_repaired_body()
{
	make_lun
	printf '[datastore ds1]\nlun = %s\nmount = %s\n' "${PWD}/lun" \
	    "${PWD}/esx1/mnt" | host_conf esx1
	daemon_start esx1
	atf_check touch esx1/mnt/f
	hosts_stop
	journal=$(journal_block)
	damage "${journal}" 80
	damage $((journal + 1)) 80
	for i in 1 2 3; do
		cp lun copy
		atf_check -s exit:1 -o match:'both heads .*\[fixed\]' \
		    -e empty fsck.vmfs -y copy
		atf_check -o match:clean -e empty fsck.vmfs copy
	done
}
journal_of_the_only_slot_is_repaired_cleanup()
{
	hosts_cleanup
}

# Whoever may make files chooses what is in the report.
root_test_case names_of_any_bytes_are_told
names_of_any_bytes_are_told_body()
{
	one_host
	name=$(printf 'a\033[31m\377"\\\302\233\303\244\355\240\200z')
	atf_check touch "esx1/mnt/${name}"
	ino=$(stat -c %i "esx1/mnt/${name}")
	# The text of a finding is cut, within a character of 3 bytes.
	dir=$(printf '\342\202\254%.0s' $(seq 80))
	atf_check mkdir -p "esx1/mnt/${dir}/${dir}"
	atf_check touch "esx1/mnt/${dir}/${dir}/x${dir}"
	deep=$(stat -c %i "esx1/mnt/${dir}/${dir}/x${dir}")
	hosts_stop
	damage "${ino}" 600
	damage "${deep}" 600
	atf_check -s exit:4 -o save:text -e empty fsck.vmfs lun
	atf_check -o match:'inode of /a\?\[31m\?"\\\?ä\?\?\?z ' cat text
	[ -z "$(LC_ALL=C tr -d '\n -~\200-\377' <text)" ] ||
	    atf_fail "control characters"
	atf_check -o match:'/x€€€€\?\?' iconv -f UTF-8 -t UTF-8 text
	atf_check -s exit:4 -o save:json -e empty fsck.vmfs --json lun
	atf_check -o ignore iconv -f UTF-8 -t UTF-8 json
	atf_check -o match:'inode of /a\\u001b\[31m\?\\"\\\\.*z ' cat json
	atf_check -o inline:'2\n' jq -r '.findings[0:2] | length' json
}
# Each reason once, and what to do about it.
atf_test_case lun_that_cannot_be_had_is_named
lun_that_cannot_be_had_is_named_body()
{
	truncate -s 512M lun0 lun1
	atf_check -o ignore mkfs.vmfs lun0 lun1
	mv lun1 away
	atf_check -s exit:8 -e inline:"fsck.vmfs: cannot open 'gone': there is \
no such file or device\n" fsck.vmfs gone
	atf_check -s exit:8 -e inline:"fsck.vmfs: cannot open 'lun1': there is \
no such file or device\n" fsck.vmfs lun0 lun1
	atf_check -s exit:8 -e match:"extent 1 .*lun1.* is missing: No such \
file.*; name its LUN behind the first one$" fsck.vmfs lun0
	truncate -s 512M other
	atf_check -s exit:8 -e match:"'other' is no extent of this datastore$" \
	    fsck.vmfs lun0 other
	atf_check -o ignore fsck.vmfs lun0 away
}

atf_init_test_cases()
{
	atf_add_test_case exit_status_tells
	atf_add_test_case journal_of_the_only_slot_is_repaired
	atf_add_test_case names_of_any_bytes_are_told
	atf_add_test_case preen_decides_nothing
	atf_add_test_case json_names_rules_and_blocks
	atf_add_test_case undo_brings_back_every_byte
	atf_add_test_case undo_brings_back_every_byte_of_several_luns
	atf_add_test_case undo_takes_no_file_that_is_there
	atf_add_test_case rollback_refuses_what_was_written_since
	atf_add_test_case rollback_that_was_cut_short_is_done_again
	atf_add_test_case rollback_of_a_run_that_was_cut_short_needs_force
	atf_add_test_case rollback_by_force_is_of_that_lun_only
	atf_add_test_case rollback_is_of_all_luns_or_none
	atf_add_test_case lun_that_cannot_be_had_is_named
}
