/* verbs: the table of verbs.h, and finding a word in it. */
#include "verbs.h"

#define X(fn, word, operands, fewest, most, summary, flags) \
	{ word, operands, fewest, most, summary, flags, fn##_options, verb_##fn },
const struct verb verbs[] = { VERBS(X) };
#undef X
const size_t n_verbs = ARRAY_SIZE(verbs);

const struct verb *verb_find(const char *word)
{
	for (size_t i = 0; i < n_verbs; i++)
		if (streq(verbs[i].name, word))
			return &verbs[i];
	return NULL;
}

int verb_unknown(const char *word, struct err *e)
{
	const char *names[ARRAY_SIZE(verbs)], *near;
	size_t n = 0;

	for (size_t i = 0; i < n_verbs; i++)
		if (!(verbs[i].flags & VERB_HIDDEN))
			names[n++] = verbs[i].name;
	near = nearest_word(word, names, n);
	return near ? err_set(e, EINVAL, "unknown command \"%s\"; did you mean \"%s\"?", word, near)
		    : err_set(e, EINVAL, "unknown command \"%s\"; --help lists the known ones", word);
}
