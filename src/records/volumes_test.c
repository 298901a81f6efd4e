/* volumes: rows, and who holds them. */
#include "records_fixture.h"

/* A container that uses "data", and one of its own that is recorded with it. */
static int put_user(struct records *r, const char *id, const char *own, struct err *e)
{
	struct volume_record made = { .name = (char *)(uintptr_t)own, .driver = (char *)(uintptr_t) "local", .created_ns = 10 };
	const struct volume_use uses[] = { { .name = (char *)(uintptr_t) "data" },
					   { .name = (char *)(uintptr_t)own, .is_own = true, .made = &made } };
	struct container_record c = {
		.id = (char *)(uintptr_t)id, .name = (char *)(uintptr_t)id, .volumes = uses, .n_volumes = own ? 2 : 1
	};

	return records_container_put(r, &c, e);
}

TEST(a_volume_is_put_once_and_read_back_whole)
{
	struct records *r = fresh();
	struct volume_record v, *list;
	struct err e = { 0 };
	size_t n;

	is_int(put_volume(r, "data", &e), 0);
	is_int(put_volume(r, "data", &e), -EEXIST);
	is_int(put_volume(r, "a", &e), 0);
	is_int(records_volume_get(r, "data", &v, &e), 0);
	is_str(v.name, "data");
	is_str(v.driver, "local");
	is_int(v.created_ns, 9);
	is_str(map_get(&v.labels, "colour"), "red");
	ok(!v.options.keys && !v.is_used);
	volume_record_done(&v);
	is_int(records_volume_get(r, "dat", &v, &e), -ENOENT); /* no prefixes */
	has_str(e.msg, "get dat: no such volume");
	is_int(records_volume_list(r, &list, &n, &e), 0);
	is_int(n, 2);
	is_str(list[0].name, "a");
	volume_records_free(list, n);
	is_int(records_volume_delete(r, "a", NULL, &e), 0);
	is_int(records_volume_delete(r, "a", NULL, &e), 0);
	records_close(r);
}

TEST(a_volume_stays_while_a_container_uses_it_and_its_user_comes_only_while_it_is_there)
{
	struct records *r = fresh();
	struct volume_use *uses;
	struct volume_record v;
	struct err e = { 0 };
	size_t n;

	is_int(put_user(r, "c0", "own", &e), -ENOENT);
	has_str(e.msg, "no such volume: data");
	is_int(records_volume_get(r, "own", &v, &e), -ENOENT); /* all or nothing */
	is_int(put_volume(r, "data", &e), 0);
	is_int(put_user(r, "c1", "own", &e), 0);
	is_int(put_user(r, "c2", NULL, &e), 0);
	is_int(records_container_volumes(r, "c1", &uses, &n, &e), 0);
	is_int(n, 2);
	is_str(uses[0].name, "data");
	ok(!uses[0].is_own && uses[1].is_own && !uses[1].made);
	volume_uses_free(uses, n);
	is_int(records_volume_get(r, "data", &v, &e), 0);
	ok(v.is_used);
	volume_record_done(&v);
	is_int(records_volume_delete(r, "data", NULL, &e), -EBUSY);
	has_str(e.msg, "remove data: volume is in use - [c1 (c1), c2 (c2)]");
	is_int(records_volume_delete(r, "data", "c1", &e), -EBUSY);
	has_str(e.msg, "[c2 (c2)]");
	is_int(records_volume_delete(r, "own", "c1", &e), 0);
	is_int(records_container_delete(r, "c1", &e), 0);
	is_int(records_container_delete(r, "c2", &e), 0);
	is_int(records_volume_delete(r, "data", NULL, &e), 0);
	records_close(r);
}

TEST(a_removal_notes_that_volumes_go_with_the_container)
{
	static const bool asked[] = { false, true };
	struct records *r = fresh();
	struct err e = { 0 };

	is_int(put_volume(r, "data", &e), 0);
	for (size_t i = 0; i < ARRAY_SIZE(asked); i++) {
		const struct container_record to = { .state = CS_REMOVING, .auto_remove = asked[i] };
		const char *id = i ? "c1" : "c0";
		struct container_record c;
		is_int(put_user(r, id, NULL, &e), 0);
		is_int(records_container_state(r, id, &to, &e), 0);
		is_int(records_container_get(r, id, &c, &e), 0);
		is_int(c.state, CS_REMOVING);
		is_int(c.auto_remove, asked[i]);
		container_record_done(&c);
	}
	records_close(r);
}

TAP_MAIN()
