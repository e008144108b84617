# SPDX-License-Identifier: BSD-2-Clause
# Virtual disks by NBD, as libnbd's tools, QEMU and fio see them.
. "${VMFS_SRCDIR}/tests/cli/hosts.subr"

nbd_test_case()
{
	root_test_case "$1" \
	    "require.progs 'jq nbdinfo nbdcopy qemu-img qemu-io fio openssl'"
}

host_with_disk()
{
	hosts_up h1
	export VMFSD_CONTROL="${PWD}/h1/ctl"
	atf_check vmfsctl disk create ds1:/vm.vmdk 64M
}

# attach DISK [ARG]...: by NBD; its URI is in ${uri}.
attach()
{
	_disk=$1
	shift
	atf_check -o match:'^uri +nbd' vmfsctl disk attach --nbd "$@" \
	    "ds1:/${_disk}"
	uri=$(attached "/${_disk}" uri)
}

# attached DISK KEY
attached()
{
	vmfsctl --json disk attached ds1 |
	    jq -r ".attachments[] | select(.disk == \"$1\") | .$2"
}

size_is() { [ "$(nbdinfo --size "$1")" = "$2" ]; }

attached_is() { [ "$(attached "$1" "$2")" = "$3" ]; }

# Data, holes and zeroes in many pieces.
fill()
{
	atf_check -o ignore qemu-io -f raw -c 'write -P 7 1M 192k' \
	    -c 'write -P 8 8M 16M' -c 'write -z 10M 1M' \
	    -c 'write -zu 12M 1M' -c 'discard 14M 1M' -c 'write -f -P 9 40M 4k' \
	    -c 'write -P 10 67108352 512' -c flush "$1"
}

nbd_test_case disk_is_read_and_written
disk_is_read_and_written_body()
{
	host_with_disk
	attach vm.vmdk
	atf_check_equal "nbd+unix:///vm.vmdk?socket=${PWD}/h1/nbd/ds1" "${uri}"
	atf_check_equal 600 "$(stat -c %a h1/nbd/ds1)"
	fill "${uri}"
	# What an empty file becomes by the same.
	truncate -s 64M same
	fill "${PWD}/same"
	atf_check -o match:identical qemu-img compare -f raw -F raw same \
	    "${uri}"
	atf_check nbdcopy "${uri}" copy
	atf_check cmp same copy
	# It stays sparse, both ways.
	[ "$(du -k copy | cut -f1)" -lt 17500 ] || atf_fail "holes are filled"
	atf_check -o inline:'0 1048576 3
1048576 196608 0
1245184 7143424 3
' -x "nbdinfo --map '${uri}' | awk '{ print \$1, \$2, \$3 }' | head -n 3"
	atf_check -o ignore fio --name=f --ioengine=nbd --uri="${uri}" \
	    --rw=randrw --bsrange=512-256k --size=64M --io_size=64M \
	    --iodepth=16 --verify=crc32c --verify_fatal=1 --fsync=64
	atf_check_equal held "$(attached /vm.vmdk lock)"
	atf_check_equal 0 "$(attached /vm.vmdk errors)"
	atf_check vmfsctl disk detach ds1:/vm.vmdk
	[ ! -e h1/nbd/ds1 ] || atf_fail "the socket is left"
	hosts_stop
	atf_check -o ignore fsck.vmfs -n "${PWD}/lun"
}

nbd_test_case copy_in_stays_sparse_and_whole
copy_in_stays_sparse_and_whole_body()
{
	host_with_disk
	truncate -s 64M same
	fill "${PWD}/same"
	attach vm.vmdk
	atf_check nbdcopy --connections=4 same "${uri}"
	atf_check -o match:identical qemu-img compare -f raw -F raw same \
	    "${uri}"
	used=$(vmfsctl --json disk info ds1:/vm.vmdk | jq .disk.allocated)
	[ "${used}" -lt 17500000 ] || atf_fail "holes are filled: ${used}"
	atf_check qemu-img convert -O qcow2 -f raw "${uri}" copy.qcow2
	atf_check -o match:identical qemu-img compare -F raw copy.qcow2 same
	atf_check vmfsctl disk detach ds1:/vm.vmdk
	hosts_stop
	atf_check -o ignore fsck.vmfs -n "${PWD}/lun"
}

nbd_test_case snapshots_tell_what_changed_since
snapshots_tell_what_changed_since_body()
{
	changed=vmfs:changed-since
	host_with_disk
	attach vm.vmdk
	atf_check -o ignore qemu-io -f raw -c 'write -P 1 0 8M' "${uri}"
	atf_check vmfsctl disk snapshot ds1:/vm.vmdk s1
	atf_check -o ignore qemu-io -f raw -c 'write -P 2 1M 64k' \
	    -c 'discard 4M 1M' -c 'write -P 3 62M 512' "${uri}"
	atf_check vmfsctl disk snapshot ds1:/vm.vmdk s2
	atf_check -o ignore qemu-io -f raw -c 'write -P 4 2M 64k' "${uri}"
	# Of the live disk, and of a snapshot, which nobody writes.
	atf_check -o inline:'1048576 65536
2097152 65536
4194304 1048576
65011712 4096
' -x "nbdinfo --map=${changed}:s1 '${uri}' | awk '\$3 == 1 { print \$1, \$2 }'"
	atf_check -o inline:'2097152 65536\n' -x \
	    "nbdinfo --map=${changed}:s2 '${uri}' | awk '\$3 == 1 { print \$1, \$2 }'"
	live=${uri}
	attach vm.vmdk@s2
	atf_check_equal 'not needed' "$(attached /vm.vmdk@s2 lock)"
	atf_check -o inline:'1048576 65536
4194304 1048576
65011712 4096
' -x "nbdinfo --map=${changed}:s1 '${uri}' | awk '\$3 == 1 { print \$1, \$2 }'"
	atf_check -o match:'is_read_only: true' nbdinfo "${uri}"
	atf_check -s exit:1 -o ignore -e match:'Permission denied' \
	    qemu-io -f raw -c 'write 0 4k' "${uri}"
	# Both are exports of one place; both snapshots are contexts.
	atf_check -o match:'export="vm.vmdk":' -o match:'export="vm.vmdk@s2":' \
	    nbdinfo --list "nbd+unix:///?socket=${PWD}/h1/nbd/ds1"
	# QEMU shows what changed as what is no data.
	atf_check -o match:'"start": 1048576, "length": 65536.*"data": false' \
	    qemu-img map --output=json --image-opts "driver=nbd,export=vm.vmdk@s2,\
server.type=unix,server.path=${PWD}/h1/nbd/ds1,x-dirty-bitmap=${changed}:s1"
	# A whole copy and a difference make the same as a copy.
	attach vm.vmdk@s1
	atf_check nbdcopy "${uri}" backup
	uri=$(attached /vm.vmdk@s2 uri)
	nbdinfo --map=${changed}:s1 "${uri}" | awk '$3 == 1 { print $1, $2 }' |
	while read -r at len; do
		atf_check -o ignore qemu-img dd -f raw -O raw bs=512 \
		    skip=$((at / 512)) count=$(((at + len) / 512)) \
		    "if=${uri}" of=piece
		dd if=piece of=backup bs=512 seek=$((at / 512)) conv=notrunc \
		    status=none
	done
	atf_check -o match:identical qemu-img compare -f raw -F raw backup \
	    "${uri}"
	# One that is read is not removed.
	atf_check -s not-exit:0 -e match:'is attached' \
	    vmfsctl disk rm-snapshot ds1:/vm.vmdk@s2
	for d in vm.vmdk vm.vmdk@s1 vm.vmdk@s2; do
		atf_check vmfsctl disk detach "ds1:/${d}"
	done
	atf_check vmfsctl disk rm-snapshot ds1:/vm.vmdk@s2
	[ -n "${live}" ] || atf_fail "no URI"
	hosts_stop
	atf_check -o ignore fsck.vmfs -n "${PWD}/lun"
}

# certificates DIR: of an authority, of a server and of a client.
certificates()
{
	mkdir -p "$1/ca" "$1/server" "$1/client"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
	    -keyout "$1/ca/key.pem" -out "$1/ca/ca-cert.pem" \
	    -subj /CN=authority -days 30 2>/dev/null
	printf 'subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n' \
	    >"$1/ext"
	for k in server client; do
		openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 \
		    -nodes -keyout "$1/$k/$k-key.pem" -out "$1/$k.csr" \
		    -subj "/CN=$k" 2>/dev/null
		openssl x509 -req -in "$1/$k.csr" -CA "$1/ca/ca-cert.pem" \
		    -CAkey "$1/ca/key.pem" -CAcreateserial -days 30 \
		    -extfile "$1/ext" -out "$1/$k/$k-cert.pem" 2>/dev/null
		cp "$1/ca/ca-cert.pem" "$1/$k"
	done
}

nbd_test_case tls_lets_in_who_proves_it
tls_lets_in_who_proves_it_body()
{
	certificates tls
	certificates other
	key=$(openssl rand -hex 32)
	echo "backup:${key}" >tls/server/keys.psk
	mkdir psk
	echo "backup:${key}" >psk/good
	echo "backup:$(openssl rand -hex 32)" >psk/bad
	host_with_disk
	attach vm.vmdk --listen=127.0.0.1:0 --tls="${PWD}/tls/server"
	at=${uri#nbds://}
	atf_check -o match:'with TLS' \
	    nbdinfo "${uri}?tls-certificates=${PWD}/tls/client"
	atf_check -o match:'with TLS' \
	    nbdinfo "nbds://backup@${at}?tls-psk-file=${PWD}/psk/good"
	port=${at#*:}
	atf_check -o match:'wrote 33554432' -o match:'read 33554432' qemu-io \
	    --object "tls-creds-x509,id=t,dir=${PWD}/tls/client,endpoint=client" \
	    -c 'write -P 3 1M 32M' -c 'read -P 3 1M 32M' --image-opts \
	    "driver=nbd,host=127.0.0.1,port=${port%%/*},export=vm.vmdk,tls-creds=t"
	# Neither without proof, nor with one that is not ours, nor in clear.
	for bad in "${uri}" "${uri}?tls-certificates=${PWD}/other/client" \
	    "nbds://backup@${at}?tls-psk-file=${PWD}/psk/bad" \
	    "nbds://other@${at}?tls-psk-file=${PWD}/psk/good" "nbd://${at}"; do
		atf_check -s not-exit:0 -o ignore -e ignore nbdinfo "${bad}"
	done
	atf_check -o match:'client refused: TLS' grep refused h1/log
	# The one that is let in still is.
	atf_check nbdcopy "${uri}?tls-certificates=${PWD}/tls/client" copy
	atf_check_equal 67108864 "$(stat -c %s copy)"
	atf_check vmfsctl disk detach ds1:/vm.vmdk
	hosts_stop
}

nbd_test_case what_is_not_safe_is_refused
what_is_not_safe_is_refused_body()
{
	host_with_disk
	on='vmfsctl disk attach --nbd ds1:/vm.vmdk'
	atf_check -s exit:1 -e match:'0.0.0.0.*--tls=DIRECTORY, or --insecure' \
	    ${on} --listen=0.0.0.0:0
	atf_check -s exit:2 -e match:'that of a socket, or ADDRESS:PORT' \
	    ${on} --listen=nowhere --insecure
	atf_check -s exit:2 -e match:'.127.0.0.1:70000.: expected .*65535' \
	    ${on} --listen=127.0.0.1:70000
	atf_check -s exit:2 -e match:'cannot listen at .nowhere:1' \
	    ${on} --listen=nowhere:1 --insecure
	mkdir empty
	atf_check -s not-exit:0 -e match:'neither server-cert.pem nor keys.psk' \
	    ${on} --listen=127.0.0.1:0 --tls="${PWD}/empty"
	echo 'backup:xyz' >empty/keys.psk
	atf_check -s exit:2 -e match:'line 1 of .*/keys.psk is not NAME:KEY' \
	    ${on} --listen=127.0.0.1:0 --tls="${PWD}/empty"
	echo junk >empty/server-cert.pem
	atf_check -s exit:2 -e match:'server-cert.pem cannot be used' \
	    ${on} --listen=127.0.0.1:0 --tls="${PWD}/empty"
	atf_check -s exit:2 -e match:'--queues does not go with --nbd' \
	    ${on} --queues=2
	atf_check -s exit:2 -e match:'--listen needs --nbd' \
	    vmfsctl disk attach ds1:/vm.vmdk --listen=127.0.0.1:0
	# A file that is in the way stays.
	echo kept >file
	atf_check -s not-exit:0 -e match:"cannot listen at '${PWD}/file'" \
	    ${on} --listen="${PWD}/file"
	atf_check -o inline:'kept\n' cat file
	# None of these has left anything behind.
	atf_check -o inline:'[]\n' -x \
	    'vmfsctl --json disk attached ds1 | jq -c .attachments'
	attach vm.vmdk --listen="${PWD}/sock"
	atf_check -s exit:1 -e match:'attached already' ${on}
	atf_check vmfsctl disk detach ds1:/vm.vmdk
	[ ! -e sock ] || atf_fail "the socket is left"
	atf_check vmfsctl ds unmount ds1
	hosts_stop
}

# One host writes a disk, by whatever way.
nbd_test_case lock_is_held_from_attach_to_detach
lock_is_held_from_attach_to_detach_body()
{
	host_with_disk
	host_start h2 "${PWD}/lun"
	attach vm.vmdk
	atf_check -s exit:4 -e match:'h1' \
	    vmfsctl -c h2/ctl disk attach --nbd ds1:/vm.vmdk
	atf_check -s not-exit:0 -o ignore -e ignore dd if=/dev/zero \
	    of=h2/mnt/vm-flat.vmdk bs=4k count=1 conv=notrunc
	# For reading, it is there; and its snapshots on any host.
	atf_check -o match:'^uri' vmfsctl -c h2/ctl disk attach --nbd \
	    --readonly ds1:/vm.vmdk
	there="nbd+unix:///vm.vmdk?socket=${PWD}/h2/nbd/ds1"
	atf_check -o match:'is_read_only: true' nbdinfo "${there}"
	# Who connects there sees what the owner has made of it.
	atf_check vmfsctl disk resize ds1:/vm.vmdk 128M
	until_true 30 size_is "${there}" 134217728 ||
	    atf_fail "its size is that of attaching"
	atf_check vmfsctl -c h2/ctl disk detach ds1:/vm.vmdk
	# A client in the midst of it: detach and unmount say so.
	qemu-io -f raw -c 'write 0 4k' -c 'sleep 60000' "${uri}" >qemu 2>&1 &
	client=$!
	until_true 30 attached_is /vm.vmdk written_bytes 4096 ||
	    atf_fail "it does not begin"
	atf_check -s exit:4 -e match:'a client uses /vm.vmdk.*--force' \
	    vmfsctl disk detach ds1:/vm.vmdk
	atf_check -s exit:4 -e match:'a client has the disk /vm.vmdk' \
	    vmfsctl ds unmount ds1
	atf_check vmfsctl disk detach --force ds1:/vm.vmdk
	atf_check -o match:'^uri' vmfsctl -c h2/ctl disk attach --nbd \
	    ds1:/vm.vmdk
	kill ${client}
	wait ${client} || :
	atf_check vmfsctl -c h2/ctl disk detach ds1:/vm.vmdk
	hosts_stop
}

# A client with an open disk goes on when the process that works dies.
nbd_test_case client_goes_on_after_a_kill_of_the_worker
client_goes_on_after_a_kill_of_the_worker_body()
{
	daemon_in=supervised
	host_with_disk
	attach vm.vmdk --listen=127.0.0.1:0
	port=${uri##*:}
	mkfifo orders
	qemu-io --image-opts "driver=raw,file.driver=nbd,file.host=127.0.0.1,\
file.port=${port%%/*},file.export=vm.vmdk,file.reconnect-delay=60" \
	    <orders >answers 2>&1 &
	client=$!
	exec 9>orders
	echo 'write -P 5 1M 64k' >&9
	until_true 30 attached_is /vm.vmdk written_bytes 65536 ||
	    atf_fail "it does not begin"
	kill_worker h1
	until_true 30 attached_is /vm.vmdk uri "${uri}" ||
	    atf_fail "it is not attached again at ${uri}"
	printf 'read -P 5 1M 64k\nwrite -P 6 2M 64k\nflush\nquit\n' >&9
	exec 9>&-
	wait ${client} || atf_fail "$(cat answers)"
	atf_check -o match:'read 65536/65536' cat answers
	atf_check -o not-match:'fail|differ' cat answers
	atf_check -o match:'read 65536/65536' qemu-io -f raw \
	    -c 'read -P 6 2M 64k' "${uri}"
	atf_check_equal held "$(attached /vm.vmdk lock)"
	atf_check vmfsctl disk detach ds1:/vm.vmdk
	hosts_stop
	atf_check -o ignore fsck.vmfs -n "${PWD}/lun"
}

nbd_test_case growth_and_a_full_datastore_are_seen
growth_and_a_full_datastore_are_seen_body()
{
	lun_make lun 256M
	host_start h1 "${PWD}/lun"
	export VMFSD_CONTROL="${PWD}/h1/ctl"
	atf_check vmfsctl disk create ds1:/vm.vmdk 64M
	attach vm.vmdk
	atf_check -o inline:'67108864\n' nbdinfo --size "${uri}"
	atf_check vmfsctl disk resize ds1:/vm.vmdk 1G
	atf_check -o inline:'1073741824\n' nbdinfo --size "${uri}"
	set -- qemu-io -f raw "${uri}"
	for i in $(seq 0 16 384); do
		set -- "$@" -c "write -P 5 ${i}M 16M"
	done
	atf_check -s not-exit:0 -o match:'No space left' -e ignore "$@"
	# What there was is there, and there is room again.
	atf_check -o ignore qemu-io -f raw -c 'read -P 5 0 1M' \
	    -c 'discard 0 512M' -c 'write -P 6 1M 1M' "${uri}"
	atf_check vmfsctl disk detach ds1:/vm.vmdk
	hosts_stop
}
