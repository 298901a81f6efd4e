/* Which programs of other architectures run here, by what binfmt_misc says. */
#include "binfmt.h"

#include <sys/stat.h>
#include <unistd.h>

#include "tap.h"

/* As Debian's qemu-user-static registers it. */
#define ARM64                                                        \
	"offset 0\nmagic 7f454c460201010000000000000000000200b700\n" \
	"mask ffffffffffffff00fffffffffffffffffeffffff\n"

static void put(int dir, const char *name, const char *text)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ok(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

TEST(a_handler_is_asked_as_the_kernel_would)
{
	char path[] = "/tmp/berth-binfmt.XXXXXX", name[64] = "";
	ok(mkdtemp(path) != NULL);
	int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	ok(dir >= 0);
	is_int(binfmt_ask(dir, "arm64", name), BINFMT_NONE);
	put(dir, "status", "enabled\n");
	put(dir, "register", "");
	put(dir, "python", "enabled\ninterpreter /usr/bin/python\nflags: \noffset 0\nmagic a70d0d0a\n");
	put(dir, "ext", "enabled\ninterpreter /usr/bin/jar\nflags: \nextension .jar\n");
	is_int(binfmt_ask(dir, "arm64", name), BINFMT_NONE);
	put(dir, "qemu-aarch64", "disabled\ninterpreter /q\nflags: F\n" ARM64);
	is_int(binfmt_ask(dir, "arm64", name), BINFMT_DISABLED);
	is_str(name, "qemu-aarch64");
	put(dir, "qemu-aarch64", "enabled\ninterpreter /q\nflags: OC\n" ARM64);
	is_int(binfmt_ask(dir, "arm64", name), BINFMT_NO_F);
	put(dir, "qemu-aarch64", "enabled\ninterpreter /q\nflags: OCF\n" ARM64);
	is_int(binfmt_ask(dir, "arm64", name), BINFMT_READY);
	is_int(binfmt_ask(dir, "riscv64", name), BINFMT_NONE);
	is_int(binfmt_ask(dir, "no-such-arch", name), BINFMT_NONE);
	put(dir, "qemu-s390x",
	    "enabled\ninterpreter /q\nflags: F\noffset 0\nmagic 7f454c4602020100000000000000000000020016\n"
	    "mask ffffffffffffff00fffffffffffffffffffeffff\n");
	is_int(binfmt_ask(dir, "s390x", name), BINFMT_READY);
	put(dir, "qemu-s390x", "enabled\nflags: F\noffset 60\nmagic 7f454c46020201\nmask ff\n"); /* beyond what is looked at */
	is_int(binfmt_ask(dir, "s390x", name), BINFMT_NONE);
	close(dir);
	ok(rm_rf(AT_FDCWD, path) == 0);
}

TAP_MAIN()
