/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Images of other programs: qemu-img reads and writes them, and the disk by
 * NBD at a socket that only it is told.
 */
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libvmfs/base/cleanup.h"
#include "nbd/server.h"
#include "vmfsd/child.h"
#include "vmfsd/disk_stream.h"

#define INFO_MAX ((size_t)1 << 20)	/* bytes of what qemu-img tells */
#define COMPLAINT_MAX 400
#define EXPORT "disk"
#define URI_MAX 256

static const struct image_format {
	const char *name;
	const char *driver;		/* of QEMU */
	const char *options;		/* when it is made; NULL: none */
	bool zipped;
} formats[] = {
	{ "qcow2", "qcow2", NULL, false },
	{ "qcow2-zip", "qcow2", NULL, true },
	{ "vmdk", "vmdk", "subformat=monolithicSparse", false },
	{ "vmdk-stream", "vmdk", "subformat=streamOptimized", false },
	{ "vdi", "vdi", NULL, false },
	{ "vhdx", "vhdx", NULL, false },
	{ "vpc", "vpc", "force_size=on", false },
	{ NULL, NULL, NULL, false },
};

int
image_format(struct fs_call *c, const struct image_format **ret_f)
{
	const char *name = json_string_value(json_object_get(c->args,
	    "format"));

	*ret_f = NULL;
	if (name == NULL || strcmp(name, "raw") == 0)
		return 0;
	for (const struct image_format *f = formats; f->name != NULL; f++)
		if (strcmp(f->name, name) == 0) {
			*ret_f = f;
			return 0;
		}
	return cmd_fail(c, -EINVAL, "--format='%.40s': expected raw, qcow2, "
	    "qcow2-zip, vmdk, vmdk-stream, vdi, vhdx or vpc", name);
}

/* ---- what is taken for raw ---- */

static const struct signature {
	size_t at;
	const char *text;
	const char *format;
} signatures[] = {
	{ 0, "QFI\xfb", "qcow2" },
	{ 0, "KDMV", "vmdk" },
	{ 0, "COWD", "vmdk" },
	{ 0, "# Disk DescriptorFile", "vmdk" },
	{ 0, "vhdxfile", "vhdx" },
	{ 0, "conectix", "vpc" },
	{ 64, "\x7f\x10\xda\xbe", "vdi" },
	{ 0, NULL, NULL },
};

/* One of a fixed size has at its end what others have at their begin. */
static bool
ends_as_vpc(const struct stream *s)
{
	char end[8];

	return s->sparse && s->size >= 512 && pread(s->fd, end, sizeof(end),
	    (off_t)s->size - 512) == (ssize_t)sizeof(end) &&
	    memcmp(end, "conectix", sizeof(end)) == 0;
}

static const char *
format_likely(const struct stream *s)
{
	for (const struct signature *g = signatures; g->text != NULL; g++) {
		size_t len = strlen(g->text);

		if (s->len >= g->at + len &&
		    memcmp(s->buf + g->at, g->text, len) == 0)
			return g->format;
	}
	return ends_as_vpc(s) ? "vpc" : NULL;
}

int
image_unlikely(struct stream *s)
{
	const char *format;

	if (s->len == 0)
		return cmd_fail(s->c, -EINVAL, "%s is empty, and no disk is "
		    "made of nothing", s->pipe ? "the stream" : s->name);
	format = json_object_get(s->c->args, "format") == NULL ?
	    format_likely(s) : NULL;
	if (format == NULL)
		return 0;
	if (s->pipe)
		return cmd_fail(s->c, -EINVAL, "the stream looks like %s: give "
		    "a file and --format=%s, or --format=raw to take it as it "
		    "is", format, format);
	return cmd_fail(s->c, -EINVAL, "'%.400s' looks like %s: add --format="
	    "%s, or --format=raw to take it as it is", s->name, format, format);
}

/* ---- the disk's side ---- */

/* A socket of its own, beside the control socket. */
static int
make_uri(struct stream *s, char uri[URI_MAX])
{
	cleanup_free char *control = strdup(s->c->dm->control);
	int n;

	if (control == NULL)
		return -ENOMEM;
	n = snprintf(s->socket, sizeof(s->socket), "%s/image-%p",
	    dirname(control), (void *)s);
	if (n >= (int)sizeof(s->socket))
		return -ENAMETOOLONG;
	(void)snprintf(uri, URI_MAX, "nbd+unix:///" EXPORT "?socket=%s",
	    s->socket);
	return 0;
}

static int
serve(struct fs_call *c)
{
	struct stream *s = stream_of(c);
	struct nbd_server_conf conf = {
		.listen = s->socket, .log = c->d->all->log,
	};
	struct nbd_export_conf export = {
		.name = EXPORT, .description = "",
	};
	char why[NBD_WHY_SIZE];
	int rc = fs_file_disk(s->f, c->path.path, &s->disk);

	if (rc < 0)
		return rc;
	export.disk = s->disk;
	export.readonly = s->disk->info.caps & DISK_CAP_READONLY;
	rc = nbd_server_start(&conf, &s->server, why);
	if (rc < 0)
		return cmd_fail(c, rc, "%s", why);
	return nbd_export_add(s->server, &export, &s->export);
}

static int
serve_no_more(struct fs_call *c)
{
	struct stream *s = stream_of(c);

	nbd_export_remove(s->export);
	nbd_server_stop(s->server);
	return 0;
}

/* ---- qemu-img ---- */

struct run {
	struct stream *s;
	int dir;		/* see child.h */
	char *text;		/* INFO_MAX bytes for what it tells; NULL */
	size_t len;
	double percent;		/* or how far it is */
};

/* "    (12.34/100%)\r", perhaps several, perhaps cut. */
static void
take_output(void *arg, const char *text, size_t len)
{
	struct run *r = arg;

	for (size_t i = 0; i < len; i++) {
		if (r->text != NULL && r->len + 1 < INFO_MAX)
			r->text[r->len++] = text[i];
		if (r->text == NULL && text[i] == '(' && i + 8 < len)
			r->percent = strtod(text + i + 1, NULL);
	}
}

static bool
go_on(void *arg)
{
	struct run *r = arg;
	uint64_t size = r->s->size;

	return task_step(r->s->c->task,
	    (uint64_t)(r->percent / 100 * (double)size), size);
}

static int
qemu_img(struct run *r, const char *const *argv)
{
	char complaint[COMPLAINT_MAX];
	struct child_conf conf = {
		.argv = argv, .dir = r->dir, .output = take_output, .go_on = go_on, .arg = r,
		.complaint = complaint, .complaint_size = sizeof(complaint),
	};
	struct fs_call *c = r->s->c;
	int rc = child_run(&conf);

	if (rc == -ENOENT)
		return cmd_fail(c, rc, "qemu-img is needed for that, and it "
		    "is not installed (Debian: qemu-utils)");
	if (rc == -EIO)
		return cmd_fail(c, rc, "%s", complaint[0] != '\0' ?
		    complaint : "qemu-img was killed");
	return rc;
}

/* argv has `uri` somewhere. */
static int
convert(struct stream *s, int dir, const char *const *argv)
{
	struct run r = { .s = s, .dir = dir };
	int rc = on_fiber(s, serve), rc2;

	if (rc == 0)
		rc = qemu_img(&r, argv);
	if (s->server != NULL) {
		rc2 = on_fiber(s, serve_no_more);
		rc = rc < 0 ? rc : rc2;
	}
	if (rc == 0)
		s->off = s->size;
	return rc;
}

/* ---- export ---- */

static int
write_image(struct stream *s)
{
	const struct image_format *f = s->format;
	char uri[URI_MAX];
	const char *argv[16] = {
		"qemu-img", "convert", "-p", "-t", "writeback", "-f", "raw",
		"-O", f->driver,
	};
	size_t n = 9;
	int rc = make_uri(s, uri);

	if (rc < 0)
		return rc;
	if (f->zipped)
		argv[n++] = "-c";
	if (f->options != NULL) {
		argv[n++] = "-o";
		argv[n++] = f->options;
	}
	argv[n++] = uri;
	argv[n] = s->file;
	return convert(s, 0, argv);
}

int
image_export(struct stream *s)
{
	int rc = on_fiber(s, export_open);

	if (rc == 0)
		rc = disk_stream_create(s);
	if (rc == 0 && !s->sparse)
		rc = cmd_fail(s->c, -ESPIPE, "%s cannot be written as a "
		    "stream; give a file", s->format->name);
	return rc == 0 ? write_image(s) : rc;
}

/* ---- import ---- */

/* A file that the image is in, as it was found. */
struct part {
	char name[NAME_MAX + 3];	/* "./image.vmdk" */
	struct stat st;
};

struct image {
	struct stream *s;
	int dir;		/* where its parts are: paths can be changed */
	struct part *parts;	/* first the one that was named */
	size_t count;
};

static bool
part_find(const struct image *im, const char *name, struct stat *ret_st)
{
	return fstatat(im->dir, name, ret_st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* What a link leads to may lie anywhere. */
static bool
part_add(struct image *im, const char *name)
{
	struct part *p = reallocarray(im->parts, im->count + 1, sizeof(*p));

	if (p == NULL)
		return false;
	im->parts = p;
	p += im->count;
	if (strlen(name) >= sizeof(p->name) || !part_find(im, name, &p->st) ||
	    (!S_ISREG(p->st.st_mode) && !S_ISBLK(p->st.st_mode)))
		return false;
	(void)snprintf(p->name, sizeof(p->name), "%s", name);
	im->count++;
	return true;
}

/* A file beside the image, or itself. */
static bool
is_beside(struct image *im, const char *name)
{
	return strcmp(name, im->parts[0].name) == 0 ||
	    (strncmp(name, "./", 2) == 0 && strchr(name + 2, '/') == NULL &&
	    part_add(im, name) &&
	    S_ISREG(im->parts[im->count - 1].st.st_mode));
}

static int
refuse_changed(struct stream *s)
{
	return cmd_fail(s->c, -EBUSY, "%s was changed while it was imported; "
	    "copy it to where nobody else writes, then import the copy",
	    s->file);
}

static int
image_open(struct image *im)
{
	cleanup_free char *path = NULL;
	char name[NAME_MAX + 3];
	struct stream *s = im->s;
	struct stat st;
	int rc = disk_stream_open(s);

	if (rc < 0)
		return rc;
	if (s->pipe)
		return cmd_fail(s->c, -ESPIPE, "%s cannot be read from a "
		    "stream; give a file", s->format->name);
	path = realpath(s->file, NULL);
	if (path == NULL)
		return refuse_changed(s);
	(void)snprintf(name, sizeof(name), "./%s", strrchr(path, '/') + 1);
	im->dir = open(dirname(path), O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (im->dir < 0 || fstat(s->fd, &st) < 0 || !part_add(im, name) ||
	    st.st_dev != im->parts[0].st.st_dev ||
	    st.st_ino != im->parts[0].st.st_ino)
		return refuse_changed(s);
	return 0;
}

/*
 * qemu-img opens the image twice, and its owner could exchange what has been
 * looked at.  The time of change is the kernel's: nobody can put it back.
 */
static int
image_unchanged(const struct image *im)
{
	for (const struct part *p = im->parts; p < im->parts + im->count; p++) {
		struct stat st;

		if (!part_find(im, p->name, &st) ||
		    st.st_dev != p->st.st_dev || st.st_ino != p->st.st_ino ||
		    st.st_size != p->st.st_size ||
		    st.st_ctim.tv_sec != p->st.st_ctim.tv_sec ||
		    st.st_ctim.tv_nsec != p->st.st_ctim.tv_nsec)
			return refuse_changed(im->s);
	}
	return 0;
}

/*
 * An image can name other files, which qemu-img would read with our rights:
 * who made the image is not who imports it.
 */
static int
refuse_strangers(struct image *im, const json_t *info)
{
	const json_t *data = json_object_get(json_object_get(info,
	    "format-specific"), "data"), *x;
	const char *back = json_string_value(json_object_get(info,
	    "backing-filename"));
	const char *other = json_string_value(json_object_get(data,
	    "data-file"));
	struct stream *s = im->s;
	size_t i;

	if (back != NULL)
		return cmd_fail(s->c, -EINVAL, "%s has a backing file, "
		    "'%.200s'; make one image of both (qemu-img convert)",
		    s->file, back);
	json_array_foreach(json_object_get(data, "extents"), i, x) {
		const char *name = json_string_value(json_object_get(x,
		    "filename"));

		if (name != NULL && !is_beside(im, name))
			other = name;
	}
	if (other != NULL)
		return cmd_fail(s->c, -EINVAL, "%s has its data elsewhere, in "
		    "'%.200s'; move it beside, or make one image of both "
		    "(qemu-img convert)", s->file, other);
	return 0;
}

static int
read_info(struct image *im, const char *text)
{
	json_t *info = json_loads(text, 0, NULL);
	json_int_t size = json_integer_value(json_object_get(info,
	    "virtual-size"));
	struct stream *s = im->s;
	int rc = info == NULL || size <= 0 ? cmd_fail(s->c, -EINVAL, "qemu-img "
	    "does not tell how large the disk in %s is", s->file) :
	    refuse_strangers(im, info);

	if (rc == 0)
		s->size = (uint64_t)size;
	json_decref(info);
	return rc;
}

static int
look_at(struct image *im)
{
	const char *argv[] = {
		"qemu-img", "info", "--output=json", "-f",
		im->s->format->driver, im->parts[0].name, NULL
	};
	cleanup_free char *text = malloc(INFO_MAX);
	struct run r = { .s = im->s, .dir = im->dir, .text = text };
	int rc = text != NULL ? qemu_img(&r, argv) : -ENOMEM;

	if (rc < 0)
		return rc;
	text[r.len] = '\0';
	return read_info(im, text);
}

static int
read_image(struct image *im)
{
	char uri[URI_MAX];
	const char *argv[] = {
		"qemu-img", "convert", "-p", "-n", "--target-is-zero", "-t",
		"writeback", "-f", im->s->format->driver, "-O", "raw",
		im->parts[0].name, uri, NULL
	};
	int rc = make_uri(im->s, uri);

	if (rc == 0)
		rc = convert(im->s, im->dir, argv);
	return rc == 0 ? image_unchanged(im) : rc;
}

int
image_import(struct stream *s)
{
	struct image im = { .s = s, .dir = -1 };
	int rc = image_open(&im);

	if (rc == 0)
		rc = look_at(&im);
	if (rc == 0)
		rc = on_fiber(s, import_open);
	if (rc == 0)
		rc = read_image(&im);
	if (im.dir >= 0)
		close(im.dir);
	free(im.parts);
	return rc == 0 ? on_fiber(s, import_end) : rc;
}
