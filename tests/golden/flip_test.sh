# SPDX-License-Identifier: BSD-2-Clause
# A share of the bytes of metadata, flipped; all of them: make check-flip.

atf_test_case some_bytes
some_bytes_head() { atf_set timeout 300; }
some_bytes_body()
{
	atf_check -o save:out -e ignore \
	    "$(atf_get_srcdir)/flip" "$(atf_config_get seed 1)" 1013
	cat out
	atf_check -o match:" 0 failed" tail -n 1 out
}

atf_init_test_cases()
{
	atf_add_test_case some_bytes
}
