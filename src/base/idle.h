/* idle: what a process that waits for days gives back. */
#pragma once

/* Free heap, the unused part of the main thread's stack, and pages of the program's own file, which come back from the page cache when they
 * are next touched (some 0.1 ms in all). Call it on the main thread, not from deep within, where nothing is hurried. What can't be
 * given back stays. */
void idle_give_back(void);
