#include "engine_impl.h"

#include "tap.h"

static struct err e;

static int size_of(const char *option, uint64_t *ret)
{
	char *options[] = { (char *)(uintptr_t)option, NULL };

	e = (struct err){ 0 };
	return guest_disk_size(options, ret, &e);
}

TEST(a_guests_disk_has_the_size_that_was_asked_for)
{
	uint64_t n = 0;

	is_int(guest_disk_size(NULL, &n, &e), 0);
	is_int(n, 10LL << 30);
	is_int(size_of("size=1g", &n), 0);
	is_int(n, 1LL << 30);
	is_int(size_of("size=64m", &n), 0);
	is_int(n, 64 << 20);
	is_int(size_of("size=100000001", &n), 0);
	is_int(n % 4096, 0);
}

TEST(a_size_that_no_disk_can_have_is_refused_by_name)
{
	static const char *const rows[][2] = { { "size=63m", "between 64m and 8t" }, { "size=9t", "between 64m and 8t" },
					       { "size=much", "not a size" },        { "size=", "not a size" },
					       { "dm.basesize=1g", "unknown" },      { "1g", "unknown" } };
	uint64_t n = 7;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		is_int(size_of(rows[i][0], &n), -EINVAL);
		has_str(e.msg, rows[i][0]);
		has_str(e.msg, rows[i][1]);
	}
	is_int(n, 7);
}

TAP_MAIN()
