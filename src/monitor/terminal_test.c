#include <pty.h>
#include <unistd.h>

#include "tap.h"
#include "terminal.h"

TEST(detach_keys_are_parsed_and_errors_name_the_key)
{
	struct detach_keys d;
	struct err e = { 0 };

	is_int(detach_keys_parse(NULL, &d, &e), 0);
	ok(d.n == 2 && d.keys[0] == 0x10 && d.keys[1] == 0x11);
	is_int(detach_keys_parse("ctrl-@,x,ctrl-[,ctrl-_", &d, &e), 0);
	ok(d.n == 4 && d.keys[0] == 0 && d.keys[1] == 'x' && d.keys[2] == 0x1B && d.keys[3] == 0x1F);
	is_int(detach_keys_parse("", &d, &e), 0);
	is_int(d.n, 0);
	is_int(detach_keys_parse("ctrl-p,shift-q", &d, &e), -EINVAL);
	has_str(e.msg, "\"shift-q\" is not a key");
	is_int(detach_keys_parse("ctrl-", &d, &e), -EINVAL);
	is_int(detach_keys_parse("ctrl-pq", &d, &e), -EINVAL);
	is_int(detach_keys_parse("a,,b", &d, &e), -EINVAL);
	is_int(detach_keys_parse("ctrl-1", &d, &e), -EINVAL);
	is_int(detach_keys_parse("a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a", &d, &e), -EINVAL);
}

/* What gets through when the bytes come one by one. */
static const char *typed(const char *keys, const char *text, bool *ret_detach)
{
	static struct buf out;
	struct detach_keys d;
	struct err e;

	buf_done(&out);
	is_int(detach_keys_parse(keys, &d, &e), 0);
	*ret_detach = false;
	for (; *text && !*ret_detach; text++)
		*ret_detach = detach_keys_filter(&d, text, 1, &out);
	return out.data ? out.data : "";
}

TEST(keys_are_held_back_only_while_they_may_become_the_sequence)
{
	bool detach;

	is_str(typed("ctrl-p,ctrl-q", "ab\x10\x11zz", &detach), "ab");
	ok(detach);
	is_str(typed("ctrl-p,ctrl-q",
		     "a\x10"
		     "b",
		     &detach),
	       "a\x10"
	       "b");
	ok(!detach);
	is_str(typed("ctrl-p,ctrl-q", "\x10\x10\x11", &detach), "\x10"); /* the second begins the sequence anew */
	ok(detach);
	is_str(typed("a,a,b", "aaab", &detach), "a");
	ok(detach);
	is_str(typed("a,b,a,c", "ababac", &detach), "ab");
	ok(detach);
	is_str(typed("a,b,a,c", "abab", &detach), "ab"); /* "ab" waits */
	ok(!detach);
	is_str(typed("", "\x10\x11", &detach), "\x10\x11");
	ok(!detach);
	is_str(typed("x", "abxc", &detach), "ab");
	ok(detach);
}

TEST(a_terminal_comes_back_as_it_was)
{
	struct termios before, now;
	struct terminal t = { .fd = -1 };
	int master, slave;
	uint16_t rows, cols;
	const struct winsize ws = { .ws_row = 12, .ws_col = 34 };

	is_int(openpty(&master, &slave, NULL, NULL, &ws), 0);
	is_int(tcgetattr(slave, &before), 0);
	is_int(terminal_raw(&t, slave), 0);
	is_int(tcgetattr(slave, &now), 0);
	ok(!(now.c_lflag & (ICANON | ECHO | ISIG)));
	terminal_restore(&t);
	terminal_restore(&t);
	is_int(tcgetattr(slave, &now), 0);
	is_int(now.c_lflag, before.c_lflag);
	is_int(now.c_iflag, before.c_iflag);
	is_int(terminal_size(slave, &rows, &cols), 0);
	ok(rows == 12 && cols == 34);
	is_int(terminal_raw(&t, open("/dev/null", O_RDONLY)), -ENOTTY);
}

TAP_MAIN()
