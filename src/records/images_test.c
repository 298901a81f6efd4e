/* images: rows, their names, and what is told of an ambiguous one. */
#include "records_fixture.h"

TEST(image_put_then_get_by_ref_id_prefix_and_manifest_digest_gives_every_field)
{
	static const char *const names[] = { "docker.io/library/a:1", ID_A, "sha256:feed", "aaaa", "sha256:aaaa00" };
	struct records *r = fresh();

	put_image(r, ID_A, "docker.io/library/a:1");
	for (size_t n = 0; n < ARRAY_SIZE(names); n++) {
		struct image_record i = { 0 };
		struct err e = { 0 };
		if (records_image_get(r, names[n], &i, &e) < 0)
			TAP_FAIL("%s: %s", names[n], e.msg);
		is_str(i.id, ID_A);
		is_str(i.manifest_digest, "sha256:feed");
		is_str(i.created, "2026-01-01T00:00:00Z");
		is_str(i.config_json, "{\"os\":\"linux\"}");
		is_int(strv_len(i.chain_ids), 2);
		is_str(i.chain_ids[1], "sha256:c2");
		ok(i.size_bytes == 123456789012);
		is_int(i.pulled_ns, 77);
		image_record_done(&i);
	}
	records_close(r);
}

TEST(image_get_refuses_an_ambiguous_prefix_and_says_no_such_image)
{
	struct records *r = fresh();
	struct image_record i = { 0 };
	struct err e = { 0 };

	put_image(r, ID_A, NULL);
	put_image(r, ID_B, NULL);
	is_int(records_image_get(r, "aaaa", &i, &e), -ENOTUNIQ);
	is_int(records_image_get(r, "bbbb", &i, &e), -ENOENT);
	is_str(e.msg, "no such image: bbbb");
	is_int(records_image_get(r, "%", &i, &e), -ENOENT);
	records_close(r);
}

TEST(image_put_tells_which_image_lost_the_tag)
{
	char *old = NULL, **refs = NULL, **ids = NULL;
	struct records *r = fresh();
	struct image_record i = { .id = (char *)(uintptr_t)ID_B,
				  .manifest_digest = (char *)(uintptr_t) "sha256:2",
				  .config_json = (char *)(uintptr_t) "{}" };
	struct err e = { 0 };

	put_image(r, ID_A, "x:1");
	is_int(records_image_put(r, &i, "x:1", &old, &e), 0);
	is_str(old, ID_A);
	free(old);
	is_int(records_image_put(r, &i, "x:1", &old, &e), 0);
	ok(!old);
	is_int(records_tags(r, NULL, &refs, &ids, &e), 0);
	is_int(strv_len(refs), 1);
	is_str(ids[0], ID_B);
	strv_free(refs);
	strv_free(ids);
	is_int(records_image_get(r, ID_A, &i, &e), 0);
	image_record_done(&i);
	records_close(r);
}

TEST(tags_are_put_listed_and_deleted_and_go_with_their_image)
{
	char **refs = NULL;
	struct records *r = fresh();
	struct err e = { 0 };

	put_image(r, ID_A, "x:1");
	is_int(records_tag_put(r, "x:2", ID_A, &e), 0);
	is_int(records_tag_put(r, "x:3", ID_B, &e), -ENOENT);
	is_int(records_tags(r, ID_A, &refs, NULL, &e), 0);
	is_int(strv_len(refs), 2);
	strv_free(refs);
	is_int(records_tag_delete(r, "x:1", &e), 0);
	is_int(records_image_delete(r, ID_A, &e), 0);
	is_int(records_image_delete(r, ID_A, &e), 0);
	is_int(records_tags(r, NULL, &refs, NULL, &e), 0);
	is_int(strv_len(refs), 0);
	strv_free(refs);
	records_close(r);
}

TAP_MAIN()
