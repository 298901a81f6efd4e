/* Names of signals. The table is the numbering of this architecture's <signal.h>. */
#include <signal.h>
#include <stdio.h>
#include <strings.h>

#include "spawn.h"
#include "str.h"

static const char *const names[] = {
	[SIGHUP] = "HUP",       [SIGINT] = "INT",     [SIGQUIT] = "QUIT", [SIGILL] = "ILL",   [SIGTRAP] = "TRAP",
	[SIGABRT] = "ABRT",     [SIGBUS] = "BUS",     [SIGFPE] = "FPE",   [SIGKILL] = "KILL", [SIGUSR1] = "USR1",
	[SIGSEGV] = "SEGV",     [SIGUSR2] = "USR2",   [SIGPIPE] = "PIPE", [SIGALRM] = "ALRM", [SIGTERM] = "TERM",
	[SIGCHLD] = "CHLD",     [SIGCONT] = "CONT",   [SIGSTOP] = "STOP", [SIGTSTP] = "TSTP", [SIGTTIN] = "TTIN",
	[SIGTTOU] = "TTOU",     [SIGURG] = "URG",     [SIGXCPU] = "XCPU", [SIGXFSZ] = "XFSZ", [SIGVTALRM] = "VTALRM",
	[SIGPROF] = "PROF",     [SIGWINCH] = "WINCH", [SIGIO] = "IO",     [SIGPWR] = "PWR",   [SIGSYS] = "SYS",
	[SIGSTKFLT] = "STKFLT",
};
static const struct {
	const char *name;
	int sig;
} aliases[] = { { "IOT", SIGABRT }, { "POLL", SIGIO }, { "CLD", SIGCHLD } };

/* The kernel's numbering: libc keeps the first two real-time signals for itself and moves SIGRTMIN, but a container's program
 * is told to expect 34 by Debian's and Docker's tables alike. */
enum { RT_MIN = 34, RT_MAX = 64 };

const char *signal_name(int sig) { return sig > 0 && (size_t)sig < ARRAY_SIZE(names) ? names[sig] : NULL; }

static int parse_rt(const char *s)
{
	uint64_t off = 0;
	const char *rest;
	int base, sign;

	if ((rest = str_after(s, "RTMIN")))
		base = RT_MIN, sign = 1;
	else if ((rest = str_after(s, "RTMAX")))
		base = RT_MAX, sign = -1;
	else
		return -EINVAL;
	if (*rest && (*rest != (sign > 0 ? '+' : '-') || str_to_u64(rest + 1, &off) < 0 || off > RT_MAX - RT_MIN))
		return -EINVAL;
	return base + sign * (int)off;
}

int signal_parse(const char *s)
{
	char up[16];
	uint64_t n;

	if (str_to_u64(s, &n) == 0)
		return n >= 1 && n <= RT_MAX ? (int)n : -EINVAL;
	if (strlen(s) >= sizeof(up))
		return -EINVAL;
	size_t len = strlen(s);
	for (size_t i = 0; i <= len; i++)
		up[i] = s[i] >= 'a' && s[i] <= 'z' ? (char)(s[i] - 'a' + 'A') : s[i];
	const char *name = str_after(up, "SIG");
	if (!name)
		name = up;
	for (size_t i = 1; i < ARRAY_SIZE(names); i++)
		if (names[i] && streq(names[i], name))
			return (int)i;
	for (size_t i = 0; i < ARRAY_SIZE(aliases); i++)
		if (streq(aliases[i].name, name))
			return aliases[i].sig;
	return parse_rt(name);
}
