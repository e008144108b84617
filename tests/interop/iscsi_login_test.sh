# SPDX-License-Identifier: BSD-2-Clause
# Initiators that nobody here wrote log in to the target and use it.
. "${VMFS_SRCDIR}/tests/interop/iscsi_target.subr"

secret=secret-of-twelve
other=the-other-secret

# A disk image with a recognisable pattern.
pattern_image()
{
	head -c 1048576 /dev/zero | tr '\0' "$2" >"$1"
	head -c 8388608 /dev/zero >>"$1"
	head -c 3145728 /dev/zero | tr '\0' 'z' >>"$1"
}

refused()
{
	atf_check -s not-exit:0 -o ignore -e ignore iscsi-inq "$@"
}

accepted()
{
	atf_check -o match:"Vendor:VMFSD" -e empty iscsi-inq "$@"
}

atf_test_case discovery_lists_target_and_lun
discovery_lists_target_and_lun_head()
{
	atf_set require.progs iscsi-ls
}
discovery_lists_target_and_lun_body()
{
	target_start --ram 64M --ram 32M
	atf_check -o match:"^Target:${target_iqn} Portal:${portal},1" \
	    -o match:"Lun:1" iscsi-ls -s "iscsi://${portal}"
	target_stop
}

atf_test_case discovery_hides_what_is_not_allowed
discovery_hides_what_is_not_allowed_head()
{
	atf_set require.progs iscsi-ls
}
discovery_hides_what_is_not_allowed_body()
{
	target_start --allow 'iqn.1999-01.nobody:*'
	atf_check -o empty iscsi-ls "iscsi://${portal}"
	target_stop
}

atf_test_case discovery_can_ask_for_chap
discovery_can_ask_for_chap_head()
{
	atf_set require.progs iscsi-ls
}
discovery_can_ask_for_chap_body()
{
	target_start --discovery-chap "host:${secret}"
	atf_check -s not-exit:0 -o empty -e ignore iscsi-ls "iscsi://${portal}"
	atf_check -o match:"${target_iqn}" \
	    iscsi-ls "iscsi://host%${secret}@${portal}"
	target_stop
}

atf_test_case inquiry_names_the_device
inquiry_names_the_device_head()
{
	atf_set require.progs iscsi-inq
}
inquiry_names_the_device_body()
{
	target_start
	accepted "${target}/0"
	target_stop
}

# LUN 1 is only where they are sent.
atf_test_case redirected_initiator_logs_in_elsewhere
redirected_initiator_logs_in_elsewhere_head()
{
	atf_set require.progs iscsi-inq
}
redirected_initiator_logs_in_elsewhere_body()
{
	target_start --ram 64M --ram 64M
	elsewhere_pid=${target_pid}
	exec 4>&3
	rm target.in target.out
	target_start --redirect "${portal}"
	accepted "${target}/1"
	target_stop
	exec 4>&-
	wait "${elsewhere_pid}" || atf_fail "the other target complained"
}

atf_test_case target_listens_on_ipv6
target_listens_on_ipv6_head()
{
	atf_set require.progs iscsi-inq
}
target_listens_on_ipv6_body()
{
	grep -q ' lo$' /proc/net/if_inet6 2>/dev/null || atf_skip "no IPv6"
	target_start --listen '[::1]:0'
	accepted "${target}/0"
	target_stop
}

atf_test_case missing_lun_or_target_is_refused
missing_lun_or_target_is_refused_head()
{
	atf_set require.progs iscsi-inq
}
missing_lun_or_target_is_refused_body()
{
	target_start
	refused "iscsi://${portal}/iqn.2026-11.io.vmfsd:other/0"
	refused -e 1 -c 0x80 "${target}/7"
	accepted "${target}/0"
	target_stop
}

atf_test_case initiator_not_allowed_is_refused
initiator_not_allowed_is_refused_head()
{
	atf_set require.progs iscsi-inq
}
initiator_not_allowed_is_refused_body()
{
	target_start --allow 'iqn.2026-11.io.vmfsd:host*'
	refused "${target}/0"
	refused -i iqn.2026-11.io.vmfsd:guest "${target}/0"
	accepted -i iqn.2026-11.io.vmfsd:host9 "${target}/0"
	target_stop
}

atf_test_case chap_lets_in_with_the_secret_only
chap_lets_in_with_the_secret_only_head()
{
	atf_set require.progs iscsi-inq
}
chap_lets_in_with_the_secret_only_body()
{
	target_start --chap "host:${secret}"
	refused "${target}/0"
	refused "iscsi://host%wrong-secret-12@${portal}/${target_iqn}/0"
	refused "iscsi://guest%${secret}@${portal}/${target_iqn}/0"
	accepted "iscsi://host%${secret}@${portal}/${target_iqn}/0"
	target_stop
}

atf_test_case chap_proves_the_target_as_well
chap_proves_the_target_as_well_head()
{
	atf_set require.progs iscsi-inq
}
chap_proves_the_target_as_well_body()
{
	target_start --chap "host:${secret}" --mutual "disk:${other}"
	url="iscsi://host%${secret}@${portal}/${target_iqn}/0"
	accepted "${url}?target_user=disk&target_password=${other}"
	refused "${url}?target_user=disk&target_password=not-that-secret"
	target_stop
}

atf_test_case image_comes_back_as_written
image_comes_back_as_written_head()
{
	atf_set require.progs qemu-img
}
image_comes_back_as_written_body()
{
	target_start --ram 12M
	pattern_image in.raw a
	atf_check -o ignore qemu-img convert -n -f raw -O raw in.raw \
	    "${target}/0"
	atf_check -o match:identical qemu-img compare -f raw -F raw in.raw \
	    "${target}/0"
	atf_check -o ignore qemu-img convert -f raw -O raw "${target}/0" \
	    out.raw
	atf_check cmp in.raw out.raw
	target_stop
}

atf_test_case image_on_4k_blocks_comes_back
image_on_4k_blocks_comes_back_head()
{
	atf_set require.progs qemu-img
}
image_on_4k_blocks_comes_back_body()
{
	target_start --block-size 4096 --ram 12M
	pattern_image in.raw b
	atf_check -o ignore qemu-img convert -n -f raw -O raw in.raw \
	    "${target}/0"
	atf_check -o ignore qemu-img convert -f raw -O raw "${target}/0" \
	    out.raw
	atf_check cmp in.raw out.raw
	target_stop
}

atf_test_case file_lun_holds_what_was_written
file_lun_holds_what_was_written_head()
{
	atf_set require.progs qemu-img
}
file_lun_holds_what_was_written_body()
{
	truncate -s 12M lun.raw
	pattern_image in.raw c
	target_start --file "${PWD}/lun.raw"
	atf_check -o ignore qemu-img convert -n -f raw -O raw in.raw \
	    "${target}/0"
	target_stop
	atf_check cmp in.raw lun.raw
}

# Writes of all sizes around FirstBurstLength and MaxBurstLength, many at once.
atf_test_case long_and_parallel_writes
long_and_parallel_writes_head()
{
	atf_set require.progs qemu-io
}
long_and_parallel_writes_body()
{
	target_start --ram 64M
	set --
	at=0
	for size in 512 4096 261632 262144 262656 524288 1048576 8388608; do
		set -- "$@" -c "aio_write -P ${#size} ${at} ${size}"
		at=$((at + size))
	done
	set -- "$@" -c aio_flush
	at=0
	for size in 512 4096 261632 262144 262656 524288 1048576 8388608; do
		set -- "$@" -c "read -P ${#size} ${at} ${size}"
		at=$((at + size))
	done
	atf_check -o not-match:"ailed|rror" -e empty \
	    qemu-io -f raw "$@" "${target}/0"
	target_stop
}

atf_test_case header_digest_is_agreed
header_digest_is_agreed_head()
{
	atf_set require.progs qemu-img qemu-io
}
header_digest_is_agreed_body()
{
	target_start --ram 12M --verbose
	for digest in crc32c crc32c-none none-crc32c none; do
		atf_check -o not-match:"ailed|rror" -e empty qemu-io \
		    --image-opts -c "write -P 7 0 2M" -c "read -P 7 0 2M" \
		    "driver=iscsi,transport=tcp,portal=${portal},target=${target_iqn},lun=0,header-digest=${digest}"
	done
	target_stop
}

atf_test_case two_sessions_see_the_same_unit
two_sessions_see_the_same_unit_head()
{
	atf_set require.progs qemu-img qemu-io
}
two_sessions_see_the_same_unit_body()
{
	target_start --ram 16M --ram 16M
	atf_check -o ignore qemu-io -f raw -c "write -P 9 0 16M" "${target}/0"
	# Copies between two units: both sessions are open at the same time.
	atf_check -o ignore qemu-img convert -n -f raw -O raw "${target}/0" \
	    "${target}/1"
	atf_check -o match:identical qemu-img compare -f raw -F raw \
	    "${target}/0" "${target}/1"
	target_stop
}

atf_test_case readonly_unit_refuses_writes
readonly_unit_refuses_writes_head()
{
	atf_set require.progs qemu-io
}
readonly_unit_refuses_writes_body()
{
	target_start --ram 16M --readonly
	atf_check -o match:"read 4096/4096" qemu-io -r -f raw \
	    -c "read 0 4k" "${target}/0"
	atf_check -s not-exit:0 -o ignore -e ignore qemu-io -f raw \
	    -c "write 0 4k" "${target}/0"
	target_stop
}

atf_init_test_cases()
{
	atf_add_test_case discovery_lists_target_and_lun
	atf_add_test_case discovery_hides_what_is_not_allowed
	atf_add_test_case discovery_can_ask_for_chap
	atf_add_test_case inquiry_names_the_device
	atf_add_test_case redirected_initiator_logs_in_elsewhere
	atf_add_test_case target_listens_on_ipv6
	atf_add_test_case missing_lun_or_target_is_refused
	atf_add_test_case initiator_not_allowed_is_refused
	atf_add_test_case chap_lets_in_with_the_secret_only
	atf_add_test_case chap_proves_the_target_as_well
	atf_add_test_case image_comes_back_as_written
	atf_add_test_case image_on_4k_blocks_comes_back
	atf_add_test_case file_lun_holds_what_was_written
	atf_add_test_case long_and_parallel_writes
	atf_add_test_case header_digest_is_agreed
	atf_add_test_case two_sessions_see_the_same_unit
	atf_add_test_case readonly_unit_refuses_writes
}
