/*
 * `cais`: one binary, a table of verbs.
 */
#include <argp.h>
#include <stdio.h>
#include <string.h>

#include "server/cli/cmd.h"
#include "server/cli/verb.h"
#include "server/lab/lab.h"
#include "server/manager/manager.h"
#include "server/net/heap.h"
#include "server/worker/shim.h"
#include "server/worker/worker_main.h"

static int version_main(int argc, char **argv)
{
    static const struct argp argp = {.doc = "Print the version."};

    argp_parse(&argp, argc, argv, 0, NULL, NULL);
    printf("cais %s\n", CAIS_VERSION);
    return EXIT_DONE;
}

static const struct verb verbs[] = {
    {"manager", "--dir DIR --name NAME …", "run a manager", manager_main},
    {"worker", "--dir DIR --name NAME …", "run a worker", worker_main},
    {"lab", "VERB …", "a laboratory: a cluster on this machine, to break", lab_main},
    {"status", "[--endpoint URL]", "who leads, and how far the managers are", status_main},
    {"managers", "VERB …", "the managers: list, remove, promote, demote, transfer", managers_main},
    {"token", "VERB …", "what newcomers join with: create, rotate, revoke, list", token_main},
    {"logs", "TASK", "what a task's containers wrote", logs_main},
    {"storage", "check DIR", "what a manager keeps on its disk", storage_main},
    {"backup", "[verify] FILE", "the cluster's state in a file; is it whole", backup_main},
    {"restore", "FILE DIR", "a manager's directory from a backup", restore_main},
    {"shim", NULL, NULL, shim_main},
    {"version", NULL, "print the version", version_main},
};

int main(int argc, char **argv)
{
    static const char what[] = "Amazon ECS for your own machines: replicated managers, workers in "
                               "zones, and a\nlaboratory that breaks them on purpose.";

    heap_stops_when_empty();
    argp_err_exit_status = EXIT_USAGE;
    if (argc == 2 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0))
        return version_main(1, argv);
    return verb_run("cais", what, verbs, sizeof verbs / sizeof *verbs, argc, argv);
}
