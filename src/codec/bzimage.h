/* bzimage: reads the x86 boot protocol's header (kernel documentation, arch/x86/boot) of a kernel file, and takes the
 * uncompressed kernel out of it. A VMM that is given the ELF kernel spares each guest the decompression. */
#pragma once

#include "base.h"

struct bzimage {
	char version[128];      /* "6.1.0-13-cloud-amd64": the first word of the header's kernel_version */
	const uint8_t *payload; /* the compressed kernel, into the input; NULL before protocol 2.08 */
	size_t payload_len;
};
/* Checks sizes and offsets; the version is made of [A-Za-z0-9._+~-] only, so it may name a directory.
 * -ENOEXEC: not a bzImage, e says what is wrong with it. */
int bzimage_parse(const void *p, size_t n, struct bzimage *ret, struct err *e);
/* The ELF kernel, malloc'd, at most 256 MiB. LZ4 (the legacy frame that kernels are packed in) only: -EOPNOTSUPP
 * for others; -EBADMSG: damaged. */
int bzimage_unpack(const struct bzimage *b, uint8_t **ret, size_t *ret_len);
/* The PVH entry point (a physical address) among an ELF segment's notes, n bytes: a Xen note of type 18. false: none, or damaged. */
bool vmlinux_pvh_entry(const void *notes, size_t n, uint64_t *ret_entry);
/* Is p an x86-64 ELF kernel with a PVH entry point (a Xen note of type 18), which VMMs can jump to directly? */
bool vmlinux_has_pvh(const void *p, size_t n);
/* Whether such a file can be booted: x86-64, everything that its headers name inside of it, and a PVH entry. -ENOEXEC, e says
 * what is wrong. */
int vmlinux_check(const void *p, size_t n, struct err *e);
/* Does p begin as an ELF file of any kind? */
bool is_elf(const void *p, size_t n);
