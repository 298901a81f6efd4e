/* The device rules of a v2 cgroup as an eBPF program, assembled here and loaded with bpf(2).
 *
 * The kernel runs it at every open and mknod of a device with struct bpf_cgroup_dev_ctx { u32 access_type (access << 16 |
 * type); u32 major; u32 minor } and refuses on 0 (linux/bpf.h; BPF_PROG_TYPE_CGROUP_DEVICE, Linux 4.15).
 * Rules are tried from the last to the first. r2 type, r3 what of the access is not yet granted, r4 major, r5 minor:
 *    allow: r3 &= ~rule.access; nothing left -> allowed
 *    deny:  r3 & rule.access    -> refused
 * and what no rule decided falls to the default. */
#include <linux/bpf.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cgroup_impl.h"

#define INSN(c, d, s, o, i) ((struct bpf_insn){ .code = (c), .dst_reg = (d), .src_reg = (s), .off = (short)(o), .imm = (i) })
#define LOAD(d, off)        INSN(BPF_LDX | BPF_MEM | BPF_W, d, BPF_REG_1, off, 0)
#define ALU(op, d, i)       INSN(BPF_ALU | BPF_K | (op), d, 0, 0, i)
#define MOV(d, s)           INSN(BPF_ALU | BPF_MOV | BPF_X, d, s, 0, 0)
#define JUMP(op, d, i, o)   INSN(BPF_JMP32 | BPF_K | (op), d, 0, o, i) /* 32 bits: Linux 5.1 */
#define RET(v)              INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, v), INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

#define PROLOGUE     6
#define RULE_MAX     8
#define EPILOGUE     2
#define REPLACED_MAX 64

static int access_bits(const char *s)
{
	return (strchr(s, 'r') ? BPF_DEVCG_ACC_READ : 0) | (strchr(s, 'w') ? BPF_DEVCG_ACC_WRITE : 0) |
	       (strchr(s, 'm') ? BPF_DEVCG_ACC_MKNOD : 0);
}

/* One rule; the jumps of its conditions go behind its last instruction. -> number of instructions */
static size_t put_rule(const struct spec_device_rule *r, struct bpf_insn *out)
{
	const struct bpf_insn ret[] = { RET(r->allow ? 1 : 0) };
	int bits = access_bits(r->access);
	size_t n = 0;

	out[n++] = JUMP(BPF_JNE, BPF_REG_2, r->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR, 0);
	if (r->major >= 0)
		out[n++] = JUMP(BPF_JNE, BPF_REG_4, (int)(uint32_t)r->major, 0);
	if (r->minor >= 0)
		out[n++] = JUMP(BPF_JNE, BPF_REG_5, (int)(uint32_t)r->minor, 0);
	if (r->allow) {
		out[n++] = ALU(BPF_AND, BPF_REG_3, ~bits);
		out[n++] = JUMP(BPF_JNE, BPF_REG_3, 0, 0);
	} else {
		out[n++] = MOV(BPF_REG_0, BPF_REG_3);
		out[n++] = ALU(BPF_AND, BPF_REG_0, bits);
		out[n++] = JUMP(BPF_JEQ, BPF_REG_0, 0, 0);
	}
	out[n++] = ret[0];
	out[n++] = ret[1];
	for (size_t i = 0; i < n; i++)
		if (BPF_CLASS(out[i].code) == BPF_JMP32)
			out[i].off = (short)(n - i - 1);
	return n;
}

int device_bpf_assemble(const struct device_policy *p, struct bpf_insn **ret, size_t *ret_n)
{
	const struct bpf_insn head[] = {
		LOAD(BPF_REG_2, 0),          MOV(BPF_REG_3, BPF_REG_2), ALU(BPF_AND, BPF_REG_2, 0xffff),
		ALU(BPF_RSH, BPF_REG_3, 16), LOAD(BPF_REG_4, 4),        LOAD(BPF_REG_5, 8),
	};
	const struct bpf_insn tail[] = { RET(p->default_allow ? 1 : 0) };
	struct bpf_insn *code = calloc(PROLOGUE + p->n * RULE_MAX + EPILOGUE, sizeof *code);
	size_t n = ARRAY_SIZE(head);

	_Static_assert(sizeof head == PROLOGUE * sizeof *code && sizeof tail == EPILOGUE * sizeof *code, "room for all of it");
	if (!code)
		return -ENOMEM;
	memcpy(code, head, sizeof head);
	for (size_t i = p->n; i-- > 0;)
		n += put_rule(&p->rules[i], code + n);
	memcpy(code + n, tail, sizeof tail);
	*ret = code;
	*ret_n = n + ARRAY_SIZE(tail);
	return 0;
}

static int sys_bpf(enum bpf_cmd cmd, union bpf_attr *attr)
{
	long r = syscall(SYS_bpf, cmd, attr, sizeof *attr);

	return r < 0 ? -errno : (int)r;
}

static int load(const struct bpf_insn *code, size_t n, struct err *e)
{
	static const char license[] = "Apache-2.0"; /* no GPL-only helper is called */
	char log[4096] = "";
	union bpf_attr attr;
	int fd;

	memset(&attr, 0, sizeof attr); /* the kernel wants the padding zero too */
	attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
	attr.insns = (uint64_t)(uintptr_t)code;
	attr.insn_cnt = (uint32_t)n;
	attr.license = (uint64_t)(uintptr_t)license;
	memcpy(attr.prog_name, "berth_dev", 9);
	fd = sys_bpf(BPF_PROG_LOAD, &attr);
	if (fd >= 0)
		return fd;
	if (fd == -EPERM)
		return err_set(e, EPERM, "device rules: bpf() is not permitted; CAP_BPF (or root) is needed on cgroup v2");
	if (fd == -ENOSYS || fd == -EINVAL || fd == -EACCES) { /* once more, to hear why */
		attr.log_buf = (uint64_t)(uintptr_t)log;
		attr.log_size = sizeof log;
		attr.log_level = 1;
		(void)sys_bpf(BPF_PROG_LOAD, &attr);
	}
	log[strcspn(log, "\n")] = '\0';
	return err_set(e, -fd, "device rules: this kernel does not take the eBPF program (CONFIG_CGROUP_BPF?): %s %s",
		       strerror(-fd), log);
}

/* Ids of the programs that sit on this very cgroup. -> number */
static int attached(int cgroup_fd, uint32_t ids[REPLACED_MAX])
{
	union bpf_attr attr;
	int r;

	memset(&attr, 0, sizeof attr);
	attr.query.target_fd = (uint32_t)cgroup_fd;
	attr.query.attach_type = BPF_CGROUP_DEVICE;
	attr.query.prog_ids = (uint64_t)(uintptr_t)ids;
	attr.query.prog_cnt = REPLACED_MAX;
	r = sys_bpf(BPF_PROG_QUERY, &attr);
	return r < 0 ? r : (int)attr.query.prog_cnt;
}

static int detach(int cgroup_fd, uint32_t id)
{
	union bpf_attr attr;
	_cleanup_fd_ int prog = -1;

	memset(&attr, 0, sizeof attr);
	attr.prog_id = id;
	prog = sys_bpf(BPF_PROG_GET_FD_BY_ID, &attr);
	if (prog < 0)
		return prog;
	memset(&attr, 0, sizeof attr);
	attr.target_fd = (uint32_t)cgroup_fd;
	attr.attach_bpf_fd = (uint32_t)prog;
	attr.attach_type = BPF_CGROUP_DEVICE;
	return sys_bpf(BPF_PROG_DETACH, &attr);
}

/* The new one joins before the old ones leave: all must agree, so access only ever shrinks in between. */
int device_bpf_attach(int cgroup_path_fd, const struct device_policy *p, struct err *e)
{
	_cleanup_free_ struct bpf_insn *code = NULL;
	_cleanup_fd_ int prog = -1, cgroup_fd = openat(cgroup_path_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint32_t old[REPLACED_MAX];
	union bpf_attr attr;
	size_t n;
	int n_old, r;

	if (cgroup_fd < 0)
		return err_set(e, errno, "device rules: open the cgroup: %s", strerror(errno));
	r = device_bpf_assemble(p, &code, &n);
	if (r < 0)
		return err_set(e, -r, "device rules: out of memory");
	prog = load(code, n, e);
	if (prog < 0)
		return prog;
	n_old = attached(cgroup_fd, old);
	if (n_old < 0)
		return err_set(e, -n_old, "device rules: ask which programs the cgroup has: %s", strerror(-n_old));
	memset(&attr, 0, sizeof attr);
	attr.target_fd = (uint32_t)cgroup_fd;
	attr.attach_bpf_fd = (uint32_t)prog;
	attr.attach_type = BPF_CGROUP_DEVICE;
	attr.attach_flags = BPF_F_ALLOW_MULTI;
	r = sys_bpf(BPF_PROG_ATTACH, &attr);
	if (r < 0)
		return err_set(e, -r, "device rules: put the program on the cgroup: %s", strerror(-r));
	for (int i = 0; i < n_old; i++)
		if ((r = detach(cgroup_fd, old[i])) < 0 && r != -ENOENT)
			return err_set(e, -r, "device rules: take the old program off the cgroup: %s", strerror(-r));
	return 0;
}
