/* SPDX-License-Identifier: BSD-2-Clause */
/* What vmfsctl can do and how it shows the answers. */
#include "vmfsd/vmfsctl_verbs.h"

static const struct column ds_columns[] = {
	{ "DATASTORE", "name", COLUMN_TEXT },
	{ "CAPACITY", "capacity", COLUMN_SIZE },
	{ "FREE", "free", COLUMN_SIZE },
	{ "HOSTS", "hosts", COLUMN_NUMBER },
	{ "STATUS", "status", COLUMN_TEXT },
	{ "MOUNT", "mount", COLUMN_TEXT },
	{ "LUN", "lun", COLUMN_TEXT },
	{ "PROVISIONED", "provisioned", COLUMN_SIZE },
	{ "USED", "used", COLUMN_SIZE },
	{ "WHY", "why", COLUMN_TEXT },
	{ NULL, NULL, COLUMN_TEXT },
};

static const struct column ds_record[] = {
	{ "datastore", "name", COLUMN_TEXT },
	{ "status", "status", COLUMN_TEXT },
	{ "because", "why", COLUMN_TEXT },
	{ "since", "status_since_us", COLUMN_TIME },
	{ "what to do", "advice", COLUMN_TEXT },
	{ "mount", "mount", COLUMN_TEXT },
	{ "lun", "lun", COLUMN_TEXT },
	{ "luns", "luns", COLUMN_NUMBER },
	{ "leaving", "leaving", COLUMN_TEXT },
	{ "label", "label", COLUMN_TEXT },
	{ "uuid", "uuid", COLUMN_TEXT },
	{ "capacity", "capacity", COLUMN_SIZE },
	{ "used", "used", COLUMN_SIZE },
	{ "free", "free", COLUMN_SIZE },
	{ "reserved", "reserved", COLUMN_SIZE },
	{ "space", "space", COLUMN_TEXT },
	{ "provisioned", "provisioned", COLUMN_SIZE },
	{ "damaged", "damaged_names", COLUMN_TEXT },
	{ "lun size", "lun_size", COLUMN_SIZE },
	{ "unmap", "unmap_text", COLUMN_TEXT },
	{ "map cache", "map_cache", COLUMN_SIZE },
	{ "of it used", "map_cache_used", COLUMN_SIZE },
	{ "hosts", "hosts", COLUMN_NUMBER },
	{ "locking", "protocol", COLUMN_TEXT },
	{ "take-over", "takeover_ms", COLUMN_AGE },
	{ "heartbeat", "heartbeat", COLUMN_TEXT },
	{ "watchdog", "watchdog", COLUMN_TEXT },
	{ "slot", "slot", COLUMN_NUMBER },
	{ "incarnation", "incarnation", COLUMN_NUMBER },
	{ "created", "created_us", COLUMN_TIME },
	{ "mounted", "mounted_us", COLUMN_TIME },
	{ "requests by", "requests_by", COLUMN_TEXT },
	{ NULL, NULL, COLUMN_TEXT },
};

static const struct column grown_record[] = {
	{ "datastore", "name", COLUMN_TEXT },
	{ "before", "before", COLUMN_SIZE },
	{ "capacity", "capacity", COLUMN_SIZE },
	{ "lun size", "lun_size", COLUMN_SIZE },
	{ NULL, NULL, COLUMN_TEXT },
};

static const struct column lun_extent_columns[] = {
	{ "EXTENT", "extent", COLUMN_NUMBER },
	{ "SIZE", "size", COLUMN_SIZE },
	{ "USED", "used", COLUMN_SIZE },
	{ "STATUS", "status", COLUMN_TEXT },
	{ "UUID", "uuid", COLUMN_TEXT },
	{ "LUN", "lun", COLUMN_TEXT },
	{ NULL, NULL, COLUMN_TEXT },
};

static const struct column scrub_columns[] = {
	{ "BLOCK", "block", COLUMN_NUMBER },
	{ "TYPE", "type", COLUMN_TEXT },
	{ "OBJECT", "object", COLUMN_TEXT },
	{ NULL, NULL, COLUMN_TEXT },
};

static const struct column resigned_record[] = {
	{ "lun", "lun", COLUMN_TEXT },
	{ "label", "label", COLUMN_TEXT },
	{ "before", "label_before", COLUMN_TEXT },
	{ "uuid", "uuid", COLUMN_TEXT },
	{ "before", "uuid_before", COLUMN_TEXT },
	{ "lun id", "lun_serial", COLUMN_TEXT },
	{ NULL, NULL, COLUMN_TEXT },
};

static const struct column lockmode_record[] = {
	{ "datastore", "name", COLUMN_TEXT },
	{ "locking", "protocol", COLUMN_TEXT },
	{ "because", "reason", COLUMN_TEXT },
	{ "take-over after", "takeover_ms", COLUMN_AGE },
	{ "with corosync", "takeover_hint_ms", COLUMN_AGE },
	{ "watchdog", "watchdog", COLUMN_TEXT },
	{ NULL, NULL, COLUMN_TEXT },
};

static const struct column host_columns[] = {
	{ "SLOT", "slot", COLUMN_NUMBER },
	{ "HOST", "host", COLUMN_TEXT },
	{ "STATE", "state", COLUMN_TEXT },
	{ "NET", "network", COLUMN_TEXT },
	{ "BEAT", "pulse", COLUMN_NUMBER },
	{ "AGE", "silent_ms", COLUMN_AGE },
	{ "INCARNATION", "incarnation", COLUMN_NUMBER },
	{ "KEY", "pr_key", COLUMN_TEXT },
	{ "SINCE", "since_us", COLUMN_TIME },
	{ "NOTE", "note", COLUMN_TEXT },
	{ NULL, NULL, COLUMN_TEXT },
};

static const struct column takeover_columns[] = {
	{ "TIME", "time_us", COLUMN_TIME },
	{ "HOST", "host", COLUMN_TEXT },
	{ "SLOT", "slot", COLUMN_NUMBER },
	{ "INCARNATION", "incarnation", COLUMN_NUMBER },
	{ "CAUSE", "cause", COLUMN_TEXT },
	{ "BY", "by", COLUMN_TEXT },
	{ "SILENT", "silent_ms", COLUMN_AGE },
	{ "NET", "network", COLUMN_TEXT },
	{ "FENCE", "fence_ms", COLUMN_AGE },
	{ "REPLAY", "replay_ms", COLUMN_AGE },
	{ "TRIES", "tries", COLUMN_NUMBER },
	{ "RESULT", "result", COLUMN_TEXT },
	{ "WHY", "why", COLUMN_TEXT },
	{ NULL, NULL, COLUMN_TEXT },
};

static const struct column fence_record[] = {
	{ "host", "host", COLUMN_TEXT },
	{ "taken over", "time_us", COLUMN_TIME },
	{ "slot", "slot", COLUMN_NUMBER },
	{ "incarnation", "incarnation", COLUMN_NUMBER },
	{ "silent", "silent_ms", COLUMN_AGE },
	{ "fence", "fence_ms", COLUMN_AGE },
	{ "replay", "replay_ms", COLUMN_AGE },
	{ NULL, NULL, COLUMN_TEXT },
};

static const struct column path_columns[] = {
	{ "PORTAL", "portal", COLUMN_TEXT },
	{ "USE", "use", COLUMN_TEXT },
	{ "STATE", "state", COLUMN_TEXT },
	{ "ACCESS", "access", COLUMN_TEXT },
	{ "GROUP", "group", COLUMN_NUMBER },
	{ "LOST", "losses", COLUMN_NUMBER },
	{ "ERRORS", "errors", COLUMN_NUMBER },
	{ "SINCE", "since_us", COLUMN_TIME },
	{ NULL, NULL, COLUMN_TEXT },
};

static const struct column lock_columns[] = {
	{ "FILE", "file", COLUMN_TEXT },
	{ "MODE", "mode", COLUMN_TEXT },
	{ "HOST", "host", COLUMN_TEXT },
	{ "HOLDERS", "holders", COLUMN_NUMBER },
	{ "STATE", "state", COLUMN_TEXT },
	{ "BEAT AGE", "silent_ms", COLUMN_AGE },
	{ "SINCE", "since_us", COLUMN_TIME },
	{ NULL, NULL, COLUMN_TEXT },
};

static const struct column lock_record[] = {
	{ "file", "file", COLUMN_TEXT },
	{ "inode", "ino", COLUMN_NUMBER },
	{ "mode", "mode", COLUMN_TEXT },
	{ "holder", "host", COLUMN_TEXT },
	{ "slot", "slot", COLUMN_NUMBER },
	{ "incarnation", "incarnation", COLUMN_NUMBER },
	{ "holders", "holders", COLUMN_NUMBER },
	{ "held by", "held_by_names", COLUMN_TEXT },
	{ "since", "since_us", COLUMN_TIME },
	{ "state", "state", COLUMN_TEXT },
	{ "beat age", "silent_ms", COLUMN_AGE },
	{ "advice", "advice", COLUMN_TEXT },
	{ NULL, NULL, COLUMN_TEXT },
};

static const struct column disk_columns[] = {
	{ "DISK", "disk", COLUMN_TEXT },
	{ "SIZE", "size", COLUMN_SIZE },
	{ "USED", "allocated", COLUMN_SIZE },
	{ "HELD", "held", COLUMN_SIZE },
	{ "SNAPS", "snapshots", COLUMN_NUMBER },
	{ "CLONE", "clone", COLUMN_FLAG },
	{ "LOCK", "lock", COLUMN_LOCK },
	{ NULL, NULL, COLUMN_TEXT },
};

static const struct column disk_record[] = {
	{ "disk", "disk", COLUMN_TEXT },
	{ "extent", "extent", COLUMN_TEXT },
	{ "size", "size", COLUMN_SIZE },
	{ "used", "allocated", COLUMN_SIZE },
	{ "held", "held", COLUMN_SIZE },
	{ "snapshots", "snapshots", COLUMN_NUMBER },
	{ "clone", "clone", COLUMN_FLAG },
	{ "origin", "origin", COLUMN_TEXT },
	{ "sharing", "sharing", COLUMN_TEXT },
	{ "requests/s", "iops_limit", COLUMN_NUMBER },
	{ "bytes/s", "bandwidth_limit", COLUMN_SIZE },
	{ "shares", "shares", COLUMN_NUMBER },
	{ "encryption", "encryption", COLUMN_TEXT },
	{ "key", "key", COLUMN_TEXT },
	{ "key id", "key_id", COLUMN_TEXT },
	{ "inode", "ino", COLUMN_NUMBER },
	{ "modified", "modified_us", COLUMN_TIME },
	{ "lock", "lock", COLUMN_LOCK },
	{ NULL, NULL, COLUMN_TEXT },
};

static const struct column key_columns[] = {
	{ "NAME", "name", COLUMN_TEXT },
	{ "ID", "id", COLUMN_TEXT },
	{ "NOTE", "note", COLUMN_TEXT },
	{ NULL, NULL, COLUMN_TEXT },
};

static const struct column quota_columns[] = {
	{ "DIRECTORY", "directory", COLUMN_TEXT },
	{ "LIMIT", "limit", COLUMN_SIZE },
	{ "USED", "used", COLUMN_SIZE },
	{ "%", "percent", COLUMN_NUMBER },
	{ "RESERVED", "reserve", COLUMN_SIZE },
	{ NULL, NULL, COLUMN_TEXT },
};

static const struct column quota_record[] = {
	{ "directory", "directory", COLUMN_TEXT },
	{ "limit", "limit", COLUMN_SIZE },
	{ "used", "used", COLUMN_SIZE },
	{ "reserved", "reserve", COLUMN_SIZE },
	{ "status", "status", COLUMN_TEXT },
	{ "left out", "left", COLUMN_NUMBER },
	{ "because", "why", COLUMN_TEXT },
	{ NULL, NULL, COLUMN_TEXT },
};

static const struct column handover_record[] = {
	{ "disk", "disk", COLUMN_TEXT },
	{ "to", "to", COLUMN_TEXT },
	{ "state", "state", COLUMN_TEXT },
	{ "seconds", "seconds", COLUMN_NUMBER },
	{ NULL, NULL, COLUMN_TEXT },
};

static const struct column recovered_record[] = {
	{ "disk", "disk", COLUMN_TEXT },
	{ "key", "key", COLUMN_TEXT },
	{ "length", "length", COLUMN_TEXT },
	{ "size", "size", COLUMN_SIZE },
	{ NULL, NULL, COLUMN_TEXT },
};

static const struct column attachment_record[] = {
	{ "disk", "disk", COLUMN_TEXT },
	{ "socket", "socket", COLUMN_TEXT },
	{ "uri", "uri", COLUMN_TEXT },
	{ NULL, NULL, COLUMN_TEXT },
};

static const struct column attachment_columns[] = {
	{ "DISK", "disk", COLUMN_TEXT },
	{ "BY", "by", COLUMN_TEXT },
	{ "GUEST", "guest", COLUMN_TEXT },
	{ "LOCK", "lock", COLUMN_TEXT },
	{ "READ", "read_bytes", COLUMN_SIZE },
	{ "WRITTEN", "written_bytes", COLUMN_SIZE },
	{ "ERRORS", "errors", COLUMN_NUMBER },
	{ "WAITING", "waiting", COLUMN_NUMBER },
	{ "SOCKET", "socket", COLUMN_TEXT },
	{ "WHY", "why", COLUMN_TEXT },
	{ NULL, NULL, COLUMN_TEXT },
};

static const struct column snapshot_columns[] = {
	{ "ID", "id", COLUMN_NUMBER },
	{ "NAME", "name", COLUMN_TEXT },
	{ "PARENT", "parent_id", COLUMN_NUMBER },
	{ "CREATED", "created_us", COLUMN_TIME },
	{ "SIZE", "size", COLUMN_SIZE },
	{ "USED", "allocated", COLUMN_SIZE },
	{ "ALONE", "alone", COLUMN_SIZE },
	{ "CLONES", "clones", COLUMN_NUMBER },
	{ "CURRENT", "current", COLUMN_FLAG },
	{ NULL, NULL, COLUMN_TEXT },
};

static const struct column extent_columns[] = {
	{ "OFFSET", "offset", COLUMN_NUMBER },
	{ "LENGTH", "length", COLUMN_NUMBER },
	{ "DATA", "data", COLUMN_FLAG },
	{ NULL, NULL, COLUMN_TEXT },
};

static const struct column task_columns[] = {
	{ "ID", "id", COLUMN_NUMBER },
	{ "TASK", "what", COLUMN_TEXT },
	{ "OBJECT", "object", COLUMN_TEXT },
	{ "STATE", "state", COLUMN_TEXT },
	{ "%", "percent", COLUMN_NUMBER },
	{ "BEGUN", "begun_us", COLUMN_TIME },
	{ "ENDED", "ended_us", COLUMN_TIME },
	{ "WHY", "message", COLUMN_TEXT },
	{ NULL, NULL, COLUMN_TEXT },
};

static const struct column task_record[] = {
	{ "task", "what", COLUMN_TEXT },
	{ "object", "object", COLUMN_TEXT },
	{ "state", "state", COLUMN_TEXT },
	{ "done", "done", COLUMN_SIZE },
	{ "of", "total", COLUMN_SIZE },
	{ "percent", "percent", COLUMN_NUMBER },
	{ "begun", "begun_us", COLUMN_TIME },
	{ "ended", "ended_us", COLUMN_TIME },
	{ "because", "message", COLUMN_TEXT },
	{ NULL, NULL, COLUMN_TEXT },
};

static const struct column target_columns[] = {
	{ "TARGET", "target", COLUMN_TEXT },
	{ "LUNS", "luns", COLUMN_NUMBER },
	{ "ALLOWS", "allows", COLUMN_NUMBER },
	{ "CHAP", "chap", COLUMN_TEXT },
	{ "REDIRECT", "redirect", COLUMN_TEXT },
	{ "ALIAS", "alias", COLUMN_TEXT },
	{ NULL, NULL, COLUMN_TEXT },
};

static const struct column acl_columns[] = {
	{ "TARGET", "target", COLUMN_TEXT },
	{ "INITIATOR", "initiator", COLUMN_TEXT },
	{ "SEES", "sees", COLUMN_TEXT },
	{ "CHAP", "chap", COLUMN_TEXT },
	{ "MUTUAL", "mutual", COLUMN_TEXT },
	{ NULL, NULL, COLUMN_TEXT },
};

static const struct column portal_columns[] = {
	{ "PORTAL", "portal", COLUMN_TEXT },
	{ "ADDRESS", "address", COLUMN_TEXT },
	{ NULL, NULL, COLUMN_TEXT },
};

static const struct column change_columns[] = {
	{ "CHANGE", "change", COLUMN_TEXT },
	{ "STATUS", "status", COLUMN_TEXT },
	{ "WHY", "why", COLUMN_TEXT },
	{ NULL, NULL, COLUMN_TEXT },
};

static const struct column lun_columns[] = {
	{ "TARGET", "target", COLUMN_TEXT },
	{ "LUN", "lun", COLUMN_NUMBER },
	{ "SIZE", "size", COLUMN_SIZE },
	{ "SOURCE", "source", COLUMN_TEXT },
	{ "READONLY", "readonly", COLUMN_FLAG },
	{ "THIN", "thin", COLUMN_FLAG },
	{ "READS", "reads", COLUMN_NUMBER },
	{ "WRITES", "writes", COLUMN_NUMBER },
	{ "ERRORS", "errors", COLUMN_NUMBER },
	{ "STATUS", "status", COLUMN_TEXT },
	{ NULL, NULL, COLUMN_TEXT },
};

static const struct column lun_record[] = {
	{ "target", "target", COLUMN_TEXT },
	{ "lun", "lun", COLUMN_NUMBER },
	{ "status", "status", COLUMN_TEXT },
	{ "source", "source", COLUMN_TEXT },
	{ "options", "options", COLUMN_TEXT },
	{ "size", "size", COLUMN_SIZE },
	{ "block size", "block_size", COLUMN_NUMBER },
	{ "physical", "physical_block_size", COLUMN_NUMBER },
	{ "wwn", "wwn", COLUMN_TEXT },
	{ "serial", "serial", COLUMN_TEXT },
	{ "access", "access_names", COLUMN_TEXT },
	{ "used", "used", COLUMN_SIZE },
	{ "pool", "pool_size", COLUMN_SIZE },
	{ "pool free", "pool_available", COLUMN_SIZE },
	{ "warns below", "warn_free", COLUMN_SIZE },
	{ "reservation", "reservation", COLUMN_TEXT },
	{ "registrations", "registration_names", COLUMN_TEXT },
	{ "sessions", "sessions", COLUMN_NUMBER },
	{ "reads", "reads", COLUMN_NUMBER },
	{ "writes", "writes", COLUMN_NUMBER },
	{ "errors", "errors", COLUMN_NUMBER },
	{ NULL, NULL, COLUMN_TEXT },
};

#define RATE_COLUMNS \
	{ "READ/S", "read_iops", COLUMN_NUMBER }, \
	{ "WRITE/S", "write_iops", COLUMN_NUMBER }, \
	{ "IN/S", "write_bps", COLUMN_SIZE }, \
	{ "OUT/S", "read_bps", COLUMN_SIZE }, \
	{ "READ US", "read_us", COLUMN_NUMBER }, \
	{ "99%", "read_p99_us", COLUMN_NUMBER }, \
	{ "WRITE US", "write_us", COLUMN_NUMBER }, \
	{ "99%", "write_p99_us", COLUMN_NUMBER }, \
	{ "ERRORS", "errors", COLUMN_NUMBER }, \
	{ NULL, NULL, COLUMN_TEXT }

static const struct column lun_stats_columns[] = {
	{ "TARGET", "target", COLUMN_TEXT },
	{ "LUN", "lun", COLUMN_NUMBER },
	RATE_COLUMNS,
};

static const struct column disk_stats_columns[] = {
	{ "DISK", "disk", COLUMN_TEXT },
	RATE_COLUMNS,
};

static const struct column daemon_columns[] = {
	{ "HOST", "host", COLUMN_TEXT },
	{ "VERSION", "version", COLUMN_TEXT },
	{ "PID", "pid", COLUMN_NUMBER },
	{ "SUPERVISED", "supervised", COLUMN_FLAG },
	{ "PROGRAM", "program", COLUMN_TEXT },
	{ NULL, NULL, COLUMN_TEXT },
};

static const struct column session_stats_columns[] = {
	{ "TSIH", "tsih", COLUMN_NUMBER },
	{ "INITIATOR", "initiator", COLUMN_TEXT },
	RATE_COLUMNS,
};

static const struct column session_columns[] = {
	{ "TSIH", "tsih", COLUMN_NUMBER },
	{ "INITIATOR", "initiator", COLUMN_TEXT },
	{ "PEER", "peer", COLUMN_TEXT },
	{ "TARGET", "target", COLUMN_TEXT },
	{ "COMMANDS", "commands_done", COLUMN_NUMBER },
	{ "WRITES", "writes", COLUMN_NUMBER },
	{ "CONFLICTS", "conflicts", COLUMN_NUMBER },
	{ "IN", "bytes_in", COLUMN_SIZE },
	{ "OUT", "bytes_out", COLUMN_SIZE },
	{ "SINCE", "since_us", COLUMN_TIME },
	{ NULL, NULL, COLUMN_TEXT },
};

static const struct column session_record[] = {
	{ "session", "tsih", COLUMN_NUMBER },
	{ "initiator", "initiator", COLUMN_TEXT },
	{ "alias", "alias", COLUMN_TEXT },
	{ "isid", "isid", COLUMN_TEXT },
	{ "peer", "peer", COLUMN_TEXT },
	{ "target", "target", COLUMN_TEXT },
	{ "portal", "portal", COLUMN_TEXT },
	{ "group", "group", COLUMN_NUMBER },
	{ "since", "since_us", COLUMN_TIME },
	{ "chap", "chap", COLUMN_TEXT },
	{ "digests", "digests", COLUMN_TEXT },
	{ "initial r2t", "initial_r2t", COLUMN_FLAG },
	{ "immediate", "immediate_data", COLUMN_FLAG },
	{ "first burst", "first_burst", COLUMN_SIZE },
	{ "max burst", "max_burst", COLUMN_SIZE },
	{ "r2ts at once", "max_r2t", COLUMN_NUMBER },
	{ "window", "window", COLUMN_NUMBER },
	{ "in flight", "commands", COLUMN_NUMBER },
	{ "commands", "commands_done", COLUMN_NUMBER },
	{ "writes", "writes", COLUMN_NUMBER },
	{ "conflicts", "conflicts", COLUMN_NUMBER },
	{ "in", "bytes_in", COLUMN_SIZE },
	{ "out", "bytes_out", COLUMN_SIZE },
	{ NULL, NULL, COLUMN_TEXT },
};

#define DISK "DS:/PATH.vmdk"

const struct verb verbs[] = {
	{ "ds", "ls", "", "datastores of this vmfsd",
	    { NULL }, 0, "datastores", ds_columns },
	{ "ds", "info", "DS", "all about one datastore",
	    { "name" }, 1, "datastore", ds_record },
	{ "ds", "lockmode", "DS", "how its locks work, and how fast",
	    { "name" }, 1, "datastore", lockmode_record },
	{ "ds", "mount", "DS", "mount a datastore of the configuration",
	    { "name" }, 1, NULL, NULL },
	{ "ds", "unmount", "DS", "unmount it; --force: with files open",
	    { "name" }, 1, NULL, NULL },
	{ "ds", "grow", "DS", "take what its LUN has gained",
	    { "name" }, 1, "grown", grown_record },
	{ "ds", "extent add", "DS LUN", "another LUN; --force: not empty",
	    { "name", "lun" }, 2, NULL, NULL },
	{ "ds", "extent ls", "DS", "the LUNs that it lies on",
	    { "name" }, 1, "extents", lun_extent_columns },
	{ "ds", "extent evacuate", "DS N", "move away what lies on LUN N",
	    { "name", "extent" }, 2, NULL, NULL },
	{ "ds", "extent keep", "DS N", "it does not leave after all",
	    { "name", "extent" }, 2, NULL, NULL },
	{ "ds", "extent rm", "DS N", "take the empty LUN N out",
	    { "name", "extent" }, 2, NULL, NULL },
	{ "ds", "label", "DS LABEL", "change the label on the LUN",
	    { "name", "label" }, 2, NULL, NULL },
	{ "ds", "scrub", "DS", "read and verify all metadata; --rate",
	    { "name" }, 1, "findings", scrub_columns },
	{ "ds", "trim", "DS", "tell a thin LUN of all that is free",
	    { "name" }, 1, NULL, NULL },
	{ "ds", "resignature", "LUN [LABEL]", "a copy gets a UUID of its own",
	    { "lun", "label" }, 1, "volume", resigned_record },
	{ "host", "ls", "DS", "hosts that have the datastore mounted",
	    { "name" }, 1, "hosts", host_columns },
	{ "host", "takeovers", "DS", "whose rights ended, why, by whom",
	    { "name" }, 1, "takeovers", takeover_columns },
	{ "host", "fence", "DS HOST", "end a host that is gone; --force",
	    { "name", "host" }, 2, "takeover", fence_record },
	{ "host", "forget", "DS HOST", "it does not come back; --force",
	    { "name", "host" }, 2, NULL, NULL },
	{ "path", "ls", "DS", "paths to its LUN",
	    { "name" }, 1, "paths", path_columns },
	{ "lock", "ls", "DS:[/DIR]", "files that are locked",
	    { "path" }, 1, "locks", lock_columns },
	{ "lock", "show", "DS:/PATH", "who holds the lock of a file",
	    { "path" }, 1, "lock", lock_record },
	{ "lock", "break", "DS:/PATH", "take a lock from a dead host",
	    { "path" }, 1, NULL, NULL },
	{ "disk", "ls", "DS:[/DIR]", "virtual disks",
	    { "path" }, 1, "disks", disk_columns },
	{ "disk", "info", DISK, "all about one disk",
	    { "path" }, 1, "disk", disk_record },
	{ "disk", "create", DISK " SIZE", "make a disk, thin or of --format",
	    { "path", "size" }, 2, NULL, NULL },
	{ "disk", "set", DISK, "--sharing=multi-writer or none",
	    { "path" }, 1, NULL, NULL },
	{ "disk", "inflate", DISK, "allocate and zero all of a thin disk",
	    { "path" }, 1, NULL, NULL },
	{ "disk", "attach", DISK "[@NAME]", "give it to a hypervisor; --nbd",
	    { "path" }, 1, "attachment", attachment_record },
	{ "disk", "attached", "DS", "disks that were attached",
	    { "name" }, 1, "attachments", attachment_columns },
	{ "disk", "detach", DISK "[@NAME]", "take it back",
	    { "path" }, 1, NULL, NULL },
	{ "disk", "handover", DISK, "--to another host, and no third",
	    { "path" }, 1, "handover", handover_record },
	{ "disk", "convert", DISK, "to --format",
	    { "path" }, 1, NULL, NULL },
	{ "disk", "punch", DISK, "give back what holds zeroes",
	    { "path" }, 1, NULL, NULL },
	{ "disk", "resize", DISK " SIZE", "grow it; --force: shrink",
	    { "path", "size" }, 2, NULL, NULL },
	{ "disk", "stats", "DS:", "what those that are open do",
	    { "path" }, 1, "stats", disk_stats_columns },
	{ "disk", "rekey", DISK, "its key under another key file, --key",
	    { "path" }, 1, NULL, NULL },
	{ "disk", "recover", DISK, "what fsck could not make anew",
	    { "path" }, 1, "recovered", recovered_record },
	{ "disk", "promote", DISK, "a clone stands alone",
	    { "path" }, 1, NULL, NULL },
	{ "disk", "diff", DISK "[@NAME] [@NAME]", "what changed since",
	    { "path", "to" }, 1, "extents", extent_columns },
	{ "disk", "export", DISK "[@NAME] FILE|-", "raw, or of --format",
	    { "path", "file" }, 2, NULL, NULL },
	{ "disk", "import", "FILE|- " DISK, "raw, or of --format",
	    { "file", "path" }, 2, NULL, NULL },
	{ "disk", "mv", DISK " " DISK, "rename a disk",
	    { "path", "to" }, 2, NULL, NULL },
	{ "disk", "rm", DISK, "remove a disk and its snapshots",
	    { "path" }, 1, NULL, NULL },
	{ "disk", "snapshot", DISK " NAME", "take one; --name: of several",
	    { "path", "name" }, 2, NULL, NULL },
	{ "disk", "snapshots", DISK, "list snapshots",
	    { "path" }, 1, "snapshots", snapshot_columns },
	{ "disk", "revert", DISK "@NAME", "go back to a snapshot",
	    { "path", "name" }, 1, NULL, NULL },
	{ "disk", "rm-snapshot", DISK "@NAME", "remove a snapshot",
	    { "path", "name" }, 1, NULL, NULL },
	{ "disk", "clone", DISK "[@NAME] " DISK, "of a snapshot; --full: alone",
	    { "path", "to" }, 2, NULL, NULL },
	{ "key", "ls", "", "key files of this host",
	    { NULL }, 0, "keys", key_columns },
	{ "quota", "ls", "DS:[/DIR]", "limits of directories",
	    { "path" }, 1, "quotas", quota_columns },
	{ "quota", "set", "DS:/DIR", "--limit its space; --reserve some",
	    { "path" }, 1, "quota", quota_record },
	{ "quota", "clear", "DS:/DIR", "no limit any more",
	    { "path" }, 1, "quota", quota_record },
	{ "task", "ls", "", "long work, also what ended",
	    { NULL }, 0, "tasks", task_columns },
	{ "task", "show", "ID", "how far it is",
	    { "id" }, 1, "task", task_record },
	{ "task", "cancel", "ID", "end it where it is",
	    { "id" }, 1, NULL, NULL },
	{ "target", "ls", "", "exported targets",
	    { NULL }, 0, "targets", target_columns },
	{ "target", "create", "IQN", "a target, without LUNs as yet",
	    { "iqn" }, 1, NULL, NULL },
	{ "target", "change", "IQN KEY=VALUE...", "its lines in the file",
	    { "iqn", "settings..." }, 2, NULL, NULL },
	{ "target", "remove", "IQN", "a target with its LUNs",
	    { "iqn" }, 1, NULL, NULL },
	{ "lun", "ls", "", "exported LUNs",
	    { NULL }, 0, "luns", lun_columns },
	{ "lun", "info", "IQN N", "all about one LUN",
	    { "iqn", "lun" }, 2, "info", lun_record },
	{ "lun", "create", "IQN N SOURCE[,OPTION] [SIZE]",
	    "show a source; SIZE: make the file",
	    { "iqn", "lun", "source", "size" }, 3, NULL, NULL },
	{ "lun", "change", "IQN N SOURCE[,OPTION]", "its source or options",
	    { "iqn", "lun", "source" }, 3, NULL, NULL },
	{ "lun", "resize", "IQN N [SIZE]", "grow a file; or look again",
	    { "iqn", "lun", "size" }, 2, NULL, NULL },
	{ "lun", "remove", "IQN N", "take a LUN away",
	    { "iqn", "lun" }, 2, NULL, NULL },
	{ "lun", "access", "IQN N GROUP STATE",
	    "what its portals of a group are for",
	    { "iqn", "lun", "group", "state" }, 4, NULL, NULL },
	{ "lun", "stats", "", "what they do, over --interval",
	    { NULL }, 0, "stats", lun_stats_columns },
	{ "acl", "ls", "", "initiators that may log in",
	    { NULL }, 0, "acl", acl_columns },
	{ "acl", "create", "IQN INITIATOR[,OPTION]", "let initiators log in",
	    { "iqn", "initiator" }, 2, NULL, NULL },
	{ "acl", "change", "IQN INITIATOR[,OPTION]", "what they see",
	    { "iqn", "initiator" }, 2, NULL, NULL },
	{ "acl", "remove", "IQN INITIATOR", "keep them out",
	    { "iqn", "initiator" }, 2, NULL, NULL },
	{ "portal", "ls", "", "where the target listens",
	    { NULL }, 0, "portals", portal_columns },
	{ "portal", "create", "ADDRESS[:PORT][,GROUP]", "listen there as well",
	    { "address" }, 1, NULL, NULL },
	{ "portal", "change", "KEY=VALUE...", "limits and the like",
	    { "settings..." }, 1, NULL, NULL },
	{ "portal", "remove", "ADDRESS[:PORT][,GROUP]", "no longer; sessions stay",
	    { "address" }, 1, NULL, NULL },
	{ "session", "ls", "", "initiators that are logged in",
	    { NULL }, 0, "sessions", session_columns },
	{ "session", "info", "TSIH", "all about one session",
	    { "tsih" }, 1, "session", session_record },
	{ "session", "stats", "", "what they do, over --interval",
	    { NULL }, 0, "stats", session_stats_columns },
	{ "session", "logout", "INITIATOR [TSIH]", "ask it to, --for 10 s",
	    { "initiator", "tsih" }, 1, NULL, NULL },
	{ "session", "drop", "INITIATOR [TSIH]", "end its sessions, or one",
	    { "initiator", "tsih" }, 1, NULL, NULL },
	{ "session", "kill", "INITIATOR [TSIH]", "the same without a word",
	    { "initiator", "tsih" }, 1, NULL, NULL },
	{ "daemon", "ls", "", "the process: version, program",
	    { NULL }, 0, "daemon", daemon_columns },
	{ "daemon", "upgrade", "", "go on with the program on the disk",
	    { NULL }, 0, "daemon", daemon_columns },
	{ "reload", "", "", "apply what changed in the configuration",
	    { NULL }, 0, "changes", change_columns },
	{ NULL, NULL, NULL, NULL, { NULL }, 0, NULL, NULL },
};
