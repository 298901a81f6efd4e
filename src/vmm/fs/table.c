/* table: numbers for nodes and handles. A number is the slot's place, and above it how often the slot was given away before, so
 * that a number that has been given up names nothing for four thousand million turns. */
#include "fs_impl.h"

enum { SLOTS_FIRST = 64 };

static int grow(struct fs_table *t)
{
	uint32_t n = t->n_slots ? t->n_slots * 2 : SLOTS_FIRST;
	struct fs_slot *more = reallocarray(t->slots, n, sizeof(*more));

	if (!more)
		return -ENOMEM;
	for (uint32_t i = t->n_slots; i < n; i++)
		more[i] = (struct fs_slot){ .next_free = i + 1 < n ? i + 1 : 0 };
	t->first_free = t->n_slots ? t->n_slots : 1;
	t->slots = more;
	t->n_slots = n;
	return 0;
}

int fs_table_add(struct fs_table *t, void *item, uint64_t *ret_id)
{
	uint32_t i;

	if (t->used == t->max)
		return -ENFILE;
	if (!t->first_free && grow(t) < 0)
		return -ENOMEM;
	i = t->first_free;
	t->first_free = t->slots[i].next_free;
	t->slots[i].item = item;
	t->used++;
	*ret_id = (uint64_t)t->slots[i].generation << 32 | i;
	return 0;
}

static struct fs_slot *slot_of(const struct fs_table *t, uint64_t id)
{
	uint32_t i = (uint32_t)id;

	if (i == 0 || i >= t->n_slots || !t->slots[i].item || t->slots[i].generation != id >> 32)
		return NULL;
	return &t->slots[i];
}

void *fs_table_find(const struct fs_table *t, uint64_t id)
{
	const struct fs_slot *s = slot_of(t, id);

	return s ? s->item : NULL;
}

void fs_table_remove(struct fs_table *t, uint64_t id)
{
	struct fs_slot *s = slot_of(t, id);

	if (!s)
		return;
	s->item = NULL;
	s->generation++;
	s->next_free = t->first_free;
	t->first_free = (uint32_t)id;
	t->used--;
}

void fs_table_done(struct fs_table *t)
{
	free(t->slots);
	t->slots = NULL;
	t->n_slots = t->used = t->first_free = 0;
}
