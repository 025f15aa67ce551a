#include "server/lab/lab.h"

#include <argp.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "server/cli/verb.h"
#include "server/lab/daemon.h"
#include "server/lab/verbs.h"

enum { LOCK_FD = 3, READY_FD = 4 }; /* As server/lab/ready.c hands them over. */

static const struct argp_option flags[] = {
    {"dir", 'd', "DIR", 0, "The lab's directory", 0},
    {0},
};

static error_t parse(int key, char *text, struct argp_state *state)
{
    const char **dir = state->input;

    switch (key) {
    case 'd':
        *dir = text;
        return 0;
    case ARGP_KEY_END:
        if (!*dir)
            argp_error(state, "--dir is missing");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int daemon_main(int argc, char **argv)
{
    static const struct argp argp = {flags, parse, NULL, "Internal: started by `cais lab up`.",
                                     NULL,  NULL,  NULL};
    const char *dir = NULL;

    argp_parse(&argp, argc, argv, 0, NULL, &dir);
    if (fcntl(LOCK_FD, F_SETFD, FD_CLOEXEC) < 0 || fcntl(READY_FD, F_GETFD) < 0 || chdir("/") < 0)
        return verb_failed(argv[0], "is started by `cais lab up`");
    signal(SIGPIPE, SIG_IGN);
    return daemon_run(dir, READY_FD);
}

int lab_main(int argc, char **argv)
{
    static const char what[] =
        "A laboratory: a whole multi-zone cluster on this machine, and what to break it with.";
    static const struct verb verbs[] = {
        {"up", "[OPTION...]", "start a lab, or one that was taken down", up_main},
        {"status", "[--json]", "its nodes, who leads, what is wrong", lab_status_main},
        {"kill", "NODE|leader|zone:ZONE", "SIGKILL", order_main},
        {"stop", "NODE|leader|zone:ZONE", "SIGSTOP", order_main},
        {"cont", "NODE|leader|zone:ZONE", "SIGCONT", order_main},
        {"start", "NODE|zone:ZONE", "start again what is dead", order_main},
        {"cut", "A B", "let nothing pass between A and B", order_main},
        {"heal", "[A B]", "mend what lies between A and B, or all", order_main},
        {"delay", "A B MS [JITTER]", "delay what passes between A and B", order_main},
        {"reset", "A B", "break the connections there are", order_main},
        {"fail-zone", "ZONE", "cut the power of a zone", order_main},
        {"restore-zone", "ZONE", "switch it on again", order_main},
        {"down", "[--purge]", "end everything", down_main},
        {"daemon", NULL, NULL, daemon_main},
    };

    return verb_run("cais lab", what, verbs, sizeof verbs / sizeof *verbs, argc, argv);
}
