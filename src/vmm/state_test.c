/* Saved state: what is put is got; what is damaged is refused by name. */
#include "state.h"

#include "tap.h"

struct sample {
	uint32_t a, b;
};

TEST(records_are_found_by_kind_and_instance)
{
	_cleanup_buf_ struct buf b = { NULL };
	struct sample one = { 1, 2 }, two = { 3, 4 }, got = { 0 };

	state_put(&b, STATE_VCPU, 0, 1, &one, sizeof(one));
	state_put(&b, STATE_VCPU, 1, 1, &two, sizeof(two));
	state_put(&b, STATE_PCI, 1, 7, NULL, 0);
	ok(!b.failed);
	is_int(state_get_struct(b.data, b.len, STATE_VCPU, 1, 1, &got, sizeof(got), NULL), 0);
	is_int(got.b, 4);
	is_int(state_get_struct(b.data, b.len, STATE_PCI, 1, 7, NULL, 0, NULL), 0);
}

TEST(V14_damaged_state_is_refused)
{
	_cleanup_buf_ struct buf b = { NULL };
	struct sample s = { 1, 2 };
	struct err e = { 0 };

	state_put(&b, STATE_VCPU, 0, 1, &s, sizeof(s));
	is_int(state_get_struct(b.data, b.len, STATE_VCPU, 1, 1, &s, sizeof(s), &e), -ENOENT);
	has_str(e.msg, "\"vcpu\" 1");
	is_int(state_get_struct(b.data, b.len, STATE_VCPU, 0, 2, &s, sizeof(s), &e), -EBADMSG);
	is_int(state_get_struct(b.data, b.len, STATE_VCPU, 0, 1, &s, sizeof(s) - 1, &e), -EBADMSG);
	for (size_t n = 1; n < b.len; n++)
		is_int(state_get_struct(b.data, n, STATE_VCPU, 0, 1, &s, sizeof(s), &e), -EBADMSG);
	b.data[12] = (char)0xff;
	is_int(state_get_struct(b.data, b.len, STATE_VCPU, 0, 1, &s, sizeof(s), &e), -EBADMSG);
	b.data[12] = 8;
	state_put(&b, STATE_VCPU, 0, 1, &s, sizeof(s));
	is_int(state_get_struct(b.data, b.len, STATE_VCPU, 0, 1, &s, sizeof(s), &e), -EBADMSG);
	has_str(e.msg, "twice");
}

TEST(a_record_larger_than_any_reader_takes_fails_the_writer)
{
	_cleanup_buf_ struct buf b = { NULL };
	static char big[STATE_RECORD_MAX + 1];

	state_put(&b, STATE_PCI, 0, 1, big, sizeof(big));
	ok(b.failed);
}

TAP_MAIN()
