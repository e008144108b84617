/* SPDX-License-Identifier: BSD-2-Clause */
/* Names: made, moved, exchanged, removed. */
#include "tests/posix/steps.h"

/* ---- rename ---- */

NEW_CASE(rename_replaces_a_file) = {
	MAKE(0, "a"), PUT(0, "a", 0, 100, 7), MAKE(0, "b"),
	PUT(0, "b", 0, 5000, 9),
	RENAME(0, "a", "b"), GONE("a"), SIZE("b", 100), GET("b", 0, 100, 7),
	LIST("", "b "), END,
};
NEW_CASE(rename_moves_between_directories) = {
	MKDIR(0, "d", 0755), MKDIR(0, "e", 0755), MAKE(0, "d/a"),
	PUT(0, "d/a", 0, 70000, 3),
	RENAME(0, "d/a", "e/b"), GONE("d/a"), GET("e/b", 0, 70000, 3),
	LIST("d", ""), LIST("e", "b "), RENAME(0, "e/b", "b"),
	GET("b", 0, 70000, 3), END,
};
NEW_CASE(rename_moves_a_directory_with_what_is_in_it) = {
	MKDIR(0, "d", 0755), MKDIR(0, "e", 0755), MKDIR(0, "d/x", 0755),
	MAKE(0, "d/x/f"), NLINK("d", 3), NLINK("e", 2),
	RENAME(0, "d/x", "e/y"), IS_FILE("e/y/f"), NLINK("d", 2),
	NLINK("e", 3), RENAME(0, "e/y", "e/z"), NLINK("e", 3),
	IS_FILE("e/z/f"), END,
};
NEW_CASE(rename_replaces_an_empty_directory) = {
	MKDIR(0, "d", 0755), MKDIR(0, "e", 0755), MAKE(0, "d/f"), NLINK("", 4),
	RENAME(0, "d", "e"), GONE("d"), LIST("e", "f "), NLINK("", 3), END,
};
NEW_CASE(rename_over_a_full_directory_is_refused) = {
	MKDIR(0, "d", 0755), MKDIR(0, "e", 0755), MAKE(0, "e/f"),
	RENAME(-ENOTEMPTY, "d", "e"), IS_DIR("d"), LIST("e", "f "), END,
};
NEW_CASE(rename_does_not_mix_files_and_directories) = {
	MKDIR(0, "d", 0755), MAKE(0, "f"), SYMLINK(0, "d", "s"),
	RENAME(-EISDIR, "f", "d"), RENAME(-ENOTDIR, "d", "f"),
	RENAME(-ENOTDIR, "d", "s"), RENAME(0, "f", "s"), IS_FILE("s"), END,
};
NEW_CASE(rename_into_itself_is_refused) = {
	MKDIR(0, "d", 0755), MKDIR(0, "d/e", 0755), MKDIR(0, "d/e/f", 0755),
	RENAME(-EINVAL, "d", "d/x"), RENAME(-EINVAL, "d", "d/e/x"),
	RENAME(-EINVAL, "d", "d/e/f/x"), RENAME(-ENOTEMPTY, "d/e/f", "d"),
	IS_DIR("d/e/f"), END,
};
NEW_CASE(rename_to_itself_does_nothing) = {
	MAKE(0, "a"), PUT(0, "a", 0, 10, 5), RENAME(0, "a", "a"),
	GET("a", 0, 10, 5), MKDIR(0, "d", 0755), RENAME(0, "d", "d"),
	IS_DIR("d"), END,
};
NEW_CASE(rename_of_nothing_is_refused) = {
	MAKE(0, "f"), RENAME(-ENOENT, "a", "b"), RENAME(-ENOENT, "f", "d/b"),
	RENAME(-ENOENT, "d/f", "b"), RENAME(-ENOTDIR, "f", "f/b"),
	IS_FILE("f"), END,
};
NEW_CASE(rename_noreplace_replaces_nothing) = {
	MAKE(0, "a"), MAKE(0, "b"), MKDIR(0, "d", 0755),
	RENAME2(-EEXIST, "a", "b", RENAME_NOREPLACE),
	RENAME2(-EEXIST, "a", "d", RENAME_NOREPLACE),
	RENAME2(-EEXIST, "a", "a", RENAME_NOREPLACE), LIST("", "a b d "),
	RENAME2(0, "a", "c", RENAME_NOREPLACE), LIST("", "b c d "), END,
};
NEW_CASE(rename_exchanges_files) = {
	MAKE(0, "a"), PUT(0, "a", 0, 100, 7), MKDIR(0, "d", 0755),
	MAKE(0, "d/b"), PUT(0, "d/b", 0, 200, 8),
	RENAME2(0, "a", "d/b", RENAME_EXCHANGE), GET("d/b", 0, 100, 7),
	SIZE("d/b", 100), GET("a", 0, 200, 8),
	RENAME2(0, "a", "d/b", RENAME_EXCHANGE), SIZE("a", 100),
	RENAME2(0, "a", "a", RENAME_EXCHANGE), SIZE("a", 100), END,
};
NEW_CASE(rename_exchanges_a_directory_with_a_file) = {
	MKDIR(0, "d", 0755), MKDIR(0, "d/x", 0755), MAKE(0, "d/x/f"),
	MKDIR(0, "e", 0755), MAKE(0, "e/a"), NLINK("d", 3), NLINK("e", 2),
	RENAME2(0, "d/x", "e/a", RENAME_EXCHANGE), IS_FILE("d/x"),
	IS_DIR("e/a"), IS_FILE("e/a/f"), NLINK("d", 2), NLINK("e", 3),
	MKDIR(0, "e/a/g", 0755), RENAME(0, "e/a/g", "d/g"), NLINK("d", 3),
	END,
};
NEW_CASE(rename_exchanges_full_directories) = {
	MKDIR(0, "d", 0755), MAKE(0, "d/f"), MKDIR(0, "e", 0755),
	MKDIR(0, "e/x", 0755), MAKE(0, "e/x/g"),
	RENAME2(0, "d", "e/x", RENAME_EXCHANGE), LIST("d", "g "),
	LIST("e/x", "f "), NLINK("e", 3), END,
};
NEW_CASE(rename_exchange_needs_both_and_makes_no_loop) = {
	MKDIR(0, "d", 0755), MKDIR(0, "d/e", 0755), MAKE(0, "f"),
	RENAME2(-ENOENT, "f", "g", RENAME_EXCHANGE),
	RENAME2(-ENOENT, "g", "f", RENAME_EXCHANGE),
	RENAME2(-EINVAL, "d", "d/e", RENAME_EXCHANGE),
	RENAME2(-EINVAL, "d/e", "d", RENAME_EXCHANGE),
	RENAME2(-EINVAL, "f", "d", RENAME_EXCHANGE | RENAME_NOREPLACE),
	LIST("", "d f "), LIST("d", "e "), END,
};

/* ---- making and removing ---- */

NEW_CASE(names_are_made_once) = {
	MAKE(0, "f"), MKDIR(0, "d", 0755), SYMLINK(0, "f", "s"),
	MAKE(-EEXIST, "f"), MAKE(-EEXIST, "d"), MAKE(-EEXIST, "s"),
	MKDIR(-EEXIST, "f", 0755), MKDIR(-EEXIST, "d", 0755),
	MKDIR(-EEXIST, "s", 0755), SYMLINK(-EEXIST, "x", "f"),
	SYMLINK(-EEXIST, "x", "d"), SYMLINK(-EEXIST, "x", "s"),
	READLINK("s", "f"), LIST("", "d f s "), END,
};
NEW_CASE(names_need_a_directory) = {
	MAKE(0, "f"), MAKE(-ENOENT, "d/a"), MKDIR(-ENOENT, "d/a", 0755),
	SYMLINK(-ENOENT, "x", "d/a"), MAKE(-ENOTDIR, "f/a"),
	MKDIR(-ENOTDIR, "f/a", 0755), SYMLINK(-ENOTDIR, "x", "f/a"),
	UNLINK(-ENOTDIR, "f/a"), RMDIR(-ENOTDIR, "f/a"), END,
};
NEW_CASE(unlink_and_rmdir_keep_to_their_kind) = {
	MAKE(0, "f"), MKDIR(0, "d", 0755), UNLINK(-EISDIR, "d"),
	RMDIR(-ENOTDIR, "f"), UNLINK(-ENOENT, "g"), RMDIR(-ENOENT, "g"),
	SYMLINK(0, "d", "s"), RMDIR(-ENOTDIR, "s"), UNLINK(0, "s"),
	IS_DIR("d"), RMDIR(0, "d"), UNLINK(0, "f"), LIST("", ""), END,
};
NEW_CASE(rmdir_of_a_full_directory_is_refused) = {
	MKDIR(0, "d", 0755), MKDIR(0, "d/e", 0755), MAKE(0, "d/e/f"),
	RMDIR(-ENOTEMPTY, "d"), RMDIR(-ENOTEMPTY, "d/e"), UNLINK(0, "d/e/f"),
	RMDIR(0, "d/e"), RMDIR(0, "d"), GONE("d"), END,
};
NEW_CASE(directories_count_their_subdirectories) = {
	NLINK("", 2), MKDIR(0, "d", 0755), NLINK("", 3), NLINK("d", 2),
	MKDIR(0, "d/e", 0755), NLINK("", 3), NLINK("d", 3), MAKE(0, "d/f"),
	NLINK("d", 3), NLINK("d/f", 1), RMDIR(0, "d/e"), NLINK("d", 2), END,
};
NEW_CASE(a_name_comes_back_as_another_object) = {
	MAKE(0, "x"), PUT(0, "x", 0, 9000, 4), UNLINK(0, "x"),
	MKDIR(0, "x", 0755), IS_DIR("x"), MAKE(0, "x/y"), UNLINK(0, "x/y"),
	RMDIR(0, "x"), SYMLINK(0, "y", "x"), READLINK("x", "y"),
	UNLINK(0, "x"), MAKE(0, "x"), SIZE("x", 0), END,
};
NEW_CASE(names_have_up_to_255_bytes) = {
	MAKE(0, "%255"), PUT(0, "%255", 0, 10, 1), GET("%255", 0, 10, 1),
	MAKE(-ENAMETOOLONG, "%256"), MKDIR(-ENAMETOOLONG, "%256", 0755),
	SYMLINK(-ENAMETOOLONG, "x", "%256"),
	RENAME(-ENAMETOOLONG, "%255", "%256"),
	RENAME(-ENAMETOOLONG, "%256", "x"), UNLINK(-ENAMETOOLONG, "%256"),
	IS(-ENAMETOOLONG, "%256", 0), MKDIR(0, "%254", 0755),
	MAKE(0, "%254/%255"), RENAME(0, "%254/%255", "%254/%253"),
	IS_FILE("%254/%253"), RENAME(0, "%255", "short"), IS_FILE("short"),
	END,
};
NEW_CASE(names_are_any_bytes) = {
	MAKE(0, "a b\n\t\\\"'*?"), MAKE(0, "\xff\xfe\x01"), MAKE(0, "-rf"),
	MAKE(0, "..."), MAKE(0, "A"), MAKE(0, "a"), IS_FILE("\xff\xfe\x01"),
	IS_FILE("a b\n\t\\\"'*?"), IS_FILE("..."), GONE("\xff\xfe"), END,
};

/* ---- several names ---- */

NEW_CASE(links_name_one_file) = {
	MKDIR(0, "d", 0755), MAKE(0, "a"), PUT(0, "a", 0, 5000, 3),
	LINK(0, "a", "d/b"), SAME("a", "d/b"), NLINK("a", 2),
	GET("d/b", 0, 5000, 3), PUT(0, "d/b", 0, 5000, 4),
	GET("a", 0, 5000, 4), CHMOD(0, "d/b", 0600), MODE("a", 0600),
	LINK(0, "d/b", "c"), NLINK("a", 3), UNLINK(0, "a"), NLINK("c", 2),
	RENAME(0, "c", "d/c"), SAME("d/c", "d/b"), UNLINK(0, "d/b"),
	NLINK("d/c", 1), GET("d/c", 0, 5000, 4), RESIZE(0, "d/c", 100),
	UNLINK(0, "d/c"), LIST("d", ""), END,
};
NEW_CASE(links_to_each_other_are_not_renamed) = {
	MAKE(0, "a"), LINK(0, "a", "b"), RENAME(0, "a", "b"),
	LIST("", "a b "), RENAME2(-EEXIST, "a", "b", RENAME_NOREPLACE),
	RENAME2(0, "a", "b", RENAME_EXCHANGE), NLINK("a", 2), END,
};
NEW_CASE(rename_over_a_link_leaves_the_others) = {
	MAKE(0, "a"), PUT(0, "a", 0, 10, 3), LINK(0, "a", "b"), MAKE(0, "c"),
	RENAME(0, "c", "b"), NLINK("a", 1), GET("a", 0, 10, 3), SIZE("b", 0),
	END,
};
NEW_CASE(links_need_a_file_and_a_new_name) = {
	MAKE(0, "a"), MKDIR(0, "d", 0755), MAKE(0, "b"),
	LINK(-ENOENT, "x", "y"), LINK(-EEXIST, "a", "b"),
	LINK(-EEXIST, "a", "d"), LINK(-EEXIST, "a", "a"),
	LINK(-EPERM, "d", "e"), LINK(-ENOENT, "a", "x/y"),
	LINK(-ENOTDIR, "a", "b/y"), LINK(-ENAMETOOLONG, "a", "%256"),
	NLINK("a", 1), LINK(0, "a", "%255"), NLINK("%255", 2), END,
};
NEW_CASE(symbolic_links_have_several_names) = {
	SYMLINK(0, "where", "s"), LINK(0, "s", "t"), NLINK("s", 2),
	UNLINK(0, "s"), READLINK("t", "where"), END,
};

/* ---- symbolic links ---- */

NEW_CASE(symbolic_links_keep_their_text) = {
	SYMLINK(0, "../some/where", "s"), READLINK("s", "../some/where"),
	MODE("s", 0777), SIZE("s", 13), IS(0, "s", S_IFLNK),
	RENAME(0, "s", "t"), READLINK("t", "../some/where"),
	CHOWN(0, "t", 12, 34), OWNER("t", 12, 34), NLINK("t", 1), END,
};
NEW_CASE(symbolic_links_are_followed) = {
	MKDIR(0, "d", 0755), MAKE(0, "d/f"), PUT(0, "d/f", 0, 10, 2),
	SYMLINK(0, "d", "s"), GET("s/f", 0, 10, 2), SYMLINK(0, "l", "l"),
	IS(-ELOOP, "l/x", 0), SYMLINK(0, "nowhere", "n"),
	IS(-ENOENT, "n/x", 0), UNLINK(0, "s/f"), GONE("d/f"), END,
};

const struct posix_case posix_names[] = {
	CASE(rename_replaces_a_file, 0),
	CASE(rename_moves_between_directories, 0),
	CASE(rename_moves_a_directory_with_what_is_in_it, 0),
	CASE(rename_replaces_an_empty_directory, 0),
	CASE(rename_over_a_full_directory_is_refused, 0),
	CASE(rename_does_not_mix_files_and_directories, 0),
	CASE(rename_into_itself_is_refused, 0),
	CASE(rename_to_itself_does_nothing, 0),
	CASE(rename_of_nothing_is_refused, 0),
	CASE(rename_noreplace_replaces_nothing, 0),
	CASE(rename_exchanges_files, 0),
	CASE(rename_exchanges_a_directory_with_a_file, 0),
	CASE(rename_exchanges_full_directories, 0),
	CASE(rename_exchange_needs_both_and_makes_no_loop, 0),
	CASE(names_are_made_once, 0),
	CASE(names_need_a_directory, 0),
	CASE(unlink_and_rmdir_keep_to_their_kind, 0),
	CASE(rmdir_of_a_full_directory_is_refused, 0),
	CASE(directories_count_their_subdirectories, 0),
	CASE(a_name_comes_back_as_another_object, 0),
	CASE(names_have_up_to_255_bytes, 0),
	CASE(names_are_any_bytes, 0),
	CASE(links_name_one_file, 0),
	CASE(links_to_each_other_are_not_renamed, 0),
	CASE(rename_over_a_link_leaves_the_others, 0),
	CASE(links_need_a_file_and_a_new_name, 0),
	CASE(symbolic_links_have_several_names, 0),
	CASE(symbolic_links_keep_their_text, 0),
	CASE(symbolic_links_are_followed, POSIX_KERNEL),
	{ .name = NULL },
};
