/* ioapic: see ioapic.h. Registers: 82093AA data sheet, chapter 3. */
#include "ioapic.h"

#include <pthread.h>

#include "state.h"

enum { SELECT = 0x00, WINDOW = 0x10 }; /* what is in the page; 0x40, EOI, is deaf: no pin has a level */
enum { REG_ID, REG_VERSION, REG_ARBITRATION, REG_ENTRIES = 0x10 };
enum { VERSION = 0x20 };

/* A redirection entry's low half, and what of it can be written: all but delivery status (12) and remote IRR (14), which stay 0. */
enum {
	VECTOR = 0xff,
	MODE_SHIFT = 8,
	MODE = 7 << MODE_SHIFT,
	LOGICAL = 1 << 11,
	ACTIVE_LOW = 1 << 13,
	LEVEL = 1 << 15,
	MASKED = 1 << 16,
	LOW_WRITABLE = VECTOR | MODE | LOGICAL | ACTIVE_LOW | LEVEL | MASKED,
};
#define HIGH_WRITABLE 0xff000000u /* the destination */
#define WRITABLE      ((uint64_t)HIGH_WRITABLE << 32 | LOW_WRITABLE)
#define VECTOR_MIN    16u

struct ioapic_state {
	uint64_t entries[IOAPIC_PINS];
	uint32_t selected;
	uint32_t waiting; /* bit per pin: an edge that came while it was masked */
};
#define IOAPIC_STATE_VERSION 1u

struct ioapic {
	int (*deliver)(void *arg, uint64_t addr, uint32_t data);
	void *arg;
	pthread_mutex_t lock; /* of s */
	struct ioapic_state s;
};

/* Only what a device's interrupt may be (SDM vol. 3, 11.11.2): fixed or lowest priority, and a vector that local APICs take. All else
 * is left out, an SMI or an INIT among it. */
static bool is_deliverable(uint64_t entry) { return (entry & MODE) >> MODE_SHIFT <= 1 && (entry & VECTOR) >= VECTOR_MIN; }

static void deliver(struct ioapic *a, unsigned pin)
{
	const uint64_t entry = a->s.entries[pin];

	if (entry & MASKED)
		return;
	a->s.waiting &= ~(1u << pin);
	/* Nobody is told of a failure: the guest's local APIC is off, or the entry names a CPU that is not there. */
	if (is_deliverable(entry))
		(void)a->deliver(a->arg, 0xfee00000u | (entry >> 56) << 12 | (entry & LOGICAL ? 1u << 2 : 0),
				 (uint32_t)entry & (MODE | VECTOR));
}

void ioapic_raise(struct ioapic *a, unsigned pin)
{
	pthread_mutex_lock(&a->lock);
	a->s.waiting |= 1u << pin;
	deliver(a, pin);
	pthread_mutex_unlock(&a->lock);
}

/* ---- registers ---- */

static bool is_entry(uint32_t at) { return at >= REG_ENTRIES && (at - REG_ENTRIES) / 2 < IOAPIC_PINS; }

static uint32_t read_register(const struct ioapic *a)
{
	const uint32_t at = a->s.selected, pin = (at - REG_ENTRIES) / 2;

	switch (at) {
	case REG_ID:
	case REG_ARBITRATION: return IOAPIC_ID << 24;
	case REG_VERSION: return VERSION + ((IOAPIC_PINS - 1) << 16);
	default: break;
	}
	if (!is_entry(at))
		return UINT32_MAX;
	return (uint32_t)(a->s.entries[pin] >> (at % 2 ? 32 : 0));
}

static void write_register(struct ioapic *a, uint32_t v)
{
	const uint32_t at = a->s.selected, pin = (at - REG_ENTRIES) / 2;

	if (!is_entry(at)) /* the id as well: it is the table's word */
		return;
	if (at % 2)
		a->s.entries[pin] = (a->s.entries[pin] & UINT32_MAX) | (uint64_t)(v & HIGH_WRITABLE) << 32;
	else
		a->s.entries[pin] = (a->s.entries[pin] & ~(uint64_t)UINT32_MAX) | (v & LOW_WRITABLE);
	if (a->s.waiting >> pin & 1)
		deliver(a, pin);
}

/* Whole registers and nothing else. */
static void on_read(void *arg, uint64_t offset, void *data, unsigned size)
{
	struct ioapic *a = arg;
	uint32_t v = UINT32_MAX;

	if (size != sizeof(v))
		return;
	pthread_mutex_lock(&a->lock);
	if (offset == SELECT)
		v = a->s.selected;
	else if (offset == WINDOW)
		v = read_register(a);
	pthread_mutex_unlock(&a->lock);
	memcpy(data, &v, sizeof(v));
}

static void on_write(void *arg, uint64_t offset, const void *data, unsigned size)
{
	struct ioapic *a = arg;
	uint32_t v;

	if (size != sizeof(v))
		return;
	memcpy(&v, data, sizeof(v));
	pthread_mutex_lock(&a->lock);
	if (offset == SELECT)
		a->s.selected = v & 0xff;
	else if (offset == WINDOW)
		write_register(a, v);
	pthread_mutex_unlock(&a->lock);
}
static const struct vmm_range_ops ops = { "I/O APIC", on_read, on_write };

/* ---- life ---- */

int ioapic_new(struct vmm_bus *bus, int (*deliver_to)(void *arg, uint64_t addr, uint32_t data), void *arg, struct ioapic **ret,
	       struct err *e)
{
	_cleanup_(ioapic_free_ptr) struct ioapic *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return err_set(e, ENOMEM, "out of memory");
	pthread_mutex_init(&a->lock, NULL);
	a->deliver = deliver_to;
	a->arg = arg;
	for (unsigned i = 0; i < IOAPIC_PINS; i++)
		a->s.entries[i] = MASKED;
	r = vmm_bus_add(bus, VMM_MMIO, IOAPIC_GPA, IOAPIC_BYTES, &ops, a, e);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(a);
	return 0;
}

void ioapic_free(struct ioapic *a)
{
	if (!a)
		return;
	pthread_mutex_destroy(&a->lock);
	free(a);
}

int ioapic_save(struct ioapic *a, struct buf *out)
{
	struct ioapic_state s;

	pthread_mutex_lock(&a->lock);
	s = a->s;
	pthread_mutex_unlock(&a->lock);
	state_put(out, STATE_IOAPIC, 0, IOAPIC_STATE_VERSION, &s, sizeof(s));
	return 1;
}

int ioapic_load(struct ioapic *a, const void *data, size_t len, struct err *e)
{
	struct ioapic_state s;
	int r = state_get_struct(data, len, STATE_IOAPIC, 0, IOAPIC_STATE_VERSION, &s, sizeof(s), e);

	if (r < 0)
		return r;
	for (unsigned i = 0; i < IOAPIC_PINS; i++)
		if (s.entries[i] & ~WRITABLE)
			return err_set(e, EBADMSG, "saved state: an I/O APIC with impossible entries");
	if (s.selected > 0xff || s.waiting >> IOAPIC_PINS)
		return err_set(e, EBADMSG, "saved state: an I/O APIC with registers that it has not");
	pthread_mutex_lock(&a->lock);
	a->s = s;
	pthread_mutex_unlock(&a->lock);
	return 1;
}
