/* serial: the least of a 16550 that a kernel prints to before it has anything better (PC16550D data sheet, chapter 8). Output
 * only, always ready, no interrupt. Each byte is an exit: for panics and for looking into a boot that fails. */
#include <poll.h>
#include <unistd.h>

#include "vmm_impl.h"

#define OUT_MAX (4u << 20) /* of a VM's life: a guest can't fill what is behind the descriptor (V16) */

enum { DATA, IER, IIR_FCR, LCR, MCR, LSR, MSR, SCRATCH, REGS };
enum {
	LCR_DLAB = 0x80,
	LSR_EMPTY = 0x60, /* nothing waits to be sent */
	MCR_LOOP = 0x10,
	MSR_READY = 0xb0, /* carrier, data set ready, clear to send */
	IIR_NONE = 0x01,
	IIR_FIFO = 0xc0,
};

struct serial {
	pthread_mutex_t lock;
	int fd;
	uint8_t regs[REGS], divisor[2];
	uint8_t line[256];
	size_t n, total;
};

/* What nobody takes in time is dropped: a guest's console must not stop the guest. Up to PIPE_BUF a pipe that polls writable
 * takes all. */
static void flush(struct serial *s)
{
	struct pollfd p = { .fd = s->fd, .events = POLLOUT };

	if (s->n && s->total < OUT_MAX && poll(&p, 1, 0) > 0 && (p.revents & POLLOUT))
		(void)!write(s->fd, s->line, s->n);
	s->total += s->n;
	s->n = 0;
}

static void put(struct serial *s, uint8_t c)
{
	s->line[s->n++] = c;
	if (c == '\n' || s->n == sizeof(s->line))
		flush(s);
}

static uint8_t read_reg(const struct serial *s, unsigned reg)
{
	uint8_t m = s->regs[MCR];

	switch (reg) {
	case DATA:
	case IER:
		if (s->regs[LCR] & LCR_DLAB)
			return s->divisor[reg];
		return reg == DATA ? 0 : s->regs[IER];
	case IIR_FCR: return IIR_NONE | (s->regs[IIR_FCR] & 1 ? IIR_FIFO : 0);
	case LSR: return LSR_EMPTY;
	case MSR: /* in loopback the outputs come back as inputs: RTS-CTS, DTR-DSR, OUT1-RI, OUT2-DCD */
		return m & MCR_LOOP ? (uint8_t)((m & 2) << 3 | (m & 1) << 5 | (m & 4) << 4 | (m & 8) << 4) : MSR_READY;
	default: return s->regs[reg];
	}
}

static void write_reg(struct serial *s, unsigned reg, uint8_t v)
{
	if (reg <= IER && s->regs[LCR] & LCR_DLAB)
		s->divisor[reg] = v;
	else if (reg == DATA && !(s->regs[MCR] & MCR_LOOP))
		put(s, v);
	else if (reg == IER)
		s->regs[IER] = v & 15;
	else if (reg != DATA && reg != LSR && reg != MSR)
		s->regs[reg] = v;
}

static void on_read(void *arg, uint64_t offset, void *data, unsigned size)
{
	struct serial *s = arg;

	if (size != 1)
		return;
	pthread_mutex_lock(&s->lock);
	*(uint8_t *)data = read_reg(s, (unsigned)offset);
	pthread_mutex_unlock(&s->lock);
}

static void on_write(void *arg, uint64_t offset, const void *data, unsigned size)
{
	struct serial *s = arg;

	if (size != 1)
		return;
	pthread_mutex_lock(&s->lock);
	write_reg(s, (unsigned)offset, *(const uint8_t *)data);
	pthread_mutex_unlock(&s->lock);
}
static const struct vmm_range_ops ops = { "serial port", on_read, on_write };

int serial_add(struct vmm_bus *bus, int fd, struct serial **ret, struct err *e)
{
	struct serial *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return err_set(e, ENOMEM, "out of memory");
	s->fd = fd;
	pthread_mutex_init(&s->lock, NULL);
	r = vmm_bus_add(bus, VMM_PIO, 0x3f8, REGS, &ops, s, e);
	if (r < 0) {
		serial_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

void serial_free(struct serial *s)
{
	if (!s)
		return;
	flush(s);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* What is printed of a line already is not kept: a clone's line begins anew. */
struct serial_state {
	uint8_t regs[REGS], divisor[2], pad[6];
};
#define SERIAL_STATE_VERSION 1u

int serial_save(struct serial *s, struct buf *out)
{
	struct serial_state t = { .pad = { 0 } };

	if (!s)
		return 0;
	pthread_mutex_lock(&s->lock);
	flush(s);
	memcpy(t.regs, s->regs, sizeof(t.regs));
	memcpy(t.divisor, s->divisor, sizeof(t.divisor));
	pthread_mutex_unlock(&s->lock);
	state_put(out, STATE_SERIAL, 0, SERIAL_STATE_VERSION, &t, sizeof(t));
	return 1;
}

int serial_load(struct serial *s, const void *data, size_t len, struct err *e)
{
	struct serial_state t;
	int r;

	if (!s)
		return 0;
	r = state_get_struct(data, len, STATE_SERIAL, 0, SERIAL_STATE_VERSION, &t, sizeof(t), e);
	if (r < 0)
		return r;
	memcpy(s->regs, t.regs, sizeof(s->regs));
	memcpy(s->divisor, t.divisor, sizeof(s->divisor));
	s->regs[IER] &= 15;
	return 1;
}
