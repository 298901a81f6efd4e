#include "tap.h"
#include "vm_impl.h"

TEST(a_short_text_is_kept_whole)
{
	struct vm_console c = { .at = 0 };

	vm_console_add(&c, "one\n", 4);
	vm_console_add(&c, "two\n", 4);
	_cleanup_free_ char *t = vm_console_text(&c);
	is_str(t, "one\ntwo\n");
}

TEST(of_a_flood_only_the_last_bytes_are_kept)
{
	static struct vm_console c;
	char line[64];

	for (int i = 0; i < 100000; i++) {
		int n = snprintf(line, sizeof(line), "line %d\n", i);

		vm_console_add(&c, line, (size_t)n);
	}
	_cleanup_free_ char *t = vm_console_text(&c);
	is_int(strlen(t), CONSOLE_KEPT);
	ok(str_ends(t, "line 99998\nline 99999\n"));
}

TEST(one_write_larger_than_the_ring_keeps_its_end)
{
	static struct vm_console c;
	_cleanup_free_ char *big = malloc(3 * CONSOLE_KEPT + 5), *t = NULL;

	memset(big, 'a', 3 * CONSOLE_KEPT + 5);
	memcpy(big + 3 * CONSOLE_KEPT + 2, "end", 3);
	vm_console_add(&c, "x", 1);
	vm_console_add(&c, big, 3 * CONSOLE_KEPT + 5);
	t = vm_console_text(&c);
	is_int(strlen(t), CONSOLE_KEPT);
	ok(str_ends(t, "aend"));
}

TEST(nul_bytes_do_not_hide_what_follows)
{
	struct vm_console c = { .at = 0 };

	vm_console_add(&c, "a\0b", 3);
	_cleanup_free_ char *t = vm_console_text(&c);
	is_str(t, "a b");
}

TEST(a_panic_is_told_by_its_own_line)
{
	_cleanup_free_ char *r =
		vm_console_reason("[    1.2] Oops\r\n[    1.3] Kernel panic - not syncing: VFS: no root\r\n[ 1.4] more\r\n");

	is_str(r, "the guest kernel panicked: VFS: no root");
}

TEST(what_berth_init_said_comes_before_the_panic_that_its_end_makes)
{
	_cleanup_free_ char *r = vm_console_reason(
		"[1] Kernel panic - not syncing: Attempted to kill init!\r\n[1] berth-init: mount /dev: no\r\n");

	is_str(r, "the guest could not be set up: mount /dev: no");
}

TEST(a_console_without_a_reason_has_none) { ok(vm_console_reason("all is well\n") == NULL); }

TAP_MAIN()
