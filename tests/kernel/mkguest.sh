#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Makes the guest of these tests: Debian's cloud kernel with its iSCSI initiator
# and a root file system with open-iscsi, multipath-tools, sg3-utils, e2fsprogs
# and fio.  What is not installed here comes out of packages, unpacked only.
# usage: mkguest.sh OUTDIR     leaves OUTDIR/{vmlinuz,initrd,root.img}
set -eu
[ $# -eq 1 ] || { echo "usage: mkguest.sh OUTDIR" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)

# One at a time; the others find it made.
exec 9>"$out/lock"
flock 9
newest=$(ls -t "$here/mkguest.sh" "$here/guest-init.sh" \
    "$here/guest-lib.sh" "$top/guest/build.sh" "$top/ci/packages" | head -n 1)
[ -f "$out/root.img" ] && [ "$out/root.img" -nt "$newest" ] && exit 0

GUEST_DEBS=$out/debs
GUEST_MODULES="virtio_net virtio_scsi iscsi_tcp sd_mod sg dm-multipath
    dm-service-time"
export GUEST_DEBS GUEST_MODULES
rm -f "$out/initrd" "$out/root.img"
"$top/guest/build.sh" "$out"

work=$(mktemp -d "$out/work.XXXXXX")
trap 'rm -rf "$work"' EXIT
root=$work/root
for d in bin sbin lib lib64 proc sys dev run tmp mnt etc/iscsi var/lib \
    var/lock lib/multipath lib/systemd lib/udev/rules.d; do
	mkdir -p "$root/$d"
done
cp "$(command -v busybox)" "$root/bin/busybox"
for name in $(busybox --list | grep -vx busybox); do
	ln -s busybox "$root/bin/$name"
done

# shellcheck disable=SC2046
set -- $(sed -n 's/^unpacked: linux-image[^ ]* //p' "$top/ci/packages")
"$top/guest/fetch.sh" "$GUEST_DEBS" "$@"
for p; do
	dpkg-deb -x "$GUEST_DEBS/${p}_"*.deb "$work/debs"
done
PATH=$work/debs/sbin:$work/debs/bin:$work/debs/usr/bin:/sbin:/usr/sbin:$PATH
LD_LIBRARY_PATH=$(find "$work/debs" -name '*.so.*' -exec dirname {} + |
    sort -u | tr '\n' ':')
export PATH LD_LIBRARY_PATH

# have DIRECTORY FILE...: copies them there, and notes them.
have() {
	dir=$root/$1
	shift
	for file; do
		[ -e "$file" ] || { echo "mkguest.sh: no $file" >&2; exit 1; }
		cp -L "$file" "$dir"
	done
	printf '%s\n' "$@" >>"$work/programs"
}
for name in iscsid iscsiadm multipath multipathd dmsetup udevadm mkfs.ext4 \
    e2fsck resize2fs fio; do
	have sbin "$(command -v "$name" || echo "$name")"
done
have sbin /usr/bin/sg_*
for name in checktur checkdirectio prioconst prioalua; do
	have lib/multipath "$work/debs/lib/multipath/lib$name.so"
done
have lib/udev "$work/debs/lib/udev/scsi_id"
# What they need, flat below /lib; and what glibc opens when a thread ends.
{
	xargs ldd <"$work/programs" | awk '/not found/ { print $1 }
	    $2 == "=>" { print $3 }'
	ldconfig -p | awk '$1 == "libgcc_s.so.1" { print $NF; exit }'
} | sort -u >"$work/libraries"
xargs -I'{}' cp -L '{}' "$root/lib" <"$work/libraries"
cp -L /lib64/ld-linux-x86-64.so.2 "$root/lib64"
# Those of udev's rules that block devices and multipath need.
ln -s ../../sbin/udevadm "$root/lib/systemd/systemd-udevd"
for rule in 50-udev-default 60-block 60-persistent-storage 55-dm \
    56-dm-mpath 60-multipath 60-persistent-storage-dm 95-dm-notify; do
	cp "$work/debs/lib/udev/rules.d/$rule.rules" "$root/lib/udev/rules.d"
done
cp "$work/debs/etc/iscsi/iscsid.conf" "$root/etc/iscsi"
cp "$here/guest-init.sh" "$root/sbin/init"
cp "$here/guest-lib.sh" "$root/sbin"
chmod 755 "$root/sbin/init"
: >"$root/etc/mtab"
echo 'root:x:0:0::/:/bin/sh' >"$root/etc/passwd"
for group in root:x:0 tty:x:5 disk:x:6 kmem:x:15 dialout:x:20 audio:x:29 \
    video:x:44 input:x:105 sgx:x:106 kvm:x:107 render:x:108 lp:x:7 \
    cdrom:x:24 tape:x:26; do
	echo "$group:"
done >"$root/etc/group"

rm -f "$out/root.new"
# shellcheck disable=SC2012
/sbin/mke2fs -q -F -t ext4 -O ^has_journal -E nodiscard,root_owner=0:0 \
    -d "$root" "$out/root.new" "$(($(du -sm "$root" | cut -f1) * 5 / 4 + 16))M"
mv "$out/root.new" "$out/root.img"
