/* snapshots: how they are found, and which of them another one needs. */
#include "records_fixture.h"

TEST(snapshots_are_found_by_name_id_and_prefix_and_names_are_unique)
{
	struct records *r = fresh();
	struct snapshot_record got, *list;
	struct err e = { 0 };
	char *user = NULL;
	size_t n;

	is_int(put_snapshot(r, "aaaa1", "first", &e), 0);
	is_int(put_snapshot(r, "aaaa2", "aaaa1x", &e), 0);
	is_int(put_snapshot(r, "bbbb", "first", &e), -EEXIST);
	has_str(e.msg, "there is a snapshot first already");
	is_int(records_snapshot_get(r, "first", &got, &e), 0);
	is_str(got.id, "aaaa1");
	snapshot_record_done(&got);
	is_int(records_snapshot_get(r, "aaaa2", &got, &e), 0);
	is_str(got.name, "aaaa1x");
	snapshot_record_done(&got);
	is_int(records_snapshot_get(r, "aaaa1", &got, &e), 0); /* whole before prefix */
	is_str(got.name, "first");
	snapshot_record_done(&got);
	is_int(records_snapshot_get(r, "aaaa", &got, &e), -ENOTUNIQ);
	is_int(records_snapshot_get(r, "aaab", &got, &e), -ENOENT);
	has_str(e.msg, "no such snapshot: aaab");
	is_int(records_snapshot_list(r, &list, &n, &e), 0);
	is_int((int)n, 2);
	is_str(list[0].id, "aaaa2"); /* newest first */
	snapshot_records_free(list, n);
	is_int(records_image_snapshot(r, "sha256:1", &user, &e), 1);
	is_str(user, "aaaa1");
	free(user);
	is_int(records_snapshot_delete(r, "aaaa1", &e), 0);
	is_int(records_snapshot_delete(r, "aaaa1", &e), 0);
	is_int(records_snapshot_get(r, "first", &got, &e), -ENOENT);
	records_close(r);
}

TEST(a_snapshot_that_others_need_stays_until_they_are_gone)
{
	struct records *r = fresh();
	struct snapshot_record got, *list;
	struct err e = { 0 };
	size_t n;

	is_int(put_snapshot(r, "a1", "whole", &e), 0);
	is_int(put_diff(r, "a2", "monday", "a1", &e), 0);
	is_int(put_diff(r, "a3", "tuesday", "a2", &e), 0);
	is_int(put_diff(r, "a4", "lost", "beef", &e), -ENOENT);
	has_str(e.msg, "was removed meanwhile");
	is_int(records_snapshot_get(r, "tuesday", &got, &e), 0);
	is_str(got.parent_id, "a2");
	is_str(got.parent_name, "monday");
	snapshot_record_done(&got);
	is_int(records_snapshot_list(r, &list, &n, &e), 0);
	is_int((int)n, 3);
	is_str(list[1].parent_name, "whole");
	ok(!list[2].parent_id);
	snapshot_records_free(list, n);
	is_int(records_snapshot_delete(r, "a1", &e), -EBUSY);
	has_str(e.msg, "remove monday first (berth snapshot rm monday)");
	is_int(records_snapshot_delete(r, "a2", &e), -EBUSY);
	for (const char *const *id = (const char *const[]){ "a3", "a2", "a1", NULL }; *id; id++)
		is_int(records_snapshot_delete(r, *id, &e), 0);
	is_int(records_snapshot_get(r, "whole", &got, &e), -ENOENT);
	records_close(r);
}

TAP_MAIN()
