/* Fuzz target: kernel files and modules as somebody hands them over: the module's fields, the bzImage's header and payload,
 * the ELF kernel's notes. */
#include "bzimage.h"
#include "kmod.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_strv_ char **names = NULL;
	_cleanup_free_ uint8_t *kernel = NULL;
	struct bzimage z;
	size_t len = 0;

	if (kmod_unsigned_len(data, size) > size)
		abort();
	(void)!kmod_depends(data, size, &names);
	if (vmlinux_check(data, size, NULL) == 0 && !vmlinux_has_pvh(data, size))
		abort();
	if (bzimage_parse(data, size, &z, NULL) < 0)
		return 0;
	if (z.payload && (z.payload < data || z.payload_len > size - (size_t)(z.payload - data)))
		abort();
	if (strchr(z.version, '/') || z.version[0] == '.' || !z.version[0])
		abort(); /* it names a directory */
	/* The size is the payload's own claim: keep what the fuzzer may allocate small. */
	if (z.payload_len >= 4 && z.payload[z.payload_len - 1] == 0 && z.payload[z.payload_len - 2] == 0)
		(void)!bzimage_unpack(&z, &kernel, &len);
	return 0;
}
