/* words: see words.h. dockerd looks for them in any case, its client and Podman as Go spells them, in lower case. */
#include "words.h"

#include <stdio.h>
#include <string.h>

#include "str.h"

/* What our message ends with, and what it is to end with; "" ends every message of an
 * exec, and so comes last of its status. */
static const struct ending {
	int exit;
	const char *ours, *theirs;
} endings[] = {
	{ 127, "not found in $PATH", "executable file not found in $PATH" },
	{ 127, "not found in the container", "no such file or directory in the container" },
	{ 127, "", ": no such file or directory" }, /* an interpreter */
	{ 126, "Permission denied", "permission denied" },
	{ 126, "", ": permission denied" },
};

void words_for_engines(const struct err *e, char ret[WORDS_LEN])
{
	for (size_t i = 0; i < ARRAY_SIZE(endings); i++) {
		const struct ending *w = &endings[i];

		if (w->exit != e->exit || !str_ends(e->msg, w->ours) || (!*w->ours && !str_after(e->msg, "exec ")))
			continue;
		snprintf(ret, WORDS_LEN, "%.*s%s", (int)(strlen(e->msg) - strlen(w->ours)), e->msg, w->theirs);
		return;
	}
	snprintf(ret, WORDS_LEN, "%s", e->msg);
}
