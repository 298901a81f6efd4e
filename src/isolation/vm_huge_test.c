#include <sys/stat.h>

#include "tap.h"
#include "vm_impl.h"

static char dir[] = "/tmp/berth-huge.XXXXXX";

static void say(const char *name, const char *text)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	is_int(file_replace(fd, name, text, strlen(text), 0644, false), 0);
	close(fd);
}

TEST(what_is_free_is_enough_or_the_remedy_is_told)
{
	struct err e = { 0 };

	ok(mkdtemp(dir));
	say("free_hugepages", "13\n");
	say("resv_hugepages", "3\n");
	is_int(vm_huge_check(20 * MIB, dir, &e), 0);
	is_int(vm_huge_check(20 * MIB + 1, dir, &e), -ENOMEM);
	has_str(e.msg, "11 huge pages of 2 MiB are needed, and 10 are free");
	has_str(e.msg, "vm.nr_hugepages");
	say("free_hugepages", "many\n");
	is_int(vm_huge_check(MIB, dir, &e), -EINVAL);
	has_str(e.msg, "free_hugepages");
	is_int(rm_rf(AT_FDCWD, dir), 0);
	is_int(vm_huge_check(MIB, "/nowhere", &e), -EOPNOTSUPP);
	has_str(e.msg, "--huge-pages");
}

TAP_MAIN()
