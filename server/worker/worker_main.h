/*
 * `cais worker`.
 */
#pragma once

/* Run a worker until SIGTERM or SIGINT; its tasks run on. Exits 0; 1 if it could not begin; 2 for
 * flags that make no sense. */
int worker_main(int argc, char **argv);
