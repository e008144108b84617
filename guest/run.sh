#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Boots the guest on a disk image; its console is standard output.
# usage: run.sh DISK JOB [KERNEL ARGUMENT]...     JOB: write, verify
# environment: GUEST_DIR  what build.sh made (default: guest.out beside us)
#              GUEST_PIDFILE  gets QEMU's process id
#              GUEST_TIMEOUT  seconds (120); GUEST_ACCEL  tcg or kvm (tcg)
# exit: 0 the guest powered itself off, 124 time-out, 137 killed
set -eu
[ $# -ge 2 ] || { echo "usage: run.sh DISK JOB [ARGUMENT]..." >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
dir=${GUEST_DIR:-$here/guest.out}
disk=$1 job=$2
shift 2
[ -f "$dir/vmlinuz" ] || {
	echo "run.sh: no kernel in $dir; make it with build.sh" >&2
	exit 1
}

# Past the host's page cache where the file system can.
cache=none
dd if="$disk" of=/dev/null bs=4096 count=1 iflag=direct 2>/dev/null ||
    cache=writeback
# As in tests/kernel/guest.subr: a second processor that may come keeps barriers
# in translated code, and no test of the timer fails on a busy machine.
set -- qemu-system-x86_64 -accel "${GUEST_ACCEL:-tcg}" -smp 1,maxcpus=2 \
    -m 256 -nodefaults -no-reboot \
    -display none -monitor none -serial stdio \
    -kernel "$dir/vmlinuz" -initrd "$dir/initrd" \
    -drive "file=$disk,format=raw,cache=$cache,if=virtio" \
    -append "console=ttyS0 quiet panic=-1 no_timer_check vmfs.job=$job $*"
[ -z "${GUEST_PIDFILE:-}" ] || set -- "$@" -pidfile "$GUEST_PIDFILE"
exec timeout -s KILL "${GUEST_TIMEOUT:-120}" "$@" </dev/null
