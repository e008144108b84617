# SPDX-License-Identifier: BSD-2-Clause
# Encrypted disks and the key files of hosts.
. "${VMFS_SRCDIR}/tests/cli/hosts.subr"

text="the quick brown fox keeps its secret"

# key_make HOST NAME
key_make()
{
	mkdir -p "$1/id/keys"
	(umask 077 && head -c 32 /dev/urandom >"$1/id/keys/$2")
}

two_hosts()
{
	hosts_up esx1 esx2
	export VMFSD_CONTROL="${PWD}/esx1/ctl"
}

# And a disk under the first of them.
host_with_two_keys()
{
	one_host
	key_make esx1 old
	key_make esx1 new
	atf_check vmfsctl disk create ds1:/web.vmdk 64M --key=old
}

# put DISK: the text into it, many times.
put()
{
	yes "${text}" | head -c 1M | dd of="esx1/mnt/$1-flat.vmdk" bs=1M \
	    conv=notrunc,fsync status=none || atf_fail "cannot write $1"
}

# holds HOST DISK
holds()
{
	yes "${text}" | head -c 1M | cmp -n 1048576 - "$1/mnt/$2-flat.vmdk"
}

root_test_case content_is_hidden_from_the_lun
content_is_hidden_from_the_lun_body()
{
	two_hosts
	key_make esx1 tenant
	atf_check vmfsctl disk create ds1:/web.vmdk 64M --key=tenant
	atf_check -o match:'encryption +aes-256-xts' -o match:'key +tenant' \
	    -o match:'key id +[0-9a-f]{32}$' vmfsctl disk info ds1:/web.vmdk
	put web
	holds esx1 web || atf_fail "it does not read as written"
	atf_check vmfsctl disk snapshot ds1:/web.vmdk s1
	atf_check -o ignore vmfsctl disk clone ds1:/web.vmdk@s1 ds1:/two.vmdk
	atf_check -o ignore -e ignore vmfsctl disk clone --full ds1:/web.vmdk@s1 \
	    ds1:/three.vmdk
	holds esx1 two || atf_fail "the clone reads otherwise"
	holds esx1 three || atf_fail "the full clone reads otherwise"
	sync
	atf_check -s exit:1 grep -qaF "${text}" lun
	atf_check -o ignore -e ignore vmfsctl disk clone --full --key=none \
	    ds1:/web.vmdk ds1:/open.vmdk
	atf_check -o match:'encryption +none' vmfsctl disk info ds1:/open.vmdk
	holds esx1 open || atf_fail "the clear copy reads otherwise"
	sync
	atf_check grep -qaF "${text}" lun
	hosts_stop
}

root_test_case host_without_the_key_is_refused
host_without_the_key_is_refused_body()
{
	two_hosts
	key_make esx1 tenant
	atf_check vmfsctl disk create ds1:/web.vmdk 64M --key=tenant
	put web
	atf_check -s exit:1 -e match:'Required key not available' \
	    cat esx2/mnt/web-flat.vmdk
	atf_check -o match:'open.* of web-flat.vmdk refused: it is encrypted' \
	    cat esx2/log
	atf_check -s exit:1 -e match:'encrypted, and its key is not in .*/esx2' \
	    vmfsctl -c esx2/ctl disk export ds1:/web.vmdk "${PWD}/out"
	atf_check -o match:'encryption +aes-256-xts' -o not-match:'tenant' \
	    vmfsctl -c esx2/ctl disk info ds1:/web.vmdk
	mkdir -p esx2/id/keys
	cp -p esx1/id/keys/tenant esx2/id/keys/other-name
	holds esx2 web || atf_fail "with the key it reads otherwise"
	atf_check -o match:'key +other-name' vmfsctl -c esx2/ctl disk info \
	    ds1:/web.vmdk
	hosts_stop
}

root_test_case rekey_needs_no_copy
rekey_needs_no_copy_body()
{
	host_with_two_keys
	put web
	exec 8<>esx1/mnt/web-flat.vmdk || atf_fail "cannot open"
	atf_check vmfsctl disk rekey ds1:/web.vmdk --key=new
	exec 8>&-
	rm esx1/id/keys/old
	atf_check -o match:'key +new' vmfsctl disk info ds1:/web.vmdk
	holds esx1 web || atf_fail "it reads otherwise"
	atf_check vmfsctl disk create ds1:/clear.vmdk 1M
	atf_check -s exit:2 -e match:'not encrypted.*clone --full --key' \
	    vmfsctl disk rekey ds1:/clear.vmdk --key=new
	atf_check -s exit:2 -e match:'no key; expected --key=NAME' \
	    vmfsctl disk rekey ds1:/web.vmdk
	hosts_stop
}

no_core()
{
	[ -z "$(find . -name 'core*')" ]
}

# Keys are not handed on: the next process reads the file.
root_test_case process_that_dies_leaves_no_key
process_that_dies_leaves_no_key_body()
{
	ulimit -c unlimited
	daemon_in=supervised
	one_host
	key_make esx1 tenant
	atf_check vmfsctl disk create ds1:/web.vmdk 64M --key=tenant
	put web
	exec 8<>esx1/mnt/web-flat.vmdk || atf_fail "cannot open"
	for signal in SEGV KILL ABRT; do
		had=$(resumes esx1)
		kill -${signal} "$(worker esx1)"
		until_true 30 went_on esx1 "${had}" ||
		    atf_fail "nobody goes on after ${signal}"
		printf THE >&8 || atf_fail "cannot write after ${signal}"
		exec 8>&-
		printf the | dd of=esx1/mnt/web-flat.vmdk conv=notrunc \
		    status=none || atf_fail "cannot write again"
		exec 8<>esx1/mnt/web-flat.vmdk || atf_fail "cannot open"
	done
	exec 8>&-
	holds esx1 web || atf_fail "it does not read as written"
	no_core || atf_fail "a core was left: $(find . -name 'core*')"
	# Neither words of it nor of what it wraps.
	for word in $(od -An -tx1 esx1/id/keys/tenant | tr -d ' '); do
		atf_check -s exit:1 -o empty grep -rqi "${word}" esx1/log \
		    esx1/conf "/proc/$(worker esx1)/cmdline" \
		    "/proc/$(worker esx1)/environ"
	done
	hosts_stop
	atf_check -o ignore fsck.vmfs -n lun
}

# inode_of NAME: where it lies, in blocks of 4 KiB.
inode_of() { vmfsctl --json disk info "ds1:/$1.vmdk" | jq .disk.ino; }

# The descriptor has a copy of the key, as it is wrapped now.
root_test_case key_outlives_its_inode 'require.progs jq'
key_outlives_its_inode_body()
{
	host_with_two_keys
	atf_check vmfsctl disk create ds1:/clear.vmdk 64M
	put web
	put clear
	atf_check vmfsctl disk snapshot ds1:/web.vmdk s1
	atf_check vmfsctl disk rekey ds1:/web.vmdk --key=new
	atf_check vmfsctl disk mv ds1:/web.vmdk ds1:/shop.vmdk
	rm esx1/id/keys/old
	lost="$(inode_of shop) $(inode_of clear)"
	hosts_stop
	for block in ${lost}; do
		dd if=/dev/zero of=lun bs=4k seek="${block}" count=1 \
		    conv=notrunc status=none
	done
	atf_check -s exit:1 -o match:'shop-flat.vmdk.*vmfsctl disk recover' \
	    fsck.vmfs -y lun
	host_start esx1 "${PWD}/lun"
	holds esx1 shop && atf_fail "nothing was lost"
	mv esx1/id/keys/new kept
	atf_check -s exit:1 -e match:'was encrypted, and its key [0-9a-f]{32}' \
	    vmfsctl disk recover ds1:/shop.vmdk
	mv kept esx1/id/keys/new
	exec 8<esx1/mnt/shop-flat.vmdk
	atf_check -s exit:4 -e match:'is open.*close it first' \
	    vmfsctl disk recover ds1:/shop.vmdk
	exec 8<&-
	until_true 10 vmfsctl disk recover ds1:/shop.vmdk
	atf_check -o match:'key +there' -o match:'size +64 MiB' \
	    vmfsctl disk recover ds1:/shop.vmdk
	atf_check -o match:'key +none' -o match:'length +restored' \
	    vmfsctl disk recover ds1:/clear.vmdk
	holds esx1 shop || atf_fail "it does not read as before"
	holds esx1 clear || atf_fail "nor does the clear one"
	atf_check -o inline:'67108864\n' stat -c %s esx1/mnt/shop-flat.vmdk
	atf_check -o ignore vmfsctl disk clone ds1:/shop.vmdk@s1 ds1:/two.vmdk
	holds esx1 two || atf_fail "nor does its snapshot"
	echo >esx1/mnt/plain
	atf_check -s exit:3 -e match:'has no descriptor' \
	    vmfsctl disk recover ds1:/plain
	hosts_stop
	atf_check -o ignore fsck.vmfs -n lun
}

root_test_case key_files_that_are_none_are_told
key_files_that_are_none_are_told_body()
{
	one_host
	atf_check -o match:'^NAME' vmfsctl key ls
	key_make esx1 good
	key_make esx1 open
	chmod 644 esx1/id/keys/open
	(umask 077 && printf short >esx1/id/keys/short)
	atf_check -o match:'^good +[0-9a-f]{32}' \
	    -o match:'^open .*read by others; run chmod 600' \
	    -o match:'^short .*too short; it must hold 32' vmfsctl key ls
	atf_check -s exit:1 -e match:'read by others' \
	    vmfsctl disk create ds1:/a.vmdk 1M --key=open
	atf_check -s exit:2 -e match:'cannot read the key file .*/gone' \
	    vmfsctl disk create ds1:/a.vmdk 1M --key=gone
	atf_check -s exit:2 -e match:'no name of a file' \
	    vmfsctl disk create ds1:/a.vmdk 1M --key=../good
	atf_check vmfsctl -H disk ls ds1:
	hosts_stop
}

root_test_case streams_are_clear_outside_and_encrypted_inside
streams_are_clear_outside_and_encrypted_inside_body()
{
	one_host
	key_make esx1 tenant
	yes "${text}" | head -c 1M >in
	atf_check -o ignore -e ignore vmfsctl disk import "${PWD}/in" \
	    ds1:/web.vmdk --key=tenant
	holds esx1 web || atf_fail "it reads otherwise"
	sync
	atf_check -s exit:1 grep -qaF "${text}" lun
	atf_check -o ignore -e ignore vmfsctl disk export ds1:/web.vmdk \
	    "${PWD}/out"
	atf_check cmp in out
	hosts_stop
}

# A worker dies over it.
root_test_case copy_that_was_cut_short_leaves_nothing 'require.progs jq'
snapshots()
{
	vmfsctl disk info ds1:/web.vmdk --json | jq .disk.snapshots
}
copy_that_was_cut_short_leaves_nothing_body()
{
	daemon_in=supervised
	host_with_two_keys
	dd if=/dev/urandom of=esx1/mnt/web-flat.vmdk bs=1M count=64 \
	    conv=notrunc,fsync status=none
	put web
	vmfsctl disk clone --full --key=new ds1:/web.vmdk ds1:/c.vmdk &
	clone=$!
	until_true 20 eval '[ "$(snapshots)" = 1 ]'
	kill_worker esx1
	if wait ${clone}; then
		atf_check vmfsctl disk rm ds1:/c.vmdk
	fi
	atf_check vmfsctl disk clone --full --key=new ds1:/web.vmdk ds1:/c.vmdk
	atf_check cmp esx1/mnt/web-flat.vmdk esx1/mnt/c-flat.vmdk
	until_true 20 eval '[ "$(snapshots)" = 0 ]' ||
	    atf_fail "$(vmfsctl disk snapshots ds1:/web.vmdk)"
	hosts_stop
	fsck_is_clean lun
}

reads_its_keys()
{
	grep -q -s -e fuse -e request_wait /proc/"$1"/task/*/wchan
}

# Its worker dies while it waits for the key, which is on a mount that hangs.
root_test_case disk_is_never_seen_without_its_key
disk_is_never_seen_without_its_key_body()
{
	lun_make other
	host_start esx2 "${PWD}/other"
	daemon_in=supervised
	one_host
	key_make esx2 key
	mv esx2/id/keys esx2/mnt/keys
	ln -s "${PWD}/esx2/mnt/keys" esx1/id/keys
	kill -STOP "$(cat esx2/pid)"
	vmfsctl disk create ds1:/web.vmdk 64M --key=key &
	create=$!
	until_true 20 reads_its_keys "$(worker esx1)" ||
	    atf_fail "nobody waits for the key"
	[ ! -e esx1/mnt/web-flat.vmdk ] || atf_fail "it is there already"
	kill_worker esx1
	kill -CONT "$(cat esx2/pid)"
	if wait ${create}; then
		atf_fail "it was made without its key"
	fi
	atf_check -o empty ls esx1/mnt
	atf_check vmfsctl disk create ds1:/web.vmdk 64M --key=key
	atf_check -o match:'aes-256-xts' vmfsctl disk info ds1:/web.vmdk
	hosts_stop
	fsck_is_clean lun
}
disk_is_never_seen_without_its_key_cleanup()
{
	kill -CONT "$(cat esx2/pid)"
	hosts_cleanup
}
