# SPDX-License-Identifier: BSD-2-Clause
# Inputs of the fuzz programs, replayed in this build: the seeds, what the
# fuzzer found worth keeping, and what once broke something.

fuzz=${VMFS_SRCDIR}/tests/fuzz
bin=${VMFS_BUILDDIR}/tests/fuzz

replay() {
	atf_check "${bin}/seeds" "${fuzz}/seeds.txt" seeds
	set -- "$1" "seeds/$1"
	if [ -f "${fuzz}/corpus/$1.tar.xz" ]; then
		tar -xJf "${fuzz}/corpus/$1.tar.xz"
		set -- "$@" "corpus/$1"
	fi
	[ ! -d "${fuzz}/regress/$1" ] || set -- "$@" "${fuzz}/regress/$1"
	program=${bin}/fuzz_$1
	shift
	"${program}" "$@" >out 2>err || {
		tail -n 1 out; tail -n 30 err
		atf_fail "the input named above broke ${program##*/}"
	}
	atf_check -o match:'^[1-9][0-9]* inputs$' tail -n 1 out
}

# An input that breaks a rule must end the program: else nothing is proven.
atf_test_case broken_rule_is_seen
broken_rule_is_seen_body() {
	printf 'x' >input
	atf_check -s signal:abrt -o ignore -e match:'broken: ' \
	    "${bin}/fuzz_broken" input
}

for program in conn format image login nbd pdu scsi text; do
	eval "atf_test_case ${program}
	${program}_head() {
		atf_set descr 'inputs of fuzz_${program} break nothing'
	}
	${program}_body() { replay ${program}; }"
done

atf_init_test_cases() {
	for program in conn format image login nbd pdu scsi text; do
		atf_add_test_case "${program}"
	done
	atf_add_test_case broken_rule_is_seen
}
