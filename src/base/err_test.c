#include "err.h"
#include "str.h"
#include "tap.h"

TEST(an_error_is_negative_and_keeps_its_number)
{
	struct err e = { .exit = 3 };

	is_int(err_set(&e, ENOENT, "open %s", "x"), -ENOENT);
	is_int(e.no, ENOENT);
	is_int(e.exit, 0);
	is_str(e.msg, "open x");
	is_int(err_set_exit(&e, 127, EPERM, "no"), -EPERM);
	is_int(e.exit, 127);
	is_int(err_set(NULL, EIO, "x"), -EIO);
}

TEST(a_zero_can_not_read_as_success)
{
	struct err e;

	is_int(err_set(&e, 0, "x"), -EINVAL);
	is_int(e.no, EINVAL);
	is_int(err_set(NULL, 0, "x"), -EINVAL);
	is_int(err_push(&e, 0, "x"), -EINVAL);
	is_int(err_push(NULL, 5, "x"), -EINVAL);
}

TEST(pushes_prefix_and_keep_number_and_exit)
{
	struct err e = { 0 };

	err_set_exit(&e, 126, EACCES, "denied");
	is_int(err_push(&e, -EACCES, "mount #%d", 3), -EACCES);
	is_str(e.msg, "mount #3: denied");
	is_int(e.exit, 126);
	is_int(e.no, EACCES);
	struct err none = { 0 };
	is_int(err_push(&none, -ENOSPC, "write"), -ENOSPC);
	is_str(none.msg, "write: No space left on device");
	is_int(none.no, ENOSPC);
}

TEST(arguments_may_be_the_error_itself)
{
	struct err e;

	err_set(&e, EIO, "inner");
	err_set(&e, EIO, "outer: %s", e.msg);
	is_str(e.msg, "outer: inner");
}

TEST(R21_controls_of_any_kind_are_replaced)
{
	struct err e;

	err_set(&e, EIO,
		"a\x1b[2Jb\nc\x7f"
		"d\xc2\x9b"
		"e\tf\r");
	is_str(e.msg, "a?[2Jb?c?d??e?f?");
	err_set(&e, EIO, "caf\xc3\xa9 \xe2\x82\xac"); /* other UTF-8 stays */
	is_str(e.msg, "caf\xc3\xa9 \xe2\x82\xac");
	err_push(&e, -EIO, "x\n");
	is_str(e.msg, "x?: caf\xc3\xa9 \xe2\x82\xac");
}

TEST(long_messages_are_cut_between_characters)
{
	char text[2000];
	struct err e;

	for (size_t shift = 0; shift < 4; shift++) {
		memset(text, 'x', shift);
		for (size_t i = shift; i + 4 < sizeof(text); i += 3)
			memcpy(text + i, "\xe2\x82\xac", 4);
		err_set(&e, EIO, "%s", text);
		size_t n = strlen(e.msg);
		ok(n > sizeof(e.msg) - 5 && n < sizeof(e.msg));
		is_int((n - shift) % 3, 0);
		err_push(&e, -EIO, "and a prefix that pushes the end out");
		n = strlen(e.msg);
		ok(n < sizeof(e.msg));
		ok(e.msg[n - 1] == '\xac');
	}
}

TEST(one_write_carries_it) { ok(sizeof(struct err) <= 512); }

TAP_MAIN()
