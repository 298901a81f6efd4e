/* Unit tests: TEST(claim) { ... } and one TAP_MAIN() a program. Output is TAP 13; `PROG -l` lists, `PROG name...` selects.
 * Each test runs in a child of its own, so it may clone, setns, exec, crash or chroot without touching the next one;
 * sanitizers' exit codes count as failures. Only tests include this file. */
#pragma once

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

struct tap_test {
	const char *name;
	void (*fn)(void);
	struct tap_test *next;
};
static struct tap_test *tap_first, **tap_tail = &tap_first;

#define TEST(claim)                                                    \
	static void claim(void);                                       \
	static struct tap_test tap_##claim = { #claim, claim, NULL };  \
	__attribute__((constructor)) static void tap_add_##claim(void) \
	{                                                              \
		*tap_tail = &tap_##claim;                              \
		tap_tail = &tap_##claim.next;                          \
	}                                                              \
	static void claim(void)

#define TAP_FAIL(...)                                    \
	do {                                             \
		printf("# %s:%d: ", __FILE__, __LINE__); \
		printf(__VA_ARGS__);                     \
		printf("\n");                            \
		fflush(stdout);                          \
		exit(1);                                 \
	} while (0)
#define ok(cond)                                         \
	do {                                             \
		if (!(cond))                             \
			TAP_FAIL("not true: %s", #cond); \
	} while (0)
#define is_int(got, want)                                                                      \
	do {                                                                                   \
		long long tap_g = (long long)(got), tap_w = (long long)(want);                 \
		if (tap_g != tap_w)                                                            \
			TAP_FAIL("%s is %lld, expected %s = %lld", #got, tap_g, #want, tap_w); \
	} while (0)
#define is_str(got, want)                                                                                                    \
	do {                                                                                                                 \
		const char *tap_g = (got), *tap_w = (want);                                                                  \
		if (!tap_g || !tap_w ? tap_g != tap_w : strcmp(tap_g, tap_w) != 0)                                           \
			TAP_FAIL("%s is \"%s\", expected \"%s\"", #got, tap_g ? tap_g : "(null)", tap_w ? tap_w : "(null)"); \
	} while (0)
#define has_str(hay, needle)                                                                                         \
	do {                                                                                                         \
		const char *tap_h = (hay), *tap_n = (needle);                                                        \
		if (!tap_h || !strstr(tap_h, tap_n))                                                                 \
			TAP_FAIL("%s is \"%s\", expected it to hold \"%s\"", #hay, tap_h ? tap_h : "(null)", tap_n); \
	} while (0)
/* A test that can't run on this host says why; the reason is printed in the plan. */
#define skip(reason)                           \
	do {                                   \
		printf("# SKIP %s\n", reason); \
		fflush(stdout);                \
		exit(77);                      \
	} while (0)

/* Keeps p (what a test has allocated and needn't free) reachable, so that a leak detector looks at the tested code only. */
__attribute__((unused)) static void *tap_keep(void *p)
{
	static void **kept;
	static size_t n;

	if (p) {
		void **more = (void **)realloc(kept, (n + 1) * sizeof(void *));
		if (!more)
			TAP_FAIL("out of memory");
		kept = more;
		kept[n++] = p;
	}
	return p;
}

/* A test that fails leaves its helpers behind, and they become this process's own (it is their subreaper): one that races or serves without end
 * would go on when all is over. Those of a good test may have something to tidy, and have until two seconds after the last. */
static void tap_end_orphans(void)
{
	char tap_list[64];
	long pid;

	snprintf(tap_list, sizeof(tap_list), "/proc/self/task/%d/children", (int)getpid());
	for (int tap_more = 1; tap_more;) {
		FILE *f = fopen(tap_list, "re");

		tap_more = 0;
		while (f && fscanf(f, "%ld", &pid) == 1)
			tap_more |= kill((pid_t)pid, SIGKILL) == 0 && waitpid((pid_t)pid, NULL, 0) == pid;
		if (f)
			fclose(f);
	}
}

static int tap_run(int argc, char **argv)
{
	int n = 0, failed = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc > 1 && strcmp(argv[1], "-l") == 0) {
		for (struct tap_test *t = tap_first; t; t = t->next)
			puts(t->name);
		return 0;
	}
	puts("TAP version 13");
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	for (struct tap_test *t = tap_first; t; t = t->next) {
		int wanted = argc < 2, st;
		for (int i = 1; i < argc; i++)
			wanted |= strcmp(argv[i], t->name) == 0;
		if (!wanted)
			continue;
		fflush(stdout);
		pid_t pid = fork();
		if (pid == 0) {
			t->fn();
			exit(0);
		}
		pid_t tap_gone;
		do /* orphans of the test end here, too */
			tap_gone = pid < 0 ? -1 : waitpid(-1, &st, 0);
		while (tap_gone > 0 && tap_gone != pid);
		if (tap_gone < 0) {
			printf("Bail out! fork: %s\n", strerror(errno));
			return 1;
		}
		n++;
		int skipped = WIFEXITED(st) && WEXITSTATUS(st) == 77;
		int good = skipped || (WIFEXITED(st) && WEXITSTATUS(st) == 0);
		if (WIFSIGNALED(st))
			printf("# killed by signal %d\n", WTERMSIG(st));
		printf("%s %d %s%s\n", good ? "ok" : "not ok", n, t->name, skipped ? " # SKIP" : "");
		failed += !good;
		if (!good)
			tap_end_orphans();
	}
	printf("1..%d\n", n);
	fflush(stdout);
	/* Whoever reads our output waits until the last who has it is gone. */
	for (int ms = 0; ms < 2000 && waitpid(-1, NULL, WNOHANG) >= 0; ms += 10)
		usleep(10000);
	tap_end_orphans();
	return failed ? 1 : 0;
}
#define TAP_MAIN() \
	int main(int argc, char **argv) { return tap_run(argc, argv); }
