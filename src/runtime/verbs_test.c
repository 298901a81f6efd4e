/* The table of verbs, and what must agree with it. */
#include "seal.h"
#include "tap.h"
#include "verbs.h"

TEST(the_program_seals_itself_early_for_just_the_verbs_that_enter_containers)
{
	size_t n = 0;

	for (size_t i = 0; i < n_verbs; i++) {
		char *word = tap_keep(str_fmt(" %s ", verbs[i].name));
		is_int(strstr(SEAL_VERBS, word) != NULL, (verbs[i].flags & VERB_ENTER) != 0);
		n += strstr(SEAL_VERBS, word) ? strlen(verbs[i].name) + 1 : 0;
	}
	is_int((long)n + 1, (long)strlen(SEAL_VERBS)); /* nothing else is in it */
}

TEST(each_verb_is_found_by_its_name)
{
	for (size_t i = 0; i < n_verbs; i++)
		ok(verb_find(verbs[i].name) == &verbs[i]);
	ok(!verb_find("runn"));
}

TAP_MAIN()
