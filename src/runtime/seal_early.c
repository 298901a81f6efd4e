/* seal_early: the same as seal_self, before libc has begun. A verb that makes processes executes this program twice, and the first
 * time would go through all of a static libc's beginning (relocations, and CPUID, which a virtual machine traps) only to
 * leave again: a tenth of what `run` takes. So the program's entry point is here: it looks for such a verb, executes the read-only
 * clone, and where anything at all is not as expected goes on to libc's _start, and so to seal_self, which has the errors
 * and the fallbacks.
 *
 * Nothing of libc works yet: no calls, no thread-local storage (so no stack protector), no relocated data (so no tables of
 * pointers). meson.build compiles this file accordingly, for static x86-64 programs only; never for link-time optimisation, which would
 * leave out what assembly alone calls, and optimise by the other files' rules. */
#include <fcntl.h>
#include <linux/mount.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include "seal.h"

/* gcc makes calls of strlen and memset out of loops, -fno-builtin or not. */
#ifdef __clang__
#define KEEP_LOOPS
#else
#define KEEP_LOOPS __attribute__((optimize("no-tree-loop-distribute-patterns")))
#endif

long seal_early(long *stack);

/* The kernel's entry: argc is where rsp points. What _start expects (rsp, rdx) is given to it as it was. */
__asm__(".text\n"
	".globl seal_start\n"
	".type seal_start, @function\n"
	"seal_start:\n"
	"	endbr64\n"
	"	mov %rsp, %rbx\n"
	"	mov %rdx, %r12\n"
	"	mov %rsp, %rdi\n"
	"	and $-16, %rsp\n"
	"	call seal_early\n"
	"	mov %rbx, %rsp\n"
	"	mov %r12, %rdx\n"
	"	xor %ebx, %ebx\n"
	"	xor %r12d, %r12d\n"
	"	jmp _start\n"
	".size seal_start, . - seal_start\n");

static long call5(long n, long a, long b, long c, long d, long e)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	long ret;

	__asm__ volatile("syscall" : "=a"(ret) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8) : "rcx", "r11", "memory");
	return ret;
}

/* Is `word` one of the words of `list`, each of which has a space on both sides? */
KEEP_LOOPS static bool is_in(const char *list, const char *word)
{
	for (const char *p = list; *p; p++) {
		const char *a = p, *b = word;

		if (*a++ != ' ')
			continue;
		while (*b && *a == *b)
			a++, b++;
		if (!*b && *a == ' ')
			return true;
	}
	return false;
}

/* An operand of that name costs a needless execution, nothing more. A trace wants the beginning of both. */
KEEP_LOOPS static bool wants_sealing(char **argv)
{
	bool found = false;

	for (int i = 1; argv[0] && argv[i]; i++) {
		if (is_in(" --trace-startup ", argv[i]))
			return false;
		found |= is_in(SEAL_VERBS, argv[i]);
	}
	return found;
}

static bool is_on_clone(void)
{
	struct statfs fs;
	long fd = call5(SYS_open, (long)SEAL_SELF, O_RDONLY | O_CLOEXEC, 0, 0, 0), r;

	if (fd < 0)
		return true;
	fs.f_flags = 0;
	r = call5(SYS_fstatfs, fd, (long)&fs, 0, 0, 0);
	call5(SYS_close, fd, 0, 0, 0, 0);
	return r < 0 || (fs.f_flags & SEAL_STATFS) == SEAL_STATFS;
}

long seal_early(long *stack)
{
	char **argv = (char **)(stack + 1), **env = argv + stack[0] + 1;
	struct mount_attr ro = { .attr_set = SEAL_MOUNT, .attr_clr = 0, .propagation = 0, .userns_fd = 0 };
	long fd;

	if (!wants_sealing(argv) || is_on_clone())
		return 0;
	/* Open across the execution: seal.h, seal_self. */
	fd = call5(SYS_open_tree, AT_FDCWD, (long)SEAL_SELF, OPEN_TREE_CLONE, 0, 0);
	if (fd < 0)
		return 0;
	if (call5(SYS_mount_setattr, fd, (long)"", AT_EMPTY_PATH, (long)&ro, sizeof(ro)) == 0)
		call5(SYS_execveat, fd, (long)"", (long)argv, (long)env, AT_EMPTY_PATH);
	call5(SYS_close, fd, 0, 0, 0, 0);
	return 0;
}
