/*
 * The operator's verbs. Each is a main of its own (server/cli/verb.h).
 */
#pragma once

/* `cais status`: who leads, in which term, how far the managers are. */
int status_main(int argc, char **argv);

/* `cais logs TASK`: what a task's containers wrote. */
int logs_main(int argc, char **argv);

/* `cais storage VERB`: what a manager keeps on its disk. */
int storage_main(int argc, char **argv);

/* `cais managers VERB`: who the managers are; remove, promote, demote; who leads. */
int managers_main(int argc, char **argv);

/* `cais token VERB`: what newcomers join with. */
int token_main(int argc, char **argv);

/* `cais backup FILE`: the state in a file; `cais backup verify FILE`: is it whole. */
int backup_main(int argc, char **argv);

/* `cais restore FILE DIR`: a manager's directory from a backup. */
int restore_main(int argc, char **argv);
