/* SPDX-License-Identifier: BSD-2-Clause */
/* Content: sizes, holes, open files, times. */
#include "tests/posix/steps.h"

#define MIB (1024 * 1024ll)
#define TIB (1024 * 1024 * MIB)

/* ---- sizes ---- */

NEW_CASE(truncate_up_reads_zeroes) = {
	MAKE(0, "f"), RESIZE(0, "f", 5000), SIZE("f", 5000),
	GET("f", 0, 5000, 0), PUT(0, "f", 0, 100, 3), RESIZE(0, "f", 100000),
	GET("f", 0, 100, 3), GET("f", 100, 99900, 0), END,
};
NEW_CASE(truncate_down_forgets) = {
	MAKE(0, "f"), PUT(0, "f", 0, 200000, 5), RESIZE(0, "f", 70001),
	SIZE("f", 70001), GET("f", 0, 70001, 5), RESIZE(0, "f", 200000),
	GET("f", 0, 70001, 5), GET("f", 70001, 129999, 0), RESIZE(0, "f", 0),
	SIZE("f", 0), RESIZE(0, "f", 4096), GET("f", 0, 4096, 0), END,
};
NEW_CASE(small_files_grow_and_shrink) = {
	MAKE(0, "f"), PUT(0, "f", 0, 3072, 6), SIZE("f", 3072),
	PUT(0, "f", 3072, 1, 9), SIZE("f", 3073), GET("f", 0, 3072, 6),
	GET("f", 3072, 1, 9), RESIZE(0, "f", 10), GET("f", 0, 10, 6),
	RESIZE(0, "f", 3072), GET("f", 10, 3062, 0),
	PUT(0, "f", 4096, 4096, 2), GET("f", 10, 4086, 0),
	GET("f", 4096, 4096, 2), END,
};
NEW_CASE(holes_read_zeroes_and_hold_nothing) = {
	MAKE(0, "f"), PUT(0, "f", 3 * TIB, 4096, 7), SIZE("f", 3 * TIB + 4096),
	GET("f", 0, 5000, 0), GET("f", 3 * TIB, 4096, 7),
	GET("f", 3 * TIB - 4096, 4096, 0), BYTES("f", 4096, MIB),
	RESIZE(0, "f", 1000), BYTES("f", 0, MIB), GET("f", 0, 1000, 0), END,
};
NEW_CASE(sizes_have_an_end) = {
	MAKE(0, "f"), RESIZE(-EINVAL, "f", -1), SIZE("f", 0), END,
};
NEW_CASE(writes_meet_at_any_place) = {
	MAKE(0, "f"), PUT(0, "f", 0, 300000, 1), PUT(0, "f", 4095, 2, 2),
	PUT(0, "f", 65535, 4098, 3), PUT(0, "f", 131072, 65536, 4),
	GET("f", 0, 4095, 1), GET("f", 4095, 2, 2), GET("f", 4097, 61438, 1),
	GET("f", 65535, 4098, 3), GET("f", 69633, 61439, 1),
	GET("f", 131072, 65536, 4), GET("f", 196608, 103392, 1), END,
};

/* ---- fallocate, SEEK_HOLE ---- */

NEW_CASE(fallocate_grows_and_reads_zeroes) = {
	MAKE(0, "f"), OPEN(0, "a", "f", O_RDWR), FPUT(0, "a", 0, 100, 8),
	FALLOC(0, "a", 0, 0, 2 * MIB), FSIZE("a", 2 * MIB),
	FGET(0, "a", 0, 100, 8), FGET(0, "a", 100, 200000, 0), CLOSE("a"),
	SIZE("f", 2 * MIB), BYTES("f", 2 * MIB, 3 * MIB), END,
};
NEW_CASE(fallocate_keeps_the_size) = {
	MAKE(0, "f"), OPEN(0, "a", "f", O_RDWR), FPUT(0, "a", 0, 100, 8),
	FALLOC(0, "a", FALLOC_FL_KEEP_SIZE, 0, 2 * MIB), FSIZE("a", 100),
	CLOSE("a"), SIZE("f", 100), BYTES("f", 2 * MIB, 3 * MIB),
	RESIZE(0, "f", 200), GET("f", 100, 100, 0), END,
};
NEW_CASE(fallocate_punches_holes) = {
	MAKE(0, "f"), OPEN(0, "a", "f", O_RDWR), FPUT(0, "a", 0, 3 * MIB, 5),
	FALLOC(0, "a", FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1000,
	    2 * MIB), FSIZE("a", 3 * MIB), FGET(0, "a", 0, 1000, 5),
	FGET(0, "a", 1000, 2 * MIB, 0), FGET(0, "a", 2 * MIB + 1000, 5000, 5),
	FALLOC(0, "a", FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2 * MIB,
	    5 * MIB), FSIZE("a", 3 * MIB), FGET(0, "a", 2 * MIB, MIB, 0),
	FALLOC(-EOPNOTSUPP, "a", FALLOC_FL_PUNCH_HOLE, 0, 4096), CLOSE("a"),
	BYTES("f", 1, MIB), GET("f", 0, 1000, 5), END,
};
NEW_CASE(fallocate_zeroes_ranges) = {
	MAKE(0, "f"), OPEN(0, "a", "f", O_RDWR), FPUT(0, "a", 0, 200000, 5),
	FALLOC(0, "a", FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 100000,
	    200000), FSIZE("a", 200000), FGET(0, "a", 0, 100000, 5),
	FGET(0, "a", 100000, 100000, 0),
	FALLOC(0, "a", FALLOC_FL_ZERO_RANGE, 150000, 250000),
	FSIZE("a", 400000), FGET(0, "a", 100000, 300000, 0), CLOSE("a"),
	SIZE("f", 400000), GET("f", 0, 100000, 5), END,
};
NEW_CASE(fallocate_refuses_what_it_cannot) = {
	MAKE(0, "f"), OPEN(0, "a", "f", O_RDWR), FPUT(0, "a", 0, MIB, 5),
	FALLOC(-EOPNOTSUPP, "a", FALLOC_FL_COLLAPSE_RANGE, 0, 65536),
	FALLOC(-EOPNOTSUPP, "a", FALLOC_FL_INSERT_RANGE, 0, 65536),
	CLOSE("a"), OPEN(0, "a", "f", O_RDONLY),
	FALLOC(-EBADF, "a", 0, 0, 4096), CLOSE("a"), GET("f", 0, MIB, 5), END,
};
NEW_CASE(holes_are_found) = {
	MAKE(0, "f"), OPEN(0, "a", "f", O_RDWR),
	FSEEK(-ENXIO, "a", SEEK_DATA, 0, 0), FPUT(0, "a", MIB, MIB, 4),
	FPUT(0, "a", 4 * MIB, MIB, 4), FRESIZE(0, "a", 8 * MIB), FSYNC("a"),
	FSEEK(0, "a", SEEK_DATA, 0, MIB), FSEEK(0, "a", SEEK_HOLE, 0, 0),
	FSEEK(0, "a", SEEK_HOLE, MIB, 2 * MIB),
	FSEEK(0, "a", SEEK_DATA, 2 * MIB, 4 * MIB),
	FSEEK(0, "a", SEEK_DATA, MIB + 5, MIB + 5),
	FSEEK(0, "a", SEEK_HOLE, 4 * MIB, 5 * MIB),
	FSEEK(-ENXIO, "a", SEEK_DATA, 5 * MIB, 0),
	FSEEK(0, "a", SEEK_HOLE, 8 * MIB - 1, 8 * MIB - 1),
	FSEEK(-ENXIO, "a", SEEK_HOLE, 8 * MIB, 0),
	FSEEK(-ENXIO, "a", SEEK_DATA, 9 * MIB, 0), CLOSE("a"), END,
};

/* ---- open files ---- */

NEW_CASE(unlinked_files_live_while_open) = {
	MAKE(0, "f"), PUT(0, "f", 0, 70000, 3), OPEN(0, "a", "f", O_RDWR),
	UNLINK(0, "f"), GONE("f"), FGET(0, "a", 0, 70000, 3),
	FPUT(0, "a", 70000, 5000, 3), FSIZE("a", 75000), MAKE(0, "f"),
	PUT(0, "f", 0, 10, 9), FGET(0, "a", 0, 70000, 3), CLOSE("a"),
	GET("f", 0, 10, 9), SIZE("f", 10), END,
};
NEW_CASE(replaced_files_live_while_open) = {
	MAKE(0, "f"), PUT(0, "f", 0, 5000, 3), MAKE(0, "g"),
	PUT(0, "g", 0, 100, 4), OPEN(0, "a", "f", O_RDWR),
	RENAME(0, "g", "f"), FGET(0, "a", 0, 5000, 3),
	FPUT(0, "a", 0, 5000, 6), GET("f", 0, 100, 4), SIZE("f", 100),
	CLOSE("a"), GET("f", 0, 100, 4), END,
};
NEW_CASE(open_files_follow_their_new_name) = {
	MKDIR(0, "d", 0755), MAKE(0, "f"), OPEN(0, "a", "f", O_RDWR),
	RENAME(0, "f", "d/g"), FPUT(0, "a", 0, 100, 2), CLOSE("a"),
	GET("d/g", 0, 100, 2), END,
};
NEW_CASE(open_truncates_and_creates) = {
	OPEN(-ENOENT, "a", "f", O_RDWR), OPEN(0, "a", "f", O_RDWR | O_CREAT),
	FPUT(0, "a", 0, 5000, 2), CLOSE("a"),
	OPEN(-EEXIST, "a", "f", O_RDWR | O_CREAT | O_EXCL),
	OPEN(0, "a", "f", O_RDWR | O_CREAT), FSIZE("a", 5000), CLOSE("a"),
	OPEN(0, "a", "f", O_WRONLY | O_TRUNC), FSIZE("a", 0), CLOSE("a"),
	SIZE("f", 0), MKDIR(0, "d", 0755), OPEN(-EISDIR, "a", "d", O_RDWR),
	END,
};
NEW_CASE(open_files_do_what_they_were_opened_for) = {
	MAKE(0, "f"), PUT(0, "f", 0, 100, 2), OPEN(0, "a", "f", O_RDONLY),
	FPUT(-EBADF, "a", 0, 10, 1), FRESIZE(-EINVAL, "a", 0),
	FGET(0, "a", 0, 100, 2), CLOSE("a"), OPEN(0, "a", "f", O_WRONLY),
	FGET(-EBADF, "a", 0, 10, 2), FPUT(0, "a", 50, 50, 3), CLOSE("a"),
	GET("f", 0, 50, 2), GET("f", 50, 50, 3), END,
};
/* Each time another host has made it longer. */
NEW_CASE(append_finds_the_end) = {
	MAKE(0, "f"),
	OPEN(0, "a", "f", O_WRONLY | O_APPEND), FPUT(0, "a", -1, 1000, 1),
	FPUT(0, "a", -1, 1000, 1), CLOSE("a"), SIZE("f", 2000),
	OPEN(0, "a", "f", O_WRONLY | O_APPEND), FPUT(0, "a", -1, 3000, 1),
	CLOSE("a"), SIZE("f", 5000),
	OPEN(0, "a", "f", O_WRONLY | O_APPEND), FPUT(0, "a", -1, 1, 1),
	CLOSE("a"), SIZE("f", 5001), RESIZE(0, "f", 10),
	OPEN(0, "a", "f", O_WRONLY | O_APPEND), FPUT(0, "a", -1, 5, 1),
	CLOSE("a"), SIZE("f", 15), END,
};
/* By two descriptors of one host. */
NEW_CASE(append_finds_the_end_that_others_move) = {
	MAKE(0, "f"), OPEN(0, "a", "f", O_WRONLY | O_APPEND),
	OPEN(0, "b", "f", O_RDWR), FPUT(0, "a", -1, 10, 1),
	FRESIZE(0, "b", 5000), FPUT(0, "a", -1, 10, 1), FSIZE("b", 5010),
	FRESIZE(0, "b", 3), FPUT(0, "a", -1, 10, 1), FSIZE("a", 13),
	CLOSE("a"), CLOSE("b"), SIZE("f", 13), END,
};

NEW_CASE(open_files_lose_a_name_and_keep_another) = {
	MAKE(0, "f"), LINK(0, "f", "g"), OPEN(0, "a", "f", O_RDWR),
	UNLINK(0, "f"), FPUT(0, "a", 0, 5000, 3), CLOSE("a"),
	GET("g", 0, 5000, 3), OPEN(0, "a", "g", O_RDWR), UNLINK(0, "g"),
	FPUT(0, "a", 0, 10, 4), FGET(0, "a", 0, 10, 4), CLOSE("a"), END,
};

/* ---- times ---- */

NEW_CASE(times_move_with_content) = {
	MAKE(0, "f"), MARK("f", "a"), PUT(0, "f", 0, 10, 1),
	NEWER("f", "a", MTIME | CTIME), MARK("f", "a"), RESIZE(0, "f", 5),
	NEWER("f", "a", MTIME | CTIME), MARK("f", "a"), RESIZE(0, "f", 5000),
	NEWER("f", "a", MTIME | CTIME), MARK("f", "a"),
	OPEN(0, "a", "f", O_WRONLY | O_TRUNC), CLOSE("a"),
	NEWER("f", "a", MTIME | CTIME), MARK("f", "a"),
	OPEN(0, "a", "f", O_RDWR), CLOSE("a"), NEWER("f", "a", 0), END,
};
NEW_CASE(times_move_with_attributes) = {
	MAKE(0, "f"), MARK("f", "a"), CHMOD(0, "f", 0600),
	NEWER("f", "a", CTIME), MARK("f", "a"), CHOWN(0, "f", 5, 6),
	NEWER("f", "a", CTIME), MKDIR(0, "d", 0755), MARK("d", "a"),
	CHMOD(0, "d", 0700), NEWER("d", "a", CTIME), END,
};
NEW_CASE(times_of_directories_move_with_names) = {
	MKDIR(0, "d", 0755), MKDIR(0, "e", 0755),
	MARK("d", "a"), MAKE(0, "d/f"), NEWER("d", "a", MTIME | CTIME),
	MARK("d", "a"), PUT(0, "d/f", 0, 10, 1), NEWER("d", "a", 0),
	MARK("d", "a"), SYMLINK(0, "x", "d/s"), NEWER("d", "a", MTIME | CTIME),
	MARK("d", "a"), MKDIR(0, "d/g", 0755), NEWER("d", "a", MTIME | CTIME),
	MARK("d", "a"), RMDIR(0, "d/g"), NEWER("d", "a", MTIME | CTIME),
	MARK("d", "a"), MARK("e", "b"), RENAME(0, "d/f", "e/f"),
	NEWER("d", "a", MTIME | CTIME), NEWER("e", "b", MTIME | CTIME),
	MARK("e", "a"), UNLINK(0, "e/f"), NEWER("e", "a", MTIME | CTIME),
	MARK("d", "a"), UNLINK(-ENOENT, "d/x"), MAKE(-EEXIST, "d/s"),
	NEWER("d", "a", 0), END,
};
NEW_CASE(times_move_with_links) = {
	MKDIR(0, "d", 0755), MAKE(0, "f"), MARK("f", "a"), MARK("d", "b"),
	LINK(0, "f", "d/g"), NEWER("f", "a", CTIME),
	NEWER("d", "b", MTIME | CTIME), MARK("f", "a"), MARK("d", "b"),
	UNLINK(0, "d/g"), NEWER("f", "a", CTIME),
	NEWER("d", "b", MTIME | CTIME), END,
};
NEW_CASE(times_are_set) = {
	MAKE(0, "f"), UTIME(0, "f", 1000000000123456000, 5000000000),
	TIMES("f", 1000000000123456000, 5000000000), MARK("f", "a"),
	UTIME(0, "f", 1000000000123456000, 5000000000),
	NEWER("f", "a", CTIME), MKDIR(0, "d", 0755), UTIME(0, "d", 7, 8),
	TIMES("d", 7, 8), SYMLINK(0, "x", "s"), UTIME(0, "s", 9, 10),
	TIMES("s", 9, 10), END,
};
NEW_CASE(times_reach_before_1970) = {
	MAKE(0, "f"), UTIME(0, "f", -1, -1000000000000000000),
	TIMES("f", -1, -1000000000000000000), END,
};
NEW_CASE(reading_moves_no_time) = {
	MAKE(0, "f"), PUT(0, "f", 0, 5000, 1), MKDIR(0, "d", 0755),
	MARK("f", "a"), GET("f", 0, 5000, 1), NEWER("f", "a", 0),
	MARK("d", "a"), LIST("d", ""), NEWER("d", "a", 0), END,
};

const struct posix_case posix_content[] = {
	CASE(truncate_up_reads_zeroes, 0),
	CASE(truncate_down_forgets, 0),
	CASE(small_files_grow_and_shrink, 0),
	CASE(holes_read_zeroes_and_hold_nothing, 0),
	CASE(sizes_have_an_end, POSIX_KERNEL),
	CASE(writes_meet_at_any_place, 0),
	CASE(fallocate_grows_and_reads_zeroes, 0),
	CASE(fallocate_keeps_the_size, 0),
	CASE(fallocate_punches_holes, 0),
	CASE(fallocate_zeroes_ranges, 0),
	CASE(fallocate_refuses_what_it_cannot, POSIX_OURS),
	CASE(holes_are_found, 0),
	CASE(unlinked_files_live_while_open, POSIX_ONE),
	CASE(replaced_files_live_while_open, POSIX_ONE),
	CASE(open_files_lose_a_name_and_keep_another, POSIX_ONE),
	CASE(open_files_follow_their_new_name, 0),
	CASE(open_truncates_and_creates, 0),
	CASE(open_files_do_what_they_were_opened_for, POSIX_KERNEL),
	CASE(append_finds_the_end, 0),
	CASE(append_finds_the_end_that_others_move, POSIX_ONE),
	CASE(times_move_with_content, 0),
	CASE(times_move_with_attributes, 0),
	CASE(times_of_directories_move_with_names, 0),
	CASE(times_move_with_links, 0),
	CASE(times_are_set, 0),
	CASE(times_reach_before_1970, 0),
	CASE(reading_moves_no_time, POSIX_OURS),
	{ .name = NULL },
};
