/* SPDX-License-Identifier: BSD-2-Clause */
/* Extended attributes. */
#include <sys/xattr.h>

#include "tests/posix/steps.h"

#define ANN	AS(1001, 1001, 0)
#define BOB	AS(1002, 1002, 0)

NEW_CASE(attributes_are_kept) = {
	MAKE(0, "f"), LISTX("f", ""), SETX(0, "f", "user.a", 100, 1),
	SETX(0, "f", "user.bb", 1, 2), SETX(0, "f", "trusted.c", 10, 3),
	GETX("f", "user.a", 100, 1), GETX("f", "user.bb", 1, 2),
	GETX("f", "trusted.c", 10, 3), LISTX("f", "user.a user.bb trusted.c "),
	NOX(-ENODATA, "f", "user.b"), SETX(0, "f", "user.a", 200, 4),
	GETX("f", "user.a", 200, 4), SETX(0, "f", "user.a", 0, 0),
	GETX("f", "user.a", 0, 0), GETX("f", "user.bb", 1, 2),
	RMX(0, "f", "user.bb"), RMX(-ENODATA, "f", "user.bb"),
	LISTX("f", "user.a trusted.c "), RMX(0, "f", "user.a"),
	RMX(0, "f", "trusted.c"), LISTX("f", ""), END,
};
NEW_CASE(attributes_belong_to_all_kinds) = {
	MKDIR(0, "d", 0755), SYMLINK(0, "d", "s"),
	SETX(0, "d", "user.a", 50, 1), SETX(0, "d", "trusted.a", 50, 2),
	SETX(0, "s", "trusted.a", 50, 3), GETX("d", "user.a", 50, 1),
	GETX("d", "trusted.a", 50, 2), GETX("s", "trusted.a", 50, 3),
	LISTX("s", "trusted.a "), READLINK("s", "d"), MAKE(0, "d/f"),
	LISTX("d/f", ""), RENAME(0, "d", "e"), GETX("e", "user.a", 50, 1),
	LINK(0, "e/f", "g"), SETX(0, "g", "user.a", 5, 5),
	GETX("e/f", "user.a", 5, 5), UNLINK(0, "s"), UNLINK(0, "g"),
	GETX("e/f", "user.a", 5, 5), END,
};
NEW_CASE(attributes_are_made_or_replaced) = {
	MAKE(0, "f"), SETX2(-ENODATA, "f", "user.a", 10, XATTR_REPLACE),
	SETX2(0, "f", "user.a", 10, XATTR_CREATE),
	SETX2(-EEXIST, "f", "user.a", 10, XATTR_CREATE),
	SETX2(0, "f", "user.a", 20, XATTR_REPLACE),
	GETX("f", "user.a", 20, 0), END,
};
NEW_CASE(attributes_outlive_changes_of_content) = {
	MAKE(0, "f"), SETX(0, "f", "user.a", 500, 1),
	PUT(0, "f", 0, 200000, 3), GETX("f", "user.a", 500, 1),
	RESIZE(0, "f", 0), CHMOD(0, "f", 0600), GETX("f", "user.a", 500, 1),
	MAKE(0, "g"), SETX(0, "g", "user.b", 5, 1), RENAME(0, "g", "f"),
	LISTX("f", "user.b "), END,
};
NEW_CASE(attributes_move_the_ctime) = {
	MAKE(0, "f"), MARK("f", "a"), SETX(0, "f", "user.a", 5, 1),
	NEWER("f", "a", CTIME), MARK("f", "a"), GETX("f", "user.a", 5, 1),
	LISTX("f", "user.a "), RMX(-ENODATA, "f", "user.b"),
	NEWER("f", "a", 0), MARK("f", "a"), RMX(0, "f", "user.a"),
	NEWER("f", "a", CTIME), END,
};
NEW_CASE(attributes_have_their_name_spaces) = {
	MAKE(0, "f"), SETX(-EOPNOTSUPP, "f", "other.a", 5, 1),
	NOX(-EOPNOTSUPP, "f", "other.a"), SETX(-ENOENT, "g", "user.a", 5, 1),
	RMX(-EOPNOTSUPP, "f", "other.a"), LISTX("f", ""), END,
};
/* One block of 4016 bytes: 4, the name and the value for each. */
NEW_CASE(attributes_of_one_file_fill_one_block) = {
	MAKE(0, "f"), SETX(-E2BIG, "f", "user.a", 4007, 1),
	SETX(0, "f", "user.a", 4006, 1), GETX("f", "user.a", 4006, 1),
	SETX(-ENOSPC, "f", "user.b", 0, 1), LISTX("f", "user.a "),
	SETX(0, "f", "user.a", 2000, 2), SETX(0, "f", "user.b", 1996, 3),
	SETX(-ENOSPC, "f", "user.a", 2001, 2), GETX("f", "user.a", 2000, 2),
	GETX("f", "user.b", 1996, 3), RMX(0, "f", "user.a"),
	GETX("f", "user.b", 1996, 3),
	SETX(-EOPNOTSUPP, "f", "system.posix_acl_access", 44, 0), END,
};
NEW_CASE(attributes_are_for_whom_the_mode_lets) = {
	ANN, MAKE_AS(0, "f", 0600), SETX(0, "f", "user.a", 5, 1),
	SETX(-EPERM, "f", "trusted.a", 5, 1), BOB,
	NOX(-EACCES, "f", "user.a"), SETX(-EACCES, "f", "user.a", 5, 2),
	RMX(-EACCES, "f", "user.a"), AS(0, 0, 0),
	SETX(0, "f", "trusted.a", 5, 3), ANN, LISTX("f", "user.a "),
	NOX(-ENODATA, "f", "trusted.a"), SYMLINK(0, "f", "s"),
	SETX(-EPERM, "s", "user.a", 5, 1), AS(0, 0, 0),
	LISTX("f", "user.a trusted.a "), END,
};

const struct posix_case posix_attrs[] = {
	CASE(attributes_are_kept, 0),
	CASE(attributes_belong_to_all_kinds, 0),
	CASE(attributes_are_made_or_replaced, 0),
	CASE(attributes_outlive_changes_of_content, 0),
	CASE(attributes_move_the_ctime, 0),
	CASE(attributes_have_their_name_spaces, 0),
	CASE(attributes_of_one_file_fill_one_block, POSIX_OURS),
	CASE(attributes_are_for_whom_the_mode_lets, POSIX_KERNEL),
	{ .name = NULL },
};
