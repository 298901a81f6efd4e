/* binfmt.c: see binfmt.h. A handler is a file with lines "enabled", "flags: ...", "offset N", "magic HEX", "mask HEX"
 * (Documentation/admin-guide/binfmt-misc.rst). It is asked as the kernel would: does it take a program that begins so? */
#include "binfmt.h"

#include <dirent.h>
#include <elf.h>
#include <stdio.h>
#include <unistd.h>

#define HEAD_MAX 64
#define FILE_MAX 4096

static const struct machine {
	const char *arch;
	uint16_t machine;
	bool is_64, is_big;
} machines[] = {
	{ "amd64", EM_X86_64, true, false }, { "386", EM_386, false, false },      { "arm64", EM_AARCH64, true, false },
	{ "arm", EM_ARM, false, false },     { "riscv64", EM_RISCV, true, false }, { "ppc64le", EM_PPC64, true, false },
	{ "s390x", EM_S390, true, true },    { "mips64le", EM_MIPS, true, false }, { "loong64", 258, true, false },
};

/* The beginning of a program of that architecture, as far as handlers look. */
static void head_of(const struct machine *m, uint16_t type, uint8_t head[HEAD_MAX])
{
	memset(head, 0, HEAD_MAX);
	memcpy(head, ELFMAG, SELFMAG);
	head[EI_CLASS] = m->is_64 ? ELFCLASS64 : ELFCLASS32;
	head[EI_DATA] = m->is_big ? ELFDATA2MSB : ELFDATA2LSB;
	head[EI_VERSION] = EV_CURRENT;
	head[16 + m->is_big] = (uint8_t)type;
	head[18 + m->is_big] = (uint8_t)m->machine;
	head[18 + !m->is_big] = (uint8_t)(m->machine >> 8);
	head[20 + 3 * m->is_big] = EV_CURRENT;
}

static int hex_digit(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; }

static size_t read_hex(const char *s, uint8_t bytes[HEAD_MAX])
{
	size_t n = 0;

	for (; n < HEAD_MAX && hex_digit(s[2 * n]) >= 0 && hex_digit(s[2 * n + 1]) >= 0; n++)
		bytes[n] = (uint8_t)(hex_digit(s[2 * n]) << 4 | hex_digit(s[2 * n + 1]));
	return n;
}

static bool takes(const char *text, const uint8_t head[HEAD_MAX])
{
	const char *magic = strstr(text, "\nmagic "), *mask = strstr(text, "\nmask "), *offset = strstr(text, "\noffset ");
	uint8_t want[HEAD_MAX], care[HEAD_MAX];
	size_t at = offset ? strtoul(offset + 8, NULL, 10) : 0, n = magic ? read_hex(magic + 7, want) : 0;

	memset(care, 0xff, sizeof(care));
	if (mask)
		read_hex(mask + 6, care);
	if (n == 0 || at + n > HEAD_MAX)
		return false;
	for (size_t i = 0; i < n; i++)
		if ((head[at + i] ^ want[i]) & care[i])
			return false;
	return true;
}

static enum binfmt_answer judge(const char *text)
{
	const char *flags = strstr(text, "\nflags:");

	if (!str_after(text, "enabled"))
		return BINFMT_DISABLED;
	return flags && memchr(flags + 7, 'F', strcspn(flags + 7, "\n")) ? BINFMT_READY : BINFMT_NO_F;
}

static bool takes_any(const char *text, const char *arch)
{
	uint8_t head[HEAD_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(machines); i++) {
		if (!streq(machines[i].arch, arch))
			continue;
		head_of(&machines[i], ET_EXEC, head);
		if (takes(text, head))
			return true;
		head_of(&machines[i], ET_DYN, head);
		return takes(text, head);
	}
	return false;
}

enum binfmt_answer binfmt_ask(int dirfd, const char *arch, char ret_name[64])
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	enum binfmt_answer best = BINFMT_NONE;

	if (!d)
		fd_close(fd);
	for (struct dirent *ent; d && (ent = readdir(d));) {
		_cleanup_free_ char *text = NULL;
		size_t len = 0;

		if (ent->d_name[0] == '.' || streq(ent->d_name, "register") || streq(ent->d_name, "status") ||
		    file_read(fd, ent->d_name, FILE_MAX, &text, &len) < 0 || !takes_any(text, arch))
			continue;
		enum binfmt_answer now = judge(text);
		if (now > best) {
			best = now;
			snprintf(ret_name, 64, "%.63s", ent->d_name);
		}
	}
	if (d)
		closedir(d);
	return best;
}
