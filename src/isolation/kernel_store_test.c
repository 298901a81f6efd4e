/* The store's kernels: what counts as one, which is the default, and that every change is whole or not at all. */
#include <elf.h>
#include <sys/file.h>
#include <unistd.h>

#include "tap.h"
#include "vm_impl.h"

static char dir[] = "/tmp/berth-kernels-XXXXXX";
static struct paths paths;
static struct err E;

static const char *at(const char *name) { return tap_keep(str_fmt("%s/%s", dir, name)); }

static bool is_there(const char *name) { return access(at(name), F_OK) == 0; }

static void put(const char *name, const void *p, size_t n)
{
	char *parent = tap_keep(strdup(at(name)));

	*strrchr(parent, '/') = '\0';
	is_int(mkdir_p(AT_FDCWD, parent, 0700), 0);
	int fd = open(at(name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	is_int(fd_write_full(fd, p, n), 0);
	fd_close(fd);
}

static void put_text(const char *name, const char *text) { put(name, text, strlen(text)); }

static void begin(void)
{
	ok(mkdtemp(dir));
	paths = (struct paths){ .root = dir, .libexec = dir };
	E = (struct err){ 0 };
}

static void make_fetched(const char *name)
{
	put_text(tap_keep(str_fmt("kernels/%s/kernel", name)), "kernel");
	is_int(mkdir_p(AT_FDCWD, at(tap_keep(str_fmt("kernels/%s/modules", name))), 0700), 0);
}

static void make_built(const char *name, const char *key)
{
	put_text(tap_keep(str_fmt("kernels/%s/kernel", name)), "\177ELF");
	put_text(tap_keep(str_fmt("kernels/%s/build", name)),
		 tap_keep(str_fmt("version 6.1.1-berth\nkey %s\npackage linux-source-6.1 6.1.1-1\ncompiler gcc 12\n", key)));
}

static const char *default_name(void)
{
	_cleanup_(vm_kernel_done) struct vm_kernel k = { NULL };
	int r = vm_kernel_default(at("kernels"), &k, &E);

	return r < 0 ? "" : tap_keep(strdup(k.name));
}

TEST(without_a_choice_the_distributions_newest_is_booted_and_a_built_one_only_where_there_is_no_other)
{
	begin();
	is_str(default_name(), "");
	make_built("lean", "k1");
	is_str(default_name(), "lean");
	make_fetched("6.1.0-9-cloud-amd64");
	make_fetched("6.1.0-38-cloud-amd64");
	is_str(default_name(), "6.1.0-38-cloud-amd64");
	rm_rf(AT_FDCWD, dir);
}

TEST(a_choice_holds_until_another_or_until_its_kernel_is_gone)
{
	begin();
	make_built("lean", "k1");
	make_fetched("6.1.0-9-cloud-amd64");
	is_int(vm_kernel_use(&paths, "lean", &E), 0);
	is_str(default_name(), "lean");
	make_fetched("6.1.0-38-cloud-amd64");
	is_str(default_name(), "lean");
	is_int(vm_kernel_use(&paths, "6.1.0-9-cloud-amd64", &E), 0);
	is_str(default_name(), "6.1.0-9-cloud-amd64");
	is_int(vm_kernel_remove(&paths, "6.1.0-9-cloud-amd64", &E), 0);
	is_str(default_name(), "6.1.0-38-cloud-amd64");
	ok(!is_there("kernels/6.1.0-9-cloud-amd64") && !is_there("kernels/default"));
	rm_rf(AT_FDCWD, dir);
}

TEST(what_does_not_exist_can_be_neither_chosen_nor_removed)
{
	static const char *const names[] = { "nothing", "lock", "custom", "default", "../kernels/lean", "", ".tmp-x" };

	begin();
	make_built("lean", "k1");
	make_fetched("custom");
	make_fetched(".tmp-x");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		E = (struct err){ 0 };
		is_int(vm_kernel_use(&paths, names[i], &E), -ENOENT);
		has_str(E.msg, "no such kernel");
		is_int(vm_kernel_remove(&paths, names[i], &E), -ENOENT);
	}
	ok(is_there("kernels/custom/kernel") && is_there("kernels/lean/kernel"));
	rm_rf(AT_FDCWD, dir);
}

TEST(a_kernel_whose_modules_have_gone_with_the_hosts_package_is_none)
{
	begin();
	put_text("kernels/6.1.0-9-cloud-amd64/kernel", "kernel");
	is_int(symlink("/nonexistent/modules", at("kernels/6.1.0-9-cloud-amd64/modules")), 0);
	is_str(default_name(), "");
	is_int(vm_kernel_use(&paths, "6.1.0-9-cloud-amd64", &E), -ENOENT);
	rm_rf(AT_FDCWD, dir);
}

TEST(the_list_says_where_each_is_from)
{
	struct vm_kernel_info *list = NULL;
	size_t n = 0;

	begin();
	is_int(vm_kernels(&paths, &list, &n, &E), 0); /* a store that never made one */
	is_int(n, 0);
	make_built("lean", "0123");
	make_fetched("6.1.0-9-cloud-amd64");
	put_text("kernels/6.1.0-8-cloud-amd64/kernel", "kernel");
	is_int(symlink(at("kernels/6.1.0-9-cloud-amd64/modules"), at("kernels/6.1.0-8-cloud-amd64/modules")), 0);
	put_text("kernels/lock", "");
	is_int(vm_kernels(&paths, &list, &n, &E), 0);
	is_int(n, 3);
	is_str(list[0].name, "6.1.0-8-cloud-amd64");
	ok(list[0].source == VM_KERNEL_HOST && !list[0].is_default && !list[0].is_elf);
	ok(list[1].source == VM_KERNEL_FETCHED && list[1].is_default && list[1].modules);
	is_str(list[1].version, "6.1.0-9-cloud-amd64");
	ok(list[2].source == VM_KERNEL_BUILT && list[2].is_elf && !list[2].modules);
	is_str(list[2].version, "6.1.1-berth");
	is_str(list[2].key, "0123");
	is_str(list[2].package, "linux-source-6.1 6.1.1-1");
	vm_kernels_free(list, n);
	rm_rf(AT_FDCWD, dir);
}

TEST(what_was_built_is_taken_in_whole_or_not_at_all_and_nothing_is_replaced)
{
	begin();
	put_text("kernels/.build/k/vmlinux", "\177ELF");
	put_text("kernels/.build/k/config", "CONFIG_X=y\n");
	is_int(vm_kernel_take(&paths, "lean", at("kernels/.build/k"), &E), -ENOENT); /* `build` is missing */
	ok(!is_there("kernels/lean"));
	put_text("kernels/.build/k/build", "version 6.1.1-berth\nkey 0123\n");
	put_text("kernels/lean/half", "of one that never was whole");
	is_int(vm_kernel_take(&paths, "lean", at("kernels/.build/k"), &E), 0);
	ok(is_there("kernels/lean/kernel") && is_there("kernels/lean/config") && !is_there("kernels/lean/half"));
	ok(is_there("kernels/.build/k/vmlinux")); /* by links */
	is_int(vm_kernel_take(&paths, "lean", at("kernels/.build/k"), &E), -EEXIST);
	has_str(E.msg, "there is a kernel lean already");
	is_str(default_name(), "lean");
	rm_rf(AT_FDCWD, dir);
}

/* An ELF kernel with a PVH note and a version, as far as anybody looks here. */
static size_t make_elf(uint8_t *out)
{
	struct {
		Elf64_Ehdr eh;
		Elf64_Phdr load, note;
		Elf64_Nhdr nh;
		char owner[4];
		uint32_t entry;
		char banner[48];
	} k = { .eh = { .e_type = ET_EXEC,
			.e_machine = EM_X86_64,
			.e_phoff = sizeof(Elf64_Ehdr),
			.e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = 2 },
		.load = { .p_type = PT_LOAD },
		.note = { .p_type = PT_NOTE, .p_offset = offsetof(__typeof__(k), nh), .p_filesz = sizeof(Elf64_Nhdr) + 8 },
		.nh = { 4, 4, 18 },
		.owner = "Xen",
		.banner = "Linux version 6.1.1-mine (x@y) #1" };

	k.load.p_filesz = k.load.p_memsz = sizeof(k);
	memcpy(k.eh.e_ident, ELFMAG "\2\1\1", 7);
	memcpy(out, &k, sizeof(k));
	return sizeof(k);
}

static int find(const char *asked, struct vm_kernel *k)
{
	E = (struct err){ 0 };
	return vm_kernel_find(&paths, asked, k, &E);
}

TEST(a_kernel_is_asked_for_by_name_or_by_path_and_the_stores_own_path_is_its_name)
{
	struct vm_kernel k = { NULL };
	uint8_t elf[1024];
	size_t n = make_elf(elf);

	begin();
	make_built("lean", "k1");
	is_int(find("lean", &k), 0);
	is_str(k.name, "lean");
	ok(!k.modules);
	vm_kernel_done(&k);
	is_int(find(at("kernels/lean/kernel"), &k), 0);
	is_str(k.name, "lean");
	vm_kernel_done(&k);
	put("mine", elf, n);
	is_int(find(at("mine"), &k), 0);
	ok(!k.name);
	is_str(k.version, "6.1.1-mine");
	vm_kernel_done(&k);
	rm_rf(AT_FDCWD, dir);
}

TEST(a_wrong_file_is_named_in_one_line)
{
	struct vm_kernel k = { NULL };
	uint8_t elf[1024], shared[1024];
	size_t n = make_elf(elf);

	begin();
	is_int(find("leen", &k), -ENOENT);
	has_str(E.msg, "neither a kernel of the store (berth kernel ls) nor a file");
	is_int(find(at("nothing"), &k), -ENOENT);
	put_text("text", "#!/bin/sh\n");
	is_int(find(at("text"), &k), -ENOEXEC);
	has_str(E.msg, "not a Linux kernel");
	put("cut", elf, n - 1);
	is_int(find(at("cut"), &k), -ENOEXEC);
	has_str(E.msg, "shorter than its headers say");
	memcpy(shared, elf, n);
	((Elf64_Ehdr *)(void *)shared)->e_type = ET_DYN;
	put("program", shared, n);
	is_int(find(at("program"), &k), -ENOEXEC);
	has_str(E.msg, "not a Linux kernel for x86-64");
	memcpy(shared, elf, n);
	shared[sizeof(Elf64_Ehdr) + 2 * sizeof(Elf64_Phdr) + sizeof(Elf64_Nhdr)] = 'Y';
	put("no-pvh", shared, n);
	is_int(find(at("no-pvh"), &k), -ENOEXEC);
	has_str(E.msg, "CONFIG_PVH=y");
	rm_rf(AT_FDCWD, dir);
}

/* A build-kernel that does what its first line says. */
static void put_script(const char *body)
{
	put_text("build-kernel", tap_keep(str_fmt("#!/bin/sh\n%s\n", body)));
	is_int(chmod(at("build-kernel"), 0700), 0);
}

#define BUILD_OK                                                                                                             \
	"case \" $* \" in *\" -k \"*) echo 'ok 6.1.1-1 0123456789abcdef'; exit;; esac\n"                                     \
	"for d; do :; done; mkdir -p $d/k; cp %s/elf $d/k/vmlinux; cp %s/config $d/k/config\n"                               \
	"printf 'version 6.1.1-berth\\nkey 0123456789abcdef\\npackage p\\ncompiler c\\n' >$d/k/build; echo built >>%s/log\n" \
	"echo ok $d/k"

static const char NEEDED[] =
	"\nCONFIG_PVH=y\nCONFIG_SMP=y\nCONFIG_KVM_GUEST=y\nCONFIG_ACPI=y\nCONFIG_PCI_MSI=y\nCONFIG_BLK_DEV_INITRD=y\nCONFIG_"
	"DEVTMPFS=y\n"
	"CONFIG_SERIAL_8250_CONSOLE=y\nCONFIG_VIRTIO_PCI=y\nCONFIG_VIRTIO_MMIO=y\nCONFIG_VIRTIO_BLK=y\nCONFIG_VIRTIO_CONSOLE=y\n"
	"CONFIG_VIRTIO_FS=y\nCONFIG_EXT4_FS=y\nCONFIG_OVERLAY_FS=y\nCONFIG_CGROUPS=y\nCONFIG_MEMCG=y\nCONFIG_CGROUP_BPF=y\n"
	"CONFIG_SECCOMP_FILTER=y\nCONFIG_USER_NS=y\nCONFIG_PID_NS=y\nCONFIG_NET_NS=y\nCONFIG_IPC_NS=y\nCONFIG_UTS_NS=y\n";

static int build(const char *name, char **ret)
{
	const struct vm_kernel_build_opts o = { .name = name, .is_quiet = true };

	E = (struct err){ 0 };
	return vm_kernel_build(&paths, &o, ret, &E);
}

TEST(building_gives_a_name_and_the_same_again_builds_nothing)
{
	uint8_t elf[1024];
	char *name = NULL;

	begin();
	put("elf", elf, make_elf(elf));
	put_text("config", tap_keep(str_fmt("%sCONFIG_EROFS_FS=y\n", NEEDED)));
	put_script(tap_keep(str_fmt(BUILD_OK, dir, dir, dir)));
	if (build(NULL, &name) < 0)
		TAP_FAIL("%s", E.msg);
	is_str(name, "6.1.1-berth-01234567");
	ok(is_there("kernels/6.1.1-berth-01234567/kernel"));
	free(name);
	is_int(build(NULL, &name), 0);
	is_str(name, "6.1.1-berth-01234567");
	free(name);
	is_int(build("lean", &name), 0);
	is_str(name, "lean");
	free(name);
	is_int(file_read(AT_FDCWD, at("log"), 100, &name, NULL), 0);
	is_str(name, "built\nbuilt\n"); /* not a third time */
	free(name);
	make_fetched("6.1.0-9-cloud-amd64");
	is_int(build("6.1.0-9-cloud-amd64", &name), -EEXIST);
	is_int(build("../lean", &name), -EINVAL);
	rm_rf(AT_FDCWD, dir);
}

TEST(a_build_that_fails_says_why_and_leaves_nothing)
{
	uint8_t elf[1024];
	char *name = NULL;

	begin();
	put_script("echo 'error missing packages; as root: apt-get install flex'; exit 1");
	is_int(build(NULL, &name), -EIO);
	is_str(E.msg, "missing packages; as root: apt-get install flex");
	put_script("exit 3");
	is_int(build(NULL, &name), -EIO);
	has_str(E.msg, "ended with status 3");
	put_script("kill -9 $$");
	is_int(build(NULL, &name), -EINTR);
	put_script(tap_keep(str_fmt(BUILD_OK, dir, dir, dir)));
	put("elf", elf, make_elf(elf));
	put_text("config", NEEDED);
	is_int(build(NULL, &name), -EINVAL);
	has_str(E.msg, "CONFIG_EROFS_FS=y is missing, for images");
	put("elf", elf, 70);
	is_int(truncate(at("elf"), 70), 0);
	is_int(build(NULL, &name), -ENOEXEC);
	has_str(E.msg, "damaged kernel");
	ok(!is_there("kernels/6.1.1-berth-01234567") && !is_there("kernels/.build/k"));
	is_str(default_name(), "");
	rm_rf(AT_FDCWD, dir);
}

TAP_MAIN()
