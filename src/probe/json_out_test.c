#include "tap.h"
#include "inside.h"

TEST(names_values_and_lists_are_separated_as_json_wants)
{
	struct json_out j = { 0 };

	json_out_open(&j, NULL, '{');
	json_out_int(&j, "a", -1);
	json_out_open(&j, "b", '[');
	json_out_text(&j, NULL, "x");
	json_out_open(&j, NULL, '{');
	json_out_close(&j, '}');
	json_out_close(&j, ']');
	json_out_bool(&j, "c", true);
	json_out_why(&j, "d", "what", ENOENT);
	json_out_close(&j, '}');
	is_str(j.b.data, "{\"a\":-1,\"b\":[\"x\",{}],\"c\":true,\"d\":{\"why\":\"what: No such file or directory\"}}");
	buf_done(&j.b);
}

TEST(whatever_a_name_is_made_of_the_text_stays_json)
{
	struct json_out j = { 0 };

	json_out_text(&j, NULL, "\"\\\n\033\177 \xc3\xa4 \xff\xc3");
	is_str(j.b.data, "\"\\\"\\\\\\u000a\\u001b\\u007f \xc3\xa4 \\ufffd\\ufffd\"");
	buf_done(&j.b);
}

TAP_MAIN()
