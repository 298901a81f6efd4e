/* codec: bytes in, structs out. No I/O; everything here is fed by strangers and fuzzed. */
#pragma once

#include "base64.h"
#include "bzimage.h"
#include "cpio.h"
#include "frame.h"
#include "json.h"
#include "kmod.h"
#include "protobuf.h"
#include "qcow2.h"
#include "sha256.h"
