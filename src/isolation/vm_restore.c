/* vm_restore: the start of a VM that is a copy of another. Instead of a kernel berth-vmm gets the saved state and memory, the guest goes on
 * where it was brought to rest (vm_hold.c), and the first that its agent hears is who it is now. */
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#include "guest.h"
#include "vm_impl.h"

static char *path_of(const struct instance *i, const char *name)
{
	return str_fmt("%s/containers/%s/%s", i->cfg.paths->root, i->cfg.launch->id, name);
}

static int open_one(const struct instance *i, const char *name, struct err *e)
{
	_cleanup_free_ char *path = path_of(i, name);
	int fd;

	if (!path)
		return err_set(e, ENOMEM, "out of memory");
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return fd >= 0 ? fd : errno == ENOENT ? -ENOENT : err_set(e, errno, "%s: %s", path, strerror(errno));
}

int vm_restore_open(struct instance *i, int *ret_state, int *ret_memory, struct err *e)
{
	_cleanup_fd_ int state = open_one(i, VM_RESTORE_STATE, e), memory = -1;

	if (state == -ENOENT)
		return 0;
	if (state < 0)
		return state;
	memory = open_one(i, VM_RESTORE_MEMORY, e);
	if (memory < 0)
		return memory == -ENOENT ? err_set(e, ENOENT, "the saved memory of this virtual machine is gone") : memory;
	*ret_state = TAKE_FD(state);
	*ret_memory = TAKE_FD(memory);
	return 1;
}

static void put_hex(char *to, const uint8_t *bytes, size_t n)
{
	for (size_t k = 0; k < n; k++)
		snprintf(to + 2 * k, 3, "%02x", bytes[k]);
}

int vm_restore_greet(struct instance *i, struct err *e)
{
	uint8_t seed[48], ids[32];
	char machine[33], hex[33], boot[37];
	_cleanup_free_ char *b64 = NULL;
	_cleanup_free_ struct guest_interface *interfaces = NULL;
	size_t n_interfaces = 0;
	_cleanup_json_ struct json_object *o = NULL;
	const char *text;

	if (getrandom(seed, sizeof(seed), 0) != (ssize_t)sizeof(seed) || getrandom(ids, sizeof(ids), 0) != (ssize_t)sizeof(ids))
		return err_set(e, EIO, "no random numbers for the guest");
	ids[16 + 6] = (ids[16 + 6] & 0x0f) | 0x40; /* RFC 9562, 5.4: a random UUID */
	ids[16 + 8] = (ids[16 + 8] & 0x3f) | 0x80;
	put_hex(machine, ids, 16);
	put_hex(hex, ids + 16, 16);
	snprintf(boot, sizeof(boot), "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
	if (vm_network_interfaces(i->cfg.network, &interfaces, &n_interfaces) < 0)
		return err_set(e, ENOMEM, "out of memory");
	b64 = base64_encode(seed, sizeof(seed));
	const struct guest_identity id = { .entropy_b64 = b64,
					   .hostname = i->cfg.spec->hostname,
					   .machine_id = machine,
					   .boot_id = boot,
					   .interfaces = interfaces,
					   .n_interfaces = n_interfaces,
					   .time_ns = clock_real_ns() };
	o = b64 ? guest_identity_json(&id) : NULL;
	text = o ? json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN) : NULL;
	if (!text)
		return err_set(e, ENOMEM, "out of memory");
	frame_put(&i->link.out, FRAME_RESTORE, 0, text, (uint32_t)strlen(text));
	link_flush(&i->link);
	return 0;
}

void vm_restore_done(struct instance *i)
{
	static const char *const names[] = { VM_RESTORE_STATE, VM_RESTORE_MEMORY };

	i->is_restore = false;
	i->state_fd = fd_close(i->state_fd);
	i->memory_fd = fd_close(i->memory_fd);
	for (size_t k = 0; k < ARRAY_SIZE(names); k++) {
		_cleanup_free_ char *path = path_of(i, names[k]);

		if (!path || (unlink(path) < 0 && errno != ENOENT))
			log_warn("vm", "%s stays: %s", path ? path : names[k], strerror(path ? errno : ENOMEM));
	}
}
