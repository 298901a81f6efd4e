/* inside_calls: the system calls that are asked for: each number with arguments of zero, and some whose arguments decide. */
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "inside.h"

#define NUMBERS     512u /* of each ABI; those in use end below 470 */
#define X32_NUMBERS 548u
#define TOTAL       (NUMBERS + NUMBERS + X32_NUMBERS)

/* What a filter may let through or not by its arguments alone. The names are for the host. */
static const struct {
	const char *id;
	struct call_asked call;
} cases[] = {
	{ "clone-newuser", { CALL_X86_64, SYS_clone, { CLONE_NEWUSER | SIGCHLD } } },
	{ "clone-newns", { CALL_X86_64, SYS_clone, { CLONE_NEWNS | SIGCHLD } } },
	{ "unshare-newuser", { CALL_X86_64, SYS_unshare, { CLONE_NEWUSER } } },
	{ "unshare-newns", { CALL_X86_64, SYS_unshare, { CLONE_NEWNS } } },
	{ "socket-alg", { CALL_X86_64, SYS_socket, { AF_ALG, SOCK_SEQPACKET, 0 } } },
	{ "socket-vsock", { CALL_X86_64, SYS_socket, { AF_VSOCK, SOCK_STREAM, 0 } } },
	{ "socket-packet", { CALL_X86_64, SYS_socket, { AF_PACKET, SOCK_RAW, 0 } } },
	{ "socket-netlink", { CALL_X86_64, SYS_socket, { AF_NETLINK, SOCK_RAW, 0 } } },
	{ "personality-no-random", { CALL_X86_64, SYS_personality, { 0x0040000 /* ADDR_NO_RANDOMIZE */ } } },
	{ "ioctl-tiocsti", { CALL_X86_64, SYS_ioctl, { 0, TIOCSTI } } },
	{ "ioctl-tioclinux", { CALL_X86_64, SYS_ioctl, { 0, TIOCLINUX } } },
};

/* uretprobe and uprobe are the kernel's own, which no filter is asked about (Linux 6.14): the answer of a number that nobody has stands there. */
static uint32_t ask_instead(uint32_t nr) { return nr == 335 || nr == 336 ? NUMBERS - 1 : nr; }

static size_t fill(struct call_asked *to)
{
	size_t n = 0;

	for (uint32_t i = 0; i < NUMBERS; i++)
		to[n++] = (struct call_asked){ CALL_X86_64, ask_instead(i), { 0 } };
	for (uint32_t i = 0; i < NUMBERS; i++)
		to[n++] = (struct call_asked){ CALL_I386, i, { 0 } };
	for (uint32_t i = 0; i < X32_NUMBERS; i++)
		to[n++] = (struct call_asked){ CALL_X32, i, { 0 } };
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		to[n++] = cases[i].call;
	return n;
}

/* 4 numbers a digit, the lowest first, and in a digit the lowest bit. */
static void put_map(struct json_out *j, const char *name, const enum call_answer *a, size_t n, enum call_answer which)
{
	char hex[X32_NUMBERS / 4 + 1];

	for (size_t i = 0; i < n; i += 4) {
		unsigned digit = 0;
		for (size_t k = 0; k < 4; k++)
			digit |= (unsigned)(a[i + k] == which) << k;
		hex[i / 4] = "0123456789abcdef"[digit];
	}
	hex[n / 4] = 0;
	json_out_text(j, name, hex);
}

static void put_abi(struct json_out *j, const char *name, const enum call_answer *a, size_t n)
{
	json_out_open(j, name, '{');
	json_out_bool(j, "entry", a[0] != CALL_NO_ABI);
	put_map(j, "reached", a, n, CALL_REACHED);
	put_map(j, "killed", a, n, CALL_KILLED);
	json_out_close(j, '}');
}

void inside_calls(struct json_out *j)
{
	size_t most = TOTAL + ARRAY_SIZE(cases), n;
	_cleanup_free_ struct call_asked *asked = calloc(most, sizeof(*asked));
	_cleanup_free_ enum call_answer *a = calloc(most, sizeof(*a));
	enum call_way way = CALL_BY_NOTIFY;
	int r = -ENOMEM;

	if (asked && a) {
		n = fill(asked);
		r = calls_ask(asked, n, a, &way);
	}
	if (r < 0) {
		json_out_why(j, "calls", "a filter of its own", -r);
		return;
	}
	json_out_open(j, "calls", '{');
	json_out_bool(j, "exact", way == CALL_BY_NOTIFY);
	put_abi(j, "x86_64", a, NUMBERS);
	put_abi(j, "i386", a + NUMBERS, NUMBERS);
	put_abi(j, "x32", a + NUMBERS + NUMBERS, X32_NUMBERS);
	json_out_open(j, "cases", '{');
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		json_out_bool(j, cases[i].id, a[TOTAL + i] == CALL_REACHED);
	json_out_close(j, '}');
	json_out_close(j, '}');
}
