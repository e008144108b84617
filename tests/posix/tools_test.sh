# SPDX-License-Identifier: BSD-2-Clause
# Tools of every day on a mount: what they copy is what they read.
. "${VMFS_SRCDIR}/tests/posix/lun.subr"

one_host()
{
	fast_lun
	host_start esx1 "${lun}"
	m=${PWD}/esx1/mnt
}

# A tree with something of everything that tools keep.
tree_make()
{
	mkdir -p "$1/a/b/c" "$1/empty" "$1/näme with blanks"
	echo small >"$1/a/small"
	head -c 300000 /dev/urandom >"$1/a/b/big"
	ln "$1/a/b/big" "$1/a/b/c/other-name"
	ln -s ../small "$1/a/b/link"
	ln -s nowhere "$1/dangling"
	truncate -s 3M "$1/sparse"
	printf x | dd of="$1/sparse" bs=1 seek=1000000 conv=notrunc status=none
	: >"$1/näme with blanks/-rf"
	chmod 4711 "$1/a/small"
	chmod 2775 "$1/empty"
	chown 1001:1002 "$1/a/b/big" "$1/empty"
	chown -h 1003:1004 "$1/dangling"
	setfattr -n user.note -v "of a file" "$1/a/small"
	setfattr -n user.note -v "of a directory" "$1/a/b"
	setfattr -n trusted.mark -v "0x0102" "$1/a/b/c/other-name"
	touch -d '2001-02-03 04:05:06.789' "$1/a/b/big"
	touch -d '1969-07-20 20:17:40' "$1/a/small"
	touch -d '1999-12-31 23:59:59' "$1/a/b" "$1/empty"
}

# By rsync's eyes, which look at everything: names, content, owners, modes,
# times, hard links, attributes.
same_trees()
{
	atf_check -o empty rsync -aHXnc --delete --itemize-changes "$1/" "$2/"
}

tool_head()
{
	atf_set require.user root
	atf_set require.progs "rsync setfattr tar git sqlite3"
}

atf_test_case cp_keeps_everything cleanup
cp_keeps_everything_head()
{
	tool_head
}
cp_keeps_everything_body()
{
	one_host
	tree_make src
	atf_check cp -a src "${m}/one"
	same_trees src "${m}/one"
	atf_check cp -a "${m}/one" "${m}/two"
	same_trees "${m}/one" "${m}/two"
	atf_check cp -a "${m}/two" back
	same_trees src back
	[ "$(du -k "${m}/two/sparse" | cut -f 1)" -lt 1000 ] ||
	    atf_fail "cp has filled the holes"
	atf_check rm -r "${m}/one" "${m}/two"
	fast_lun_check
}
cp_keeps_everything_cleanup()
{
	fast_lun_cleanup
}

atf_test_case tar_keeps_everything cleanup
tar_keeps_everything_head()
{
	tool_head
}
tar_keeps_everything_body()
{
	one_host
	tree_make "${m}/src"
	mkdir "${m}/out" out
	atf_check tar -C "${m}" --xattrs --xattrs-include='*' -S -cf \
	    "${m}/src.tar" src
	# As its author thinks of 1969.
	set -- --xattrs --xattrs-include='*' --warning=no-timestamp -xpf
	atf_check tar -C "${m}/out" "$@" "${m}/src.tar"
	same_trees "${m}/src" "${m}/out/src"
	atf_check tar -C out "$@" "${m}/src.tar"
	same_trees "${m}/src" out/src
	fast_lun_check
}
tar_keeps_everything_cleanup()
{
	fast_lun_cleanup
}

atf_test_case rsync_copies_what_changed cleanup
rsync_copies_what_changed_head()
{
	tool_head
}
rsync_copies_what_changed_body()
{
	one_host
	tree_make src
	atf_check rsync -aHXS src/ "${m}/dst/"
	same_trees src "${m}/dst"
	echo more >>src/a/b/big
	mv src/a/b/link src/moved
	rm -r src/empty
	atf_check rsync -aHX --delete src/ "${m}/dst/"
	same_trees src "${m}/dst"
	echo again >>src/a/b/big
	atf_check rsync -aHX --inplace src/ "${m}/dst/"
	same_trees src "${m}/dst"
	fast_lun_check
}
rsync_copies_what_changed_cleanup()
{
	fast_lun_cleanup
}

atf_test_case git_works_on_two_hosts cleanup
git_works_on_two_hosts_head()
{
	tool_head
}
git_works_on_two_hosts_body()
{
	one_host
	host_start esx2 "${lun}"
	export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a \
	    GIT_COMMITTER_EMAIL=a@b GIT_CONFIG_NOSYSTEM=1 HOME="${PWD}"
	atf_check git init -q -b main "${m}/repo"
	for i in 1 2 3; do
		seq 1 $((i * 1000)) >"${m}/repo/file${i}"
		atf_check git -C "${m}/repo" add .
		atf_check git -C "${m}/repo" commit -q -m "number ${i}"
	done
	atf_check git clone -q esx2/mnt/repo esx2/mnt/clone
	echo here >esx2/mnt/clone/new
	atf_check git -C esx2/mnt/clone add new
	atf_check git -C esx2/mnt/clone commit -q -m "from esx2"
	atf_check -o ignore -e ignore git -C "${m}/repo" pull -q \
	    "${m}/clone" main
	atf_check -o inline:'here\n' cat "${m}/repo/new"
	atf_check git -C "${m}/repo" gc -q
	atf_check -e ignore git -C esx2/mnt/repo fsck --strict
	atf_check -o inline:'4\n' git -C esx2/mnt/repo rev-list --count main
	atf_check -o empty git -C esx2/mnt/repo status --short
	fast_lun_check
}
git_works_on_two_hosts_cleanup()
{
	fast_lun_cleanup
}

atf_test_case sqlite_keeps_its_transactions cleanup
sqlite_keeps_its_transactions_head()
{
	tool_head
}
sqlite_keeps_its_transactions_body()
{
	one_host
	sqlite3 "${m}/db" 'create table t (a integer primary key, b text);
	    begin; with recursive n(i) as (select 1 union all select i + 1
	    from n where i < 5000) insert into t select i, hex(randomblob(20))
	    from n; commit; delete from t where a % 3 = 0;' ||
	    atf_fail "sqlite3 cannot write"
	for i in 1 2 3 4; do
		sqlite3 -cmd '.timeout 20000' "${m}/db" "insert into t
		    select null, '${i}' from t limit 200" &
		eval "writer${i}=$!"
	done
	# shellcheck disable=SC2154
	for i in "${writer1}" "${writer2}" "${writer3}" "${writer4}"; do
		wait "${i}" || atf_fail "a writer beside others fails"
	done
	atf_check -o inline:'4134\n' sqlite3 "${m}/db" \
	    'select count(*) from t'
	atf_check -o inline:'ok\n' sqlite3 "${m}/db" 'pragma integrity_check'
	atf_check sqlite3 "${m}/db" vacuum
	fast_lun_check
}
sqlite_keeps_its_transactions_cleanup()
{
	fast_lun_cleanup
}

atf_test_case small_tools_do_what_they_do cleanup
small_tools_do_what_they_do_head()
{
	tool_head
}
small_tools_do_what_they_do_body()
{
	one_host
	cd "${m}" || atf_fail "cd"
	seq 1 2000 >f
	atf_check sed -i 's/^7$/seven/' f
	atf_check -o inline:'7:seven\n' grep -n seven f
	atf_check -o match:'^2000 ' wc -l f
	atf_check sort -rn -o g f
	atf_check mv g h
	atf_check -s exit:1 -e match:'File exists' ln f h
	atf_check ln f i
	atf_check -o inline:'./f\n./i\n' sh -c 'find . -type f -links 2 | sort'
	atf_check install -m 0751 -o 7 -g 8 f j
	atf_check -o inline:'751 7 8\n' stat -c '%a %u %g' j
	atf_check dd if=/dev/zero of=z bs=64K count=32 status=none
	atf_check fallocate -d z
	atf_check -o inline:'2097152 0\n' stat -c '%s %b' z
	atf_check fallocate -l 1M y
	atf_check fallocate -p -o 0 -l 512K y
	atf_check -o inline:'1048576 1024\n' stat -c '%s %b' y
	echo one >log
	echo two >>log
	atf_check -o inline:'one\ntwo\n' cat log
	mkdir -p deep/er/and/deeper
	atf_check -o inline:'4\n' sh -c 'find deep -type d | wc -l'
	atf_check cp --sparse=always z y2
	atf_check cmp z y2
	atf_check touch -r j log
	atf_check -s exit:1 test log -nt j
	atf_check mv deep /"${PWD#/}"/moved
	atf_check rm -r moved
	atf_check -s exit:1 -e match:'Operation not permitted' mkfifo fifo
	atf_check -s exit:1 test -e fifo
	cd - >/dev/null || atf_fail "cd"
	fast_lun_check
}
small_tools_do_what_they_do_cleanup()
{
	fast_lun_cleanup
}

atf_init_test_cases()
{
	atf_add_test_case cp_keeps_everything
	atf_add_test_case tar_keeps_everything
	atf_add_test_case rsync_copies_what_changed
	atf_add_test_case git_works_on_two_hosts
	atf_add_test_case sqlite_keeps_its_transactions
	atf_add_test_case small_tools_do_what_they_do
}
