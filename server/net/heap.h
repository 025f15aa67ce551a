/*
 * The memory of libraries: when it runs out they stop the process, as we do (decision 0001). Told
 * of it they would go ways that nobody has walked, their own and ours.
 */
#pragma once

/* Once, before anything else of libuv or OpenSSL is called. */
void heap_stops_when_empty(void);
