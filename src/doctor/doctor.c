#include "doctor.h"

#include <fcntl.h>

#include "facts.h"

const char *doctor_level_name(enum doctor_level l)
{
	static const char *const names[] = {
		[DOCTOR_OK] = "ok", [DOCTOR_NOTE] = "note", [DOCTOR_WARNING] = "warning", [DOCTOR_ERROR] = "error"
	};

	return names[l];
}

int doctor_look(const struct paths *p, struct doctor_finding **ret, size_t *ret_n, struct err *e)
{
	_cleanup_(facts_done) struct facts f = { 0 };
	_cleanup_fd_ int slash = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (slash < 0)
		return err_set(e, errno, "open /: %s", strerror(errno));
	facts_read(&f, slash);
	int r = facts_ask(&f, p, e);
	return r < 0 ? r : rules_judge(&f, ret, ret_n, e);
}

void doctor_done(struct doctor_finding *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(list[i].text);
		free(list[i].remedy);
	}
	free(list);
}
