/*
 * From a container's spec to a running process.
 */
#pragma once

#include <sys/types.h>

#include "proto/supervise.pb-c.h"

/* Start the container in a process group of its own, with its logs in the working directory,
 * which is the task's. Returns NULL and the pid when the program runs; otherwise what failed,
 * as "exec /nope: No such file or directory". Gives the text. */
char *shim_exec(const Supervise__Spec *spec, const Supervise__Container *container, pid_t *out_pid);
