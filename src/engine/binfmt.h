/* binfmt: whether the kernel can have programs of another architecture carried out by an emulator (binfmt_misc). */
#pragma once

#include "base.h"

enum binfmt_answer {
	BINFMT_NONE,     /* no handler takes such programs */
	BINFMT_DISABLED, /* one does, and is switched off */
	BINFMT_NO_F,     /* one does, but its emulator is looked for inside the container (no flag F) */
	BINFMT_READY,
};
/* dirfd: of the file system; arch: Go's name. ret_name: the handler's, where there is one. */
enum binfmt_answer binfmt_ask(int dirfd, const char *arch, char ret_name[64]);
