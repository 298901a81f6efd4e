/* words: an error in the words by which Docker and Podman choose the exit status of their commands (125, 126, 127). */
#pragma once

#include "err.h"

enum { WORDS_LEN = ERR_MSG_LEN + 64 };

/* e->msg, which is not empty; where e->exit is 126 or 127, with what the engines look for in it. */
void words_for_engines(const struct err *e, char ret[WORDS_LEN]);
