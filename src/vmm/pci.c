/* pci: see pci.h. PCI Local Bus 3.0: 3.2.2.3.2 (mechanism #1), chapter 6 (configuration space). */
#include "pci.h"

enum {
	VENDOR = 0x00,
	DEVICE = 0x02,
	COMMAND = 0x04,
	STATUS = 0x06,
	REVISION = 0x08,
	BAR0 = 0x10,
	SUBSYSTEM_VENDOR = 0x2c,
	SUBSYSTEM = 0x2e,
	CAPABILITIES = 0x34,
	INTERRUPT_LINE = 0x3c,
	CAPS_START = 0x40,

	STATUS_HAS_CAPS = 0x10,
	COMMAND_MEMORY = 2,
	COMMAND_MASTER = 4,
	BAR_64 = 4,
	BAR_PREFETCH = 8,

	PORT_ADDRESS = 0xcf8,
	PORT_DATA = 4, /* of PORT_ADDRESS */
	PORTS = 8,
};
#define ADDRESS_ENABLE 0x80000000u
#define WINDOW64_ALIGN (1ull << 30)
#define HOST_BRIDGE_ID 0x0d57u /* Red Hat's, of its generic host bridges (QEMU docs/specs/pci-ids) */
#define HOST_VENDOR    0x1b36u
#define HOST_CLASS_REV 0x06000000u

struct pci_host {
	pthread_mutex_t lock; /* guards address and the functions' configuration */
	uint32_t address;
	struct vmm_bus *bus;
	struct pci_function *slots[PCI_SLOTS];
	unsigned n;
	uint64_t next32, start64, next64;
	struct pci_function bridge;
};

static uint32_t load(const uint8_t *p, unsigned size)
{
	uint32_t v = 0;

	memcpy(&v, p, size);
	return v;
}

/* ---- configuration space ---- */

static uint32_t bar_value(const struct pci_function *f, unsigned reg, bool is_sizing)
{
	unsigned bar = reg > 0 && f->bars[reg - 1].is_64 ? reg - 1 : reg;
	const struct pci_bar *b = &f->bars[bar];
	uint64_t v = is_sizing ? ~(b->bytes - 1) : b->gpa;

	if (!b->bytes)
		return 0;
	if (bar != reg)
		return (uint32_t)(v >> 32);
	return (uint32_t)v | (b->is_64 ? BAR_64 | BAR_PREFETCH : 0);
}

static void show_bars(struct pci_function *f)
{
	for (unsigned i = 0; i < PCI_BARS; i++) {
		uint32_t v = bar_value(f, i, f->sizing >> i & 1);

		memcpy(f->config + BAR0 + 4ul * i, &v, sizeof(v));
	}
}

/* All ones asks for the size; whatever else is written, the BAR stays where it is. */
static void write_bar(struct pci_function *f, unsigned reg, uint32_t value, unsigned size)
{
	bool asks = size == 4 && (value & ~15u) == ~15u;

	f->sizing = (uint8_t)((f->sizing & ~(1u << reg)) | (unsigned)asks << reg);
	show_bars(f);
}

static struct pci_function *function_at(const struct pci_host *h, unsigned slot, unsigned offset, unsigned size)
{
	bool fits = (size == 1 || size == 2 || size == 4) && offset < PCI_CONFIG_SIZE && offset % 4 + size <= 4;

	return fits && slot < PCI_SLOTS ? h->slots[slot] : NULL;
}

uint32_t pci_config_read(struct pci_host *h, unsigned slot, unsigned offset, unsigned size)
{
	struct pci_function *f = function_at(h, slot, offset, size);
	uint32_t v = UINT32_MAX;

	if (f) {
		pthread_mutex_lock(&h->lock);
		if (f->on_read)
			f->on_read(f, offset, size);
		v = load(f->config + offset, size);
		pthread_mutex_unlock(&h->lock);
	}
	return v;
}

void pci_config_write(struct pci_host *h, unsigned slot, unsigned offset, uint32_t value, unsigned size)
{
	struct pci_function *f = function_at(h, slot, offset, size);

	if (!f)
		return;
	pthread_mutex_lock(&h->lock);
	if (offset >= BAR0 && offset < BAR0 + 4 * PCI_BARS)
		write_bar(f, (offset - BAR0) / 4, value, size);
	else
		for (unsigned i = 0; i < size; i++) {
			uint8_t mask = f->writable[offset + i], v = (uint8_t)(value >> 8 * i);

			f->config[offset + i] = (uint8_t)((f->config[offset + i] & ~mask) | (v & mask));
		}
	if (f->on_write)
		f->on_write(f, offset, size);
	pthread_mutex_unlock(&h->lock);
}

/* ---- the two ports ---- */

/* Bits 30-24 of the address are reserved, 23-16 the bus, 15-11 the slot, 10-8 the function, 7-2 the register. */
static bool is_here(uint32_t address) { return address & ADDRESS_ENABLE && !(address & 0x00ff0700); }

static void on_port_read(void *arg, uint64_t offset, void *data, unsigned size)
{
	struct pci_host *h = arg;
	uint32_t address, v;

	pthread_mutex_lock(&h->lock);
	address = h->address;
	pthread_mutex_unlock(&h->lock);
	if (offset >= PORT_DATA && is_here(address))
		v = pci_config_read(h, address >> 11 & 31, (address & 0xfc) + (unsigned)(offset - PORT_DATA), size);
	else if (offset == 0 && size == 4)
		v = address;
	else
		return;
	memcpy(data, &v, size);
}

static void on_port_write(void *arg, uint64_t offset, const void *data, unsigned size)
{
	struct pci_host *h = arg;
	uint32_t address, v = load(data, size);

	pthread_mutex_lock(&h->lock);
	if (offset == 0 && size == 4)
		h->address = v;
	address = h->address;
	pthread_mutex_unlock(&h->lock);
	if (offset >= PORT_DATA && is_here(address))
		pci_config_write(h, address >> 11 & 31, (address & 0xfc) + (unsigned)(offset - PORT_DATA), v, size);
}
static const struct vmm_range_ops port_ops = { "PCI configuration ports", on_port_read, on_port_write };

/* ---- building ---- */

void pci_function_init(struct pci_function *f, uint16_t vendor, uint16_t device, uint32_t class_rev, uint16_t subsystem_vendor,
		       uint16_t subsystem)
{
	memset(f, 0, sizeof(*f));
	memcpy(f->config + VENDOR, &vendor, 2);
	memcpy(f->config + DEVICE, &device, 2);
	memcpy(f->config + REVISION, &class_rev, 4);
	memcpy(f->config + SUBSYSTEM_VENDOR, &subsystem_vendor, 2);
	memcpy(f->config + SUBSYSTEM, &subsystem, 2);
	f->writable[COMMAND] = COMMAND_MEMORY | COMMAND_MASTER;
	f->writable[COMMAND + 1] = 4; /* interrupt pins off */
	f->writable[INTERRUPT_LINE] = 0xff;
	f->cap_end = CAPS_START;
}

int pci_add_cap(struct pci_function *f, const void *cap, size_t n)
{
	unsigned at = (f->cap_end + 3u) & ~3u;

	if (n < 2 || n > PCI_CONFIG_SIZE - at)
		return -ENOSPC;
	memcpy(f->config + at, cap, n);
	f->config[at + 1] = 0;
	f->config[f->cap_last ? f->cap_last + 1 : CAPABILITIES] = (uint8_t)at;
	f->config[STATUS] |= STATUS_HAS_CAPS;
	f->cap_last = (uint8_t)at;
	f->cap_end = (uint16_t)(at + n);
	return (int)at;
}

int pci_host_new(struct vmm_bus *bus, uint64_t ram_end, struct pci_host **ret, struct err *e)
{
	struct pci_host *h = calloc(1, sizeof(*h));
	int r;

	if (!h)
		return err_set(e, ENOMEM, "out of memory");
	pthread_mutex_init(&h->lock, NULL);
	h->bus = bus;
	h->next32 = PCI_MMIO_START;
	h->start64 = h->next64 = (MAX(ram_end, VMM_HOLE_END) + WINDOW64_ALIGN - 1) & ~(WINDOW64_ALIGN - 1);
	pci_function_init(&h->bridge, HOST_VENDOR, HOST_BRIDGE_ID, HOST_CLASS_REV, 0, 0);
	r = pci_add(h, &h->bridge, e);
	if (r >= 0)
		r = vmm_bus_add(bus, VMM_PIO, PORT_ADDRESS, PORTS, &port_ops, h, e);
	if (r < 0) {
		pci_host_free(h);
		return r;
	}
	*ret = h;
	return 0;
}

void pci_host_free(struct pci_host *h)
{
	if (!h)
		return;
	pthread_mutex_destroy(&h->lock);
	free(h);
}

int pci_add(struct pci_host *h, struct pci_function *f, struct err *e)
{
	if (h->n == PCI_SLOTS)
		return err_set(e, ENOSPC, "more than %u devices", PCI_SLOTS - 1);
	f->slot = h->n;
	h->slots[h->n++] = f;
	return 0;
}

int pci_add_bar(struct pci_host *h, struct pci_function *f, unsigned bar, uint64_t bytes, bool is_64,
		const struct vmm_range_ops *ops, void *arg, struct err *e)
{
	uint64_t *next = is_64 ? &h->next64 : &h->next32, end = is_64 ? 1ull << 46 : PCI_MMIO_END, at;
	int r = 0;

	if (bytes < 4096 || bytes & (bytes - 1) || bar + is_64 >= PCI_BARS || bytes > end)
		return err_set(e, EINVAL, "PCI region %u of %#llx bytes: no such thing", bar, (unsigned long long)bytes);
	at = (*next + bytes - 1) & ~(bytes - 1);
	if (at > end - bytes)
		return err_set(e, ENOSPC, "PCI region %u of %#llx bytes: no room left", bar, (unsigned long long)bytes);
	if (ops)
		r = vmm_bus_add(h->bus, VMM_MMIO, at, bytes, ops, arg, e);
	if (r < 0)
		return r;
	*next = at + bytes;
	f->bars[bar] = (struct pci_bar){ at, bytes, is_64 };
	show_bars(f);
	return 0;
}

void pci_window64(const struct pci_host *h, uint64_t *ret_start, uint64_t *ret_bytes)
{
	*ret_start = h->start64;
	*ret_bytes = h->next64 - h->start64;
}

/* ---- saving and loading ---- */

#define PCI_STATE_VERSION 1u
struct pci_state {
	uint8_t config[PCI_CONFIG_SIZE]; /* without the BARs, which are where the builder has put them */
	uint8_t sizing, pad[7];
};

static bool is_bar(unsigned offset) { return offset >= BAR0 && offset < BAR0 + 4 * PCI_BARS; }

int pci_save(struct pci_host *h, struct buf *out)
{
	uint32_t address;

	pthread_mutex_lock(&h->lock);
	for (unsigned i = 0; i < h->n; i++) {
		struct pci_state s = { .sizing = h->slots[i]->sizing };

		memcpy(s.config, h->slots[i]->config, sizeof(s.config));
		memset(s.config + BAR0, 0, 4ul * PCI_BARS);
		state_put(out, STATE_PCI, i, PCI_STATE_VERSION, &s, sizeof(s));
	}
	address = h->address;
	pthread_mutex_unlock(&h->lock);
	state_put(out, STATE_PCI, PCI_SLOTS, PCI_STATE_VERSION, &address, sizeof(address));
	return (int)h->n + 1;
}

static int check_slot(const struct pci_function *f, const struct pci_state *s, struct err *e)
{
	if (s->sizing >> PCI_BARS)
		return err_set(e, EBADMSG, "saved state: PCI slot %u: more than %u regions", f->slot, PCI_BARS);
	for (unsigned i = 0; i < PCI_CONFIG_SIZE; i++)
		if (!is_bar(i) && (s->config[i] ^ f->config[i]) & ~f->writable[i])
			return err_set(e, EBADMSG, "saved state: PCI slot %u: another device (%04x, here %04x; byte %#x)",
				       f->slot, load(s->config + DEVICE, 2), load(f->config + DEVICE, 2), i);
	return 0;
}

int pci_load(struct pci_host *h, const void *data, size_t len, struct err *e)
{
	uint32_t address;
	int r = state_get_struct(data, len, STATE_PCI, PCI_SLOTS, PCI_STATE_VERSION, &address, sizeof(address), e);

	for (unsigned i = 0; r >= 0 && i < h->n; i++) {
		struct pci_function *f = h->slots[i];
		struct pci_state s;

		r = state_get_struct(data, len, STATE_PCI, i, PCI_STATE_VERSION, &s, sizeof(s), e);
		if (r >= 0)
			r = check_slot(f, &s, e);
		if (r < 0)
			break;
		memcpy(f->config, s.config, sizeof(f->config));
		f->sizing = s.sizing;
		show_bars(f);
	}
	if (r < 0)
		return r;
	h->address = address;
	return (int)h->n + 1;
}
