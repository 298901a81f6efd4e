/* Volumes as berth-fs serves them, from the start of its process on; the VM at the other end of its socket is this test. */
#include <linux/fuse.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/wire.h"
#include "tap.h"
#include "vm_impl.h"

struct rig {
	char dir[40], paths[4][80];
	struct host host;
	struct paths p;
	struct instance_config cfg;
	struct cgroup *cg;
	int said[2], sock;
	pid_t pid;
	uint8_t *arena;
};

static void rig_init(struct rig *r)
{
	static const char *const names[] = { "run", "volume", "file", "read-only" };
	char *libexec = getenv("BERTH_LIBEXECDIR"), group[64];
	struct spec blank;
	struct err e = { 0 };

	*r = (struct rig){ .dir = "/tmp/berth-shares.XXXXXX", .sock = -1 };
	if (geteuid() != 0)
		skip("needs root");
	ok(libexec);
	ok(mkdtemp(r->dir));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(r->paths[i], sizeof(r->paths[i]), "%s/%s", r->dir, names[i]);
		if (i != 2)
			is_int(mkdir(r->paths[i], 0755), 0);
	}
	int file = open(r->paths[2], O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
	ok(file >= 0 && write(file, "one file", 8) == 8);
	close(file);
	r->p.libexec = libexec;
	r->cfg.paths = &r->p;
	r->cfg.rundir = r->paths[0];
	r->cfg.rundirfd = open(r->paths[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	is_int(pipe2(r->said, O_CLOEXEC), 0);
	spec_init(&blank);
	snprintf(group, sizeof(group), "/berth-shares-test-%d", getpid());
	if (host_probe_cgroup(&r->host, &e) < 0 || cgroup_create(&r->host, group, &blank.resources, &r->cg, &e) < 0)
		skip("no cgroup can be made here");
}

static void rig_done(struct rig *r)
{
	struct err e = { 0 };

	if (cgroup_remove(r->cg, &e) < 0)
		TAP_FAIL("%s", e.msg);
	host_done(&r->host);
	is_int(rm_rf(AT_FDCWD, r->dir), 0);
}

static int start(struct rig *r, const struct vm_share *shares, size_t n, struct err *e)
{
	const struct vm_shares_plan p = { shares, n, false, r->said[1] };

	return vm_shares_start(&r->cfg, &p, r->cg, &r->pid, &r->sock, e);
}

static void hello(struct rig *r)
{
	const struct fs_hello h = { FS_WIRE_MAGIC, FS_SLOTS, FS_SLOT_BYTES, 0 };
	_cleanup_fd_ int arena = fs_arena_new(&r->arena, NULL);

	ok(arena >= 0);
	is_int(sock_send_fds(r->sock, &h, sizeof(h), &arena, 1), 0);
}

/* The answer's error; what it says is behind its header in the arena. */
static int ask(struct rig *r, uint32_t op, uint64_t node, const void *arg, size_t n)
{
	const struct fuse_in_header h = { .len = (uint32_t)(sizeof(h) + n), .opcode = op, .unique = 1, .nodeid = node };
	const struct fs_call c = { 0, h.len, FS_SLOT_BYTES, 0 };
	struct fuse_out_header out;
	struct fs_done d;

	memcpy(r->arena, &h, sizeof(h));
	memcpy(r->arena + sizeof(h), arg, n);
	is_int(write(r->sock, &c, sizeof(c)), sizeof(c));
	if (read(r->sock, &d, sizeof(d)) != sizeof(d)) {
		char said[500] = "";

		close(r->said[1]);
		(void)!read(r->said[0], said, sizeof(said) - 1);
		TAP_FAIL("the server has ended: %s", said);
	}
	memcpy(&out, r->arena, sizeof(out));
	return out.error;
}

/* *ret_valid: the seconds for which the guest may trust the name */
static uint64_t look_up(struct rig *r, uint64_t node, const char *name, uint32_t *ret_mode, uint64_t *ret_valid)
{
	const struct fuse_entry_out *out = (const void *)(r->arena + sizeof(struct fuse_out_header));

	is_int(ask(r, FUSE_LOOKUP, node, name, strlen(name) + 1), 0);
	*ret_mode = out->attr.mode;
	*ret_valid = out->entry_valid;
	return out->nodeid;
}

TEST(volumes_are_served_by_number_and_read_only_ones_are_so)
{
	static const struct fuse_init_in init = { .major = 7, .minor = 36, .flags = FUSE_SUBMOUNTS };
	const struct {
		struct fuse_mkdir_in in;
		char name[4];
	} mk = { { .mode = 0755 }, "new" };
	struct err e = { 0 };
	uint64_t node[3];
	uint32_t mode[3];
	uint64_t valid[3];
	char name[2] = "0";
	struct stat st;
	struct rig r;
	int status;

	rig_init(&r);
	const struct vm_share shares[] = { { r.paths[1], false, "0", NULL },
					   { r.paths[2], false, "1", "cached" },
					   { r.paths[3], true, "2", "consistent" } };
	if (start(&r, shares, ARRAY_SIZE(shares), &e) < 0)
		TAP_FAIL("%s", e.msg);
	hello(&r);
	is_int(ask(&r, FUSE_INIT, 0, &init, sizeof(init)), 0);
	for (size_t i = 0; i < ARRAY_SIZE(shares); i++, name[0]++)
		node[i] = look_up(&r, FUSE_ROOT_ID, name, &mode[i], &valid[i]);
	ok(S_ISDIR(mode[0]) && S_ISREG(mode[1]) && S_ISDIR(mode[2]));
	ok(valid[0] == 0 && valid[1] == 1 && valid[2] == 0); /* of its volumes the server knows which are cached */
	is_int(ask(&r, FUSE_LOOKUP, FUSE_ROOT_ID, "3", 2), -ENOENT);
	is_int(ask(&r, FUSE_MKDIR, node[0], &mk, sizeof(mk)), 0);
	is_int(ask(&r, FUSE_MKDIR, node[2], &mk, sizeof(mk)), -EROFS);
	is_int(ask(&r, FUSE_MKDIR, FUSE_ROOT_ID, &mk, sizeof(mk)), -EROFS);
	is_int(ask(&r, FUSE_RMDIR, FUSE_ROOT_ID, "0", 2), -EROFS);
	char made[120];
	snprintf(made, sizeof(made), "%s/new", r.paths[1]);
	is_int(stat(made, &st), 0);
	close(r.sock); /* the VM ends */
	is_int(waitpid(r.pid, &status, 0), r.pid);
	is_int(status, 0);
	rig_done(&r);
}

TEST(a_volume_that_can_not_be_had_is_an_error_by_name_and_nothing_is_left)
{
	const struct vm_share missing = { "/nowhere/at/all", false, "0", NULL }, device = { "/dev/null", false, "0", NULL };
	struct err e = { 0 };
	struct rig r;

	rig_init(&r);
	is_int(start(&r, &missing, 1, &e), -ENOENT);
	has_str(e.msg, "volume /nowhere/at/all: No such file");
	is_int(start(&r, &device, 1, &e), -EINVAL);
	has_str(e.msg, "volume /dev/null: neither a directory nor a file");
	is_int(waitpid(-1, NULL, WNOHANG), -1);
	rig_done(&r);
}

TEST(without_its_program_it_is_an_error_that_names_it)
{
	const struct vm_share share = { "/tmp", false, "0", NULL };
	char nowhere[] = "/nowhere";
	struct err e = { 0 };
	struct rig r;

	rig_init(&r);
	r.p.libexec = nowhere;
	is_int(start(&r, &share, 1, &e), -ENOENT);
	has_str(e.msg, "berth-fs is missing from /nowhere");
	rig_done(&r);
}

TAP_MAIN()
