/* Rows of tables of fields (json.h) whose members are plain: of struct s the member m; a list is counted by n_m. */
#pragma once

#include "json.h"

#define JSON_ROW(json_name, kind, s, m, ...)                          \
	{                                                             \
		json_name, kind, offsetof(struct s, m), ##__VA_ARGS__ \
	}
#define JSON_LIST(json_name, s, m, item, rows)                                                          \
	{                                                                                               \
		.name = json_name, .type = FIELD_ARRAY, .offset = offsetof(struct s, m), .table = rows, \
		.size = sizeof(struct item), .count_offset = offsetof(struct s, n_##m)                  \
	}
/* A table's last row: keys without a row are ignored, or are errors. */
#define JSON_END      \
	{             \
		NULL, \
	}
#define JSON_STRICT                         \
	{                                   \
		NULL, .flags = FIELD_STRICT \
	}
