/* codec: bytes in, structs out. No I/O; everything here is fed by strangers and fuzzed. */
#pragma once

#include "frame.h"
#include "json.h"
#include "sha256.h"
