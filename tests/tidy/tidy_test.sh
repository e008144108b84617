# SPDX-License-Identifier: BSD-2-Clause
# The rules of HACKING.md, each proved on the tree and shown to see a
# violation planted in a small tree of its own.

rules=$VMFS_SRCDIR/tests/tidy

# A tree without any violation, to plant one in.
tree() {
	mkdir -p t/libvmfs/base t/libvmfs/env t/iscsi t/mkfs t/tests/unit bin
	cat >t/libvmfs/base/a.h <<-'X'
	/* SPDX-License-Identifier: BSD-2-Clause */
	#ifndef A_H
	#define A_H
	#include <stdint.h>
	uint32_t a(void);
	#endif
	X
	cat >t/libvmfs/base/a.c <<-'X'
	/* SPDX-License-Identifier: BSD-2-Clause */
	#include "libvmfs/base/a.h"
	uint32_t
	a(void)
	{
		return 1;
	}
	X
	cat >t/libvmfs/base/Makefile.am.inc <<-'X'
	lib_SOURCES = libvmfs/base/a.c \
		libvmfs/base/a.h
	X
	echo 'sbin_PROGRAMS += mkfs/mkfs.x' >t/mkfs/Makefile.am.inc
	cat >t/mkfs/mkfs.x.8 <<-'X'
	.Dd January 1, 2026
	.Dt MKFS.X 8
	.Os
	.Sh NAME
	.Nm mkfs.x
	.Nd make an x
	.Sh SYNOPSIS
	.Nm
	.Op Fl fh
	.Op Fl -label Ar text
	.Sh DESCRIPTION
	Makes an x.
	.Bl -tag -width Ds
	.It Fl f
	By force.
	.It Fl h , -help
	Shows a summary.
	.It Fl -label Ar text
	Names it.
	.It Ic lock show Op Ar name
	Shows locks.
	.El
	X
	mkdir -p bin/mkfs
	cat >bin/mkfs/mkfs.x <<-'X'
	#!/bin/sh
	cat <<'H'
	usage: mkfs.x [-fh] [--label TEXT]
	  -f          by force
	  -h, --help  this text
	      --label TEXT  a name

	Commands:
	  lock show [NAME]   shows locks
	H
	X
	chmod +x bin/mkfs/mkfs.x
	cat >t/tests/unit/Makefile.am.inc <<-'X'
	check_PROGRAMS += tests/unit/a_test
	X
	echo 'atf_test_program{name="a_test"}' >t/tests/unit/Kyuafile
}

# clean RULE [ARG]: the rule has nothing to say; seen RULE PATTERN [ARG]: it does.
clean() {
	atf_check -o ignore sh "$rules/$1.sh" t ${2:+"$2"}
}
seen() {
	atf_check -s exit:1 -o match:"$2" sh "$rules/$1.sh" t ${3:+"$3"}
}

atf_test_case layers
layers_body() {
	atf_check sh "$rules/layers.sh" "$VMFS_SRCDIR"
}
atf_test_case layers_sees_a_wrong_arrow
layers_sees_a_wrong_arrow_body() {
	tree
	clean layers
	echo '#include "libvmfs/env/b.h"' >>t/libvmfs/base/a.c
	seen layers 'base/a.c:8: libvmfs/base may not include "libvmfs/env/b.h"'
}
atf_test_case layers_sees_a_foreign_library
layers_sees_a_foreign_library_body() {
	tree
	echo '#include <openssl/evp.h>' >t/iscsi/chap.c
	clean layers
	echo '#include <openssl/evp.h>' >t/iscsi/pdu.c
	seen layers 'iscsi/pdu.c:1: <openssl/evp.h> may not be used here'
}
atf_test_case layers_sees_a_call_of_the_world
layers_sees_a_call_of_the_world_body() {
	tree
	echo 'int t(void) { return open("x", 0); }' >t/libvmfs/env/f.c
	echo 'const char *s = "call open (2)"; int disk_open(void);' >t/iscsi/b.c
	clean layers
	for call in 'time(NULL)' 'open("x", 0)' 'rand()' 'socket(1, 2, 3)' \
	    'pthread_create(0, 0, 0, 0)' 'clock_gettime(0, 0)'; do
		echo "void t(void) { $call; }" >t/iscsi/b.c
		seen layers 'iscsi/b.c:1: call outside an adapter'
	done
}

atf_test_case sizes
sizes_head() {
	atf_set require.progs ctags
}
sizes_body() {
	atf_check sh "$rules/sizes.sh" "$VMFS_SRCDIR"
}
atf_test_case sizes_sees_a_long_file
sizes_sees_a_long_file_body() {
	tree
	{ echo '/* */'; yes 'extern int x;' | head -n 799; } >t/iscsi/b.c
	clean sizes
	echo 'extern int y;' >>t/iscsi/b.c
	seen sizes 'iscsi/b.c: 801 lines, more than 800'
	sed -i '1s,.*,/* The data table of b. */,' t/iscsi/b.c
	clean sizes
}
atf_test_case sizes_sees_a_long_function
sizes_sees_a_long_function_head() {
	atf_set require.progs ctags
}
sizes_sees_a_long_function_body() {
	tree
	{ echo 'int'; echo 'b(void)'; echo '{'; yes '	a();' | head -n 76
	    echo '	return 0;'; echo '}'; } >t/iscsi/b.c
	clean sizes
	sed -i '4s/.*/	a();\n	a();/' t/iscsi/b.c
	seen sizes 'iscsi/b.c:2: b\(\) has 81 lines, more than 80'
}

atf_test_case headers
headers_body() {
	atf_check sh "$rules/headers.sh" "$VMFS_SRCDIR" \
	    "$VMFS_BUILDDIR/tests/tidy/compile"
}
atf_test_case headers_sees_one_that_needs_another
headers_sees_one_that_needs_another_body() {
	tree
	clean headers "$VMFS_BUILDDIR/tests/tidy/compile"
	echo 'size_t b(void);' >t/iscsi/b.h
	seen headers 'iscsi/b.h: does not compile alone' \
	    "$VMFS_BUILDDIR/tests/tidy/compile"
}

atf_test_case listed
listed_body() {
	atf_check sh "$rules/listed.sh" "$VMFS_SRCDIR"
}
atf_test_case listed_sees_a_forgotten_source
listed_sees_a_forgotten_source_body() {
	tree
	clean listed
	echo 'int b;' >t/iscsi/b.c
	seen listed 'iscsi/b.c: in no Makefile.am.inc'
}
atf_test_case listed_sees_a_forgotten_directory
listed_sees_a_forgotten_directory_body() {
	tree
	mkdir -p t/build-x/new t/new
	echo 'int b;' >t/build-x/new/b.c
	clean listed
	echo 'int b;' >t/new/b.c
	seen listed 'new: no rule of tests/tidy looks there'
}
atf_test_case listed_sees_a_forgotten_text
listed_sees_a_forgotten_text_body() {
	tree
	mkdir -p t/doc/adr
	echo a >t/doc/A.md
	echo b >t/doc/adr/b.md
	printf 'EXTRA_DIST = doc/A.md \\\n\tdoc/adr/b.md\n' >t/Makefile.am
	clean listed
	echo c >t/doc/adr/c.md
	seen listed 'doc/adr/c.md: not in the Makefile.am'
}
atf_test_case listed_sees_kyuafile_out_of_step
listed_sees_kyuafile_out_of_step_body() {
	tree
	clean listed
	echo 'atf_test_program{name="b_test"}' >>t/tests/unit/Kyuafile
	seen listed 'tests/unit/Kyuafile: b_test is named but not built'
	echo 'atf_test_program{name="b_test"}' >t/tests/unit/Kyuafile
	echo 'check_SCRIPTS += tests/unit/b_test' >>t/tests/unit/Makefile.am.inc
	seen listed 'tests/unit/Kyuafile: a_test is built but not named'
}

atf_test_case text
text_body() {
	atf_check sh "$rules/text.sh" "$VMFS_SRCDIR"
}
atf_test_case text_sees_a_missing_licence
text_sees_a_missing_licence_body() {
	tree
	clean text
	sed -i 1d t/libvmfs/base/a.c
	seen text 'libvmfs/base/a.c: no SPDX line'
}
atf_test_case text_sees_unfinished_work
text_sees_unfinished_work_body() {
	tree
	clean text
	for word in TO''DO FIX''ME; do
		sed -i "3s,.*,/* $word: later */," t/libvmfs/base/a.h
		seen text "libvmfs/base/a.h:3:.*$word"
	done
}

atf_test_case man
man_head() {
	atf_set require.progs mandoc
}
man_body() {
	atf_check sh "$rules/man.sh" "$VMFS_SRCDIR" "$VMFS_BUILDDIR"
}
atf_test_case man_sees_what_is_missing
man_sees_what_is_missing_head() {
	atf_set require.progs mandoc
}
man_sees_what_is_missing_body() {
	tree
	clean man "$PWD/bin"
	sed -i 's/^  -f .*/&\n  -q  quiet/' bin/mkfs/mkfs.x
	seen man 'mkfs.x.8: option -q of --help is missing' "$PWD/bin"
	sed -i 's/^  -q .*/      --loud  not/' bin/mkfs/mkfs.x
	seen man 'mkfs.x.8: option --loud of --help is missing' "$PWD/bin"
	sed -i 's/^ *--loud .*//; s/^  lock show .*/&\n  lock break  x/' \
	    bin/mkfs/mkfs.x
	seen man 'mkfs.x.8: command lock break of --help is missing' \
	    "$PWD/bin"
}
atf_test_case man_sees_what_is_no_more
man_sees_what_is_no_more_head() {
	atf_set require.progs mandoc
}
man_sees_what_is_no_more_body() {
	tree
	clean man "$PWD/bin"
	sed -i 's/^\.It Fl f$/.It Fl f , Fl -force/' t/mkfs/mkfs.x.8
	seen man 'mkfs.x.8: option --force is not in --help' "$PWD/bin"
	sed -i 's/^\.It Fl f.*/.It Fl f , q Ar n/' t/mkfs/mkfs.x.8
	seen man 'mkfs.x.8: option -q is not in --help' "$PWD/bin"
	sed -i 's/^\.It Fl f.*/.It Fl f/; s/^\.It Ic lock show/&all/' \
	    t/mkfs/mkfs.x.8
	seen man 'mkfs.x.8: command lock showall is not in --help' "$PWD/bin"
}
atf_test_case man_sees_a_missing_or_broken_page
man_sees_a_missing_or_broken_page_head() {
	atf_set require.progs mandoc
}
man_sees_a_missing_or_broken_page_body() {
	tree
	clean man "$PWD/bin"
	printf '.Bl -tag\n.El\n.El\n' >>t/mkfs/mkfs.x.8
	seen man 'mandoc: .*ERROR' "$PWD/bin"
	rm t/mkfs/mkfs.x.8
	seen man 'mkfs/mkfs.x: no man page' "$PWD/bin"
}

atf_test_case mutants_still_apply
mutants_still_apply_body() {
	atf_check "$VMFS_SRCDIR/tests/mutants/check-mutants" -n "$VMFS_SRCDIR"
}
atf_test_case mutants_sees_one_that_does_not
mutants_sees_one_that_does_not_body() {
	cp "$VMFS_SRCDIR/tests/mutants/check-mutants" .
	cat >mutants.txt <<-END
	== gone
	tests: unit/x_test
	file: a.c
	why: because
	-int b;
	+int c;
	END
	echo 'int a;' >a.c
	atf_check -s exit:1 -o match:'^gone: NOT APPLIED: .* 0 times in a.c' \
	    ./check-mutants -n "$PWD"
}

atf_init_test_cases() {
	atf_add_test_case layers
	atf_add_test_case layers_sees_a_wrong_arrow
	atf_add_test_case layers_sees_a_foreign_library
	atf_add_test_case layers_sees_a_call_of_the_world
	atf_add_test_case sizes
	atf_add_test_case sizes_sees_a_long_file
	atf_add_test_case sizes_sees_a_long_function
	atf_add_test_case headers
	atf_add_test_case headers_sees_one_that_needs_another
	atf_add_test_case listed
	atf_add_test_case listed_sees_a_forgotten_source
	atf_add_test_case listed_sees_a_forgotten_directory
	atf_add_test_case listed_sees_a_forgotten_text
	atf_add_test_case listed_sees_kyuafile_out_of_step
	atf_add_test_case text
	atf_add_test_case text_sees_a_missing_licence
	atf_add_test_case text_sees_unfinished_work
	atf_add_test_case man
	atf_add_test_case man_sees_what_is_missing
	atf_add_test_case man_sees_what_is_no_more
	atf_add_test_case man_sees_a_missing_or_broken_page
	atf_add_test_case mutants_still_apply
	atf_add_test_case mutants_sees_one_that_does_not
}
