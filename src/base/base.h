/* base: what every other layer stands on. No mutable state of its own but the log's settings.
 *
 * Conventions used in all of Berth:
 *  - functions return 0 or a count on success, -errno on failure; leaf helpers in base return the bare -errno,
 *    functions of the layers above also fill a caller-owned struct err;
 *  - `ret_x` out-parameters are written only on success;
 *  - _cleanup_x_ attributes own, TAKE_x transfers. */
#pragma once

#include "clock.h"
#include "draft.h"
#include "err.h"
#include "fd.h"
#include "host.h"
#include "idle.h"
#include "log.h"
#include "loop.h"
#include "mount_ns.h"
#include "overlay.h"
#include "path.h"
#include "patience.h"
#include "spawn.h"
#include "str.h"
#include "timeline.h"
#include "util.h"
