/* Mounting onto a tree that somebody changes meanwhile: a directory in a volume is swapped with a symbolic link to the host
 * as fast as the kernel can, while containers put mounts, files, devices and working directories through it. Whatever the
 * outcome of each run, nothing on the host may be touched or shown. */
#include "fixture.h"

#include <linux/fs.h>
#include <sys/syscall.h>

#include "no_openat2.h"

enum { ROUNDS = 60 };

struct race {
	struct fixture f;
	char victim[64]; /* on the host; must stay as it is */
	char volume[64];
	pid_t swapper;
};

_noreturn_ static void swap_forever(int dirfd)
{
	for (;;)
		syscall(SYS_renameat2, dirfd, "dir", dirfd, "link", RENAME_EXCHANGE);
}

static void race_up(struct race *r)
{
	char path[128];
	int fd;

	fixture_init(&r->f);
	strcpy(r->victim, "/tmp/berth-victim.XXXXXX");
	strcpy(r->volume, "/tmp/berth-volume.XXXXXX");
	ok(mkdtemp(r->victim) && mkdtemp(r->volume));
	snprintf(path, sizeof(path), "%s/canary", r->victim);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
	ok(fd >= 0 && write(fd, "canary", 6) == 6);
	close(fd);
	fd = open(r->volume, O_PATH | O_DIRECTORY | O_CLOEXEC);
	ok(mkdirat(fd, "dir", 0755) == 0 && symlinkat(r->victim, fd, "link") == 0);
	add_mount(&r->f, "bind", r->volume, "/vol", "rbind");
	fflush(stdout);
	r->swapper = fork();
	if (r->swapper == 0)
		swap_forever(fd);
	close(fd);
}

/* The victim holds its canary, and nothing but it, with its content. */
static void race_down(struct race *r)
{
	_cleanup_free_ char *text = NULL;
	char path[128];
	int status, n = 0;
	DIR *d;

	ok(kill(r->swapper, SIGKILL) == 0 && waitpid(r->swapper, &status, 0) == r->swapper);
	d = opendir(r->victim);
	ok(d != NULL);
	for (struct dirent *de; (de = readdir(d));)
		n += de->d_name[0] != '.';
	closedir(d);
	is_int(n, 1);
	snprintf(path, sizeof(path), "%s/canary", r->victim);
	ok(file_read(AT_FDCWD, path, 100, &text, NULL) == 0);
	is_str(text, "canary");
	ok(rm_rf(AT_FDCWD, r->victim) == 0 && rm_rf(AT_FDCWD, r->volume) == 0);
	fixture_done(&r->f);
}

/* Runs while the swapper runs; how many came to the command. Its output must not show the victim. */
static int rounds(struct race *r)
{
	int ran = 0, status;

	for (int i = 0; i < ROUNDS; i++) {
		if (fixture_run(&r->f, &status) < 0)
			continue;
		ran++;
		if (strstr(r->f.out, "canary"))
			TAP_FAIL("round %d shows the host: %s", i, r->f.out);
	}
	printf("# %d of %d rounds ran\n", ran, ROUNDS);
	return ran;
}

static void mount_race(void)
{
	struct race r = { .swapper = 0 };

	race_up(&r);
	add_mount(&r.f, "tmpfs", "tmpfs", "/vol/dir/a", "nosuid");
	add_mount(&r.f, "tmpfs", "tmpfs", "/vol/link/b", "nosuid");
	add_mount(&r.f, "bind", r.volume, "/vol/dir/c/d", "rbind");
	ARGS(&r.f, "sh", "-c", "ls /vol/dir/ /vol/link/ 2>/dev/null; cat /vol/dir/canary /vol/link/canary 2>/dev/null; true");
	rounds(&r);
	race_down(&r);
}

TEST(R04_R06_a_racing_volume_gets_no_mount_onto_the_host) { mount_race(); }
TEST(R04_R06_the_same_without_openat2)
{
	if (geteuid() != 0)
		skip("needs root");
	is_int(without_openat2(), 0);
	mount_race();
}

static void file_race(void)
{
	struct launch_file file = { .path = (char[]){ "/vol/dir/canary" }, .content = (char[]){ "evil" }, .mode = 0644 };
	struct race r = { .swapper = 0 };

	race_up(&r);
	r.f.args.files = &file;
	r.f.args.n_files = 1;
	free(r.f.spec.process.cwd);
	r.f.spec.process.cwd = strdup("/vol/link/work");
	ARGS(&r.f, "sh", "-c", "pwd; cat ../canary 2>/dev/null; true");
	rounds(&r);
	race_down(&r);
}

TEST(R06_R25_files_and_working_directories_race_inside) { file_race(); }
TEST(R06_R25_the_same_without_openat2)
{
	if (geteuid() != 0)
		skip("needs root");
	is_int(without_openat2(), 0);
	file_race();
}

TAP_MAIN()
