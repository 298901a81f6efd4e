/* The lines of subuid(5) as id maps. */
#include "rootless_ids.h"

#include "setup.h"
#include "tap.h"

static void expect(const char *text, const char *user, const char *want)
{
	_cleanup_buf_ struct buf b = { 0 };
	struct spec_idmap *v = NULL;
	size_t n = 0;

	ok(rootless_ranges(text, user, 1000, 1000, &v, &n) == 0);
	for (size_t i = 0; i < n; i++)
		buf_fmt(&b, "%u:%u:%u ", v[i].container_id, v[i].host_id, v[i].size);
	is_str(b.data, want);
	free(v);
}

TEST(lines_of_others_and_broken_ones_grant_nothing)
{
	expect("", "joe", "0:1000:1 ");
	expect("joe:100000:65536\n", "joe", "0:1000:1 1:100000:65536 ");
	expect("eve:100000:65536\njoe:165536:10\n", "joe", "0:1000:1 1:165536:10 ");
	/* Several are one after the other, by number as well as by name. */
	expect("joe:100000:10\n1000:200000:5\n", "joe", "0:1000:1 1:100000:10 11:200000:5 ");
	expect("1000:200000:5", NULL, "0:1000:1 1:200000:5 ");
	/* What is no line grants nothing: nor do others' whose names begin alike, nor what lies beyond the ids there are. */
	expect("joey:1:10\njoe\njoe:x:10\njoe:5\njoe:5:0\njoe:4294967290:10\n:1:1\n\n", "joe", "0:1000:1 ");
}

TAP_MAIN()
