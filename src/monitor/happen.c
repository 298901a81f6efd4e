/* What happens to the container beyond its beginning and its end, told to who keeps the books: signals, and processes that were
 * exec'd. A failure there is theirs to tell; nothing here waits for it. */
#include <stdio.h>
#include <string.h>

#include "monitor_impl.h"

#define COMMAND_MAX 1024 /* of a command line in an event */

static void happen(struct monitor *m, const char *action, const char *const *attrs)
{
	if (m->cfg->on_event)
		m->cfg->on_event(action, attrs, m->cfg->arg);
}

void happen_kill(struct monitor *m, int sig)
{
	char text[12];
	const char *const attrs[] = { "signal", text, NULL };

	snprintf(text, sizeof(text), "%d", sig);
	happen(m, "kill", attrs);
}

int happen_exec_named(struct proc *p, char *const *args)
{
	_cleanup_buf_ struct buf b = { 0 };
	int r = id_new(p->id);

	if (r < 0 || !args)
		return r;
	buf_str(&b, "");
	for (char *const *a = args; *a && b.len < COMMAND_MAX; a++)
		buf_fmt(&b, " %.*s", COMMAND_MAX, *a);
	p->command = buf_take(&b);
	return p->command ? 0 : -ENOMEM;
}

/* Docker's form: "exec_create: sh -c date". */
void happen_exec(struct proc *p)
{
	static const char *const actions[] = { "exec_create", "exec_start" };
	const char *const attrs[] = { "execID", p->id, NULL };

	for (size_t i = 0; p->command && i < ARRAY_SIZE(actions); i++) {
		_cleanup_free_ char *action = str_fmt("%s:%s", actions[i], p->command);
		happen(p->m, action ? action : actions[i], attrs);
	}
}

void happen_exec_end(struct proc *p)
{
	char code[12];
	const char *const attrs[] = { "execID", p->id, "exitCode", code, NULL };

	if (!p->command || !p->is_started)
		return;
	snprintf(code, sizeof(code), "%d", p->exit.code);
	happen(p->m, "exec_die", attrs);
}
