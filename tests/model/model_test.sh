# SPDX-License-Identifier: BSD-2-Clause
# Spin models of the protocol between hosts; see check-models.

atf_test_case models
models_head() {
	atf_set descr "mode 0 of every model is safe, the others are not"
	atf_set require.progs "spin cc"
}
models_body() {
	atf_check -s exit:0 -o match:'passed, 0 failed' -e empty \
	    "${VMFS_SRCDIR}/tests/model/check-models" "${VMFS_SRCDIR}" work
}

atf_init_test_cases() {
	atf_add_test_case models
}
