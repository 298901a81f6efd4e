/* What clients ask of a container as a whole: to pause, and of a VM to come to rest for as long as somebody copies it. Rest lasts until
 * its client says so or is gone, killed or not: no VM stands still for somebody who is not there. */
#include <string.h>

#include "monitor_impl.h"

static bool does_run(const struct monitor *m, struct err *e)
{
	if (m->is_started && !m->is_over && !m->is_main_done)
		return true;
	err_set(e, ESRCH, "container %.12s is not running", m->cfg->id);
	return false;
}

static void answer(struct client *c, int r, const struct err *e)
{
	if (r < 0)
		client_refuse(c, 0, e, false);
	else
		frame_put(&c->out, FRAME_OK, 0, NULL, 0);
}

/* ---- rest ---- */

/* Of what size the machine was made: its files may ask for another since (update). */
static void answer_size(struct client *c)
{
	const struct launch *l = &c->m->launch;
	_cleanup_free_ char *text =
		str_fmt("{\"mem_bytes\":%llu,\"cpus\":%u,\"mem_max\":%llu,\"cpus_max\":%u}", (unsigned long long)l->vm_mem_bytes,
			l->vm_cpus, (unsigned long long)l->vm_mem_max, l->vm_cpus_max);

	if (!text)
		c->out.failed = true;
	else
		frame_put(&c->out, FRAME_OK, 0, text, (uint32_t)strlen(text));
}

/* The client may have gone meanwhile (copy_client_gone has released then, and this is not called), or be going. */
static void on_rest(struct instance *i _unused_, const struct err *e, void *arg)
{
	struct client *c = arg;

	c->n_pending--;
	c->m->is_coming_to_rest = false;
	if (e)
		c->m->holder = NULL;
	if (c->is_closing)
		return;
	if (e)
		answer(c, -e->no, e);
	else
		answer_size(c);
	client_flush(c);
}

int copy_quiesce(struct client *c, const struct frame *f _unused_, struct err *e _unused_)
{
	struct monitor *m = c->m;
	struct err no = { 0 };
	int r = 0;

	if (!does_run(m, &no))
		r = -ESRCH;
	else if (!m->ops->hold)
		r = err_set(&no, EOPNOTSUPP, "container %.12s is no virtual machine", m->cfg->id);
	else if (m->holder)
		r = err_set(&no, EBUSY, "the virtual machine is being copied by another command");
	if (r == 0) {
		m->holder = c;
		c->n_pending++;
		m->is_coming_to_rest = true;
		r = m->ops->hold(m->instance, on_rest, c, &no);
		if (r < 0) {
			c->n_pending--;
			m->holder = NULL;
			m->is_coming_to_rest = false;
		}
	}
	if (r < 0)
		answer(c, r, &no);
	return 0;
}

/* hold's callback does not come after this. */
static void release(struct monitor *m)
{
	if (m->is_coming_to_rest)
		m->holder->n_pending--;
	m->is_coming_to_rest = false;
	m->holder = NULL;
	if (m->instance && !m->is_over)
		m->ops->release(m->instance);
}

int copy_release(struct client *c, const struct frame *f _unused_, struct err *e)
{
	if (c->m->holder != c || c->m->is_coming_to_rest)
		return err_set(e, EPROTO, "release: this connection holds nothing");
	release(c->m);
	answer(c, 0, NULL);
	return 0;
}

void copy_client_gone(struct client *c)
{
	if (c->m->holder == c)
		release(c->m);
}

/* ---- pause ---- */

int copy_pause(struct client *c, const struct frame *f, struct err *e)
{
	struct monitor *m = c->m;
	struct err no = { 0 };
	uint32_t on;
	int r;

	if (frame_get_u32(f, &on) < 0 || on > 1)
		return err_set(e, EPROTO, "malformed pause");
	if (!does_run(m, &no))
		r = -ESRCH;
	else if (m->holder)
		r = err_set(&no, EBUSY, "the virtual machine is being copied by another command");
	else
		r = m->ops->pause(m->instance, on, &no);
	if (r >= 0)
		health_pause(m, on);
	answer(c, r, &no);
	return 0;
}
