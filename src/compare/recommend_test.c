/* The table of rules, each with the figures that make it speak. */
#include <sys/mman.h>

#include "fixture.h"

static const struct voice *voice_of(const struct recommendation *r, const char *rule)
{
	for (size_t i = 0; i < r->n_voices; i++)
		if (streq(r->voices[i].rule, rule))
			return &r->voices[i];
	return NULL;
}

static const struct voice *spoken(const struct recommendation *r, const char *rule)
{
	const struct voice *v = voice_of(r, rule);

	if (!v)
		TAP_FAIL("%s did not speak", rule);
	return v;
}

static void recommend(const struct comparison *c, unsigned needs, struct recommendation *ret)
{
	struct err e = { 0 };

	if (comparison_recommend(c, needs, ret, &e) < 0)
		TAP_FAIL("%s", e.msg);
}

TEST(needs_that_one_isolation_alone_serves_decide)
{
	static const struct {
		unsigned needs;
		const char *rule, *says;
	} rows[] = {
		{ NEED_UNTRUSTED, "untrusted", "Kernel: \u201cthe host's\u201d in a container, \u201cits own\u201d in a VM" },
		{ NEED_KERNEL | NEED_DENSITY, "own-kernel", "A kernel of its own" },
		{ NEED_OTHER_OS | NEED_START, "other-os", "another operating system" },
	};
	_cleanup_(comparison_done) struct comparison c;

	fixture_make(&c);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(recommendation_done) struct recommendation r = { 0 };
		recommend(&c, rows[i].needs, &r);
		is_str(r.way, "vm");
		const struct voice *v = spoken(&r, rows[i].rule);
		ok(v->weight == VOICE_DECIDES && v->is_asked);
		has_str(v->reason, rows[i].says);
		ok(!strstr(v->reason, "System calls")); /* of one way it is not known */
	}
}

TEST(figures_speak_with_their_numbers)
{
	_cleanup_(comparison_done) struct comparison c;
	_cleanup_(recommendation_done) struct recommendation r = { 0 };

	fixture_make(&c);
	recommend(&c, NEED_START | NEED_DENSITY, &r);
	is_str(r.way, "container");
	const struct voice *v = spoken(&r, "start-up");
	ok(v->is_asked && v->weight == VOICE_SPEAKS);
	has_str(v->reason, "To the first byte of output: 5.90 ms in a container, 1290 ms in a VM (TCG), 219");
	has_str(v->reason, "medians of 20 and 20");
	ok(voice_of(&r, "density") && voice_of(&r, "files") && voice_of(&r, "emulated"));
	is_int(spoken(&r, "untrusted")->weight, VOICE_AGAINST); /* unasked, for the VM */
	const char *text = FIXTURE_PRINTED(recommendation_print(&r, _fd, 80, &_e));
	has_str(text, "RECOMMENDED: --isolation container");
	has_str(text, "+ start-up (asked for): ");
	has_str(text, "against it\n  - untrusted: ");
}

TEST(a_vm_that_measures_better_is_recommended)
{
	_cleanup_(comparison_done) struct comparison c;
	_cleanup_(recommendation_done) struct recommendation r = { 0 };

	is_int(comparison_init(&c, "t", NULL), 0);
	is_int(comparison_add_way(&c, "vm", "KVM hardware"), 0);
	is_int(comparison_add_way(&c, "container", NULL), 1);
	fixture_samples(&c, "start.ready", 0, 10, 10, 1);
	fixture_samples(&c, "start.ready", 1, 10, 100, 1);
	fixture_samples(&c, "density", 0, 10, 1000, 1);
	fixture_samples(&c, "density", 1, 10, 10, 1);
	recommend(&c, NEED_START | NEED_DENSITY, &r);
	is_str(r.way, "vm");
	is_str(spoken(&r, "density")->for_way, "vm");
	ok(!voice_of(&r, "emulated"));
}

TEST(what_was_asked_for_and_is_not_known_is_said)
{
	_cleanup_(comparison_done) struct comparison c;
	_cleanup_(recommendation_done) struct recommendation r = { 0 };

	is_int(comparison_init(&c, "t", NULL), 0);
	is_int(comparison_add_way(&c, "container", NULL), 0);
	is_int(comparison_add_way(&c, "vm", "KVM hardware"), 1);
	fixture_samples(&c, "start.ready", 0, 10, 100, 1);
	fixture_samples(&c, "start.ready", 1, 10, 101, 1);
	recommend(&c, NEED_START | NEED_DENSITY, &r);
	is_str(r.way, "container");
	is_int(r.n_voices, 0);
	is_int(strv_len(r.unknown), 2);
	has_str(r.unknown[0], "start-up: Until it is ready: no difference");
	has_str(r.unknown[1], "density: asked for and not measured: let `berth compare` measure");
	has_str(FIXTURE_PRINTED(recommendation_print(&r, _fd, 80, &_e)), "No rule spoke");
}

TEST(without_both_there_is_no_recommendation)
{
	_cleanup_(comparison_done) struct comparison c;
	struct recommendation r;
	struct err e = { 0 };

	is_int(comparison_init(&c, "t", NULL), 0);
	is_int(comparison_add_way(&c, "container", NULL), 0);
	is_int(comparison_recommend(&c, 0, &r, &e), -EINVAL);
	has_str(e.msg, "measure \"container\" and \"vm\"");
}

TEST(needs_are_words_of_one_table)
{
	unsigned needs = 0;
	struct err e = { 0 };

	for (const struct need_word *n = need_words; n->word; n++)
		is_int(need_parse(n->word, &needs, &e), 0);
	is_int(needs, NEED_UNTRUSTED | NEED_KERNEL | NEED_OTHER_OS | NEED_DENSITY | NEED_START);
	is_int(need_parse("speed", &needs, &e), -EINVAL);
	has_str(e.msg, "--need: \"speed\" is none of untrusted, own-kernel, other-os, density, start-up");
}
TAP_MAIN()
