#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The layer table of ARCHITECTURE.md on a source tree: which directory may
# include which, where an external library is used, where time, randomness,
# threads, files and sockets come from.
# usage: layers.sh ROOT     prints violations; exit 0 none, 1 some, 2 usage
[ $# -eq 1 ] && [ -d "$1" ] || { echo "usage: layers.sh ROOT" >&2; exit 2; }
cd "$1" || exit 2

dirs=
for d in libvmfs locking iscsi vhost nbd fuse mkfs fsck vmfsd; do
	[ -d "$d" ] && dirs="$dirs $d"
done
[ -n "$dirs" ] || { echo "layers.sh: no sources in $1" >&2; exit 2; }

# shellcheck disable=SC2086
find $dirs -name '*.[ch]' | LC_ALL=C sort | xargs awk '
function allow(dir, list) {
	n = split(list, a, " ")
	for (i = 1; i <= n; i++)
		arrow[dir, a[i]] = 1
	layer[dir] = 1
}
function external(lib, paths) {
	home[lib] = paths
}
BEGIN {
	allow("libvmfs/base", "libvmfs/base")
	allow("libvmfs/env", "libvmfs/base libvmfs/env")
	allow("libvmfs/format", "libvmfs/base libvmfs/format")
	allow("libvmfs/core", "libvmfs/base libvmfs/env libvmfs/format " \
	    "libvmfs/core")
	allow("libvmfs/check", "libvmfs/base libvmfs/env libvmfs/format " \
	    "libvmfs/core libvmfs/check")
	allow("libvmfs/vmdk", "libvmfs/base libvmfs/env libvmfs/core " \
	    "libvmfs/vmdk")
	allow("locking", "libvmfs locking")
	allow("iscsi", "libvmfs/base libvmfs/env iscsi")
	allow("vhost", "libvmfs/base libvmfs/env vhost")
	allow("nbd", "libvmfs/base libvmfs/env nbd")
	allow("fuse", "libvmfs locking iscsi/disk_libiscsi.h fuse")
	allow("mkfs", "libvmfs locking iscsi/disk_libiscsi.h mkfs")
	allow("fsck", "libvmfs locking iscsi/disk_libiscsi.h fsck")
	allow("vmfsd", "libvmfs locking iscsi vhost nbd fuse mkfs " \
	    "fsck vmfsd")
	allow("libvmfs", "libvmfs/base")

	# Header prefix: where it may be used, as an expression.
	external("isa-l", "^libvmfs/base/crc32c")
	external("liburing", "^libvmfs/env/")
	external("pthread", "^(libvmfs/env|vmfsd)/")
	external("zlib", "^libvmfs/vmdk/")
	external("corosync", "^locking/member_corosync")
	external("openssl", "^(iscsi/chap|nbd/tls|libvmfs/base/(keys|xts))")
	external("iscsi/iscsi.h", "^iscsi/disk_libiscsi")
	external("iscsi/scsi-lowlevel.h", "^iscsi/disk_libiscsi")
	external("fuse", "^fuse/")
	external("jansson", "^vmfsd/")
	external("systemd/", "^vmfsd/")

	banned = "(^|[^A-Za-z0-9_.>])(time|clock_gettime|rand|srand|random|" \
	    "open|socket|pthread_[a-z_]*)[ \t]*\\("
}
FNR == 1 {
	dir = FILENAME
	sub("/[^/]*$", "", dir)
	while (!(dir in layer) && sub("/[^/]*$", "", dir))
		;
}
/^[ \t]*#[ \t]*include[ \t]*"/ {
	inc = $0
	sub("^[^\"]*\"", "", inc)
	sub("\".*", "", inc)
	if (inc == "config.h" || inc == "libvmfs/vmfs.h")
		next
	ok = 0
	for (to = inc; to != ""; ) {
		if ((dir, to) in arrow)
			ok = 1
		if (!sub("/[^/]*$", "", to))
			break
	}
	if (!ok)
		printf "%s:%d: %s may not include \"%s\"\n", FILENAME, FNR,
		    dir, inc
}
/^[ \t]*#[ \t]*include[ \t]*</ {
	inc = $0
	sub("^[^<]*<", "", inc)
	sub(">.*", "", inc)
	for (lib in home)
		if (index(inc, lib) == 1 && FILENAME !~ home[lib])
			printf "%s:%d: <%s> may not be used here\n",
			    FILENAME, FNR, inc
}
FILENAME !~ "^(libvmfs/env|vmfsd)/" &&
    $0 !~ "^[ \t]*(\\*|//|/\\*)" {
	line = $0
	gsub("\"([^\"\\\\]|\\\\.)*\"", "", line)
	if (line !~ banned)
		next
	sub("^[ \t]*", "", line)
	printf "%s:%d: call outside an adapter: %s\n", FILENAME, FNR, line
}
' >"${TMPDIR:-/tmp}/layers.$$"
rc=0
[ -s "${TMPDIR:-/tmp}/layers.$$" ] && rc=1
cat "${TMPDIR:-/tmp}/layers.$$"
rm -f "${TMPDIR:-/tmp}/layers.$$"
exit $rc
