/* vm_jail_uid: whom a VMM becomes in its jail. Where all ids are mapped, one of 2^28 which no distribution and no container manager hands
 * out (systemd's UIDS-GIDS.md: 1879048192 and up are free). In a user namespace, of those that it maps, what an image's files are least
 * likely to belong to: beyond 65535, or else what systemd keeps for users of a moment. */
#include <stdio.h>

#include "vm_jail.h"

#define ALL_BASE 0x70000000u
#define ALL_SIZE (1u << 28)
#define LOW_END  65536u /* ids below it are in images */
#define FEW_BASE 61184u /* DynamicUser= of systemd.exec(5) */
#define FEW_END  65520u
#define LEAST    4u /* two for each of two containers: with fewer there would be no choice */
#define MAP_MAX  (64u << 10)

static uint32_t number_of(const char *id)
{
	uint32_t n = 0;

	for (const char *c = id; *c && c < id + 7; c++)
		n = n << 4 | (uint32_t)(*c <= '9' ? *c & 15 : (*c & 15) + 9);
	return n & (ALL_SIZE - 1);
}

/* Of [base, base + size), in pairs. */
static uid_t pick(uint32_t number, enum vm_jail_who who, uint64_t base, uint64_t size)
{
	return (uid_t)(base + number % (size / 2) * 2 + (who == VM_JAIL_STORAGE));
}

int vm_jail_uid_of(const char *id, enum vm_jail_who who, uint64_t n, uid_t *ret)
{
	uint32_t number = number_of(id);

	if (n < LEAST)
		return -EPERM;
	if (n >= (uint64_t)ALL_BASE + ALL_SIZE)
		*ret = ALL_BASE + (who == VM_JAIL_STORAGE ? number ^ 1u << 27 : number);
	else if (n >= LOW_END + LEAST)
		*ret = pick(number, who, LOW_END, n - LOW_END);
	else if (n >= FEW_END)
		*ret = pick(number, who, FEW_BASE, FEW_END - FEW_BASE);
	else
		*ret = pick(number, who, n - n / 2, n / 2);
	return 0;
}

uint64_t vm_jail_mapped(const char *map)
{
	uint64_t end = 0, before;

	do {
		const char *line = map;

		before = end;
		while (line && *line) {
			unsigned long long first, outside, count;

			if (sscanf(line, "%llu %llu %llu", &first, &outside, &count) == 3 && first <= end && first + count > end)
				end = first + count;
			line = strchr(line, '\n');
			line = line ? line + 1 : NULL;
		}
	} while (end > before);
	return end;
}

static int read_mapped(const char *path, uint64_t *ret, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	int r = file_read(AT_FDCWD, path, MAP_MAX, &text, NULL);

	if (r < 0)
		return err_set(e, -r, "%s: %s", path, strerror(-r));
	*ret = vm_jail_mapped(text);
	return 0;
}

int vm_jail_uid(const char *id, enum vm_jail_who who, uid_t *ret, struct err *e)
{
	uint64_t users, groups;
	int r = read_mapped("/proc/self/uid_map", &users, e);

	if (r >= 0)
		r = read_mapped("/proc/self/gid_map", &groups, e);
	if (r < 0)
		return r;
	if (vm_jail_uid_of(id, who, MIN(users, groups), ret) < 0)
		return err_set(e, EPERM,
			       "a virtual machine needs a user and a group of its own, and this user namespace has none to give: "
			       "/etc/subuid "
			       "and /etc/subgid grant them (`usermod --add-subuids 100000-165535 --add-subgids 100000-165535 "
			       "USER`, as root)");
	return 0;
}

int vm_check_user(struct err *e)
{
	uid_t any;

	return vm_jail_uid("", VM_JAIL_VMM, &any, e);
}
