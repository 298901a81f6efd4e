#include "tap.h"
#include "vm_jail.h"

static uid_t of(const char *id, enum vm_jail_who who, uint64_t n)
{
	uid_t uid = 0;

	is_int(vm_jail_uid_of(id, who, n, &uid), 0);
	return uid;
}

TEST(users_differ_by_id_and_stay_in_their_range)
{
	ok(of("0000000aaaa", VM_JAIL_VMM, UINT32_MAX) == 0x70000000u &&
	   of("fffffffaaaa", VM_JAIL_VMM, UINT32_MAX) == 0x7fffffffu);
	ok(of("abcdef0", VM_JAIL_VMM, UINT32_MAX) == 0x7abcdef0u);
	ok(of("abcdef0", VM_JAIL_STORAGE, UINT32_MAX) == 0x72bcdef0u);
}

TEST(of_few_ids_they_are_those_that_no_file_of_an_image_has)
{
	static const struct {
		uint64_t n;
		uid_t least, end;
	} rows[] = { { 4, 2, 4 },
		     { 1000, 500, 1000 },
		     { 65519, 32760, 65519 },
		     { 65520, 61184, 65520 },
		     { 65537, 61184, 65520 },
		     { 65540, 65536, 65540 },
		     { 1 << 20, 65536, 1 << 20 } };
	static const char *const ids[] = { "0000000", "0000001", "abcdef0", "7ffffff", "fffffff" };

	for (size_t k = 0; k < ARRAY_SIZE(rows); k++)
		for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
			uid_t a = of(ids[i], VM_JAIL_VMM, rows[k].n), b = of(ids[i], VM_JAIL_STORAGE, rows[k].n);

			if (a < rows[k].least || a >= rows[k].end || b < rows[k].least || b >= rows[k].end || a == b)
				TAP_FAIL("%s of %llu: %u and %u", ids[i], (unsigned long long)rows[k].n, a, b);
		}
}

TEST(where_there_is_none_to_spare_there_is_none)
{
	uid_t uid;

	is_int(vm_jail_uid_of("abcdef0", VM_JAIL_VMM, 1, &uid), -EPERM);
	is_int(vm_jail_uid_of("abcdef0", VM_JAIL_VMM, 3, &uid), -EPERM);
}

TEST(what_is_mapped_is_counted_from_zero_up_to_the_first_hole)
{
	ok(vm_jail_mapped("         0          0 4294967295\n") == UINT32_MAX);
	is_int(vm_jail_mapped("         0       4711          1\n         1     600000      65536\n"), 65537);
	is_int(vm_jail_mapped("1 600000 10\n11 900000 5\n0 4711 1\n"), 16);
	is_int(vm_jail_mapped("0 4711 1\n2 600000 10\n"), 1);
	is_int(vm_jail_mapped("5 600000 10\n"), 0);
	is_int(vm_jail_mapped(""), 0);
	is_int(vm_jail_mapped("what\nis this\n0 1 2"), 2);
}

TAP_MAIN()
