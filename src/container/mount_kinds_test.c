/* Mounts beyond the ordinary: with other owners, of files, remounted, filled, relative, recursive. */
#include <sys/sysmacros.h>

#include "fixture.h"
#include "no_openat2.h"

static struct spec_idmap shifted = { .container_id = 0, .host_id = 100000, .size = 65536 };

/* A host directory with one file that belongs to the ids given. */
struct volume {
	char dir[64];
};
static void volume_init(struct volume *v, uid_t uid, gid_t gid)
{
	char path[80];
	int fd;

	strcpy(v->dir, "/tmp/berth-vol.XXXXXX");
	ok(mkdtemp(v->dir) != NULL && chmod(v->dir, 0755) == 0);
	snprintf(path, sizeof(path), "%s/file", v->dir);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	ok(fd >= 0 && fchown(fd, uid, gid) == 0 && write(fd, "text\n", 5) == 5);
	close(fd);
}
static void volume_done(struct volume *v) { ok(rm_rf(AT_FDCWD, v->dir) == 0); }

/* The next two own nothing on the heap: to be called before fixture_done. */
static void unmap(struct fixture *f)
{
	f->spec.uid_mappings = f->spec.gid_mappings = NULL;
	f->spec.n_uid_mappings = f->spec.n_gid_mappings = 0;
	for (size_t i = 0; i < f->spec.n_mounts; i++) {
		f->spec.mounts[i].uid_mappings = f->spec.mounts[i].gid_mappings = NULL;
		f->spec.mounts[i].n_uid_mappings = f->spec.mounts[i].n_gid_mappings = 0;
	}
}
static void map_mount(struct spec_mount *m, struct spec_idmap *map)
{
	m->uid_mappings = m->gid_mappings = map;
	m->n_uid_mappings = m->n_gid_mappings = 1;
}

TEST(an_idmapped_bind_shows_the_owners_of_its_map)
{
	static struct spec_idmap map = { .container_id = 1000, .host_id = 5000, .size = 10 };
	struct fixture f;
	struct volume v;

	fixture_init(&f);
	volume_init(&v, 1001, 1002);
	map_mount(add_mount(&f, "bind", v.dir, "/vol", "bind,idmap"), &map);
	is_str(sh(&f, "stat -c %u:%g /vol/file; cat /vol/file"), "5001:5002\ntext\n");
	/* Older writers leave the option out. */
	strv_free(find_mount(&f, "/vol")->options);
	find_mount(&f, "/vol")->options = strv_split("rbind,ro", ',');
	is_str(sh(&f, "stat -c %u:%g /vol/file; touch /vol/x 2>&1 || true"), "5001:5002\ntouch: /vol/x: Read-only file system\n");
	unmap(&f);
	volume_done(&v);
	fixture_done(&f);
}

TEST(with_a_user_namespace_an_idmapped_bind_has_the_containers_owners)
{
	struct fixture f;
	struct volume v;
	struct stat st;
	char path[80];

	fixture_init(&f);
	fixture_mkdir(&f, "/vol"); /* where only the host's root could make it */
	volume_init(&v, 7, 8);
	f.spec.ns.wanted[NS_USER] = true;
	f.spec.uid_mappings = f.spec.gid_mappings = &shifted;
	f.spec.n_uid_mappings = f.spec.n_gid_mappings = 1;
	add_mount(&f, "bind", v.dir, "/vol", "rbind,ridmap");
	is_str(sh(&f, "stat -c %u:%g /vol/file; touch /vol/new; stat -c %u /vol/new"), "7:8\n0\n");
	/* And on the host it is root's: nothing shifted was written. */
	snprintf(path, sizeof(path), "%s/new", v.dir);
	ok(stat(path, &st) == 0);
	is_int(st.st_uid, 0);
	unmap(&f);
	volume_done(&v);
	fixture_done(&f);
}

TEST(an_idmap_without_a_map_or_on_what_can_not_be_mapped_is_refused)
{
	struct fixture f;

	fixture_init(&f);
	add_mount(&f, "bind", "/tmp", "/vol", "bind,idmap");
	has_str(refused(&f), "mount /vol: option idmap: needs uidMappings and gidMappings, or a user namespace");
	drop_mount(&f, "/vol");
	add_mount(&f, "bind", "/proc", "/vol", "bind,idmap");
	map_mount(find_mount(&f, "/vol"), &shifted);
	has_str(refused(&f), "source /proc: can't be id-mapped");
	unmap(&f);
	drop_mount(&f, "/vol");
	map_mount(add_mount(&f, "tmpfs", "tmpfs", "/vol", "idmap"), &shifted);
	has_str(refused(&f), "mount /vol: id mappings are for bind mounts only");
	unmap(&f);
	fixture_done(&f);
}

TEST(failed_idmaps_leave_no_process_and_no_descriptor)
{
	struct fixture f;
	int fds;

	fixture_init(&f);
	map_mount(add_mount(&f, "bind", "/tmp", "/vol", "bind,idmap"), &shifted);
	add_mount(&f, "bind", "/no/such", "/vol2", "bind,idmap");
	map_mount(find_mount(&f, "/vol2"), &shifted);
	refused(&f);
	fds = count_fds();
	for (int i = 0; i < 20; i++)
		has_str(refused(&f), "/no/such");
	is_int(count_fds(), fds);
	ok(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
	unmap(&f);
	fixture_done(&f);
}

static void binds_of_files_and_relative_places(void)
{
	struct fixture f;
	struct volume v;
	char path[80];

	fixture_init(&f);
	volume_init(&v, 0, 0);
	snprintf(path, sizeof(path), "%s/file", v.dir);
	add_mount(&f, "bind", path, "/etc/deep/new-file", "bind,ro,sync");
	add_mount(&f, "none", "file", "/etc/passwd", "bind");
	/* As a document without the leading slash is read. */
	add_mount(&f, "tmpfs", "tmpfs", "/rel/dir", "size=64k");
	f.args.bundle = v.dir;
	is_str(sh(&f, "cat /etc/deep/new-file /etc/passwd; grep -c ' /rel/dir tmpfs' /proc/mounts"), "text\ntext\n1\n");
	f.args.bundle = NULL;
	has_str(refused(&f), "mount /etc/passwd: source \"file\": expected an absolute path");
	volume_done(&v);
	fixture_done(&f);
}

TEST(files_are_bound_and_relative_sources_begin_at_the_bundle) { binds_of_files_and_relative_places(); }
TEST(files_are_bound_the_same_without_openat2)
{
	if (geteuid() != 0)
		skip("needs root");
	is_int(without_openat2(), 0);
	binds_of_files_and_relative_places();
}

TEST(recursive_attributes_reach_every_mount_below)
{
	struct fixture f;
	struct volume v;
	char below[80];

	fixture_init(&f);
	volume_init(&v, 0, 0);
	ok(unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	snprintf(below, sizeof(below), "%s/below", v.dir);
	ok(mkdir(below, 0755) == 0 && mount("tmpfs", below, "tmpfs", 0, "size=64k") == 0);
	add_mount(&f, "bind", v.dir, "/a", "rbind,ro");
	add_mount(&f, "bind", v.dir, "/b", "rbind,rro,rnosuid,rnodev,rnoexec,rnoatime,rnodiratime,rnosymfollow");
	add_mount(&f, "bind", v.dir, "/c", "rbind,rstrictatime");
	sh(&f, "grep -E ' /(a|b|c)/below ' /proc/self/mountinfo");
	has_str(f.out, " /a/below rw,relatime ");
	has_str(f.out, " /b/below ro,nosuid,nodev,noexec,noatime,nodiratime,nosymfollow ");
	has_str(f.out, " /c/below rw ");
	ok(umount2(below, MNT_DETACH) == 0);
	volume_done(&v);
	fixture_done(&f);
}

TEST(a_remount_sets_and_lifts_flags_and_options)
{
	struct fixture f;

	fixture_init(&f);
	add_mount(&f, "tmpfs", "tmpfs", "/t", "ro,noexec,size=64k");
	add_mount(&f, "", "", "/t", "remount,rw,nosuid,size=128k");
	add_mount(&f, "bind", "/tmp", "/h", "rbind");
	add_mount(&f, "bind", "", "/h", "remount,bind,ro");
	sh(&f, "grep -E ' /(t|h) ' /proc/mounts");
	has_str(f.out, " /t tmpfs rw,nosuid,noexec,relatime,size=128k");
	ok(strstr(f.out, " /h ") && strstr(strstr(f.out, " /h "), " ro,") != NULL);
	add_mount(&f, "", "", "/etc", "remount,ro");
	has_str(refused(&f), "mount /etc: remount: nothing is mounted there");
	drop_mount(&f, "/etc");
	add_mount(&f, "", "", "/none", "remount,ro");
	has_str(refused(&f), "mount /none: remount: No such file or directory");
	drop_mount(&f, "/none");
	add_mount(&f, "", "", "/t", "remount,size=x");
	has_str(refused(&f), "mount /t: remount: option \"size=x\"");
	fixture_done(&f);
}

TEST(options_of_whole_filesystems_go_to_new_ones)
{
	struct fixture f;

	fixture_init(&f);
	add_mount(&f, "tmpfs", "tmpfs", "/t", "sync,dirsync,silent,iversion,acl,size=64k");
	has_str(sh(&f, "grep ' /t ' /proc/mounts"), " /t tmpfs rw,sync,dirsync,relatime,size=64k");
	fixture_done(&f);
}

static void fill(struct fixture *f)
{
	char path[128];

	fixture_mkdir(f, "/data");
	fixture_mkdir(f, "/data/sub");
	fixture_file(f, "/data/one", "1\n");
	fixture_file(f, "/data/sub/two", "22\n");
	fixture_link(f, "sub/two", "/data/link");
	snprintf(path, sizeof(path), "%s/data/sub/two", f->dir);
	ok(chown(path, 1000, 1001) == 0 && chmod(path, 04750) == 0);
	snprintf(path, sizeof(path), "%s/data", f->dir);
	ok(chown(path, 5, 6) == 0 && chmod(path, 01775) == 0);
	snprintf(path, sizeof(path), "%s/data/pipe", f->dir);
	ok(mkfifo(path, 0622) == 0 && chmod(path, 0622) == 0);
}

static void copied_up(void)
{
	struct fixture f;

	fixture_init(&f);
	fill(&f);
	add_mount(&f, "tmpfs", "tmpfs", "/data", "tmpcopyup,ro,size=64k");
	is_str(sh(&f, "cat /data/one /data/link; stat -c '%a %u:%g' /data /data/sub/two /data/pipe; readlink /data/link; "
		      "touch /data/x 2>/dev/null || grep -c ' /data tmpfs ro,' /proc/mounts"),
	       "1\n22\n1775 5:6\n4750 1000:1001\n622 0:0\nsub/two\n1\n");
	fixture_done(&f);
}

TEST(tmpcopyup_fills_the_tmpfs_with_what_it_covers) { copied_up(); }
TEST(tmpcopyup_does_the_same_without_openat2)
{
	if (geteuid() != 0)
		skip("needs root");
	is_int(without_openat2(), 0);
	copied_up();
}

TEST(tmpcopyup_refuses_devices_what_does_not_fit_and_other_filesystems)
{
	struct fixture f;
	char path[128];

	fixture_init(&f);
	fill(&f);
	add_mount(&f, "tmpfs", "tmpfs", "/data", "tmpcopyup,size=64k");
	/* Sparse: the tmpfs has no room for its length. */
	snprintf(path, sizeof(path), "%s/data/sub/big", f.dir);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	ok(fd >= 0 && ftruncate(fd, 1 << 20) == 0);
	close(fd);
	has_str(refused(&f), "mount /data: tmpcopyup: sub: big: the tmpfs is too small");
	ok(unlink(path) == 0);
	snprintf(path, sizeof(path), "%s/data/null", f.dir);
	ok(mknod(path, S_IFCHR | 0666, makedev(1, 3)) == 0);
	has_str(refused(&f), "mount /data: tmpcopyup: null: is a device or socket");
	drop_mount(&f, "/data");
	add_mount(&f, "sysfs", "sysfs", "/data", "tmpcopyup");
	has_str(refused(&f), "option tmpcopyup: for a tmpfs only");
	fixture_done(&f);
}

TEST(a_bind_mount_leaves_options_of_filesystems_out_and_refuses_unknown_words)
{
	struct fixture f;

	fixture_init(&f);
	add_mount(&f, "bind", "/etc", "/data", "bind,mode=755,size=1k,ro");
	is_str(sh(&f, "[ -e /data/passwd ] && ! touch /data/new 2>/dev/null && echo read-only"), "read-only\n");
	drop_mount(&f, "/data");
	add_mount(&f, "bind", "/etc", "/data", "bind,r0");
	has_str(refused(&f), "option \"r0\": not one that a bind mount knows");
	fixture_done(&f);
}

TEST(what_no_module_can_enforce_is_refused)
{
	struct fixture f;

	fixture_init(&f);
	if (access("/sys/fs/selinux", F_OK) == 0) {
		fixture_done(&f);
		skip("SELinux is in force");
	}
	/* It confines nobody. */
	f.spec.mount_label = strdup("system_u:object_r:container_file_t:s0");
	is_str(sh(&f, "echo labelled"), "labelled\n");
	free_ptr(&f.spec.mount_label);
	f.spec.process.selinux_label = strdup("a:b:c:s0");
	has_str(refused(&f), "process.selinuxLabel \"a:b:c:s0\": SELinux is not in force on this host: leave it out");
	free_ptr(&f.spec.process.selinux_label);
	if (access("/sys/module/apparmor", F_OK) < 0) {
		f.spec.process.apparmor_profile = strdup("docker-default");
		has_str(refused(&f), "process.apparmorProfile \"docker-default\": AppArmor is not in force");
	}
	fixture_done(&f);
}

TAP_MAIN()
