#include "server/manager/start_problem.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "storage/log.h"

#define MEND                                                                                       \
    "if other managers are well, take this directory away and join them anew; if none is, "        \
    "restore "                                                                                     \
    "a backup (cais restore), or recover the manager whose storage is whole (cais storage check)"

static int find_damage(struct env *env, uint64_t *out_index)
{
    scope(txn_abort) struct txn *txn = NULL;
    int r = env_read(env, &txn);

    return r < 0 ? err_up(r) : err_up(log_verify(txn, out_index));
}

static char *damaged(struct env *env)
{
    uint64_t index = 0;

    if (env && find_damage(env, &index) == -EUCLEAN && index > 0)
        return mem_format("log entry %" PRIu64 " is damaged: its checksum does not fit, or it is "
                          "missing; " MEND,
                          index);
    return mem_string("its content is damaged; " MEND);
}

static int read_format(struct env *env, uint64_t *out)
{
    scope(txn_abort) struct txn *txn = NULL;
    struct log_identity identity = {0};
    int r = env ? env_read(env, &txn) : 0;

    if (r == 0 && txn)
        r = log_identity_get(txn, &identity);
    *out = identity.format;
    return err_up(r);
}

static char *other_format(struct env *env, const char *written_by)
{
    uint64_t format = 0;

    if (read_format(env, &format) < 0)
        format = 0;
    return mem_format("it is of format %" PRIu64 ", written by %s; this one reads format %d",
                      format, written_by, LOG_FORMAT);
}

char *start_problem(struct env *env, int r)
{
    switch (r) {
    case -EUSERS:
        return mem_string("another process is using it");
    case -EPROTONOSUPPORT:
        return other_format(env, "a newer version: start that one");
    case -EPROTOTYPE:
        return other_format(env, "an older version, before managers could join and leave");
    case -EPERM:
        return mem_string("it is the state of another manager");
    case -EUCLEAN:
        return damaged(env);
    default:
        return mem_string(strerror(-r));
    }
}
