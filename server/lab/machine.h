/*
 * The machine a worker stands for: its tasks, seen and ended from outside.
 *
 * A worker's agent may be killed and its tasks run on, as they would on a real machine. When the
 * machine itself is lost, or the lab is taken down, the tasks must end too: the lab finds their
 * supervisors by the locks they hold (server/cli/task_files.h).
 */
#pragma once

#include <stddef.h>

/* Tasks of the worker with this directory that have a live supervisor. */
size_t machine_task_count(const char *worker_dir);

/* Ask every supervisor to stop its task in its own time (SIGTERM). Returns how many there are. */
size_t machine_stop_tasks(const char *worker_dir);

/* Kill the tasks as a power cut does: nobody gets to say a word, no supervisor records an exit.
 * The agent should be dead. Waits, well under a second, until they are gone; returns how many
 * supervisors were killed. */
size_t machine_destroy_tasks(const char *worker_dir);

/* The same for every supervisor that was started for a task somewhere below the directory, found
 * by its command line: for when the directory itself is gone, and the locks with it. */
size_t machine_destroy_strays(const char *dir);
