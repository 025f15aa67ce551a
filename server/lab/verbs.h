/*
 * The verbs of `cais lab`, each a main of its own (server/cli/verb.h).
 */
#pragma once

/* `up`: check everything, start the lab, wait until it is ready; or leave nothing behind. */
int up_main(int argc, char **argv);

/* `down`: end everything, also what a killed daemon left; with --purge remove the directory. */
int down_main(int argc, char **argv);

/* `status`: see server/lab/status.h. */
int lab_status_main(int argc, char **argv);

/* kill, stop, cont, start, cut, heal, delay, reset, fail-zone, restore-zone: an order to the
 * lab; which one, argv[0] tells. */
int order_main(int argc, char **argv);

/* Internal: what `up` starts. */
int daemon_main(int argc, char **argv);
