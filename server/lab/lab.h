/*
 * `cais lab VERB`: a whole multi-zone cluster on one machine, and what to break it with.
 *
 * `up` starts a daemon (server/lab/daemon.h), and that the real `cais manager` and `cais worker`
 * processes; the other verbs ask the daemon over its control socket.
 */
#pragma once

int lab_main(int argc, char **argv);
