#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Makes kernel and initramfs of a small real guest from Debian's packages:
# the cloud kernel is downloaded and unpacked, not installed.
# usage: build.sh OUTDIR    leaves OUTDIR/vmlinuz and OUTDIR/initrd
# environment: GUEST_MODULES  kernel modules to load beside those of the disk,
#              GUEST_DEBS     packages are taken from there when they are there
set -eu
[ $# -eq 1 ] || { echo "usage: build.sh OUTDIR" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
[ -f "$out/vmlinuz" ] && [ -f "$out/initrd" ] &&
    [ "$out/initrd" -nt "$here/build.sh" ] && exit 0

work=$(mktemp -d "$out/work.XXXXXX")
trap 'rm -rf "$work"' EXIT
busybox=$(command -v busybox) && ldd "$busybox" >"$work/ldd" 2>&1 || :
[ -n "$busybox" ] && grep -qE 'not a dynamic|statically' "$work/ldd" || {
	echo "build.sh: needs a static busybox (package busybox-static)" >&2
	exit 1
}

debs=${GUEST_DEBS:-$work}
"$here/fetch.sh" "$debs" linux-image-cloud-amd64
dpkg-deb -x "$debs"/linux-image-[0-9]*.deb "$work/kernel"
version=$(ls "$work/kernel/lib/modules")
modules=$work/kernel/lib/modules/$version
/sbin/depmod -b "$work/kernel" "$version"

root=$work/initramfs
mkdir -p "$root/bin" "$root/proc" "$root/sys" "$root/dev" "$root/root" \
    "$root/modules"
cp "$busybox" "$root/bin/busybox"
for name in sh mount insmod cat sleep switch_root; do
	ln -s busybox "$root/bin/$name"
done

# Each wanted module after those it depends on; "built in" needs no file.
: >"$root/modules/list"
for want in virtio_pci virtio_blk ext4 ${GUEST_MODULES:-}; do
	line=$(grep "/$want\.ko[^ ]*:" "$modules/modules.dep") || {
		grep -q "/$want\.ko" "$modules/modules.builtin" && continue
		echo "build.sh: kernel $version has no $want" >&2
		exit 1
	}
	order=
	for ko in $(echo "$line" | tr -d :); do
		order="$ko $order"
	done
	for ko in $order; do
		base=$(basename "$ko")
		[ -f "$root/modules/$base" ] && continue
		cp "$modules/$ko" "$root/modules/$base"
		echo "$base" >>"$root/modules/list"
	done
done

cat >"$root/init" <<'INIT'
#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
for m in $(cat /modules/list); do
	insmod /modules/$m || echo "INIT: $m does not load"
done
for i in 1 2 3 4 5 6 7 8 9 10; do
	[ -b /dev/vda ] && break
	sleep 0.2
done
mount -t ext4 /dev/vda /root || echo "INIT: no root file system"
exec switch_root /root /sbin/init
INIT
chmod +x "$root/init"
(cd "$root" && find . | LC_ALL=C sort | cpio --quiet -o -H newc) |
    gzip -1 >"$out/initrd.new"
cp "$work/kernel/boot/vmlinuz-$version" "$out/vmlinuz"
mv "$out/initrd.new" "$out/initrd"
