/* who: as whom a request is carried out. The server is root with few capabilities, which it keeps while its thread has another
 * user's file-system ids (SECBIT_NO_SETUID_FIXUP, jail.c): so what is made belongs to the caller and to the caller's quota, and
 * whether the caller may make it there was judged by the guest's kernel. */
#include <linux/capability.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>

#include "fs_impl.h"

void fs_return(const struct fs_req *r)
{
	if (!r->fs->is_root)
		return;
	(void)setfsuid(0);
	(void)setfsgid(0);
}

int fs_become(const struct fs_req *r)
{
	if (!r->fs->is_root)
		return 0;
	if (r->h.uid == UINT32_MAX || r->h.gid == UINT32_MAX)
		return -EINVAL;
	(void)setfsgid(r->h.gid);
	(void)setfsuid(r->h.uid);
	/* Neither tells a failure: with an id that is none they return who we are. */
	if ((uint32_t)setfsgid(UINT32_MAX) == r->h.gid && (uint32_t)setfsuid(UINT32_MAX) == r->h.uid)
		return 0;
	fs_return(r);
	return -EPERM;
}

static void set_caps(const struct fs *f, uint32_t without)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { { .effective = f->caps[0] & ~without,
									   .permitted = f->caps[1] } };

	if (f->is_root)
		(void)syscall(SYS_capset, &head, data);
}

void fs_drop_fsetid(const struct fs *f) { set_caps(f, 1u << CAP_FSETID); }
void fs_take_fsetid(const struct fs *f) { set_caps(f, 0); }
