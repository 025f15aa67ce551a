/*
 * `cais manager`: a member of the replicated control plane.
 *
 * Wires the core to a uv loop, to its peers, to the API's threads and to the worker RPC's thread,
 * and takes them down in the order in which they need each other.
 */
#pragma once

/* The verb. Returns the exit code. */
int manager_main(int argc, char **argv);
