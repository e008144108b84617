# SPDX-License-Identifier: BSD-2-Clause
# Seeds of vmfs-sim: those that once found something, and some of this commit.

atf_test_case regression_seeds
regression_seeds_head() {
	atf_set descr "seeds that found bugs find none"
}
regression_seeds_body() {
	grep -v '^#' "${VMFS_SRCDIR}/tests/sim/regression.seeds" |
	    while read -r seed rest; do
		# shellcheck disable=SC2086
		atf_check -s exit:0 -o ignore -e ignore \
		    "${VMFS_BUILDDIR}/tests/sim/vmfs-sim" --seed "${seed}" ${rest}
	done
}

atf_test_case fresh_seeds
fresh_seeds_head() {
	atf_set descr "some seeds, every tenth of them twice"
}
fresh_seeds_body() {
	atf_check -s exit:0 -o save:out -e ignore \
	    "${VMFS_BUILDDIR}/tests/sim/vmfs-sim" --seeds 1-50 --twice 10
	tail -n 2 out
}

atf_test_case rotten_seeds
rotten_seeds_head() {
	atf_set descr "metadata that rots is told, and nothing is lost for it"
}
rotten_seeds_body() {
	atf_check -s exit:0 -o ignore -e ignore \
	    "${VMFS_BUILDDIR}/tests/sim/vmfs-sim" --seeds 2040-2059 \
	    --faults rot,flip,crash,leave,image
}

atf_init_test_cases() {
	atf_add_test_case regression_seeds
	atf_add_test_case fresh_seeds
	atf_add_test_case rotten_seeds
}
