/* state: what a snapshot is made of. A flat sequence of records, each a versioned plain struct:
 *
 *   u32 kind (four letters)   u32 instance (vCPU number, PCI slot)   u32 version   u32 length   bytes ...
 *
 * little endian, as in memory: a snapshot is restored on the architecture that made it. RAM is apart (memory.h). A record's
 * struct has no pointers and no padding that means anything; zero it before filling. A file of them has a head with a checksum
 * (snapshot.h). A reader asks for a record by kind and
 * instance and says how long it may be; what is missing, too long, twice there, or of a version it does not know is an error
 * that names it. Readers trust nothing in it: bounds are checked as with any input (V14). */
#pragma once

#include "vmm.h"

#define STATE_KIND(a, b, c, d) ((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)
enum {
	STATE_VCPU = STATE_KIND('v', 'c', 'p', 'u'),
	STATE_CLOCK = STATE_KIND('c', 'l', 'c', 'k'),
	STATE_IOAPIC = STATE_KIND('i', 'o', 'a', 'p'),
	STATE_PCI = STATE_KIND('p', 'c', 'i', ' '), /* a slot's configuration; instance PCI_SLOTS: the address port */
	STATE_SERIAL = STATE_KIND('s', 'e', 'r', 'l'),
	STATE_VIRTIO = STATE_KIND('v', 'r', 't', 'o'), /* transport and queues: the core's */
	STATE_DEVICE = STATE_KIND('d', 'e', 'v', ' '), /* the device's own */
};
#define STATE_RECORD_MAX (1u << 20)

/* Appends; out->failed tells of a lack of memory, once for the whole sequence. */
void state_put(struct buf *out, uint32_t kind, uint32_t instance, uint32_t version, const void *p, size_t n);
/* A view of the record into data. 0; -ENOENT: there is none (e filled); -EBADMSG: the sequence is damaged. */
int state_get(const void *data, size_t len, uint32_t kind, uint32_t instance, uint32_t *ret_version, const void **ret_p,
	      size_t *ret_n, struct err *e);
/* How many records there are: 0 or more; -EBADMSG: the sequence is damaged, or has a kind that is none of the above. */
int state_count(const void *data, size_t len, struct err *e);
/* The same for a struct of one known version: copies exactly n bytes. */
int state_get_struct(const void *data, size_t len, uint32_t kind, uint32_t instance, uint32_t version, void *p, size_t n,
		     struct err *e);
