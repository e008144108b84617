# SPDX-License-Identifier: BSD-2-Clause
# The quickstart itself: what a newcomer is promised must hold.

atf_test_case story cleanup
story_head() {
	atf_set descr "box, two hosts, guest, snapshot, crash, take-over, fsck"
	atf_set require.user root
	atf_set require.progs "qemu-system-x86_64 busybox cpio dpkg-deb"
	atf_set timeout 600
}
story_body() {
	[ -c /dev/fuse ] || atf_skip "no /dev/fuse"
	atf_check -s exit:0 -o save:out -e ignore \
	    env VMFS_BUILDDIR="$VMFS_BUILDDIR" "$VMFS_SRCDIR/quickstart" \
	    --no-install
	atf_check -o match:'is locked by host esx1' cat out
	atf_check -o match:'guest: *FOUND' cat out
	atf_check -o match:'all [0-9]* flushed records are there' cat out
	atf_check -o match:'lun0/0: clean' cat out
	# It takes down what it put up.
	atf_check -s exit:1 grep vmfsd-quickstart /proc/mounts
}
story_cleanup() {
	# Only what carries the work directory of this very run.
	dir=$(sed -n 's/.*\(\/tmp\/vmfsd-quickstart\.[A-Za-z0-9]*\).*/\1/p' out \
	    2>/dev/null | head -n 1)
	[ -n "$dir" ] || return 0
	pkill -9 -f "$dir" || :
	umount -l "$dir/esx1" "$dir/esx2" 2>/dev/null || :
}

atf_init_test_cases() {
	atf_add_test_case story
}
