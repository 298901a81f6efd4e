/* Diffs and what they need: put together out of real files, which a tiny guest's VMM has written, and refused by name where a link of the chain
 * is not what it should be. */
#include "snapshot.h"

#include <stdio.h>
#include <unistd.h>

#include "tiny.h"

enum { COUNTER = 0x200000, MEM = 32 << 20, PAGE = 4096, N = 4 };

/* 1: incl COUNTER; jmp 1b */
static const uint8_t counts[] = { 0xff, 0x04, 0x25, 0, 0, 0x20, 0, 0xeb, 0xf7 };

static struct paths paths;
static struct engine *en;
static struct err why;
static char base[] = "/tmp/berth-chain-test-XXXXXX";
/* The last is whole as well, taken in the same moment as the diff before it. */
static const char *const ids[N] = { "a0", "a1", "a2", "f0" }, *const names[N] = { "whole", "monday", "tuesday", "full" };

static int file_of(const char *id, const char *name, int flags)
{
	_cleanup_free_ char *path = str_fmt("%s/root/" SNAPSHOT_DIR "/%s/%s", base, id, name);
	int fd = open(path, flags | O_CLOEXEC, 0600);

	ok(fd >= 0);
	return fd;
}

static void take(struct vmm *vm, const char *id, bool is_diff, enum vmm_track track)
{
	const struct vmm_snapshot_opts o = { .is_diff = is_diff, .is_fleeting = true, .track = track };
	_cleanup_free_ char *dir = str_fmt("%s/root/" SNAPSHOT_DIR "/%s", base, id);
	struct vmm_snapshot_info info;
	_cleanup_fd_ int state = -1, ram = -1;

	is_int(mkdir_p(AT_FDCWD, dir, 0700), 0);
	state = file_of(id, VM_RESTORE_STATE, O_RDWR | O_CREAT | O_EXCL);
	ram = file_of(id, VM_RESTORE_MEMORY, O_RDWR | O_CREAT | O_EXCL);
	if (vmm_snapshot(vm, &o, state, ram, &info, &why) < 0)
		TAP_FAIL("%s", why.msg);
}

static void on_time(struct loop *l, int fd, uint32_t events, void *arg)
{
	static unsigned step;
	static uint32_t at_least = 100;
	struct vmm *vm = arg;
	uint32_t n = 0;

	(void)fd;
	(void)events;
	is_int(vmm_mem_read(vm->mem, COUNTER, &n, sizeof(n)), 0);
	if (n >= at_least) {
		at_least = n + 100;
		vmm_pause(vm);
		take(vm, ids[step], step > 0, VMM_TRACK_ON);
		if (step == 2)
			take(vm, ids[3], false, VMM_TRACK_AS_IS);
		vmm_resume(vm);
		if (++step == 3) {
			vmm_stop(vm);
			return;
		}
	}
	is_int(loop_timer(l, 2, on_time, vm, NULL), 0);
}

static int put(const char *id, const char *name, const char *parent)
{
	struct snapshot_record s = { .id = strdup(id),
				     .name = strdup(name),
				     .vm_id = strdup("vm"),
				     .vm_name = strdup("vm"),
				     .image_id = strdup("image"),
				     .parent_id = parent ? strdup(parent) : NULL };
	int r = records_snapshot_put(en->records, &s, &why);

	snapshot_record_done(&s);
	return r;
}

static void fresh(void)
{
	struct vmm_plan plan = { VMM_PLAN_NO_FDS, .mem_bytes = MEM, .cpus = 1, .pages = VMM_PAGES_SMALL };
	_cleanup_free_ char *root = NULL, *run = NULL;
	struct vmm_result res;
	struct vmm *vm;

	plan.kernel_fd = tiny_kernel(counts, sizeof(counts));
	vm = tiny_vm(&plan); /* or the test is skipped */
	ok(mkdtemp(base));
	root = str_fmt("%s/root", base);
	run = str_fmt("%s/run", base);
	if (paths_init(&paths, root, run, &why) < 0 || engine_open(&paths, &en, &why) < 0)
		TAP_FAIL("%s", why.msg);
	is_int(loop_timer(vmm_loop(vm), 2, on_time, vm, NULL), 0);
	is_int(vmm_run(vm, &res, NULL), 0);
	vmm_free(vm);
	close(plan.kernel_fd);
	for (int i = 0; i < N; i++)
		is_int(put(ids[i], names[i], i == 1 || i == 2 ? ids[i - 1] : NULL), 0);
}

static void done(void)
{
	engine_close(en);
	is_int(rm_rf(AT_FDCWD, base), 0);
}

static struct snapshot_record get(const char *name)
{
	struct snapshot_record s = { NULL };

	is_int(records_snapshot_get(en->records, name, &s, &why), 0);
	return s;
}

static int check(const char *name, struct vmm_snapshot_facts *ret)
{
	struct snapshot_record s = get(name);
	int r = snapshot_chain_check(en, &s, ret, &why);

	snapshot_record_done(&s);
	return r;
}

static void is_same_memory(int a, int b)
{
	for (off_t at = 0; at < MEM; at += PAGE) {
		uint8_t x[PAGE], y[PAGE];

		is_int(pread(a, x, PAGE, at), PAGE);
		is_int(pread(b, y, PAGE, at), PAGE);
		if (memcmp(x, y, PAGE) != 0)
			TAP_FAIL("page %#llx differs", (unsigned long long)at);
	}
}

TEST(a_diff_is_put_together_out_of_all_that_it_goes_on_from)
{
	struct vmm_snapshot_facts facts;
	struct snapshot_record s;
	_cleanup_fd_ int dirfd = -1, merged = -1, full = -1;
	struct stat before, after;

	fresh();
	is_int(check("whole", &facts), 0);
	ok(!facts.is_diff);
	is_int(check("tuesday", &facts), 0);
	ok(facts.is_diff && facts.mem_bytes == MEM);
	s = get("tuesday");
	dirfd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	full = file_of("a0", VM_RESTORE_MEMORY, O_RDONLY);
	is_int(fstat(full, &before), 0);
	if (snapshot_chain_merge(en, &s, dirfd, &why) < 0)
		TAP_FAIL("%s", why.msg);
	snapshot_record_done(&s);
	is_int(fstat(full, &after), 0);
	ok(before.st_mtim.tv_nsec == after.st_mtim.tv_nsec); /* nothing is written to what others need */
	close(full);
	full = file_of("f0", VM_RESTORE_MEMORY, O_RDONLY);
	merged = openat(dirfd, VM_RESTORE_MEMORY, O_RDONLY | O_CLOEXEC);
	is_same_memory(merged, full);
	done();
}

static void flip(const char *id, const char *name, off_t at)
{
	_cleanup_fd_ int fd = file_of(id, name, O_RDWR);
	uint8_t b = 0;

	is_int(pread(fd, &b, 1, at), 1);
	b ^= 1;
	is_int(pwrite(fd, &b, 1, at), 1);
}

TEST(F12_a_link_of_a_chain_that_is_damaged_or_gone_is_named)
{
	static const struct {
		const char *id, *name, *says;
		off_t at;
	} rows[] = {
		{ "a2", VM_RESTORE_MEMORY, "snapshot tuesday: diff file", 24 },
		{ "a1", VM_RESTORE_MEMORY, "what snapshot tuesday goes on from: snapshot monday: diff file", PAGE },
		{ "a1", VM_RESTORE_STATE, "snapshot monday: state file: damaged", 5000 },
		{ "a0", VM_RESTORE_MEMORY, "what snapshot monday goes on from: snapshot whole: memory file", MEM + 20 },
	};
	struct vmm_snapshot_facts facts;

	fresh();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		flip(rows[i].id, rows[i].name, rows[i].at);
		is_int(check("tuesday", &facts), -EBADMSG);
		has_str(why.msg, rows[i].says);
		flip(rows[i].id, rows[i].name, rows[i].at);
		is_int(check("tuesday", &facts), 0);
	}
	/* Whole, and another one's. */
	is_int(put("b1", "stray", "f0"), 0);
	is_int(put("b2", "lost", NULL), 0);
	for (int i = 1; i <= 2; i++) {
		_cleanup_free_ char *link = str_fmt("%s/root/" SNAPSHOT_DIR "/b%d", base, i);

		is_int(symlink("a1", link), 0);
	}
	is_int(check("stray", &facts), -ENOTDIR); /* a link is no directory of ours */
	for (int i = 1; i <= 2; i++) {
		_cleanup_free_ char *link = str_fmt("%s/root/" SNAPSHOT_DIR "/b%d", base, i),
				    *to = str_fmt("%s/root/" SNAPSHOT_DIR "/a1", base), *file = NULL, *from = NULL;

		is_int(unlink(link), 0);
		is_int(mkdir(link, 0700), 0);
		for (int k = 0; k < 2; k++) {
			free(file);
			free(from);
			file = str_fmt("%s/%s", link, k ? VM_RESTORE_STATE : VM_RESTORE_MEMORY);
			from = str_fmt("%s/%s", to, k ? VM_RESTORE_STATE : VM_RESTORE_MEMORY);
			is_int(linkat(AT_FDCWD, from, AT_FDCWD, file, 0), 0);
		}
	}
	is_int(check("stray", &facts), -EBADMSG);
	has_str(why.msg, "snapshot stray: it goes on from another one than full");
	is_int(check("lost", &facts), -EBADMSG);
	has_str(why.msg, "does not say what it goes on from");
	_cleanup_free_ char *gone = str_fmt("%s/root/" SNAPSHOT_DIR "/a0/" VM_RESTORE_MEMORY, base);
	is_int(unlink(gone), 0);
	is_int(check("tuesday", &facts), -ENOENT);
	has_str(why.msg, "snapshot whole: its memory file is gone");
	done();
}

TEST(V11_a_diff_goes_on_from_a_snapshot_of_its_own_vm_whatever_berth_vmm_says)
{
	char vm[] = "vm", other[] = "other";
	const struct container_record mine = { .id = vm, .name = vm }, stranger = { .id = other, .name = other };
	struct vmm_snapshot_facts facts;
	struct snapshot_record s;

	fresh();
	is_int(check("monday", &facts), 0);
	is_int(snapshot_parent_of(en, &mine, facts.id, &s, &why), 0);
	is_str(s.name, "monday");
	snapshot_record_done(&s);
	is_int(snapshot_parent_of(en, &stranger, facts.id, &s, &why), -ENOENT);
	has_str(why.msg, "take a whole one with --track");
	facts.id[0] ^= 1;
	is_int(snapshot_parent_of(en, &mine, facts.id, &s, &why), -ENOENT);
	done();
}

TEST(what_a_diff_needs_is_not_removed_before_it)
{
	fresh();
	is_int(engine_snapshot_remove(en, "whole", &why), -EBUSY);
	has_str(why.msg, "snapshot whole: snapshot monday holds only");
	has_str(why.msg, "berth snapshot rm monday");
	for (int i = 2; i >= 0; i--)
		is_int(engine_snapshot_remove(en, names[i], &why), 0);
	done();
}

TAP_MAIN()
