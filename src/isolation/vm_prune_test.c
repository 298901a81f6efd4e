#include <sys/file.h>
#include <unistd.h>

#include "tap.h"
#include "vm_impl.h"

static char dir[] = "/tmp/berth-prune-XXXXXX";
static struct paths paths;

static const char *at(const char *name) { return tap_keep(str_fmt("%s/%s", dir, name)); }

static bool is_there(const char *name) { return access(at(name), F_OK) == 0; }

static void make_file(const char *name)
{
	char *parent = tap_keep(strdup(at(name)));

	*strrchr(parent, '/') = '\0';
	is_int(mkdir_p(AT_FDCWD, parent, 0700), 0);
	int fd = open(at(name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	is_int(write(fd, "x", 1), 1);
	fd_close(fd);
}

static void begin(void)
{
	ok(mkdtemp(dir));
	paths = (struct paths){ .root = dir, .libexec = dir };
	make_file("berth-init");
	is_int(chmod(at("berth-init"), 0700), 0);
}

static void make_kernel(const char *version)
{
	make_file(tap_keep(str_fmt("kernels/%s/kernel", version)));
	is_int(mkdir_p(AT_FDCWD, at(tap_keep(str_fmt("kernels/%s/modules", version))), 0700), 0);
}

static void prune(void)
{
	struct err e = { 0 };

	if (vm_prune(&paths, NULL, &e) < 0)
		TAP_FAIL("%s", e.msg);
}

TEST(the_newest_kernel_and_its_initramfs_stay_and_others_go)
{
	_cleanup_(vm_kernel_done) struct vm_kernel k = { NULL };
	struct err e = { 0 };
	char *name = NULL;

	begin();
	make_kernel("6.1.0-9-cloud-amd64");
	make_kernel("6.1.0-38-cloud-amd64");
	make_file("kernels/.tmp-abandoned/x");
	make_file("kernels/lock");
	is_int(vm_kernel_cached(&paths, &k, &e), 0);
	is_str(k.version, "6.1.0-38-cloud-amd64");
	is_int(vm_initramfs_name(&paths, &k, &name, &e), 0);
	const char *mine = tap_keep(str_fmt("kernels/%s/%s", k.version, name));
	make_file(mine);
	make_file("kernels/6.1.0-38-cloud-amd64/initramfs-older-0123456789abcdef.cpio");
	prune();
	ok(is_there(mine) && is_there("kernels/6.1.0-38-cloud-amd64/kernel") && is_there("kernels/lock"));
	ok(is_there("kernels/6.1.0-38-cloud-amd64/modules"));
	ok(!is_there("kernels/6.1.0-38-cloud-amd64/initramfs-older-0123456789abcdef.cpio"));
	ok(!is_there("kernels/6.1.0-9-cloud-amd64") && !is_there("kernels/.tmp-abandoned"));
	free(name);
	rm_rf(AT_FDCWD, dir);
}

TEST(a_chosen_kernel_one_that_a_container_has_asked_for_and_built_ones_stay)
{
	char word[] = "6.1.0-10-cloud-amd64", *kept[] = { word, NULL };
	struct err e = { 0 };

	begin();
	make_kernel("6.1.0-8-cloud-amd64");
	make_kernel("6.1.0-9-cloud-amd64");
	make_kernel("6.1.0-10-cloud-amd64");
	make_kernel("6.1.0-38-cloud-amd64");
	make_file("kernels/lean/kernel");
	make_file("kernels/lean/build");
	make_file("kernels/lean/initramfs-older-0123456789abcdef.cpio");
	is_int(vm_kernel_use(&paths, "6.1.0-9-cloud-amd64", &e), 0);
	if (vm_prune(&paths, kept, &e) < 0)
		TAP_FAIL("%s", e.msg);
	ok(!is_there("kernels/6.1.0-8-cloud-amd64"));
	ok(is_there("kernels/6.1.0-9-cloud-amd64/kernel") && is_there("kernels/6.1.0-10-cloud-amd64/kernel"));
	ok(is_there("kernels/6.1.0-38-cloud-amd64/kernel") && is_there("kernels/default"));
	ok(is_there("kernels/lean/kernel") && !is_there("kernels/lean/initramfs-older-0123456789abcdef.cpio"));
	rm_rf(AT_FDCWD, dir);
}

TEST(of_kernels_given_by_path_this_builds_files_stay)
{
	begin();
	const char *mine = tap_keep(str_fmt("kernels/custom/initramfs-%s-0123456789abcdef.cpio", build_id()));
	make_file(mine);
	make_file("kernels/custom/initramfs-older-0123456789abcdef.cpio");
	prune();
	ok(is_there(mine));
	ok(!is_there("kernels/custom/initramfs-older-0123456789abcdef.cpio"));
	rm_rf(AT_FDCWD, dir);
}

TEST(templates_of_disks_go_and_a_disk_is_made_all_the_same)
{
	struct err e = { 0 };

	begin();
	if (vm_make_disk(&paths, at("one.img"), 64 * MIB, &e) < 0)
		TAP_FAIL("%s", e.msg);
	make_file("vm/.tmp-ext4-1.img");
	ok(is_there("vm/ext4-67108864.img"));
	prune();
	ok(!is_there("vm/ext4-67108864.img") && !is_there("vm/.tmp-ext4-1.img"));
	is_int(vm_make_disk(&paths, at("two.img"), 64 * MIB, &e), 0);
	rm_rf(AT_FDCWD, dir);
}

TEST(what_is_being_made_is_left_alone)
{
	struct err e = { 0 };
	int lock;

	begin();
	make_kernel("6.1.0-9-cloud-amd64");
	make_kernel("6.1.0-38-cloud-amd64");
	lock = vm_kernel_lock(&paths, true, &e);
	ok(lock >= 0);
	prune();
	ok(is_there("kernels/6.1.0-9-cloud-amd64"));
	fd_close(lock);
	prune();
	ok(!is_there("kernels/6.1.0-9-cloud-amd64"));
	rm_rf(AT_FDCWD, dir);
}

TEST(a_store_that_never_made_a_virtual_machine_has_nothing_to_prune)
{
	begin();
	prune();
	rm_rf(AT_FDCWD, dir);
}

TAP_MAIN()
