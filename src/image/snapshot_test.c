/* snapshot: overlays of layers as detached mounts, on this kernel's way and on that of older ones. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "snapshot_list.h"
#include "tap.h"

static char top[64];

static void leave(void) { rm_rf(AT_FDCWD, top); }

/* n layers, uppermost first; layer i holds "common" = "i" and "only-i". On tmpfs where there is one: /tmp may be any file system. */
static char **layers_new(int n)
{
	char **v = NULL;

	if (geteuid() != 0)
		skip("mounting needs root");
	snprintf(top, sizeof(top), "/dev/shm/snapshot-test-XXXXXX");
	if (!mkdtemp(top)) {
		snprintf(top, sizeof(top), "/tmp/snapshot-test-XXXXXX");
		ok(mkdtemp(top));
	}
	atexit(leave);
	for (int i = 0; i < n; i++) {
		char dir[128], name[32], text[16];
		snprintf(dir, sizeof(dir), "%s/layer-with-a-long-name-as-a-chain-id-has-%d", top, i);
		ok(mkdir(dir, 0755) == 0);
		ok(strv_push(&v, dir) == 0);
		int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
		snprintf(text, sizeof(text), "%d", i);
		ok(file_replace(fd, "common", text, strlen(text), 0644, false) == 0);
		snprintf(name, sizeof(name), "only-%d", i);
		ok(file_replace(fd, name, text, strlen(text), 0644, false) == 0);
		close(fd);
	}
	return v;
}

static void holds(int mnt, const char *name, const char *want)
{
	char *got = NULL;
	size_t n;

	is_int(file_read(mnt, name, 100, &got, &n), 0);
	is_str(got, want);
	free(got);
}

static void check_merged(int mnt, int n, bool writable)
{
	struct statvfs v;
	char name[32];

	holds(mnt, "common", "0");
	for (int i = 0; i < n; i++) {
		char text[16];
		snprintf(name, sizeof(name), "only-%d", i);
		snprintf(text, sizeof(text), "%d", i);
		holds(mnt, name, text);
	}
	is_int(fstatvfs(mnt, &v), 0);
	ok(v.f_flag & ST_NODEV);
	is_int(file_replace(mnt, "new", "x", 1, 0644, false), writable ? 0 : -EROFS);
}

typedef int (*mount_fn)(const struct snapshot *, int *, struct err *);

static void mount_and_check(mount_fn fn, int n, bool writable)
{
	char **v = layers_new(n), upper[96], work[96];
	struct snapshot s = { .layers = v };
	struct err e = { 0 };
	int fd = -1;

	if (writable) {
		snprintf(upper, sizeof(upper), "%s/upper", top);
		snprintf(work, sizeof(work), "%s/work", top);
		ok(mkdir(upper, 0755) == 0 && mkdir(work, 0755) == 0);
		s.upper = upper;
		s.work = work;
		s.is_volatile = true;
	}
	if (fn(&s, &fd, &e) < 0)
		TAP_FAIL("%d layers: %s", n, e.msg);
	ok(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	check_merged(fd, n, writable);
	close(fd);
	strv_free(v);
}

TEST(a_writable_snapshot_merges_its_layers_and_is_nodev) { mount_and_check(snapshot_mount, 3, true); }
TEST(a_read_only_snapshot_refuses_writes) { mount_and_check(snapshot_mount, 3, false); }
TEST(one_read_only_layer_is_mounted_without_overlayfs) { mount_and_check(snapshot_mount, 1, false); }
TEST(one_writable_layer_is_mounted) { mount_and_check(snapshot_mount, 1, true); }
TEST(a_snapshot_of_300_layers_is_mounted) { mount_and_check(snapshot_mount, 300, true); }
TEST(without_lowerdir_plus_a_few_layers_go_into_one_string) { mount_and_check(snapshot_mount_list, 20, true); }
TEST(without_lowerdir_plus_300_layers_go_through_mount) { mount_and_check(snapshot_mount_list, 300, true); }
TEST(without_lowerdir_plus_300_read_only_layers_go_through_mount) { mount_and_check(snapshot_mount_list, 300, false); }

TEST(a_snapshot_is_in_no_mount_table)
{
	char **v = layers_new(2), *before, *after;
	struct snapshot s = { .layers = v };
	struct err e = { 0 };
	int fd = -1;

	is_int(file_read(AT_FDCWD, "/proc/self/mountinfo", 4 << 20, &before, NULL), 0);
	is_int(snapshot_mount(&s, &fd, &e), 0);
	is_int(file_read(AT_FDCWD, "/proc/self/mountinfo", 4 << 20, &after, NULL), 0);
	is_str(after, before);
	close(fd);
	free(before);
	free(after);
	strv_free(v);
}

TEST(paths_that_overlayfs_would_unescape_are_mounted_too)
{
	char **v = layers_new(2), odd[128], upper[160], work[160];
	struct snapshot s = { .upper = upper, .work = work };
	struct err e = { 0 };
	int fd = -1;

	snprintf(odd, sizeof(odd), "%s/a:b,c\\d", top);
	ok(rename(v[1], odd) == 0);
	free(v[1]);
	v[1] = strdup(odd);
	snprintf(upper, sizeof(upper), "%s/u:p,p\\er", top);
	snprintf(work, sizeof(work), "%s/w:o,r\\k", top);
	ok(mkdir(upper, 0755) == 0 && mkdir(work, 0755) == 0);
	s.layers = v;
	if (snapshot_mount(&s, &fd, &e) < 0)
		TAP_FAIL("%s", e.msg);
	check_merged(fd, 2, true);
	close(fd);
	strv_free(v);
}

TEST(a_missing_layer_is_named_and_no_layer_is_refused)
{
	char **v = layers_new(2), none[128], *empty[] = { NULL };
	struct snapshot s = { .layers = v };
	struct err e = { 0 };
	int fd = -1;

	snprintf(none, sizeof(none), "%s/none", top);
	free(v[1]);
	v[1] = strdup(none);
	is_int(snapshot_mount(&s, &fd, &e), -ENOENT);
	has_str(e.msg, none);
	is_int(snapshot_mount_list(&s, &fd, &e), -ENOENT);
	has_str(e.msg, none);
	s.layers = empty;
	is_int(snapshot_mount(&s, &fd, &e), -EINVAL);
	strv_free(v);
}

TAP_MAIN()
