/* vm_size: another size for a guest that runs on berth-vmm, by its control socket (docs/FORMATS.md): beyond what it booted with by the
 * room of its "mem" device, below that by its balloon. What comes of it is the guest's doing and takes it some time, so the same is asked
 * again until it is so:
 *
 *   idle -vm_set_size-> asked -an answer: not yet-> waiting -the timer-> asked
 *                     asked -an answer: it is so, or an error; no progress for PATIENCE_MS-> idle, and the callback
 *
 * A balloon is not waited for: the container's limit in the guest holds whatever becomes of it. */
#include <sys/socket.h>
#include <unistd.h>

#include "vm_impl.h"

#define PERIOD_MS   50
#define PATIENCE_MS 10000
#define LINE_MAX_   (64u << 10)

struct vm_size {
	uint64_t ram_bytes, plugged_bytes,
		told_bytes; /* asked for; what that makes of the room; what the guest has of it so far */
	uint64_t since_us;  /* when that was news */
	bool was_told;
	struct loop_src *timer;
	void (*done)(struct instance *i, const struct err *e, void *arg);
	void *arg;
	struct buf in;
};

struct reply {
	bool ok;
	char *error;
	int64_t no;
	uint64_t mem_bytes, plugged_bytes;
};
static const struct field reply_fields[] = {
	{ "ok", FIELD_BOOL, offsetof(struct reply, ok), FIELD_REQUIRED },
	{ "error", FIELD_STRING, offsetof(struct reply, error) },
	{ "errno", FIELD_I64, offsetof(struct reply, no) },
	{ "mem_bytes", FIELD_U64, offsetof(struct reply, mem_bytes) },
	{ "plugged_bytes", FIELD_U64, offsetof(struct reply, plugged_bytes) },
	{ .name = NULL }, /* and whatever else it tells */
};

static void finish(struct instance *i, const struct err *e)
{
	struct vm_size *z = i->size;

	i->size = NULL;
	loop_del(z->timer);
	z->done(i, e, z->arg);
	buf_done(&z->in);
	free(z);
}

void vm_size_lost(struct instance *i, const struct err *why)
{
	if (i->size)
		finish(i, why);
}

static void nobody(struct instance *i _unused_, const struct err *e _unused_, void *arg _unused_) {}

void vm_size_done(struct instance *i)
{
	if (i->size)
		i->size->done = nobody;
	vm_size_lost(i, NULL);
}

static int ask(struct instance *i, struct err *e)
{
	_cleanup_free_ char *line = str_fmt("{\"do\":\"resize\",\"mem_bytes\":%llu}\n", (unsigned long long)i->size->ram_bytes);

	if (!line)
		return err_set(e, ENOMEM, "out of memory");
	/* A line is far below what the socket holds; whole, or it is an error. */
	if (send(i->control_fd, line, strlen(line), MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)strlen(line))
		return err_set(e, EAGAIN, "berth-vmm does not read its control socket");
	return 0;
}

static void on_timer(struct loop *l _unused_, int fd _unused_, uint32_t events _unused_, void *arg)
{
	struct instance *i = arg;
	struct err e = { 0 };

	i->size->timer = NULL;
	if (ask(i, &e) < 0)
		finish(i, &e);
}

/* Not yet: again in a moment, unless nothing has moved for long. */
static void wait_on(struct instance *i, const struct err *why)
{
	struct vm_size *z = i->size;
	struct err e = { 0 };

	if (clock_mono_us() - z->since_us > PATIENCE_MS * 1000ull) {
		if (why)
			e = *why;
		else
			err_set(&e, ETIMEDOUT, "the guest has %llu MiB of the %llu that it was to get or keep",
				(unsigned long long)(z->told_bytes >> 20), (unsigned long long)(z->plugged_bytes >> 20));
		finish(i, &e);
	} else if (loop_timer(i->cfg.loop, PERIOD_MS, on_timer, i, &z->timer) < 0) {
		err_set(&e, ENOMEM, "out of memory");
		finish(i, &e);
	}
}

static void on_reply(struct instance *i, const struct reply *r)
{
	struct vm_size *z = i->size;
	struct err e = { 0 };

	if (r->ok && r->mem_bytes != z->ram_bytes)
		return; /* of a wish that was given up */
	if (r->ok && (!z->was_told || r->plugged_bytes != z->told_bytes)) {
		z->was_told = true;
		z->told_bytes = r->plugged_bytes;
		z->since_us = clock_mono_us();
	}
	if (r->ok && r->plugged_bytes == z->plugged_bytes) {
		finish(i, NULL);
	} else if (r->ok) {
		wait_on(i, NULL);
	} else {
		err_set(&e, r->no > 0 && r->no < 4096 ? (int)r->no : EIO, "%s", r->error ?: "berth-vmm refused without a reason");
		if (e.no == EAGAIN) /* the driver may be on its way still */
			wait_on(i, &e);
		else
			finish(i, &e);
	}
}

/* Of a VMM that a guest may have taken over: it can end this conversation, and nothing else. */
static void on_line(struct instance *i, const char *line, size_t n)
{
	_cleanup_json_ struct json_object *o = NULL;
	struct reply r = { 0 };
	struct err e = { 0 };

	if (!i->size)
		return;
	if (json_parse(line, n, "berth-vmm's answer", &o, &e) < 0 || json_read(o, reply_fields, &r, "", &e) < 0)
		finish(i, &e);
	else
		on_reply(i, &r);
	json_free_fields(reply_fields, &r);
}

static void take_lines(struct instance *i)
{
	char *end;

	while (i->size && i->size->in.len && (end = memchr(i->size->in.data, '\n', i->size->in.len))) {
		size_t n = (size_t)(end - i->size->in.data);
		_cleanup_free_ char *line = strndup(i->size->in.data, n);

		buf_consume(&i->size->in, n + 1);
		on_line(i, line ?: "", line ? n : 0);
	}
}

static void on_control(struct loop *l _unused_, int fd, uint32_t events _unused_, void *arg)
{
	struct instance *i = arg;
	struct err e = { 0 };
	char text[4096];
	ssize_t n = read(fd, text, sizeof(text));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		loop_del(i->control_src);
		i->control_src = NULL;
		err_set(&e, ECONNRESET, "berth-vmm has closed its control socket");
		vm_size_lost(i, &e);
	} else if (i->size) {
		buf_add(&i->size->in, text, (size_t)n);
		if (i->size->in.failed || i->size->in.len > LINE_MAX_) {
			err_set(&e, EPROTO, "berth-vmm's answer is too long");
			finish(i, &e);
		}
		take_lines(i);
	}
}

int vm_set_size(struct instance *i, uint64_t ram_bytes, void (*done)(struct instance *i, const struct err *e, void *arg),
		void *arg, struct err *e)
{
	const uint64_t boot = vm_ram_bytes(i->cfg.launch);
	struct err newer = { 0 };
	struct vm_size *z;
	int r = 0;

	err_set(&newer, ECANCELED, "another size was asked for");
	vm_size_lost(i, &newer);
	if (!i->control_src)
		r = loop_add(i->cfg.loop, i->control_fd, EPOLLIN, on_control, i, &i->control_src);
	if (r < 0)
		return err_set(e, -r, "event loop: %s", strerror(-r));
	z = calloc(1, sizeof(*z));
	if (!z)
		return err_set(e, ENOMEM, "out of memory");
	*z = (struct vm_size){ .ram_bytes = ram_bytes,
			       .plugged_bytes = ram_bytes > boot ? ram_bytes - boot : 0,
			       .since_us = clock_mono_us(),
			       .done = done,
			       .arg = arg };
	i->size = z;
	r = ask(i, e);
	if (r < 0) {
		i->size = NULL;
		free(z);
	}
	return r;
}
