# SPDX-License-Identifier: BSD-2-Clause
# What commands in the guest may use.  The host's 127.0.0.1 is 10.0.2.2 here.
iqn=iqn.2026-11.test:box
host=10.0.2.2

# until_true SECONDS COMMAND...
until_true()
{
	_end=$(($(date +%s) + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$(date +%s)" -lt $_end ] || return 1
		usleep 100000
	done
}

# login PORT [SETTING=VALUE]...: settings of iscsid.conf below "node."
login()
{
	_port=$1
	shift
	iscsiadm -m node -T $iqn -p $host:"$_port" -o new || return
	for _s; do
		iscsiadm -m node -T $iqn -p $host:"$_port" -o update \
		    -n "node.${_s%%=*}" -v "${_s#*=}" || return
	done
	iscsiadm -m node -T $iqn -p $host:"$_port" --login
}

logout()
{
	iscsiadm -m node -T $iqn -p $host:"$1" --logout
}

# The directory below /sys of the session through a port.
session_of()
{
	for _c in /sys/class/iscsi_connection/connection*; do
		[ "$(cat "$_c/persistent_port")" = "$1" ] || continue
		_c=${_c##*/connection}
		readlink -f "/sys/class/iscsi_session/session${_c%%:*}/device"
		return
	done
	return 1
}

# Value of an attribute of the connection through a port.
connection()
{
	for _c in /sys/class/iscsi_connection/connection*; do
		[ "$(cat "$_c/persistent_port")" != "$1" ] || cat "$_c/$2"
	done
}

# disk PORT [LUN]: name of the device, sda, when it is there.
disk()
{
	until_true 20 _disk "$1" "${2:-0}" && _disk "$1" "${2:-0}"
}

_disk()
{
	for _d in "$(session_of "$1")"/target*/*:"$2"/block/*; do
		[ -b "/dev/${_d##*/}" ] || return 1
		# sg_xcopy wants what udev would make.
		ln -sf "../${_d##*/}" "/dev/block/$(cat "$_d/dev")"
		echo "${_d##*/}"
	done
}

# The value of a queue limit or the like of a disk.
limit() { cat "/sys/block/$1/$2"; }

# verify FILE [FIO OPTION]...: random writes of many sizes, then checked.
verify()
{
	_file=$1 _out=/run/fio.$(basename "$1")
	shift
	fio --name=verify --filename="$_file" --rw=randwrite \
	    --bssplit=4k/40:16k/30:64k/20:512k/10 --size=24M --direct=1 \
	    --ioengine=libaio --iodepth=16 --verify=crc32c --verify_fatal=1 \
	    --randrepeat=0 --output="$_out" "$@" || {
		cat "$_out"
		return 1
	}
	grep -E 'err=|READ:|WRITE:' "$_out"
}

# sha256 of COUNT blocks of 512 from BLOCK on, by the device's SCSI commands.
sum_of()
{
	rm -f /tmp/sum
	sg_dd if="$1" skip="$2" count="$3" bs=512 blk_sgio=1 of=/tmp/sum \
	    2>/dev/null && sha256sum </tmp/sum
}

# pattern BYTE BLOCKS: blocks of 512 that repeat a character.
pattern()
{
	head -c $((512 * $2)) /dev/zero | tr '\0' "$1"
}

# The paths to a LUN become /dev/mapper/mpatha.  multipath_start [LINE]...: of
# the section defaults.
multipath_start()
{
	cat >/etc/multipath.conf <<EOF
defaults {
$(printf '	%s\n' "$@")
	user_friendly_names yes
	find_multipaths no
	path_checker tur
	polling_interval 1
	max_polling_interval 2
	checker_timeout 3
	no_path_retry queue
}
blacklist {
	devnode "^vd"
}
EOF
	/lib/systemd/systemd-udevd --daemon
	multipathd
	until_true 20 multipathd show status
}

# paths_are COUNT STATE: that many paths of the map are active or failed.
paths_are()
{
	until_true 60 _paths_are "$1" "$2" || {
		multipathd show paths
		return 1
	}
}

_paths_are()
{
	[ "$(multipathd show paths raw format '%t' | grep -c "$2")" -eq "$1" ]
}
