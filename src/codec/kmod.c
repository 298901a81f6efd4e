/* kmod: see kmod.h. Every offset is checked against the file's length before it is followed. */
#include "kmod.h"

#include <elf.h>

#define SIG_MARK "~Module signature appended~\n"

/* struct module_signature of include/linux/module_signature.h; sig_len is big-endian. */
struct sig_trailer {
	uint8_t algo, hash, id_type, signer_len, key_id_len, pad[3];
	uint8_t sig_len[4];
};

static const void *at(const void *p, size_t n, uint64_t off, uint64_t len)
{
	return off <= n && len <= n - off ? (const char *)p + off : NULL;
}

/* Header number i, copied: sections of a foreign file may be unaligned. */
static int section(const void *p, size_t n, const Elf64_Ehdr *eh, unsigned i, Elf64_Shdr *ret)
{
	const void *sh = i < eh->e_shnum ? at(p, n, eh->e_shoff + (uint64_t)i * sizeof(*ret), sizeof(*ret)) : NULL;

	if (!sh || eh->e_shoff > n)
		return -ENOEXEC;
	memcpy(ret, sh, sizeof(*ret));
	return 0;
}

static int find_modinfo(const void *p, size_t n, const char **ret_data, size_t *ret_len)
{
	static const char name[] = ".modinfo";
	Elf64_Ehdr eh;
	Elf64_Shdr names, sh;

	if (n < sizeof(eh))
		return -ENOEXEC;
	memcpy(&eh, p, sizeof(eh));
	if (memcmp(eh.e_ident, ELFMAG, SELFMAG) != 0 || eh.e_ident[EI_CLASS] != ELFCLASS64 ||
	    eh.e_ident[EI_DATA] != ELFDATA2LSB || eh.e_shentsize != sizeof(sh) || section(p, n, &eh, eh.e_shstrndx, &names) < 0)
		return -ENOEXEC;
	for (unsigned i = 0; i < eh.e_shnum; i++) {
		const char *s, *data;

		if (section(p, n, &eh, i, &sh) < 0)
			return -ENOEXEC;
		if (sh.sh_name > names.sh_size || sizeof(name) > names.sh_size - sh.sh_name || names.sh_offset > n)
			continue;
		s = at(p, n, names.sh_offset + sh.sh_name, sizeof(name));
		if (!s || memcmp(s, name, sizeof(name)) != 0)
			continue;
		data = at(p, n, sh.sh_offset, sh.sh_size);
		if (!data || sh.sh_type == SHT_NOBITS)
			return -ENOEXEC;
		*ret_data = data;
		*ret_len = sh.sh_size;
		return 0;
	}
	return -ENOENT;
}

int kmod_info(const void *ko, size_t n, const char *key, char **ret_value)
{
	size_t len = 0, key_len = strlen(key);
	const char *s = NULL;
	int r = find_modinfo(ko, n, &s, &len);

	if (r < 0)
		return r;
	while (len > 0) { /* NUL-separated "key=value"; padding between them is NULs as well */
		size_t l = strnlen(s, len);

		if (l > key_len && s[key_len] == '=' && memcmp(s, key, key_len) == 0) {
			char *v = strndup(s + key_len + 1, l - key_len - 1);

			if (!v)
				return -ENOMEM;
			*ret_value = v;
			return 0;
		}
		l += l < len;
		s += l;
		len -= l;
	}
	return -ENOENT;
}

char *kmod_normalise(char *s)
{
	for (char *c = s; *c; c++)
		if (*c == '-')
			*c = '_';
	return s;
}

int kmod_depends(const void *ko, size_t n, char ***ret_names)
{
	_cleanup_free_ char *text = NULL;
	char **names;
	int r = kmod_info(ko, n, "depends", &text);

	if (r < 0 && r != -ENOENT)
		return r;
	if (r == -ENOENT || !*text) {
		*ret_names = NULL;
		return 0;
	}
	names = strv_split(kmod_normalise(text), ',');
	if (!names)
		return -ENOMEM;
	*ret_names = names;
	return 0;
}

size_t kmod_unsigned_len(const void *ko, size_t n)
{
	const size_t mark = sizeof(SIG_MARK) - 1;
	struct sig_trailer t;
	uint64_t sig;

	if (n < mark + sizeof(t) || memcmp((const char *)ko + n - mark, SIG_MARK, mark) != 0)
		return n;
	memcpy(&t, (const char *)ko + n - mark - sizeof(t), sizeof(t));
	sig = (uint64_t)t.sig_len[0] << 24 | (uint64_t)t.sig_len[1] << 16 | (uint64_t)t.sig_len[2] << 8 | t.sig_len[3];
	sig += mark + sizeof(t) + t.signer_len + t.key_id_len;
	return sig <= n ? n - sig : n;
}
