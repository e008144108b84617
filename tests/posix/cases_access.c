/* SPDX-License-Identifier: BSD-2-Clause */
/* Owners, modes and who may do what; directories full of names. */
#include "tests/posix/steps.h"

#define ROOT	AS(0, 0, 0)
#define ANN	AS(1001, 1001, 0)
#define BOB	AS(1002, 1002, 0)

NEW_CASE(modes_and_owners_are_kept) = {
	MAKE_AS(0, "f", 0640), MODE("f", 0640), OWNER("f", 0, 0),
	CHMOD(0, "f", 07777), MODE("f", 07777), CHMOD(0, "f", 0),
	MODE("f", 0), CHOWN(0, "f", 1001, 1002), OWNER("f", 1001, 1002),
	MKDIR(0, "d", 0700), MODE("d", 0700), CHMOD(0, "d", 01777),
	MODE("d", 01777), CHOWN(0, "d", 5, 6), OWNER("d", 5, 6), END,
};
NEW_CASE(who_makes_it_owns_it) = {
	ANN, MAKE_AS(0, "f", 0666), MKDIR(0, "d", 0777), SYMLINK(0, "x", "s"),
	OWNER("f", 1001, 1001), OWNER("d", 1001, 1001), OWNER("s", 1001, 1001),
	AS(1002, 1002, 027), MAKE_AS(0, "g", 0666), MKDIR(0, "e", 0777),
	MODE("g", 0640), MODE("e", 0750), OWNER("g", 1002, 1002), END,
};
NEW_CASE(others_may_what_the_mode_says) = {
	ANN, MAKE_AS(0, "f", 0600), PUT(0, "f", 0, 10, 1), BOB,
	OPEN(-EACCES, "a", "f", O_RDONLY), OPEN(-EACCES, "a", "f", O_WRONLY),
	CHMOD(-EPERM, "f", 0666), CHOWN(-EPERM, "f", 1002, 1002),
	UTIME(-EPERM, "f", 1, 1), RESIZE(-EACCES, "f", 0),
	ANN, CHMOD(0, "f", 0604), BOB, OPEN(0, "a", "f", O_RDONLY),
	FGET(0, "a", 0, 10, 1), CLOSE("a"), OPEN(-EACCES, "a", "f", O_RDWR),
	ANN, CHMOD(0, "f", 0602), BOB, OPEN(0, "a", "f", O_WRONLY),
	FPUT(0, "a", 0, 10, 2), CLOSE("a"), ANN, GET("f", 0, 10, 2),
	CHMOD(0, "f", 0060), AS(1003, 1001, 0), OPEN(0, "a", "f", O_RDWR),
	CLOSE("a"), ANN, OPEN(-EACCES, "a", "f", O_RDONLY), END,
};
NEW_CASE(directories_guard_their_names) = {
	ANN, MKDIR(0, "d", 0755), MAKE(0, "d/f"), BOB, IS_FILE("d/f"),
	MAKE(-EACCES, "d/g"), MKDIR(-EACCES, "d/e", 0755),
	SYMLINK(-EACCES, "x", "d/s"), UNLINK(-EACCES, "d/f"),
	RENAME(-EACCES, "d/f", "g"), RMDIR(-ENOTEMPTY, "d"),
	ANN, CHMOD(0, "d", 0744), BOB, LIST("d", "f "),
	IS(-EACCES, "d/f", 0), OPEN(-EACCES, "a", "d/f", O_RDONLY),
	ANN, CHMOD(0, "d", 0711), BOB, IS_FILE("d/f"),
	S(LIST, -EACCES, .a = "d", .b = ""), ANN, CHMOD(0, "d", 0777), BOB,
	MAKE(0, "d/g"), UNLINK(0, "d/f"), LIST("d", "g "), END,
};
NEW_CASE(sticky_directories_guard_what_others_own) = {
	MKDIR(0, "d", 01777), ANN, MAKE(0, "d/f"), MKDIR(0, "d/e", 0777),
	BOB, UNLINK(-EPERM, "d/f"), RMDIR(-EPERM, "d/e"),
	RENAME(-EPERM, "d/f", "d/g"), MAKE(0, "d/h"),
	RENAME(-EPERM, "d/h", "d/f"), RENAME(0, "d/h", "h"), ANN,
	RENAME(0, "d/f", "d/g"), UNLINK(0, "d/g"), RMDIR(0, "d/e"), ROOT,
	CHOWN(0, "d", 1002, 0), ANN, MAKE(0, "d/f"), BOB, UNLINK(0, "d/f"),
	END,
};
NEW_CASE(setgid_directories_pass_their_group_on) = {
	MKDIR(0, "d", 0777), CHOWN(0, "d", 0, 4242), CHMOD(0, "d", 02777),
	ANN, MAKE_AS(0, "d/f", 0644), OWNER("d/f", 1001, 4242),
	MODE("d/f", 0644), MKDIR(0, "d/e", 0755), OWNER("d/e", 1001, 4242),
	MODE("d/e", 02755), SYMLINK(0, "x", "d/s"), OWNER("d/s", 1001, 4242),
	MAKE(0, "d/e/f"), OWNER("d/e/f", 1001, 4242), MAKE(0, "f"),
	OWNER("f", 1001, 1001), OPEN(0, "a", "d/g", O_RDWR | O_CREAT),
	CLOSE("a"), OWNER("d/g", 1001, 4242), END,
};
NEW_CASE(set_id_bits_do_not_outlive_a_change) = {
	ANN, MAKE_AS(0, "f", 0777), CHMOD(0, "f", 06777), MODE("f", 06777),
	BOB, PUT(0, "f", 0, 10, 1), MODE("f", 0777), ANN,
	CHMOD(0, "f", 06777), BOB, RESIZE(0, "f", 5), MODE("f", 0777), ROOT,
	CHMOD(0, "f", 06777), CHOWN(0, "f", 1002, 1002), MODE("f", 0777), END,
};
NEW_CASE(groups_are_given_by_members) = {
	ANN, MAKE(0, "f"), CHOWN(-EPERM, "f", 1001, 1002),
	CHOWN(0, "f", 1001, 1001), CHOWN(-EPERM, "f", 1002, 1001),
	ROOT, CHOWN(0, "f", 1001, 1002), ANN, CHMOD(0, "f", 02755),
	MODE("f", 0755), END,
};

const struct posix_case posix_access[] = {
	CASE(modes_and_owners_are_kept, 0),
	CASE(who_makes_it_owns_it, POSIX_KERNEL),
	CASE(others_may_what_the_mode_says, POSIX_KERNEL),
	CASE(directories_guard_their_names, POSIX_KERNEL),
	CASE(sticky_directories_guard_what_others_own, POSIX_KERNEL),
	CASE(setgid_directories_pass_their_group_on, POSIX_KERNEL),
	CASE(set_id_bits_do_not_outlive_a_change, POSIX_KERNEL),
	CASE(groups_are_given_by_members, POSIX_KERNEL),
	{ .name = NULL },
};

/* ---- many names ---- */

NEW_CASE(full_directories_lose_nothing) = {
	MKDIR(0, "d", 0755), FILL("d", 0), ALL("d", 0), MAKE(0, "d/more"),
	RMDIR(-ENOTEMPTY, "d"), UNLINK(0, "d/more"), GONE("d/entry-of-none"),
	DRAIN("d", 0), LIST("d", ""), RMDIR(0, "d"), ROOM(), END,
};
NEW_CASE(directories_change_while_they_are_read) = {
	MKDIR(0, "d", 0755), FILL("d", 300), CHURN("d", 300), END,
};
NEW_CASE(directories_shrink_and_grow_again) = {
	MKDIR(0, "d", 0755), FILL("d", 100), DRAIN("d", 100), LIST("d", ""),
	FILL("d", 200), ALL("d", 200), DRAIN("d", 200), RMDIR(0, "d"), END,
};

const struct posix_case posix_dirs[] = {
	CASE(full_directories_lose_nothing, 0),
	CASE(directories_change_while_they_are_read, 0),
	CASE(directories_shrink_and_grow_again, 0),
	{ .name = NULL },
};
